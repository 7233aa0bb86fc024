//! One running log: a handle for everybody else, and the supervisor that keeps a writer running.
//!
//! ```text
//!   Starting ──▶ Serving ──▶ (writer stops) ──▶ Starting …        fenced, database changed, loss proven
//!      │  ▲                                └──▶ Stopped            asked to
//!      ▼  │
//!   Standby   another process holds the lease
//! ```
//! The supervisor task owns the writer; it ends when every handle is gone or [`LogHandle::shut_down`] was called. If it stalls, nothing is
//! appended and nothing is replicated to this location; readers go on with what is published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use tidelog_core::{
    Accepted, AppendRequest, FrameEvent, FrameOutcome, LogView, Refusal, Stamp, Work,
};
use tidelog_model::{Incarnation, Lineage, LineageEntry, caps};
use tidelog_store::{InstanceId, LogState, LogStore};
use tokio::sync::{mpsc, oneshot, watch};

use crate::options::LogOptions;
use crate::publish::{Ends, published};
use crate::reader::LogReader;
use crate::supervisor::Supervisor;

/// What a log is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPhase {
    /// Looks at the database.
    Starting,
    /// Another process is the writer.
    Standby {
        /// Who.
        owner: String,
        /// Where clients reach it.
        address: String,
    },
    /// Appends are accepted.
    Serving,
    /// Cannot start for now; tried again.
    Failing(String),
    /// Ended.
    Stopped,
}

/// The state of a log, for people and probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStatus {
    /// What it is doing.
    pub phase: LogPhase,
    /// The incarnation in force.
    pub incarnation: Incarnation,
    /// The database.
    pub instance: Option<InstanceId>,
    /// The last raise in the life of this process, with its reason.
    pub raised: Option<(LineageEntry, String)>,
    /// True while lost events are expected back and requests with ids wait for them.
    pub recovering: bool,
    /// Since when this process is the writer, microseconds since the Unix epoch.
    pub writer_since_micros: Option<i64>,
}

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Events appended here.
    pub appended_events: AtomicU64,
    /// Requests accepted, replays included.
    pub accepted_requests: AtomicU64,
    /// Requests refused.
    pub refused_requests: AtomicU64,
    /// Batches committed.
    pub batches: AtomicU64,
    /// Events received from peers and stored.
    pub replicated_events: AtomicU64,
    /// Events received that were here already.
    pub redundant_events: AtomicU64,
    /// Microseconds spent in commits.
    pub commit_micros: AtomicU64,
    /// Commits whose outcome had to be looked up.
    pub resolved_commits: AtomicU64,
    /// Duplicates that only the unique key caught; stays 0.
    pub guard_hits: AtomicU64,
    /// Events received whose time was too far ahead to be believed.
    pub clock_ahead: AtomicU64,
}

pub(crate) enum Command {
    Append(AppendRequest, AppendReply),
    /// With the epoch that its stream belongs to.
    Work(u64, Work, oneshot::Sender<FrameOutcome>),
    Stamp(Stamp),
    Loss(Box<FrameEvent>),
    /// With the epoch in which it was found out.
    Recovered(u64),
    Ends(Ends),
    ShutDown,
}

/// Where the answer to a request goes; holds its share of the bound on memory until then.
pub(crate) struct AppendReply {
    reply: Option<oneshot::Sender<Result<Accepted, Refusal>>>,
    bytes: usize,
    queued: Arc<AtomicUsize>,
}

impl AppendReply {
    pub(crate) fn send(mut self, outcome: Result<Accepted, Refusal>) {
        if let Some(reply) = self.reply.take() {
            // The caller may have gone away; the request is decided all the same.
            let _ = reply.send(outcome);
        }
    }
}

