//! What can go wrong in a store, sorted by what the caller has to do.

use thiserror::Error;
use tidelog_model::{Digest, Event, EventId, canonical, mutant};

use crate::state::InstanceId;

/// A failed read or administrative write. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The database cannot be reached or refuses to work for now; retry.
    #[error("storage unavailable: {0}")]
    Unavailable(String),
    /// No room is left; retry when there is.
    #[error("storage full: {0}")]
    Full(String),
    /// What was read back is not what was written. Needs a person.
    #[error("stored data is corrupt at {place}: {detail}")]
    Corrupted {
        /// Table and key, or local sequence.
        place: String,
        /// What does not fit.
        detail: String,
    },
    /// The fields of an event are not those that were written: they do not give the digest that is kept with them. Needs a person.
    #[error(transparent)]
    Altered(Box<AlteredEvent>),
    /// The database was written by a newer build.
    #[error(
        "database schema is version {found}, this build knows up to {known}; use a newer build"
    )]
    SchemaTooNew {
        /// Version in the database.
        found: i64,
        /// Newest version of this build.
        known: i64,
    },
    /// The database belongs to another log or location.
    #[error("database belongs to {found}, not to {expected}; check the storage setting")]
    WrongOwner {
        /// `log/location` in the database.
        found: String,
        /// `log/location` asked for.
        expected: String,
    },
    /// Another process has the database open.
    #[error("database {path} is in use by {holder}; stop that process first")]
    InUse {
        /// The database.
        path: String,
        /// Who holds it, as far as it said.
        holder: String,
    },
    /// The database is set up so that what it acknowledges may be lost.
    #[error("database is not durable: {0}")]
    NotDurable(String),
    /// The database refuses the login. While a password is rotated, one side has the new one a little earlier than the other.
    #[error("{0}")]
    LoginRefused(String),
    /// The settings of the store cannot work whatever the database does.
    #[error("storage setting: {0}")]
    Setting(String),
    /// This store cannot do that.
    #[error("{0}")]
    Unsupported(String),
}

/// An event that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "event {sequence} ({id}) is not what was written: its fields give the digest {computed}, kept is {recorded}"
)]
pub struct AlteredEvent {
    /// Its local sequence.
    pub sequence: u64,
    /// Its identity, as it is stored now.
    pub id: EventId,
    /// The digest that is kept.
    pub recorded: Digest,
    /// The digest that its fields give.
    pub computed: Digest,
}

impl AlteredEvent {
    /// As the error that it is; nothing when the digest is the one that is kept.
    pub fn check(sequence: u64, event: &Event, recorded: Digest) -> Result<(), StoreError> {
        let computed = Digest::of(&canonical::encode(event));
        if computed == recorded || mutant!("digest-not-checked") {
            return Ok(());
        }
        Err(StoreError::Altered(Box::new(Self {
            sequence,
            id: event.id.clone(),
            recorded,
            computed,
        })))
    }
}

impl StoreError {
    /// True when trying again later may help.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Full(_) | Self::LoginRefused(_)
        )
    }
}

/// A failed commit. Every variant but one is definite: nothing of the batch is in the log and nothing of it will ever be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommitError {
    /// The guard did not hold: another writer, another incarnation or another head.
    #[error(
        "fenced: the database has another incarnation, writer or head than this writer's memory"
    )]
    Fenced,
    /// This is not the database in which the lease was taken: what the writer remembers has to be proven anew.
    #[error("the database is {found}, the lease was taken in {leased}")]
    AnotherDatabase {
        /// Where the lease was taken.
        leased: Box<InstanceId>,
        /// What is there now.
        found: Box<InstanceId>,
    },
    /// An event's `(origin, sequence)` is stored already.
    #[error("an event id of the batch is stored already")]
    DuplicateIdentity,
    /// Definitely not committed.
    #[error(transparent)]
    Failed(#[from] StoreError),
    /// The connection broke while committing: read the state again to know.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}
