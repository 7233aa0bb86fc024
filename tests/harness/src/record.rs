//! The vocabulary of the record: plain values of its own, so that a defect in the product's types cannot hide itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use tidelog_proto::convert::micros_from_timestamp;
use tidelog_proto::v1;

/// The identity of an event, as answers and reads tell it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id {
    /// The location that first wrote it.
    pub location: String,
    /// In which incarnation.
    pub incarnation: u32,
    /// As which number.
    pub sequence: u64,
}

impl Id {
    /// The id `location#incarnation/sequence`.
    pub fn new(location: &str, incarnation: u32, sequence: u64) -> Self {
        Self {
            location: location.to_owned(),
            incarnation,
            sequence,
        }
    }

    /// The key of its origin in a [`Vector`].
    pub fn origin(&self) -> String {
        format!("{}#{}", self.location, self.incarnation)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}#{}/{}",
            self.location, self.incarnation, self.sequence
        )
    }
}

impl From<&v1::EventId> for Id {
    fn from(id: &v1::EventId) -> Self {
        Self::new(&id.location, id.incarnation, id.sequence)
    }
}

/// A vector, by origin (`eu#1`); computed with here only to be compared with what the product says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vector(pub BTreeMap<String, u64>);

impl Vector {
    /// The entry of an origin, 0 when absent.
    pub fn get(&self, origin: &str) -> u64 {
        self.0.get(origin).copied().unwrap_or(0)
    }

    /// The greater of both, entry by entry.
    pub fn merge(&mut self, other: &Self) {
        for (origin, sequence) in &other.0 {
            self.raise(origin, *sequence);
        }
    }

    /// Raises an entry to at least `sequence`.
    pub fn raise(&mut self, origin: &str, sequence: u64) {
        if sequence > self.get(origin) {
            self.0.insert(origin.to_owned(), sequence);
        }
    }

    /// Raises the entry of the id's origin.
    pub fn add(&mut self, id: &Id) {
        self.raise(&id.origin(), id.sequence);
    }

    /// The first entry of `other` that is greater than here.
    pub fn uncovered(&self, other: &Self) -> Option<String> {
        other
            .0
            .iter()
            .find(|(origin, sequence)| self.get(origin) < **sequence)
            .map(|(origin, sequence)| format!("{origin}:{sequence}"))
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<String> = self.0.iter().map(|(o, s)| format!("{o}:{s}")).collect();
        write!(f, "[{}]", entries.join(","))
    }
}

impl From<&v1::VectorTime> for Vector {
    fn from(vector: &v1::VectorTime) -> Self {
        let mut out = Self::default();
        for entry in &vector.entries {
            out.raise(
                &format!("{}#{}", entry.location, entry.incarnation),
                entry.sequence,
            );
        }
        out
    }
}

/// An event as one location shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Its id.
    pub id: Id,
    /// Its number at the location that shows it.
    pub sequence: u64,
    /// What the writer called it: unique among everything that was ever tried.
    pub tag: String,
    /// Its digest, as told, in hexadecimal.
    pub digest: String,
    /// Its causal context, as told.
    pub context: Vector,
    /// Its type.
    pub kind: String,
    /// Its aggregate and destinations.
    pub keys: Vec<String>,
    /// Its metadata: what filters look at.
    pub metadata: BTreeMap<String, String>,
    /// The id of the request that appended it; empty without one.
    pub request_id: String,
    /// Its index in that request.
    pub request_index: u32,
    /// Its hybrid time: microseconds and counter.
    pub time: (i64, u32),
    /// When it was stored at the location that shows it, in microseconds.
    pub stored_at: i64,
}

impl Fact {
    /// Its vector time: the context with its own id.
    pub fn vector_time(&self) -> Vector {
        let mut out = self.context.clone();
        out.add(&self.id);
        out
    }
}

/// Where the tag of an event is kept: the delivery id, which the log carries unread.
pub fn tag_of(event: &v1::Event) -> String {
    event.delivery_id.clone()
}

