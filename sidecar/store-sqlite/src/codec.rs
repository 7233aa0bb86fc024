//! Compact bytes for what has no column of its own. Every encoder has one decoder, which gives back exactly what went in or `None`.
//!
//! Numbers are LEB128 (seven bits to a byte, lowest first), texts carry their length, origins are the local integers of `origins`.

use std::collections::BTreeMap;

use tidelog_model::{
    Cause, Event, EventId, HybridTime, Incarnation, Lineage, LineageEntry, LocationName, Origin,
    VectorTime,
};

/// First byte of an envelope.
const ENVELOPE_VERSION: u8 = 1;

/// Gives an origin its local integer.
pub type Intern<'a> = &'a mut dyn FnMut(&Origin) -> u32;
/// Gives a local integer its origin.
pub type Resolve<'a> = &'a dyn Fn(u32) -> Option<Origin>;

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_vector(out: &mut Vec<u8>, vector: &VectorTime, intern: Intern<'_>) {
    for (origin, sequence) in vector.iter() {
        put(out, u64::from(intern(origin)));
        put(out, sequence);
    }
}

/// A reader of such bytes; every method is `None` at the end or at bytes that no encoder writes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn number32(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.bytes(length)?.to_vec()).ok()
    }

    /// Whatever is left, as a vector.
    fn vector(&mut self, resolve: Resolve<'_>) -> Option<VectorTime> {
        let mut out = VectorTime::new();
        while !self.0.is_empty() {
            let origin = resolve(self.number32()?)?;
            out.set(&origin, self.number()?);
        }
        Some(out)
    }
}

/// A vector.
pub fn encode_vector(vector: &VectorTime, intern: Intern<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(vector.len() * 6);
    put_vector(&mut out, vector, intern);
    out
}

/// Gives a vector back.
pub fn decode_vector(bytes: &[u8], resolve: Resolve<'_>) -> Option<VectorTime> {
    Reader(bytes).vector(resolve)
}

/// A lineage.
pub fn encode_lineage(lineage: &Lineage) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in lineage.entries() {
        put(&mut out, u64::from(entry.incarnation.0));
        put(&mut out, entry.base);
    }
    out
}

/// Gives a lineage back.
pub fn decode_lineage(bytes: &[u8]) -> Option<Lineage> {
    let mut reader = Reader(bytes);
    let mut entries = Vec::new();
    while !reader.0.is_empty() {
        entries.push(LineageEntry {
            incarnation: Incarnation(reader.number32()?),
            base: reader.number()?,
        });
    }
    Lineage::new(entries).ok()
}

/// A cause. The origin is written out: it belongs to another log, whose origins are not counted here.
pub fn encode_cause(cause: &Cause) -> Vec<u8> {
    let mut out = Vec::with_capacity(48);
    put_text(&mut out, &cause.log);
    put_text(&mut out, cause.id.origin.location.as_str());
    put(&mut out, u64::from(cause.id.origin.incarnation.0));
    put(&mut out, cause.id.sequence);
    put(&mut out, u64::from(cause.output_index));
    out
}

/// Gives a cause back.
pub fn decode_cause(bytes: &[u8]) -> Option<Cause> {
    let mut reader = Reader(bytes);
    let log = reader.text()?;
    let location = LocationName::new(&reader.text()?).ok()?;
    let origin = Origin::new(location, Incarnation(reader.number32()?));
    let cause = Cause {
        log,
        id: EventId::new(origin, reader.number()?),
        output_index: reader.number32()?,
    };
    reader.0.is_empty().then_some(cause)
}

/// What lies in the envelope: everything of an event that has no column of its own.
pub fn encode_envelope(event: &Event, intern: Intern<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    out.push(ENVELOPE_VERSION);
    out.extend_from_slice(&event.time.micros.to_le_bytes());
    out.extend_from_slice(&event.plan_id.to_le_bytes());
    for number in [
        event.time.logical,
        event.schema_version,
        event.request_index,
        event.request_count,
    ] {
        put(&mut out, u64::from(number));
    }
    put_text(&mut out, &event.content_type);
    put_text(&mut out, &event.delivery_id);
    put_text(&mut out, &event.request_id);
    put_text(&mut out, event.application_version.as_str());
    put(&mut out, event.destinations.len() as u64);
    for destination in &event.destinations {
        put_text(&mut out, destination);
    }
    put(&mut out, event.metadata.len() as u64);
    for (key, value) in &event.metadata {
        put_text(&mut out, key);
        put_text(&mut out, value);
    }
    put_vector(&mut out, &event.context, intern);
    out
}

/// Completes an event that has its columns with what lies in its envelope.
pub fn decode_envelope(event: &mut Event, bytes: &[u8], resolve: Resolve<'_>) -> Option<()> {
    let mut reader = Reader(bytes);
    if reader.array()? != [ENVELOPE_VERSION] {
        return None;
    }
    let micros = i64::from_le_bytes(reader.array()?);
    event.plan_id = u64::from_le_bytes(reader.array()?);
    event.time = HybridTime {
        micros,
        logical: reader.number32()?,
    };
    event.schema_version = reader.number32()?;
    event.request_index = reader.number32()?;
    event.request_count = reader.number32()?;
    event.content_type = reader.text()?;
    event.delivery_id = reader.text()?;
    event.request_id = reader.text()?;
    event.application_version = reader.text()?.parse().ok()?;
    for _ in 0..reader.number()? {
        event.destinations.push(reader.text()?);
    }
    let mut metadata = BTreeMap::new();
    for _ in 0..reader.number()? {
        let key = reader.text()?;
        metadata.insert(key, reader.text()?);
    }
    event.metadata = metadata;
    event.context = reader.vector(resolve)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_come_back() {
        for shift in 0..64 {
            for number in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put(&mut bytes, number);
                let mut reader = Reader(&bytes);
                assert_eq!(reader.number(), Some(number));
                assert!(reader.0.is_empty());
                assert_eq!(Reader(&bytes[1..]).number().is_some(), bytes.len() > 1);
                bytes.pop();
                assert_eq!(Reader(&bytes).number(), None);
            }
        }
        assert_eq!(Reader(&[0xff; 9]).number(), None);
        assert_eq!(Reader(&[0xff; 10]).number(), None);
    }

    #[test]
    fn bytes_that_end_early_are_not_a_cause() {
        let cause = Cause {
            log: "shop".into(),
            id: "eu#7/300".parse().unwrap(),
            output_index: 200,
        };
        let bytes = encode_cause(&cause);
        assert_eq!(decode_cause(&bytes), Some(cause));
        for end in 0..bytes.len() {
            assert_eq!(decode_cause(&bytes[..end]), None);
        }
        assert_eq!(decode_cause(&[bytes, vec![0]].concat()), None);
    }
}
