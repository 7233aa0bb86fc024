//! Opening the database that the configuration names.

use std::sync::Arc;
use std::time::Duration;

use tidelog_config::{Config, Postgres, Storage};
use tidelog_store::{LogStore, MemoryStore, StoreError};
use tidelog_store_postgres::{PostgresOptions, PostgresStore};
use tidelog_store_sqlite::{SqliteOptions, SqliteStore};

use crate::clock::now_micros;

/// How long an unreachable database is tried before the start gives up.
const OPEN_MAX: Duration = Duration::from_secs(30);
/// The same for one that refuses the login: long enough for a password that is rotated, short enough for a wrong one.
const LOGIN_MAX: Duration = Duration::from_secs(10);

/// Opens the store; an unreachable one, or one that refuses the login, is tried again for a while, and said so. A password in a file is read
/// anew each time.
pub(crate) async fn open(config: &Config) -> Result<Arc<dyn LogStore>, StoreError> {
    let begun = tokio::time::Instant::now();
    let mut pause = Duration::from_millis(200);
    loop {
        match open_once(config).await {
            Err(error) if error.is_retryable() && begun.elapsed() < longest(&error) => {
                tracing::warn!(
                    log = %config.log, location = %config.location, %error,
                    "cannot open the database yet, trying again"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            outcome => return outcome,
        }
    }
}

fn longest(error: &StoreError) -> Duration {
    match error {
        StoreError::LoginRefused(_) => LOGIN_MAX,
        _ => OPEN_MAX,
    }
}

async fn open_once(config: &Config) -> Result<Arc<dyn LogStore>, StoreError> {
    let (log, location) = (config.log.clone(), config.location.clone());
    match &config.storage {
        Storage::Sqlite(sqlite) => {
            let options = SqliteOptions { log, location };
            Ok(Arc::new(SqliteStore::open(&sqlite.path, options).await?))
        }
        Storage::Postgres(postgres) => {
            let mut options = PostgresOptions::new(uri(postgres)?, log, location);
            options.max_connections = postgres.max_connections;
            options.uri_file.clone_from(&postgres.uri_file);
            Ok(Arc::new(PostgresStore::open(options).await?))
        }
        Storage::Memory(_) => Ok(Arc::new(MemoryStore::new(Arc::new(now_micros)))),
    }
}

fn uri(postgres: &Postgres) -> Result<String, StoreError> {
    if let Some(uri) = &postgres.uri {
        return Ok(uri.reveal().to_owned());
    }
    let Some(path) = &postgres.uri_file else {
        return Err(StoreError::Setting(
            "storage.postgres needs uri or uriFile".into(),
        ));
    };
    let text = std::fs::read_to_string(path).map_err(|e| {
        StoreError::Setting(format!("storage.postgres.uriFile {}: {e}", path.display()))
    })?;
    Ok(text.trim().to_owned())
}

/// The database for people, without secrets.
pub(crate) fn describe(config: &Config) -> String {
    match &config.storage {
        Storage::Sqlite(sqlite) => format!("sqlite {}", sqlite.path.display()),
        Storage::Postgres(_) => "postgres".to_owned(),
        Storage::Memory(_) => "memory".to_owned(),
    }
}
