//! The contract of a store.

use std::path::Path;

use async_trait::async_trait;
use tidelog_model::{ChainHash, EventId, StoredEvent};

use crate::batch::{Fence, Raise, WriteBatch};
use crate::error::{CommitError, StoreError};
use crate::query::{CheckAnswers, CheckQuery, IdRow, Page, ReadQuery, RequestRetention};
use crate::state::{Consumer, EdgeKey, InstanceId, Lease, LeaseOutcome, LogState};

/// One local log of one location.
///
/// ```text
///   sequence   1    2    3    4    5    6    7          gap-free, never reused within an incarnation
///              ├────batch────┤├──batch──┤├─┤
///   chain                  h(3)      h(5) h(6)          kept for the last event of each batch
///                                     ▲
///   head ─────────────────────────────┘ moves only by commit, in the same transaction as the events
/// ```
///
/// **Writers.** Only the holder of the lease writes. `commit` and `raise` MUST check the whole [`crate::Guard`] in the statement (or
/// transaction) that writes; a writer whose lease was taken over can never add anything, however long it was frozen.
/// At most one `commit` or `raise` is in flight at a time; the caller sees to that.
/// A writer knows what the database held in which it took the lease, and nothing of any other: a store whose connections may lead to another
/// server MUST look at the [`InstanceId`] behind each new one before it builds what it writes, and answer `AnotherDatabase` when that is not
/// the one in which the lease was taken. Events, hashes and answers are not read from another one either (`Unavailable`): its positions may mean other
/// events until whoever takes the lease there has looked.
///
/// **Durability.** When `commit`, `raise`, `put_consumer`, `set_paused` or `acquire_lease` returns `Ok`, the change survives the loss of power,
/// as far as the disk keeps its word. A store that is set up otherwise MUST refuse to open (`NotDurable`).
///
/// **Atomicity.** Events, head, hash, vectors, clock, `stored_at`, request ids and progress of a batch become visible together or
/// not at all, to every reader. A reader that has seen `n` has seen everything up to `n`.
///
/// **Fidelity.** What is read is bit for bit what was written: the store MUST recompute the digest of each event that it returns and answer
/// `Altered` when it differs.
///
/// **Errors.** A [`CommitError`] other than `Unknown` is definite. `Unknown` MUST be used whenever the database may have committed.
/// `Full` means that no room was left and the log is as it was.
///
/// **Cancel safety.** Dropping the future of a read changes nothing. Dropping the future of a write leaves its outcome unknown: the caller
/// treats it like `Unknown`. The next call on the same store MUST work either way.
///
/// **Concurrency.** Reads run beside the writer and beside each other.
#[async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// Which running database this is.
    async fn instance(&self) -> Result<InstanceId, StoreError>;

    /// One consistent snapshot of everything but the events.
    async fn state(&self) -> Result<LogState, StoreError>;

    /// Takes the writer's lease when it is free, has run out, or is held under the same `owner`; fences every earlier writer in the same
    /// transaction. Leases run by the database's clock.
    async fn acquire_lease(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError>;

    /// Prolongs the lease by its `ttl` from now. `Ok(false)`: it is somebody else's by now.
    async fn renew_lease(&self, lease: &Lease) -> Result<bool, StoreError>;

    /// Gives the lease back so that a successor need not wait. Does nothing when it is somebody else's.
    async fn release_lease(&self, nonce: u64) -> Result<(), StoreError>;

    /// Writes one batch. See the contract above.
    async fn commit(&self, batch: &WriteBatch) -> Result<(), CommitError>;

    /// Persists a new incarnation, with `rewrite` also everything that replaces the events above its base.
    async fn raise(&self, raise: &Raise) -> Result<(), CommitError>;

    /// A page in local order. Beyond the head it is empty with `scanned_to = after`.
    async fn read(&self, query: &ReadQuery) -> Result<Page, StoreError>;

    /// Answers every question of a batch from one snapshot.
    async fn check(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError>;

    /// Identities with local sequences in `(after, after + limit]`, rising; fewer at the head.
    async fn ids(&self, after: u64, limit: usize) -> Result<Vec<IdRow>, StoreError>;

    /// For each id where it is stored, in the order asked.
    async fn find(&self, ids: &[EventId]) -> Result<Vec<Option<IdRow>>, StoreError>;

    /// The last kept chain hash at or below a sequence: `(0, ChainHash::ZERO)` at the start of the log.
    async fn checkpoint(&self, sequence: u64) -> Result<(u64, ChainHash), StoreError>;

    /// The last sequence that was stored before a time, 0 when there is none. `stored_at` never falls from one sequence to the next.
    async fn position_before(&self, stored_at_micros: i64) -> Result<u64, StoreError>;

    /// Forgets request ids beyond their retention, in small steps that do not hold up the writer. Returns how many.
    async fn prune_requests(
        &self,
        now_micros: i64,
        retention: RequestRetention,
    ) -> Result<u64, StoreError>;

    /// A consumer by name.
    async fn consumer(&self, name: &str) -> Result<Option<Consumer>, StoreError>;

    /// All consumers by name.
    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError>;

    /// Creates or replaces a consumer. Whether the position may move is decided by the caller, from what the writer of `fence` shows.
    ///
    /// `Ok(false)`: that writer was taken over or has raised since; nothing was changed. Judged and written as one: a process that was frozen
    /// in between can never put back a position that its successor has acknowledged.
    async fn put_consumer(&self, fence: &Fence, consumer: &Consumer) -> Result<bool, StoreError>;

    /// Forgets a consumer. `Ok(false)`: there was none.
    async fn delete_consumer(&self, name: &str) -> Result<bool, StoreError>;

    /// Remembers whether an edge is paused by command.
    async fn set_paused(&self, edge: &EdgeKey, paused: bool) -> Result<(), StoreError>;

    /// Writes a consistent copy into an empty or absent directory while the log is in use. Returns what it wrote, for people.
    async fn backup(&self, directory: &Path) -> Result<String, StoreError>;

    /// Ends all use of the database and waits until it has let go.
    async fn close(&self);

    /// The hash chain at a sequence, computed from the last checkpoint. `None` beyond the head.
    async fn hash_at(&self, sequence: u64) -> Result<Option<ChainHash>, StoreError> {
        let (mut at, mut hash) = self.checkpoint(sequence).await?;
        while at < sequence {
            let wanted = usize::try_from(sequence - at)
                .unwrap_or(usize::MAX)
                .min(1_000);
            let rows = self.ids(at, wanted).await?;
            let Some(last) = rows.last().map(|r| r.sequence) else {
                return Ok(None);
            };
            for row in &rows {
                hash = hash.next(&row.id, &row.digest);
            }
            at = last;
        }
        Ok(Some(hash))
    }

    /// One event by its local sequence.
    async fn event(&self, sequence: u64) -> Result<Option<StoredEvent>, StoreError> {
        let Some(after) = sequence.checked_sub(1) else {
            return Ok(None);
        };
        let query = ReadQuery {
            after,
            to: sequence,
            events_max: 1,
            bytes_max: usize::MAX,
            scan_max: 1,
            selector: tidelog_model::Selector::default(),
        };
        Ok(self.read(&query).await?.events.pop())
    }
}
