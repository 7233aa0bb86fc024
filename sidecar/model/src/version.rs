//! Application versions: dotted integers, compared number by number.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::caps;
use crate::id::ParseError;

/// A version of the application that writes events, such as `1.3`. Missing numbers are 0, so `1.3` equals `1.3.0`; an empty
/// version is `0`, older than every other. The text is kept as it was given.
#[derive(Clone, Default)]
pub struct ApplicationVersion {
    text: String,
    numbers: Vec<u32>,
}

impl ApplicationVersion {
    /// The version as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for ApplicationVersion {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = || {
            ParseError::new(
                s,
                "an application version (dotted integers, for example 1.3)",
            )
        };
        if s.len() > caps::APPLICATION_VERSION_BYTES_MAX {
            return Err(wrong());
        }
        let mut numbers = Vec::new();
        if !s.is_empty() {
            for part in s.split('.') {
                let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                numbers.push(part.parse().ok().filter(|_| digits).ok_or_else(wrong)?);
            }
        }
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Ok(Self {
            text: s.to_owned(),
            numbers,
        })
    }
}

impl Ord for ApplicationVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers)
    }
}
impl PartialOrd for ApplicationVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for ApplicationVersion {
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }
}
impl Eq for ApplicationVersion {}

impl fmt::Display for ApplicationVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Debug for ApplicationVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl Serialize for ApplicationVersion {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}
impl<'de> Deserialize<'de> for ApplicationVersion {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        crate::text::deserialize(d, "text: an application version")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(s: &str) -> ApplicationVersion {
        s.parse().unwrap()
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(v("1.10") > v("1.9"));
        assert_eq!(v("1.3"), v("1.3.0"));
        assert!(v("") < v("0.0.1"));
        assert_eq!(v("1.3.0").to_string(), "1.3.0");
    }

    #[test]
    fn anything_but_dotted_integers_is_refused() {
        for bad in ["1.", ".1", "v1", "1.x", "-1", "1..2", "99999999999"] {
            assert!(bad.parse::<ApplicationVersion>().is_err(), "{bad}");
        }
    }
}
