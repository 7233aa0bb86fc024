//! The memory store: the contract in its plainest form. The reference for the others, and the store of simulations.

mod contents;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidelog_model::{ChainHash, EventId};

use crate::batch::{Fence, Raise, WriteBatch};
use crate::error::{CommitError, StoreError};
use crate::log_store::LogStore;
use crate::query::{CheckAnswers, CheckQuery, IdRow, Page, ReadQuery, RequestRetention};
use crate::state::{Consumer, EdgeKey, InstanceId, Lease, LeaseOutcome, LogState};
use contents::Contents;

/// The clock by which leases run: microseconds since any fixed time.
pub type LeaseClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A log in memory. What it acknowledges lasts as long as the process, or as long as a snapshot of it.
pub struct MemoryStore {
    contents: Mutex<Contents>,
    clock: LeaseClock,
    instance: InstanceId,
}

/// What a store held at one moment: the disk of a simulation, to start the next store from, or an older copy to restore.
#[derive(Debug, Clone)]
pub struct MemorySnapshot(Contents);

impl MemoryStore {
    /// An empty log.
    pub fn new(clock: LeaseClock) -> Self {
        Self::restore(MemorySnapshot(Contents::default()), clock)
    }

    /// A log that holds what was held when the snapshot was taken.
    pub fn restore(snapshot: MemorySnapshot, clock: LeaseClock) -> Self {
        Self {
            contents: Mutex::new(snapshot.0),
            clock,
            instance: InstanceId {
                system: "memory".into(),
                timeline: String::new(),
                started: None,
            },
        }
    }

    /// The same store with another identity: a simulated database server tells its restarts apart by it.
    #[must_use]
    pub fn with_instance(mut self, instance: InstanceId) -> Self {
        self.instance = instance;
        self
    }

    /// Everything it holds now.
    pub fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot(self.contents().clone())
    }

    /// Nothing panics while the contents are half changed, so a poisoned lock guards whole contents.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LogStore for MemoryStore {
    async fn instance(&self) -> Result<InstanceId, StoreError> {
        Ok(self.instance.clone())
    }

    async fn state(&self) -> Result<LogState, StoreError> {
        Ok(self.contents().state((self.clock)()))
    }

    async fn acquire_lease(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        Ok(self.contents().acquire_lease(lease, (self.clock)()))
    }

    async fn renew_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        Ok(self.contents().renew_lease(lease, (self.clock)()))
    }

    async fn release_lease(&self, nonce: u64) -> Result<(), StoreError> {
        self.contents().release_lease(nonce, (self.clock)());
        Ok(())
    }

    async fn commit(&self, batch: &WriteBatch) -> Result<(), CommitError> {
        self.contents().commit(batch)
    }

    async fn raise(&self, raise: &Raise) -> Result<(), CommitError> {
        self.contents().raise(raise)
    }

    async fn read(&self, query: &ReadQuery) -> Result<Page, StoreError> {
        self.contents().read(query)
    }

    async fn check(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError> {
        self.contents().check(query)
    }

    async fn ids(&self, after: u64, limit: usize) -> Result<Vec<IdRow>, StoreError> {
        Ok(self.contents().ids(after, limit))
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<Option<IdRow>>, StoreError> {
        Ok(self.contents().find(ids))
    }

    async fn checkpoint(&self, sequence: u64) -> Result<(u64, ChainHash), StoreError> {
        Ok(self.contents().checkpoint(sequence))
    }

    async fn position_before(&self, stored_at_micros: i64) -> Result<u64, StoreError> {
        Ok(self.contents().position_before(stored_at_micros))
    }

    async fn prune_requests(
        &self,
        now_micros: i64,
        retention: RequestRetention,
    ) -> Result<u64, StoreError> {
        Ok(self.contents().prune_requests(now_micros, retention))
    }

    async fn consumer(&self, name: &str) -> Result<Option<Consumer>, StoreError> {
        Ok(self.contents().consumers.get(name).cloned())
    }

    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        Ok(self.contents().consumers.values().cloned().collect())
    }

    async fn put_consumer(&self, fence: &Fence, consumer: &Consumer) -> Result<bool, StoreError> {
        Ok(self.contents().put_consumer(fence, consumer))
    }

    async fn delete_consumer(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.contents().consumers.remove(name).is_some())
    }

    async fn set_paused(&self, edge: &EdgeKey, paused: bool) -> Result<(), StoreError> {
        self.contents().set_paused(edge, paused);
        Ok(())
    }

    async fn backup(&self, _directory: &Path) -> Result<String, StoreError> {
        Err(StoreError::Unsupported(
            "a log in memory has no files to copy; take a snapshot of the store".into(),
        ))
    }

    async fn close(&self) {}
}
