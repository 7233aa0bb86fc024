//! Canonical bytes of an event, version 1: what is digested and forwarded. One event has exactly one encoding.
//!
//! ```text
//! 0x01 { tag: u8, length: u32, value }*      tags rising; a field with its default value is absent
//! ```
//! Numbers are big-endian and of fixed width. Text is UTF-8. A list is `{ length: u32, bytes }*`. Maps and vectors are
//! sorted by the bytes of their keys. Everything but the digest and local bookkeeping is in it.
//!
//! The decoder is strict: what it accepts encodes back to the same bytes, so a digest over received bytes is a digest over the event.

use std::collections::BTreeMap;

use bytes::Bytes;
use thiserror::Error;

use crate::caps;
use crate::event::{Cause, Event};
use crate::hlc::HybridTime;
use crate::id::{EventId, Incarnation, LocationName, Origin};
use crate::mutant;
use crate::vector_time::VectorTime;

/// The version byte of the encoding written here.
pub const VERSION: u8 = 1;

/// Bytes that are not the canonical encoding of an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CanonicalError {
    /// Written by a newer version of Tidelog: the edge is `Incompatible` until this side is upgraded.
    #[error(
        "canonical bytes of version {0}, this build knows version {VERSION}; upgrade this location"
    )]
    UnknownVersion(u8),
    /// Ends in the middle of a field.
    #[error("canonical bytes end inside field {0}")]
    Truncated(u8),
    /// A field out of order, repeated, unknown, or present with its default value.
    #[error("canonical field {0} is out of order, unknown, or empty")]
    NotCanonical(u8),
    /// A field whose value does not have its form.
    #[error("canonical field {tag} is not {expected}")]
    BadValue {
        /// The tag of the field.
        tag: u8,
        /// What it should be.
        expected: &'static str,
    },
    /// Larger than any event may be.
    #[error("canonical bytes are {0} long, the limit is {limit}", limit = caps::EVENT_BYTES_MAX)]
    TooLong(usize),
}

mod tag {
    pub const ID: u8 = 1;
    pub const CONTEXT: u8 = 2;
    pub const TIME: u8 = 3;
    pub const TYPE: u8 = 4;
    pub const SCHEMA_VERSION: u8 = 5;
    pub const CONTENT_TYPE: u8 = 6;
    pub const PAYLOAD: u8 = 7;
    pub const EMITTER_ID: u8 = 8;
    pub const AGGREGATE_ID: u8 = 9;
    pub const DESTINATIONS: u8 = 10;
    pub const METADATA: u8 = 11;
    pub const CAUSED_BY: u8 = 12;
    pub const DELIVERY_ID: u8 = 13;
    pub const REQUEST_ID: u8 = 14;
    pub const REQUEST_INDEX: u8 = 15;
    pub const REQUEST_COUNT: u8 = 16;
    pub const APPLICATION_VERSION: u8 = 17;
    pub const PLAN_ID: u8 = 18;
}

/// The canonical bytes of an event.
pub fn encode(event: &Event) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(
        160 + event.payload.len() + event.context.len() * 24,
    ));
    out.0.push(VERSION);
    out.field(tag::ID, |w| write_id(w, &event.id));
    out.field(tag::CONTEXT, |w| write_vector(w, &event.context));
    if event.time != HybridTime::default() {
        out.field(tag::TIME, |w| {
            w.0.extend_from_slice(&event.time.micros.to_be_bytes());
            w.u32(event.time.logical);
        });
    }
    out.bytes(tag::TYPE, event.event_type.as_bytes());
    out.number32(tag::SCHEMA_VERSION, event.schema_version);
    out.bytes(tag::CONTENT_TYPE, event.content_type.as_bytes());
    out.bytes(tag::PAYLOAD, &event.payload);
    out.bytes(tag::EMITTER_ID, event.emitter_id.as_bytes());
    out.bytes(tag::AGGREGATE_ID, event.aggregate_id.as_bytes());
    out.field(tag::DESTINATIONS, |w| {
        for destination in &event.destinations {
            w.item(destination.as_bytes());
        }
    });
    out.field(tag::METADATA, |w| {
        for (key, value) in &event.metadata {
            w.item(key.as_bytes());
            w.item(value.as_bytes());
        }
    });
    if let Some(cause) = &event.caused_by {
        out.field(tag::CAUSED_BY, |w| {
            w.item(cause.log.as_bytes());
            write_id(w, &cause.id);
            w.u32(cause.output_index);
        });
    }
    if !mutant!("canonical-without-delivery-id") {
        out.bytes(tag::DELIVERY_ID, event.delivery_id.as_bytes());
    }
    out.bytes(tag::REQUEST_ID, event.request_id.as_bytes());
    out.number32(tag::REQUEST_INDEX, event.request_index);
    out.number32(tag::REQUEST_COUNT, event.request_count);
    out.bytes(
        tag::APPLICATION_VERSION,
        event.application_version.as_str().as_bytes(),
    );
    if event.plan_id != 0 {
        out.field(tag::PLAN_ID, |w| w.u64(event.plan_id));
    }
    out.0
}

