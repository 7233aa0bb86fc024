//! What is worth an Event: that something has become otherwise, and never that it is still so.

use tidelog_api::{Condition, ConditionStatus};

use crate::reasons::is_passing;

/// Notes of Events have 1,024 bytes at most; each character takes four or fewer.
const NOTE_CHARS_MAX: usize = 250;

/// Conditions that sum up others, or that come and go with each change of the spec.
const SILENT: [&str; 3] = ["Ready", "Reconciling", "EndpointReady"];

/// What is told when it holds for the first time; of the others nobody has to hear that a beginning went well.
const AWAITED: [&str; 3] = ["Available", "Connected", "Synced"];

/// One condition has become otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Somebody may want to look.
    pub is_warning: bool,
    /// The reason that the condition has now.
    pub reason: String,
    /// Condition, status and message.
    pub note: String,
}

/// What has become otherwise. What nobody knew before is told only when it is bad.
pub fn transitions(before: &[Condition], after: &[Condition]) -> Vec<Transition> {
    let told = after.iter().filter(|c| !SILENT.contains(&c.type_.as_str()));
    let told = told.filter_map(|condition| {
        let old = before.iter().find(|c| c.type_ == condition.type_);
        let was = old.map(|c| (c.status, c.reason.as_str()));
        // `Stalled` is bad when it holds, the others when they do not.
        let bad = if condition.type_ == "Stalled" {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        };
        let is_bad = condition.status == bad;
        let is_news = match was {
            None => is_bad,
            Some((status, reason)) => {
                status != condition.status || (is_bad && reason != condition.reason)
            }
        };
        // That it is not stalled is nothing to say, unless it was.
        let is_nothing = condition.type_ == "Stalled"
            && !is_bad
            && was.is_none_or(|(status, _)| status != ConditionStatus::True);
        // Before it was ever known: what passes by itself is how things begin.
        let was_unknown = was.is_none_or(|(status, _)| status == ConditionStatus::Unknown);
        let is_first_word = condition.status == ConditionStatus::Unknown && was_unknown;
        let is_beginning = was_unknown
            && if is_bad {
                is_passing(&condition.reason)
            } else {
                !AWAITED.contains(&condition.type_.as_str())
            };
        if !is_news || is_nothing || is_first_word || is_beginning {
            return None;
        }
        let message: String = condition.message.chars().take(NOTE_CHARS_MAX).collect();
        Some(Transition {
            is_warning: is_bad || condition.status == ConditionStatus::Unknown,
            reason: condition.reason.clone(),
            note: format!("{}={:?}: {message}", condition.type_, condition.status),
        })
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConditionStatus::{False, True, Unknown};

    fn condition(type_: &str, status: ConditionStatus, reason: &str) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status,
            observed_generation: None,
            last_transition_time: serde_json::from_str("\"2026-11-22T10:00:00Z\"").unwrap(),
            reason: reason.to_owned(),
            message: "for people".to_owned(),
        }
    }

    #[test]
    fn what_becomes_otherwise_is_told_once() {
        for (type_, before, after, told) in [
            // At the beginning.
            ("Connected", None, (Unknown, "StatusUnknown"), None),
            ("Connected", None, (True, "Connected"), None),
            ("Accepted", None, (False, "FilteredCycle"), Some(true)),
            ("Stalled", None, (False, "Progressing"), None),
            ("Stalled", None, (True, "SecretNotFound"), Some(true)),
            (
                "Connected",
                Some((Unknown, "StatusUnknown")),
                (False, "Connecting"),
                None,
            ),
            (
                "Connected",
                Some((Unknown, "StatusUnknown")),
                (False, "PeerUnreachable"),
                Some(true),
            ),
            (
                "StorageReady",
                Some((Unknown, "StatusUnknown")),
                (True, "Connected"),
                None,
            ),
            (
                "StorageReady",
                Some((False, "StorageUnavailable")),
                (True, "Connected"),
                Some(false),
            ),
            // Then.
            (
                "Connected",
                Some((Unknown, "StatusUnknown")),
                (True, "Connected"),
                Some(false),
            ),
            (
                "Connected",
                Some((True, "Connected")),
                (True, "Connected"),
                None,
            ),
            (
                "Connected",
                Some((True, "Connected")),
                (False, "PeerUnreachable"),
                Some(true),
            ),
            (
                "Connected",
                Some((False, "Connecting")),
                (False, "PeerUnreachable"),
                Some(true),
            ),
            (
                "Connected",
                Some((False, "PeerUnreachable")),
                (False, "PeerUnreachable"),
                None,
            ),
            (
                "Connected",
                Some((True, "Connected")),
                (Unknown, "StatusUnknown"),
                Some(true),
            ),
            (
                "Synced",
                Some((False, "CatchingUp")),
                (True, "CaughtUp"),
                Some(false),
            ),
            (
                "Stalled",
                Some((True, "NoProgress")),
                (False, "Progressing"),
                Some(false),
            ),
            (
                "Stalled",
                Some((Unknown, "NotLocal")),
                (False, "Progressing"),
                None,
            ),
            (
                "Ready",
                Some((True, "Serving")),
                (False, "StorageUnavailable"),
                None,
            ),
        ] {
            let before: Vec<Condition> = before
                .map(|(status, reason)| condition(type_, status, reason))
                .into_iter()
                .collect();
            let after = condition(type_, after.0, after.1);
            let found = transitions(&before, std::slice::from_ref(&after));
            let warned = found.first().map(|transition| transition.is_warning);
            assert_eq!(warned, told, "{type_} {before:?} {after:?}");
            assert!(
                found
                    .iter()
                    .all(|transition| transition.reason == after.reason)
            );
        }
    }
}