impl Drop for AppendReply {
    fn drop(&mut self) {
        self.queued.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A running log. Cheap to clone.
#[derive(Clone)]
pub struct LogHandle {
    commands: mpsc::Sender<Command>,
    queued_bytes: Arc<AtomicUsize>,
    reader: LogReader,
    status: watch::Receiver<LogStatus>,
    epoch: watch::Receiver<u64>,
    store: Arc<dyn LogStore>,
    counters: Arc<LogCounters>,
    named: Arc<AtomicU32>,
    /// Tells a start that waits for something that nobody needs it any more.
    ending: Arc<watch::Sender<bool>>,
    finished: watch::Receiver<bool>,
}

/// A request that was handed in; its answer comes in the order of handing in.
pub struct Pending(oneshot::Receiver<Result<Accepted, Refusal>>);

impl Pending {
    /// Waits for the answer. Dropping this instead does not take the request back.
    pub async fn answer(self) -> Result<Accepted, Refusal> {
        self.0.await.unwrap_or_else(|_| {
            Err(Refusal::OutcomeUnknown(
                "the log ended before it answered".into(),
            ))
        })
    }
}

impl LogHandle {
    /// Starts a log. Returns at once; [`Self::status`] tells when it serves.
    pub fn start(options: LogOptions) -> Self {
        let empty = LogView::of(options.location.clone(), &LogState::empty());
        let (publisher, reader) = published(options.store.clone(), empty, options.reader.clone());
        let (commands, inbox) = mpsc::channel(1024);
        let (status_tx, status) = watch::channel(LogStatus {
            phase: LogPhase::Starting,
            incarnation: Incarnation(0),
            instance: None,
            raised: None,
            recovering: false,
            writer_since_micros: None,
        });
        let (epoch_tx, epoch) = watch::channel(0);
        let (finished_tx, finished) = watch::channel(false);
        let (ending, ended) = watch::channel(false);
        let counters = Arc::new(LogCounters::default());
        let named = Arc::new(AtomicU32::new(0));
        let store = options.store.clone();
        let supervisor = Supervisor::new(
            options,
            publisher,
            inbox,
            status_tx,
            epoch_tx,
            counters.clone(),
            named.clone(),
            ended,
        );
        tokio::spawn(async move {
            supervisor.run().await;
            finished_tx.send_replace(true);
        });
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        Self {
            commands,
            queued_bytes,
            reader,
            status,
            epoch,
            store,
            counters,
            named,
            ending: Arc::new(ending),
            finished,
        }
    }

    /// Reads, subscriptions, consumers and waits. Stays valid over raises.
    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// The store, for what needs no writer.
    pub fn store(&self) -> &Arc<dyn LogStore> {
        &self.store
    }

    /// Counts since the start of the process.
    pub fn counters(&self) -> &LogCounters {
        &self.counters
    }

    /// What the log is doing.
    pub fn status(&self) -> watch::Receiver<LogStatus> {
        self.status.clone()
    }

    /// Moves whenever streams must be closed: another writer, another database, another incarnation. It moves when a writer stops, and again
    /// when the next one is about to serve: whoever reads that value finds the view of that writer.
    pub fn epoch(&self) -> watch::Receiver<u64> {
        self.epoch.clone()
    }

    /// True while appends are accepted.
    pub fn serving(&self) -> bool {
        self.status.borrow().phase == LogPhase::Serving
    }

    /// Waits until appends are accepted; `false` when the log ended first.
    pub async fn wait_until_serving(&self) -> bool {
        let mut status = self.status.clone();
        let found = status
            .wait_for(|s| matches!(s.phase, LogPhase::Serving | LogPhase::Stopped))
            .await;
        found.is_ok_and(|s| s.phase == LogPhase::Serving)
    }

    /// Hands a request in and returns without waiting for its answer: the way to keep many in flight, in order.
    ///
    /// Waits only for a place in the inbox. Memory is bounded: requests beyond it are refused with `QueueFull`.
    pub async fn submit(&self, request: AppendRequest) -> Pending {
        let (reply, answer) = oneshot::channel();
        let bytes = request.approximate_bytes();
        let before = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let reply = AppendReply {
            reply: Some(reply),
            bytes,
            queued: self.queued_bytes.clone(),
        };
        if before > 0 && before + bytes > 2 * caps::QUEUE_BYTES_MAX {
            reply.send(Err(Refusal::QueueFull {
                requests: 0,
                bytes: before,
            }));
            return Pending(answer);
        }
        if let Err(mpsc::error::SendError(Command::Append(_, reply))) =
            self.commands.send(Command::Append(request, reply)).await
        {
            reply.send(Err(Refusal::ShuttingDown));
        }
        Pending(answer)
    }

    /// Appends; durable when it returns `Ok`.
    pub async fn append(&self, request: AppendRequest) -> Result<Accepted, Refusal> {
        self.submit(request).await.answer().await
    }

    /// Replication work, through the writer's transaction.
    ///
    /// `epoch` is what [`Self::epoch`] said *before* the vectors were looked at that the other side was told: what was left out or covered
    /// because of them holds for that log alone. The writer of another epoch refuses the work, however late it gets there.
    pub async fn work(&self, epoch: u64, work: Work) -> FrameOutcome {
        let ended = || FrameOutcome::Failed("the log has ended".into());
        let (reply, answer) = oneshot::channel();
        if self
            .commands
            .send(Command::Work(epoch, work, reply))
            .await
            .is_err()
        {
            return ended();
        }
        answer.await.unwrap_or_else(|_| ended())
    }

    /// Changes what is stamped on events from now on.
    pub async fn set_stamp(&self, stamp: Stamp) {
        let _ = self.commands.send(Command::Stamp(stamp)).await;
    }

    /// A peer has shown an event of this location's own that it does not hold: the writer stops, raises, and starts anew.
    pub async fn report_loss(&self, proof: FrameEvent) {
        let _ = self.commands.send(Command::Loss(Box::new(proof))).await;
    }

    /// A peer has named an incarnation of this location: the next one will be greater. A peer that names one far in the future is not heard,
    /// because it could use up all there are.
    pub fn heard_incarnation(&self, incarnation: Incarnation) {
        self.named.fetch_max(incarnation.0, Ordering::Relaxed);
    }

    /// Lost events are back, or nobody has them: requests with ids need not wait any longer. Says nothing about another epoch than the one
    /// in which it was found out.
    pub async fn recovered(&self, epoch: u64) {
        let _ = self.commands.send(Command::Recovered(epoch)).await;
    }

    /// Says what survives of closed origins: a wait for more is answered at once.
    pub async fn set_ends(&self, ends: Ends) {
        let _ = self.commands.send(Command::Ends(ends)).await;
    }

    /// Finishes what is in flight, refuses the rest, records a clean stop, gives the lease back. Returns when that is done.
    pub async fn shut_down(&self) {
        self.ending.send_replace(true);
        let _ = self.commands.send(Command::ShutDown).await;
        let mut finished = self.finished.clone();
        let _ = finished.wait_for(|done| *done).await;
    }

    /// The lineage as published.
    pub fn lineage(&self) -> Arc<Lineage> {
        self.reader.view().lineage.clone()
    }
}
