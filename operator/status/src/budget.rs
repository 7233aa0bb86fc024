//! Whether a status is worth a write: every write wakes everybody who watches.

use std::time::Duration;

use tidelog_api::{EventLogStatus, ReplicationLinkStatus};

/// What only drifts is written this often.
pub const DRIFT_EVERY: Duration = Duration::from_secs(30);

/// A lag by its power of two: 0, 1, 2 to 3, 4 to 7 and so on; unknown is apart from all of them.
pub fn lag_bucket(lag: Option<i64>) -> Option<u32> {
    lag.map(|lag| 64 - lag.max(0).unsigned_abs().leading_zeros())
}

/// Whether the new status differs in more than numbers that drift, or has drifted for long enough.
pub fn is_worth_a_write(
    before: &ReplicationLinkStatus,
    after: &ReplicationLinkStatus,
    since_last_write: Duration,
) -> bool {
    if before == after {
        return false;
    }
    steady(before) != steady(after) || since_last_write >= DRIFT_EVERY
}

/// The same for a log.
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

/// A status with its drifting numbers rounded.
fn steady(status: &ReplicationLinkStatus) -> ReplicationLinkStatus {
    let mut steady = status.clone();
    steady.max_lag = None;
    for edge in &mut steady.edges {
        edge.lag_events = lag_bucket(edge.lag_events).map(i64::from);
        edge.lag_seconds = lag_bucket(edge.lag_seconds).map(i64::from);
        edge.source_head = None;
        edge.progress = None;
        edge.filtered_total = None;
    }
    for condition in &mut steady.conditions {
        // Messages carry numbers.
        condition.message.clear();
    }
    steady
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
    fn numbers_drift_and_states_do_not() {
        let before = status(Some(5), EdgeState::Streaming);
        let at_once = Duration::ZERO;
        for (after, worth) in [
            (status(Some(5), EdgeState::Streaming), false),
            (status(Some(7), EdgeState::Streaming), false),
            (status(Some(8), EdgeState::Streaming), true),
            (status(None, EdgeState::Streaming), true),
            (status(Some(5), EdgeState::CatchingUp), true),
        ] {
            assert_eq!(is_worth_a_write(&before, &after, at_once), worth);
        }
        let drifted = status(Some(7), EdgeState::Streaming);
        assert!(is_worth_a_write(&before, &drifted, DRIFT_EVERY));
        assert!(!is_worth_a_write(&before, &before, DRIFT_EVERY));
    }
}
