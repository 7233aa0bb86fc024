//! Vectors of sequences: causal contexts, vector times, version and covered vectors, tokens.
//!
//! All five are the same value, a map from origin to sequence, with the same algebra: `merge` is the join of a lattice
//! ordered by `covers`. What differs is what they promise, and that is said where each is kept.

use std::fmt;
use std::str::FromStr;

use crate::id::{EventId, Origin, ParseError};
use crate::{event::Event, mutant};

/// A map from origin to sequence. An absent entry is 0; a stored entry is at least 1. Text form `eu#1:42,us#1:7`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct VectorTime(Vec<(Origin, u64)>);

/// How two events are ordered, judged by their contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Causality {
    /// The first happened before the second.
    Before,
    /// The first happened after the second.
    After,
    /// Neither had seen the other.
    Concurrent,
    /// They are the same event.
    Equal,
}

impl VectorTime {
    /// The empty vector: nothing seen.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The sequence of an origin, 0 when absent.
    pub fn get(&self, origin: &Origin) -> u64 {
        match self.find(origin) {
            Ok(i) => self.0[i].1,
            Err(_) => 0,
        }
    }

    /// Sets an entry; 0 removes it.
    pub fn set(&mut self, origin: &Origin, sequence: u64) {
        match (self.find(origin), sequence) {
            (Ok(i), 0) => {
                self.0.remove(i);
            }
            (Ok(i), _) => self.0[i].1 = sequence,
            (Err(_), 0) => {}
            (Err(i), _) => self.0.insert(i, (origin.clone(), sequence)),
        }
    }

    /// Raises an entry to at least `sequence`.
    pub fn raise(&mut self, origin: &Origin, sequence: u64) {
        match self.find(origin) {
            Ok(i) => self.0[i].1 = self.0[i].1.max(sequence),
            Err(_) if sequence == 0 => {}
            Err(i) => self.0.insert(i, (origin.clone(), sequence)),
        }
    }

    /// The join: each entry becomes the greater of both.
    pub fn merge(&mut self, other: &Self) {
        for (origin, sequence) in &other.0 {
            self.raise(origin, *sequence);
        }
    }

    /// The join of two vectors.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.merge(other);
        out
    }

    /// True when every entry of `other` is at most the entry here (`other <= self`).
    pub fn covers(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|(origin, sequence)| self.get(origin) >= *sequence)
    }

    /// True when the event's own sequence is covered.
    pub fn covers_id(&self, id: &EventId) -> bool {
        self.get(&id.origin) >= id.sequence
    }

    /// The entries of `other` that are not covered here, as the vector still to be waited for.
    #[must_use]
    pub fn missing(&self, other: &Self) -> Self {
        Self(
            other
                .0
                .iter()
                .filter(|(o, s)| self.get(o) < *s)
                .cloned()
                .collect(),
        )
    }

    /// Only the entries whose origin passes.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(&Origin) -> bool) -> Self {
        Self(self.0.iter().filter(|(o, _)| keep(o)).cloned().collect())
    }

    /// Entries in the order of their origins.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Origin, u64)> {
        self.0.iter().map(|(o, s)| (o, *s))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without any entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, origin: &Origin) -> Result<usize, usize> {
        self.0.binary_search_by(|(o, _)| o.cmp(origin))
    }
}

/// Judges two events by id and context: `x` before `y` iff `y`'s writer had seen `x`.
///
/// Never `Concurrent` for ordered events. May say `Before` for events that were concurrent when a client narrowed its
/// context (a plausible clock: the own entry claims all earlier events of the location).
pub fn compare(x: &Event, y: &Event) -> Causality {
    if x.id == y.id {
        return Causality::Equal;
    }
    if y.context.covers_id(&x.id) {
        Causality::Before
    } else if x.context.covers_id(&y.id) && !mutant!("after-is-concurrent") {
        Causality::After
    } else {
        Causality::Concurrent
    }
}

impl FromIterator<(Origin, u64)> for VectorTime {
    fn from_iter<I: IntoIterator<Item = (Origin, u64)>>(entries: I) -> Self {
        let mut out = Self::new();
        for (origin, sequence) in entries {
            out.raise(&origin, sequence);
        }
        out
    }
}

impl fmt::Display for VectorTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (origin, sequence)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{origin}:{sequence}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for VectorTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl FromStr for VectorTime {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = || {
            ParseError::new(
                s,
                "a vector time (LOCATION#INCARNATION:SEQUENCE, comma-separated, each origin once, for example eu#1:42,us#1:7)",
            )
        };
        let mut out = Self::new();
        if s.is_empty() {
            return Ok(out);
        }
        for part in s.split(',') {
            let (origin, sequence) = part.trim().split_once(':').ok_or_else(wrong)?;
            let origin: Origin = origin.parse().map_err(|_| wrong())?;
            let sequence = crate::id::parse_number(sequence)
                .filter(|n| *n > 0)
                .ok_or_else(wrong)?;
            if out.get(&origin) != 0 {
                return Err(wrong());
            }
            out.set(&origin, sequence);
        }
        Ok(out)
    }
}
