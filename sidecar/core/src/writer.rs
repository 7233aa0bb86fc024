//! The writer: queue, natural batching and commit, as a state machine.
//!
//! ```text
//!            ┌────────── nothing to ask ──────────┐
//!   Idle ──▶ Checking ──▶ (plan) ──▶ Committing ──┴─▶ Idle
//!                                      │    └─ guard hit ─▶ Finding ─▶ Idle (planned again)
//!                                      └─ unknown ─▶ Resolving ─▶ Idle | Stopped
//! ```
//! One batch is in flight at a time; what arrives meanwhile forms the next one, which is planned as far as possible while it waits. Local requests go first, then at most one piece of
//! replication work per batch, so that neither starves. The driver carries out effects in order: the witness is told before an answer
//! or an event leaves.

mod ahead;
mod message;
mod outcome;
mod recent;

use std::collections::VecDeque;

use tidelog_model::{LocationName, VectorTime, mutant};
use tidelog_store::{CheckAnswers, Progress, StoreError, WriteBatch};

pub use message::{Effect, Input, Resolution, StopReason, Ticket, Work, WriterLimits};

use self::ahead::{Ahead, Planned};
use self::recent::Recent;
use crate::append::{AppendRequest, Refusal};
use crate::frame::{FrameEvent, FrameOutcome};
use crate::log::{FrameWork, LogCore, Plan, Stamp};

struct Batch {
    requests: Vec<(Ticket, AppendRequest)>,
    work: Option<(Ticket, Work)>,
}

impl Batch {
    fn frame(&self) -> Option<&FrameWork> {
        match &self.work {
            Some((_, Work::Frame(work))) => Some(work),
            _ => None,
        }
    }
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
    ahead: Option<Ahead>,
    recent: Recent,
    stopping: Option<Stopping>,
    guard_hits: u64,
}

