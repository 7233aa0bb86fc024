//! The database of a location: the memory store, with delays and failures at every point where something is made to last.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use rand::rngs::StdRng;
use tidelog_model::{ChainHash, EventId};
use tidelog_store::{
    CheckAnswers, CheckQuery, CommitError, Consumer, EdgeKey, Fence, IdRow, InstanceId, Lease,
    LeaseOutcome, LogState, LogStore, MemorySnapshot, MemoryStore, Page, Raise, ReadQuery,
    RequestRetention, StoreError, WriteBatch,
};
use tokio::time::sleep;

use crate::world::{World, dice, lock, now_micros};

/// What survives a location.
pub struct Disk {
    name: String,
    world: Arc<World>,
    held: Mutex<Arc<MemoryStore>>,
    dice: Mutex<StdRng>,
    /// Commits of a thousand that go wrong, and longest delay of an operation.
    failures: u32,
    delay_millis: u64,
    /// A server that outlives the sidecar, and when it was started; else files.
    server: bool,
}

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// Refused: definitely not written.
    Refused,
    /// Not written, and nobody says so.
    Vanished,
    /// Written, and nobody says so.
    Hidden,
    /// Nobody says so, and it is written later, unless something forbids it.
    Late,
}

fn unreachable() -> StoreError {
    StoreError::Unavailable("the disk of the simulation does not answer".into())
}

impl Disk {
    /// An empty disk of a location.
    pub fn new(name: &str, world: &Arc<World>) -> Self {
        let mut dice = dice(world.seed, &format!("disk {name}"));
        let failures = [0, 0, 5, 30][dice.random_range(0..4)];
        let delay_millis = [0, 1, 4, 20][dice.random_range(0..4)];
        let server = dice.random_bool(0.5);
        let disk = Self {
            name: name.to_owned(),
            world: world.clone(),
            held: Mutex::new(Arc::new(MemoryStore::new(Arc::new(now_micros)))),
            dice: Mutex::new(dice),
            failures,
            delay_millis,
            server,
        };
        if server {
            let snapshot = disk.snapshot();
            disk.restore(snapshot);
        }
        disk
    }

    /// The database, for the next life of its location.
    pub fn mount(self: &Arc<Self>) -> Arc<dyn LogStore> {
        Arc::new(Mount {
            store: lock(&self.held).clone(),
            disk: self.clone(),
        })
    }

    /// The store as it is, for those who judge.
    pub fn store(&self) -> Arc<MemoryStore> {
        lock(&self.held).clone()
    }

    /// A copy of everything on it.
    pub fn snapshot(&self) -> MemorySnapshot {
        self.store().snapshot()
    }

    /// Puts a copy in the place of what it holds. Whoever still writes to the old one is not heard.
    pub fn restore(&self, snapshot: MemorySnapshot) {
        let mut store = MemoryStore::restore(snapshot, Arc::new(now_micros));
        if self.server {
            let started: u32 = lock(&self.dice).random();
            store = store.with_instance(InstanceId {
                system: "simulated".into(),
                timeline: "1".into(),
                started: Some(started.to_string()),
            });
        }
        *lock(&self.held) = Arc::new(store);
    }

    fn delay(&self) -> Duration {
        let longest = if self.world.is_calm() {
            1
        } else {
            self.delay_millis
        };
        Duration::from_millis(lock(&self.dice).random_range(0..=longest))
    }

    fn fate(&self) -> Fate {
        let mut dice = lock(&self.dice);
        if dice.random_range(0..1_000) >= self.failures || self.world.is_calm() {
            return Fate::Done;
        }
        let fate =
            [Fate::Refused, Fate::Vanished, Fate::Hidden, Fate::Late][dice.random_range(0..4)];
        drop(dice);
        self.world.count(&format!("disk: {fate:?}"));
        fate
    }

    fn said(&self, what: &str, outcome: &dyn std::fmt::Debug) {
        let text = format!("{}: {what} {outcome:?}", self.name);
        self.world.say(now_micros(), &text);
    }
}

/// The database as one life of its location has it open.
struct Mount {
    store: Arc<MemoryStore>,
    disk: Arc<Disk>,
}

impl Mount {
    async fn pause(&self) {
        let delay = self.disk.delay();
        if delay.is_zero() {
            tokio::task::yield_now().await;
        } else {
            sleep(delay).await;
        }
    }

    async fn reach(&self) -> Result<(), StoreError> {
        self.pause().await;
        match self.disk.fate() {
            Fate::Refused => Err(unreachable()),
            _ => Ok(()),
        }
    }

