//! Applying a frame inside the target's transaction.
//!
//! Two guards, and both are needed: the version vector prevents duplicates, continuity of frames prevents losses.

use std::sync::Arc;

use tidelog_model::{LimitError, Origin, StoredEvent, VectorTime, caps, mutant};
use tidelog_store::{Progress, VoidedId};

use crate::frame::{Frame, FrameEvent, FrameFault, FrameOutcome};
use crate::log::{Draft, FrameWork, LogCore};

/// What one event of a frame turns out to be.
enum Fate {
    Store,
    Redundant,
    Loss,
}

impl Draft {
    /// Applies a frame, all of it or nothing.
    pub(crate) fn apply(&mut self, work: &FrameWork, published: &LogCore) -> FrameOutcome {
        let frame = &work.frame;
        if let Some(outcome) = self.continuity(work) {
            return outcome;
        }
        if let Some(fault) = malformed(frame) {
            return FrameOutcome::Stalled(fault);
        }
        let before = self.core.clone();
        let published = if mutant!("own-ids-judged-after-the-batch") {
            &before
        } else {
            published
        };
        let kept = self.events.len();
        match self.store_events(frame, &before.version_vector, published) {
            Ok((stored, redundant)) => {
                self.core
                    .covered_vector
                    .merge(&frame.covered.filtered(|origin| {
                        mutant!("covered-of-everybody")
                            || work.edge.behind.contains(&origin.location)
                    }));
                // A peer that invents origins must not make a vector that no other peer takes.
                let entries = self.core.covered_vector.len();
                if entries > caps::VECTOR_ENTRIES_MAX {
                    self.core = before;
                    self.events.truncate(kept);
                    return FrameOutcome::Stalled(FrameFault::CoveredFull { entries });
                }
                let progress = Progress {
                    position: frame.to + u64::from(mutant!("progress-ahead")),
                    hash: frame.hash_to,
                    lineage: work.edge.lineage.clone(),
                };
                Arc::make_mut(&mut self.core.progress)
                    .insert(work.edge.source.clone(), progress.clone());
                if !mutant!("progress-in-another-transaction") {
                    self.moved = Some((work.edge.source.clone(), progress));
                }
                if mutant!("vv-from-the-source") {
                    self.core.version_vector.merge(&frame.covered);
                }
                FrameOutcome::Applied { stored, redundant }
            }
            Err(outcome) => {
                if !mutant!("half-a-frame-kept") {
                    self.core = before;
                }
                self.events.truncate(kept);
                outcome
            }
        }
    }

    /// `None` when the frame continues the stored progress exactly.
    fn continuity(&self, work: &FrameWork) -> Option<FrameOutcome> {
        let frame = &work.frame;
        let progress = self
            .core
            .progress
            .get(&work.edge.source)
            .cloned()
            .unwrap_or_default();
        if mutant!("drop-before-apply") && frame.to <= progress.position {
            return Some(FrameOutcome::Dropped);
        }
        let same_hash = frame.hash_from == progress.hash || mutant!("hash-at-from-ignored");
        if (frame.from == progress.position && same_hash) || mutant!("no-continuity") {
            None
        } else if frame.to <= progress.position && !mutant!("frame-behind-reopens") {
            Some(FrameOutcome::Dropped)
        } else {
            Some(FrameOutcome::Discontinuous)
        }
    }

    fn store_events(
        &mut self,
        frame: &Frame,
        held: &VectorTime,
        published: &LogCore,
    ) -> Result<(usize, usize), FrameOutcome> {
        let mut stored = 0;
        let mut redundant = 0;
        for received in &frame.events {
            match self.judge(frame, received, held, published)? {
                Fate::Redundant => redundant += 1,
                Fate::Loss => return Err(FrameOutcome::LossProven(Box::new(received.clone()))),
                Fate::Store => {
                    self.store(received)?;
                    stored += 1;
                }
            }
        }
        Ok((stored, redundant))
    }