/// What happens once nothing is in doubt any more.
struct Stopping {
    reason: StopReason,
    /// For whoever waits or still comes.
    refusal: Refusal,
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
            ahead: None,
            recent: Recent::default(),
            stopping: None,
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
        (self.waiting(), self.queue_bytes)
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
                        FrameOutcome::Failed("the writer is stopping".into()),
                    ));
                } else {
                    self.work.push_back((ticket, work));
                }
            }
            Input::Checked(answers) => self.checked(answers, now_micros, &mut effects),
            Input::Committed(outcome) => self.committed(outcome, now_micros, &mut effects),
            Input::Found(found) => self.found(found, &mut effects),
            Input::Resolved(resolution) => self.resolved(resolution, now_micros, &mut effects),
            Input::Go => self.plan_ahead(now_micros),
            Input::Tick => self.tick(now_micros, &mut effects),
            Input::Stamp(stamp) => {
                if !mutant!("planned-ahead-keeps-its-stamp") {
                    self.forget_ahead();
                }
                self.stamp = stamp;
            }
            Input::ShutDown => {
                self.finish_for(StopReason::ShutDown, Refusal::ShuttingDown, &mut effects);
            }
            Input::Stop(reason) => self.stop_for(reason, &mut effects),
        }
        if waits {
            return effects;
        }
        self.start_batches(now_micros, &mut effects);
        start_early(&mut effects);
        // A batch that was answered as unknown owes nobody an answer: its look-up need not hold up the end.
        let done = matches!(
            self.phase,
            Phase::Idle | Phase::Resolving { answered: true, .. }
        );
        if done && let Some(Stopping { reason, refusal }) = self.stopping.take() {
            self.stop(reason, &refusal, &mut effects);
        }
        effects
    }

    fn stopped(&self) -> bool {
        self.stopping.is_some() || matches!(self.phase, Phase::Stopped)
    }

    /// Refuses what waits; stops when what is in flight is known.
    fn finish_for(&mut self, reason: StopReason, refusal: Refusal, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        self.refuse_queue(&refusal, effects);
        // Whoever shuts down has not made the reason go away for which the writer stops already.
        let reason = self
            .stopping
            .take()
            .map_or(reason, |earlier| earlier.reason);
        self.stopping = Some(Stopping { reason, refusal });
    }

    /// Stops from outside. Only a commit that is under way is waited for: what was merely looked at is not in the log, and that is its answer.
    fn stop_for(&mut self, reason: StopReason, effects: &mut Vec<Effect>) {
        if self.stopped() {
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Committing(batch, _) if mutant!("stop-drops-the-commit") => {
                Self::fail(batch, &Refusal::NotWriter, effects);
            }
            Phase::Checking(batch) | Phase::Finding(batch) => {
                Self::fail(batch, &Refusal::NotWriter, effects);
            }
            other => self.phase = other,
        }
        self.finish_for(reason, Refusal::NotWriter, effects);
    }

    fn enqueue(&mut self, ticket: Ticket, request: AppendRequest, effects: &mut Vec<Effect>) {
        let bytes = request.approximate_bytes();
        let refusal = if matches!(self.phase, Phase::Stopped) {
            Some(Refusal::NotWriter)
        } else if let Some(stopping) = &self.stopping {
            Some(stopping.refusal.clone())
        } else if let Err(refusal) = request.check() {
            Some(refusal)
        } else if (self.waiting() >= self.limits.queue_requests_max && !mutant!("queue-unbounded"))
            || (self.queue_bytes + bytes > self.limits.queue_bytes_max
                && self.waiting() > 0
                && !mutant!("queue-bytes-unbounded"))
        {
            Some(Refusal::QueueFull {
                requests: self.waiting(),
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
        if matches!(self.phase, Phase::Idle)
            && let Some(Planned {
                batch,
                draft,
                outcomes,
            }) = self.take_ahead()
        {
            let plan = draft.finish(outcomes, batch.frame(), &self.core);
            self.commit(batch, plan, effects);
        }
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
            if full && !requests.is_empty() && !mutant!("batch-unbounded") {
                break;
            }
            (events, bytes) = (more_events, more_bytes);
            requests.extend(self.queue.pop_front());
        }
        self.queue_bytes = self.queue_bytes.saturating_sub(bytes);
        if mutant!("appends-starve-replication") && !requests.is_empty() {
            return Some(Batch {
                requests,
                work: None,
            });
        }
        let work = self.work.pop_front();
        (!requests.is_empty() || work.is_some()).then_some(Batch { requests, work })
    }

    fn checked(
        &mut self,
        answers: Result<CheckAnswers, StoreError>,
        now_micros: i64,
        effects: &mut Vec<Effect>,
    ) {
        let batch = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Checking(batch) => batch,
            other => {
                self.phase = other;
                return;
            }
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
        let frame = batch.frame();
        let plan = self
            .core
            .plan(&self.stamp, &requests, answers, frame, now_micros);
        self.commit(batch, plan, effects);
    }

    /// Commits a plan of which the replication work other than a frame is still to be added.
    fn commit(&mut self, batch: Batch, plan: Plan, effects: &mut Vec<Effect>) {
        let plan = match &batch.work {
            Some((_, Work::GoBack(source, progress))) => self.with_go_back(plan, source, progress),
            Some((_, Work::TakeOver(vector))) => self.with_take_over(plan, vector),
            Some((_, Work::Frame(_))) | None => plan,
        };
        if let Some(proof) = self.proof(&batch, &plan) {
            let reason = StopReason::LossProven(proof);
            Self::fail(batch, &Refusal::NotWriter, effects);
            self.stop(reason, &Refusal::NotWriter, effects);
            return;
        }
        if let Some(write) = &plan.batch {
            effects.push(Effect::Commit(Box::new(write.clone())));
            if mutant!("answered-before-the-commit") {
                return self.adopt(batch, plan, effects);
            }
            self.phase = Phase::Committing(batch, Box::new(plan));
        } else {
            self.core.clock_ahead = plan.next.clock_ahead;
            Self::answer(batch, plan.outcomes, plan.frame, effects);
        }
    }

    /// The event of a batch's frame that proves a loss: one beyond the history here, or another one than was written under its id.
    fn proof(&self, batch: &Batch, plan: &Plan) -> Option<Box<FrameEvent>> {
        match &plan.frame {
            Some(FrameOutcome::LossProven(proof)) => Some(proof.clone()),
            Some(FrameOutcome::Applied { redundant, .. }) if *redundant > 0 => {
                let mut events = batch.frame()?.frame.events.iter();
                let mine = &self.core.origin;
                let other = events.find(|e| self.recent.contradicts(mine, e));
                other.cloned().map(Box::new)
            }
            _ => None,
        }
    }

    fn with_go_back(&self, mut plan: Plan, source: &LocationName, progress: &Progress) -> Plan {
        let held = self.core.progress.get(source).map_or(0, |p| p.position);
        if progress.position > held && !mutant!("going-back-may-go-forward") {
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
                && (o.incarnation < self.core.origin.incarnation
                    || mutant!("takes-over-the-incarnation-in-force"))
        });
        if !plan.next.covered_vector.covers(&closed) {
            plan.next.covered_vector.merge(&closed);
            let batch = plan
                .batch
                .get_or_insert_with(|| vectors_only(&self.core, &plan.next));
            batch.covered_vector.clone_from(&plan.next.covered_vector);
        }
        plan.frame = Some(FrameOutcome::Applied {
            stored: 0,
            redundant: 0,
        });
        plan
    }
}

/// Moves the start of the next batch to right after the witness of the last one: the database works while answers go out.
fn start_early(effects: &mut [Effect]) {
    let witness = effects
        .iter()
        .rposition(|e| matches!(e, Effect::Witness { .. }));
    let start = effects
        .iter()
        .rposition(|e| matches!(e, Effect::Commit(_) | Effect::Check(_)));
    if let (Some(witness), Some(start)) = (witness, start)
        && witness + 1 < start
        && !mutant!("next-batch-waits-for-answers")
    {
        effects[witness + 1..=start].rotate_right(1);
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
