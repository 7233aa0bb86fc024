//! Rows of `events` back into events.
//!
//! Columns are taken by position and decoded from their binary form by hand: a page has thousands of values, and looking up names
//! and types for each costs more than the query.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::{Row as _, ValueRef as _};
use tidelog_model::{Cause, Digest, Event, EventId, HybridTime, Origin, StoredEvent, VectorTime};
use tidelog_store::{AlteredEvent, StoreError};

use crate::codec;
use crate::origins::OriginTable;

/// What is selected, in the order in which [`event`] takes it. The payload comes last, for a page may leave it out.
pub const COLUMNS: &str = "e.seq, e.stored_at, e.origin_sequence, e.time_micros, e.time_logical, e.schema_version, e.plan_id, \
     e.cause_sequence, e.cause_output, e.request_index, e.request_count, e.origin, e.cause_origin, e.appended_here, e.digest, \
     e.context, e.event_type, e.aggregate_id, e.content_type, e.application_version, e.emitter_id, e.delivery_id, e.request_id, \
     e.cause_log, e.destinations, e.metadata";
/// How many those are.
pub const COLUMN_COUNT: usize = 26;

/// Why a row could not be made an event.
#[derive(Debug)]
pub enum RowError {
    /// An origin that the snapshot does not know, or content that does not fit its digest, which a stale snapshot would explain.
    MaybeStale(StoreError),
    /// Anything else.
    Failed(StoreError),
}

impl RowError {
    /// The error, when it cannot be a stale snapshot any more.
    pub fn into_inner(self) -> StoreError {
        match self {
            Self::MaybeStale(error) | Self::Failed(error) => error,
        }
    }
}

/// Takes columns one after the other.
pub struct Cursor<'r> {
    row: &'r PgRow,
    at: usize,
    place: String,
}

impl<'r> Cursor<'r> {
    /// From a column on; `place` is where the row lives, for errors.
    pub fn new(row: &'r PgRow, at: usize, place: impl Into<String>) -> Self {
        Self {
            row,
            at,
            place: place.into(),
        }
    }

    /// What cannot be.
    pub fn corrupt(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupted {
            place: self.place.clone(),
            detail: detail.into(),
        }
    }

    fn next(&mut self) -> Result<Option<&'r [u8]>, StoreError> {
        let value = self
            .row
            .try_get_raw(self.at)
            .map_err(|e| self.corrupt(e.to_string()))?;
        self.at += 1;
        if value.is_null() {
            return Ok(None);
        }
        value
            .as_bytes()
            .map(Some)
            .map_err(|e| self.corrupt(e.to_string()))
    }

    /// Bytes or NULL.
    pub fn maybe_bytes(&mut self) -> Result<Option<&'r [u8]>, StoreError> {
        self.next()
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Result<&'r [u8], StoreError> {
        let column = self.at;
        self.next()?
            .ok_or_else(|| self.corrupt(format!("column {column} is NULL")))
    }

    fn array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, StoreError> {
        let column = self.at;
        match self.next()? {
            None => Ok(None),
            Some(bytes) => bytes
                .try_into()
                .map(Some)
                .map_err(|_| self.corrupt(format!("column {column} has {} bytes", bytes.len()))),
        }
    }

    /// A `bigint` or NULL.
    pub fn maybe_i64(&mut self) -> Result<Option<i64>, StoreError> {
        Ok(self.array()?.map(i64::from_be_bytes))
    }

    /// A `bigint`.
    pub fn i64(&mut self) -> Result<i64, StoreError> {
        let column = self.at;
        self.maybe_i64()?
            .ok_or_else(|| self.corrupt(format!("column {column} is NULL")))
    }

    /// A `bigint` that is a sequence.
    pub fn sequence(&mut self) -> Result<u64, StoreError> {
        let number = self.i64()?;
        u64::try_from(number).map_err(|_| self.corrupt(format!("sequence {number}")))
    }

    /// A `bigint` that holds a `u32`, NULL for 0.
    fn u32(&mut self) -> Result<u32, StoreError> {
        let number = self.maybe_i64()?.unwrap_or(0);
        u32::try_from(number).map_err(|_| self.corrupt(format!("number {number}")))
    }

    /// An `integer` or NULL.
    pub fn maybe_i32(&mut self) -> Result<Option<i32>, StoreError> {
        Ok(self.array()?.map(i32::from_be_bytes))
    }

    fn bool(&mut self) -> Result<bool, StoreError> {
        Ok(self.array::<1>()?.is_some_and(|b| b[0] != 0))
    }

    /// Text, NULL for none.
    fn text(&mut self) -> Result<String, StoreError> {
        let bytes = self.next()?.unwrap_or_default();
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|e| self.corrupt(e.to_string()))
    }

    /// A digest.
    pub fn digest(&mut self) -> Result<Digest, StoreError> {
        let bytes = self.bytes()?;
        Digest::from_slice(bytes).ok_or_else(|| self.corrupt("a digest has 32 bytes"))
    }
}

