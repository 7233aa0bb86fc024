//! A loss that was noticed only after appends had been accepted again.
//!
//! Best effort by design: start-up rules make it rare. What was appended here above the last proven position is taken back and
//! appended again under a new incarnation; the ids that are taken back are remembered with their digests, published, and never stored again.
//!
//! ```text
//!   before   … 3 │ a#1/4'  b#1/7{a#1:4}  c#1/2  a#1/6'     │ proven, ' doubtful: a peer holds another a#1/4
//!   after    … 3 │ a#9/4   c#1/2  a#9/6                     progress of all sources: 0
//!   then     … 3 │ a#9/4   c#1/2  a#9/6  a#1/4  b#1/7 …     what was lost, in the order of its source
//! ```
//! What another location wrote after it had seen an id in doubt (`b#1/7`) leaves the log as well, and comes again from its source: with it the
//! version vector would go on to claim the lost event, which then could never be stored, here and wherever this log is copied to.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_model::{
    ChainHash, Digest, Event, EventId, Incarnation, LineageEntry, Origin, StoredEvent, VectorTime,
    canonical, mutant,
};
use tidelog_store::{LogState, Raise, Rewrite, VoidedId};

use crate::log::LogCore;

/// Up to where a log is believed after an event has proven a loss. `started` is the head at which continuity was last proven, where that is
/// known; otherwise it is the base of the incarnation in force.
pub fn proven_until(state: &LogState, started: Option<u64>, loss: &EventId) -> u64 {
    let base = state.lineage.current().map_or(0, |entry| entry.base);
    let started = started.unwrap_or(base).min(state.head);
    if loss.origin.incarnation == state.incarnation() && !mutant!("late-raise-at-the-last-start") {
        started.min(loss.sequence.saturating_sub(1))
    } else {
        started
    }
}

/// Plans the raise of a late detection.
///
/// `above` are all events above `proven`, in order. Own ones of the incarnation in force get a new identity; their contexts name the new
/// ids where they named the old ones. Foreign ones stay as they are, but for those that had seen an id in doubt: these are left out.
/// `proven_vector` is the merge of the vector times at or below `proven`, `proven_hash` the hash chain there.
///
/// What was proven at a start was proven by a witness that went back with the database, and there may have been several starts since: the
/// histories may have parted anywhere above the base of the incarnation in force, which the restored copy held. So that is the base: peers and
/// readers go back to it.
pub fn plan_late_raise(
    core: &LogCore,
    incarnation: Incarnation,
    proven: u64,
    above: &[StoredEvent],
    proven_vector: VectorTime,
    proven_hash: ChainHash,
) -> Raise {
    let parted = core.lineage.current().map_or(0, |entry| entry.base);
    let base = if mutant!("late-raise-at-what-was-proven") {
        proven
    } else {
        parted.min(proven)
    };
    let entry = LineageEntry { incarnation, base };
    let mut anew = Anew {
        old: core.origin.clone(),
        new: Origin::new(core.origin.location.clone(), entry.incarnation),
        doubtful: BTreeMap::from([(core.origin.clone(), proven_vector.get(&core.origin) + 1)]),
        reborn: BTreeMap::new(),
        version_vector: proven_vector,
    };
    let mut voided = Vec::new();
    let mut hash = proven_hash;
    let mut events = Vec::with_capacity(above.len());
    for stored in above {
        let sequence = proven + events.len() as u64 + 1;
        let replacement = if stored.event.id.origin == anew.old && stored.appended_here {
            if !mutant!("late-raise-voids-nothing") {
                voided.push(VoidedId {
                    id: stored.event.id.clone(),
                    digest: stored.digest,
                });
            }
            anew.renamed(stored, sequence)
        } else if anew.leaves(&stored.event) && !mutant!("late-raise-keeps-what-had-seen-doubt") {
            continue;
        } else {
            StoredEvent {
                sequence,
                ..stored.clone()
            }
        };
        anew.version_vector.merge(&replacement.event.vector_time());
        hash = hash.next(&replacement.event.id, &replacement.digest);
        events.push(replacement);
    }
    let mut covered_vector = core.covered_vector.clone();
    // Coverage ends where the proof ends: what lies above may come back from peers.
    for (origin, first) in &anew.doubtful {
        if !mutant!("late-raise-keeps-coverage") {
            covered_vector.set(origin, covered_vector.get(origin).min(first - 1));
        }
    }
    covered_vector.merge(&anew.version_vector);
    Raise {
        guard: core.guard(),
        entry,
        rewrite: Some(Rewrite {
            after: proven,
            events,
            hash,
            version_vector: anew.version_vector,
            covered_vector,
            voided,
        }),
    }
}

/// The log above the proven position, as it is written anew.
struct Anew {
    old: Origin,
    new: Origin,
    /// Of each origin the first sequence that is in doubt or has left. Nothing that had seen it stays.
    doubtful: BTreeMap<Origin, u64>,
    /// Old sequences of own events, and the new ones.
    reborn: BTreeMap<u64, u64>,
    /// Merge of the vector times of what stays, so far.
    version_vector: VectorTime,
}

impl Anew {
    /// True for a foreign event that had seen something in doubt, or follows one of its origin that had. It is in doubt from then on.
    fn leaves(&mut self, event: &Event) -> bool {
        let is_doubtful = |origin: &Origin, sequence: u64| {
            self.doubtful
                .get(origin)
                .is_some_and(|first| sequence >= *first)
        };
        let id = &event.id;
        let leaves = is_doubtful(&id.origin, id.sequence)
            || event.context.iter().any(|(o, s)| is_doubtful(o, s));
        if leaves {
            let first = self.doubtful.entry(id.origin.clone());
            first
                .and_modify(|first| *first = id.sequence.min(*first))
                .or_insert(id.sequence);
        }
        leaves
    }

    /// The same content under the new incarnation.
    fn renamed(&mut self, stored: &StoredEvent, sequence: u64) -> StoredEvent {
        let mut event: Event = (*stored.event).clone();
        // What it had seen of its own location above the proven position: the part that was appended again, under its new name.
        let mut seen = self.reborn.range(..=event.context.get(&self.old));
        let seen = seen.next_back().map_or(0, |(_, reborn)| *reborn);
        // What it had seen of others and has left is not in this log any more.
        for (origin, known) in stored.event.context.iter() {
            event.context.set(
                origin,
                if mutant!("late-raise-keeps-what-left") {
                    known
                } else {
                    known.min(self.version_vector.get(origin))
                },
            );
        }
        if !mutant!("late-raise-keeps-old-contexts") {
            event.context.raise(&self.new, seen);
        }
        event.id = EventId::new(self.new.clone(), sequence);
        self.reborn.insert(stored.sequence, sequence);
        let digest = Digest::of(&canonical::encode(&event));
        StoredEvent {
            sequence,
            digest,
            event: Arc::new(event),
            ..stored.clone()
        }
    }
}
