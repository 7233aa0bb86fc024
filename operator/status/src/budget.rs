//! When a status is worth a write: every write wakes everybody who watches.

use std::time::Duration;

use tidelog_api::{EdgeState, EventLogStatus, ReplicationLinkStatus};

/// What only drifts is written this often.
pub const DRIFT_EVERY: Duration = Duration::from_secs(30);
/// What differs because of a lag is written this often at most: under load an edge falls behind and catches up again several times a second.
pub const LAG_EVERY: Duration = Duration::from_secs(5);

/// A lag by its power of two: 0, 1, 2 to 3, 4 to 7 and so on; unknown is apart from all of them.
pub fn lag_bucket(lag: Option<i64>) -> Option<u32> {
    lag.map(|lag| 64 - lag.max(0).unsigned_abs().leading_zeros())
}

/// In how long the new status is worth a write, if nothing changes until then; zero: now. `None`: it is what was written.
pub fn write_in(
    before: &ReplicationLinkStatus,
    after: &ReplicationLinkStatus,
    since_last_write: Duration,
) -> Option<Duration> {
    if before == after {
        return None;
    }
    let every = if steady(before) != steady(after) {
        Duration::ZERO
    } else if lagging(before) != lagging(after) {
        LAG_EVERY
    } else {
        DRIFT_EVERY
    };
    Some(every.saturating_sub(since_last_write))
}

/// Whether the new status of a log differs in more than numbers that drift, or has drifted for long enough.
pub fn is_log_worth_a_write(
    before: &EventLogStatus,
    after: &EventLogStatus,
    since_last_write: Duration,
) -> bool {
    let steady = |status: &EventLogStatus| {
        let mut steady = status.clone();
        steady.head = None;
        steady.version_vector.clear();
        for location in &mut steady.locations {
            location.head = None;
        }
        for condition in &mut steady.conditions {
            condition.message.clear();
        }
        steady
    };
    before != after && (steady(before) != steady(after) || since_last_write >= DRIFT_EVERY)
}

/// A status without what follows from a lag and from numbers that drift.
fn steady(status: &ReplicationLinkStatus) -> ReplicationLinkStatus {
    let mut steady = lagging(status);
    for edge in &mut steady.edges {
        edge.lag_events = None;
        edge.lag_seconds = None;
        // One that catches up and one that has caught up are the same edge at work, one batch later.
        if edge.state == EdgeState::CatchingUp {
            edge.state = EdgeState::Streaming;
        }
        if edge.state == EdgeState::Streaming {
            edge.last_transition = None;
        }
    }
    // What is not connected shows elsewhere as well.
    steady.conditions.retain(|c| c.type_ != "Synced");
    steady
}

/// A status with its drifting numbers rounded.
fn lagging(status: &ReplicationLinkStatus) -> ReplicationLinkStatus {
    let mut rounded = status.clone();
    rounded.max_lag = None;
    for edge in &mut rounded.edges {
        edge.lag_events = lag_bucket(edge.lag_events).map(i64::from);
        edge.lag_seconds = lag_bucket(edge.lag_seconds).map(i64::from);
        edge.source_head = None;
        edge.progress = None;
        edge.filtered_total = None;
    }
    for condition in &mut rounded.conditions {
        // Messages carry numbers.
        condition.message.clear();
    }
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_api::{EdgeState, EdgeStatus};

    fn status(lag: Option<i64>, state: EdgeState) -> ReplicationLinkStatus {
        ReplicationLinkStatus {
            edges: vec![EdgeStatus {
                source: "eu".into(),
                target: "us".into(),
                state,
                source_head: lag,
                progress: None,
                lag_events: lag,
                lag_seconds: None,
                filtered_total: None,
                last_error: None,
                last_transition: None,
            }],
            ..ReplicationLinkStatus::default()
        }
    }

    #[test]
    fn a_lag_counts_by_its_power_of_two() {
        for (lag, bucket) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 2),
            (4, 3),
            (1000, 10),
            (1023, 10),
            (1024, 11),
        ] {
            assert_eq!(lag_bucket(Some(lag)), Some(bucket), "{lag}");
        }
        assert_eq!(lag_bucket(None), None);
        assert_eq!(lag_bucket(Some(i64::MAX)), Some(63));
    }

    #[test]
    fn numbers_drift_lags_wait_and_states_do_not() {
        let before = status(Some(5), EdgeState::Streaming);
        let at_once = Duration::ZERO;
        for (after, wait) in [
            (status(Some(5), EdgeState::Streaming), None),
            (status(Some(7), EdgeState::Streaming), Some(DRIFT_EVERY)),
            (status(Some(8), EdgeState::Streaming), Some(LAG_EVERY)),
            (status(None, EdgeState::Streaming), Some(LAG_EVERY)),
            (status(Some(5), EdgeState::CatchingUp), Some(LAG_EVERY)),
            (status(Some(5), EdgeState::Unreachable), Some(at_once)),
            (status(None, EdgeState::Connecting), Some(at_once)),
        ] {
            assert_eq!(write_in(&before, &after, at_once), wait, "{after:?}");
        }
        let more = status(Some(8), EdgeState::Streaming);
        let second = Duration::from_secs(1);
        assert_eq!(
            write_in(&before, &more, second),
            Some(LAG_EVERY.saturating_sub(second))
        );
        assert_eq!(write_in(&before, &more, LAG_EVERY), Some(at_once));
        let drifted = status(Some(7), EdgeState::Streaming);
        assert_eq!(write_in(&before, &drifted, Duration::MAX), Some(at_once));
        assert_eq!(write_in(&before, &before, DRIFT_EVERY), None);
    }
}