    /// A write that its caller may have to ask about.
    async fn write<F>(
        &self,
        what: &str,
        write: impl Fn(Arc<MemoryStore>) -> F,
    ) -> Result<(), CommitError>
    where
        F: Future<Output = Result<(), CommitError>> + Send + 'static,
    {
        self.pause().await;
        let unknown = || CommitError::Unknown("the connection of the simulation broke".into());
        let fate = self.disk.fate();
        let outcome = match fate {
            Fate::Refused => Err(CommitError::Failed(unreachable())),
            Fate::Vanished => Err(unknown()),
            Fate::Late => {
                let (writing, delay) = (write(self.store.clone()), self.disk.delay());
                tokio::spawn(async move {
                    sleep(delay * 20).await;
                    // Who asked has gone; whether it still may be written is up to the guard.
                    let _ = writing.await;
                });
                Err(unknown())
            }
            Fate::Done | Fate::Hidden => {
                let outcome = write(self.store.clone()).await;
                self.pause().await;
                match (outcome, fate) {
                    (Ok(()), Fate::Hidden) => Err(unknown()),
                    (outcome, _) => outcome,
                }
            }
        };
        self.disk.said(what, &outcome);
        outcome
    }
}

#[async_trait]
impl LogStore for Mount {
    async fn instance(&self) -> Result<InstanceId, StoreError> {
        self.store.instance().await
    }

    async fn state(&self) -> Result<LogState, StoreError> {
        self.reach().await?;
        self.store.state().await
    }

    async fn acquire_lease(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        self.reach().await?;
        let outcome = self.store.acquire_lease(lease).await;
        // Taken, and nobody hears of it.
        self.reach().await?;
        outcome
    }

    async fn renew_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        self.reach().await?;
        self.store.renew_lease(lease).await
    }

    async fn release_lease(&self, nonce: u64) -> Result<(), StoreError> {
        self.reach().await?;
        self.store.release_lease(nonce).await
    }

    async fn commit(&self, batch: &WriteBatch) -> Result<(), CommitError> {
        let what = format!("commit {}", batch.events.len());
        self.write(&what, |store| {
            let batch = batch.clone();
            async move { store.commit(&batch).await }
        })
        .await
    }

    async fn raise(&self, raise: &Raise) -> Result<(), CommitError> {
        self.disk.world.count("raise");
        let what = format!("raise {:?}", raise.entry);
        self.write(&what, |store| {
            let raise = raise.clone();
            async move { store.raise(&raise).await }
        })
        .await
    }

    async fn read(&self, query: &ReadQuery) -> Result<Page, StoreError> {
        self.reach().await?;
        self.store.read(query).await
    }

    async fn check(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError> {
        self.reach().await?;
        self.store.check(query).await
    }

    async fn ids(&self, after: u64, limit: usize) -> Result<Vec<IdRow>, StoreError> {
        self.reach().await?;
        self.store.ids(after, limit).await
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<Option<IdRow>>, StoreError> {
        self.reach().await?;
        self.store.find(ids).await
    }

    async fn checkpoint(&self, sequence: u64) -> Result<(u64, ChainHash), StoreError> {
        self.reach().await?;
        self.store.checkpoint(sequence).await
    }

    async fn position_before(&self, stored_at_micros: i64) -> Result<u64, StoreError> {
        self.reach().await?;
        self.store.position_before(stored_at_micros).await
    }

    async fn prune_requests(
        &self,
        now_micros: i64,
        retention: RequestRetention,
    ) -> Result<u64, StoreError> {
        self.reach().await?;
        self.store.prune_requests(now_micros, retention).await
    }

    async fn consumer(&self, name: &str) -> Result<Option<Consumer>, StoreError> {
        self.reach().await?;
        self.store.consumer(name).await
    }

    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        self.reach().await?;
        self.store.consumers().await
    }

    async fn put_consumer(&self, fence: &Fence, consumer: &Consumer) -> Result<bool, StoreError> {
        self.reach().await?;
        let outcome = self.store.put_consumer(fence, consumer).await;
        self.pause().await;
        outcome
    }

    async fn delete_consumer(&self, name: &str) -> Result<bool, StoreError> {
        self.reach().await?;
        self.store.delete_consumer(name).await
    }

    async fn set_paused(&self, edge: &EdgeKey, paused: bool) -> Result<(), StoreError> {
        self.reach().await?;
        self.store.set_paused(edge, paused).await
    }

    async fn backup(&self, directory: &Path) -> Result<String, StoreError> {
        self.store.backup(directory).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
