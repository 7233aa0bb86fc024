//! Errors as every service answers them and every client reads them: a gRPC status with the details of `google.rpc`.
//!
//! The reason is for programs, the message for people: it names the field, the value, the limit and the way out.

mod api_error;
mod reason;
#[cfg(test)]
mod tests;

pub use api_error::{ApiError, Precondition};
pub use reason::{ErrorReason, reference};

/// Keys of the metadata of an `ErrorInfo`.
pub mod key {
    /// The local sequence of the event that a condition met.
    pub const SEQUENCE: &str = "sequence";
    /// The head of the log.
    pub const HEAD: &str = "head";
    /// The position from which to continue, as text (`7/50`).
    pub const LAST_SAFE_POSITION: &str = "last_safe_position";
    /// What is not covered yet, as the text of a vector (`eu#1:42`).
    pub const MISSING: &str = "missing";
    /// Where the writer serves applications, `HOST:PORT`.
    pub const WRITER_ADDRESS: &str = "writer_address";
    /// The last sequence that was deleted.
    pub const TRUNCATED_BELOW: &str = "truncated_below";
    /// The version vector of the log, as text.
    pub const VERSION_VECTOR: &str = "version_vector";
    /// An inclusive maximum that was exceeded.
    pub const LIMIT: &str = "limit";
    /// The value that exceeded it.
    pub const ACTUAL: &str = "actual";
    /// A location.
    pub const LOCATION: &str = "location";
    /// The id of an event, as text (`eu#1/42`).
    pub const EVENT_ID: &str = "event_id";
}
