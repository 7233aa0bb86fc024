//! Compact bytes for columns that hold a list: vectors, lineages, destinations, metadata.
//!
//! Numbers are LEB128 (seven bits to a byte, lowest first). Every encoder has one decoder that gives back exactly what went in and `None`
//! for anything else; the digest over the event would notice a mistake as well.

use std::collections::BTreeMap;

use tidelog_model::{Incarnation, Lineage, LineageEntry, Origin, VectorTime};

/// Appends a number.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number from the front.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if i == 9 && bits > 1 {
            return None;
        }
        number |= bits << (7 * i);
        if byte & 0x80 == 0 {
            *bytes = &bytes[i + 1..];
            return Some(number);
        }
    }
    None
}

/// A vector with its origins as local integers.
pub fn encode_vector(vector: &VectorTime, mut intern: impl FnMut(&Origin) -> i32) -> Vec<u8> {
    let mut out = Vec::with_capacity(vector.len() * 6);
    for (origin, sequence) in vector.iter() {
        put(&mut out, intern(origin) as u64);
        put(&mut out, sequence);
    }
    out
}

/// Gives a vector back; `resolve` knows the origins.
pub fn decode_vector<'a>(
    mut bytes: &[u8],
    resolve: impl Fn(i32) -> Option<&'a Origin>,
) -> Option<VectorTime> {
    let mut out = VectorTime::new();
    while !bytes.is_empty() {
        let origin = resolve(i32::try_from(take(&mut bytes)?).ok()?)?;
        out.set(origin, take(&mut bytes)?);
    }
    Some(out)
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
pub fn decode_lineage(mut bytes: &[u8]) -> Option<Lineage> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        entries.push(LineageEntry {
            incarnation: Incarnation(u32::try_from(take(&mut bytes)?).ok()?),
            base: take(&mut bytes)?,
        });
    }
    Lineage::new(entries).ok()
}

/// Texts, each after its length; no text at all gives `None`, the column's NULL.
pub fn encode_texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for text in texts {
        put(&mut out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
    (!out.is_empty()).then_some(out)
}

/// Gives texts back.
pub fn decode_texts(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(take(&mut bytes)?).ok()?;
        let (text, rest) = bytes.split_at_checked(length)?;
        out.push(std::str::from_utf8(text).ok()?.to_owned());
        bytes = rest;
    }
    Some(out)
}

/// A map, as its keys and values in turn.
pub fn encode_map(map: &BTreeMap<String, String>) -> Option<Vec<u8>> {
    encode_texts(map.iter().flat_map(|(key, value)| [key, value]))
}

/// Gives a map back.
pub fn decode_map(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let mut texts = decode_texts(bytes)?.into_iter();
    let mut out = BTreeMap::new();
    while let Some(key) = texts.next() {
        out.insert(key, texts.next()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_take_as_few_bytes_as_they_need() {
        for (number, length) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (16_383, 2),
            (16_384, 3),
            (i64::MAX as u64, 9),
            (u64::MAX, 10),
        ] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(bytes.len(), length);
            let mut rest = bytes.as_slice();
            assert_eq!(take(&mut rest), Some(number));
            assert!(rest.is_empty());
            assert_eq!(take(&mut &bytes[..length - 1]), None);
        }
        assert_eq!(take(&mut [0xff; 11].as_slice()), None);
    }

    #[test]
    fn texts_come_back_in_order_with_repetitions_and_empty_ones() {
        let texts: Vec<String> = ["b", "", "ä\u{1f600}", "b"].map(String::from).to_vec();
        let bytes = encode_texts(&texts).unwrap();
        assert_eq!(decode_texts(&bytes), Some(texts));
        assert_eq!(encode_texts(&[]), None);
        assert_eq!(decode_texts(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode_map(&[1, b'k']), None);
    }

    #[test]
    fn vectors_and_lineages_come_back() {
        let origins = ["ap#1", "eu#1", "eu#1700000000"].map(|o| o.parse::<Origin>().unwrap());
        let vector: VectorTime = "ap#1:300,eu#1:1,eu#1700000000:9223372036854775807"
            .parse()
            .unwrap();
        let position = |o: &Origin| origins.iter().position(|x| x == o).unwrap() as i32;
        let bytes = encode_vector(&vector, position);
        assert_eq!(bytes.len(), 1 + 2 + 1 + 1 + 1 + 9);
        let back = decode_vector(&bytes, |id| origins.get(id as usize));
        assert_eq!(back, Some(vector));
        assert_eq!(decode_vector(&bytes, |_| None), None);
        let lineage: Lineage = Lineage::new(vec![
            LineageEntry {
                incarnation: Incarnation(1),
                base: 0,
            },
            LineageEntry {
                incarnation: Incarnation(u32::MAX),
                base: i64::MAX as u64,
            },
        ])
        .unwrap();
        assert_eq!(decode_lineage(&encode_lineage(&lineage)), Some(lineage));
        assert_eq!(decode_lineage(&[0x80]), None);
    }
}
