//! Between the wire and the model, both ways.
//!
//! To the wire is infallible (`From`). From the wire is `TryFrom` with a [`FieldError`] that names the field relative to the message
//! converted; callers put it in its place with [`FieldError::within`]. Converted values have their form (names, ids, vectors, lists within
//! their limits); what needs the whole event, such as its size, is checked by the model ([`tidelog_model::NewEvent::check`]).

mod event;
mod id;
mod position;
mod select;
mod time;

use thiserror::Error;
use tidelog_model::limit::LimitError;
use tidelog_model::{ChainHash, Digest};

use crate::v1::ReplicationMessage;
use crate::v1::replication_message::Message;

pub use position::{lineage_from_wire, lineage_to_wire};
pub use select::Selection;
pub use time::{micros_from_timestamp, timestamp_from_micros};

/// A field of a request that does not have its form; one violation of a `google.rpc.BadRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {description}")]
pub struct FieldError {
    /// Path of the field in the names of the `.proto` files, such as `events[3].caused_by.id.location`.
    pub field: String,
    /// What is wrong with it: value, limit or form, and the way out.
    pub description: String,
}

impl FieldError {
    /// An error of a field.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            description: description.into(),
        }
    }

    /// The error of a message field that must be present and is not.
    pub fn missing(field: &str) -> Self {
        Self::new(field, "is missing; it must be set")
    }

    /// The same error seen from the message that holds the converted one as `parent`.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        self.field = match self.field.chars().next() {
            None => parent.to_owned(),
            Some('[') => format!("{parent}{}", self.field),
            Some(_) => format!("{parent}.{}", self.field),
        };
        self
    }
}

impl From<Message> for ReplicationMessage {
    /// Not sealed yet: whoever sends it does that.
    fn from(message: Message) -> Self {
        Self {
            message: Some(message),
            checksum: 0,
        }
    }
}

impl From<LimitError> for FieldError {
    fn from(error: LimitError) -> Self {
        let text = error.to_string();
        // Every text begins with the field, which is named beside it already.
        let description = text.strip_prefix(error.field()).unwrap_or(&text);
        Self::new(error.field(), description.trim_start())
    }
}

/// Converts a field, naming it in the error.
pub fn field<T, U>(name: &str, value: T) -> Result<U, FieldError>
where
    U: TryFrom<T, Error = FieldError>,
{
    U::try_from(value).map_err(|e| e.within(name))
}

/// Converts a field that must be present.
pub fn required_field<T, U>(name: &str, value: Option<T>) -> Result<U, FieldError>
where
    U: TryFrom<T, Error = FieldError>,
{
    field(name, value.ok_or_else(|| FieldError::missing(name))?)
}

/// Converts a field that may be absent.
pub fn optional_field<T, U>(name: &str, value: Option<T>) -> Result<Option<U>, FieldError>
where
    U: TryFrom<T, Error = FieldError>,
{
    value.map(|v| field(name, v)).transpose()
}

/// Reads a digest: exactly 32 bytes.
pub fn digest_from_wire(field: &str, bytes: &[u8]) -> Result<Digest, FieldError> {
    Digest::from_slice(bytes).ok_or_else(|| wrong_hash_length(field, bytes))
}

/// Reads a hash of the chain: exactly 32 bytes.
pub fn chain_hash_from_wire(field: &str, bytes: &[u8]) -> Result<ChainHash, FieldError> {
    ChainHash::from_slice(bytes).ok_or_else(|| wrong_hash_length(field, bytes))
}

fn wrong_hash_length(field: &str, bytes: &[u8]) -> FieldError {
    FieldError::new(
        field,
        format!("has {} bytes; a hash has exactly 32", bytes.len()),
    )
}
