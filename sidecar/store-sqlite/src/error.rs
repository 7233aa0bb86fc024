//! SQLite's result codes, sorted by what the caller has to do.

use tidelog_store::StoreError;

/// Primary result codes (the low byte of what SQLite answers).
mod code {
    pub const ERROR: i32 = 1;
    pub const PERMISSION: i32 = 3;
    pub const BUSY: i32 = 5;
    pub const LOCKED: i32 = 6;
    pub const NO_MEMORY: i32 = 7;
    pub const READ_ONLY: i32 = 8;
    pub const INTERRUPTED: i32 = 9;
    pub const IO: i32 = 10;
    pub const CORRUPT: i32 = 11;
    pub const FULL: i32 = 13;
    pub const CANNOT_OPEN: i32 = 14;
    pub const PROTOCOL: i32 = 15;
    pub const NOT_A_DATABASE: i32 = 26;
    /// Extended: a write to a file failed.
    pub const IO_WRITE: i32 = 0x030a;
    /// Extended: the shared-memory file could not be made longer, which is what a full disk looks like from there.
    pub const IO_SHM_SIZE: i32 = 0x130a;
}

fn extended_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    extended_code(error).map(|code| code & 0xff)
}

/// The guard's constraint.
pub fn is_fenced(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|e| e.is_check_violation() && e.message().ends_with("fenced"))
}

/// The uniqueness of `(origin, origin_sequence)`.
pub fn is_duplicate_identity(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|e| e.is_unique_violation() && e.message().contains("event.origin_sequence"))
}

/// `ROLLBACK` outside of a transaction: SQLite has rolled back already.
pub fn is_no_transaction(error: &sqlx::Error) -> bool {
    extended_code(error) == Some(code::ERROR)
        && error
            .as_database_error()
            .is_some_and(|e| e.message().contains("no transaction"))
}

/// True when the failure of `COMMIT` itself leaves open what a crash would make of it: the log file may hold the whole transaction
/// although it was not made visible. That is so after a failed flush, and when the index over the log file could not be extended, which comes after
/// the flush. A write that failed is not such a case: the frame that makes the transaction whole is written last.
pub fn leaves_commit_open(error: &sqlx::Error) -> bool {
    match extended_code(error) {
        Some(code::IO_WRITE) => false,
        Some(code) => code & 0xff == code::IO,
        None => true,
    }
}

/// Sorts an error. `place` says what was being done, for people.
pub fn store_error(error: sqlx::Error, place: &str) -> StoreError {
    let unavailable = |e: sqlx::Error| StoreError::Unavailable(format!("{place}: {e}"));
    match &error {
        sqlx::Error::Database(_) => {}
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::RowNotFound
        | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            return StoreError::Corrupted {
                place: place.into(),
                detail: error.to_string(),
            };
        }
        _ => return unavailable(error),
    }
    if extended_code(&error) == Some(code::IO_SHM_SIZE) {
        return StoreError::Full(format!("{place}: {error}"));
    }
    match primary_code(&error) {
        Some(code::FULL) => StoreError::Full(format!("{place}: {error}")),
        Some(code::CORRUPT | code::NOT_A_DATABASE | code::ERROR) => StoreError::Corrupted {
            place: place.into(),
            detail: error.to_string(),
        },
        Some(
            code::BUSY
            | code::LOCKED
            | code::IO
            | code::CANNOT_OPEN
            | code::PROTOCOL
            | code::PERMISSION
            | code::READ_ONLY
            | code::NO_MEMORY
            | code::INTERRUPTED,
        ) => unavailable(error),
        // A constraint that is none of those that are looked for: the database is not what it should be.
        _ => StoreError::Corrupted {
            place: place.into(),
            detail: error.to_string(),
        },
    }
}
