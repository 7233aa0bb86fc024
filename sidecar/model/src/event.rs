//! The event envelope.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::caps;
use crate::chain::Digest;
use crate::hlc::HybridTime;
use crate::id::EventId;
use crate::limit::{self, LimitError};
use crate::vector_time::VectorTime;
use crate::version::ApplicationVersion;

/// The event that made a writer append, for idempotent "persist on event".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cause {
    /// The log of the causing event.
    pub log: String,
    /// The causing event.
    pub id: EventId,
    /// Which of the outputs of that cause this event is.
    pub output_index: u32,
}

/// What a client hands in: an event that has no identity yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewEvent {
    /// Application type, such as `OrderPlaced`; required.
    pub event_type: String,
    /// Version of the payload's schema.
    pub schema_version: u32,
    /// Media type of the payload.
    pub content_type: String,
    /// Opaque bytes.
    pub payload: Bytes,
    /// Who emits it.
    pub emitter_id: String,
    /// The default routing key.
    pub aggregate_id: String,
    /// Further routing keys.
    pub destinations: Vec<String>,
    /// Trace context, tags, what filters look at.
    pub metadata: BTreeMap<String, String>,
    /// The event that caused this one.
    pub caused_by: Option<Cause>,
    /// For confirmed delivery.
    pub delivery_id: String,
}

/// An event with its identity: the same bytes at every location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where and as which number it was first written.
    pub id: EventId,
    /// What its writer had seen.
    pub context: VectorTime,
    /// Hybrid logical time of writing.
    pub time: HybridTime,
    /// Application type.
    pub event_type: String,
    /// Version of the payload's schema.
    pub schema_version: u32,
    /// Media type of the payload.
    pub content_type: String,
    /// Opaque bytes.
    pub payload: Bytes,
    /// Who emitted it.
    pub emitter_id: String,
    /// The default routing key.
    pub aggregate_id: String,
    /// Further routing keys.
    pub destinations: Vec<String>,
    /// Trace context, tags, what filters look at.
    pub metadata: BTreeMap<String, String>,
    /// The event that caused this one.
    pub caused_by: Option<Cause>,
    /// For confirmed delivery.
    pub delivery_id: String,
    /// The idempotency key of the request that appended it, empty without one.
    pub request_id: String,
    /// Its index in that request, from 0.
    pub request_index: u32,
    /// How many events that request had.
    pub request_count: u32,
    /// Version of the application that wrote it.
    pub application_version: ApplicationVersion,
    /// The filters in force when it was written.
    pub plan_id: u64,
}

/// An event as one location holds it: with the local bookkeeping that differs between copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Local sequence, from 1, without gaps.
    pub sequence: u64,
    /// Local monotone time of storing, microseconds since the Unix epoch.
    pub stored_at_micros: i64,
    /// True when it was appended here, false when it was received from a peer (own events that were pulled back included).
    pub appended_here: bool,
    /// BLAKE3 over the canonical bytes.
    pub digest: Digest,
    /// The event.
    pub event: Arc<Event>,
}

impl Event {
    /// The vector time: the context with the own entry set to the event's sequence.
    pub fn vector_time(&self) -> VectorTime {
        let mut vt = self.context.clone();
        vt.set(&self.id.origin, self.id.sequence);
        vt
    }

    /// True when the key is the aggregate id or one of the destinations.
    pub fn has_key(&self, key: &str) -> bool {
        self.aggregate_id == key || self.destinations.iter().any(|d| d == key)
    }

    /// True when a client's event has the same content: everything that the client decides.
    pub fn has_content_of(&self, new: &NewEvent) -> bool {
        self.event_type == new.event_type
            && self.schema_version == new.schema_version
            && self.content_type == new.content_type
            && self.payload == new.payload
            && self.emitter_id == new.emitter_id
            && self.aggregate_id == new.aggregate_id
            && self.destinations == new.destinations
            && self.metadata == new.metadata
            && self.caused_by == new.caused_by
            && self.delivery_id == new.delivery_id
    }

