//! Who wrote what: locations, incarnations, origins and event ids, with their text forms `eu#1` and `eu#1/42`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::caps;

/// A text that is not of the form it should have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{value}` is not {expected}")]
pub struct ParseError {
    /// The text found.
    pub value: String,
    /// The form expected, with an example.
    pub expected: &'static str,
}

impl ParseError {
    pub(crate) fn new(value: &str, expected: &'static str) -> Self {
        let mut shown: String = value.chars().take(80).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self {
            value: shown,
            expected,
        }
    }
}

/// The name of a location: a DNS label (`a-z`, `0-9`, `-`, not at the ends, at most 63 bytes).
///
/// It is a key of every vector, so it is never reused for another location. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocationName(Arc<str>);

impl LocationName {
    /// Checks and wraps a name.
    pub fn new(name: &str) -> Result<Self, ParseError> {
        let bytes = name.as_bytes();
        let good = !bytes.is_empty()
            && bytes.len() <= caps::LOCATION_NAME_BYTES_MAX
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-';
        if good {
            Ok(Self(Arc::from(name)))
        } else {
            Err(ParseError::new(
                name,
                "a location name (1 to 63 of a-z, 0-9 and -, no - at the ends, for example eu)",
            ))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LocationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LocationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LocationName {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        Self::new(s)
    }
}

impl Serialize for LocationName {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for LocationName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        crate::text::deserialize(d, "text: a location name")
    }
}

/// One life of a location's database. A loss of acknowledged events starts a new, greater one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Incarnation(pub u32);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where an event was first written: a location in one of its incarnations. Text form `eu#1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The location.
    pub location: LocationName,
    /// Its incarnation at that time.
    pub incarnation: Incarnation,
}

const ORIGIN_FORM: &str = "an origin (LOCATION#INCARNATION, for example eu#1)";

impl Origin {
    /// An origin of its two parts.
    pub fn new(location: LocationName, incarnation: Incarnation) -> Self {
        Self {
            location,
            incarnation,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.location, self.incarnation)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Origin {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new(s, ORIGIN_FORM);
        let (location, incarnation) = s.split_once('#').ok_or_else(wrong)?;
        let location = LocationName::new(location).map_err(|_| wrong())?;
        let incarnation = parse_number(incarnation).ok_or_else(wrong)?;
        Ok(Self {
            location,
            incarnation: Incarnation(u32::try_from(incarnation).map_err(|_| wrong())?),
        })
    }
}

/// The identity of an event, the same at every location. Text form `eu#1/42`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Where it was first written.
    pub origin: Origin,
    /// Its local sequence there (from 1).
    pub sequence: u64,
}

impl EventId {
    /// An id of its two parts.
    pub fn new(origin: Origin, sequence: u64) -> Self {
        Self { origin, sequence }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.origin, self.sequence)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = || {
            ParseError::new(
                s,
                "an event id (LOCATION#INCARNATION/SEQUENCE, for example eu#1/42)",
            )
        };
        let (origin, sequence) = s.split_once('/').ok_or_else(wrong)?;
        let origin = origin.parse().map_err(|_| wrong())?;
        let sequence = parse_number(sequence).ok_or_else(wrong)?;
        if sequence == 0 {
            return Err(wrong());
        }
        Ok(Self { origin, sequence })
    }
}

/// A plain decimal number: digits only, no sign, no superfluous zero, at most [`caps::SEQUENCE_MAX`]. One value, one text.
pub(crate) fn parse_number(s: &str) -> Option<u64> {
    let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits || (s.len() > 1 && s.starts_with('0')) {
        return None;
    }
    s.parse().ok().filter(|n| *n <= caps::SEQUENCE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_are_those_of_the_api() {
        let id: EventId = "eu#1/42".parse().unwrap();
        assert_eq!(id.origin.location.as_str(), "eu");
        assert_eq!(id.origin.incarnation, Incarnation(1));
        assert_eq!(id.sequence, 42);
        assert_eq!(id.to_string(), "eu#1/42");
    }

    #[test]
    fn malformed_texts_are_refused_with_the_form_expected() {
        for bad in [
            "",
            "eu",
            "eu#",
            "eu#1",
            "eu#1/",
            "eu#1/0",
            "eu#01/1",
            "eu#1/+1",
            "EU#1/1",
            "-eu#1/1",
            "eu#4294967296/1",
            "eu#1/9223372036854775808",
        ] {
            let error = bad.parse::<EventId>().unwrap_err();
            assert!(error.to_string().contains("eu#1/42"), "{bad}: {error}");
        }
        assert!(LocationName::new(&"x".repeat(64)).is_err());
        assert!(LocationName::new(&"x".repeat(63)).is_ok());
    }
}