fn origin<'o>(
    cursor: &Cursor<'_>,
    origins: &'o OriginTable,
    id: i32,
) -> Result<&'o Origin, RowError> {
    origins
        .get(id)
        .ok_or_else(|| RowError::MaybeStale(cursor.corrupt(format!("origin {id} is unknown"))))
}

impl From<StoreError> for RowError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// An identity of `origin` and `origin_sequence`.
pub fn identity(
    cursor: &Cursor<'_>,
    origins: &OriginTable,
    id: Option<i32>,
    sequence: u64,
) -> Result<EventId, RowError> {
    let id = id.ok_or_else(|| cursor.corrupt("no origin"))?;
    Ok(EventId::new(origin(cursor, origins, id)?.clone(), sequence))
}

/// The event in the columns [`COLUMNS`] from `at` on, followed by its payload. Its digest is computed anew and compared.
pub fn event(row: &PgRow, at: usize, origins: &OriginTable) -> Result<StoredEvent, RowError> {
    let mut c = Cursor::new(row, at, "events");
    let sequence = c.sequence()?;
    c.place = format!("events, sequence {sequence}");
    let stored_at_micros = c.i64()?;
    let origin_sequence = c.sequence()?;
    let time = HybridTime {
        micros: c.i64()?,
        logical: c.u32()?,
    };
    let schema_version = c.u32()?;
    let plan_id = c.maybe_i64()?.unwrap_or(0) as u64;
    let cause_sequence = c.maybe_i64()?;
    let cause_output = c.u32()?;
    let request_index = c.u32()?;
    let request_count = c.u32()?;
    let origin_id = c.maybe_i32()?;
    let cause_origin = c.maybe_i32()?;
    let appended_here = c.bool()?;
    let digest = c.digest()?;
    let context = c.bytes()?;
    let event_type = c.text()?;
    let aggregate_id = c.text()?;
    let content_type = c.text()?;
    let application_version = c.text()?;
    let emitter_id = c.text()?;
    let delivery_id = c.text()?;
    let request_id = c.text()?;
    let cause_log = c.text()?;
    let destinations = match c.maybe_bytes()? {
        None => Vec::new(),
        Some(bytes) => {
            codec::decode_texts(bytes).ok_or_else(|| c.corrupt("destinations are garbled"))?
        }
    };
    let metadata = match c.maybe_bytes()? {
        None => BTreeMap::new(),
        Some(bytes) => codec::decode_map(bytes).ok_or_else(|| c.corrupt("metadata is garbled"))?,
    };
    let payload = Bytes::copy_from_slice(c.bytes()?);
    let caused_by = match cause_sequence {
        None => None,
        Some(n) => Some(Cause {
            log: cause_log,
            id: identity(&c, origins, cause_origin, n as u64)?,
            output_index: cause_output,
        }),
    };
    let event = Event {
        id: identity(&c, origins, origin_id, origin_sequence)?,
        context: vector(&c, context, origins)?,
        time,
        event_type,
        schema_version,
        content_type,
        payload,
        emitter_id,
        aggregate_id,
        destinations,
        metadata,
        caused_by,
        delivery_id,
        request_id,
        request_index,
        request_count,
        application_version: application_version
            .parse()
            .map_err(|e| c.corrupt(format!("application version: {e}")))?,
        plan_id,
    };
    AlteredEvent::check(sequence, &event, digest).map_err(RowError::MaybeStale)?;
    Ok(StoredEvent {
        sequence,
        stored_at_micros,
        appended_here,
        digest,
        event: Arc::new(event),
    })
}

/// A vector of local integers.
pub fn vector(
    cursor: &Cursor<'_>,
    bytes: &[u8],
    origins: &OriginTable,
) -> Result<VectorTime, RowError> {
    codec::decode_vector(bytes, |id| origins.get(id))
        .ok_or_else(|| RowError::MaybeStale(cursor.corrupt("a vector is garbled")))
}
