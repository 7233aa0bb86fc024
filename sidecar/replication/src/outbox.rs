//! What waits to be sent on one connection.

use std::collections::VecDeque;

use tidelog_core::Credit;
use tidelog_model::mutant;

use crate::wire::Said;

/// More than an honest connection ever has waiting: whoever does not take what waits is not listened to either.
const WAITING_MAX: usize = 64;

/// Messages in order. Bounded by its users: a source reads its log only while this is empty, credits and heartbeats are joined, and nothing is
/// received while there is no room for an answer.
#[derive(Default)]
pub(crate) struct Outbox(VecDeque<Said>);

impl Outbox {
    /// Joins credits of a stream and heartbeats with those that wait, at the end: what is told later is not told before something else.
    pub(crate) fn push(&mut self, said: Said) {
        let waiting = self.0.iter().position(|waiting| match (waiting, &said) {
            (Said::Credit(waiting), Said::Credit(more)) => waiting.stream == more.stream,
            (Said::Heartbeat(_), Said::Heartbeat(_)) => !mutant!("heartbeats-pile-up"),
            _ => false,
        });
        let joined = match (waiting.and_then(|at| self.0.remove(at)), said) {
            // The later one says more: bytes add up, vectors and progress are those of now.
            (Some(Said::Credit(waiting)), Said::Credit(more)) => Said::Credit(Credit {
                stream: more.stream,
                bytes: waiting.bytes.saturating_add(more.bytes),
                version_vector: more.version_vector.or(waiting.version_vector),
                covered_vector: more.covered_vector.or(waiting.covered_vector),
                progress: more.progress,
            }),
            (_, said) => said,
        };
        self.0.push_back(joined);
    }

    /// Whether what a peer asks for can still be answered. While it cannot, nothing is received, and the peer counts as silent.
    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < WAITING_MAX || mutant!("answers-without-bound")
    }

    pub(crate) fn pop(&mut self) -> Option<Said> {
        self.0.pop_front()
    }

    /// Takes back what belongs to a stream and has not left.
    pub(crate) fn forget_frames(&mut self) {
        self.0.retain(|said| !matches!(said, Said::Frame(_)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use tidelog_core::Heartbeat;

    use super::*;

    fn credit(stream: u64, bytes: u64, vector: Option<&str>, progress: u64) -> Said {
        Said::Credit(Credit {
            stream,
            bytes,
            version_vector: vector.map(|v| v.parse().unwrap()),
            covered_vector: None,
            progress,
        })
    }

    #[test]
    fn credits_that_wait_are_joined_without_losing_bytes_or_vectors() {
        let mut outbox = Outbox::default();
        outbox.push(credit(1, 10, Some("eu#1:1"), 1));
        outbox.push(credit(1, 5, None, 2));
        let Some(Said::Credit(joined)) = outbox.pop() else {
            panic!("a credit");
        };
        assert_eq!((joined.bytes, joined.progress), (15, 2));
        assert_eq!(joined.version_vector.unwrap().to_string(), "eu#1:1");
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_comes_again_and_again_waits_once_behind_everything_that_was_said_before() {
        let mut outbox = Outbox::default();
        let heartbeat = |head| {
            Said::Heartbeat(Heartbeat {
                head,
                ..Heartbeat::default()
            })
        };
        outbox.push(credit(1, 1, None, 1));
        for round in 1..=1000 {
            outbox.push(heartbeat(round));
            outbox.push(credit(2, 1, None, round));
        }
        let waiting: Vec<Said> = std::iter::from_fn(|| outbox.pop()).collect();
        let [
            Said::Credit(first),
            Said::Heartbeat(beat),
            Said::Credit(last),
        ] = &waiting[..]
        else {
            panic!("{waiting:?}");
        };
        assert_eq!((first.stream, first.bytes), (1, 1));
        assert_eq!(beat.head, 1000);
        assert_eq!((last.stream, last.bytes, last.progress), (2, 1000, 1000));
    }

    #[test]
    fn whoever_takes_no_answers_is_not_listened_to() {
        let mut outbox = Outbox::default();
        for stream in 0..64 {
            assert!(outbox.has_room());
            outbox.push(Said::Absent(stream, "eu#1/1".parse().unwrap()));
        }
        assert!(!outbox.has_room());
        outbox.pop();
        assert!(outbox.has_room());
    }
}
