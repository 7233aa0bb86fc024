//! A store that breaks where real ones break: at the commit, before and after it took effect.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tidelog_core::Refusal;
use tidelog_model::{ChainHash, EventId};
use tidelog_store::{
    CheckAnswers, CheckQuery, CommitError, Consumer, EdgeKey, Fence, IdRow, InstanceId, Lease,
    LeaseOutcome, LogState, LogStore, MemorySnapshot, MemoryStore, Page, Raise, ReadQuery,
    RequestRetention, StoreError, WriteBatch,
};
use tokio::sync::watch;

use crate::rig::{Rig, keyed, request, wall};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the commit.
    LostBefore,
    /// The connection breaks after the commit.
    LostAfter,
    /// No room.
    Full,
    /// The connection breaks before the commit and nothing answers for a while.
    Gone,
}

/// What can be held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Lease,
    Renew,
    Check,
    Commit,
}

pub struct Faulty {
    inner: Mutex<Arc<MemoryStore>>,
    next: Mutex<Option<Fault>>,
    gone: Mutex<bool>,
    restarts: Mutex<u32>,
    /// What is held up, and how many calls wait.
    closed: watch::Sender<Vec<Gate>>,
    waiting: watch::Sender<usize>,
}

impl Faulty {
    pub fn new(inner: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(inner),
            next: Mutex::new(None),
            gone: Mutex::new(false),
            restarts: Mutex::new(0),
            closed: watch::channel(Vec::new()).0,
            waiting: watch::channel(0).0,
        })
    }

    pub fn inner(&self) -> Arc<MemoryStore> {
        self.inner.lock().unwrap().clone()
    }

    /// Another server takes over, with what had reached it when the snapshot was taken.
    pub fn fail_over(&self, snapshot: MemorySnapshot) {
        *self.inner.lock().unwrap() = Arc::new(MemoryStore::restore(snapshot, Arc::new(wall)));
    }

    /// Somebody has put an older copy back into the server that runs.
    pub fn put_back(&self, snapshot: MemorySnapshot, running: InstanceId) {
        let older = MemoryStore::restore(snapshot, Arc::new(wall)).with_instance(running);
        *self.inner.lock().unwrap() = Arc::new(older);
    }

    /// The database is another instance from now on, with the same contents.
    pub fn restart(&self) {
        *self.restarts.lock().unwrap() += 1;
    }

    pub fn hold(&self, gate: Gate) {
        self.closed.send_modify(|closed| closed.push(gate));
    }

    pub fn let_go(&self) {
        self.closed.send_modify(Vec::clear);
    }

    /// Waits until somebody stands at a gate.
    pub async fn held_up(&self) {
        let mut waiting = self.waiting.subscribe();
        waiting.wait_for(|n| *n > 0).await.unwrap();
    }

    async fn pass(&self, gate: Gate) {
        let mut closed = self.closed.subscribe();
        self.waiting.send_modify(|n| *n += 1);
        closed.wait_for(|c| !c.contains(&gate)).await.unwrap();
        self.waiting.send_modify(|n| *n -= 1);
    }

    pub fn fail_next_commit(&self, fault: Fault) {
        *self.next.lock().unwrap() = Some(fault);
    }

    /// Waits until nothing answers.
    pub async fn went_away(&self) {
        while self.check().is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub fn come_back(&self) {
        *self.gone.lock().unwrap() = false;
    }

    fn check(&self) -> Result<(), StoreError> {
        if *self.gone.lock().unwrap() {
            Err(StoreError::Unavailable("gone".into()))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl LogStore for Faulty {
    async fn instance(&self) -> Result<InstanceId, StoreError> {
        self.check()?;
        let mut instance = self.inner().instance().await?;
        instance.timeline = self.restarts.lock().unwrap().to_string();
        Ok(instance)
    }
    async fn state(&self) -> Result<LogState, StoreError> {
        self.check()?;
        self.inner().state().await
    }
    async fn acquire_lease(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        self.pass(Gate::Lease).await;
        self.check()?;
        self.inner().acquire_lease(lease).await
    }
    async fn renew_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        self.pass(Gate::Renew).await;
        self.check()?;
        self.inner().renew_lease(lease).await
    }
    async fn release_lease(&self, nonce: u64) -> Result<(), StoreError> {
        self.inner().release_lease(nonce).await
    }
    async fn commit(&self, batch: &WriteBatch) -> Result<(), CommitError> {
        self.pass(Gate::Commit).await;
        self.check()?;
        let fault = self.next.lock().unwrap().take();
        match fault {
            None => self.inner().commit(batch).await,
            Some(Fault::LostBefore) => Err(CommitError::Unknown("broken pipe".into())),
            Some(Fault::LostAfter) => {
                self.inner().commit(batch).await?;
                Err(CommitError::Unknown("broken pipe".into()))
            }
            Some(Fault::Full) => Err(StoreError::Full("no room".into()).into()),
            Some(Fault::Gone) => {
                *self.gone.lock().unwrap() = true;
                Err(CommitError::Unknown("broken pipe".into()))
            }
        }
    }
    async fn raise(&self, raise: &Raise) -> Result<(), CommitError> {
        self.inner().raise(raise).await
    }
    async fn read(&self, query: &ReadQuery) -> Result<Page, StoreError> {
        self.inner().read(query).await
    }
    async fn check(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError> {
        self.pass(Gate::Check).await;
        self.inner().check(query).await
    }
    async fn ids(&self, after: u64, limit: usize) -> Result<Vec<IdRow>, StoreError> {
        self.inner().ids(after, limit).await
    }
    async fn find(&self, ids: &[EventId]) -> Result<Vec<Option<IdRow>>, StoreError> {
        self.inner().find(ids).await
    }
    async fn checkpoint(&self, sequence: u64) -> Result<(u64, ChainHash), StoreError> {
        self.inner().checkpoint(sequence).await
    }
    async fn position_before(&self, micros: i64) -> Result<u64, StoreError> {
        self.inner().position_before(micros).await
    }
    async fn prune_requests(
        &self,
        now: i64,
        retention: RequestRetention,
    ) -> Result<u64, StoreError> {
        self.inner().prune_requests(now, retention).await
    }
    async fn consumer(&self, name: &str) -> Result<Option<Consumer>, StoreError> {
        self.inner().consumer(name).await
    }
    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        self.inner().consumers().await
    }
    async fn put_consumer(&self, fence: &Fence, consumer: &Consumer) -> Result<bool, StoreError> {
        self.inner().put_consumer(fence, consumer).await
    }
    async fn delete_consumer(&self, name: &str) -> Result<bool, StoreError> {
        self.inner().delete_consumer(name).await
    }
    async fn set_paused(&self, edge: &EdgeKey, paused: bool) -> Result<(), StoreError> {
        self.inner().set_paused(edge, paused).await
    }
    async fn backup(&self, directory: &Path) -> Result<String, StoreError> {
        self.inner().backup(directory).await
    }
    async fn close(&self) {
        self.inner().close().await;
    }
}

#[tokio::test]
async fn a_commit_that_took_effect_although_its_answer_was_lost_is_answered_as_accepted() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    store.fail_next_commit(Fault::LostAfter);
    let accepted = log.append(request("t")).await.unwrap();
    assert_eq!(accepted.first_sequence, 1);
    assert_eq!(log.append(request("t")).await.unwrap().first_sequence, 2);
}

#[tokio::test]
async fn a_commit_that_did_not_take_effect_is_refused_definitely_and_never_appears() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    store.fail_next_commit(Fault::LostBefore);
    let answer = log.append(keyed("lost", "r")).await;
    assert!(
        matches!(answer, Err(Refusal::Store(StoreError::Unavailable(_)))),
        "{answer:?}"
    );
    let accepted = log.append(keyed("kept", "r")).await.unwrap();
    assert_eq!((accepted.first_sequence, accepted.replayed), (1, false));
}

#[tokio::test]
async fn a_full_disk_refuses_appends_and_goes_on_when_there_is_room() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    store.fail_next_commit(Fault::Full);
    assert!(matches!(
        log.append(request("t")).await,
        Err(Refusal::Store(StoreError::Full(_)))
    ));
    assert_eq!(log.append(request("t")).await.unwrap().first_sequence, 1);
}

#[tokio::test]
async fn only_when_the_database_stays_away_the_outcome_is_unknown() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    store.fail_next_commit(Fault::Gone);
    let answer = tokio::time::timeout(Duration::from_secs(5), log.append(keyed("t", "r")))
        .await
        .unwrap();
    assert!(
        matches!(answer, Err(Refusal::OutcomeUnknown(_))),
        "{answer:?}"
    );
    store.come_back();
    // The retry with the same id finds out; the writer has resolved what was open.
    let mut tries = 0;
    let accepted = loop {
        match log.append(keyed("t", "r")).await {
            Ok(accepted) => break accepted,
            Err(_) if tries < 50 => tries += 1,
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(accepted.first_sequence, 1);
}
