//! Rows as values of the model.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row, Type};
use tidelog_model::{
    ApplicationVersion, ChainHash, Digest, Event, EventId, HybridTime, StoredEvent, VectorTime,
};
use tidelog_store::{AlteredEvent, StoreError};

use crate::codec;
use crate::error::store_error;
use crate::origins::Origins;

/// The columns of [`event`], for a table that is called `e`.
pub const EVENT_COLUMNS: &str = "e.seq, e.origin, e.origin_sequence, e.stored_at, e.appended_here, e.event_type, \
     e.aggregate_id, e.emitter_id, e.cause, e.digest, e.envelope, e.payload";

/// One column of a row.
pub fn get<'r, T>(row: &'r SqliteRow, column: usize, place: &str) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    row.try_get(column).map_err(|e| store_error(e, place))
}

/// The answer to bytes that no encoder wrote.
pub fn corrupted(place: impl Into<String>, detail: impl Into<String>) -> StoreError {
    StoreError::Corrupted {
        place: place.into(),
        detail: detail.into(),
    }
}

/// A number that was written from an unsigned one.
pub fn unsigned(row: &SqliteRow, column: usize, place: &str) -> Result<u64, StoreError> {
    let number: i64 = get(row, column, place)?;
    u64::try_from(number).map_err(|_| corrupted(place, format!("{number} is below zero")))
}

/// A number of 32 bits.
pub fn unsigned32(row: &SqliteRow, column: usize, place: &str) -> Result<u32, StoreError> {
    let number: i64 = get(row, column, place)?;
    u32::try_from(number).map_err(|_| corrupted(place, format!("{number} is not of 32 bits")))
}

/// A digest.
pub fn digest(row: &SqliteRow, column: usize, place: &str) -> Result<Digest, StoreError> {
    Digest::from_slice(get(row, column, place)?)
        .ok_or_else(|| corrupted(place, "the digest does not have 32 bytes"))
}

/// A hash of the chain.
pub fn chain_hash(row: &SqliteRow, column: usize, place: &str) -> Result<ChainHash, StoreError> {
    ChainHash::from_slice(get(row, column, place)?)
        .ok_or_else(|| corrupted(place, "the hash does not have 32 bytes"))
}

/// A vector.
pub fn vector(
    row: &SqliteRow,
    column: usize,
    origins: &Origins,
    place: &str,
) -> Result<VectorTime, StoreError> {
    codec::decode_vector(get(row, column, place)?, &|id| origins.resolve(id))
        .ok_or_else(|| corrupted(place, "the vector cannot be read"))
}

/// An event id in two columns: the origin's integer and the sequence.
pub fn event_id(
    row: &SqliteRow,
    column: usize,
    origins: &Origins,
    place: &str,
) -> Result<EventId, StoreError> {
    let origin = unsigned32(row, column, place)?;
    let origin = origins
        .resolve(origin)
        .ok_or_else(|| corrupted(place, format!("origin {origin} is not known")))?;
    Ok(EventId::new(origin, unsigned(row, column + 1, place)?))
}

/// An event whose [`EVENT_COLUMNS`] start at a column. Its digest is computed anew.
pub fn event(row: &SqliteRow, first: usize, origins: &Origins) -> Result<StoredEvent, StoreError> {
    let sequence = unsigned(row, first, "event")?;
    let place = format!("event {sequence}");
    let payload: Vec<u8> = get(row, first + 11, &place)?;
    let mut event = Event {
        id: event_id(row, first + 1, origins, &place)?,
        context: VectorTime::new(),
        time: HybridTime::default(),
        event_type: get(row, first + 5, &place)?,
        schema_version: 0,
        content_type: String::new(),
        payload: Bytes::from(payload),
        emitter_id: get(row, first + 7, &place)?,
        aggregate_id: get(row, first + 6, &place)?,
        destinations: Vec::new(),
        metadata: std::collections::BTreeMap::new(),
        caused_by: None,
        delivery_id: String::new(),
        request_id: String::new(),
        request_index: 0,
        request_count: 0,
        application_version: ApplicationVersion::default(),
        plan_id: 0,
    };
    if let Some(bytes) = get::<Option<&[u8]>>(row, first + 8, &place)? {
        let cause = codec::decode_cause(bytes);
        event.caused_by =
            Some(cause.ok_or_else(|| corrupted(&*place, "the cause cannot be read"))?);
    }
    let envelope = get(row, first + 10, &place)?;
    codec::decode_envelope(&mut event, envelope, &|id| origins.resolve(id))
        .ok_or_else(|| corrupted(&*place, "the envelope cannot be read"))?;
    let digest = digest(row, first + 9, &place)?;
    AlteredEvent::check(sequence, &event, digest)?;
    Ok(StoredEvent {
        sequence,
        stored_at_micros: get(row, first + 3, &place)?,
        appended_here: get::<i64>(row, first + 4, &place)? != 0,
        digest,
        event: Arc::new(event),
    })
}
