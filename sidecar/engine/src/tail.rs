//! The newest committed events in memory.
//!
//! One ring per log, bounded in bytes, shared by every reader: subscriptions, replication sources and waits. There is no queue per
//! reader. A reader has a position; while the ring covers it, its pages come from here, and a reader that falls out of it reads the
//! same sequences from the store until it has caught up again. So a slow reader costs nothing and loses nothing.
//!
//! Invariant: the ring is contiguous and ends at the published head (or one batch above it, while that batch is being published).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidelog_model::{StoredEvent, mutant};

/// The ring. All methods are short: what happens under the lock is cloning reference counts.
#[derive(Debug)]
pub(crate) struct Tail {
    ring: Mutex<Ring>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Ring {
    /// Sequences `next - events.len() .. next`.
    events: VecDeque<StoredEvent>,
    next: u64,
    bytes: usize,
}

impl Tail {
    /// An empty ring that continues after `head`.
    pub(crate) fn new(head: u64, bytes_max: usize) -> Self {
        Self {
            ring: Mutex::new(Ring {
                events: VecDeque::new(),
                next: head + 1,
                bytes: 0,
            }),
            bytes_max,
        }
    }

    /// Takes over what was committed, so that the ring ends at `head`. Oldest events leave when the bound is passed. Events that do not
    /// continue the ring, or do not reach `head`, empty it: then readers use the store, which has them.
    pub(crate) fn extend(&self, events: Vec<StoredEvent>, head: u64) {
        let mut ring = self.lock();
        for event in events {
            if event.sequence != ring.next && !mutant!("tail-with-a-gap") {
                ring.clear(event.sequence);
            }
            ring.next = event.sequence + 1;
            ring.bytes += weight(&event);
            ring.events.push_back(event);
        }
        if ring.next != head + 1 && !mutant!("tail-ends-below-the-head") {
            ring.clear(head + 1);
        }
        while ring.bytes > self.bytes_max && !mutant!("tail-unbounded") {
            let Some(oldest) = ring.events.pop_front() else {
                break;
            };
            ring.bytes -= weight(&oldest);
        }
    }

    /// Forgets everything: the log continues after `head`, with another history.
    pub(crate) fn reset(&self, head: u64) {
        if !mutant!("tail-remembers-a-rewritten-history") {
            self.lock().clear(head + 1);
        }
    }

    /// Up to `events_max` events with sequences in `(after, to]`, from `after + 1` on without gaps. `None` when the ring does not reach back to
    /// `after + 1`. The events are shared, not copied.
    pub(crate) fn slice(&self, after: u64, to: u64, events_max: usize) -> Option<Vec<StoredEvent>> {
        let ring = self.lock();
        let first = ring.next - ring.events.len() as u64;
        if after + 1 < first {
            return None;
        }
        let end = to.min(ring.next - 1);
        let count = usize::try_from(end.saturating_sub(after))
            .unwrap_or(usize::MAX)
            .min(events_max);
        let skip = usize::try_from(after + 1 - first).unwrap_or(usize::MAX);
        Some(ring.events.iter().skip(skip).take(count).cloned().collect())
    }

    /// Bytes and number of events held.
    pub(crate) fn size(&self) -> (usize, usize) {
        let ring = self.lock();
        (ring.bytes, ring.events.len())
    }

    /// Nothing under the lock can leave the ring half changed, so a panic elsewhere is no reason to stop reading.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn clear(&mut self, next: u64) {
        self.events.clear();
        self.bytes = 0;
        self.next = next;
    }
}

/// What an event costs in memory: its texts, its payload, its vector, and a fixed part for the structures around them.
fn weight(stored: &StoredEvent) -> usize {
    /// Allocation headers, map nodes and capacity beyond length, roughly.
    const PER_ITEM: usize = 48;
    let event = &*stored.event;
    let texts = event.event_type.len()
        + event.content_type.len()
        + event.emitter_id.len()
        + event.aggregate_id.len()
        + event.delivery_id.len()
        + event.request_id.len()
        + event.application_version.as_str().len();
    let destinations: usize = event.destinations.iter().map(|d| d.len() + PER_ITEM).sum();
    let metadata: usize = event
        .metadata
        .iter()
        .map(|(k, v)| k.len() + v.len() + 2 * PER_ITEM)
        .sum();
    size_of::<StoredEvent>()
        + size_of_val(event)
        + event.payload.len()
        + texts
        + destinations
        + metadata
        + event.context.len() * PER_ITEM
}

#[cfg(test)]
mod tests;
