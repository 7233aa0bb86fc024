//! The same random trace of operations on several stores must give the same answers everywhere.
//!
//! A [`Trace`] is abstract: it names sizes and choices, not sequences or hashes. [`run`] makes concrete operations of it with one
//! [`Writer`] and gives every store the very same ones. In the tests of a store:
//!
//! ```text
//! proptest! {
//!     #[test]
//!     fn a_random_trace_gives_the_same_log(trace in differential::traces()) {
//!         runtime().block_on(async {
//!             let memory = MemoryStore::new(clock);
//!             let mine = MyStore::open(..).await.unwrap();
//!             differential::run(&trace, &[&memory, &mine]).await
//!         }).map_err(TestCaseError::fail)?;
//!     }
//! }
//! ```

mod observation;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tidelog_model::{Cause, Event, EventId, Incarnation, LocationName, Position, Selector};

use crate::batch::{Fence, Guard, Raise, WriteBatch};
use crate::generate::strategy::{any_origin, cause, content, event_type, key};
use crate::generate::{LEASE_TTL, Peer, Writer, lease, location};
use crate::log_store::LogStore;
use crate::query::{CauseKey, CheckQuery, ConditionQuery, ReadQuery, RequestRetention};
use crate::state::{Consumer, EdgeKey};
use observation::{Observation, everything, observe};

/// Which part of a guard is made wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// Another incarnation.
    Incarnation,
    /// Another nonce.
    Nonce,
    /// Another head.
    Head,
}

/// One abstract operation.
#[derive(Debug, Clone)]
pub enum Op {
    /// Own events and, with `frame`, events of a peer in the same batch with that peer's progress.
    Commit {
        /// Own events.
        own: Vec<Event>,
        /// Which peer, and its events.
        frame: Option<(usize, Vec<Event>)>,
    },
    /// A batch whose guard is wrong.
    StaleCommit(Stale),
    /// A batch that holds, beside fresh events, one that is stored already.
    DuplicateCommit(prop::sample::Index),
    /// A new incarnation at the head.
    Raise,
    /// A new incarnation so many events below the head, which are written anew.
    Rewrite(usize),
    /// A raise that does not rise.
    BadRaise,
    /// The same owner takes the lease under another nonce.
    TakeLease,
    /// A consumer.
    PutConsumer(usize, u64),
    /// No consumer.
    DeleteConsumer(usize),
    /// An edge.
    Pause(usize, bool),
    /// One page or many.
    Read {
        /// Where to start, as a share of the head.
        after: prop::sample::Index,
        /// How far.
        length: u64,
        /// Limits of events, bytes and rows.
        limits: (usize, usize, usize),
        /// What is wanted.
        selector: Selector,
    },
    /// Questions; positions are shares of the head.
    Check {
        /// Request ids.
        requests: Vec<String>,
        /// Causes.
        causes: Vec<(String, Cause)>,
        /// Keys, types, after.
        conditions: Vec<(Vec<String>, Vec<String>, prop::sample::Index)>,
    },
    /// Identities after a share of the head, and whether some ids are stored.
    Ids(prop::sample::Index, usize, Vec<(String, u32, u64)>),
    /// Times relative to the last.
    PositionBefore(i64),
    /// Retention: age in milliseconds, minimum, maximum.
    Prune(u64, u64, u64),
}

/// A random history.
#[derive(Debug, Clone)]
pub struct Trace {
    /// In this order.
    pub ops: Vec<Op>,
}

/// Random traces of up to 40 operations.
pub fn traces() -> impl Strategy<Value = Trace> {
    prop::collection::vec(op(), 1..40).prop_map(|ops| Trace { ops })
}

