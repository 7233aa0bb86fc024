//! Makes valid histories for tests: a writer's memory without its engine, and peers whose events it receives.
//!
//! [`Writer`] keeps exactly what a real writer keeps (head, hash, vectors, clock) and turns drafts into [`WriteBatch`]es that a
//! store has to take. Everything is deterministic; randomness comes from [`strategy`].

pub mod strategy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidelog_model::{
    ApplicationVersion, ChainHash, Digest, Event, EventId, HybridTime, Incarnation, Lineage,
    LineageEntry, LocationName, Origin, StoredEvent, VectorTime, canonical,
};

use crate::batch::{Guard, Raise, Rewrite, VoidedId, WriteBatch};
use crate::log_store::LogStore;
use crate::state::{Lease, LeaseOutcome, LogState, Progress};

/// A location name. For tests: a bad one ends the test.
pub fn location(name: &str) -> LocationName {
    LocationName::new(name).expect("a location name")
}

/// An origin. For tests: a bad name ends the test.
pub fn origin(name: &str, incarnation: u32) -> Origin {
    Origin::new(location(name), Incarnation(incarnation))
}

/// A plain event with nothing but its identity, a type and an aggregate.
pub fn event(id: EventId) -> Event {
    Event {
        id,
        context: VectorTime::new(),
        time: HybridTime::default(),
        event_type: "Noted".into(),
        schema_version: 0,
        content_type: String::new(),
        payload: Bytes::new(),
        emitter_id: String::new(),
        aggregate_id: "note-1".into(),
        destinations: Vec::new(),
        metadata: BTreeMap::new(),
        caused_by: None,
        delivery_id: String::new(),
        request_id: String::new(),
        request_index: 0,
        request_count: 0,
        application_version: ApplicationVersion::default(),
        plan_id: 0,
    }
}

/// An event with its true digest, as a store keeps it.
pub fn stored(
    sequence: u64,
    stored_at_micros: i64,
    appended_here: bool,
    event: Event,
) -> StoredEvent {
    StoredEvent {
        sequence,
        stored_at_micros,
        appended_here,
        digest: Digest::of(&canonical::encode(&event)),
        event: Arc::new(event),
    }
}

/// The hash chain after more events.
pub fn chained(hash: ChainHash, events: &[StoredEvent]) -> ChainHash {
    events
        .iter()
        .fold(hash, |h, e| h.next(&e.event.id, &e.digest))
}

/// A location elsewhere, whose events are received.
#[derive(Debug, Clone)]
pub struct Peer {
    origin: Origin,
    seen: VectorTime,
    last: u64,
}

impl Peer {
    /// A peer in its first incarnation that has written nothing.
    pub fn new(name: &str) -> Self {
        Self::with_incarnation(name, 1)
    }

    /// A peer in a later incarnation that has written nothing in it.
    pub fn with_incarnation(name: &str, incarnation: u32) -> Self {
        Self {
            origin: origin(name, incarnation),
            seen: VectorTime::new(),
            last: 0,
        }
    }

    /// Lets the peer see what somebody else has written: later events carry it in their context.
    pub fn sees(&mut self, other: &VectorTime) {
        self.seen.merge(other);
    }

    /// The next event of this peer.
    pub fn write(&mut self, shape: impl FnOnce(&mut Event)) -> Event {
        self.last += 1;
        let mut event = event(EventId::new(self.origin.clone(), self.last));
        event.context = self.seen.clone();
        event.time = HybridTime {
            micros: self.last as i64,
            logical: 0,
        };
        shape(&mut event);
        self.seen.merge(&event.vector_time());
        event
    }

    /// The next events of this peer.
    pub fn write_many(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.write(|_| {})).collect()
    }
}

/// What a writer holds in memory. Its batches assume that they succeed: clone it before a batch that must fail.
#[derive(Debug, Clone)]
pub struct Writer {
    /// The location that writes.
    pub location: LocationName,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The nonce of its lease.
    pub nonce: u64,
    /// Last local sequence.
    pub head: u64,
    /// Hash chain there.
    pub hash: ChainHash,
    /// Version vector.
    pub version_vector: VectorTime,
    /// Covered vector.
    pub covered_vector: VectorTime,
    /// Clock of the events.
    pub clock: HybridTime,
    /// Time of storing; each batch is a millisecond later than the one before.
    pub stored_at_micros: i64,
}

/// The lease that [`Writer::start`] takes.
pub fn lease(owner: &str, nonce: u64, ttl: Duration) -> Lease {
    Lease {
        owner: owner.into(),
        address: format!("{owner}.example:7700"),
        nonce,
        ttl,
    }
}

/// How long the leases of tests hold unless they are about running out.
pub const LEASE_TTL: Duration = Duration::from_hours(1);

impl Writer {
    /// Takes the lease as `eu` with nonce 1 and raises incarnation 1 when the log was never served.
    pub async fn start(store: &dyn LogStore) -> Self {
        Self::start_as(store, "eu", 1).await
    }