/// Reads canonical bytes back. Payload and event share the buffer.
pub fn decode(bytes: &Bytes) -> Result<Event, CanonicalError> {
    if bytes.len() > caps::EVENT_BYTES_MAX {
        return Err(CanonicalError::TooLong(bytes.len()));
    }
    match bytes.first() {
        Some(&VERSION) => {}
        Some(other) => return Err(CanonicalError::UnknownVersion(*other)),
        None => return Err(CanonicalError::Truncated(0)),
    }
    let mut fields = Fields::split(bytes)?;
    let id = fields
        .take(tag::ID)
        .ok_or(CanonicalError::NotCanonical(tag::ID))?;
    let mut id_reader = Reader {
        tag: tag::ID,
        rest: &id,
    };
    let id = read_id(&mut id_reader)?;
    id_reader.end()?;
    let event = Event {
        id,
        context: fields
            .take(tag::CONTEXT)
            .map(|b| read_vector(&b))
            .transpose()?
            .unwrap_or_default(),
        time: fields
            .take(tag::TIME)
            .map(|b| read_time(&b))
            .transpose()?
            .unwrap_or_default(),
        event_type: fields.text(tag::TYPE)?,
        schema_version: fields.number32(tag::SCHEMA_VERSION)?,
        content_type: fields.text(tag::CONTENT_TYPE)?,
        payload: fields.take(tag::PAYLOAD).unwrap_or_default(),
        emitter_id: fields.text(tag::EMITTER_ID)?,
        aggregate_id: fields.text(tag::AGGREGATE_ID)?,
        destinations: fields
            .take(tag::DESTINATIONS)
            .map(|b| read_list(tag::DESTINATIONS, &b))
            .transpose()?
            .unwrap_or_default(),
        metadata: fields
            .take(tag::METADATA)
            .map(|b| read_map(&b))
            .transpose()?
            .unwrap_or_default(),
        caused_by: fields
            .take(tag::CAUSED_BY)
            .map(|b| read_cause(&b))
            .transpose()?,
        delivery_id: fields.text(tag::DELIVERY_ID)?,
        request_id: fields.text(tag::REQUEST_ID)?,
        request_index: fields.number32(tag::REQUEST_INDEX)?,
        request_count: fields.number32(tag::REQUEST_COUNT)?,
        application_version: fields
            .text(tag::APPLICATION_VERSION)?
            .parse()
            .map_err(|_| CanonicalError::BadValue {
                tag: tag::APPLICATION_VERSION,
                expected: "dotted integers",
            })?,
        plan_id: fields.number64(tag::PLAN_ID)?,
    };
    fields.end()?;
    Ok(event)
}

/// The bytes of a vector, as a context has them in an event. Used by stores for vectors outside of events too.
pub fn encode_vector(vector: &VectorTime) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(vector.len() * 24));
    write_vector(&mut out, vector);
    out.0
}

/// Reads a vector back.
pub fn decode_vector(bytes: &[u8]) -> Result<VectorTime, CanonicalError> {
    read_vector(bytes)
}

struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, n: u32) {
        self.0.extend_from_slice(&n.to_be_bytes());
    }
    fn u64(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_be_bytes());
    }
    fn item(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }
    fn bytes(&mut self, tag: u8, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.push(tag);
            self.item(bytes);
        }
    }
    fn number32(&mut self, tag: u8, n: u32) {
        if n != 0 {
            self.bytes(tag, &n.to_be_bytes());
        }
    }
    /// A field whose value is written in place; an empty value leaves nothing behind.
    fn field(&mut self, tag: u8, write: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[tag, 0, 0, 0, 0]);
        write(self);
        let length = self.0.len() - start - 5;
        if length == 0 {
            self.0.truncate(start);
        } else {
            self.0[start + 1..start + 5].copy_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

fn write_origin(w: &mut Writer, origin: &Origin) {
    let name = origin.location.as_str().as_bytes();
    w.0.push(name.len() as u8);
    w.0.extend_from_slice(name);
    w.u32(origin.incarnation.0);
}

fn write_id(w: &mut Writer, id: &EventId) {
    write_origin(w, &id.origin);
    w.u64(id.sequence);
}

fn write_vector(w: &mut Writer, vector: &VectorTime) {
    for (origin, sequence) in vector.iter() {
        write_origin(w, origin);
        w.u64(sequence);
    }
}

/// The fields of one event, consumed in tag order.
struct Fields {
    fields: std::iter::Peekable<std::vec::IntoIter<(u8, Bytes)>>,
}

impl Fields {
    fn split(bytes: &Bytes) -> Result<Self, CanonicalError> {
        let mut fields = Vec::with_capacity(12);
        let mut at = 1;
        let mut last = 0;
        while at < bytes.len() {
            let tag = bytes[at];
            let length = bytes
                .get(at + 1..at + 5)
                .ok_or(CanonicalError::Truncated(tag))?;
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
            if (tag <= last && !mutant!("canonical-fields-in-any-order"))
                || tag > tag::PLAN_ID
                || length == 0
            {
                return Err(CanonicalError::NotCanonical(tag));
            }
            let start = at + 5;
            if length > bytes.len() - start {
                return Err(CanonicalError::Truncated(tag));
            }
            fields.push((tag, bytes.slice(start..start + length)));
            last = tag;
            at = start + length;
        }
        Ok(Self {
            fields: fields.into_iter().peekable(),
        })
    }

    fn take(&mut self, tag: u8) -> Option<Bytes> {
        self.fields.next_if(|(t, _)| *t == tag).map(|(_, b)| b)
    }

    fn text(&mut self, tag: u8) -> Result<String, CanonicalError> {
        self.take(tag).map_or(Ok(String::new()), |b| utf8(tag, &b))
    }

    fn number32(&mut self, tag: u8) -> Result<u32, CanonicalError> {
        let Some(bytes) = self.take(tag) else {
            return Ok(0);
        };
        let bad = CanonicalError::BadValue {
            tag,
            expected: "a number above 0 of 4 bytes",
        };
        let array: [u8; 4] = bytes.as_ref().try_into().map_err(|_| bad.clone())?;
        match u32::from_be_bytes(array) {
            0 if !mutant!("canonical-defaults-written-out") => Err(bad),
            n => Ok(n),
        }
    }

    fn number64(&mut self, tag: u8) -> Result<u64, CanonicalError> {
        let Some(bytes) = self.take(tag) else {
            return Ok(0);
        };
        let bad = CanonicalError::BadValue {
            tag,
            expected: "a number above 0 of 8 bytes",
        };
        let array: [u8; 8] = bytes.as_ref().try_into().map_err(|_| bad.clone())?;
        match u64::from_be_bytes(array) {
            0 => Err(bad),
            n => Ok(n),
        }
    }

    fn end(&mut self) -> Result<(), CanonicalError> {
        self.fields
            .next()
            .map_or(Ok(()), |(tag, _)| Err(CanonicalError::NotCanonical(tag)))
    }
}

struct Reader<'a> {
    tag: u8,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], CanonicalError> {
        if n > self.rest.len() {
            return Err(CanonicalError::Truncated(self.tag));
        }
        let (head, rest) = self.rest.split_at(n);
        self.rest = rest;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CanonicalError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }
    fn u32(&mut self) -> Result<u32, CanonicalError> {
        Ok(u32::from_be_bytes(self.array()?))
    }
    fn u64(&mut self) -> Result<u64, CanonicalError> {
        Ok(u64::from_be_bytes(self.array()?))
    }
    fn item(&mut self) -> Result<&'a [u8], CanonicalError> {
        let length = self.u32()? as usize;
        self.take(length)
    }
    fn end(&self) -> Result<(), CanonicalError> {
        if self.rest.is_empty() || mutant!("canonical-bytes-behind-a-value") {
            Ok(())
        } else {
            Err(CanonicalError::NotCanonical(self.tag))
        }
    }
    fn bad(&self, expected: &'static str) -> CanonicalError {
        CanonicalError::BadValue {
            tag: self.tag,
            expected,
        }
    }
}

