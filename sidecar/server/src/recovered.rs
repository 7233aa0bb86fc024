//! Whether lost events are back, in the words of the API.

use tidelog_proto::v1;
use tidelog_replication::{RecoveryState, RecoveryStatus};
use tokio::sync::watch;

use crate::location::Shared;

/// Follows recovery until the location stops.
pub(crate) async fn follow(shared: Shared, recovered: watch::Sender<v1::Recovered>) {
    let mut status = shared.replication.recovery();
    loop {
        let now = in_words(&status.borrow_and_update());
        recovered.send_if_modified(|held| {
            let changed = *held != now;
            *held = now;
            changed
        });
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            () = shared.stopping.cancelled() => return,
        }
    }
}

fn in_words(status: &RecoveryStatus) -> v1::Recovered {
    let (recovered, reason) = match status.state {
        RecoveryState::NotNeeded => (true, "NeverLost"),
        RecoveryState::Running if status.reason.is_empty() => (false, "PullingBack"),
        RecoveryState::Running | RecoveryState::Incomplete => (false, status.reason),
        RecoveryState::Recovered => (true, "PulledBack"),
    };
    let missing = status
        .lost
        .iter()
        .map(|range| v1::IdRange {
            origin: Some((&range.origin).into()),
            from: range.first,
            to: range.last,
        })
        .collect();
    v1::Recovered {
        recovered,
        reason: reason.to_owned(),
        message: status.message.clone(),
        missing,
    }
}
