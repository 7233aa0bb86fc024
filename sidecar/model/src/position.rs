//! Positions in a local log, and the lineage that judges whether they still mean what they meant.
//!
//! ```text
//!            base of #1        base of #7           head
//!   lineage     0 ───────────────── 50 ──────────────── 95
//!               │   #1: 1..=50      │   #7: 51..=95      │
//!   (#1, 90): a position in the part of #1 that was lost; its last safe position is 50, for good
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::{Incarnation, ParseError, parse_number};
use crate::mutant;

/// "Everything up to and including this sequence", in one incarnation. Text form `1/42`; incarnation 0 (or plain `42`) means that the
/// incarnation is not to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Position {
    /// The incarnation in which the position was learned, 0 for "do not check".
    pub incarnation: Incarnation,
    /// The last sequence that is included, 0 for none.
    pub sequence: u64,
}

impl Position {
    /// A position of its two parts.
    pub const fn new(incarnation: Incarnation, sequence: u64) -> Self {
        Self {
            incarnation,
            sequence,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.incarnation, self.sequence)
    }
}

impl FromStr for Position {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = || {
            ParseError::new(
                s,
                "a position (INCARNATION/SEQUENCE or SEQUENCE, for example 1/42)",
            )
        };
        let (incarnation, sequence) = s.split_once('/').unwrap_or(("0", s));
        let incarnation = parse_number(incarnation)
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(wrong)?;
        let sequence = parse_number(sequence).ok_or_else(wrong)?;
        Ok(Self {
            incarnation: Incarnation(incarnation),
            sequence,
        })
    }
}

/// One incarnation and the head at which it was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineageEntry {
    /// The incarnation.
    pub incarnation: Incarnation,
    /// The head of the local log when it was raised: what lies at or below is shared with the incarnation before.
    pub base: u64,
}

/// A position that a loss has invalidated or that lies beyond the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PositionError {
    /// A later incarnation began below the position.
    #[error(
        "position {position} is not part of this log any more; the last safe position is {last_safe}"
    )]
    IncarnationChanged {
        /// The position that was asked for.
        position: Position,
        /// Where to continue: everything up to it is what it was.
        last_safe: Position,
    },
    /// Beyond the head.
    #[error("position {position} lies beyond the head {head}")]
    Ahead {
        /// The position that was asked for.
        position: Position,
        /// The head of the log.
        head: u64,
    },
}

/// The append-only list of a location's incarnations with their bases, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lineage(Vec<LineageEntry>);

impl Lineage {
    /// A lineage of its entries, which must have rising incarnations.
    pub fn new(entries: Vec<LineageEntry>) -> Result<Self, ParseError> {
        if entries
            .windows(2)
            .all(|w| w[0].incarnation < w[1].incarnation)
        {
            Ok(Self(entries))
        } else {
            Err(ParseError::new(
                &format!("{entries:?}"),
                "a lineage (incarnations in rising order, each once)",
            ))
        }
    }