fn op() -> impl Strategy<Value = Op> {
    let events = || prop::collection::vec(content(), 0..6);
    let frame = prop::option::of((0usize..PEERS.len(), events()));
    let keys = || prop::collection::vec(key(), 0..3);
    let types = || prop::collection::vec(event_type(), 0..3);
    let origins = prop::collection::vec("[a-e]|eu", 0..3).prop_map(|names| {
        names
            .iter()
            .map(|n| location(n))
            .collect::<Vec<LocationName>>()
    });
    let selector = (keys(), types(), origins).prop_map(|(keys, types, origins)| Selector {
        keys,
        types,
        origins,
    });
    let share = any::<prop::sample::Index>;
    let limits = (
        1usize..8,
        prop_oneof![Just(usize::MAX), 0usize..300],
        1usize..12,
    );
    let read =
        (share(), 0u64..40, limits, selector).prop_map(|(after, length, limits, selector)| {
            Op::Read {
                after,
                length,
                limits,
                selector,
            }
        });
    let check = (
        prop::collection::vec("r[0-9]|", 0..4),
        prop::collection::vec(("e[01]", cause()), 0..4),
        prop::collection::vec((keys(), types(), share()), 0..4),
    )
        .prop_map(|(requests, causes, conditions)| Op::Check {
            requests,
            causes,
            conditions,
        });
    let ids = prop::collection::vec(("[a-d]|eu", 1u32..4, 1u64..9), 0..5);
    prop_oneof![
        12 => (events(), frame).prop_map(|(own, frame)| Op::Commit { own, frame }),
        1 => prop_oneof![Just(Stale::Incarnation), Just(Stale::Nonce), Just(Stale::Head)].prop_map(Op::StaleCommit),
        1 => share().prop_map(Op::DuplicateCommit),
        1 => Just(Op::Raise),
        1 => (0usize..7).prop_map(Op::Rewrite),
        1 => Just(Op::BadRaise),
        1 => Just(Op::TakeLease),
        1 => (0usize..3, 0u64..50).prop_map(|(c, p)| Op::PutConsumer(c, p)),
        1 => (0usize..3).prop_map(Op::DeleteConsumer),
        1 => (0usize..2, any::<bool>()).prop_map(|(e, p)| Op::Pause(e, p)),
        6 => read,
        5 => check,
        2 => (share(), 0usize..20, ids).prop_map(|(after, limit, ids)| Op::Ids(after, limit, ids)),
        1 => (-20_000i64..5_000).prop_map(Op::PositionBefore),
        1 => (0u64..20, 0u64..15, 0u64..30).prop_map(|(age, min, max)| Op::Prune(age, min, max.max(min))),
    ]
}

const PEERS: [&str; 4] = ["a", "b", "c", "d"];

/// Runs the trace on all stores and compares every answer, and at the end everything that can be seen.
///
/// The stores must be new. `Err` says which operation was answered differently.
pub async fn run(trace: &Trace, stores: &[&dyn LogStore]) -> Result<(), String> {
    let Some((first, others)) = stores.split_first() else {
        return Ok(());
    };
    let mut runner = Runner::start(stores).await;
    for (i, op) in trace.ops.iter().enumerate() {
        let step = runner.step(*first, op).await;
        let wanted = observe(*first, &step).await;
        if let Some(problem) = step.contradicted_by(&wanted) {
            return Err(format!("operation {i}, {op:?}: {problem}"));
        }
        for (n, store) in others.iter().enumerate() {
            let found = observe(*store, &step).await;
            if found != wanted {
                return Err(format!(
                    "operation {i}, {op:?}: store 0 answered {wanted:?}, store {} answered {found:?}",
                    n + 1
                ));
            }
        }
    }
    let wanted = everything(*first).await;
    for (n, store) in others.iter().enumerate() {
        let found = everything(*store).await;
        if found != wanted {
            return Err(format!(
                "after all: store 0 holds {wanted:?}, store {} holds {found:?}",
                n + 1
            ));
        }
    }
    Ok(())
}

/// A concrete operation.
#[derive(Debug)]
pub(crate) enum Step {
    Commit(Box<WriteBatch>, Expected),
    Raise(Box<Raise>, Expected),
    TakeLease(crate::state::Lease),
    PutConsumer(Fence, Consumer),
    DeleteConsumer(String),
    Pause(EdgeKey, bool),
    Read(ReadQuery),
    Check(CheckQuery),
    Ids(u64, usize, Vec<EventId>),
    PositionBefore(i64),
    Prune(i64, RequestRetention),
}

