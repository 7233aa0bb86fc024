//! What a location says of itself while it runs, heard inside of its process: nothing comes and goes between two looks.

use std::collections::BTreeMap;
use std::future::pending;

use tidelog_harness::client::incoming;
use tidelog_harness::record::{Life, Progress};
use tidelog_proto::v1;
use tidelog_server::RunningLocation;

use crate::world::{World, now_micros};

/// Listens for as long as somebody polls it.
pub async fn watch(location: &RunningLocation, world: &World) {
    let mut edges = location.replication().watch();
    let mut log = location.status();
    let mut heard = Heard::default();
    loop {
        heard.take(&location.location_status(), world);
        let goes_on = tokio::select! {
            changed = edges.changed() => changed.is_some(),
            changed = log.changed() => changed.is_ok(),
        };
        if !goes_on {
            // What is stopping has said its last word.
            return pending().await;
        }
    }
}

/// What was heard last: only what is new is written down.
#[derive(Default)]
struct Heard {
    incarnation: u32,
    progress: BTreeMap<String, Progress>,
}

impl Heard {
    fn take(&mut self, status: &v1::LocationStatus, world: &World) {
        use v1::LocationState::{Recovering, Serving};
        refusals(status, world);
        for warning in &status.warnings {
            // The guards before it must have caught them.
            if warning.contains("unique key") {
                world.breach(&format!("I2: {} warns: {warning}", status.location));
            }
        }
        if !matches!(status.state(), Serving | Recovering) {
            return;
        }
        let at = now_micros();
        if self.incarnation != status.incarnation {
            self.incarnation = status.incarnation;
            world.pages().lives.push(Life {
                at,
                location: status.location.clone(),
                incarnation: status.incarnation,
            });
        }
        for now in incoming(status, 0) {
            if self.progress.get(&now.source) == Some(&now) {
                continue;
            }
            self.progress.insert(now.source.clone(), now.clone());
            world.pages().progress.push(Progress { at, ..now });
        }
    }
}

/// Locations that keep the contract never refuse what another one sends, and never send what does not continue. After a loss one of them
/// may have to, for a while.
fn refusals(status: &v1::LocationStatus, world: &World) {
    use v1::EdgeState::{Incompatible, Rejected, Stalled};
    for edge in &status.edges {
        let refused = matches!(edge.state(), Stalled | Incompatible | Rejected);
        let reopened = edge.message == "reopening the stream";
        if !refused && !reopened {
            continue;
        }
        let what = if reopened { "reopened" } else { &edge.reason };
        world.count(&format!("edge: {what}"));
        if !world.has_lost() {
            let said = format!("{} {}", edge.reason, edge.message);
            world.breach(&format!(
                "{} says that {}->{} is {:?}: {said}",
                status.location,
                edge.source,
                edge.target,
                edge.state(),
            ));
        }
    }
}
