//! The store: its connections, and the contract handed on to the modules that keep it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tidelog_model::{ChainHash, EventId};
use tidelog_store::{
    CheckAnswers, CheckQuery, CommitError, Consumer, EdgeKey, Fence, IdRow, InstanceId, Lease,
    LeaseOutcome, LogState, LogStore, Page, Raise, ReadQuery, RequestRetention, StoreError,
    WriteBatch,
};

use crate::options::PostgresOptions;
use crate::origins::Origins;
use crate::schema;
use crate::session::{Channel, Connector, Doubts, Session};
use crate::state::LeasedIn;
use crate::watch::{LOOK_EVERY, Watch};

/// One local log in one PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    pub(crate) connector: Arc<Connector>,
    /// Commits and raises, and nothing else: never waits for a reader.
    pub(crate) writer: Channel,
    /// The lease, and ending what was left unfinished: never waits for a commit or a long read.
    pub(crate) control: Arc<Channel>,
    /// Everything else.
    pub(crate) readers: Channel,
    pub(crate) origins: Origins,
    pub(crate) leased_in: LeasedIn,
    doubts: Arc<Doubts>,
}

impl PostgresStore {
    /// Connects, checks the server and the database, and brings the schema forward.
    ///
    /// Refused are: a server that may lose what it acknowledged (`NotDurable`), a standby (`Unavailable`), a database of a newer build
    /// (`SchemaTooNew`) or of another log or location (`WrongOwner`), and settings that cannot work (`Setting`).
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        options.check()?;
        let connector = Arc::new(Connector::new(options.clone())?);
        let session = prepared(&connector).await?;
        let doubts = Arc::new(Doubts::default());
        let channel =
            |size, doubts, watch| Channel::new(Arc::clone(&connector), size, doubts, watch);
        let control = Arc::new(channel(1, Some(Arc::clone(&doubts)), None));
        let watch = || Some(Watch::new(Arc::clone(&control), LOOK_EVERY));
        let store = Self {
            writer: channel(1, Some(Arc::clone(&doubts)), watch()),
            readers: channel(options.max_connections - 2, None, watch()),
            control,
            connector,
            origins: Origins::default(),
            leased_in: LeasedIn::default(),
            doubts,
        };
        store.readers.put(session);
        store.load_origins().await?;
        tracing::debug!(
            place = store.connector.place(),
            owner = options.owner(),
            "log opened"
        );
        Ok(store)
    }

    /// Brings the schema forward, or makes it in a database that is empty now.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        tracing::warn!(
            place = self.connector.place(),
            "the database has no tables any more; they are made anew"
        );
        prepared(&self.connector).await.map(drop)
    }

    /// Waits until no interrupted write can change anything any more.
    pub(crate) async fn settle(&self) -> Result<(), StoreError> {
        self.doubts.settle(&self.control).await
    }
}

/// A connection to a database with the schema of this build.
async fn prepared(connector: &Connector) -> Result<Session, StoreError> {
    let mut session = connector.open().await?;
    schema::prepare(session.connection(), connector.source()).await?;
    Ok(session)
}

#[async_trait]
impl LogStore for PostgresStore {
    async fn instance(&self) -> Result<InstanceId, StoreError> {
        self.read_instance().await
    }

    async fn state(&self) -> Result<LogState, StoreError> {
        self.read_state().await
    }

    async fn acquire_lease(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        self.take_lease(lease).await
    }

    async fn renew_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        self.prolong_lease(lease).await
    }

    async fn release_lease(&self, nonce: u64) -> Result<(), StoreError> {
        self.end_lease(nonce).await
    }

    async fn commit(&self, batch: &WriteBatch) -> Result<(), CommitError> {
        self.write_batch(batch).await
    }

    async fn raise(&self, raise: &Raise) -> Result<(), CommitError> {
        self.write_raise(raise).await
    }

    async fn read(&self, query: &ReadQuery) -> Result<Page, StoreError> {
        self.read_page(query).await
    }

    async fn check(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError> {
        self.settle().await?;
        self.answer(query).await
    }

    async fn ids(&self, after: u64, limit: usize) -> Result<Vec<IdRow>, StoreError> {
        self.read_ids(after, limit).await
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<Option<IdRow>>, StoreError> {
        self.find_ids(ids).await
    }

    async fn checkpoint(&self, sequence: u64) -> Result<(u64, ChainHash), StoreError> {
        self.last_checkpoint(sequence).await
    }

    async fn position_before(&self, stored_at_micros: i64) -> Result<u64, StoreError> {
        self.last_before(stored_at_micros).await
    }

    async fn prune_requests(
        &self,
        now_micros: i64,
        retention: RequestRetention,
    ) -> Result<u64, StoreError> {
        self.forget_requests(now_micros, retention).await
    }

    async fn consumer(&self, name: &str) -> Result<Option<Consumer>, StoreError> {
        Ok(self.read_consumers(Some(name)).await?.pop())
    }

    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        self.read_consumers(None).await
    }

    async fn put_consumer(&self, fence: &Fence, consumer: &Consumer) -> Result<bool, StoreError> {
        self.write_consumer(fence, consumer).await
    }

    async fn delete_consumer(&self, name: &str) -> Result<bool, StoreError> {
        self.remove_consumer(name).await
    }

    async fn set_paused(&self, edge: &EdgeKey, paused: bool) -> Result<(), StoreError> {
        self.write_paused(edge, paused).await
    }

    async fn backup(&self, directory: &Path) -> Result<String, StoreError> {
        self.dump(directory).await
    }

    async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
        self.control.close().await;
    }
}
