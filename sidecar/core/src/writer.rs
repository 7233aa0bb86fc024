//! The writer: queue, natural batching and commit, as a state machine.
//!
//! ```text
//!            ┌────────── nothing to ask ──────────┐
//!   Idle ──▶ Checking ──▶ (plan) ──▶ Committing ──┴─▶ Idle
//!                                      │    └─ guard hit ─▶ Finding ─▶ Idle (planned again)
//!                                      └─ unknown ─▶ Resolving ─▶ Idle | Stopped
//! ```
//! One batch is in flight at a time; what arrives meanwhile forms the next one. Local requests go first, then at most one piece of
//! replication work per batch, so that neither starves. The driver carries out effects in order: the witness is told before an answer
//! or an event leaves.

use std::collections::VecDeque;

use tidelog_model::{ChainHash, EventId, LocationName, VectorTime, caps};
use tidelog_store::{
    CheckAnswers, CheckQuery, CommitError, IdRow, LogState, Progress, StoreError, WriteBatch,
};

use crate::append::{Accepted, AppendRequest, Refusal};
use crate::frame::{FrameEvent, FrameFault, FrameOutcome};
use crate::log::{FrameWork, LogCore, Plan, Stamp};
use crate::view::LogView;

/// Names a caller; chosen by the driver.
pub type Ticket = u64;

/// Bounds of queue and batch.
#[derive(Debug, Clone, Copy)]
pub struct WriterLimits {
    /// Events in one batch; a single larger request still goes, alone.
    pub batch_events_max: usize,
    /// Bytes in one batch; a single larger request still goes, alone.
    pub batch_bytes_max: usize,
    /// Requests waiting.
    pub queue_requests_max: usize,
    /// Bytes waiting.
    pub queue_bytes_max: usize,
    /// After so many microseconds without an answer from the database a request of unknown outcome is answered as such.
    pub resolve_micros_max: i64,
}

impl Default for WriterLimits {
    fn default() -> Self {
        Self {
            batch_events_max: caps::BATCH_EVENTS_MAX,
            batch_bytes_max: caps::BATCH_BYTES_MAX,
            queue_requests_max: caps::QUEUE_REQUESTS_MAX,
            queue_bytes_max: caps::QUEUE_BYTES_MAX,
            resolve_micros_max: 10_000_000,
        }
    }
}

/// Replication work that goes through the writer's transaction.
#[derive(Debug, Clone)]
pub enum Work {
    /// Apply a frame.
    Frame(Box<FrameWork>),
    /// Go back to a lower position of a source, with the hash there. Lower is always safe; a higher one is refused.
    GoBack(LocationName, Progress),
    /// Take over what peers cover of this location's own closed incarnations.
    TakeOver(VectorTime),
}

/// What the writer is told.
#[derive(Debug)]
pub enum Input {
    /// A client's request. It waits until [`Input::Go`], so that a driver can hand in everything that has arrived before a batch is formed.
    Append(Ticket, AppendRequest),
    /// Replication work. It waits until [`Input::Go`].
    Work(Ticket, Work),
    /// Form a batch of what waits, unless one is in flight.
    Go,
    /// The store's answers to [`Effect::Check`].
    Checked(Result<CheckAnswers, StoreError>),
    /// The outcome of [`Effect::Commit`].
    Committed(Result<(), CommitError>),
    /// Where the ids of [`Effect::Find`] are.
    Found(Result<Vec<Option<IdRow>>, StoreError>),
    /// The outcome of [`Effect::Resolve`].
    Resolved(Result<Resolution, StoreError>),
    /// Time has passed.
    Tick,
    /// Application version or filters changed.
    Stamp(Stamp),
    /// Finish what is in flight, refuse the rest.
    ShutDown,
}

/// What a fresh look at the database says after an unknown outcome. The look takes the lease anew, under a new nonce, before it reads: so
/// the statement in doubt has either committed or can never commit.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The lease was taken under this nonce; `None` when another writer holds it.
    pub nonce: Option<u64>,
    /// The state read with it.
    pub state: LogState,
    /// The database's hash chain at the head that the batch in doubt would have had.
    pub hash_at_planned_head: Option<ChainHash>,
}