impl From<&v1::Event> for Fact {
    fn from(event: &v1::Event) -> Self {
        let micros = |time: &Option<_>| {
            time.as_ref()
                .and_then(|time| micros_from_timestamp(time).ok())
                .unwrap_or_default()
        };
        let keys = std::iter::once(&event.aggregate_id).chain(&event.destinations);
        Self {
            id: Id::from(&event.id.clone().unwrap_or_default()),
            sequence: event.sequence,
            tag: tag_of(event),
            digest: hex(&event.digest),
            context: Vector::from(&event.context.clone().unwrap_or_default()),
            kind: event.r#type.clone(),
            keys: keys.filter(|key| !key.is_empty()).cloned().collect(),
            metadata: event.metadata.clone().into_iter().collect(),
            request_id: event.request_id.clone(),
            request_index: event.request_index,
            time: event
                .time
                .as_ref()
                .map_or((0, 0), |time| (micros(&time.physical), time.logical)),
            stored_at: micros(&event.stored_at),
        }
    }
}

/// Bytes as text.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a writer had seen when it asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen {
    /// It gave no context: everything in the log at that moment.
    Everything,
    /// Exactly these, and what their writers had seen.
    Only(BTreeSet<Id>),
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is durable.
    Ok {
        /// One id per event.
        ids: Vec<Id>,
        /// The token.
        token: Vector,
        /// It repeats an earlier answer.
        replayed: bool,
    },
    /// Definitely not in the log.
    Refused {
        /// The reason of the error.
        reason: String,
        /// Its text.
        message: String,
    },
    /// Nobody said.
    Unknown {
        /// What was said instead.
        message: String,
    },
}

/// The condition of an append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Any of these.
    pub keys: Vec<String>,
    /// Any of these; all when empty.
    pub types: Vec<String>,
    /// None of them after this sequence.
    pub after: u64,
}

/// One try to append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Who tried.
    pub session: String,
    /// Where.
    pub location: String,
    /// Under which request id; the same for each retry.
    pub request_id: String,
    /// What each event was called.
    pub tags: Vec<String>,
    /// What the writer had seen.
    pub seen: Seen,
    /// What it was made to depend on.
    pub condition: Option<Condition>,
    /// When it was sent, in microseconds of one clock.
    pub started_at: i64,
    /// When the answer came.
    pub ended_at: i64,
    /// What became of it.
    pub answer: Answer,
}

/// One event as a subscriber got it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The incarnation of the position that came with it.
    pub incarnation: u32,
    /// The event.
    pub fact: Fact,
}

/// What one subscriber got, over all its connections, as if it had never been interrupted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Whose it is.
    pub name: String,
    /// Where.
    pub location: String,
    /// The sequence after which it began.
    pub start: u64,
    /// What stands.
    pub events: Vec<Delivered>,
    /// What it was told to forget: each list lay above the last safe position of a loss.
    pub voided: Vec<Vec<Delivered>>,
    /// The times it was told so: the last safe position.
    pub told: Vec<u64>,
    /// Breaches of the protocol that it saw with its own eyes.
    pub complaints: Vec<String>,
}

/// The progress of an edge at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// When, in microseconds.
    pub at: i64,
    /// From where.
    pub source: String,
    /// To where; it is the target that says so.
    pub target: String,
    /// The incarnation of the source that the progress belongs to.
    pub source_incarnation: u32,
    /// The incarnation of the target at that moment.
    pub target_incarnation: u32,
    /// Up to which position of the source.
    pub progress: u64,
}

/// An incarnation seen in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// When, in microseconds.
    pub at: i64,
    /// Where.
    pub location: String,
    /// Which.
    pub incarnation: u32,
}

/// A frame as a target got it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRecord {
    /// The stream.
    pub stream: u64,
    /// Who sent it.
    pub source: String,
    /// Exclusive.
    pub from: u64,
    /// Inclusive.
    pub to: u64,
    /// The hash chain at `from`.
    pub hash_from: String,
    /// The hash chain at `to`.
    pub hash_to: String,
    /// The ids in it, in order.
    pub ids: Vec<Id>,
}

/// Everything that one location showed at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// The location.
    pub location: String,
    /// What `Read` gave.
    pub facts: Vec<Fact>,
    /// What `ListEventIds` gave: sequence, id, digest.
    pub listed: Vec<(u64, Id, String)>,
    /// The head.
    pub head: u64,
    /// The incarnation in force.
    pub incarnation: u32,
    /// All incarnations with their bases.
    pub lineage: Vec<(u32, u64)>,
    /// The version vector.
    pub version_vector: Vector,
    /// The covered vector.
    pub covered_vector: Vector,
    /// Incoming edges.
    pub edges: Vec<Progress>,
    /// What the location warns of.
    pub warnings: Vec<String>,
}
