//! What an operator records of a location outside of its database, and the one rule by which a record takes the place of another.
//!
//! Every record names the one that it follows. It is written only on top of that one (compare-and-set), so that all that was ever recorded is one chain, and
//! whoever has decided something by a record learns whether that was still the newest.

use serde::{Deserialize, Serialize};

use crate::{ChainHash, Incarnation, mutant};

/// Which record: no two share a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordName {
    /// Rises along the chain; begins anew where the chain was deleted.
    pub revision: u64,
    /// Who has asked for it: drawn at random by every process, below 2^53.
    pub process: u64,
}

/// A database server that somebody has served on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedInstance {
    /// Identity of the data.
    pub system: String,
    /// Branch of its history.
    pub timeline: String,
    /// When the server was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
}

/// Where a log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedHead {
    /// Local sequence.
    pub sequence: u64,
    /// Hash chain there; as text 64 hexadecimal digits.
    #[serde(with = "hexadecimal")]
    pub hash: ChainHash,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WitnessRecord {
    /// Its name.
    #[serde(flatten)]
    pub name: RecordName,
    /// The record that it takes the place of; `None` where it is the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<RecordName>,
    /// Greatest incarnation that is known.
    pub incarnation: Incarnation,
    /// The writer that was about to serve, by the nonce of its lease; `None` where nobody has served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<u64>,
    /// The database on which it was about to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<RecordedInstance>,
    /// Where that writer has left the log, when it stopped in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean_stop: Option<RecordedHead>,
}

impl WitnessRecord {
    /// Stands for a record that cannot be read: it knows the location, and proves nothing.
    pub const UNREADABLE: Self = Self {
        name: RecordName {
            revision: 0,
            process: 0,
        },
        follows: None,
        incarnation: Incarnation(0),
        writer: None,
        instance: None,
        clean_stop: None,
    };

    /// Reads its text; `None` where nothing but white space is written.
    pub fn read(text: &str) -> Result<Option<Self>, serde_json::Error> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(text).map(Some)
    }

    /// Its text: one line of JSON.
    pub fn text(&self) -> String {
        // Numbers and texts only: there is nothing in it that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether it may be written where `present` is: only on top of the record that it follows.
    pub fn may_replace(&self, present: Option<&Self>) -> bool {
        self.follows == present.map(|present| present.name) || mutant!("record-replaced-unseen")
    }
}

mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::ChainHash;

    pub(super) fn serialize<S: Serializer>(hash: &ChainHash, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(hash)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ChainHash, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.as_bytes();
        let wrong = || D::Error::custom(format!("`{text}` is not a hash: 64 hexadecimal digits"));
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(wrong());
        }
        let byte = |i: usize| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
        bytes
            .and_then(|bytes| ChainHash::from_slice(&bytes))
            .ok_or_else(wrong)
    }
}