    /// The incarnation in force, if any was ever raised.
    pub fn current(&self) -> Option<LineageEntry> {
        self.0.last().copied()
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[LineageEntry] {
        &self.0
    }

    /// True when the incarnation is part of this history.
    pub fn knows(&self, incarnation: Incarnation) -> bool {
        self.0.iter().any(|e| e.incarnation == incarnation)
    }

    /// Appends an incarnation. It must be greater than the current one.
    pub fn push(&mut self, entry: LineageEntry) -> Result<(), ParseError> {
        if self
            .0
            .last()
            .is_some_and(|last| last.incarnation >= entry.incarnation)
        {
            return Err(ParseError::new(
                &entry.incarnation.to_string(),
                "an incarnation greater than the current one",
            ));
        }
        self.0.push(entry);
        Ok(())
    }

    /// The last sequence that an incarnation still stands for: the smallest base of the later ones, `u64::MAX` for the current
    /// incarnation, 0 for one that is not part of this history (a branch that was lost shares nothing provable).
    pub fn safe_until(&self, incarnation: Incarnation) -> u64 {
        if !self.knows(incarnation) {
            return 0;
        }
        self.0
            .iter()
            .filter(|e| e.incarnation > incarnation)
            .map(|e| {
                if mutant!("newest-base-counts") {
                    self.0.last().map_or(0, |e| e.base)
                } else {
                    e.base
                }
            })
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Judges a position against this lineage and the head. Holds at any later time, not only while the position lies beyond the head.
    pub fn check(&self, position: Position, head: u64) -> Result<(), PositionError> {
        if position.incarnation != Incarnation(0) && position.sequence > 0 {
            let safe = self.safe_until(position.incarnation);
            if position.sequence > safe && !mutant!("lost-positions-accepted") {
                let incarnation = self.current().map_or(Incarnation(0), |e| e.incarnation);
                return Err(PositionError::IncarnationChanged {
                    position,
                    last_safe: Position::new(incarnation, safe.min(head)),
                });
            }
        }
        if position.sequence > head {
            return Err(PositionError::Ahead { position, head });
        }
        Ok(())
    }

    /// How far two tellings of one location's history are certainly the same: the smallest base of all incarnations that occur in
    /// exactly one of them (or in both with different bases), `u64::MAX` when they agree. Lower is always safe.
    pub fn common_with(&self, other: &Self) -> u64 {
        let mine: BTreeMap<_, _> = self.0.iter().map(|e| (e.incarnation, e.base)).collect();
        let theirs: BTreeMap<_, _> = other.0.iter().map(|e| (e.incarnation, e.base)).collect();
        let one_sided = |a: &BTreeMap<Incarnation, u64>, b: &BTreeMap<Incarnation, u64>| {
            a.iter()
                .filter(|(i, base)| b.get(i) != Some(base))
                .map(|(_, base)| *base)
                .min()
        };
        one_sided(&mine, &theirs)
            .into_iter()
            .chain(one_sided(&theirs, &mine).filter(|_| !mutant!("only-own-incarnations-compared")))
            .min()
            .unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(entries: &[(u32, u64)]) -> Lineage {
        Lineage::new(
            entries
                .iter()
                .map(|(i, b)| LineageEntry {
                    incarnation: Incarnation(*i),
                    base: *b,
                })
                .collect(),
        )
        .unwrap()
    }

    fn at(incarnation: u32, sequence: u64) -> Position {
        Position::new(Incarnation(incarnation), sequence)
    }

    #[test]
    fn a_lost_position_stays_lost_when_the_log_has_grown_past_it() {
        let l = lineage(&[(1, 0), (7, 50)]);
        let lost = PositionError::IncarnationChanged {
            position: at(1, 90),
            last_safe: at(7, 50),
        };
        assert_eq!(l.check(at(1, 90), 60), Err(lost));
        assert_eq!(l.check(at(1, 90), 9_999), Err(lost));
        assert_eq!(l.check(at(1, 50), 60), Ok(()));
        assert_eq!(l.check(at(7, 60), 60), Ok(()));
        assert_eq!(
            l.check(at(7, 61), 60),
            Err(PositionError::Ahead {
                position: at(7, 61),
                head: 60
            })
        );
        assert_eq!(l.check(at(0, 60), 60), Ok(()));
    }

    #[test]
    fn a_position_of_a_branch_nobody_knows_is_safe_nowhere_but_at_zero() {
        let l = lineage(&[(1, 0), (9, 50)]);
        assert!(l.check(at(5, 30), 60).is_err());
        assert_eq!(l.check(at(5, 0), 60), Ok(()));
    }

    #[test]
    fn two_raises_between_two_contacts_go_back_to_the_lower_base() {
        let stored = lineage(&[(1, 0)]);
        let published = lineage(&[(1, 0), (5, 10), (6, 40)]);
        assert_eq!(stored.common_with(&published), 10);
        assert_eq!(stored.common_with(&stored), u64::MAX);
    }

    #[test]
    fn another_branch_counts_the_incarnations_of_both_sides() {
        let stored = lineage(&[(1, 0), (2, 0)]);
        let published = lineage(&[(1, 0), (3, 1)]);
        assert_eq!(stored.common_with(&published), 0);
        assert_eq!(published.common_with(&stored), 0);
    }

    #[test]
    fn positions_have_one_text_form() {
        assert_eq!("1/42".parse::<Position>().unwrap(), at(1, 42));
        assert_eq!("42".parse::<Position>().unwrap(), at(0, 42));
        assert_eq!(at(1, 42).to_string(), "1/42");
        for bad in ["", "/", "1/", "/1", "1/x", "1/2/3", "-1"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
