//! What happens when the server, the connection or the caller goes away in the middle.

use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tidelog_harness::postgres::Postgres;
use tidelog_model::Selector;
use tidelog_store::conformance::{contents, pages, query};
use tidelog_store::generate::{LEASE_TTL, Peer, Writer, lease};
use tidelog_store::{CommitError, LeaseOutcome, LogStore, StoreError};
use tidelog_store_postgres::PostgresStore;

use crate::fixture::Database;

/// Somebody else's session on the head row: whoever commits has to wait for it.
async fn hold_head(database: &Database<'_>) -> PgConnection {
    let mut holder = PgConnection::connect(&database.options.uri).await.unwrap();
    holder
        .execute("BEGIN; SELECT FROM tidelog.head FOR UPDATE")
        .await
        .unwrap();
    holder
}

/// The server process that waits for something of this kind; waits until there is one.
pub async fn waiting_backend(database: &Database<'_>, condition: &str) -> String {
    let statement = format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = '{}' AND application_name LIKE 'tidelog%' AND {condition}",
        database.name
    );
    eventually(|| Some(database.sql(&statement)).filter(|pid| !pid.is_empty())).await
}

async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..400 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("waited 10 s in vain");
}

async fn head_of(store: &PostgresStore) -> u64 {
    store.state().await.unwrap().head
}

#[tokio::test]
async fn a_session_that_is_ended_while_it_writes_leaves_an_unknown_outcome_that_the_state_resolves()
{
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(3, |_, _| {})).await.unwrap();
    let mut holder = hold_head(&database).await;
    let mut attempt = writer.clone();
    let batch = attempt.append(2, |_, _| {});
    let end = async {
        let pid = waiting_backend(&database, "wait_event_type = 'Lock'").await;
        database.sql(&format!("SELECT pg_terminate_backend({pid})"));
    };
    let (outcome, ()) = futures_util::future::join(store.commit(&batch), end).await;
    assert!(
        matches!(outcome, Err(CommitError::Unknown(_))),
        "{outcome:?}"
    );
    holder.execute("COMMIT").await.unwrap();
    assert_eq!(head_of(&store).await, 3);
    store.commit(&batch).await.unwrap();
    assert_eq!(head_of(&store).await, 5);
}

#[tokio::test]
async fn a_cancel_while_it_writes_leaves_an_unknown_outcome_too() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    let mut holder = hold_head(&database).await;
    let batch = writer.append(2, |_, _| {});
    let cancel = async {
        let pid = waiting_backend(&database, "wait_event_type = 'Lock'").await;
        database.sql(&format!("SELECT pg_cancel_backend({pid})"));
    };
    let (outcome, ()) = futures_util::future::join(store.commit(&batch), cancel).await;
    assert!(
        matches!(outcome, Err(CommitError::Unknown(_))),
        "{outcome:?}"
    );
    holder.execute("COMMIT").await.unwrap();
    assert_eq!(head_of(&store).await, 0);
}

/// The dangerous one: nobody waits for the answer any more, the log is looked at, and only then does the server get to it.
#[tokio::test]
async fn a_write_that_was_dropped_never_arrives_after_the_state_was_told() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(1, |_, _| {})).await.unwrap();
    let mut holder = hold_head(&database).await;
    let batch = writer.clone().append(2, |_, _| {});
    let commit = store.commit(&batch);
    let waiting = waiting_backend(&database, "wait_event_type = 'Lock'");
    let pid = match futures_util::future::select(commit, Box::pin(waiting)).await {
        futures_util::future::Either::Left((outcome, _)) => panic!("it must wait: {outcome:?}"),
        futures_util::future::Either::Right((pid, _commit)) => pid,
    };
    // Dropped by now. A client that goes away does not wake up a server process that waits for a lock.
    assert_eq!(head_of(&store).await, 1);
    holder.execute("COMMIT").await.unwrap();
    eventually(|| {
        let left = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        (database.sql(&left) == "0").then_some(())
    })
    .await;
    assert_eq!(
        head_of(&store).await,
        1,
        "what was told to have failed appeared"
    );
    store.commit(&batch).await.unwrap();
    assert_eq!(head_of(&store).await, 3);
}