/// What every store must answer to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Done,
    Fenced,
    Duplicate,
    Refused,
}

impl Step {
    fn contradicted_by(&self, found: &Observation) -> Option<String> {
        let (Self::Commit(_, expected) | Self::Raise(_, expected)) = self else {
            return None;
        };
        (*found != Observation::Written(*expected))
            .then(|| format!("store 0 answered {found:?} instead of {expected:?}"))
    }
}

struct Runner {
    writer: Writer,
    peers: BTreeMap<&'static str, (Peer, u64)>,
    nonce: u64,
}

impl Runner {
    async fn start(stores: &[&dyn LogStore]) -> Self {
        let mut writer = None;
        for store in stores {
            writer = Some(Writer::start(*store).await);
        }
        Self {
            writer: writer.expect("at least one store"),
            peers: PEERS.iter().map(|p| (*p, (Peer::new(p), 0))).collect(),
            nonce: 1,
        }
    }

    async fn step(&mut self, store: &dyn LogStore, op: &Op) -> Step {
        let head = self.writer.head;
        match op {
            Op::Commit { own, frame } => {
                let batch = self.commit(own, frame.as_ref());
                Step::Commit(Box::new(batch), Expected::Done)
            }
            Op::StaleCommit(stale) => {
                let mut batch = self.writer.clone().append(2, |_, _| {});
                spoil(&mut batch.guard, *stale);
                for (i, event) in batch.events.iter_mut().enumerate() {
                    event.sequence = batch.guard.head + 1 + i as u64;
                }
                Step::Commit(Box::new(batch), Expected::Fenced)
            }
            Op::DuplicateCommit(which) => self.duplicate(store, *which).await,
            Op::Raise => {
                let incarnation = self.writer.incarnation.0 + 1;
                let raise = self.writer.raise(incarnation);
                Step::Raise(Box::new(raise), Expected::Done)
            }
            Op::Rewrite(depth) => {
                let base = head.saturating_sub(*depth as u64);
                let hash = store.hash_at(base).await.expect("a hash");
                let above = crate::conformance::pages(store, &page(base, u64::MAX)).await;
                let incarnation = self.writer.incarnation.0 + 3;
                let hash = hash.expect("a hash at or below the head");
                let raise = self.writer.rewrite(incarnation, hash, &above);
                Step::Raise(Box::new(raise), Expected::Done)
            }
            Op::BadRaise => {
                let mut writer = self.writer.clone();
                let raise = writer.raise(self.writer.incarnation.0);
                Step::Raise(Box::new(raise), Expected::Refused)
            }
            Op::TakeLease => {
                self.nonce += 1;
                self.writer.nonce = self.nonce;
                Step::TakeLease(lease("writer", self.nonce, LEASE_TTL))
            }
            Op::PutConsumer(which, sequence) => {
                let consumer = Consumer {
                    name: format!("consumer {which}"),
                    position: Position::new(Incarnation(1), *sequence),
                    updated_at_micros: self.writer.stored_at_micros,
                };
                let mut fence = self.writer.guard().fence();
                if sequence % 4 == 3 {
                    fence.nonce += 1;
                }
                Step::PutConsumer(fence, consumer)
            }
            Op::DeleteConsumer(which) => Step::DeleteConsumer(format!("consumer {which}")),
            Op::Pause(which, paused) => {
                let edge = EdgeKey {
                    source: location(PEERS[*which]),
                    target: self.writer.location.clone(),
                };
                Step::Pause(edge, *paused)
            }
            Op::Read {
                after,
                length,
                limits,
                selector,
            } => {
                let after = share(*after, head);
                Step::Read(ReadQuery {
                    after,
                    to: after + length,
                    events_max: limits.0,
                    bytes_max: limits.1,
                    scan_max: limits.2,
                    selector: selector.clone(),
                })
            }
            Op::Check {
                requests,
                causes,
                conditions,
            } => Step::Check(CheckQuery {
                requests: requests.clone(),
                causes: causes
                    .iter()
                    .map(|(emitter, cause)| CauseKey {
                        emitter_id: emitter.clone(),
                        cause: cause.clone(),
                    })
                    .collect(),
                conditions: conditions
                    .iter()
                    .map(|(keys, types, after)| ConditionQuery {
                        keys: keys.clone(),
                        types: types.clone(),
                        after: share(*after, head),
                    })
                    .collect(),
            }),
            Op::Ids(after, limit, ids) => {
                let ids = ids
                    .iter()
                    .map(|(name, incarnation, sequence)| {
                        EventId::new(crate::generate::origin(name, *incarnation), *sequence)
                    })
                    .collect();
                Step::Ids(share(*after, head), *limit, ids)
            }
            Op::PositionBefore(offset) => {
                Step::PositionBefore(self.writer.stored_at_micros + offset)
            }
            Op::Prune(age_millis, newest_min, newest_max) => Step::Prune(
                self.writer.stored_at_micros,
                RequestRetention {
                    keep: Duration::from_millis(*age_millis),
                    newest_min: *newest_min,
                    newest_max: *newest_max,
                },
            ),
        }
    }

