//! What is checked before a log is opened.

use std::time::{Duration, Instant};

use tidelog_harness::postgres::{Postgres, USER};
use tidelog_store::generate::Writer;
use tidelog_store::{LogStore, StoreError};
use tidelog_store_postgres::{PostgresOptions, PostgresStore, create_database, database_name};

use crate::fixture::{Database, location};

async fn refusal(options: &PostgresOptions) -> StoreError {
    PostgresStore::open(options.clone())
        .await
        .expect_err("it must be refused")
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_acknowledged_is_refused() {
    for name in ["fsync", "full_page_writes"] {
        let server = Postgres::start(&[(name, "off")]).await.unwrap();
        let database = Database::on(&server);
        let error = refusal(&database.options).await;
        assert!(matches!(error, StoreError::NotDurable(_)), "{error:?}");
        let wanted = format!("set {name} = on in postgresql.conf");
        assert!(error.to_string().contains(&wanted), "{error}");
    }
}

#[tokio::test]
async fn synchronous_commit_is_forced_whatever_role_database_or_uri_say() {
    let database = Database::new().await;
    let name = &database.name;
    database.sql(&format!(
        "ALTER DATABASE {name} SET synchronous_commit = off"
    ));
    database.sql(&format!(
        "ALTER ROLE {USER} IN DATABASE {name} SET synchronous_commit = local"
    ));
    database.sql(&format!(
        "ALTER DATABASE {name} SET default_transaction_isolation = serializable"
    ));
    let mut options = database.options.clone();
    options
        .uri
        .push_str("?options[synchronous_commit]=off&options[statement_timeout]=5000");
    // The trigger writes down what the transaction that commits runs with.
    let store = PostgresStore::open(options).await.unwrap();
    database.sql(
        "CREATE TABLE public.seen (setting text);
         CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO public.seen VALUES (current_setting('synchronous_commit') || ' ' ||
                 current_setting('transaction_isolation') || ' ' || current_setting('statement_timeout'));
             RETURN NULL; END $$;
         CREATE TRIGGER note AFTER UPDATE ON tidelog.head EXECUTE FUNCTION public.note();
         CREATE TRIGGER note AFTER INSERT ON tidelog.consumers EXECUTE FUNCTION public.note()",
    );
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(1, |_, _| {})).await.unwrap();
    let consumer = tidelog_store::Consumer {
        name: "c".into(),
        position: tidelog_model::Position::default(),
        updated_at_micros: 0,
    };
    let fence = writer.guard().fence();
    assert_eq!(store.put_consumer(&fence, &consumer).await, Ok(true));
    let seen = database.sql("SELECT DISTINCT setting FROM public.seen");
    assert_eq!(seen, "on read committed 0");
    let times = database.sql("SELECT count(*) FROM public.seen");
    assert_eq!(times, "4", "lease, raise, commit, consumer");
}

#[tokio::test]
async fn a_database_of_another_log_or_location_is_refused_and_named() {
    let database = Database::new().await;
    database.open().await.close().await;
    let mut other = database.options.clone();
    other.location = location("us");
    assert_eq!(
        refusal(&other).await,
        StoreError::WrongOwner {
            found: "orders/eu".into(),
            expected: "orders/us".into()
        }
    );
    let mut other = database.options.clone();
    other.log = "stock".into();
    assert!(matches!(
        refusal(&other).await,
        StoreError::WrongOwner { .. }
    ));
    database.open().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let database = Database::new().await;
    database.open().await.close().await;
    database.sql(
        "INSERT INTO tidelog.migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of the future', true, '\\x00', 0)",
    );
    let error = refusal(&database.options).await;
    assert_eq!(
        error,
        StoreError::SchemaTooNew {
            found: 9_999,
            known: 2
        }
    );
    assert!(error.to_string().contains("use a newer build"), "{error}");
    let versions = database.sql("SELECT count(*) FROM tidelog.migrations");
    assert_eq!(versions, "3");
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    let database = Database::new().await;
    database.open().await.close().await;
    database.sql("UPDATE tidelog.migrations SET checksum = '\\x00'");
    let error = refusal(&database.options).await;
    assert!(matches!(error, StoreError::Corrupted { .. }), "{error:?}");
}

#[tokio::test]
async fn many_that_open_at_once_migrate_once() {
    let database = Database::new().await;
    let opening = (0..8).map(|_| PostgresStore::open(database.options.clone()));
    let stores = futures_util::future::join_all(opening).await;
    for store in stores {
        store.unwrap().close().await;
    }
    assert_eq!(database.sql("SELECT count(*) FROM tidelog.migrations"), "2");
    assert_eq!(
        database.sql("SELECT log, location FROM tidelog.owner"),
        "orders|eu"
    );
    // Neither locks nor sessions are left behind.
    assert_eq!(
        database.sql(
            "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
             WHERE locktype = 'advisory' AND datname = current_database()"
        ),
        "0"
    );
}

#[tokio::test]
async fn a_wrong_password_says_what_to_check_and_never_shows_it() {
    let database = Database::new().await;
    let mut options = database.options.clone();
    options.uri = options.uri.replace(database.server.password(), "wrong-one");
    let error = refusal(&options).await;
    assert!(matches!(error, StoreError::LoginRefused(_)), "{error:?}");
    assert!(error.is_retryable(), "it may be rotated just now");
    let text = error.to_string();
    assert!(text.contains("check user and password"), "{text}");
    assert!(
        text.contains("28P01") && !text.contains("wrong-one"),
        "{text}"
    );
}

