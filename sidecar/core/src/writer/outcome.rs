//! What becomes of a batch: committed, refused, or first to be found out.
//!
//! What a request is told when its batch is not committed: what was refused for reasons of its own keeps that answer, what was in the
//! log before the batch is there still, and everything else gets the error of the batch.

use tidelog_model::{EventId, mutant};
use tidelog_store::{CommitError, IdRow, StoreError, WriteBatch};

use super::{Batch, Effect, Phase, Resolution, StopReason, Work, Writer};
use crate::append::{Accepted, Refusal};
use crate::frame::{FrameEvent, FrameFault, FrameOutcome};
use crate::log::{FrameWork, Plan};

/// What a fresh look at the database makes of a batch of unknown outcome.
enum Fate {
    /// It is in the log, and nothing after it.
    Committed,
    /// It is in the log; somebody else has written since.
    Overtaken,
    /// It is not in the log and can never be.
    Lost,
    /// The database is not what this writer left; the batch is not in it.
    Changed,
    /// A raise above this incarnation may have taken the batch back or rewritten it.
    Raised,
}

impl Writer {
    pub(super) fn committed(
        &mut self,
        outcome: Result<(), CommitError>,
        now_micros: i64,
        effects: &mut Vec<Effect>,
    ) {
        match &outcome {
            // What has just arrived still joins.
            Ok(()) => self.plan_ahead(now_micros),
            Err(_) if mutant!("planned-ahead-outlives-a-failure") => {}
            Err(_) => self.forget_ahead(),
        }
        let (batch, plan) = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Committing(batch, plan) => (batch, plan),
            other => {
                self.phase = other;
                return;
            }
        };
        match outcome {
            Ok(()) => self.adopt(batch, *plan, effects),
            Err(CommitError::Fenced) => {
                Self::fail(batch, &Refusal::NotWriter, effects);
                if mutant!("fenced-writer-goes-on") {
                    return;
                }
                self.stop(StopReason::Fenced, &Refusal::NotWriter, effects);
            }
            // Whoever remembers what this writer left may find it there: that is for the next start to prove.
            Err(error @ CommitError::AnotherDatabase { .. }) => {
                Self::fail(batch, &Refusal::NotWriter, effects);
                let reason = StopReason::StateChanged(error.to_string());
                self.stop(reason, &Refusal::NotWriter, effects);
            }
            Err(CommitError::DuplicateIdentity) => self.find(batch, effects),
            Err(CommitError::Failed(error)) => {
                self.give_up(batch, plan.outcomes, &Refusal::Store(error), effects);
            }
            Err(CommitError::Unknown(why)) if mutant!("unknown-is-failed") => {
                Self::fail(
                    batch,
                    &Refusal::Store(StoreError::Unavailable(why)),
                    effects,
                );
            }
            Err(CommitError::Unknown(_)) => {
                let planned_head = self.planned_head(&plan);
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

    fn planned_head(&self, plan: &Plan) -> u64 {
        plan.batch.as_ref().map_or(self.core.head, WriteBatch::head)
    }

    /// Asks where the ids of a batch are that the store holds already.
    fn find(&mut self, batch: Batch, effects: &mut Vec<Effect>) {
        if let Some((_, Work::Frame(work))) = &batch.work {
            let ids = work.frame.events.iter().map(|e| e.event.id.clone());
            effects.push(Effect::Find(ids.collect()));
            self.phase = Phase::Finding(batch);
        } else {
            Self::fail(batch, &Refusal::NotWriter, effects);
            self.stop_for_own_id(effects);
        }
    }

    /// The unique key caught an id that the vector had let pass: equal content is dropped and counted, other content stalls the edge.
    pub(super) fn found(
        &mut self,
        found: Result<Vec<Option<IdRow>>, StoreError>,
        effects: &mut Vec<Effect>,
    ) {
        let mut batch = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Finding(batch) => batch,
            other => {
                self.phase = other;
                return;
            }
        };
        let rows = match found {
            Ok(rows) => rows,
            Err(error) => return Self::fail(batch, &Refusal::Store(error), effects),
        };
        if let Some((ticket, Work::Frame(mut work))) = batch.work.take() {
            let held: Vec<_> = work.frame.events.drain(..).zip(rows).collect();
            if let Some(fault) = held.iter().find_map(reused) {
                effects.push(Effect::WorkDone(ticket, FrameOutcome::Stalled(fault)));
            } else if held.iter().all(|(_, row)| row.is_none()) {
                // The clash was not with the frame: this writer's memory is not what the database holds.
                let outcome = FrameOutcome::Failed("an own id is stored already".into());
                effects.push(Effect::WorkDone(ticket, outcome));
                Self::fail(batch, &Refusal::NotWriter, effects);
                return self.stop_for_own_id(effects);
            } else {
                self.retry_without_held(ticket, work, held);
            }
        }
        for (ticket, request) in batch.requests.into_iter().rev() {
            self.queue_bytes += request.approximate_bytes();
            self.queue.push_front((ticket, request));
        }
    }

    fn retry_without_held(
        &mut self,
        ticket: super::Ticket,
        mut work: Box<FrameWork>,
        held: Vec<(FrameEvent, Option<IdRow>)>,
    ) {
        let known = &self.core.version_vector;
        // What the vector covers is dropped by rule; only what it let pass is a hit of the second guard.
        self.guard_hits += held
            .iter()
            .filter(|(e, row)| row.is_some() && !known.covers_id(&e.event.id))
            .count() as u64;
        work.frame.events = held
            .into_iter()
            .filter(|(_, row)| row.is_none())
            .map(|(e, _)| e)
            .collect();
        self.work.push_front((ticket, Work::Frame(work)));
    }

    fn stop_for_own_id(&mut self, effects: &mut Vec<Effect>) {
        let reason = StopReason::StateChanged("an own event id is stored already".to_owned());
        self.stop(reason, &Refusal::NotWriter, effects);
    }

    pub(super) fn resolved(
        &mut self,
        resolution: Result<Resolution, StoreError>,
        now_micros: i64,
        effects: &mut Vec<Effect>,
    ) {
        let (batch, mut plan, since_micros, answered) =
            match std::mem::replace(&mut self.phase, Phase::Idle) {
                Phase::Resolving {
                    batch,
                    plan,
                    since_micros,
                    answered,
                } => (batch, plan, since_micros, answered),
                other => {
                    self.phase = other;
                    return;
                }
            };
        let Ok(resolution) = resolution else {
            let planned_head = self.planned_head(&plan);
            effects.push(Effect::Resolve { planned_head });
            self.phase = Phase::Resolving {
                batch,
                plan,
                since_micros,
                answered,
            };
            return self.tick(now_micros, effects);
        };
        let state = &resolution.state;
        match self.fate(&plan, &resolution) {
            Fate::Committed => {
                if let Some(nonce) = resolution.nonce {
                    plan.next.set_nonce(nonce);
                    return self.adopt(batch, *plan, effects);
                }
                Self::answer(batch, plan.outcomes, plan.frame, effects);
            }
            // Answered, but not published: what this process shows and tells the witness must not fall behind what the other one wrote.
            Fate::Overtaken => Self::answer(batch, plan.outcomes, plan.frame, effects),
            Fate::Lost => {
                let lost = Refusal::Store(StoreError::Unavailable(
                    "the connection broke before the request was committed; it is not in the log"
                        .into(),
                ));
                self.give_up(batch, plan.outcomes, &lost, effects);
                if let Some(nonce) = resolution.nonce {
                    self.core.set_nonce(nonce);
                    // Nothing was added, but what is stored beside the batches has to name the new nonce from now on.
                    effects.push(Effect::Publish {
                        events: Vec::new(),
                        view: Box::new(self.core.view()),
                    });
                    return;
                }
            }
            Fate::Changed => Self::fail(batch, &Refusal::NotWriter, effects),
            Fate::Raised => {
                let unknown = Refusal::OutcomeUnknown(format!(
                    "the log was raised to incarnation {} meanwhile",
                    state.incarnation()
                ));
                self.give_up(batch, plan.outcomes, &unknown, effects);
            }
        }
        let reason = match resolution.nonce {
            None => StopReason::Fenced,
            Some(_) => StopReason::StateChanged(format!(
                "the database is at {} (incarnation {}), this writer left it at {} (incarnation {})",
                state.head,
                state.incarnation(),
                self.core.head,
                self.core.origin.incarnation
            )),
        };
        self.stop(reason, &Refusal::NotWriter, effects);
    }

    fn fate(&self, plan: &Plan, resolution: &Resolution) -> Fate {
        let state = &resolution.state;
        if mutant!("unknown-is-committed") {
            return Fate::Committed;
        }
        let mine = self.core.origin.incarnation;
        let same_life = state.incarnation() == mine;
        let untouched = same_life && state.head == self.core.head && state.hash == self.core.hash;
        let planned_head = self.planned_head(plan);
        let (written, vectors_only) = plan.batch.as_ref().map_or((false, true), |batch| {
            if batch.events.is_empty() {
                // Head and hash stay as they were: vectors and progress tell.
                let moved = batch.progress.as_ref();
                let progress = moved.is_none_or(|(s, p)| state.progress.get(s) == Some(p));
                let vectors = state.version_vector == batch.version_vector
                    && state.covered_vector == batch.covered_vector;
                (untouched && progress && vectors, true)
            } else {
                // The chain runs over ids and digests: equal means that these very events are there.
                (
                    resolution.hash_at_planned_head == Some(batch.hash)
                        || (mutant!("resolved-by-the-head-alone") && state.head >= planned_head),
                    false,
                )
            }
        });
        let rewritable =
            |e: &tidelog_model::LineageEntry| e.incarnation > mine && e.base < planned_head;
        if written && same_life && state.head == planned_head {
            Fate::Committed
        } else if written {
            Fate::Overtaken
        } else if untouched {
            Fate::Lost
        } else if !vectors_only && state.lineage.entries().iter().any(rewritable) {
            Fate::Raised
        } else {
            Fate::Changed
        }
    }

    pub(super) fn tick(&mut self, now_micros: i64, effects: &mut Vec<Effect>) {
        let limit = self.limits.resolve_micros_max;
        if let Phase::Resolving {
            batch,
            plan,
            since_micros,
            answered,
        } = &mut self.phase
            && !*answered
            && now_micros.saturating_sub(*since_micros) > limit
            && !mutant!("unknown-never-told")
        {
            *answered = true;
            let refusal =
                Refusal::OutcomeUnknown("the database cannot be reached to look it up".into());
            let given_up = Batch {
                requests: std::mem::take(&mut batch.requests),
                work: batch.work.take(),
            };
            let outcomes = std::mem::take(&mut plan.outcomes);
            self.give_up(given_up, outcomes, &refusal, effects);
        }
    }

    pub(super) fn adopt(&mut self, batch: Batch, plan: Plan, effects: &mut Vec<Effect>) {
        let Plan {
            batch: write,
            mut next,
            outcomes,
            frame,
        } = plan;
        // May have changed while the batch was in flight.
        if !mutant!("recovery-never-ends") {
            next.set_recovering(self.core.recovering);
        }
        self.core = next;
        let events = write.map(|b| b.events).unwrap_or_default();
        self.recent.note(&events);
        effects.push(Effect::Witness {
            head: self.core.head,
            hash: self.core.hash,
        });
        if mutant!("witness-not-told") {
            effects.pop();
        }
        effects.push(Effect::Publish {
            events,
            view: Box::new(self.core.view()),
        });
        Self::answer(batch, outcomes, frame, effects);
    }

    pub(super) fn answer(
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

    /// Answers a planned batch that is not (known to be) in the log: with `refusal`, but for answers that do not depend on the batch.
    fn give_up(
        &self,
        batch: Batch,
        outcomes: Vec<Result<Accepted, Refusal>>,
        refusal: &Refusal,
        effects: &mut Vec<Effect>,
    ) {
        let head = self.core.head;
        let stands = |outcome: &Result<Accepted, Refusal>| match outcome {
            Ok(accepted) => {
                accepted.replayed
                    && (accepted.last_sequence <= head || mutant!("replayed-from-a-failed-batch"))
            }
            // Both may speak of an earlier request of this very batch.
            Err(Refusal::RequestIdReused { .. }) => false,
            Err(Refusal::ConditionFailed { found, .. }) => {
                *found <= head || mutant!("failed-by-a-failed-batch")
            }
            Err(_) => true,
        };
        for ((ticket, _), outcome) in batch.requests.into_iter().zip(outcomes) {
            let outcome = if stands(&outcome) {
                outcome
            } else {
                Err(refusal.clone())
            };
            effects.push(Effect::Answer(ticket, Box::new(outcome)));
        }
        Self::fail_work(batch.work, refusal, effects);
    }

    /// Answers a whole batch with one error.
    pub(super) fn fail(batch: Batch, refusal: &Refusal, effects: &mut Vec<Effect>) {
        for (ticket, _) in batch.requests {
            effects.push(Effect::Answer(ticket, Box::new(Err(refusal.clone()))));
        }
        Self::fail_work(batch.work, refusal, effects);
    }

    pub(super) fn fail_work(
        work: impl IntoIterator<Item = (super::Ticket, Work)>,
        refusal: &Refusal,
        effects: &mut Vec<Effect>,
    ) {
        for (ticket, _) in work {
            let outcome = FrameOutcome::Failed(refusal.to_string());
            effects.push(Effect::WorkDone(ticket, outcome));
        }
    }

    pub(super) fn refuse_queue(&mut self, refusal: &Refusal, effects: &mut Vec<Effect>) {
        self.forget_ahead();
        self.queue_bytes = 0;
        let batch = Batch {
            requests: self.queue.drain(..).collect(),
            work: None,
        };
        Self::fail(batch, refusal, effects);
        Self::fail_work(self.work.drain(..), refusal, effects);
    }

    pub(super) fn stop(
        &mut self,
        reason: StopReason,
        refusal: &Refusal,
        effects: &mut Vec<Effect>,
    ) {
        self.refuse_queue(refusal, effects);
        self.phase = Phase::Stopped;
        self.stopping = None;
        effects.push(Effect::Stop(reason));
    }
}

/// Two contents under one id: here and received.
fn reused((event, row): &(FrameEvent, Option<IdRow>)) -> Option<FrameFault> {
    let row = row
        .as_ref()
        .filter(|row| row.digest != event.digest && !mutant!("reused-identity-dropped"))?;
    let id: EventId = row.id.clone();
    Some(FrameFault::IdentityReused {
        id,
        held: row.digest,
        received: event.digest,
    })
}
