//! The memory store keeps the contract.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidelog_store::conformance::Fixture;
use tidelog_store::{LogStore, MemoryStore};

/// A store whose clock moves only when told to.
struct MemoryFixture {
    now: Arc<AtomicI64>,
    store: Mutex<Arc<MemoryStore>>,
}

impl MemoryFixture {
    fn new() -> Self {
        let now = Arc::new(AtomicI64::new(0));
        let store = Mutex::new(Arc::new(MemoryStore::new(clock(&now))));
        Self { now, store }
    }
}

fn clock(now: &Arc<AtomicI64>) -> tidelog_store::memory::LeaseClock {
    let now = Arc::clone(now);
    Arc::new(move || now.load(Ordering::SeqCst))
}

#[async_trait]
impl Fixture for MemoryFixture {
    async fn open(&self) -> Arc<dyn LogStore> {
        let mut store = self
            .store
            .lock()
            .expect("no test panics while it holds the lock");
        *store = Arc::new(MemoryStore::restore(store.snapshot(), clock(&self.now)));
        Arc::<MemoryStore>::clone(&store)
    }

    async fn pass(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).expect("a short time");
        self.now.fetch_add(micros, Ordering::SeqCst);
    }
}

tidelog_store::conformance_suite!(MemoryFixture::new());

proptest::proptest! {
    #[test]
    fn a_random_trace_runs_and_two_memories_agree(trace in tidelog_store::differential::traces()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let now = Arc::new(AtomicI64::new(0));
        let (a, b) = (MemoryStore::new(clock(&now)), MemoryStore::new(clock(&now)));
        runtime
            .block_on(tidelog_store::differential::run(&trace, &[&a, &b]))
            .map_err(proptest::test_runner::TestCaseError::fail)?;
    }
}
