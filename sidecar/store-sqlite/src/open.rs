//! Opening: lock, folder, connections, schema, owner.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Row};
use tidelog_model::{Incarnation, LocationName, Origin};
use tidelog_store::{InstanceId, StoreError};

use crate::error::store_error;
use crate::lock::LockFile;
use crate::migrations::{self, MIGRATIONS};
use crate::origins::Origins;
use crate::row::{corrupted, get, unsigned, unsigned32};
use crate::store::Shared;
use crate::write::Writer;

/// The database in its folder.
pub const DATABASE_FILE: &str = "log.db";

/// Connections that read.
const READERS_MAX: u32 = 4;
/// Rows that a reading connection decodes ahead of whoever takes them. An event may have 4 MiB, so there are few.
const READ_AHEAD_ROWS: usize = 16;
/// How long a reading connection that nobody uses is kept.
const READER_IDLE_MAX: Duration = Duration::from_mins(1);
/// How long a reader is waited for.
const READER_WAIT_MAX: Duration = Duration::from_secs(30);
/// What is kept of the write-ahead file after a checkpoint, when a large batch has made it longer.
const LOG_FILE_BYTES_KEPT: &str = "16777216";
/// "TIDE": marks the file as a log in the sense of `PRAGMA application_id`.
const APPLICATION_ID: i64 = 0x5449_4445;

/// Whose log it is.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The name of the log.
    pub log: String,
    /// The location.
    pub location: LocationName,
}

/// Opens the log in a folder.
pub async fn open(folder: &Path, options: SqliteOptions) -> Result<Shared, StoreError> {
    let folder = folder.to_owned();
    let path = folder.clone();
    let lock = tokio::task::spawn_blocking(move || prepare_folder(&path))
        .await
        .map_err(|e| StoreError::Unavailable(format!("opening the database: {e}")))??;
    let file = folder.join(DATABASE_FILE);
    let place = file.display().to_string();
    let base = SqliteConnectOptions::new()
        .filename(&file)
        .pragma("temp_store", "MEMORY")
        .row_buffer_size(READ_AHEAD_ROWS)
        .disable_statement_logging();
    let writing = base
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", LOG_FILE_BYTES_KEPT);
    let mut connection = writing
        .connect()
        .await
        .map_err(|e| store_error(e, &place))?;
    check_durability(&mut connection, &place).await?;
    migrate(&mut connection, &place).await?;
    let instance = own(&mut connection, &options, &place).await?;
    let origins = load_origins(&mut connection, &place).await?;
    // The file's entry in the folder must last as well.
    sync_directory(&folder)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(READER_WAIT_MAX)
        .idle_timeout(READER_IDLE_MAX)
        .test_before_acquire(false)
        .connect_lazy_with(base.read_only(true));
    Ok(Shared {
        folder,
        instance: InstanceId {
            system: instance,
            timeline: "1".into(),
            started: None,
        },
        origins,
        readers,
        writer: tokio::sync::Mutex::new(Writer::new(writing, connection)),
        doubtful: AtomicBool::new(false),
        lock: Mutex::new(Some(lock)),
    })
}

fn prepare_folder(folder: &Path) -> Result<LockFile, StoreError> {
    let failed = |error: std::io::Error| {
        StoreError::Unavailable(format!("folder {}: {error}", folder.display()))
    };
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    fs::create_dir_all(&parent).map_err(failed)?;
    let lock = LockFile::take(folder)?;
    fs::create_dir_all(folder).map_err(failed)?;
    sync_directory(&parent)?;
    Ok(lock)
}

fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory)
        .and_then(|d| d.sync_all())
        .map_err(|e| StoreError::Unavailable(format!("folder {}: {e}", directory.display())))
}

/// What the settings asked for must be in force: some file systems cannot do it.
async fn check_durability(
    connection: &mut SqliteConnection,
    place: &str,
) -> Result<(), StoreError> {
    let failed = |e| store_error(e, place);
    let row = sqlx::query("PRAGMA journal_mode")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let mode: String = row.try_get(0).map_err(failed)?;
    let row = sqlx::query("PRAGMA synchronous")
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    let synchronous: i64 = row.try_get(0).map_err(failed)?;
    if mode.eq_ignore_ascii_case("wal") && synchronous >= 2 {
        Ok(())
    } else {
        Err(StoreError::NotDurable(format!(
            "{place} has journal_mode={mode}, synchronous={synchronous} where wal and 2 are needed; \
             use a local file system"
        )))
    }
}

async fn migrate(connection: &mut SqliteConnection, place: &str) -> Result<(), StoreError> {
    let known = migrations::known();
    let failed = |e| store_error(e, place);
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM sqlite_schema), \
         (SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'), \
         (SELECT application_id FROM pragma_application_id)",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    let tables: i64 = get(&row, 0, place)?;
    let migrated: i64 = get(&row, 1, place)?;
    let application: i64 = get(&row, 2, place)?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(StoreError::Setting(format!(
            "{place} is a SQLite database of another application; name another data directory"
        )));
    }
    if migrated > 0 {
        let row = sqlx::query("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        let found: i64 = get(&row, 0, place)?;
        if found > known {
            return Err(StoreError::SchemaTooNew { found, known });
        }
    }
    let pragma = format!("PRAGMA application_id = {APPLICATION_ID}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(pragma))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    MIGRATIONS
        .run_direct(None, connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => {
                store_error(e, place)
            }
            other => corrupted(format!("schema of {place}"), other.to_string()),
        })
}

/// Checks or sets to whom the database belongs; returns its identity.
async fn own(
    connection: &mut SqliteConnection,
    options: &SqliteOptions,
    place: &str,
) -> Result<String, StoreError> {
    let failed = |e| store_error(e, place);
    let location = options.location.as_str();
    sqlx::query(
        "INSERT INTO owner (one, log, location, instance) VALUES (1, ?, ?, lower(hex(randomblob(16)))) ON CONFLICT DO NOTHING",
    )
    .bind(&options.log)
    .bind(location)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    let row = sqlx::query("SELECT log, location, instance FROM owner")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let log: String = get(&row, 0, "owner")?;
    let found: String = get(&row, 1, "owner")?;
    if log != options.log || found != location {
        return Err(StoreError::WrongOwner {
            found: format!("{log}/{found}"),
            expected: format!("{}/{location}", options.log),
        });
    }
    // Whoever held the lease held the lock file too: that process is gone.
    sqlx::query("UPDATE lease SET expires_at = 0 WHERE expires_at <> 0")
        .execute(connection)
        .await
        .map_err(failed)?;
    get(&row, 2, "owner")
}

async fn load_origins(
    connection: &mut SqliteConnection,
    place: &str,
) -> Result<Origins, StoreError> {
    let rows = sqlx::query("SELECT id, location, incarnation FROM origin ORDER BY id")
        .fetch_all(connection)
        .await
        .map_err(|e| store_error(e, place))?;
    let mut origins = Vec::with_capacity(rows.len());
    for row in &rows {
        if unsigned(row, 0, "origin")? != origins.len() as u64 {
            return Err(corrupted("origin", "the integers have gaps"));
        }
        let location = LocationName::new(get(row, 1, "origin")?)
            .map_err(|e| corrupted("origin", e.to_string()))?;
        origins.push(Origin::new(
            location,
            Incarnation(unsigned32(row, 2, "origin")?),
        ));
    }
    Ok(Origins::new(origins))
}
