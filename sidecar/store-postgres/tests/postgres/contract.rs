//! The suite that every store passes, and random traces beside the memory store.

use std::sync::Arc;

use proptest::test_runner::{TestCaseError, TestRunner};
use tidelog_store::{MemoryStore, differential};

use crate::fixture::Database;

tidelog_store::conformance_suite!(Database::new().await);

#[test]
fn a_random_trace_gives_the_same_log_as_in_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let database = runtime.block_on(Database::new());
    let mut runner = TestRunner::new(proptest::test_runner::Config {
        cases: 32,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Default::default()
    });
    runner
        .run(&differential::traces(), |trace| {
            runtime
                .block_on(async {
                    // Each trace begins with a new log; a new database would cost more than the trace.
                    database.sql(
                        "SET client_min_messages = error; DROP SCHEMA IF EXISTS tidelog CASCADE",
                    );
                    let mine = database.open().await;
                    let memory = MemoryStore::new(Arc::new(|| 0));
                    let outcome = differential::run(&trace, &[&memory, &mine]).await;
                    tidelog_store::LogStore::close(&mine).await;
                    outcome
                })
                .map_err(TestCaseError::fail)
        })
        .unwrap();
}