/// What the driver has to do, in order.
#[derive(Debug)]
pub enum Effect {
    /// Ask the store, answer with [`Input::Checked`].
    Check(CheckQuery),
    /// Commit, answer with [`Input::Committed`].
    Commit(Box<WriteBatch>),
    /// Find ids, answer with [`Input::Found`].
    Find(Vec<EventId>),
    /// Take the lease anew under a new nonce and read the state; answer with [`Input::Resolved`]. Retried until it succeeds.
    Resolve {
        /// The head that the batch in doubt would have had.
        planned_head: u64,
    },
    /// Tell the witness, before anything below leaves.
    Witness {
        /// The head.
        head: u64,
        /// The hash chain there.
        hash: ChainHash,
    },
    /// Make committed events visible.
    Publish {
        /// The events of the batch.
        events: Vec<tidelog_model::StoredEvent>,
        /// The log after it.
        view: Box<LogView>,
    },
    /// Answer a request.
    Answer(Ticket, Box<Result<Accepted, Refusal>>),
    /// Answer replication work.
    WorkDone(Ticket, FrameOutcome),
    /// The writer has stopped for good; detection starts (or the process ends).
    Stop(StopReason),
}

/// Why a writer stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The guard did not hold.
    Fenced,
    /// The database is not what this writer left.
    StateChanged(String),
    /// An event proves that this location lost events of its current incarnation.
    LossProven(Box<FrameEvent>),
    /// Asked to.
    ShutDown,
}

struct Batch {
    requests: Vec<(Ticket, AppendRequest)>,
    work: Option<(Ticket, Work)>,
}

enum Phase {
    Idle,
    Checking(Batch),
    Committing(Batch, Box<Plan>),
    Finding(Batch),
    Resolving {
        batch: Batch,
        plan: Box<Plan>,
        since_micros: i64,
        answered: bool,
    },
    Stopped,
}

/// The writer of one log.
pub struct Writer {
    core: LogCore,
    stamp: Stamp,
    limits: WriterLimits,
    queue: VecDeque<(Ticket, AppendRequest)>,
    queue_bytes: usize,
    work: VecDeque<(Ticket, Work)>,
    phase: Phase,
    stopping: bool,
    guard_hits: u64,
}

impl Writer {
    /// A writer over a state whose continuity is proven (or whose incarnation was just raised).
    pub fn new(core: LogCore, stamp: Stamp, limits: WriterLimits) -> Self {
        Self {
            core,
            stamp,
            limits,
            queue: VecDeque::new(),
            queue_bytes: 0,
            work: VecDeque::new(),
            phase: Phase::Idle,
            stopping: false,
            guard_hits: 0,
        }
    }

    /// The log in memory.
    pub fn core(&self) -> &LogCore {
        &self.core
    }

    /// While true, requests that need the table of earlier requests are refused.
    pub fn set_recovering(&mut self, recovering: bool) {
        self.core.set_recovering(recovering);
    }

    /// How often the unique key caught what the vector had let pass; stays 0.
    pub fn guard_hits(&self) -> u64 {
        self.guard_hits
    }

    /// Requests and bytes that wait.
    pub fn queued(&self) -> (usize, usize) {
        (self.queue.len(), self.queue_bytes)
    }