fn utf8(tag: u8, bytes: &[u8]) -> Result<String, CanonicalError> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| CanonicalError::BadValue {
            tag,
            expected: "valid UTF-8",
        })
}

fn read_origin(r: &mut Reader<'_>) -> Result<Origin, CanonicalError> {
    let length = usize::from(r.array::<1>()?[0]);
    let name = std::str::from_utf8(r.take(length)?).map_err(|_| r.bad("a location name"))?;
    let location = LocationName::new(name).map_err(|_| r.bad("a location name"))?;
    Ok(Origin::new(location, Incarnation(r.u32()?)))
}

fn read_id(r: &mut Reader<'_>) -> Result<EventId, CanonicalError> {
    let origin = read_origin(r)?;
    let sequence = r.u64()?;
    if sequence == 0 || sequence > caps::SEQUENCE_MAX {
        return Err(r.bad("a sequence from 1 to 2^63-1"));
    }
    Ok(EventId::new(origin, sequence))
}

fn read_vector(bytes: &[u8]) -> Result<VectorTime, CanonicalError> {
    let mut r = Reader {
        tag: tag::CONTEXT,
        rest: bytes,
    };
    let mut out = VectorTime::new();
    let mut last: Option<Origin> = None;
    while !r.rest.is_empty() {
        let id = read_id(&mut r)?;
        let falls = last.as_ref().is_some_and(|l| *l >= id.origin);
        if (falls && !mutant!("canonical-vector-in-any-order"))
            || out.len() >= caps::VECTOR_ENTRIES_MAX
        {
            return Err(r.bad("a vector of at most 256 origins in rising order"));
        }
        out.set(&id.origin, id.sequence);
        last = Some(id.origin);
    }
    Ok(out)
}

fn read_time(bytes: &[u8]) -> Result<HybridTime, CanonicalError> {
    let mut r = Reader {
        tag: tag::TIME,
        rest: bytes,
    };
    let time = HybridTime {
        micros: i64::from_be_bytes(r.array()?),
        logical: r.u32()?,
    };
    r.end()?;
    if time == HybridTime::default() {
        return Err(CanonicalError::NotCanonical(tag::TIME));
    }
    Ok(time)
}

fn read_list(tag: u8, bytes: &[u8]) -> Result<Vec<String>, CanonicalError> {
    let mut r = Reader { tag, rest: bytes };
    let mut out = Vec::new();
    while !r.rest.is_empty() {
        out.push(utf8(tag, r.item()?)?);
    }
    Ok(out)
}

fn read_map(bytes: &[u8]) -> Result<BTreeMap<String, String>, CanonicalError> {
    let mut r = Reader {
        tag: tag::METADATA,
        rest: bytes,
    };
    let mut out = BTreeMap::new();
    while !r.rest.is_empty() {
        let key = utf8(tag::METADATA, r.item()?)?;
        let value = utf8(tag::METADATA, r.item()?)?;
        if out.last_key_value().is_some_and(|(last, _)| *last >= key)
            && !mutant!("canonical-map-in-any-order")
        {
            return Err(CanonicalError::NotCanonical(tag::METADATA));
        }
        out.insert(key, value);
    }
    Ok(out)
}

fn read_cause(bytes: &[u8]) -> Result<Cause, CanonicalError> {
    let mut r = Reader {
        tag: tag::CAUSED_BY,
        rest: bytes,
    };
    let log = utf8(tag::CAUSED_BY, r.item()?)?;
    let id = read_id(&mut r)?;
    let output_index = r.u32()?;
    r.end()?;
    Ok(Cause {
        log,
        id,
        output_index,
    })
}