    /// `held` is the version vector before the frame.
    fn judge(
        &self,
        frame: &Frame,
        received: &FrameEvent,
        held: &VectorTime,
        published: &LogCore,
    ) -> Result<Fate, FrameOutcome> {
        let event = &received.event;
        let id = &event.id;
        let stall = |fault| FrameOutcome::Stalled(fault);
        event
            .check()
            .and_then(|()| check_size(received.bytes))
            .map_err(|error| {
                stall(FrameFault::Limit {
                    id: id.clone(),
                    error,
                })
            })?;
        if !mutant!("covered-by-its-frame-unchecked")
            && (!frame.covered.covers_id(id) || !frame.covered.covers(&event.context))
        {
            return Err(stall(FrameFault::NotCovered { id: id.clone() }));
        }
        // Judged by what was published: local requests of this batch are about to take the very ids that a lost event proves to be used.
        if is_beyond_history(published, &id.origin, id.sequence)
            && !mutant!("own-events-beyond-history")
        {
            return Ok(Fate::Loss);
        }
        let claims =
            |origin: &Origin| is_beyond_history(published, origin, event.context.get(origin));
        let seen = event.context.filtered(claims);
        if !seen.is_empty() && !mutant!("contexts-beyond-history") {
            return Err(stall(FrameFault::NeverWritten {
                id: id.clone(),
                seen,
            }));
        }
        let mut redundant = held.covers_id(id);
        if mutant!("dedup-by-the-whole-vector") {
            redundant &= held.covers(&event.context);
        }
        if redundant && !mutant!("no-dedup") {
            return Ok(Fate::Redundant);
        }
        let taken_back = VoidedId {
            id: id.clone(),
            digest: received.digest,
        };
        if self.core.voided_set.contains(&taken_back) && !mutant!("voided-ids-stored-again") {
            return Ok(Fate::Redundant);
        }
        if self.core.version_vector.covers_id(id) && !mutant!("order-within-a-frame-unchecked") {
            // Only events of this very frame cover it: a source that keeps the order has sent a cause before its effects.
            return Err(stall(FrameFault::OutOfOrder { id: id.clone() }));
        }
        Ok(Fate::Store)
    }

    fn store(&mut self, received: &FrameEvent) -> Result<(), FrameOutcome> {
        let event = &received.event;
        let time: VectorTime = event.vector_time();
        if mutant!("vv-merges-the-id-only") {
            self.core
                .version_vector
                .raise(&event.id.origin, event.id.sequence);
        } else {
            self.core.version_vector.merge(&time);
        }
        if !mutant!("kv-misses-what-is-stored") {
            self.core.covered_vector.merge(&time);
        }
        // The entry of what is appended here stays free: no peer can stop local appends.
        let own = usize::from(self.core.version_vector.get(&self.core.origin) == 0);
        let entries = self.core.version_vector.len() + own;
        if entries > caps::VECTOR_ENTRIES_MAX {
            let fault = FrameFault::VectorFull {
                id: event.id.clone(),
                entries,
            };
            return Err(FrameOutcome::Stalled(fault));
        }
        if !self.core.clock.observe(event.time, self.now_micros) {
            self.core.clock_ahead += 1;
        }
        self.core.head += 1;
        if !mutant!("chain-misses-received-events") {
            self.core.hash = self.core.hash.next(&event.id, &received.digest);
        }
        self.events.push(StoredEvent {
            sequence: self.core.head,
            stored_at_micros: self.core.stored_at_micros,
            appended_here: false,
            digest: received.digest,
            event: event.clone(),
        });
        Ok(())
    }
}

impl LogCore {
    /// Whether an event is one that this location must have written and does not hold: the proof of a loss.
    pub fn is_missing(&self, event: &FrameEvent) -> bool {
        let id = &event.event.id;
        is_beyond_history(self, &id.origin, id.sequence)
    }
}

/// True for an own event that this location cannot have written in the history it holds: of the incarnation in force beyond what
/// it wrote, or of a later incarnation. (Own events of older or forgotten incarnations are lost events that come back.)
fn is_beyond_history(core: &LogCore, origin: &Origin, sequence: u64) -> bool {
    origin.location == core.identity.location
        && (origin.incarnation > core.origin.incarnation
            || (origin.incarnation == core.origin.incarnation
                && sequence > core.version_vector.get(&core.origin)))
}

fn check_size(bytes: usize) -> Result<(), LimitError> {
    if bytes <= caps::EVENT_BYTES_MAX {
        return Ok(());
    }
    Err(LimitError::TooLong {
        field: "event".into(),
        actual: bytes,
        limit: caps::EVENT_BYTES_MAX,
    })
}

fn malformed(frame: &Frame) -> Option<FrameFault> {
    let span = frame.to.checked_sub(frame.from);
    let stands_still = span == Some(0) && frame.hash_to != frame.hash_from;
    if span.is_some_and(|s| frame.events.len() as u64 <= s)
        && frame.to <= caps::SEQUENCE_MAX
        && (!stands_still || mutant!("hash-changes-without-events"))
    {
        return None;
    }
    Some(FrameFault::Malformed {
        from: frame.from,
        to: frame.to,
        events: frame.events.len(),
    })
}