/// With a synchronous standby that never answers, a commit is durable here and waits: the other kind of unknown.
#[tokio::test]
async fn a_commit_that_waits_for_a_standby_is_unknown_when_ended_and_then_found_to_be_there() {
    let server = Postgres::start(&[]).await.unwrap();
    let database = Database::on(&server);
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    let standby = |name: &str| {
        database.sql(&format!(
            "ALTER SYSTEM SET synchronous_standby_names = '{name}'"
        ));
        database.sql("SELECT pg_reload_conf()");
    };
    standby("nobody");
    eventually(|| (database.sql("SHOW synchronous_standby_names") == "nobody").then_some(())).await;
    let batch = writer.append(2, |_, _| {});
    let end = async {
        let pid = waiting_backend(&database, "wait_event = 'SyncRep'").await;
        database.sql(&format!("SELECT pg_terminate_backend({pid})"));
    };
    let (outcome, ()) = futures_util::future::join(store.commit(&batch), end).await;
    assert!(
        matches!(outcome, Err(CommitError::Unknown(_))),
        "{outcome:?}"
    );
    assert_eq!(head_of(&store).await, 2);

    // The same when the caller has gone.
    let batch = writer.append(2, |_, _| {});
    let commit = store.commit(&batch);
    let waiting = waiting_backend(&database, "wait_event = 'SyncRep'");
    drop(futures_util::future::select(commit, Box::pin(waiting)).await);
    assert_eq!(head_of(&store).await, 4);
    standby("");
    eventually(|| {
        database
            .sql("SHOW synchronous_standby_names")
            .is_empty()
            .then_some(())
    })
    .await;
    store.commit(&writer.append(1, |_, _| {})).await.unwrap();
    assert_eq!(head_of(&store).await, 5);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_server_and_nothing_else_appears() {
    let server = Postgres::start(&[]).await.unwrap();
    let database = Database::on(&server);
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    let mut written = Vec::new();
    let (mut unknown, mut definite) = (0, 0);
    for cycle in 0..4u64 {
        let load = async {
            loop {
                let mut next = writer.clone();
                let size = 1 + (next.head as usize * 7) % 40;
                let batch = next.append(size, |_, e| e.payload = vec![7; 200].into());
                match store.commit(&batch).await {
                    Ok(()) => {
                        writer = next;
                        written.extend(batch.events);
                    }
                    Err(CommitError::Unknown(_)) => return Some(batch),
                    Err(CommitError::Failed(error)) if error.is_retryable() => return None,
                    Err(other) => panic!("{other:?}"),
                }
            }
        };
        let kill = async {
            tokio::time::sleep(Duration::from_millis(150 + 70 * cycle)).await;
            server.kill().await.unwrap();
        };
        let (in_flight, ()) = futures_util::future::join(load, kill).await;
        assert!(store.state().await.unwrap_err().is_retryable());
        server.start_again().await.unwrap();
        let state = store.state().await.unwrap();
        match in_flight {
            Some(batch) if state.head == batch.head() => {
                unknown += 1;
                written.extend(batch.events);
            }
            Some(_) => unknown += 1,
            None => definite += 1,
        }
        assert_eq!(state.head, written.len() as u64, "in cycle {cycle}");
        // A server that was started again is another instance: it is written to only after the lease was taken in it.
        let stale = writer.clone().append(1, |_, _| {});
        let outcome = store.commit(&stale).await;
        assert!(
            matches!(outcome, Err(CommitError::AnotherDatabase { .. })),
            "{outcome:?}"
        );
        writer = Writer::start_as(&store, "eu", cycle + 2).await;
    }
    println!(
        "{} events, {unknown} unknown outcomes, {definite} definite",
        written.len()
    );
    assert_eq!(
        pages(&store, &query(0, u64::MAX, Selector::default())).await,
        written
    );
    assert!(written.len() > 100);
}

#[tokio::test]
async fn readers_go_on_after_a_restart_once_the_lease_was_taken_anew() {
    let server = Postgres::start(&[]).await.unwrap();
    let database = Database::on(&server);
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(5, |_, _| {})).await.unwrap();
    // Several idle connections, all of which die.
    let everything = query(0, u64::MAX, Selector::default());
    futures_util::future::join_all((0..6).map(|_| store.read(&everything))).await;
    server.restart().await.unwrap();
    // It may have been started on an older copy: nobody can tell before the writer has looked.
    let refused = store.read(&everything).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(store.instance().await.is_ok());
    let anew = lease("writer", 2, LEASE_TTL);
    let outcome = store.acquire_lease(&anew).await.unwrap();
    assert!(matches!(outcome, LeaseOutcome::Acquired(_)), "{outcome:?}");
    assert_eq!(store.read(&everything).await.unwrap().events.len(), 5);
    assert_eq!(store.renew_lease(&anew).await, Ok(true));
}

