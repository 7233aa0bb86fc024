//! What waits to be sent on one connection.

use std::collections::VecDeque;

use crate::wire::Said;

/// Messages in order. Bounded by its users: a source reads its log only while this is empty, and a target's credits are joined.
#[derive(Default)]
pub(crate) struct Outbox(VecDeque<Said>);

impl Outbox {
    pub(crate) fn push(&mut self, said: Said) {
        match (self.0.back_mut(), said) {
            // The later one says more: bytes add up, vectors and progress are those of now.
            (Some(Said::Credit(waiting)), Said::Credit(more)) if waiting.stream == more.stream => {
                waiting.bytes = waiting.bytes.saturating_add(more.bytes);
                waiting.progress = more.progress;
                if more.version_vector.is_some() {
                    waiting.version_vector = more.version_vector;
                }
                if more.covered_vector.is_some() {
                    waiting.covered_vector = more.covered_vector;
                }
            }
            (Some(Said::Heartbeat(waiting)), Said::Heartbeat(more)) => *waiting = more,
            (_, said) => self.0.push_back(said),
        }
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
    use tidelog_core::Credit;

    use super::*;

    #[test]
    fn credits_that_wait_are_joined_without_losing_bytes_or_vectors() {
        let credit = |bytes, vector: Option<&str>, progress| {
            Said::Credit(Credit {
                stream: 1,
                bytes,
                version_vector: vector.map(|v| v.parse().unwrap()),
                covered_vector: None,
                progress,
            })
        };
        let mut outbox = Outbox::default();
        outbox.push(credit(10, Some("eu#1:1"), 1));
        outbox.push(credit(5, None, 2));
        let Some(Said::Credit(joined)) = outbox.pop() else {
            panic!("a credit");
        };
        assert_eq!((joined.bytes, joined.progress), (15, 2));
        assert_eq!(joined.version_vector.unwrap().to_string(), "eu#1:1");
        assert!(outbox.is_empty());
    }
}