    /// Takes the lease with a nonce and raises incarnation 1 when the log was never served.
    pub async fn start_as(store: &dyn LogStore, name: &str, nonce: u64) -> Self {
        let outcome = store
            .acquire_lease(&lease("writer", nonce, LEASE_TTL))
            .await
            .expect("the lease can be asked for");
        let LeaseOutcome::Acquired(state) = outcome else {
            unreachable!("nobody else holds the lease: {outcome:?}")
        };
        let mut writer = Self::resume(&state, name, nonce);
        if writer.incarnation == Incarnation(0) {
            let raise = writer.raise(1);
            store.raise(&raise).await.expect("the first raise");
        }
        writer
    }

    /// The memory of a writer that continues from a stored state.
    pub fn resume(state: &LogState, name: &str, nonce: u64) -> Self {
        Self {
            location: location(name),
            incarnation: state.incarnation(),
            nonce,
            head: state.head,
            hash: state.hash,
            version_vector: state.version_vector.clone(),
            covered_vector: state.covered_vector.clone(),
            clock: state.clock,
            stored_at_micros: state.stored_at_micros.max(1_700_000_000_000_000),
        }
    }

    /// What must still be true for the next write.
    pub fn guard(&self) -> Guard {
        Guard {
            incarnation: self.incarnation,
            nonce: self.nonce,
            head: self.head,
        }
    }

    /// The origin of its next own event.
    pub fn origin(&self) -> Origin {
        Origin::new(self.location.clone(), self.incarnation)
    }

    /// A batch of own events, each shaped by its index. Their order and identity are the writer's.
    pub fn append(&mut self, count: usize, mut shape: impl FnMut(usize, &mut Event)) -> WriteBatch {
        let mut drafts = Vec::with_capacity(count);
        let mut context = self.version_vector.clone();
        for i in 0..count {
            self.clock.micros += 1;
            let id = EventId::new(self.origin(), self.head + 1 + i as u64);
            let mut draft = event(id);
            draft.context = context.clone();
            draft.time = self.clock;
            shape(i, &mut draft);
            context.merge(&draft.vector_time());
            drafts.push((true, draft));
        }
        self.batch(drafts, None)
    }

    /// A batch with one frame of a source, whose progress moves to `position`.
    pub fn receive(&mut self, source: &str, position: u64, events: Vec<Event>) -> WriteBatch {
        let progress = Progress {
            position,
            hash: ChainHash(Digest::of(format!("{source}/{position}").as_bytes()).0),
            lineage: Lineage::new(vec![LineageEntry {
                incarnation: Incarnation(1),
                base: 0,
            }])
            .expect("a lineage of one"),
        };
        let drafts = events.into_iter().map(|e| (false, e)).collect();
        self.batch(drafts, Some((location(source), progress)))
    }

    /// A batch of any events (`true`: appended here) with any progress.
    pub fn batch(
        &mut self,
        drafts: Vec<(bool, Event)>,
        progress: Option<(LocationName, Progress)>,
    ) -> WriteBatch {
        let guard = self.guard();
        self.stored_at_micros += 1_000;
        let mut events = Vec::with_capacity(drafts.len());
        for (appended_here, draft) in drafts {
            self.head += 1;
            self.version_vector.merge(&draft.vector_time());
            events.push(stored(
                self.head,
                self.stored_at_micros,
                appended_here,
                draft,
            ));
        }
        self.hash = chained(self.hash, &events);
        self.covered_vector.merge(&self.version_vector);
        WriteBatch {
            guard,
            events,
            hash: self.hash,
            version_vector: self.version_vector.clone(),
            covered_vector: self.covered_vector.clone(),
            clock: self.clock,
            stored_at_micros: self.stored_at_micros,
            progress,
        }
    }

    /// A raise at the head.
    pub fn raise(&mut self, incarnation: u32) -> Raise {
        let guard = self.guard();
        self.incarnation = Incarnation(incarnation);
        Raise {
            guard,
            entry: LineageEntry {
                incarnation: self.incarnation,
                base: self.head,
            },
            rewrite: None,
        }
    }

    /// A late raise: everything above some position, which is handed in as it is stored now, is written anew. The base is there, too, unless the
    /// caller lowers it. Own events get new identities
    /// and their old ones are voided, others stay what they are.
    pub fn rewrite(
        &mut self,
        incarnation: u32,
        base_hash: ChainHash,
        above: &[StoredEvent],
    ) -> Raise {
        let mut raise = self.raise(incarnation);
        let after = above.first().map_or(self.head, |e| e.sequence - 1);
        raise.entry.base = after;
        self.head = after;
        self.hash = base_hash;
        let mut voided = Vec::new();
        let mut drafts = Vec::with_capacity(above.len());
        for (i, old) in above.iter().enumerate() {
            let mut event = (*old.event).clone();
            if event.id.origin.location == self.location {
                voided.push(VoidedId {
                    id: event.id.clone(),
                    digest: old.digest,
                });
                event.id = EventId::new(self.origin(), after + 1 + i as u64);
            }
            drafts.push((old.appended_here, event));
        }
        let batch = self.batch(drafts, None);
        raise.rewrite = Some(Rewrite {
            after,
            events: batch.events,
            hash: batch.hash,
            version_vector: batch.version_vector,
            covered_vector: batch.covered_vector,
            voided,
        });
        raise
    }
}
