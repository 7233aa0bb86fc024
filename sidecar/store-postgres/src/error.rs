//! What an error of PostgreSQL means for the caller.
//!
//! **Which errors of a commit are definite.** A batch is one statement in its own implicit transaction, sent as Bind, Execute and Sync in one
//! message. The server commits when it processes the Sync, and only then says `ReadyForQuery`; before that it may already have said
//! `CommandComplete`, so sqlx is always driven to the end. From there:
//! - An *error response* of severity ERROR aborts the transaction: whatever fails after the commit record was written cannot be an
//!   ERROR any more, the server would panic. So constraint violations, a full disk while extending a table, out of memory, lock
//!   and serialization failures are definite: nothing was stored and nothing will be.
//! - The exceptions are interrupts (class 57: cancel, shutdown, terminate). They are looked at again after the commit, before
//!   `ReadyForQuery`, and they also end the wait for a synchronous standby, when the transaction is committed locally already.
//! - FATAL and PANIC end the session at any point (a WAL volume that is full is a PANIC inside the commit), as does a broken socket. What the
//!   server had done by then cannot be seen from here.
//!
//! These are `Unknown`; everything that fails before the statement is sent (connecting, preparing) is definite. (A cancel by
//! hand of the wait for a standby is reported by PostgreSQL as success with a warning: the batch is durable here, not yet there.)

use std::borrow::Cow;

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use tidelog_store::{CommitError, StoreError};

/// The constraint that guards identities.
const IDENTITY: &str = "events_identity";

/// True when the connection cannot be used any more, or nobody knows whether it can.
pub fn breaks_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            is_terminal(code(error.code()).as_ref(), severity(error.as_ref()))
        }
        sqlx::Error::Encode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::RowNotFound => false,
        _ => true,
    }
}

fn code(code: Option<Cow<'_, str>>) -> String {
    code.map_or_else(String::new, Cow::into_owned)
}

fn severity(error: &dyn sqlx::error::DatabaseError) -> PgSeverity {
    error
        .try_downcast_ref::<PgDatabaseError>()
        .map_or(PgSeverity::Fatal, PgDatabaseError::severity)
}

fn is_terminal(code: &str, severity: PgSeverity) -> bool {
    matches!(severity, PgSeverity::Fatal | PgSeverity::Panic)
        || code.starts_with("08")
        || matches!(code, "57P01" | "57P02" | "57P03" | "57P04" | "57P05")
}

/// The outcome of a statement that commits, from its error.
pub fn commit_error(error: sqlx::Error) -> CommitError {
    match &error {
        sqlx::Error::Database(database) => {
            let code = code(database.code());
            let interrupted = code.starts_with("57") || code == "40003";
            if interrupted || is_terminal(&code, severity(database.as_ref())) {
                return CommitError::Unknown(describe(database.as_ref()));
            }
            if code == "23505" && database.constraint() == Some(IDENTITY) {
                return CommitError::DuplicateIdentity;
            }
            CommitError::Failed(store_error(error))
        }
        // Nothing was sent: the arguments could not be written.
        sqlx::Error::Encode(_) => CommitError::Failed(store_error(error)),
        _ => CommitError::Unknown(format!("connection to PostgreSQL lost: {error}")),
    }
}

/// True when two writes gave the same local integer to different origins: the cache of one of them was stale.
pub fn is_stale_origin(error: &CommitError) -> bool {
    matches!(error, CommitError::Failed(StoreError::Corrupted { place, .. }) if place.starts_with("origins"))
}

/// Where what is not there should be.
const NO_SCHEMA: &str = "schema";

/// Whether a table, or all of them, are not there.
pub fn lacks_a_table(error: &StoreError) -> bool {
    matches!(error, StoreError::Corrupted { place, .. } if place == NO_SCHEMA)
}

/// Any other error.
pub fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(database) => from_server(database.as_ref()),
        sqlx::Error::Encode(error) => {
            StoreError::Unsupported(format!("PostgreSQL cannot take a value: {error}"))
        }
        sqlx::Error::Decode(error) => StoreError::Corrupted {
            place: "a row".into(),
            detail: error.to_string(),
        },
        sqlx::Error::ColumnDecode { index, source } => StoreError::Corrupted {
            place: format!("column {index}"),
            detail: source.to_string(),
        },
        sqlx::Error::Configuration(error) => StoreError::Setting(error.to_string()),
        other => StoreError::Unavailable(format!("connection to PostgreSQL lost: {other}")),
    }
}

/// An error while connecting; `place` says where to, without the password.
pub fn connect_error(error: sqlx::Error, place: &str) -> StoreError {
    match error {
        sqlx::Error::Database(database) => {
            let said = describe(database.as_ref());
            match code(database.code()).as_str() {
                "28P01" | "28000" => StoreError::LoginRefused(format!(
                    "{place} refuses the login: {said}; check user and password of the storage URI, and the server's pg_hba.conf"
                )),
                "3D000" => StoreError::Setting(format!(
                    "{place} has no such database: {said}; create it (`createdb NAME`) or name another in the storage URI"
                )),
                "42501" => StoreError::Setting(format!(
                    "{place} does not let this user in: {said}; GRANT CONNECT on the database"
                )),
                _ => match from_server(database.as_ref()) {
                    StoreError::Unavailable(said) => {
                        StoreError::Unavailable(format!("{place}: {said}"))
                    }
                    other => other,
                },
            }
        }
        sqlx::Error::Configuration(error) => {
            StoreError::Setting(format!("storage URI of {place}: {error}"))
        }
        sqlx::Error::Tls(error) => StoreError::Setting(format!(
            "{place}: TLS failed: {error}; check sslmode and sslrootcert of the storage URI"
        )),
        other => StoreError::Unavailable(format!(
            "{place} cannot be reached: {other}; check that it runs and that host and port of the storage URI are right"
        )),
    }
}

/// `message (SQLSTATE)`.
fn describe(error: &dyn sqlx::error::DatabaseError) -> String {
    format!("{} ({})", error.message(), code(error.code()))
}

fn from_server(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let said = describe(error);
    let code = code(error.code());
    let mentions = |text: &str| error.message().contains(text);
    match code.as_str() {
        "53100" => StoreError::Full(said),
        // Files that fail in ways that have no code of their own.
        _ if mentions("No space left on device") || mentions("Disk quota exceeded") => {
            StoreError::Full(said)
        }
        _ if mentions("Read-only file system") => StoreError::Unavailable(said),
        "25006" => StoreError::Unavailable(format!(
            "PostgreSQL is read-only: {said}; wait for the fail-over, or point the storage URI at the primary"
        )),
        "42501" => StoreError::Setting(format!(
            "{said}; the user of the storage URI must own the database, or be granted CREATE on it"
        )),
        "42P01" | "42703" | "3F000" => StoreError::Corrupted {
            place: NO_SCHEMA.into(),
            detail: said,
        },
        "23505" | "23502" | "23514" => StoreError::Corrupted {
            place: error
                .constraint()
                .or_else(|| error.table())
                .unwrap_or("a table")
                .to_owned(),
            detail: said,
        },
        code if code.starts_with("XX") && code != "XX000" => StoreError::Corrupted {
            place: error.table().unwrap_or("database").to_owned(),
            detail: said,
        },
        // Values that do not fit and limits of the server: the same call will fail again.
        code if code.starts_with("22") || code.starts_with("54") => StoreError::Unsupported(said),
        _ => StoreError::Unavailable(said),
    }
}
