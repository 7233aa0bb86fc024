//! [`SqliteStore`]: the contract, and who may use which connection.
//!
//! Reads take a connection of a small pool; dropping a read gives it back. Writes run as tasks of their own that hold the writer until they are
//! done: a caller that goes away cannot leave a transaction open.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqlitePool};
use tidelog_model::{ChainHash, EventId};
use tidelog_store::{
    CheckAnswers, CheckQuery, CommitError, Consumer, EdgeKey, Fence, IdRow, InstanceId, Lease,
    LeaseOutcome, LogState, LogStore, Page, Raise, ReadQuery, RequestRetention, StoreError,
    WriteBatch,
};

use crate::error::store_error;
use crate::lock::LockFile;
use crate::open::{self, SqliteOptions};
use crate::origins::Origins;
use crate::write::Writer;

/// A local log in a folder of its own.
pub struct SqliteStore {
    shared: Arc<Shared>,
}

/// What reads and the tasks of writes share.
pub struct Shared {
    pub folder: PathBuf,
    pub instance: InstanceId,
    pub origins: Origins,
    pub readers: SqlitePool,
    pub writer: tokio::sync::Mutex<Writer>,
    /// Set while the log file may hold a transaction that was not made visible; see `write`.
    pub doubtful: AtomicBool,
    pub lock: Mutex<Option<LockFile>>,
}

impl Shared {
    /// A connection for reading.
    pub async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers
            .acquire()
            .await
            .map_err(|e| store_error(e, "waiting for a connection"))
    }
}

impl SqliteStore {
    /// Opens the log in a folder, which is made when it is absent. The folder holds the database and nothing else.
    pub async fn open(folder: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let shared = Arc::new(open::open(folder, options).await?);
        Ok(Self { shared })
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Runs a write to its end, whatever becomes of the caller.
    async fn detached<T, F>(&self, work: impl FnOnce(Arc<Shared>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        match tokio::spawn(work(Arc::clone(&self.shared))).await {
            Ok(outcome) => outcome,
            Err(error) => Err(StoreError::Unavailable(format!(
                "the write ended early: {error}"
            ))),
        }
    }

    async fn detached_commit<F>(&self, work: F) -> Result<(), CommitError>
    where
        F: Future<Output = Result<(), CommitError>> + Send + 'static,
    {
        match tokio::spawn(work).await {
            Ok(outcome) => outcome,
            Err(error) => Err(CommitError::Unknown(format!(
                "the write ended early: {error}"
            ))),
        }
    }
}

#[async_trait]
impl LogStore for SqliteStore {
    async fn instance(&self) -> Result<InstanceId, StoreError> {
        Ok(self.shared.instance.clone())
    }

    async fn state(&self) -> Result<LogState, StoreError> {
        if self.shared.doubtful.load(Ordering::Acquire) {
            // Whoever asks now wants to know what became of a commit: the answer must stay true after a crash.
            self.detached(|shared| async move { shared.writer().await.map(drop) })
                .await?;
        }
        self.shared.read_state().await
    }

    async fn acquire_lease(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        let lease = lease.clone();
        self.detached(|shared| async move { shared.take_lease(&lease).await })
            .await
    }

    async fn renew_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        let lease = lease.clone();
        self.detached(|shared| async move { shared.prolong_lease(&lease).await })
            .await
    }

    async fn release_lease(&self, nonce: u64) -> Result<(), StoreError> {
        self.detached(move |shared| async move { shared.end_lease(nonce).await })
            .await
    }

    async fn commit(&self, batch: &WriteBatch) -> Result<(), CommitError> {
        let prepared = self.shared.prepare_commit(batch)?;
        let shared = Arc::clone(&self.shared);
        self.detached_commit(async move { shared.write(prepared).await })
            .await
    }

    async fn raise(&self, raise: &Raise) -> Result<(), CommitError> {
        let prepared = self.shared.prepare_raise(raise)?;
        let shared = Arc::clone(&self.shared);
        self.detached_commit(async move { shared.write(prepared).await })
            .await
    }

    async fn read(&self, query: &ReadQuery) -> Result<Page, StoreError> {
        self.shared.read_page(query).await
    }

    async fn check(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError> {
        self.shared.answer(query).await
    }

    async fn ids(&self, after: u64, limit: usize) -> Result<Vec<IdRow>, StoreError> {
        self.shared.read_ids(after, limit).await
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<Option<IdRow>>, StoreError> {
        self.shared.find_ids(ids).await
    }

    async fn checkpoint(&self, sequence: u64) -> Result<(u64, ChainHash), StoreError> {
        self.shared.read_checkpoint(sequence).await
    }

    async fn position_before(&self, stored_at_micros: i64) -> Result<u64, StoreError> {
        self.shared.read_position_before(stored_at_micros).await
    }

    async fn prune_requests(
        &self,
        now_micros: i64,
        retention: RequestRetention,
    ) -> Result<u64, StoreError> {
        self.detached(move |shared| async move { shared.prune(now_micros, retention).await })
            .await
    }

    async fn consumer(&self, name: &str) -> Result<Option<Consumer>, StoreError> {
        Ok(self.shared.read_consumers(Some(name)).await?.pop())
    }

    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        self.shared.read_consumers(None).await
    }

    async fn put_consumer(&self, fence: &Fence, consumer: &Consumer) -> Result<bool, StoreError> {
        let (fence, consumer) = (*fence, consumer.clone());
        self.detached(move |shared| async move { shared.write_consumer(&fence, &consumer).await })
            .await
    }

    async fn delete_consumer(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.detached(|shared| async move { shared.forget_consumer(&name).await })
            .await
    }

    async fn set_paused(&self, edge: &EdgeKey, paused: bool) -> Result<(), StoreError> {
        let edge = edge.clone();
        self.detached(move |shared| async move { shared.write_paused(&edge, paused).await })
            .await
    }

    async fn backup(&self, directory: &Path) -> Result<String, StoreError> {
        let directory = directory.to_owned();
        self.detached(|shared| async move { shared.copy_into(&directory).await })
            .await
    }

    async fn close(&self) {
        let closed = self
            .detached(|shared| async move {
                shared.readers.close().await;
                shared.writer.lock().await.close().await;
                let mut lock = shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
                *lock = None;
                Ok(())
            })
            .await;
        if let Err(error) = closed {
            tracing::warn!(%error, folder = %self.shared.folder.display(), "closing the database");
        }
    }
}
