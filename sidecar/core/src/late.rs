//! A loss that was noticed only after appends had been accepted again.
//!
//! Best effort by design: start-up rules make it rare. What was appended here above the last proven position is taken back and
//! appended again under a new incarnation; the ids that are taken back are remembered with their digests, published, and never stored again.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidelog_model::{
    Digest, Event, EventId, LineageEntry, Origin, StoredEvent, VectorTime, canonical,
};
use tidelog_store::{Raise, Rewrite, VoidedId};

use crate::log::LogCore;

/// Plans the raise of a late detection.
///
/// `above` are all events above `proven`, in order. Foreign events stay as they are, own ones of the incarnation in force get a new identity
/// at the same local sequence; their contexts name the new ids where they named the old ones.
/// `base_vector` is the merge of the vector times at or below `proven`.
pub fn plan_late_raise(
    core: &LogCore,
    entry: LineageEntry,
    above: &[StoredEvent],
    base_vector: VectorTime,
    base_hash: tidelog_model::ChainHash,
) -> Raise {
    let old = core.origin.clone();
    let new = Origin::new(old.location.clone(), entry.incarnation);
    let mut voided = Vec::new();
    let mut reborn: BTreeSet<u64> = BTreeSet::new();
    let proven_own = base_vector.get(&old);
    let mut version_vector = base_vector;
    let mut hash = base_hash;
    let mut events = Vec::with_capacity(above.len());
    for stored in above {
        let own = stored.event.id.origin == old && stored.appended_here;
        let replacement = if own {
            voided.push(VoidedId {
                id: stored.event.id.clone(),
                digest: stored.digest,
            });
            reborn.insert(stored.sequence);
            renamed(stored, &old, &new, entry.base, proven_own, &reborn)
        } else {
            stored.clone()
        };
        version_vector.merge(&replacement.event.vector_time());
        hash = hash.next(&replacement.event.id, &replacement.digest);
        events.push(replacement);
    }
    let mut covered_vector = core.covered_vector.clone();
    // Coverage of the own incarnation ends where the proof ends; what lies above may come back from peers.
    covered_vector.set(&old, version_vector.get(&old));
    covered_vector.merge(&version_vector);
    Raise {
        guard: core.guard(),
        entry,
        rewrite: Some(Rewrite {
            events,
            hash,
            version_vector,
            covered_vector,
            voided,
        }),
    }
}

/// The same content under the new incarnation.
fn renamed(
    stored: &StoredEvent,
    old: &Origin,
    new: &Origin,
    base: u64,
    proven_own: u64,
    reborn: &BTreeSet<u64>,
) -> StoredEvent {
    let mut event: Event = (*stored.event).clone();
    let seen_own = event.context.get(old);
    if seen_own > base {
        // What it had seen of its own location above the base: the part that was appended again, under its new name.
        let seen_reborn = reborn.range(..=seen_own).next_back().copied().unwrap_or(0);
        event.context.set(old, proven_own);
        event.context.set(new, seen_reborn);
    }
    event.id = EventId::new(new.clone(), stored.sequence);
    let digest = Digest::of(&canonical::encode(&event));
    StoredEvent {
        digest,
        event: Arc::new(event),
        ..stored.clone()
    }
}
