//! What changes in one transaction.

use tidelog_model::{
    ChainHash, Digest, EventId, HybridTime, Incarnation, LineageEntry, LocationName, StoredEvent,
    VectorTime,
};

use crate::error::StoreError;
use crate::state::Progress;

/// What must still be true for a write to happen. Checked by the same statement that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The incarnation in the writer's memory (0 before the first raise).
    pub incarnation: Incarnation,
    /// The nonce of the writer's lease.
    pub nonce: u64,
    /// The head in the writer's memory.
    pub head: u64,
}

impl Guard {
    /// The writer, wherever the head is by now.
    pub fn fence(&self) -> Fence {
        Fence {
            incarnation: self.incarnation,
            nonce: self.nonce,
        }
    }
}

/// Whose word still counts when something is stored beside the batches: the writer's, as long as nobody has taken over and nothing was
/// raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fence {
    /// The incarnation that the writer shows.
    pub incarnation: Incarnation,
    /// The nonce of the writer's lease.
    pub nonce: u64,
}

/// One group commit: events, head, hash, vectors, clock, request ids and progress, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteBatch {
    /// Checked first.
    pub guard: Guard,
    /// Events with sequences `guard.head + 1 ..`, without gaps. May be empty (vectors or progress only).
    pub events: Vec<StoredEvent>,
    /// Hash chain after the last event.
    pub hash: ChainHash,
    /// Version vector afterwards.
    pub version_vector: VectorTime,
    /// Covered vector afterwards.
    pub covered_vector: VectorTime,
    /// High water of the hybrid clock afterwards.
    pub clock: HybridTime,
    /// High water of `stored_at` afterwards.
    pub stored_at_micros: i64,
    /// The progress of one source, when the batch carries a replicated frame.
    pub progress: Option<(LocationName, Progress)>,
}

impl WriteBatch {
    /// The head after the batch.
    pub fn head(&self) -> u64 {
        self.guard.head + self.events.len() as u64
    }

    /// Checks that the events continue at the guard's head without a gap. Every store does so before it writes.
    pub fn check_numbering(&self) -> Result<(), StoreError> {
        check_numbering(self.guard.head, &self.events)
    }
}

fn check_numbering(after: u64, events: &[StoredEvent]) -> Result<(), StoreError> {
    for (wanted, event) in (after + 1..).zip(events) {
        if event.sequence != wanted {
            return Err(StoreError::Unsupported(format!(
                "event {} is numbered {} where {wanted} is due: a log has no gaps",
                event.event.id, event.sequence
            )));
        }
    }
    Ok(())
}

/// An id whose first content was taken back by a late raise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoidedId {
    /// The id.
    pub id: EventId,
    /// The digest of the content that must never be stored again.
    pub digest: Digest,
}

/// A new incarnation, persisted before anything is served under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    /// Checked first.
    pub guard: Guard,
    /// The new incarnation and its base. The base is the head, or with `rewrite` that of the incarnation in force: nothing tells where above it
    /// what was lost and what was written since have parted.
    pub entry: LineageEntry,
    /// For a loss that was detected late: what replaces everything above the last proven position.
    pub rewrite: Option<Rewrite>,
}

impl Raise {
    /// Checks that the base is not above the head and that the events of a rewrite continue at it without a gap. Every store does so
    /// before it writes.
    pub fn check_numbering(&self) -> Result<(), StoreError> {
        if self.entry.base > self.guard.head {
            return Err(StoreError::Unsupported(format!(
                "incarnation {} has base {}, above the head {}",
                self.entry.incarnation, self.entry.base, self.guard.head
            )));
        }
        self.rewrite.as_ref().map_or(Ok(()), |rewrite| {
            if rewrite.after < self.entry.base || rewrite.after > self.guard.head {
                return Err(StoreError::Unsupported(format!(
                    "incarnation {} writes anew what is above {}, which is not between its base {} and the head {}",
                    self.entry.incarnation, rewrite.after, self.entry.base, self.guard.head
                )));
            }
            check_numbering(rewrite.after, &rewrite.events)
        })
    }

    /// The refusal of an incarnation that is not greater than the current one.
    pub fn does_not_rise(&self, current: Incarnation) -> StoreError {
        StoreError::Unsupported(format!(
            "incarnation {} is not greater than the current one, {current}",
            self.entry.incarnation
        ))
    }
}

/// Everything above the last proven position, written anew by a late raise in the same transaction. The clock's high water stays; that of `stored_at`
/// rises to the last event's.
///
/// The progress of *every* source goes back to its start (position 0 and the hash there; the source's lineage stays, for it tells which
/// incarnations were heard of): a source has left out what the vector covered, and the vector covered ids of lost events under which
/// something else was stored here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// The last proven position; not below the base.
    pub after: u64,
    /// Replace all events above it; sequences `after + 1 ..`, without gaps.
    pub events: Vec<StoredEvent>,
    /// Hash chain after the last of them.
    pub hash: ChainHash,
    /// Version vector afterwards.
    pub version_vector: VectorTime,
    /// Covered vector afterwards.
    pub covered_vector: VectorTime,
    /// Ids that are taken back, added to those already voided.
    pub voided: Vec<VoidedId>,
}