#[tokio::test]
async fn a_password_may_be_rotated_while_the_store_is_open() {
    let mut database = Database::new().await;
    let role = format!("rotated_{}", database.name);
    database.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'first'"));
    database.sql(&format!("ALTER DATABASE {} OWNER TO {role}", database.name));
    let place = database.options.uri.rsplit_once('@').unwrap().1.to_owned();
    let uri = |password: &str| format!("postgres://{role}:{password}@{place}\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), uri("first")).unwrap();
    uri("first").trim().clone_into(&mut database.options.uri);
    database.options.uri_file = Some(file.path().to_owned());
    let store = database.open().await;
    store.state().await.unwrap();
    let end_all = || {
        database.sql(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'"
        ));
    };
    database.sql(&format!("ALTER ROLE {role} PASSWORD 'second'"));
    end_all();
    // The first call may find the broken connection.
    let _ = store.state().await;
    let refused = store.state().await.unwrap_err();
    assert!(matches!(refused, StoreError::LoginRefused(_)), "{refused}");
    std::fs::write(file.path(), uri("second")).unwrap();
    store.state().await.unwrap();

    // What names another database, or nothing, is not taken over.
    for other in ["postgres://me@elsewhere/other", "nothing"] {
        std::fs::write(file.path(), other).unwrap();
        end_all();
        let _ = store.state().await;
        store.state().await.unwrap();
    }
}

#[tokio::test]
async fn an_unknown_database_says_how_to_create_it() {
    let database = Database::new().await;
    let options = database.options.clone().with_database("nowhere");
    let error = refusal(&options).await;
    assert!(matches!(error, StoreError::Setting(_)), "{error:?}");
    assert!(error.to_string().contains("createdb"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_worth_another_try_and_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let uri = format!("postgres://me:secret@127.0.0.1:{port}/x");
    let mut options = PostgresOptions::new(uri, "orders", location("eu"));
    let error = refusal(&options).await;
    assert!(error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")));
    assert!(!error.to_string().contains("secret"), "{error}");

    // One that takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    options.uri = format!("postgres://me@127.0.0.1:{port}/x");
    options.connect_timeout = Duration::from_millis(300);
    let begin = Instant::now();
    let error = refusal(&options).await;
    assert!(error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("300ms"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn another_encoding_than_utf_8_is_refused() {
    let server = Postgres::shared().await.unwrap();
    server
        .sql(
            "postgres",
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
        )
        .unwrap();
    let options = PostgresOptions::new(server.uri("latin"), "orders", location("eu"));
    let error = refusal(&options).await;
    assert!(matches!(error, StoreError::Setting(_)), "{error:?}");
    assert!(error.to_string().contains("LATIN1"), "{error}");
}

#[tokio::test]
async fn a_read_only_database_is_unavailable_and_says_why() {
    let database = Database::new().await;
    let store = database.open().await;
    let mut writer = Writer::start(&store).await;
    store.commit(&writer.append(1, |_, _| {})).await.unwrap();
    store.close().await;
    let name = &database.name;
    database.sql(&format!(
        "ALTER DATABASE {name} SET default_transaction_read_only = on"
    ));
    let error = refusal(&database.options).await;
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("read-only"), "{error}");
}

#[tokio::test]
async fn a_user_without_rights_is_told_what_to_grant() {
    let database = Database::new().await;
    database.sql("CREATE ROLE guest LOGIN PASSWORD 'guest'");
    let uri = format!(
        "postgres://guest:guest@127.0.0.1:{}/{}",
        database.server.port(),
        database.name
    );
    let mut options = database.options.clone();
    options.uri = uri.clone();
    let error = refusal(&options).await;
    assert!(matches!(error, StoreError::Setting(_)), "{error:?}");
    assert!(error.to_string().contains("granted CREATE"), "{error}");
    let error = create_database(&uri, "guests_own").await.unwrap_err();
    assert!(error.to_string().contains("CREATEDB"), "{error}");
}

#[tokio::test]
async fn a_missing_database_is_created_once_for_each_log_and_location() {
    let server = Postgres::shared().await.unwrap();
    let uri = server.uri("");
    let long = "l".repeat(63);
    for log in ["created", &long] {
        let name = database_name(log, &location("eu"));
        assert_eq!(create_database(&uri, &name).await, Ok(true));
        assert_eq!(create_database(&uri, &name).await, Ok(false));
        let options = PostgresOptions::new(&uri, log, location("eu")).with_database(name);
        let store = PostgresStore::open(options).await.unwrap();
        Writer::start(&store).await;
        store.close().await;
    }
    let hostile = "x\"; DROP DATABASE postgres; --";
    assert_eq!(create_database(&uri, hostile).await, Ok(true));
    let both = futures_util::future::join(
        create_database(&uri, "at_once"),
        create_database(&uri, "at_once"),
    );
    let (a, b) = both.await;
    assert!(a.unwrap() ^ b.unwrap());
}

#[tokio::test]
async fn a_log_can_be_reached_over_the_unix_socket() {
    let database = Database::new().await;
    let mut options = database.options.clone();
    options.uri = database.server.socket_uri(&database.name);
    let store = PostgresStore::open(options).await.unwrap();
    Writer::start(&store).await;
}