    /// Takes an input and says what to do.
    pub fn handle(&mut self, input: Input, now_micros: i64) -> Vec<Effect> {
        let mut effects = Vec::new();
        let waits = matches!(input, Input::Append(..) | Input::Work(..));
        match input {
            Input::Append(ticket, request) => self.enqueue(ticket, request, &mut effects),
            Input::Work(ticket, work) => {
                if self.stopped() {
                    effects.push(Effect::WorkDone(
                        ticket,
                        FrameOutcome::Failed("the log is stopping".into()),
                    ));
                } else {
                    self.work.push_back((ticket, work));
                }
            }
            Input::Checked(answers) => self.checked(answers, now_micros, &mut effects),
            Input::Committed(outcome) => self.committed(outcome, now_micros, &mut effects),
            Input::Found(found) => self.found(found, &mut effects),
            Input::Resolved(resolution) => self.resolved(resolution, now_micros, &mut effects),
            Input::Go => {}
            Input::Tick => self.tick(now_micros, &mut effects),
            Input::Stamp(stamp) => self.stamp = stamp,
            Input::ShutDown => {
                self.stopping = true;
                self.refuse_queue(&Refusal::ShuttingDown, &mut effects);
            }
        }
        if waits {
            return effects;
        }
        self.start_batches(now_micros, &mut effects);
        if self.stopping && matches!(self.phase, Phase::Idle) {
            self.stop(StopReason::ShutDown, &Refusal::ShuttingDown, &mut effects);
        }
        effects
    }

    fn stopped(&self) -> bool {
        self.stopping || matches!(self.phase, Phase::Stopped)
    }

    fn enqueue(&mut self, ticket: Ticket, request: AppendRequest, effects: &mut Vec<Effect>) {
        let bytes = request.approximate_bytes();
        let refusal = if matches!(self.phase, Phase::Stopped) {
            Some(Refusal::NotWriter)
        } else if self.stopping {
            Some(Refusal::ShuttingDown)
        } else if let Err(refusal) = request.check() {
            Some(refusal)
        } else if self.queue.len() >= self.limits.queue_requests_max
            || (self.queue_bytes + bytes > self.limits.queue_bytes_max && !self.queue.is_empty())
        {
            Some(Refusal::QueueFull {
                requests: self.queue.len(),
                bytes: self.queue_bytes,
            })
        } else {
            None
        };
        match refusal {
            Some(refusal) => effects.push(Effect::Answer(ticket, Box::new(Err(refusal)))),
            None => {
                self.queue_bytes += bytes;
                self.queue.push_back((ticket, request));
            }
        }
    }

    /// Forms batches until one is in flight or nothing is left.
    fn start_batches(&mut self, now_micros: i64, effects: &mut Vec<Effect>) {
        while matches!(self.phase, Phase::Idle) {
            let Some(batch) = self.take_batch() else {
                return;
            };
            let questions = LogCore::questions(batch.requests.iter().map(|(_, r)| r));
            if questions.is_empty() {
                self.plan_and_commit(batch, &CheckAnswers::default(), now_micros, effects);
            } else {
                effects.push(Effect::Check(questions));
                self.phase = Phase::Checking(batch);
            }
        }
    }

    fn take_batch(&mut self) -> Option<Batch> {
        let mut requests = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        while let Some((_, request)) = self.queue.front() {
            let more_events = events + request.events.len();
            let more_bytes = bytes + request.approximate_bytes();
            let full = more_events > self.limits.batch_events_max
                || more_bytes > self.limits.batch_bytes_max;
            if full && !requests.is_empty() {
                break;
            }
            (events, bytes) = (more_events, more_bytes);
            requests.extend(self.queue.pop_front());
        }
        self.queue_bytes = self.queue_bytes.saturating_sub(bytes);
        let work = self.work.pop_front();
        (!requests.is_empty() || work.is_some()).then_some(Batch { requests, work })
    }

    fn checked(
        &mut self,
        answers: Result<CheckAnswers, StoreError>,
        now_micros: i64,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Checking(batch) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        match answers {
            Ok(answers) => self.plan_and_commit(batch, &answers, now_micros, effects),
            Err(error) => Self::fail(batch, &Refusal::Store(error), effects),
        }
    }

