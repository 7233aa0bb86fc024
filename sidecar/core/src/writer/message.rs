//! What a writer is told, what it asks its driver to do, and its bounds.

use tidelog_model::{ChainHash, EventId, LocationName, VectorTime, caps};
use tidelog_store::{
    CheckAnswers, CheckQuery, CommitError, IdRow, LogState, Progress, StoreError, WriteBatch,
};

use crate::append::{Accepted, AppendRequest, Refusal};
use crate::frame::{FrameEvent, FrameOutcome};
use crate::log::{FrameWork, Stamp};
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
    /// Something outside of the writer says that it must not go on. A commit that is under way is decided first, the rest is refused.
    Stop(StopReason),
}

/// What a fresh look at the database says after an unknown outcome. The look takes the lease anew, under a new nonce, before it reads: so
/// the statement in doubt has either committed or can never commit.
///
/// Whoever looks must also know that the lease was nobody else's in between: another writer may have written, and the database may have
/// lost that since without a trace. If it was, or if that is not certain, the look says that it is another's still.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The lease was taken under this nonce; `None` when another writer holds it, or held it since.
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
        /// The events of the batch. None when it was vectors only, or when the writer goes on under another nonce.
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
    /// The database has not answered for so long that another writer may be at work.
    CutOff(String),
    /// An event proves that this location lost events of its current incarnation.
    LossProven(Box<FrameEvent>),
    /// Asked to.
    ShutDown,
}
