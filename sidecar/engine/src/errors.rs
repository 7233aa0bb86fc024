//! What reading operations answer when they cannot do what was asked: one enum per operation, with the facts as fields.
//!
//! | fact | reason in the API |
//! |---|---|
//! | [`Closed::ShuttingDown`], [`Closed::NotWriter`], [`Closed::Fenced`] | `SHUTTING_DOWN`, `NOT_WRITER`, `FENCED` |
//! | [`PositionError::IncarnationChanged`], [`PositionError::Ahead`] | `INCARNATION_CHANGED`, `POSITION_AHEAD` |
//! | [`PageError::Behind`] | `STORAGE_UNAVAILABLE` (the writer is about to find out and to raise) |
//! | [`AwaitError::DeadlineExceeded`], [`AwaitError::Lost`] | deadline, `LOST_EVENTS` |
//! | [`ConsumerError::BeyondDelivered`] | `POSITION_AHEAD` |
//! | [`SubscribeError::ConsumerTaken`], [`SubscribeError::ConsumerDeleted`] | `CONSUMER_TAKEN`, `CONSUMER_NOT_FOUND` |
//! | any [`LimitError`] | `INVALID_REQUEST` |

use std::time::Duration;

use thiserror::Error;
use tidelog_model::{LimitError, Position, PositionError, VectorTime};
use tidelog_store::StoreError;

/// Why nothing is served any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Closed {
    /// The process is stopping.
    #[error("the log is shutting down; connect again when it is back")]
    ShuttingDown,
    /// Another process writes this log, and serves it.
    #[error("this process is not the writer of the log any more; the writer is {}", writer(.address))]
    NotWriter {
        /// Where clients can reach the writer, empty when unknown.
        address: String,
    },
    /// Another writer took the log over while this one did not notice.
    #[error("this writer of the log was fenced; connect again to find the one that took over")]
    Fenced,
}

fn writer(address: &str) -> &str {
    if address.is_empty() {
        "not known yet"
    } else {
        address
    }
}

/// A page, or anything else that is looked up in the published log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PageError {
    /// The position is not one of this log, or not yet.
    #[error(transparent)]
    Position(#[from] PositionError),
    /// Nothing is served any more.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database lost what was committed; its writer finds out with its next commit.
    #[error(
        "the database has nothing after {found} although the log was committed up to {head}; retry, the log starts a new incarnation"
    )]
    Behind {
        /// The published head.
        head: u64,
        /// The last sequence that the database returned.
        found: u64,
    },
}

/// A wait for a causal token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AwaitError {
    /// The token is not a token.
    #[error(transparent)]
    Invalid(#[from] LimitError),
    /// Not covered in time.
    #[error(
        "still missing after {waited:?}: {missing}; retry, or look at the lag of the edges that bring these origins"
    )]
    DeadlineExceeded {
        /// The entries of the token that the log does not cover.
        missing: VectorTime,
        /// How long it was waited.
        waited: Duration,
    },
    /// The token names events that no location holds any more: it will never be covered.
    #[error("the token names events that no location holds any more: {lost}")]
    Lost {
        /// The entries of the token that lie beyond what survives of their origins.
        lost: VectorTime,
    },
    /// Nothing is served any more.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A finite read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The request breaks a limit.
    #[error(transparent)]
    Invalid(#[from] LimitError),
    /// `min_version` was not reached.
    #[error(transparent)]
    MinVersion(#[from] AwaitError),
    /// A page could not be served.
    #[error(transparent)]
    Page(#[from] PageError),
}

/// A subscription, when it starts and while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubscribeError {
    /// The request breaks a limit.
    #[error(transparent)]
    Invalid(#[from] LimitError),
    /// `min_version` was not reached.
    #[error(transparent)]
    MinVersion(#[from] AwaitError),
    /// A page could not be served.
    #[error(transparent)]
    Page(#[from] PageError),
    /// A later stream, or a reset, took the consumer over.
    #[error(
        "consumer `{name}` continues elsewhere: another stream began under its name or its position was reset"
    )]
    ConsumerTaken {
        /// The consumer.
        name: String,
    },
    /// The consumer was deleted while this stream ran.
    #[error("consumer `{name}` was deleted; subscribe again to start it at the first event")]
    ConsumerDeleted {
        /// The consumer.
        name: String,
    },
}

/// A named consumer: acknowledging, looking up, deleting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConsumerError {
    /// The name breaks a limit.
    #[error(transparent)]
    Invalid(#[from] LimitError),
    /// There is none of that name.
    #[error("there is no consumer `{name}`; subscribe under that name to create it")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// Acknowledged was what its stream has not been given yet.
    #[error(
        "consumer `{name}` cannot acknowledge {position}: its stream was given everything up to {delivered} only; use reset to move it without reading"
    )]
    BeyondDelivered {
        /// The consumer.
        name: String,
        /// The position to acknowledge.
        position: Position,
        /// The last position that it may acknowledge.
        delivered: Position,
    },
    /// The position (or the one stored so far) is not one of this log.
    #[error(transparent)]
    Position(#[from] PositionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing is served any more.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl From<Closed> for ReadError {
    fn from(closed: Closed) -> Self {
        Self::Page(closed.into())
    }
}

impl From<Closed> for SubscribeError {
    fn from(closed: Closed) -> Self {
        Self::Page(closed.into())
    }
}

impl From<StoreError> for SubscribeError {
    fn from(error: StoreError) -> Self {
        Self::Page(error.into())
    }
}

impl From<PositionError> for SubscribeError {
    fn from(error: PositionError) -> Self {
        Self::Page(error.into())
    }
}

impl From<PageError> for ConsumerError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Position(e) => Self::Position(e),
            PageError::Closed(e) => Self::Closed(e),
            PageError::Store(e) => Self::Store(e),
            e @ PageError::Behind { .. } => Self::Store(StoreError::Unavailable(e.to_string())),
        }
    }
}