/// Frozen as a whole, in the middle of a write, until somebody else has taken over and written.
#[tokio::test]
async fn a_writer_frozen_in_the_middle_of_a_write_is_fenced_when_it_thaws() {
    let database = Database::new().await;
    let (old, new) = (database.open().await, database.open().await);
    let mut writer = Writer::start(&old).await;
    old.commit(&writer.append(2, |_, _| {})).await.unwrap();
    let short = lease("writer", 1, Duration::from_millis(50));
    assert_eq!(old.renew_lease(&short).await, Ok(true));
    let pid = database.sql(
        "SELECT pid FROM pg_stat_activity WHERE query LIKE 'WITH h AS (UPDATE head SET head%' AND pid <> pg_backend_pid()
         AND datname = current_database()",
    );
    signal("STOP", &pid);
    let batch = writer.clone().append(3, |_, _| {});
    let take_over = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let granted = new
            .acquire_lease(&lease("successor", 2, LEASE_TTL))
            .await
            .unwrap();
        let LeaseOutcome::Acquired(state) = granted else {
            panic!("the lease has run out: {granted:?}")
        };
        assert_eq!(state.head, 2);
        let mut successor = Writer::resume(&state, "eu", 2);
        new.commit(&successor.append(3, |_, e| e.event_type = "Mine".into()))
            .await
            .unwrap();
        signal("CONT", &pid);
    };
    let (outcome, ()) = futures_util::future::join(old.commit(&batch), take_over).await;
    assert_eq!(outcome, Err(CommitError::Fenced));
    let found = contents(&new).await;
    assert_eq!(found.state.head, 5);
    assert!(
        found.events[2..]
            .iter()
            .all(|e| e.event.event_type == "Mine")
    );
}

fn signal(name: &str, pid: &str) {
    let status = Command::new("kill")
        .args(["-s", name, pid])
        .status()
        .unwrap();
    assert!(status.success(), "kill -s {name} {pid}");
}

/// Errors as the server reports them, raised where a commit inserts: each is sorted, nothing is stored, and the writer goes on.
#[tokio::test]
async fn errors_of_the_server_are_sorted_by_what_they_mean() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    database.sql(
        "CREATE TABLE public.fail (code text, message text);
         CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE f public.fail; BEGIN
             SELECT * INTO f FROM public.fail;
             IF FOUND THEN RAISE EXCEPTION '%', f.message USING ERRCODE = f.code; END IF;
             RETURN NULL; END $$;
         CREATE TRIGGER fail AFTER INSERT ON tidelog.events EXECUTE FUNCTION public.fail()",
    );
    type Fits = fn(&CommitError) -> bool;
    let cases: [(&str, &str, Fits); 11] = [
        ("53100", "could not extend file", |e| {
            matches!(e, CommitError::Failed(StoreError::Full(_)))
        }),
        ("58030", "could not write: No space left on device", |e| {
            matches!(e, CommitError::Failed(StoreError::Full(_)))
        }),
        ("XX000", "could not write: Disk quota exceeded", |e| {
            matches!(e, CommitError::Failed(StoreError::Full(_)))
        }),
        ("42501", "could not open: Read-only file system", |e| {
            matches!(e, CommitError::Failed(StoreError::Unavailable(_)))
        }),
        ("53200", "out of memory", |e| {
            matches!(e, CommitError::Failed(StoreError::Unavailable(_)))
        }),
        ("40001", "could not serialize", |e| {
            matches!(e, CommitError::Failed(StoreError::Unavailable(_)))
        }),
        ("25006", "read-only transaction", |e| {
            matches!(e, CommitError::Failed(StoreError::Unavailable(_)))
        }),
        ("XX001", "invalid page", |e| {
            matches!(e, CommitError::Failed(StoreError::Corrupted { .. }))
        }),
        ("22021", "invalid byte sequence", |e| {
            matches!(e, CommitError::Failed(StoreError::Unsupported(_)))
        }),
        ("57014", "canceled", |e| {
            matches!(e, CommitError::Unknown(_))
        }),
        ("57P01", "shutting down", |e| {
            matches!(e, CommitError::Unknown(_))
        }),
    ];
    for (code, message, fits) in cases {
        database.sql(&format!(
            "TRUNCATE public.fail; INSERT INTO public.fail VALUES ('{code}', '{message}')"
        ));
        let batch = writer.clone().append(2, |_, _| {});
        let error = store.commit(&batch).await.unwrap_err();
        assert!(fits(&error), "{code}: {error:?}");
        assert!(error.to_string().contains(code), "{error}");
        assert_eq!(head_of(&store).await, writer.head);
        database.sql("TRUNCATE public.fail");
        store.commit(&writer.append(2, |_, _| {})).await.unwrap();
    }
    assert_eq!(head_of(&store).await, 22);
}

