//! The schema: created and brought forward at every start, by whoever comes first.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tidelog_store::StoreError;

use crate::error::store_error;
use crate::migrations::{MIGRATIONS, known};
use crate::options::PostgresOptions;
use crate::session::SCHEMA;

/// In our own schema, which needs no rights on `public`.
const TABLE: &str = "tidelog.migrations";

/// Makes the database ours: refuses a newer schema or another owner before anything is changed, then migrates, under an advisory lock.
pub async fn prepare(
    connection: &mut PgConnection,
    options: &PostgresOptions,
) -> Result<(), StoreError> {
    check_version(connection).await?;
    if exists(connection, "tidelog.owner").await? {
        check_owner(connection, options).await?;
    }
    migrate(connection).await?;
    sqlx::query("INSERT INTO owner (log, location) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(&options.log)
        .bind(options.location.as_str())
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    check_owner(connection, options).await
}

async fn migrate(connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrator.create_schema(SCHEMA);
    migrator.dangerous_set_table_name(TABLE);
    let outcome = migrator.run_direct(None, connection, false).await;
    match outcome {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(found)) => Err(too_new(found)),
        Err(MigrateError::VersionMismatch(version)) => Err(StoreError::Corrupted {
            place: TABLE.into(),
            detail: format!(
                "migration {version} was applied with other content than this build has"
            ),
        }),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(store_error(error))
        }
        Err(other) => Err(StoreError::Unavailable(format!(
            "migration failed: {other}"
        ))),
    }
}

fn too_new(found: i64) -> StoreError {
    StoreError::SchemaTooNew {
        found,
        known: known(),
    }
}

async fn exists(connection: &mut PgConnection, table: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(connection)
        .await
        .map_err(store_error)
}

async fn check_version(connection: &mut PgConnection) -> Result<(), StoreError> {
    if !exists(connection, TABLE).await? {
        return Ok(());
    }
    let found: Option<i64> =
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT max(version) FROM {TABLE}")))
            .fetch_one(connection)
            .await
            .map_err(store_error)?;
    match found {
        Some(found) if found > known() => Err(too_new(found)),
        _ => Ok(()),
    }
}

async fn check_owner(
    connection: &mut PgConnection,
    options: &PostgresOptions,
) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT log, location FROM owner")
        .fetch_optional(connection)
        .await
        .map_err(store_error)?;
    let Some(row) = row else {
        return Ok(());
    };
    let log: String = row.try_get(0).map_err(store_error)?;
    let location: String = row.try_get(1).map_err(store_error)?;
    let found = format!("{log}/{location}");
    if found == options.owner() {
        return Ok(());
    }
    Err(StoreError::WrongOwner {
        found,
        expected: options.owner(),
    })
}

/// Creates a database unless it exists, through the database that the URI names (or `postgres`). `Ok(true)`: it was created.
pub async fn create_database(uri: &str, name: &str) -> Result<bool, StoreError> {
    let mut options = crate::options::parse(uri)?;
    if options.get_database().is_none() {
        options = options.database("postgres");
    }
    let place = crate::options::place(&options);
    let mut connection = PgConnection::connect_with(&options)
        .await
        .map_err(|error| crate::error::connect_error(error, &place))?;
    let known: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .map_err(store_error)?;
    let created = if known {
        false
    } else {
        // Always possible, whatever the server's defaults are; sorting is ours to decide and by bytes.
        let quoted = name.replace('"', "\"\"");
        let statement =
            format!("CREATE DATABASE \"{quoted}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'");
        match connection.execute(AssertSqlSafe(statement)).await {
            Ok(_) => true,
            // Somebody else was faster: the name is taken, or about to be.
            Err(sqlx::Error::Database(error))
                if matches!(error.code().as_deref(), Some("42P04" | "23505")) =>
            {
                false
            }
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => {
                return Err(StoreError::Setting(format!(
                    "{place} may not create databases: {}; ALTER ROLE ... CREATEDB, or create database {name} by hand",
                    error.message()
                )));
            }
            Err(error) => return Err(store_error(error)),
        }
    };
    // The work is done; how the connection ends does not matter.
    let _ = connection.close().await;
    Ok(created)
}
