//! The contract, random traces beside the memory store, and what only a database in files can do.

mod files;
mod room;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use proptest::test_runner::TestCaseError;
use tempfile::TempDir;
use tidelog_store::conformance::Fixture;
use tidelog_store::generate::location;
use tidelog_store::{LogStore, MemoryStore, StoreError, differential};
use tidelog_store_sqlite::{SqliteOptions, SqliteStore};

/// A data directory that is removed in the end.
struct Data(TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("logs/orders/eu")
    }

    async fn try_open(&self, log: &str, name: &str) -> Result<SqliteStore, StoreError> {
        let options = SqliteOptions {
            log: log.into(),
            location: location(name),
        };
        SqliteStore::open(&self.folder(), options).await
    }

    async fn store(&self) -> SqliteStore {
        self.try_open("orders", "eu").await.expect("an open store")
    }
}

#[async_trait]
impl Fixture for Data {
    async fn open(&self) -> Arc<dyn LogStore> {
        Arc::new(self.store().await)
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

tidelog_store::conformance_suite!(Data::new());

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn a_random_trace_gives_the_same_log_in_memory_and_in_files(trace in differential::traces()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime
            .block_on(async {
                let memory = MemoryStore::new(Arc::new(|| 0));
                let data = Data::new();
                let sqlite = data.store().await;
                let outcome = differential::run(&trace, &[&memory, &sqlite]).await;
                sqlite.close().await;
                outcome
            })
            .map_err(TestCaseError::fail)?;
    }
}
