//! Another server, or another process, takes over while this one does not notice.

use sqlx::{Connection as _, Executor as _, PgConnection};
use tidelog_model::{Origin, Position, Selector};
use tidelog_store::conformance::{contents, pages, query};
use tidelog_store::generate::Writer;
use tidelog_store::{CommitError, Consumer, LogStore, StoreError};

use crate::failures::waiting_backend;
use crate::fixture::Database;

/// What a fail-over does to connections.
fn end_all_sessions(database: &Database<'_>) {
    database.sql(&format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
        database.name
    ));
}

/// An asynchronous fail-over that loses a commit of vectors only: head, nonce and incarnation are what the writer remembers, and yet an
/// integer that it has learned is not there.
#[tokio::test]
async fn a_new_connection_forgets_integers_that_the_database_does_not_hold() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(1, |_, _| {})).await.unwrap();
    database.sql("CREATE TABLE public.h AS TABLE tidelog.head");
    let mut vectors = writer.receive("us", 1, Vec::new());
    let ap: Origin = "ap#1".parse().unwrap();
    writer.covered_vector.raise(&ap, 9);
    vectors.covered_vector.raise(&ap, 9);
    store.commit(&vectors).await.unwrap();

    database.sql(
        "DELETE FROM tidelog.origins WHERE location = 'ap'; DELETE FROM tidelog.progress;
         UPDATE tidelog.head SET covered_vector = h.covered_vector, clock_micros = h.clock_micros, stored_at = h.stored_at FROM public.h",
    );
    end_all_sessions(&database);
    let batch = writer.append(2, |_, _| {});
    store.commit(&batch).await.unwrap();
    let state = store.state().await.unwrap();
    assert_eq!(state.head, 3);
    assert_eq!(state.covered_vector, batch.covered_vector);
    let successor = Writer::start_as(&store, "eu", 2).await;
    assert_eq!(successor.covered_vector, batch.covered_vector);
}

fn is_elsewhere(outcome: Result<(), CommitError>) {
    assert!(
        matches!(outcome, Err(CommitError::AnotherDatabase { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_connection_to_another_database_than_the_lease_was_taken_in_stops_the_writer() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(1, |_, _| {})).await.unwrap();
    let before = contents(&store).await;
    // A restore on the running server: guard and all are as they were.
    database.sql("CREATE TABLE public.h AS TABLE tidelog.head; ALTER TABLE public.h DROP COLUMN sum; TRUNCATE tidelog.head; INSERT INTO tidelog.head TABLE public.h");
    end_all_sessions(&database);
    let batch = writer.clone().append(2, |_, _| {});
    for _ in 0..2 {
        is_elsewhere(store.commit(&batch).await);
    }
    // What is served from here on would be the events of another history.
    let everything = query(0, u64::MAX, Selector::default());
    let page = store.read(&everything).await;
    assert!(matches!(page, Err(StoreError::Unavailable(_))), "{page:?}");
    let hash = store.hash_at(1).await;
    assert!(matches!(hash, Err(StoreError::Unavailable(_))), "{hash:?}");
    let other = database.open().await;
    let all = pages(&other, &everything).await;
    let hash = other.hash_at(0).await.unwrap().unwrap();
    let mut raises = [
        writer.clone().raise(5),
        writer.clone().rewrite(5, hash, &all),
    ];
    for raise in &mut raises {
        is_elsewhere(store.raise(raise).await);
    }
    assert_eq!(contents(&other).await, before);
    // Whoever takes the lease has seen what this database holds, and reads it.
    let mut successor = Writer::start_as(&store, "eu", 2).await;
    assert_eq!(contents(&store).await.events, before.events);
    store.commit(&successor.append(2, |_, _| {})).await.unwrap();
}

/// A volume that was lost, under a server that comes back and a process that goes on.
#[tokio::test]
async fn an_emptied_database_is_another_one_and_is_made_ours() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(1, |_, _| {})).await.unwrap();
    let before = store.instance().await.unwrap();
    database.sql("SET client_min_messages = error; DROP SCHEMA tidelog CASCADE");
    end_all_sessions(&database);
    assert!(store.commit(&writer.append(2, |_, _| {})).await.is_err());
    assert_ne!(store.instance().await.unwrap().system, before.system);
    let mut successor = Writer::start_as(&store, "eu", 2).await;
    assert_eq!(store.state().await.unwrap().head, 0);
    store.commit(&successor.append(1, |_, _| {})).await.unwrap();
    assert_eq!(contents(&store).await.events.len(), 1);

    // What is there in part is nobody's to complete.
    database.sql("DROP TABLE tidelog.lease");
    end_all_sessions(&database);
    database.sql("ALTER TABLE tidelog.head RENAME TO elsewhere");
    let asked = store.instance().await;
    assert!(
        matches!(asked, Err(StoreError::Corrupted { .. })),
        "{asked:?}"
    );
}

/// Judging whose word counts and writing are one: a lease that is being taken is waited for and looked at again.
#[tokio::test]
async fn a_consumer_is_not_stored_past_a_lease_that_is_being_taken() {
    let database = Database::new().await;
    let store = database.open().await;
    let writer = Writer::start(&store).await;
    let mut successor = PgConnection::connect(&database.options.uri).await.unwrap();
    successor
        .execute("BEGIN; UPDATE tidelog.lease SET nonce = 9; UPDATE tidelog.head SET nonce = 9")
        .await
        .unwrap();
    let consumer = Consumer {
        name: "c".into(),
        position: Position::default(),
        updated_at_micros: 0,
    };
    let fence = writer.guard().fence();
    let taken = async {
        waiting_backend(&database, "wait_event_type = 'Lock'").await;
        successor.execute("COMMIT").await.unwrap();
    };
    let (stored, ()) =
        futures_util::future::join(store.put_consumer(&fence, &consumer), taken).await;
    assert_eq!(stored, Ok(false));
    assert_eq!(store.consumers().await, Ok(Vec::new()));
}