    fn plan_and_commit(
        &mut self,
        batch: Batch,
        answers: &CheckAnswers,
        now_micros: i64,
        effects: &mut Vec<Effect>,
    ) {
        let requests: Vec<&AppendRequest> = batch.requests.iter().map(|(_, r)| r).collect();
        let plan = match &batch.work {
            Some((_, Work::Frame(work))) => {
                self.core
                    .plan(&self.stamp, &requests, answers, Some(work), now_micros)
            }
            Some((_, Work::GoBack(source, progress))) => {
                let plan = self
                    .core
                    .plan(&self.stamp, &requests, answers, None, now_micros);
                self.with_go_back(plan, source, progress)
            }
            Some((_, Work::TakeOver(vector))) => {
                let plan = self
                    .core
                    .plan(&self.stamp, &requests, answers, None, now_micros);
                self.with_take_over(plan, vector)
            }
            None => self
                .core
                .plan(&self.stamp, &requests, answers, None, now_micros),
        };
        if let Some(FrameOutcome::LossProven(proof)) = &plan.frame {
            let reason = StopReason::LossProven(proof.clone());
            Self::fail(batch, &Refusal::NotWriter, effects);
            self.stop(reason, &Refusal::NotWriter, effects);
            return;
        }
        if let Some(write) = &plan.batch {
            effects.push(Effect::Commit(Box::new(write.clone())));
            self.phase = Phase::Committing(batch, Box::new(plan));
        } else {
            self.core.clock_ahead = plan.next.clock_ahead;
            Self::answer(batch, plan.outcomes, plan.frame, effects);
        }
    }

    fn with_go_back(&self, mut plan: Plan, source: &LocationName, progress: &Progress) -> Plan {
        let held = self.core.progress.get(source).map_or(0, |p| p.position);
        if progress.position > held {
            plan.frame = Some(FrameOutcome::Dropped);
            return plan;
        }
        std::sync::Arc::make_mut(&mut plan.next.progress).insert(source.clone(), progress.clone());
        let batch = plan
            .batch
            .get_or_insert_with(|| vectors_only(&self.core, &plan.next));
        batch.progress = Some((source.clone(), progress.clone()));
        plan.frame = Some(FrameOutcome::Applied {
            stored: 0,
            redundant: 0,
        });
        plan
    }

    fn with_take_over(&self, mut plan: Plan, vector: &VectorTime) -> Plan {
        let closed = vector.filtered(|o| {
            o.location == self.core.identity.location
                && o.incarnation < self.core.origin.incarnation
        });
        plan.next.covered_vector.merge(&closed);
        let batch = plan
            .batch
            .get_or_insert_with(|| vectors_only(&self.core, &plan.next));
        batch.covered_vector.clone_from(&plan.next.covered_vector);
        plan.frame = Some(FrameOutcome::Applied {
            stored: 0,
            redundant: 0,
        });
        plan
    }

    fn committed(
        &mut self,
        outcome: Result<(), CommitError>,
        now_micros: i64,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Committing(batch, plan) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        match outcome {
            Ok(()) => self.adopt(batch, *plan, effects),
            Err(CommitError::Fenced) => {
                Self::fail(batch, &Refusal::NotWriter, effects);
                self.stop(StopReason::Fenced, &Refusal::NotWriter, effects);
            }
            Err(CommitError::DuplicateIdentity) => match &batch.work {
                Some((_, Work::Frame(work))) => {
                    effects.push(Effect::Find(
                        work.frame
                            .events
                            .iter()
                            .map(|e| e.event.id.clone())
                            .collect(),
                    ));
                    self.phase = Phase::Finding(batch);
                }
                _ => {
                    Self::fail(batch, &Refusal::NotWriter, effects);
                    let reason = "an own event id is stored already".to_owned();
                    self.stop(
                        StopReason::StateChanged(reason),
                        &Refusal::NotWriter,
                        effects,
                    );
                }
            },
            Err(CommitError::Failed(error)) => Self::fail(batch, &Refusal::Store(error), effects),
            Err(CommitError::Unknown(_)) => {
                let planned_head = plan.batch.as_ref().map_or(self.core.head, WriteBatch::head);
                effects.push(Effect::Resolve { planned_head });
                self.phase = Phase::Resolving {
                    batch,
                    plan,
                    since_micros: now_micros,
                    answered: false,
                };
            }
        }
    }

