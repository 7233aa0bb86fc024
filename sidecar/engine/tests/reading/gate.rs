//! A store whose page reads can be held at a point, to bring about one order of things between a reader and a raise.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use tidelog_model::{ChainHash, EventId};
use tidelog_store::{
    CheckAnswers, CheckQuery, CommitError, Consumer, EdgeKey, Fence, IdRow, InstanceId, Lease,
    LeaseOutcome, LogState, LogStore, MemoryStore, Page, Raise, ReadQuery, RequestRetention,
    StoreError, WriteBatch,
};
use tokio::sync::Semaphore;

/// The memory store, with a gate after each page read: the page was read, but its reader does not have it yet.
pub struct GatedStore {
    pub inner: MemoryStore,
    closed: AtomicBool,
    arrived: Semaphore,
    passes: Semaphore,
    reads: AtomicUsize,
}

impl GatedStore {
    pub fn new(inner: MemoryStore) -> Arc<Self> {
        Arc::new(Self {
            inner,
            closed: AtomicBool::new(false),
            arrived: Semaphore::new(0),
            passes: Semaphore::new(0),
            reads: AtomicUsize::new(0),
        })
    }

    /// From now on page reads wait behind the gate.
    pub fn close_gate(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Returns once a reader waits at the gate.
    pub async fn reader_arrived(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Lets the readers at the gate, and all later ones, pass.
    pub fn open_gate(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.passes.add_permits(1_000);
    }
}

#[async_trait]
impl LogStore for GatedStore {
    async fn read(&self, query: &ReadQuery) -> Result<Page, StoreError> {
        // A database answers later than at once, now sooner, now later.
        let turn = self.reads.fetch_add(1, Ordering::Relaxed);
        for _ in 0..turn % 3 {
            tokio::task::yield_now().await;
        }
        let page = self.inner.read(query).await;
        for _ in 0..turn % 4 {
            tokio::task::yield_now().await;
        }
        if self.closed.load(Ordering::SeqCst) {
            self.arrived.add_permits(1);
            self.passes.acquire().await.unwrap().forget();
        }
        page
    }

    async fn instance(&self) -> Result<InstanceId, StoreError> {
        self.inner.instance().await
    }
    async fn state(&self) -> Result<LogState, StoreError> {
        self.inner.state().await
    }
    async fn acquire_lease(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        self.inner.acquire_lease(lease).await
    }
    async fn renew_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        self.inner.renew_lease(lease).await
    }
    async fn release_lease(&self, nonce: u64) -> Result<(), StoreError> {
        self.inner.release_lease(nonce).await
    }
    async fn commit(&self, batch: &WriteBatch) -> Result<(), CommitError> {
        self.inner.commit(batch).await
    }
    async fn raise(&self, raise: &Raise) -> Result<(), CommitError> {
        self.inner.raise(raise).await
    }
    async fn check(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError> {
        self.inner.check(query).await
    }
    async fn ids(&self, after: u64, limit: usize) -> Result<Vec<IdRow>, StoreError> {
        self.inner.ids(after, limit).await
    }
    async fn find(&self, ids: &[EventId]) -> Result<Vec<Option<IdRow>>, StoreError> {
        self.inner.find(ids).await
    }
    async fn checkpoint(&self, sequence: u64) -> Result<(u64, ChainHash), StoreError> {
        self.inner.checkpoint(sequence).await
    }
    async fn position_before(&self, stored_at_micros: i64) -> Result<u64, StoreError> {
        self.inner.position_before(stored_at_micros).await
    }
    async fn prune_requests(
        &self,
        now_micros: i64,
        retention: RequestRetention,
    ) -> Result<u64, StoreError> {
        self.inner.prune_requests(now_micros, retention).await
    }
    async fn consumer(&self, name: &str) -> Result<Option<Consumer>, StoreError> {
        self.inner.consumer(name).await
    }
    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        self.inner.consumers().await
    }
    async fn put_consumer(&self, fence: &Fence, consumer: &Consumer) -> Result<bool, StoreError> {
        self.inner.put_consumer(fence, consumer).await
    }
    async fn delete_consumer(&self, name: &str) -> Result<bool, StoreError> {
        self.inner.delete_consumer(name).await
    }
    async fn set_paused(&self, edge: &EdgeKey, paused: bool) -> Result<(), StoreError> {
        self.inner.set_paused(edge, paused).await
    }
    async fn backup(&self, directory: &Path) -> Result<String, StoreError> {
        self.inner.backup(directory).await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