    /// Checks every limit. The same on append and on receipt.
    pub fn check(&self) -> Result<(), LimitError> {
        check_fields(
            &self.event_type,
            &self.content_type,
            &self.emitter_id,
            &self.aggregate_id,
            &self.destinations,
            &self.metadata,
            self.caused_by.as_ref(),
            &self.delivery_id,
        )?;
        limit::text("request_id", &self.request_id, caps::KEY_BYTES_MAX)?;
        limit::count("context", self.context.len(), caps::VECTOR_ENTRIES_MAX)?;
        if self.id.sequence == 0 || self.id.sequence > caps::SEQUENCE_MAX {
            return Err(LimitError::OutOfRange {
                field: "id.sequence".into(),
                actual: self.id.sequence,
                limit: caps::SEQUENCE_MAX,
            });
        }
        if self.context.get(&self.id.origin) >= self.id.sequence {
            return Err(LimitError::BadForm {
                field: "context".into(),
                actual: self.context.to_string(),
                expected: "a context below the event's own sequence",
            });
        }
        Ok(())
    }
}

impl NewEvent {
    /// Checks every limit that does not need the identity. The size of the whole is checked when the bytes are made.
    pub fn check(&self) -> Result<(), LimitError> {
        check_fields(
            &self.event_type,
            &self.content_type,
            &self.emitter_id,
            &self.aggregate_id,
            &self.destinations,
            &self.metadata,
            self.caused_by.as_ref(),
            &self.delivery_id,
        )?;
        let bytes = self.approximate_bytes();
        if bytes > caps::EVENT_BYTES_MAX {
            return Err(LimitError::TooLong {
                field: "event".into(),
                actual: bytes,
                limit: caps::EVENT_BYTES_MAX,
            });
        }
        Ok(())
    }

    /// Bytes of the fields that the client decides, an estimate (from below) of the canonical size.
    pub fn approximate_bytes(&self) -> usize {
        self.event_type.len()
            + self.content_type.len()
            + self.payload.len()
            + self.emitter_id.len()
            + self.aggregate_id.len()
            + self.delivery_id.len()
            + self.destinations.iter().map(String::len).sum::<usize>()
            + self
                .metadata
                .iter()
                .map(|(k, v)| k.len() + v.len())
                .sum::<usize>()
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the fields that NewEvent and Event share"
)]
fn check_fields(
    event_type: &str,
    content_type: &str,
    emitter_id: &str,
    aggregate_id: &str,
    destinations: &[String],
    metadata: &BTreeMap<String, String>,
    caused_by: Option<&Cause>,
    delivery_id: &str,
) -> Result<(), LimitError> {
    limit::required("type", event_type, caps::KEY_BYTES_MAX)?;
    limit::text("content_type", content_type, caps::CONTENT_TYPE_BYTES_MAX)?;
    limit::text("emitter_id", emitter_id, caps::KEY_BYTES_MAX)?;
    limit::text("aggregate_id", aggregate_id, caps::KEY_BYTES_MAX)?;
    limit::text("delivery_id", delivery_id, caps::KEY_BYTES_MAX)?;
    limit::count("destinations", destinations.len(), caps::DESTINATIONS_MAX)?;
    for (i, key) in destinations.iter().enumerate() {
        limit::required(&format!("destinations[{i}]"), key, caps::KEY_BYTES_MAX)?;
    }
    limit::count("metadata", metadata.len(), caps::METADATA_ENTRIES_MAX)?;
    for (key, value) in metadata {
        limit::required("metadata key", key, caps::KEY_BYTES_MAX)?;
        limit::text(
            &format!("metadata[{key}]"),
            value,
            caps::METADATA_VALUE_BYTES_MAX,
        )?;
    }
    if let Some(cause) = caused_by {
        limit::required("caused_by.log", &cause.log, caps::LOG_NAME_BYTES_MAX)?;
    }
    Ok(())
}