    /// The unique key caught an id that the vector had let pass: equal content is dropped and counted, other content stalls the edge.
    fn found(&mut self, found: Result<Vec<Option<IdRow>>, StoreError>, effects: &mut Vec<Effect>) {
        let Phase::Finding(mut batch) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        let rows = match found {
            Ok(rows) => rows,
            Err(error) => return Self::fail(batch, &Refusal::Store(error), effects),
        };
        if let Some((ticket, Work::Frame(mut work))) = batch.work.take() {
            let held: Vec<(FrameEvent, Option<IdRow>)> =
                work.frame.events.drain(..).zip(rows).collect();
            let reused = held.iter().find_map(|(e, row)| {
                let row = row.as_ref().filter(|row| row.digest != e.digest)?;
                Some(FrameFault::IdentityReused {
                    id: row.id.clone(),
                    held: row.digest,
                    received: e.digest,
                })
            });
            if let Some(fault) = reused {
                effects.push(Effect::WorkDone(ticket, FrameOutcome::Stalled(fault)));
            } else if held.iter().all(|(_, row)| row.is_none()) {
                // The clash was not with the frame: this writer's memory is not what the database holds.
                effects.push(Effect::WorkDone(
                    ticket,
                    FrameOutcome::Failed("own id stored".into()),
                ));
                Self::fail(batch, &Refusal::NotWriter, effects);
                let reason = "an own event id is stored already".to_owned();
                return self.stop(
                    StopReason::StateChanged(reason),
                    &Refusal::NotWriter,
                    effects,
                );
            } else {
                self.guard_hits += held.iter().filter(|(_, row)| row.is_some()).count() as u64;
                work.frame.events = held
                    .into_iter()
                    .filter(|(_, row)| row.is_none())
                    .map(|(e, _)| e)
                    .collect();
                self.work.push_front((ticket, Work::Frame(work)));
            }
        }
        for (ticket, request) in batch.requests.into_iter().rev() {
            self.queue_bytes += request.approximate_bytes();
            self.queue.push_front((ticket, request));
        }
    }

