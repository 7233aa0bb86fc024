//! Outcomes that need a hand inside.

use std::sync::atomic::Ordering;

use tidelog_model::Selector;
use tidelog_store::conformance::{contents, pages, query};
use tidelog_store::generate::{Writer as Memory, location};
use tidelog_store::{CommitError, LogStore, StoreError};

use crate::{SqliteOptions, SqliteStore};

async fn store(directory: &tempfile::TempDir) -> SqliteStore {
    let options = SqliteOptions {
        log: "orders".into(),
        location: location("eu"),
    };
    SqliteStore::open(&directory.path().join("eu"), options)
        .await
        .unwrap()
}

/// Sets the page limit of the writer's connection; returns the number of pages in use.
async fn limit_pages(store: &SqliteStore, pages: i64) -> i64 {
    let mut writer = store.shared().writer.lock().await;
    let connection = writer.connection().await.unwrap();
    let pragma = format!("PRAGMA max_page_count = {pages}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(pragma))
        .execute(&mut *connection)
        .await
        .unwrap();
    sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_full_database_refuses_and_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    let mut memory = Memory::start(&store).await;
    let used = limit_pages(&store, 1_000_000).await;
    limit_pages(&store, used + 20).await;
    let mut refused = None;
    for _ in 0..100 {
        let mut attempt = memory.clone();
        let batch = attempt.append(10, |i, e| {
            e.payload = vec![i as u8; 1_000].into();
            e.destinations = vec!["shop".into()];
            e.request_id = format!("r{}", e.id.sequence);
        });
        let before = contents(&store).await;
        match store.commit(&batch).await {
            Ok(()) => memory = attempt,
            Err(error) => {
                assert!(
                    matches!(error, CommitError::Failed(StoreError::Full(_))),
                    "{error:?}"
                );
                assert_eq!(contents(&store).await, before);
                refused = Some(batch);
                break;
            }
        }
    }
    let batch = refused.expect("no room for a hundred batches");
    assert!(memory.head > 0, "some of them had room");
    // Reads, leases and small writes go on; the same batch fits later.
    assert_eq!(
        store
            .commit(&batch)
            .await
            .map_err(|e| matches!(e, CommitError::Failed(StoreError::Full(_)))),
        Err(true)
    );
    limit_pages(&store, 1_000_000).await;
    store.commit(&batch).await.unwrap();
    let tail = pages(&store, &query(memory.head, u64::MAX, Selector::default())).await;
    assert_eq!(tail, batch.events);
}

#[tokio::test]
async fn a_doubtful_log_is_overwritten_before_its_state_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    let mut memory = Memory::start(&store).await;
    let log = directory.path().join("eu/log.db-wal");
    let bytes = || tidelog_model::Digest::of(&std::fs::read(&log).unwrap());
    let before = bytes();
    store.shared().doubtful.store(true, Ordering::Release);
    assert_eq!(store.state().await.unwrap().head, 0);
    assert!(!store.shared().doubtful.load(Ordering::Acquire));
    let settled = bytes();
    assert_ne!(settled, before, "nothing was written");
    store.state().await.unwrap();
    assert_eq!(bytes(), settled, "once is enough");

    store.shared().doubtful.store(true, Ordering::Release);
    store.commit(&memory.append(1, |_, _| {})).await.unwrap();
    assert!(!store.shared().doubtful.load(Ordering::Acquire));
}

#[tokio::test]
async fn a_doubtful_log_that_cannot_be_overwritten_does_not_tell_its_state() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    Memory::start(&store).await;
    store.shared().doubtful.store(true, Ordering::Release);
    store.shared().writer.lock().await.close().await;
    let state = store.state().await;
    assert!(
        matches!(state, Err(StoreError::Unavailable(_))),
        "{state:?}"
    );
    assert!(store.shared().doubtful.load(Ordering::Acquire));
}

#[tokio::test]
async fn a_transaction_that_somebody_left_open_is_ended_by_the_next_write() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    let mut memory = Memory::start(&store).await;
    {
        let mut writer = store.shared().writer.lock().await;
        let connection = writer.connection().await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE; UPDATE head SET head = 77")
            .execute(connection)
            .await
            .unwrap();
    }
    let batch = memory.append(1, |_, _| {});
    // Definite: it was rolled back together with what was left open.
    assert!(store.commit(&batch).await.is_err());
    store.commit(&batch).await.unwrap();
    assert_eq!(store.state().await.unwrap().head, 1);
}