#[tokio::test]
async fn integers_that_somebody_else_gave_out_are_learned() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(1, |_, _| {})).await.unwrap();
    database
        .sql("INSERT INTO tidelog.origins SELECT max(id) + 1, 'elsewhere', 1 FROM tidelog.origins");
    let mut us = Peer::new("us");
    let batch = writer.receive("us", 2, us.write_many(2));
    store.commit(&batch).await.unwrap();
    // The same before a rewrite.
    database
        .sql("INSERT INTO tidelog.origins SELECT max(id) + 1, 'elsewhere', 2 FROM tidelog.origins");
    let all = pages(&store, &query(0, u64::MAX, Selector::default())).await;
    let hash = store.hash_at(0).await.unwrap().unwrap();
    store.raise(&writer.rewrite(5, hash, &all)).await.unwrap();
    let found = contents(&store).await;
    assert_eq!(
        found.events[1..]
            .iter()
            .map(|e| e.event.clone())
            .collect::<Vec<_>>(),
        all[1..].iter().map(|e| e.event.clone()).collect::<Vec<_>>()
    );
    assert_eq!(found.state.voided.len(), 1);
    // And a reader that has never heard of an origin.
    let reader = database.open().await;
    let batch = writer.receive("ap", 1, Peer::new("ap").write_many(1));
    store.commit(&batch).await.unwrap();
    assert_eq!(
        reader.event(4).await.unwrap().as_ref(),
        batch.events.first()
    );
}

#[tokio::test]
async fn a_changed_row_is_found_and_named() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store
        .commit(&writer.append(3, |_, e| e.payload = "truth".into()))
        .await
        .unwrap();
    database.sql("UPDATE tidelog.events SET payload = 'a lie' WHERE seq = 2");
    let error = store.event(2).await.unwrap_err();
    let StoreError::Altered(event) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (event.sequence, event.id.to_string()),
        (2, "eu#1/2".to_owned())
    );
    assert!(store.event(3).await.is_ok());
}

#[tokio::test]
async fn a_large_rewrite_is_written_in_pieces_and_all_or_nothing() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    for _ in 0..3 {
        store
            .commit(&writer.append(900, |i, e| e.payload = vec![i as u8; 5_000].into()))
            .await
            .unwrap();
    }
    let all = pages(&store, &query(0, u64::MAX, Selector::default())).await;
    let hash = store.hash_at(10).await.unwrap().unwrap();
    let raise = writer.clone().rewrite(7, hash, &all[10..]);
    // Ended in the middle: definite, and nothing has changed.
    let mut holder = PgConnection::connect(&database.options.uri).await.unwrap();
    holder
        .execute("BEGIN; LOCK TABLE tidelog.voided IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let end = async {
        let pid = waiting_backend(&database, "wait_event_type = 'Lock'").await;
        database.sql(&format!("SELECT pg_terminate_backend({pid})"));
    };
    let (outcome, ()) = futures_util::future::join(store.raise(&raise), end).await;
    assert!(
        matches!(
            outcome,
            Err(CommitError::Failed(StoreError::Unavailable(_)))
        ),
        "{outcome:?}"
    );
    holder.execute("COMMIT").await.unwrap();
    assert_eq!(head_of(&store).await, 2_700);
    assert_eq!(store.state().await.unwrap().incarnation().0, 1);
    store.raise(&raise).await.unwrap();
    let state = store.state().await.unwrap();
    let rewrite = raise.rewrite.unwrap();
    assert_eq!((state.head, state.hash), (2_700, rewrite.hash));
    assert_eq!(
        pages(&store, &query(10, u64::MAX, Selector::default())).await,
        rewrite.events
    );
}

