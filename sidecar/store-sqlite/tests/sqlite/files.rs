//! Folder, lock, owner, schema, backup: what only a database in files has.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tidelog_model::Selector;
use tidelog_store::conformance::{contents, pages, query};
use tidelog_store::generate::{LEASE_TTL, Writer, lease};
use tidelog_store::{LeaseOutcome, LogStore, StoreError};

use super::Data;

async fn sql(file: &Path, text: &'static str) {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true);
    let mut connection = options.connect().await.expect("a connection");
    let done = sqlx::raw_sql(text).execute(&mut connection).await;
    done.expect("the statement");
    connection.close().await.expect("a clean end");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

async fn filled(data: &Data) -> tidelog_store::conformance::Contents {
    let store = data.store().await;
    let mut writer = Writer::start(&store).await;
    for _ in 0..5 {
        let batch = writer.append(20, |i, e| {
            e.payload = format!("payload number {i} of this batch").into();
            e.destinations = vec!["shop".into()];
            e.request_id = format!("r{}", e.id.sequence);
        });
        store.commit(&batch).await.expect("a commit");
    }
    let held = contents(&store).await;
    store.close().await;
    held
}

#[tokio::test]
async fn a_second_opener_is_told_who_holds_the_log() {
    let data = Data::new();
    let store = data.store().await;
    let Err(StoreError::InUse { path, holder }) = data.try_open("orders", "eu").await else {
        panic!("the log was opened twice")
    };
    assert_eq!(path, data.folder().display().to_string());
    let me = format!("process {} (", std::process::id());
    assert!(holder.starts_with(&me), "{holder}");
    let program = std::env::args().next().expect("a program");
    assert!(holder.contains(&program), "{holder}");
    store.close().await;
    data.store().await;
}

#[tokio::test]
async fn the_words_of_a_dead_process_do_not_matter() {
    let data = Data::new();
    let lock = data.folder().with_extension("lock");
    fs::create_dir_all(lock.parent().expect("a parent")).expect("a folder");
    fs::write(
        &lock,
        "process 1 (a program that ran long ago and had much to say)",
    )
    .expect("a file");
    let store = data.store().await;
    let Err(StoreError::InUse { holder, .. }) = data.try_open("orders", "eu").await else {
        panic!("the log was opened twice")
    };
    assert!(!holder.contains("long ago"), "{holder}");
    drop(store);
    assert!(lock.exists(), "the file stays, the lock does not");
}

#[tokio::test]
async fn the_lock_lies_outside_of_the_folder_and_closing_leaves_one_file() {
    let data = Data::new();
    let store = data.store().await;
    assert!(data.folder().with_extension("lock").exists());
    let mut writer = Writer::start(&store).await;
    store
        .commit(&writer.append(3, |_, _| {}))
        .await
        .expect("a commit");
    for name in names(&data.folder()) {
        assert!(name.starts_with("log.db"), "{name} is not of the database");
    }
    store.close().await;
    assert_eq!(names(&data.folder()), ["log.db"]);
}

#[tokio::test]
async fn a_store_that_was_never_closed_holds_everything_acknowledged() {
    let data = Data::new();
    let store = data.store().await;
    let mut writer = Writer::start(&store).await;
    let batch = writer.append(50, |_, _| {});
    store.commit(&batch).await.expect("a commit");
    drop(store);
    let store = data.store().await;
    let all = pages(&store, &query(0, u64::MAX, Selector::default())).await;
    assert_eq!(all, batch.events);
}

#[tokio::test]
async fn a_closed_store_answers_unavailable() {
    let data = Data::new();
    let store = data.store().await;
    let mut writer = Writer::start(&store).await;
    store.close().await;
    store.close().await;
    let is_unavailable = |e: StoreError| assert!(matches!(e, StoreError::Unavailable(_)), "{e}");
    is_unavailable(store.state().await.expect_err("closed"));
    is_unavailable(store.ids(0, 1).await.expect_err("closed"));
    let commit = store.commit(&writer.append(1, |_, _| {})).await;
    let Err(tidelog_store::CommitError::Failed(error)) = commit else {
        panic!("{commit:?}")
    };
    is_unavailable(error);
}

#[tokio::test]
async fn a_database_of_another_log_or_location_is_refused() {
    let data = Data::new();
    filled(&data).await;
    for (log, name, expected) in [("orders", "us", "orders/us"), ("stock", "eu", "stock/eu")] {
        let refused = data.try_open(log, name).await.err();
        let wanted = StoreError::WrongOwner {
            found: "orders/eu".into(),
            expected: expected.into(),
        };
        assert_eq!(refused, Some(wanted));
    }
    data.store().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let data = Data::new();
    let before = filled(&data).await;
    let file = data.folder().join("log.db");
    sql(
        &file,
        "INSERT INTO _sqlx_migrations VALUES (900, 'from the future', '2099-01-01', 1, x'00', 1)",
    )
    .await;
    let refused = data.try_open("orders", "eu").await.err();
    let Some(StoreError::SchemaTooNew { found: 900, known }) = refused else {
        panic!("{refused:?}")
    };
    assert!((1..900).contains(&known));
    sql(&file, "DELETE FROM _sqlx_migrations WHERE version = 900").await;
    let store = data.store().await;
    assert_eq!(contents(&store).await, before);
}

#[tokio::test]
async fn a_file_that_is_no_log_is_refused_and_left_alone() {
    let data = Data::new();
    fs::create_dir_all(data.folder()).expect("a folder");
    let file = data.folder().join("log.db");
    let text = "this is not a database\n".repeat(500);
    fs::write(&file, &text).expect("a file");
    let refused = data.try_open("orders", "eu").await.err();
    assert!(
        matches!(refused, Some(StoreError::Corrupted { .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(&file).expect("the file"), text);

    fs::remove_file(&file).expect("the file");
    sql(&file, "CREATE TABLE recipe (name TEXT)").await;
    let refused = data.try_open("orders", "eu").await.err();
    assert!(
        matches!(refused, Some(StoreError::Setting(_))),
        "{refused:?}"
    );
    sql(&file, "INSERT INTO recipe VALUES ('soup')").await;
}

#[tokio::test]
async fn a_copy_of_the_folder_is_a_backup() {
    let data = Data::new();
    let before = filled(&data).await;
    let elsewhere = Data::new();
    fs::create_dir_all(elsewhere.folder()).expect("a folder");
    for name in names(&data.folder()) {
        fs::copy(data.folder().join(&name), elsewhere.folder().join(&name)).expect("a copy");
    }
    let store = elsewhere.store().await;
    assert_eq!(contents(&store).await, before);
    // Both go on as the same log; that they are two is for the witness to find out.
    let original = data.store().await;
    assert_eq!(store.instance().await, original.instance().await);
}

#[tokio::test]
async fn a_backup_of_a_log_in_use_can_be_put_in_place() {
    let data = Data::new();
    filled(&data).await;
    let store = data.store().await;
    let mut writer = Writer::start_as(&store, "eu", 2).await;
    let target = tempfile::tempdir().expect("a directory");
    let target = target.path().join("backups/today");
    let write = async {
        for _ in 0..50 {
            let batch = writer.append(7, |_, e| e.payload = vec![1; 3_000].into());
            store.commit(&batch).await.expect("a commit");
        }
    };
    let (said, ()) = futures_util::future::join(store.backup(&target), write).await;
    let said = said.expect("a backup");
    assert_eq!(names(&target), ["log.db"]);
    let again = store.backup(&target).await;
    assert!(matches!(again, Err(StoreError::Setting(_))), "{again:?}");

    let restored = Data::new();
    fs::create_dir_all(restored.folder()).expect("a folder");
    fs::copy(target.join("log.db"), restored.folder().join("log.db")).expect("a copy");
    let copy = restored.store().await;
    let held = contents(&copy).await;
    assert!(
        said.contains(&format!("{} events", held.state.head)),
        "{said}"
    );
    assert!(held.state.head >= 100 && (held.state.head - 100) % 7 == 0);
    let original = pages(&store, &query(0, held.state.head, Selector::default())).await;
    assert_eq!(held.events, original);
    assert_eq!(
        store.hash_at(held.state.head).await,
        Ok(Some(held.state.hash))
    );
    let mut writer = Writer::start_as(&copy, "eu", 3).await;
    copy.commit(&writer.append(1, |_, _| {}))
        .await
        .expect("the copy is a log like any other");
}

#[tokio::test]
async fn a_changed_byte_of_a_payload_is_found_out() {
    let data = Data::new();
    filled(&data).await;
    let file = data.folder().join("log.db");
    let mut bytes = fs::read(&file).expect("the file");
    let text = b"payload number 13";
    // Pages that are free now may hold older copies.
    let places: Vec<_> = (0..bytes.len() - text.len())
        .filter(|at| &bytes[*at..*at + text.len()] == text)
        .collect();
    assert!(places.len() >= 5, "each batch has one");
    for at in places {
        bytes[at + 2] ^= 0x20;
    }
    fs::write(&file, bytes).expect("the file");
    let store = data.store().await;
    let read = store.read(&query(0, u64::MAX, Selector::default())).await;
    assert!(matches!(read, Err(StoreError::Altered(_))), "{read:?}");
}

#[tokio::test]
async fn a_database_has_an_identity_that_proves_nothing_about_restarts() {
    let data = Data::new();
    let store = data.store().await;
    let first = store.instance().await.expect("an instance");
    assert_eq!(first.system.len(), 32);
    assert_eq!(first.started, None);
    store.close().await;
    assert_eq!(data.store().await.instance().await, Ok(first.clone()));
    let other = Data::new().store().await.instance().await;
    assert_ne!(other.expect("an instance").system, first.system);
}

#[tokio::test]
async fn nobody_waits_for_the_lease_of_a_process_that_is_gone() {
    let data = Data::new();
    let store = data.store().await;
    let hour = Duration::from_hours(1);
    store
        .acquire_lease(&lease("a", 1, hour))
        .await
        .expect("a lease");
    drop(store);
    let store = data.store().await;
    let outcome = store.acquire_lease(&lease("b", 2, hour)).await;
    assert!(
        matches!(outcome, Ok(LeaseOutcome::Acquired(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_row_that_is_gone_is_named_and_not_passed_over() {
    let data = Data::new();
    filled(&data).await;
    let file = data.folder().join("log.db");
    for (gone, text) in [
        (100, "DELETE FROM event WHERE seq = 100"),
        (30, "DELETE FROM event WHERE seq = 30"),
        (1, "DELETE FROM event WHERE seq = 1"),
    ] {
        sql(&file, text).await;
        let store = data.store().await;
        for after in [0, gone - 1] {
            let asked = query(after, 100, Selector::default());
            let Err(StoreError::Corrupted { place, .. }) = store.read(&asked).await else {
                unreachable!("the events after {after} are read without {gone}");
            };
            assert_eq!(place, format!("event {gone}"), "after {after}");
        }
        assert!(store.event(gone).await.is_err());
        assert!(gone == 1 || store.event(gone - 1).await.is_ok_and(|e| e.is_some()));
        store.close().await;
    }
}

#[tokio::test]
async fn vectors_that_are_not_what_was_written_are_refused_before_anything_is_taken_for_held() {
    let data = Data::new();
    let before = filled(&data).await;
    let file = data.folder().join("log.db");
    sql(&file, "CREATE TABLE kept_head AS SELECT * FROM head; CREATE TABLE kept_origin AS SELECT * FROM origin").await;
    for change in [
        "UPDATE head SET version_vector = x''",
        "UPDATE head SET covered_vector = x''",
        "UPDATE head SET head = head - 1",
        "UPDATE head SET hash = zeroblob(32)",
        "UPDATE origin SET incarnation = incarnation + 1",
        "UPDATE origin SET location = 'us'",
    ] {
        sql(&file, change).await;
        let store = data.store().await;
        let Err(StoreError::Corrupted { place, .. }) = store.state().await else {
            panic!("{change}: the state is told")
        };
        assert_eq!(place, "head", "{change}");
        assert!(
            store
                .acquire_lease(&lease("writer", 9, LEASE_TTL))
                .await
                .is_err(),
            "{change}"
        );
        store.close().await;
        sql(&file, "DELETE FROM head; INSERT INTO head SELECT * FROM kept_head; DELETE FROM origin; INSERT INTO origin SELECT * FROM kept_origin").await;
    }
    let store = data.store().await;
    assert_eq!(contents(&store).await, before);
}

#[tokio::test]
async fn a_log_of_before_there_was_a_sum_gets_one_with_its_next_batch() {
    let data = Data::new();
    let before = filled(&data).await;
    let file = data.folder().join("log.db");
    sql(&file, "UPDATE head SET sum = NULL").await;
    let store = data.store().await;
    assert_eq!(contents(&store).await, before);
    let mut writer = Writer::start_as(&store, "eu", 2).await;
    let batch = writer.append(1, |_, _| {});
    store.commit(&batch).await.expect("a commit");
    store.close().await;
    sql(&file, "UPDATE head SET version_vector = x''").await;
    let store = data.store().await;
    assert!(matches!(
        store.state().await,
        Err(StoreError::Corrupted { .. })
    ));
}
