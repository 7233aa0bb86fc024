//! The text forms of the API: names, origins, ids, vectors and tokens, positions, versions.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use tidelog_model::{
    ApplicationVersion, Causality, EventId, Lineage, LocationName, Origin, Position, VectorTime,
    caps, vector_time,
};

use crate::sample;

/// Pieces of the forms.
pub const WORDS: &[&str] = &[
    "eu",
    "us",
    "#1",
    "#0",
    "/42",
    ":7",
    ",",
    "9223372036854775807",
    "9223372036854775808",
    "4294967295",
    "4294967296",
    "00",
    "-",
    " ",
    "1.3",
    "\u{0}",
];

/// A text is either the one text of a value, or refused in words that are short and name the form.
pub fn forms(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    exact::<LocationName>(&text);
    exact::<Origin>(&text);
    exact::<ApplicationVersion>(&text);
    if let Some(id) = exact::<EventId>(&text) {
        assert!((1..=caps::SEQUENCE_MAX).contains(&id.sequence));
    }
    if let Some(position) = parsed::<Position>(&text) {
        same(&position);
        let lineage = Lineage::default();
        // Never a panic, whatever the position.
        let _ = lineage.check(position, position.sequence);
    }
    if let Some(vector) = parsed::<VectorTime>(&text) {
        same(&vector);
        laws(&vector);
    }
}

fn parsed<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Display>,
{
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            let words = error.to_string();
            assert!(!words.is_empty());
            assert!(words.len() < 1_000, "an error of {} bytes", words.len());
            None
        }
    }
}

/// The value comes back from its text.
fn same<T>(value: &T)
where
    T: FromStr<Err: Debug> + Display + PartialEq + Debug,
{
    let text = value.to_string();
    let back: T = text.parse().expect("a text that was written here");
    assert_eq!(&back, value, "by way of `{text}`");
}

/// One value, one text.
fn exact<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Display + Debug> + Display + PartialEq + Debug,
{
    let value = parsed::<T>(text)?;
    same(&value);
    assert_eq!(value.to_string(), text);
    Some(value)
}

fn laws(vector: &VectorTime) {
    assert!(vector.covers(vector));
    assert!(vector.covers(&VectorTime::new()));
    assert!(vector.missing(vector).is_empty());
    assert!(vector.iter().all(|(_, sequence)| sequence > 0));
    assert_eq!(vector.merged(vector), *vector);
    for (origin, sequence) in vector.iter().take(4) {
        let mut event = sample::plain("zz#1/1", "");
        event.id = EventId::new(origin.clone(), sequence);
        let other = tidelog_model::Event {
            context: vector.clone(),
            ..sample::plain("zz#2/1", "")
        };
        assert_eq!(vector_time::compare(&event, &other), Causality::Before);
        assert_eq!(vector_time::compare(&other, &event), Causality::After);
    }
}

/// One of each.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "eu",
        "eu#1",
        "eu#1/42",
        "eu#1:42,us#1:7",
        "1/42",
        "42",
        "1.3.0",
        "a-very-long-name-of-a-location-that-is-exactly-63-bytes-long-0123",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