#[tokio::test]
async fn an_instance_is_the_same_until_server_or_data_are_replaced() {
    let server = Postgres::start(&[]).await.unwrap();
    let database = Database::on(&server);
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    let first = store.instance().await.unwrap();
    store.commit(&writer.append(1, |_, _| {})).await.unwrap();
    assert_eq!(store.instance().await.unwrap(), first);
    assert_eq!(database.open().await.instance().await.unwrap(), first);
    assert_eq!(first.timeline, "00000001");

    server.restart().await.unwrap();
    let restarted = store.instance().await.unwrap();
    assert_eq!(
        (&restarted.system, &restarted.timeline),
        (&first.system, &first.timeline)
    );
    assert_ne!(restarted.started, first.started);

    // Restored on the running server: a copy is another database, and so is one whose tables were written anew.
    store.close().await;
    let copy = format!("{}_copy", database.name);
    server
        .sql(
            "postgres",
            &format!("CREATE DATABASE {copy} TEMPLATE {}", database.name),
        )
        .unwrap();
    let copied = PostgresStore::open(database.options.clone().with_database(&copy))
        .await
        .unwrap();
    assert_ne!(copied.instance().await.unwrap().system, first.system);
    database.sql("CREATE TABLE public.h AS TABLE tidelog.head; ALTER TABLE public.h DROP COLUMN sum; TRUNCATE tidelog.head; INSERT INTO tidelog.head TABLE public.h");
    assert_ne!(
        database.open().await.instance().await.unwrap().system,
        first.system
    );
}

#[tokio::test]
async fn a_backup_of_a_log_in_use_restores_to_the_same_log() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    let mut us = Peer::new("us");
    store
        .commit(&writer.append(20, |i, e| {
            e.payload = vec![i as u8; 3_000].into();
            e.request_id = format!("r{i}");
            e.destinations = vec!["shop".into()];
        }))
        .await
        .unwrap();
    store
        .commit(&writer.receive("us", 3, us.write_many(3)))
        .await
        .unwrap();
    let before = contents(&store).await;
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("copy");
    // Beside a writer that has a transaction open.
    let mut holder = hold_head(&database).await;
    let said = store.backup(&target).await.unwrap();
    holder.execute("ROLLBACK").await.unwrap();
    store.commit(&writer.append(5, |_, _| {})).await.unwrap();
    assert!(said.contains("pg_restore"), "{said}");
    let error = store.backup(&target).await.unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");

    let name = format!("{}_restored", database.name);
    database.server.create_database(&name).unwrap();
    let status = database
        .server
        .program("pg_restore")
        .args(["--no-owner", "--exit-on-error", "--dbname", &name])
        .arg(target.join("tidelog.dump"))
        .status()
        .unwrap();
    assert!(status.success());
    let restored = PostgresStore::open(database.options.clone().with_database(&name))
        .await
        .unwrap();
    assert_eq!(contents(&restored).await, before);
    assert_ne!(
        restored.instance().await.unwrap(),
        store.instance().await.unwrap()
    );
    let LeaseOutcome::Acquired(state) = restored
        .acquire_lease(&lease("writer", 9, LEASE_TTL))
        .await
        .unwrap()
    else {
        panic!("its owner takes it")
    };
    let mut successor = Writer::resume(&state, "eu", 9);
    restored
        .commit(&successor.append(1, |_, _| {}))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_closed_store_has_let_go_and_says_so() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(1, |_, _| {})).await.unwrap();
    store.close().await;
    let error = store.state().await.unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
    eventually(|| {
        let left = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name LIKE 'tidelog%'", database.name);
        (database.server.sql("postgres", &left).unwrap() == "0").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_lease_does_not_wait_for_readers_or_a_commit() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    let mut holder = hold_head(&database).await;
    let batch = writer.append(1, |_, _| {});
    let mut commit = Box::pin(store.commit(&batch));
    let _ = futures_util::poll!(&mut commit);
    let begin = Instant::now();
    let renew = async {
        waiting_backend(&database, "wait_event_type = 'Lock'").await;
        store.renew_lease(&lease("writer", 1, LEASE_TTL)).await
    };
    match futures_util::future::select(commit, Box::pin(renew)).await {
        futures_util::future::Either::Left((outcome, _)) => panic!("it must wait: {outcome:?}"),
        futures_util::future::Either::Right((renewed, commit)) => {
            assert_eq!(renewed, Ok(true));
            holder.execute("COMMIT").await.unwrap();
            commit.await.unwrap();
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
}