    /// Own events and those of a frame in one batch.
    fn commit(&mut self, own: &[Event], frame: Option<&(usize, Vec<Event>)>) -> WriteBatch {
        let shaped = self
            .writer
            .clone()
            .append(own.len(), |i, e| take_content(e, &own[i]));
        let mut drafts: Vec<_> = shaped
            .events
            .iter()
            .map(|e| (true, (*e.event).clone()))
            .collect();
        self.writer.clock = shaped.clock;
        let mut progress = None;
        if let Some((which, events)) = frame {
            let name = PEERS[*which];
            let (peer, position) = self
                .peers
                .entry(name)
                .or_insert_with(|| (Peer::new(name), 0));
            peer.sees(&self.writer.version_vector);
            *position += events.len() as u64 + 1;
            for shape in events {
                drafts.push((false, peer.write(|e| take_content(e, shape))));
            }
            progress = self
                .writer
                .clone()
                .receive(name, *position, Vec::new())
                .progress;
        }
        self.writer.batch(drafts, progress)
    }

    async fn duplicate(&self, store: &dyn LogStore, which: prop::sample::Index) -> Step {
        let mut writer = self.writer.clone();
        if writer.head == 0 {
            let event = Peer::new("e").write(|_| {});
            let batch = writer.receive("e", 1, vec![event.clone(), event]);
            return Step::Commit(Box::new(batch), Expected::Duplicate);
        }
        let sequence = which.index(writer.head as usize) as u64 + 1;
        let old = store.event(sequence).await.expect("an answer");
        let old = (*old.expect("an event below the head").event).clone();
        let batch = writer.receive("e", 2, vec![Peer::new("e").write(|_| {}), old]);
        Step::Commit(Box::new(batch), Expected::Duplicate)
    }
}

fn share(index: prop::sample::Index, head: u64) -> u64 {
    index.index(head as usize + 3) as u64
}

fn page(after: u64, to: u64) -> ReadQuery {
    crate::conformance::query(after, to, Selector::default())
}

fn spoil(guard: &mut Guard, stale: Stale) {
    match stale {
        Stale::Incarnation => guard.incarnation.0 += 1,
        Stale::Nonce => guard.nonce += 1_000,
        Stale::Head => guard.head += 1,
    }
}

/// Everything but identity, context and time, which belong to the history.
fn take_content(event: &mut Event, content: &Event) {
    let own = event.clone();
    *event = content.clone();
    event.id = own.id;
    event.context = own.context;
}

/// Origins as traces use them, for strategies of other rooms.
pub fn origins() -> impl Strategy<Value = tidelog_model::Origin> {
    any_origin()
}
