//! What the cases have in common: names, requests, a log over a memory store, frames.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tidelog_core::{
    Accepted, AppendRequest, EdgeContext, Frame, FrameEvent, FrameOutcome, FrameWork, Identity,
    LogCore, Plan, Refusal, Stamp,
};
use tidelog_model::{
    ChainHash, Digest, Event, EventId, HybridTime, Incarnation, Lineage, LineageEntry,
    LocationName, NewEvent, Origin, StoredEvent, VectorTime, canonical,
};
use tidelog_store::{
    CheckAnswers, CommitError, Guard, Lease, LeaseOutcome, LogStore, MemoryStore, Raise,
};

pub const NOW: i64 = 1_700_000_000_000_000;

pub fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the memory store never waits")
}

pub fn name(text: &str) -> LocationName {
    LocationName::new(text).expect("a valid name")
}

pub fn origin(text: &str) -> Origin {
    text.parse().expect("a valid origin")
}

pub fn id(text: &str) -> EventId {
    text.parse().expect("a valid id")
}

pub fn vector(text: &str) -> VectorTime {
    text.parse().expect("a valid vector")
}

pub fn lineage(entries: &[(u32, u64)]) -> Lineage {
    let entry = |(incarnation, base): &(u32, u64)| LineageEntry {
        incarnation: Incarnation(*incarnation),
        base: *base,
    };
    Lineage::new(entries.iter().map(entry).collect()).expect("rising")
}

pub fn new_event(payload: &str) -> NewEvent {
    NewEvent {
        event_type: "t".into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        aggregate_id: "k".into(),
        ..NewEvent::default()
    }
}

pub fn request(payloads: &[&str]) -> AppendRequest {
    AppendRequest {
        events: payloads.iter().map(|p| new_event(p)).collect(),
        ..AppendRequest::default()
    }
}

pub fn keyed(request_id: &str, payloads: &[&str]) -> AppendRequest {
    AppendRequest {
        request_id: request_id.into(),
        ..request(payloads)
    }
}

/// An event that another location has written.
pub fn foreign(event_id: &str, context: &str) -> Event {
    Event {
        id: id(event_id),
        context: vector(context),
        time: HybridTime {
            micros: NOW,
            logical: 0,
        },
        event_type: "t".into(),
        schema_version: 0,
        content_type: String::new(),
        payload: Bytes::new(),
        emitter_id: String::new(),
        aggregate_id: "k".into(),
        destinations: Vec::new(),
        metadata: [].into(),
        caused_by: None,
        delivery_id: String::new(),
        request_id: String::new(),
        request_index: 0,
        request_count: 0,
        application_version: "".parse().expect("empty is 0"),
        plan_id: 0,
    }
}

pub fn travelling(event: Event) -> FrameEvent {
    FrameEvent::decode(&Bytes::from(canonical::encode(&event))).expect("canonical")
}

pub fn stored(sequence: u64, event: Event) -> StoredEvent {
    StoredEvent {
        sequence,
        stored_at_micros: NOW,
        appended_here: false,
        digest: Digest::of(&canonical::encode(&event)),
        event: Arc::new(event),
    }
}

/// The log of a source, as frames show it.
pub struct Peer {
    pub name: LocationName,
    pub events: Vec<Event>,
}

impl Peer {
    pub fn new(text: &str, events: Vec<Event>) -> Self {
        Self {
            name: name(text),
            events,
        }
    }

    pub fn hash(&self, position: u64) -> ChainHash {
        let rows = self.events[..position as usize].iter();
        rows.fold(ChainHash::ZERO, |hash, e| {
            hash.next(&e.id, &Digest::of(&canonical::encode(e)))
        })
    }

