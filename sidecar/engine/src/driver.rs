//! Drives one [`Writer`]: carries out its effects in order, one store operation in flight.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tidelog_core::{
    Effect, FrameOutcome, Input, ProvenHead, Refusal, Resolution, StopReason, Ticket, Writer,
};
use tidelog_model::mutant;
use tidelog_store::{CommitError, InstanceId, LeaseOutcome, StoreError};
use tokio::sync::oneshot;

use crate::log::{AppendReply, Command, LogPhase};
use crate::supervisor::{Stopped, Supervisor, take_lease};

/// How a writer's life ended, for the supervisor.
pub(crate) enum Ended {
    ShutDown,
    Again,
}

type InFlight<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A writer whose database has not answered for so many leases stops.
pub(crate) const CUT_OFF_LEASES: u32 = 2;

/// Under which nonce it was looked, whether the lease was renewed, and which database did it.
type Look = (u64, Result<(bool, InstanceId), StoreError>);

enum Reply {
    Append(AppendReply),
    Work(oneshot::Sender<FrameOutcome>),
}

pub(crate) struct Driver<'a> {
    supervisor: &'a mut Supervisor,
    writer: Writer,
    instance: InstanceId,
    /// Everything this writer has tried to hold the lease under, the last one at the end.
    nonces: Vec<u64>,
    /// What belongs to streams of another one is refused.
    epoch: u64,
    replies: HashMap<Ticket, Reply>,
    next_ticket: Ticket,
    in_flight: Option<InFlight<Input>>,
    /// Runs beside the operation in flight: both must be polled, a store may let one wait for the other.
    looking: Option<InFlight<Look>>,
    commit_started: Option<Instant>,
    resolve_pause: Duration,
    /// The head that others have been shown.
    shown: u64,
    stopped: Option<StopReason>,
    /// Nothing may follow this writer.
    shut_down: bool,
    /// Nobody is left who could ask for anything.
    alone: bool,
    /// Since when the database owes an answer; a process that stood still has not asked meanwhile.
    asked: Option<tokio::time::Instant>,
    /// It has not come.
    is_cut_off: bool,
    /// Somebody else may have held the lease since this writer began.
    others: Arc<AtomicBool>,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(
        supervisor: &'a mut Supervisor,
        writer: Writer,
        instance: InstanceId,
        nonce: u64,
    ) -> Self {
        let epoch = *supervisor.epoch.borrow();
        let shown = writer.core().view().head;
        Self {
            supervisor,
            writer,
            instance,
            nonces: vec![nonce],
            epoch,
            replies: HashMap::new(),
            next_ticket: 0,
            in_flight: None,
            looking: None,
            commit_started: None,
            resolve_pause: Duration::ZERO,
            shown,
            stopped: None,
            shut_down: false,
            alone: false,
            asked: None,
            is_cut_off: false,
            others: Arc::default(),
        }
    }

    /// Runs until the writer stops.
    pub(crate) async fn run(mut self) -> Stopped {
        let third = (self.supervisor.options.lease_ttl / 3).max(Duration::from_millis(100));
        let mut lease = tokio::time::interval_at(tokio::time::Instant::now() + third, third);
        lease.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut prune = tokio::time::interval(Duration::from_mins(1));
        prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        prune.reset();
        let recovering = tokio::time::sleep(self.supervisor.recovering_for);
        tokio::pin!(recovering);
        let mut recovering_over = !self.supervisor.status.borrow().recovering;
        let mut commands = Vec::with_capacity(256);
        while self.stopped.is_none() {
            tokio::select! {
                biased;
                input = wait(&mut self.in_flight) => {
                    self.in_flight = None;
                    if matches!(input, Input::Committed(Ok(())) | Input::Resolved(Ok(_))) {
                        self.asked = None;
                    }
                    self.measure(&input);
                    // What arrived meanwhile joins the next batch.
                    self.drain();
                    self.handle(input);
                }
                count = self.supervisor.inbox.recv_many(&mut commands, 256), if !self.alone => {
                    if count == 0 {
                        self.alone = true;
                        self.shut_down();
                    }
                    for command in commands.drain(..) {
                        self.take(command);
                    }
                    if self.in_flight.is_none() {
                        // The first of a burst wakes this task before its neighbours have been decoded: a commit for it alone would
                        // make all of them wait.
                        tokio::task::yield_now().await;
                        self.drain();
                    }
                    self.handle(Input::Go);
                }
                found = wait(&mut self.looking) => {
                    self.looking = None;
                    self.looked(found);
                }
                _ = lease.tick() => {
                    self.keep_lease();
                    let silent = self.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
                    if silent > self.supervisor.options.lease_ttl * CUT_OFF_LEASES {
                        self.cut_off(silent);
                    }
                    self.handle(Input::Tick);
                }
                _ = prune.tick() => self.prune(),
                () = &mut recovering, if !recovering_over => {
                    recovering_over = true;
                    self.recovered();
                }
            }
        }
        let core = self.writer.core().view();
        let head = ProvenHead {
            sequence: core.head,
            hash: core.hash,
        };
        Stopped {
            reason: self.stopped.unwrap_or(StopReason::ShutDown),
            head,
            nonces: self.nonces,
            shut_down: self.shut_down,
        }
    }

    /// Commits by the clock of this process, from the start of the statement to its answer.
    fn measure(&mut self, input: &Input) {
        if let (Input::Committed(Ok(())), Some(started)) = (input, self.commit_started.take()) {
            let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            let counters = &self.supervisor.counters;
            counters.commit_micros.fetch_add(micros, Ordering::Relaxed);
        }
    }

    fn drain(&mut self) {
        while let Ok(command) = self.supervisor.inbox.try_recv() {
            self.take(command);
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Append(request, reply) => {
                let ticket = self.ticket(Reply::Append(reply));
                self.handle(Input::Append(ticket, request));
            }
            Command::Work(epoch, work, reply) => {
                if epoch != self.epoch && !mutant!("frames-outlive-their-writer") {
                    // It may leave out what the log of that time held and this one does not.
                    let why = "the stream belongs to a writer before this one".to_owned();
                    let _ = reply.send(FrameOutcome::Failed(why));
                    return;
                }
                let ticket = self.ticket(Reply::Work(reply));
                self.handle(Input::Work(ticket, work));
            }
            Command::Stamp(stamp) => {
                self.supervisor.options.stamp = stamp.clone();
                self.handle(Input::Stamp(stamp));
            }
            Command::Loss(event) => {
                // Whoever reports has judged by what was shown then: the loss may be mended by now, or the event be one of this very writer.
                if self.writer.core().is_missing(&event) || mutant!("any-report-is-a-loss") {
                    self.stop(StopReason::LossProven(event));
                }
            }
            Command::Recovered(epoch) => {
                if epoch == self.epoch || mutant!("recovery-of-another-writer") {
                    self.recovered();
                }
            }
            Command::Ends(ends) => self.supervisor.publisher.set_ends(ends),
            Command::ShutDown => self.shut_down(),
        }
    }

    fn nonce(&self) -> u64 {
        self.nonces.last().copied().unwrap_or_default()
    }

    fn ticket(&mut self, reply: Reply) -> Ticket {
        self.next_ticket += 1;
        self.replies.insert(self.next_ticket, reply);
        self.next_ticket
    }

    fn handle(&mut self, input: Input) {
        if self.stopped.is_some() {
            return self.turn_away(input);
        }
        let mut effects = self.writer.handle(input, self.supervisor.now()).into_iter();
        for effect in effects.by_ref() {
            if let Effect::Witness { head, hash } = effect {
                let head = ProvenHead {
                    sequence: head,
                    hash,
                };
                let told = self.supervisor.options.witness.committed(head);
                if let Err(error) = told
                    && !mutant!("unwitnessed-commit-answered")
                {
                    return self.withhold(&error, effects);
                }
                continue;
            }
            self.carry_out(effect);
            if self.stopped.is_some() {
                break;
            }
        }
    }

    /// The witness does not know of the last commit: nobody else may either, it could be lost without being missed. Only requests of that
    /// commit are in the log without being told so; everything else has not been sent to the database and never will be.
    fn withhold(&mut self, error: &std::io::Error, effects: impl Iterator<Item = Effect>) {
        tracing::error!(%error, "the witness cannot be written; the writer stops until it can");
        for effect in effects {
            let Effect::Answer(ticket, outcome) = effect else {
                continue;
            };
            let text = "it is committed, but the witness of this location cannot be written";
            let outcome = match *outcome {
                Ok(old) if old.replayed && old.last_sequence <= self.shown => Ok(old),
                Ok(_) => Err(Refusal::OutcomeUnknown(text.to_owned())),
                // What it says may speak of the commit.
                Err(_) => Err(Refusal::NotWriter),
            };
            if let Some(Reply::Append(reply)) = self.replies.remove(&ticket) {
                reply.send(outcome);
            }
        }
        for (_, reply) in self.replies.drain() {
            refuse(reply, self.shut_down);
        }
        let reason = format!("the witness cannot be written: {error}");
        self.stopped = Some(StopReason::StateChanged(reason));
    }

    /// After the stop: whoever still comes is told to come again.
    fn turn_away(&mut self, input: Input) {
        if let Input::Append(ticket, _) | Input::Work(ticket, _) = input
            && let Some(reply) = self.replies.remove(&ticket)
        {
            refuse(reply, self.shut_down);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let store = self.supervisor.options.store.clone();
        match effect {
            Effect::Check(query) => {
                self.start(async move { Input::Checked(store.check(&query).await) });
            }
            Effect::Commit(batch) => {
                self.commit_started = Some(Instant::now());
                self.start(async move { Input::Committed(store.commit(&batch).await) });
            }
            Effect::Find(ids) => {
                self.start(async move { Input::Found(store.find(&ids).await) });
            }
            Effect::Resolve { planned_head } => self.resolve(planned_head),
            // Seen to before.
            Effect::Witness { .. } => {}
            Effect::Publish { events, view } => self.publish(events, *view),
            Effect::Answer(ticket, outcome) => {
                let counters = &self.supervisor.counters;
                let count = if outcome.is_ok() {
                    &counters.accepted_requests
                } else {
                    &counters.refused_requests
                };
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(Reply::Append(reply)) = self.replies.remove(&ticket) {
                    reply.send(*outcome);
                }
            }
            Effect::WorkDone(ticket, outcome) => {
                if let FrameOutcome::Applied { stored, redundant } = &outcome {
                    let counters = &self.supervisor.counters;
                    counters
                        .replicated_events
                        .fetch_add(*stored as u64, Ordering::Relaxed);
                    counters
                        .redundant_events
                        .fetch_add(*redundant as u64, Ordering::Relaxed);
                }
                if let Some(Reply::Work(reply)) = self.replies.remove(&ticket) {
                    let _ = reply.send(outcome);
                }
            }
            Effect::Stop(reason) => self.stopped = Some(reason),
        }
    }

    fn publish(&mut self, events: Vec<tidelog_model::StoredEvent>, view: tidelog_core::LogView) {
        let counters = &self.supervisor.counters;
        let own = events.iter().filter(|e| e.appended_here).count() as u64;
        counters.appended_events.fetch_add(own, Ordering::Relaxed);
        counters.batches.fetch_add(1, Ordering::Relaxed);
        counters
            .guard_hits
            .store(self.writer.guard_hits(), Ordering::Relaxed);
        counters
            .clock_ahead
            .store(self.writer.core().clock_ahead(), Ordering::Relaxed);
        self.resolve_pause = Duration::ZERO;
        self.shown = view.head;
        self.nonces.drain(..self.nonces.len().saturating_sub(1));
        self.supervisor.publisher.publish(events, view);
    }

    /// Starts an operation at once: its statement is on its way to the database before this task does anything else.
    fn start(&mut self, operation: impl Future<Output = Input> + Send + 'static) {
        let mut operation: InFlight<Input> = Box::pin(operation);
        self.in_flight = Some(match operation.as_mut().now_or_never() {
            Some(input) => Box::pin(std::future::ready(input)),
            None => operation,
        });
    }

    /// Looks up what became of a commit. The lease is taken under a new nonce first, so the statement in doubt has committed or never can.
    fn resolve(&mut self, planned_head: u64) {
        self.supervisor
            .counters
            .resolved_commits
            .fetch_add(1, Ordering::Relaxed);
        let store = self.supervisor.options.store.clone();
        let nonce = self.supervisor.nonce();
        let lease = self.supervisor.lease(nonce);
        let pause = self.resolve_pause;
        self.resolve_pause = (pause * 2).clamp(Duration::from_millis(20), Duration::from_secs(1));
        let mine = self.nonces.clone();
        self.nonces.push(nonce);
        let options = self.supervisor.options.clone();
        let others = Arc::clone(&self.others);
        self.start(async move {
            tokio::time::sleep(pause).await;
            let look = async {
                // Not mine in between: another writer may have written what a fail-over has lost since.
                let (outcome, alone) = take_lease(&options, &mine, &lease, &others).await?;
                let hash_at_planned_head = store.hash_at(planned_head).await?;
                Ok(match outcome {
                    LeaseOutcome::Acquired(state) => Resolution {
                        nonce: (alone || mutant!("resolved-over-another-writer")).then_some(nonce),
                        state: *state,
                        hash_at_planned_head,
                    },
                    LeaseOutcome::Held(_) => Resolution {
                        nonce: None,
                        state: store.state().await?,
                        hash_at_planned_head,
                    },
                })
            };
            Input::Resolved(look.await)
        });
    }

    /// Renews the lease and looks whether the database is still the same one.
    fn keep_lease(&mut self) {
        self.asked.get_or_insert_with(tokio::time::Instant::now);
        let resolving = self.in_flight.is_some() && self.resolve_pause > Duration::ZERO;
        if resolving || self.looking.is_some() {
            return;
        }
        let store = self.supervisor.options.store.clone();
        let lease = self.supervisor.lease(self.nonce());
        self.looking = Some(Box::pin(async move {
            let look = async { Ok((store.renew_lease(&lease).await?, store.instance().await?)) };
            let found = tokio::time::timeout(lease.ttl, look)
                .await
                .unwrap_or_else(|_| {
                    Err(StoreError::Unavailable("no answer within the lease".into()))
                });
            (lease.nonce, found)
        }));
    }

    fn looked(&mut self, (nonce, found): Look) {
        if nonce != self.nonce() {
            // The lease was taken anew meanwhile, by this very process.
            return;
        }
        match found {
            Ok((true, instance)) if instance == self.instance => {
                self.asked = None;
            }
            Ok((false, _)) => self.stop(StopReason::Fenced),
            Ok((true, instance)) => {
                let detail = format!("database instance {} became {instance}", self.instance);
                self.stop(StopReason::StateChanged(detail));
            }
            Err(error) => tracing::warn!(%error, "lease not renewed"),
        }
    }

    /// Another writer may be at work since the lease has run out. Nothing that this one does can be taken for its own any more, but who waits here would
    /// wait for ever: for an answer, or for news.
    fn cut_off(&mut self, silent: Duration) {
        // Once: what it is waited for afterwards is a look at the outcome.
        if self.is_cut_off || mutant!("cut-off-writer-goes-on") {
            return;
        }
        self.is_cut_off = true;
        let detail = format!("the database has not answered for {} s", silent.as_secs());
        tracing::warn!(log = %self.supervisor.options.log, location = %self.supervisor.options.location, detail, "the writer stops: another one may be at work");
        self.supervisor.set_phase(LogPhase::Failing(detail.clone()));
        if self.commit_started.is_some() {
            // The store knows that nobody waits for it any more: the outcome stands before the state is read again.
            let unknown = CommitError::Unknown(detail.clone());
            self.in_flight = Some(Box::pin(std::future::ready(Input::Committed(Err(unknown)))));
        }
        self.stop(StopReason::CutOff(detail));
    }

    /// Stops when the commit in flight, if there is one, has been decided.
    fn stop(&mut self, reason: StopReason) {
        self.handle(Input::Stop(reason));
    }

    fn shut_down(&mut self) {
        self.shut_down = true;
        // Whoever comes from now on is told by the closed inbox.
        self.supervisor.inbox.close();
        self.handle(Input::ShutDown);
    }

    fn recovered(&mut self) {
        self.writer.set_recovering(false);
        self.supervisor.recovered();
    }

    fn prune(&mut self) {
        let store = self.supervisor.options.store.clone();
        let retention = self.supervisor.options.retention;
        let now = self.supervisor.now();
        tokio::spawn(async move {
            match store.prune_requests(now, retention).await {
                Ok(0) => {}
                Ok(forgotten) => tracing::debug!(forgotten, "request ids forgotten"),
                Err(error) => tracing::warn!(%error, "request ids not pruned"),
            }
        });
    }
}

/// Answers what has not been sent to the database.
fn refuse(reply: Reply, shut_down: bool) {
    let refusal = if shut_down {
        Refusal::ShuttingDown
    } else {
        Refusal::NotWriter
    };
    match reply {
        Reply::Append(reply) => reply.send(Err(refusal)),
        Reply::Work(reply) => {
            let _ = reply.send(FrameOutcome::Failed(refusal.to_string()));
        }
    }
}

/// The operation in flight, or for ever.
async fn wait<T>(in_flight: &mut Option<InFlight<T>>) -> T {
    match in_flight {
        Some(operation) => operation.await,
        None => std::future::pending().await,
    }
}
