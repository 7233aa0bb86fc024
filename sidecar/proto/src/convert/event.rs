//! Events: as clients hand them in, and as they are stored.

use bytes::Bytes;
use tidelog_model::{Cause, Event, NewEvent, StoredEvent};

use super::{FieldError, optional_field, required_field, timestamp_from_micros};
use crate::v1;

impl From<&Cause> for v1::Cause {
    fn from(cause: &Cause) -> Self {
        Self {
            log: cause.log.clone(),
            id: Some((&cause.id).into()),
            output_index: cause.output_index,
        }
    }
}

impl TryFrom<v1::Cause> for Cause {
    type Error = FieldError;
    fn try_from(wire: v1::Cause) -> Result<Self, FieldError> {
        Ok(Self {
            log: wire.log,
            id: required_field("id", wire.id)?,
            output_index: wire.output_index,
        })
    }
}

impl From<NewEvent> for v1::NewEvent {
    fn from(event: NewEvent) -> Self {
        Self {
            r#type: event.event_type,
            schema_version: event.schema_version,
            content_type: event.content_type,
            payload: event.payload,
            emitter_id: event.emitter_id,
            aggregate_id: event.aggregate_id,
            destinations: event.destinations,
            metadata: event.metadata,
            caused_by: event.caused_by.as_ref().map(Into::into),
            delivery_id: event.delivery_id,
        }
    }
}

/// The form only: limits are judged by [`NewEvent::check`], whose errors have their own reasons.
impl TryFrom<v1::NewEvent> for NewEvent {
    type Error = FieldError;
    fn try_from(wire: v1::NewEvent) -> Result<Self, FieldError> {
        Ok(Self {
            event_type: wire.r#type,
            schema_version: wire.schema_version,
            content_type: wire.content_type,
            payload: wire.payload,
            emitter_id: wire.emitter_id,
            aggregate_id: wire.aggregate_id,
            destinations: wire.destinations,
            metadata: wire.metadata,
            caused_by: optional_field("caused_by", wire.caused_by)?,
            delivery_id: wire.delivery_id,
        })
    }
}

impl From<&StoredEvent> for v1::Event {
    fn from(stored: &StoredEvent) -> Self {
        let event = &stored.event;
        Self {
            id: Some((&event.id).into()),
            sequence: stored.sequence,
            context: Some((&event.context).into()),
            time: Some(event.time.into()),
            r#type: event.event_type.clone(),
            schema_version: event.schema_version,
            content_type: event.content_type.clone(),
            payload: event.payload.clone(),
            emitter_id: event.emitter_id.clone(),
            aggregate_id: event.aggregate_id.clone(),
            destinations: event.destinations.clone(),
            metadata: event.metadata.clone(),
            caused_by: event.caused_by.as_ref().map(Into::into),
            delivery_id: event.delivery_id.clone(),
            request_id: event.request_id.clone(),
            request_index: event.request_index,
            request_count: event.request_count,
            application_version: event.application_version.as_str().to_owned(),
            plan_id: event.plan_id,
            digest: Bytes::copy_from_slice(&stored.digest.0),
            stored_at: Some(timestamp_from_micros(stored.stored_at_micros)),
        }
    }
}

/// The event without the local bookkeeping of the location that answered. Whoever doubts that location compares the digest of
/// [`tidelog_model::canonical::encode`] with the one received.
impl TryFrom<v1::Event> for Event {
    type Error = FieldError;
    fn try_from(wire: v1::Event) -> Result<Self, FieldError> {
        Ok(Self {
            id: required_field("id", wire.id)?,
            context: required_field("context", wire.context)?,
            time: required_field("time", wire.time)?,
            event_type: wire.r#type,
            schema_version: wire.schema_version,
            content_type: wire.content_type,
            payload: wire.payload,
            emitter_id: wire.emitter_id,
            aggregate_id: wire.aggregate_id,
            destinations: wire.destinations,
            metadata: wire.metadata,
            caused_by: optional_field("caused_by", wire.caused_by)?,
            delivery_id: wire.delivery_id,
            request_id: wire.request_id,
            request_index: wire.request_index,
            request_count: wire.request_count,
            application_version: wire.application_version.parse().map_err(
                |e: tidelog_model::ParseError| {
                    FieldError::new("application_version", e.to_string())
                },
            )?,
            plan_id: wire.plan_id,
        })
    }
}
