//! Keeps a writer running: lease, continuity, raise, serve; and again when the writer stops.

mod continuity;
mod lease;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use thiserror::Error;
use tidelog_core::{
    FrameEvent, FrameOutcome, Identity, LogCore, LogView, Memory, ProvenHead, Refusal, StopReason,
    Writer,
};
use tidelog_model::{Incarnation, VectorTime, mutant};
use tidelog_store::{
    CommitError, InstanceId, Lease, LeaseOutcome, LogState, StoreError, StoredLease,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::driver::{CUT_OFF_LEASES, Driver, Ended};
use crate::errors::Closed;
use crate::log::{Command, LogCounters, LogPhase, LogStatus};
use crate::options::LogOptions;
use crate::publish::Publisher;
use crate::witness::Recorded;
pub(crate) use lease::take_lease;

/// A database that is gone does not hold up a stop.
const GIVE_BACK_MAX: Duration = Duration::from_secs(3);

/// Why an attempt to become the writer did not succeed.
#[derive(Debug, Error)]
enum StartError {
    #[error("another process is the writer: {}", .0.owner)]
    Held(StoredLease),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("cannot raise the incarnation: {0}")]
    Raise(#[from] CommitError),
    #[error("cannot use the witness: {0}")]
    Witness(#[from] io::Error),
    #[error("it shuts down")]
    Ending,
}

/// What an earlier writer of this process knew when it stopped.
#[derive(Debug, Default)]
struct Legacy {
    memory: Memory,
    /// The event that proves a loss, if that is why it stopped.
    loss: Option<Box<FrameEvent>>,
    /// The lease was taken, or may have been taken, under one of these since.
    nonces: Vec<u64>,
    /// Somebody else may have held it since.
    others: AtomicBool,
}

/// How the life of a writer ended.
pub(crate) struct Stopped {
    pub(crate) reason: StopReason,
    /// The head it last saw committed.
    pub(crate) head: ProvenHead,
    /// What it wrote under, the last one at the end.
    pub(crate) nonces: Vec<u64>,
    /// Nothing may follow it, whatever it stopped for.
    pub(crate) shut_down: bool,
}

pub(crate) struct Supervisor {
    pub(crate) options: LogOptions,
    pub(crate) publisher: Publisher,
    pub(crate) inbox: mpsc::Receiver<Command>,
    pub(crate) status: watch::Sender<LogStatus>,
    pub(crate) epoch: watch::Sender<u64>,
    pub(crate) counters: Arc<LogCounters>,
    /// The greatest incarnation of this location that a peer has named.
    named: Arc<AtomicU32>,
    legacy: Legacy,
    /// Head and version vector at which continuity was last proven.
    proven: Option<(ProvenHead, VectorTime)>,
    /// The incarnation whose lost events are back, or are waited for no longer.
    recovered: Option<Incarnation>,
    /// How long the writer still waits for lost events.
    pub(crate) recovering_for: Duration,
    /// When another writer's lease was seen last.
    stood_by: Option<Instant>,
    /// Raises that were not long ago: one is forgotten every minute.
    raises: u32,
    last_raise: Option<Instant>,
    /// True, or closed, when the log is to end.
    ending: watch::Receiver<bool>,
}

/// Between two looks of a standby at the lease.
const LOOK_MIN: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_secs(1);

impl Supervisor {
    #[expect(
        clippy::too_many_arguments,
        reason = "what its handle holds the other end of"
    )]
    pub(crate) fn new(
        options: LogOptions,
        publisher: Publisher,
        inbox: mpsc::Receiver<Command>,
        status: watch::Sender<LogStatus>,
        epoch: watch::Sender<u64>,
        counters: Arc<LogCounters>,
        named: Arc<AtomicU32>,
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self {
            options,
            publisher,
            inbox,
            status,
            epoch,
            counters,
            named,
            legacy: Legacy::default(),
            proven: None,
            recovered: None,
            recovering_for: Duration::ZERO,
            stood_by: None,
            raises: 0,
            last_raise: None,
            ending,
        }
    }

    pub(crate) async fn run(mut self) {
        self.publisher.close(Closed::NotWriter {
            address: String::new(),
        });
        let mut pause = Duration::from_millis(50);
        loop {
            // Who stands by does so until it has the lease: a look at it is no change, and those who are led to the writer stay connected.
            if !matches!(self.status.borrow().phase, LogPhase::Standby { .. }) {
                self.set_phase(LogPhase::Starting);
            }
            let nonce = self.nonce();
            match self.become_writer(nonce).await {
                Ok((writer, instance)) => {
                    pause = Duration::from_millis(50);
                    match self.serve(writer, instance, nonce).await {
                        Ended::ShutDown => break,
                        Ended::Again => {}
                    }
                }
                Err(StartError::Ending) => {
                    // Whoever comes next need not wait until it runs out.
                    let giving_back = self.options.store.release_lease(nonce);
                    if !matches!(timeout(GIVE_BACK_MAX, giving_back).await, Ok(Ok(()))) {
                        tracing::debug!(
                            "lease not given back; a successor waits until it runs out"
                        );
                    }
                    break;
                }
                Err(error) => {
                    let wait = self.explain(&error, &mut pause);
                    if self.idle(wait).await {
                        break;
                    }
                }
            }
        }
        self.close_inbox().await;
        self.publisher.close(Closed::ShuttingDown);
        self.set_phase(LogPhase::Stopped);
    }

    pub(crate) fn now(&self) -> i64 {
        (self.options.reader.clock)()
    }

    pub(crate) fn nonce(&self) -> u64 {
        // The sign bit stays free: stores keep it in a signed column.
        (self.options.random)() >> 1
    }

    pub(crate) fn lease(&self, nonce: u64) -> Lease {
        Lease {
            owner: self.options.owner.clone(),
            address: self.options.address.clone(),
            nonce,
            ttl: self.options.lease_ttl,
        }
    }

    pub(crate) fn set_phase(&self, phase: LogPhase) {
        self.status.send_modify(|s| s.phase = phase);
    }

    /// Closes every stream, and makes what they have sent void wherever it waits.
    fn end_streams(&self) {
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Says why the start failed and how long to wait.
    fn explain(&mut self, error: &StartError, pause: &mut Duration) -> Duration {
        if let StartError::Held(lease) = error {
            self.publisher.close(Closed::NotWriter {
                address: lease.address.clone(),
            });
            self.stood_by = Some(Instant::now());
            self.set_phase(LogPhase::Standby {
                owner: lease.owner.clone(),
                address: lease.address.clone(),
            });
            // Who stops cleanly gives the lease back before it has run out.
            return lease.remaining.clamp(LOOK_MIN, LOOK_MAX);
        }
        tracing::warn!(log = %self.options.log, location = %self.options.location, %error, "cannot serve, trying again");
        // One look that fails says nothing of the writer; those who are led to it stay.
        let is_recent = |at: Instant| at.elapsed() < self.options.lease_ttl * CUT_OFF_LEASES;
        let is_standby = matches!(self.status.borrow().phase, LogPhase::Standby { .. });
        if is_standby && self.stood_by.is_some_and(is_recent) {
            return LOOK_MAX;
        }
        self.set_phase(LogPhase::Failing(error.to_string()));
        *pause = (*pause * 2).min(Duration::from_secs(5));
        if *pause >= Duration::from_secs(1) {
            // Readers have waited long enough for the history to be settled: tell them to come again.
            self.publisher.close(Closed::NotWriter {
                address: String::new(),
            });
        }
        *pause
    }

    /// Waits, refusing what comes in. True when the log is to end.
    async fn idle(&mut self, wait: Duration) -> bool {
        let end = tokio::time::sleep(wait);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return false,
                command = self.inbox.recv() => match command {
                    None | Some(Command::ShutDown) => return true,
                    Some(other) => self.refuse(other),
                },
            }
        }
    }

    /// What has come in and was never looked at is told so: nothing about it is unknown.
    async fn close_inbox(&mut self) {
        self.inbox.close();
        while let Some(command) = self.inbox.recv().await {
            self.answer(command, Refusal::ShuttingDown);
        }
    }

    fn refuse(&mut self, command: Command) {
        let refusal = match &self.status.borrow().phase {
            LogPhase::Failing(reason) => Refusal::Store(StoreError::Unavailable(reason.clone())),
            _ => Refusal::NotWriter,
        };
        self.answer(command, refusal);
    }

    fn answer(&mut self, command: Command, refusal: Refusal) {
        match command {
            Command::Append(_, reply) => reply.send(Err(refusal)),
            Command::Work(_, _, reply) => {
                let _ = reply.send(FrameOutcome::Failed(
                    "this process is not the writer".into(),
                ));
            }
            Command::Stamp(stamp) => self.options.stamp = stamp,
            Command::Ends(ends) => self.publisher.set_ends(ends),
            Command::Loss(_) | Command::Recovered(_) | Command::ShutDown => {}
        }
    }

    /// Takes the lease, proves continuity or raises, and prepares the writer. Nothing is served before it returns.
    async fn become_writer(&mut self, nonce: u64) -> Result<(Writer, InstanceId), StartError> {
        let store = self.options.store.clone();
        // On both sides of the lease: a fail-over in between would let the witness be told of a server whose log nobody has looked at.
        let before = store.instance().await?;
        let state = self.take_lease(nonce).await?;
        self.set_phase(LogPhase::Starting);
        let instance = store.instance().await?;
        if instance != before {
            let failed_over = "the database failed over while it was opened".to_owned();
            return Err(StoreError::Unavailable(failed_over).into());
        }
        let (mut state, mut raised) = self.prove_or_raise(nonce, state, &instance).await?;
        let mut recorded = self.begin(nonce, &state, &instance).await?;
        if recorded == Recorded::NotYet && !raised && !mutant!("unrecorded-writer-goes-on") {
            state = self.raise_unrecorded(nonce, &state).await?;
            raised = true;
            recorded = self.begin(nonce, &state, &instance).await?;
        }
        if recorded == Recorded::NotYet {
            tracing::warn!(log = %self.options.log, location = %self.options.location, "serves without being known to the witness");
        }
        let head = head_of(&state);
        self.legacy = Legacy::default();
        if raised || self.proven.is_none() {
            self.proven = Some((head, state.version_vector.clone()));
        }
        let identity = Identity {
            location: self.options.location.clone(),
            nonce,
        };
        let core = LogCore::new(identity, &state);
        let mut writer = Writer::new(core, self.options.stamp.clone(), self.options.limits);
        self.recovering_for = self.recovering_left(state.incarnation(), raised);
        let recovering = !self.recovering_for.is_zero();
        writer.set_recovering(recovering);
        self.publisher
            .reset(LogView::of(self.options.location.clone(), &state));
        // After the view: a stream that names this epoch has declared what this writer holds. One opened since the writer before stopped, by
        // what that one had shown, names another.
        self.end_streams();
        let now = self.now();
        self.status.send_modify(|s| {
            s.incarnation = state.incarnation();
            s.instance = Some(instance.clone());
            s.writer_since_micros = Some(now);
            s.recovering = recovering;
            s.phase = LogPhase::Serving;
        });
        Ok((writer, instance))
    }

    /// Tells the witness who is about to serve.
    async fn begin(
        &self,
        nonce: u64,
        state: &LogState,
        instance: &InstanceId,
    ) -> Result<Recorded, StartError> {
        let witness = self.options.witness.clone();
        let telling = witness.begin(nonce, state.incarnation(), instance, head_of(state));
        Ok(self.keeping_the_lease(nonce, telling).await??)
    }

    /// Waits for something, and keeps the lease as long as it takes; no longer than the log is wanted.
    async fn keeping_the_lease<T>(
        &self,
        nonce: u64,
        waiting: impl Future<Output = T>,
    ) -> Result<T, StartError> {
        tokio::pin!(waiting);
        let mut ending = self.ending.clone();
        loop {
            tokio::select! {
                biased;
                done = &mut waiting => return Ok(done),
                _ = ending.wait_for(|ending| *ending) => return Err(StartError::Ending),
                () = tokio::time::sleep(self.options.lease_ttl / 3) => {}
            }
            let lease = self.lease(nonce);
            let renewed = tokio::select! {
                biased;
                _ = ending.wait_for(|ending| *ending) => return Err(StartError::Ending),
                renewed = timeout(lease.ttl, self.options.store.renew_lease(&lease)) => renewed,
            };
            let silent = || StoreError::Unavailable("the database does not answer".to_owned());
            if !renewed.map_err(|_| silent())?? {
                let lost = "another process has become the writer meanwhile".to_owned();
                return Err(StoreError::Unavailable(lost).into());
            }
        }
    }

    /// How long lost events may still be on their way back. A restart does not bring them back: what counts is the raise.
    fn recovering_left(&self, incarnation: Incarnation, raised: bool) -> Duration {
        let longest = self.options.recovering_max;
        if raised {
            return longest;
        }
        if self.recovered == Some(incarnation)
            || incarnation <= Incarnation(1)
            || mutant!("restart-ends-recovery")
        {
            return Duration::ZERO;
        }
        // An incarnation is the time of its raise, rounded up, or more.
        let since = self.now() - i64::from(incarnation.0) * 1_000_000;
        let since = Duration::from_micros(u64::try_from(since).unwrap_or(0));
        longest.saturating_sub(since)
    }

    /// Lost events of the incarnation in force are back, or are waited for no longer.
    pub(crate) fn recovered(&mut self) {
        self.recovered = Some(self.status.borrow().incarnation);
        self.status
            .send_if_modified(|s| std::mem::replace(&mut s.recovering, false));
    }

    /// Takes the lease, and forgets what another writer has made worthless.
    async fn take_lease(&mut self, nonce: u64) -> Result<LogState, StartError> {
        // Also when it fails: it may have been taken all the same.
        let mine = self.legacy.nonces.clone();
        self.legacy.nonces.push(nonce);
        let lease = self.lease(nonce);
        if let Some(held) = self.still_held(&lease).await? {
            return Err(StartError::Held(held));
        }
        let taken = take_lease(&self.options, &mine, &lease, &self.legacy.others);
        // A connection may be dead without anybody having noticed.
        let (outcome, alone) = timeout(self.options.lease_ttl, taken)
            .await
            .map_err(|_| silent())??;
        if !alone {
            self.legacy.memory.not_alone();
        }
        match outcome {
            LeaseOutcome::Acquired(state) => {
                self.legacy.nonces = vec![nonce];
                Ok(*state)
            }
            LeaseOutcome::Held(lease) => {
                self.legacy.nonces.clear();
                Err(StartError::Held(lease))
            }
        }
    }

    /// The lease of somebody else, as a standby looks at it again and again: without a lock, so that one that stands still holds up nobody.
    async fn still_held(&self, lease: &Lease) -> Result<Option<StoredLease>, StartError> {
        if !matches!(self.status.borrow().phase, LogPhase::Standby { .. }) {
            return Ok(None);
        }
        let state = timeout(lease.ttl, self.options.store.state());
        let state = state.await.map_err(|_| silent())??;
        let is_anothers =
            |held: &StoredLease| held.owner != lease.owner && !held.remaining.is_zero();
        Ok(state.lease.filter(is_anothers))
    }

    /// Runs the writer until it stops.
    async fn serve(&mut self, writer: Writer, instance: InstanceId, nonce: u64) -> Ended {
        let Stopped {
            reason,
            head,
            nonces,
            shut_down,
        } = Driver::new(self, writer, instance, nonce).run().await;
        if !shut_down {
            // Now and not when the next writer is ready: until then nothing may be said in the name of a log that is perhaps no more. Not
            // serving comes first, so that edges wait.
            self.set_phase(LogPhase::Starting);
            if !mutant!("streams-outlive-their-writer") {
                self.end_streams();
            }
        }
        self.publisher.suspend();
        self.status.send_modify(|s| s.writer_since_micros = None);
        self.legacy = Legacy {
            memory: Memory::after(&reason, head, nonce),
            ..Legacy::default()
        };
        match reason {
            StopReason::ShutDown => {
                self.close_inbox().await;
                self.finish(head, &nonces).await;
                return Ended::ShutDown;
            }
            StopReason::LossProven(event) => {
                self.legacy.loss = Some(event);
                self.legacy.nonces = nonces;
            }
            StopReason::Fenced => {
                tracing::warn!(log = %self.options.log, location = %self.options.location, "fenced: another writer took over");
            }
            // What is in doubt was told so; the next look takes the lease anew, and knows whether it was anybody else's.
            StopReason::CutOff(_) => self.legacy.nonces = nonces,
            StopReason::StateChanged(detail) => {
                tracing::error!(log = %self.options.log, location = %self.options.location, detail, "the database changed under the writer");
                self.legacy.nonces = nonces;
            }
        }
        if shut_down {
            return Ended::ShutDown;
        }
        Ended::Again
    }

    async fn finish(&mut self, head: ProvenHead, nonces: &[u64]) {
        // Only the writer knows the final head: one that was frozen over a take-over knows an old one, which would prove too much.
        let mine = timeout(
            self.options.lease_ttl,
            lease::held_under(&self.options, nonces),
        );
        let held = mine.await;
        let held = if mutant!("clean-stop-without-the-lease") {
            Ok(Ok(nonces.last().copied()))
        } else {
            held
        };
        let Ok(Ok(Some(nonce))) = held else {
            tracing::warn!(log = %self.options.log, location = %self.options.location, "clean stop not recorded: it is not certain that the lease is held here; the next start has to prove continuity otherwise");
            return;
        };
        if let Err(error) = self.options.witness.clean_stop(head).await {
            tracing::warn!(%error, "clean stop not recorded; the next start has to prove continuity otherwise");
        }
        let giving_back = self.options.store.release_lease(nonce);
        let given_back = timeout(GIVE_BACK_MAX, giving_back).await;
        let given_back = given_back.map_err(|_| "the database does not answer".to_owned());
        if let Err(error) = given_back.and_then(|outcome| outcome.map_err(|e| e.to_string())) {
            tracing::warn!(
                error,
                "lease not given back; a successor waits until it runs out"
            );
        }
    }
}

fn silent() -> StoreError {
    StoreError::Unavailable("the database does not answer within a lease".into())
}

fn head_of(state: &LogState) -> ProvenHead {
    ProvenHead {
        sequence: state.head,
        hash: state.hash,
    }
}