    /// The frame that covers `(from, to]` with everything in it.
    pub fn frame(&self, from: u64, to: u64) -> FrameWork {
        let rows = &self.events[from as usize..to as usize];
        let mut covered = VectorTime::new();
        for event in rows {
            covered.merge(&event.vector_time());
        }
        FrameWork {
            frame: Frame {
                stream: 1,
                incarnation: Incarnation(1),
                from,
                to,
                hash_from: self.hash(from),
                hash_to: self.hash(to),
                events: rows.iter().cloned().map(travelling).collect(),
                covered,
                head: self.events.len() as u64,
                filtered: 0,
            },
            edge: EdgeContext {
                source: self.name.clone(),
                lineage: lineage(&[(1, 0)]),
                behind: Arc::new(BTreeSet::from([self.name.clone(), name("c")])),
            },
        }
    }
}

/// The log of location `a`, incarnation 1: a core and its store, without a writer in between.
pub struct Log {
    pub store: MemoryStore,
    pub core: LogCore,
    pub stamp: Stamp,
    pub now: i64,
}

pub fn lease(nonce: u64) -> Lease {
    Lease {
        owner: "test".into(),
        address: String::new(),
        nonce,
        ttl: Duration::from_secs(5),
    }
}

impl Log {
    pub fn new() -> Self {
        let store = MemoryStore::new(Arc::new(|| 0));
        now(store.acquire_lease(&lease(1))).expect("free");
        let raise = Raise {
            guard: Guard {
                incarnation: Incarnation(0),
                nonce: 1,
                head: 0,
            },
            entry: LineageEntry {
                incarnation: Incarnation(1),
                base: 0,
            },
            rewrite: None,
        };
        now(store.raise(&raise)).expect("new");
        let core = core_of(&store, 1);
        Self {
            store,
            core,
            stamp: Stamp::default(),
            now: NOW,
        }
    }

    pub fn plan(&self, requests: &[AppendRequest], frame: Option<&FrameWork>) -> Plan {
        let questions = LogCore::questions(requests.iter());
        let answers = if questions.is_empty() {
            CheckAnswers::default()
        } else {
            now(self.store.check(&questions)).expect("memory can be read")
        };
        let requests: Vec<_> = requests.iter().collect();
        self.core
            .plan(&self.stamp, &requests, &answers, frame, self.now)
    }

    pub fn commit(&mut self, plan: Plan) -> Result<(), CommitError> {
        if let Some(batch) = &plan.batch {
            now(self.store.commit(batch))?;
            self.core = plan.next;
        }
        Ok(())
    }

    /// One batch of requests.
    pub fn append(&mut self, requests: &[AppendRequest]) -> Vec<Result<Accepted, Refusal>> {
        let mut plan = self.plan(requests, None);
        let outcomes = std::mem::take(&mut plan.outcomes);
        self.commit(plan).expect("nobody else writes");
        outcomes
    }

    pub fn append_one(&mut self, request: AppendRequest) -> Result<Accepted, Refusal> {
        self.append(&[request]).remove(0)
    }

    pub fn apply(&mut self, work: &FrameWork) -> FrameOutcome {
        let mut plan = self.plan(&[], Some(work));
        let outcome = plan.frame.take().expect("a frame has an outcome");
        self.commit(plan).expect("nobody else writes");
        outcome
    }

    pub fn row(&self, sequence: u64) -> StoredEvent {
        now(self.store.event(sequence))
            .expect("memory can be read")
            .expect("a row")
    }

    pub fn head(&self) -> u64 {
        self.core.view().head
    }
}

pub fn core_of(store: &MemoryStore, nonce: u64) -> LogCore {
    let state = now(store.state()).expect("memory can be read");
    let identity = Identity {
        location: name("a"),
        nonce,
    };
    LogCore::new(identity, &state)
}

pub fn take_lease(store: &MemoryStore, nonce: u64) -> tidelog_store::LogState {
    match now(store.acquire_lease(&lease(nonce))) {
        Ok(LeaseOutcome::Acquired(state)) => *state,
        other => unreachable!("one owner: {other:?}"),
    }
}

pub const APPLIED: fn(usize, usize) -> FrameOutcome =
    |stored, redundant| FrameOutcome::Applied { stored, redundant };