    fn resolved(
        &mut self,
        resolution: Result<Resolution, StoreError>,
        now_micros: i64,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Resolving {
            batch,
            plan,
            since_micros,
            answered,
        } = std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            return;
        };
        let resolution = match resolution {
            Ok(resolution) => resolution,
            Err(_) => {
                let planned_head = plan.batch.as_ref().map_or(self.core.head, WriteBatch::head);
                effects.push(Effect::Resolve { planned_head });
                self.phase = Phase::Resolving {
                    batch,
                    plan,
                    since_micros,
                    answered,
                };
                return self.tick(now_micros, effects);
            }
        };
        let batch = if answered {
            Batch {
                requests: Vec::new(),
                work: None,
            }
        } else {
            batch
        };
        let planned = plan
            .batch
            .as_ref()
            .map(|b| (b.head(), b.hash, b.events.is_empty()));
        let state = &resolution.state;
        let same_life = state.incarnation() == self.core.origin.incarnation;
        let stored = planned.is_some_and(|(head, hash, _)| {
            same_life && state.head >= head && resolution.hash_at_planned_head == Some(hash)
        });
        // A batch without events leaves head and hash as they were: its vectors and progress tell.
        let vectors_only = planned.is_some_and(|(_, _, empty)| empty);
        let kept = same_life && state.head == self.core.head && state.hash == self.core.hash;
        match resolution.nonce {
            None => {
                if stored && !vectors_only {
                    self.adopt(batch, *plan, effects);
                } else {
                    Self::fail(batch, &Refusal::NotWriter, effects);
                }
                self.stop(StopReason::Fenced, &Refusal::NotWriter, effects);
            }
            Some(nonce) => {
                self.core.set_nonce(nonce);
                let exact = planned.is_some_and(|(head, _, _)| state.head == head);
                if stored && exact && !vectors_only {
                    let mut plan = plan;
                    plan.next.set_nonce(nonce);
                    self.adopt(batch, *plan, effects);
                } else if kept {
                    if vectors_only {
                        self.core.version_vector.clone_from(&state.version_vector);
                        self.core.covered_vector.clone_from(&state.covered_vector);
                        self.core.progress = std::sync::Arc::new(state.progress.clone());
                    }
                    let lost = StoreError::Unavailable(
                        "the connection broke before the request was committed; it is not in the log".into(),
                    );
                    Self::fail(batch, &Refusal::Store(lost), effects);
                } else {
                    Self::fail(batch, &Refusal::NotWriter, effects);
                    let reason = format!(
                        "the database is at {} (incarnation {}), this writer left it at {}",
                        state.head,
                        state.incarnation(),
                        self.core.head
                    );
                    self.stop(
                        StopReason::StateChanged(reason),
                        &Refusal::NotWriter,
                        effects,
                    );
                }
            }
        }
    }

    fn tick(&mut self, now_micros: i64, effects: &mut Vec<Effect>) {
        let limit = self.limits.resolve_micros_max;
        if let Phase::Resolving {
            batch,
            since_micros,
            answered,
            ..
        } = &mut self.phase
            && !*answered
            && now_micros.saturating_sub(*since_micros) > limit
        {
            *answered = true;
            let refusal =
                Refusal::OutcomeUnknown("the database cannot be reached to look it up".into());
            let given_up = Batch {
                requests: std::mem::take(&mut batch.requests),
                work: batch.work.take(),
            };
            Self::fail(given_up, &refusal, effects);
        }
    }

    fn adopt(&mut self, batch: Batch, plan: Plan, effects: &mut Vec<Effect>) {
        let Plan {
            batch: write,
            next,
            outcomes,
            frame,
        } = plan;
        self.core = next;
        let events = write.map(|b| b.events).unwrap_or_default();
        effects.push(Effect::Witness {
            head: self.core.head,
            hash: self.core.hash,
        });
        effects.push(Effect::Publish {
            events,
            view: Box::new(self.core.view()),
        });
        Self::answer(batch, outcomes, frame, effects);
    }

    fn answer(
        batch: Batch,
        outcomes: Vec<Result<Accepted, Refusal>>,
        frame: Option<FrameOutcome>,
        effects: &mut Vec<Effect>,
    ) {
        for ((ticket, _), outcome) in batch.requests.into_iter().zip(outcomes) {
            effects.push(Effect::Answer(ticket, Box::new(outcome)));
        }
        if let (Some((ticket, _)), Some(outcome)) = (batch.work, frame) {
            effects.push(Effect::WorkDone(ticket, outcome));
        }
    }

    /// Answers a whole batch with one error. Requests that were refused for reasons of their own lose only the finer reason.
    fn fail(batch: Batch, refusal: &Refusal, effects: &mut Vec<Effect>) {
        for (ticket, _) in batch.requests {
            effects.push(Effect::Answer(ticket, Box::new(Err(refusal.clone()))));
        }
        if let Some((ticket, _)) = batch.work {
            effects.push(Effect::WorkDone(
                ticket,
                FrameOutcome::Failed(refusal.to_string()),
            ));
        }
    }

    fn refuse_queue(&mut self, refusal: &Refusal, effects: &mut Vec<Effect>) {
        self.queue_bytes = 0;
        let batch = Batch {
            requests: self.queue.drain(..).collect(),
            work: None,
        };
        Self::fail(batch, refusal, effects);
        for (ticket, _) in self.work.drain(..) {
            effects.push(Effect::WorkDone(
                ticket,
                FrameOutcome::Failed(refusal.to_string()),
            ));
        }
    }

    fn stop(&mut self, reason: StopReason, refusal: &Refusal, effects: &mut Vec<Effect>) {
        self.refuse_queue(refusal, effects);
        self.phase = Phase::Stopped;
        self.stopping = false;
        effects.push(Effect::Stop(reason));
    }
}

/// A batch that changes vectors or progress only.
fn vectors_only(before: &LogCore, after: &LogCore) -> WriteBatch {
    WriteBatch {
        guard: before.guard(),
        events: Vec::new(),
        hash: before.hash,
        version_vector: before.version_vector.clone(),
        covered_vector: after.covered_vector.clone(),
        clock: after.clock.last(),
        stored_at_micros: after.stored_at_micros,
        progress: None,
    }
}
