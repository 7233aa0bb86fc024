//! A log on a memory store whose every call lets others go first.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shuttle::future::yield_now;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use tidelog_core::{AppendRequest, Stamp, WriterLimits};
use tidelog_model::{ChainHash, EventId, LocationName, NewEvent};
use tidelog_store::{
    CheckAnswers, CheckQuery, CommitError, Consumer, EdgeKey, Fence, IdRow, InstanceId, Lease,
    LeaseOutcome, LogState, LogStore, MemoryStore, Page, Raise, ReadQuery, RequestRetention,
    StoreError, WriteBatch,
};

use crate::engine::{FileWitness, LogHandle, LogOptions, ReaderOptions, Recorded, WitnessKeeper};

/// Schedules of one test.
const SCHEDULES: usize = 1_000;

fn config() -> shuttle::Config {
    let mut config = shuttle::Config::new();
    // Futures of a debug build are large.
    config.stack_size = 1 << 20;
    config
}

/// Runs schedules that are drawn step by step.
pub fn in_any_order(run: impl Fn() + Send + Sync + 'static) {
    shuttle::Runner::new(RandomScheduler::new(SCHEDULES), config()).run(run);
}

/// Runs schedules in which a few steps come at the worst of times.
pub fn in_bad_order(run: impl Fn() + Send + Sync + 'static) {
    shuttle::Runner::new(PctScheduler::new(3, SCHEDULES), config()).run(run);
}

/// A memory store with a turn for others before and after everything.
pub struct Turns(pub MemoryStore);

macro_rules! in_turn {
    ($call:expr) => {{
        yield_now().await;
        let outcome = $call.await;
        yield_now().await;
        outcome
    }};
}

#[async_trait]
impl LogStore for Turns {
    async fn instance(&self) -> Result<InstanceId, StoreError> {
        in_turn!(self.0.instance())
    }
    async fn state(&self) -> Result<LogState, StoreError> {
        in_turn!(self.0.state())
    }
    async fn acquire_lease(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        in_turn!(self.0.acquire_lease(lease))
    }
    async fn renew_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        in_turn!(self.0.renew_lease(lease))
    }
    async fn release_lease(&self, nonce: u64) -> Result<(), StoreError> {
        in_turn!(self.0.release_lease(nonce))
    }
    async fn commit(&self, batch: &WriteBatch) -> Result<(), CommitError> {
        in_turn!(self.0.commit(batch))
    }
    async fn raise(&self, raise: &Raise) -> Result<(), CommitError> {
        in_turn!(self.0.raise(raise))
    }
    async fn read(&self, query: &ReadQuery) -> Result<Page, StoreError> {
        in_turn!(self.0.read(query))
    }
    async fn check(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError> {
        in_turn!(self.0.check(query))
    }
    async fn ids(&self, after: u64, limit: usize) -> Result<Vec<IdRow>, StoreError> {
        in_turn!(self.0.ids(after, limit))
    }
    async fn find(&self, ids: &[EventId]) -> Result<Vec<Option<IdRow>>, StoreError> {
        in_turn!(self.0.find(ids))
    }
    async fn checkpoint(&self, sequence: u64) -> Result<(u64, ChainHash), StoreError> {
        in_turn!(self.0.checkpoint(sequence))
    }
    async fn position_before(&self, stored_at_micros: i64) -> Result<u64, StoreError> {
        in_turn!(self.0.position_before(stored_at_micros))
    }
    async fn prune_requests(
        &self,
        now_micros: i64,
        retention: RequestRetention,
    ) -> Result<u64, StoreError> {
        in_turn!(self.0.prune_requests(now_micros, retention))
    }
    async fn consumer(&self, name: &str) -> Result<Option<Consumer>, StoreError> {
        in_turn!(self.0.consumer(name))
    }
    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        in_turn!(self.0.consumers())
    }
    async fn put_consumer(&self, fence: &Fence, consumer: &Consumer) -> Result<bool, StoreError> {
        in_turn!(self.0.put_consumer(fence, consumer))
    }
    async fn delete_consumer(&self, name: &str) -> Result<bool, StoreError> {
        in_turn!(self.0.delete_consumer(name))
    }
    async fn set_paused(&self, edge: &EdgeKey, paused: bool) -> Result<(), StoreError> {
        in_turn!(self.0.set_paused(edge, paused))
    }
    async fn backup(&self, directory: &Path) -> Result<String, StoreError> {
        in_turn!(self.0.backup(directory))
    }
    async fn close(&self) {
        in_turn!(self.0.close());
    }
}

/// A witness that nobody asks twice.
#[derive(Default)]
struct Forgetful;

#[async_trait]
impl WitnessKeeper for Forgetful {
    fn load(&self) -> std::io::Result<Option<tidelog_core::Witness>> {
        Ok(None)
    }
    async fn raise(&self, _: tidelog_model::Incarnation) -> std::io::Result<Recorded> {
        Ok(Recorded::Yes)
    }
    async fn begin(
        &self,
        _: u64,
        _: tidelog_model::Incarnation,
        _: &InstanceId,
        _: tidelog_core::ProvenHead,
    ) -> std::io::Result<Recorded> {
        Ok(Recorded::Yes)
    }
    fn committed(&self, _: tidelog_core::ProvenHead) -> std::io::Result<()> {
        Ok(())
    }
    async fn clean_stop(&self, _: tidelog_core::ProvenHead) -> std::io::Result<()> {
        Ok(())
    }
}

/// The options of a small log: batches of two, pages of two.
pub fn options(store: Arc<Turns>, queue: usize, tail_bytes: usize) -> LogOptions {
    let nonces = AtomicU64::new(1);
    LogOptions {
        log: "orders".into(),
        location: LocationName::new("eu").unwrap(),
        store,
        witness: Arc::new(Forgetful),
        stamp: Stamp::default(),
        limits: WriterLimits {
            batch_events_max: 2,
            queue_requests_max: queue,
            ..WriterLimits::default()
        },
        reader: ReaderOptions {
            tail_bytes_max: tail_bytes,
            page_events_max: 2,
            clock: Arc::new(|| 1_790_000_000_000_000),
            ..ReaderOptions::default()
        },
        owner: "one".into(),
        address: String::new(),
        lease_ttl: Duration::from_secs(5),
        recovering_max: Duration::ZERO,
        retention: RequestRetention {
            keep: Duration::from_mins(1),
            newest_min: 10,
            newest_max: 1_000,
        },
        random: Arc::new(move || nonces.fetch_add(2, Ordering::Relaxed) << 4),
    }
}

pub fn store() -> Arc<Turns> {
    Arc::new(Turns(MemoryStore::new(Arc::new(|| 0))))
}

/// A request with one event, called by its type.
pub fn request(kind: &str) -> AppendRequest {
    AppendRequest {
        events: vec![NewEvent {
            event_type: kind.into(),
            ..NewEvent::default()
        }],
        ..AppendRequest::default()
    }
}

/// What the events of a store are called, in their order.
pub async fn called(store: &Turns) -> Vec<String> {
    let everything = ReadQuery {
        after: 0,
        to: u64::MAX,
        events_max: usize::MAX,
        bytes_max: usize::MAX,
        scan_max: usize::MAX,
        selector: tidelog_model::Selector::default(),
    };
    let page = store.0.read(&everything).await.unwrap();
    let names = page.events.iter();
    names
        .map(|stored| stored.event.event_type.clone())
        .collect()
}
