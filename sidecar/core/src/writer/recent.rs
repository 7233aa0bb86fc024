//! What this writer has appended of late, by its digests.
//!
//! An own id that comes back is dropped: it is here already. Under the same id it may be another event, which was written here before
//! a loss that nobody has noticed. Its digest tells, as long as it is remembered what this location has written under that id since.

use std::collections::VecDeque;

use tidelog_model::{Digest, Origin, StoredEvent, mutant};

use crate::frame::FrameEvent;

/// More than a peer can be behind with while it sends what it has not been told is here.
const EVENTS_MAX: usize = 16_384;

/// The newest own events, sequences rising.
#[derive(Default)]
pub(super) struct Recent(VecDeque<(u64, Digest)>);

impl Recent {
    /// These have been committed.
    pub(super) fn note(&mut self, events: &[StoredEvent]) {
        let own = events.iter().filter(|e| e.appended_here);
        self.0.extend(own.map(|e| (e.event.id.sequence, e.digest)));
        let surplus = self.0.len().saturating_sub(EVENTS_MAX);
        self.0.drain(..surplus);
    }

    /// True for an event under an id of this writer's under which something else was written.
    pub(super) fn contradicts(&self, mine: &Origin, received: &FrameEvent) -> bool {
        let id = &received.event.id;
        if id.origin != *mine || mutant!("own-ids-not-compared") {
            return false;
        }
        let found = self.0.binary_search_by_key(&id.sequence, |(at, _)| *at);
        found.is_ok_and(|i| self.0[i].1 != received.digest)
    }
}
