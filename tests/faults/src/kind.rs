//! The faults by name, and decks of them.

use std::collections::BTreeMap;

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde::Serialize;

/// Where logs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// A real server for each location.
    Postgres,
    /// A file for each location.
    Sqlite,
}

impl Store {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

/// Who makes a fault: links and everything else break at the same time, two faults of one kind of thing do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    /// One connection between two locations.
    Link,
    /// Processes, databases, and partitions of the whole network.
    Node,
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Bytes between two locations arrive late, by a time that varies.
    LinkDelay,
    /// Connections between two locations are cut with RST, and new ones refused.
    LinkReset,
    /// Bytes between two locations vanish in both directions.
    LinkBlackHole,
    /// Bytes between two locations vanish in one direction.
    LinkBlackHoleOneWay,
    /// Bytes between two locations are not taken in, and arrive afterwards.
    LinkStall,
    /// One end of a connection is gone, and the other end is not told.
    LinkHalfOpen,
    /// Few bytes pass in a second.
    LinkThrottle,
    /// A connection is cut in the middle of a message, again and again.
    LinkCutAfterBytes,
    /// Bits are turned over.
    LinkCorrupt,
    /// One location is cut off from all others.
    Isolation,
    /// The locations are cut into two groups.
    Partition,
    /// A sidecar ends by SIGKILL and is started again.
    KillSidecar,
    /// A sidecar stands still (SIGSTOP) and goes on.
    FreezeSidecar,
    /// A second process is started for a location that runs.
    SecondSidecar,
    /// A location's database is put back to an older copy, and nobody is told.
    RestoreOlderCopy,
    /// The disk of a location's database is full.
    DiskFull,
    /// The file system of a location's database takes no writes.
    ReadOnly,
    /// The clock of a sidecar's machine is set forward or back.
    ClockJump,
    /// A database server ends by SIGKILL and is started again.
    KillPostgres,
    /// A database server stands still (SIGSTOP) and goes on.
    FreezePostgres,
    /// A database server is stopped and started.
    RestartPostgres,
    /// The connections of a sidecar to its database are ended by the server.
    TerminateBackends,
    /// The database server has no connection left.
    ConnectionsExhausted,
    /// A frozen writer wakes up after another process has taken over.
    StaleWriter,
    /// The database of a sidecar that runs is put back to an older copy, and nobody is told.
    SwapDatabase,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Who makes it.
    pub fn hand(self) -> Hand {
        if self <= Self::LinkCorrupt {
            Hand::Link
        } else {
            Hand::Node
        }
    }

    /// Whether there is such a thing with this store.
    pub fn is_for(self, store: Store) -> bool {
        match store {
            Store::Postgres => self != Self::ReadOnly,
            Store::Sqlite => self < Self::KillPostgres,
        }
    }

    /// All that there are with a store.
    pub fn all(store: Store) -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|kind| kind.is_for(store)).collect()
    }
}

/// Faults in an order of their own, dealt again and again; what did not happen comes back soon.
#[derive(Debug)]
pub struct Deck {
    named: Vec<Kind>,
    cards: Vec<Kind>,
    happened: BTreeMap<Kind, u32>,
    tries: BTreeMap<Kind, u32>,
}

impl Deck {
    /// A fault that did not happen so often is not tried for the sake of a whole deck.
    const TRIES_MAX: u32 = 3;

    /// Those of some faults that one hand makes.
    pub fn of(named: &[Kind], hand: Hand) -> Self {
        Self {
            named: named
                .iter()
                .copied()
                .filter(|kind| kind.hand() == hand)
                .collect(),
            cards: Vec::new(),
            happened: BTreeMap::new(),
            tries: BTreeMap::new(),
        }
    }

    /// The next one; `None` when there are none at all.
    pub fn deal(&mut self, random: &mut StdRng) -> Option<Kind> {
        if self.cards.is_empty() {
            self.cards.clone_from(&self.named);
            self.cards.shuffle(random);
        }
        self.cards.pop()
    }

    /// Writes down whether it happened.
    pub fn played(&mut self, kind: Kind, happened: bool) {
        *self.tries.entry(kind).or_default() += 1;
        if happened {
            *self.happened.entry(kind).or_default() += 1;
        } else if self.wants(kind) {
            self.cards.push(kind);
        }
    }

    fn wants(&self, kind: Kind) -> bool {
        !self.happened.contains_key(&kind)
            && self
                .tries
                .get(&kind)
                .is_none_or(|tries| *tries < Self::TRIES_MAX)
    }

    /// True when every fault happened, or was tried often enough.
    pub fn is_dealt(&self) -> bool {
        !self.named.iter().any(|kind| self.wants(*kind))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_deck_is_dealt_when_every_fault_happened_or_was_tried_often_enough() {
        let mut random = StdRng::seed_from_u64(1);
        let named = [Kind::LinkDelay, Kind::KillSidecar, Kind::DiskFull];
        let mut deck = Deck::of(&named, Hand::Node);
        for _ in 0..5 {
            assert!(!deck.is_dealt());
            let kind = deck.deal(&mut random).unwrap();
            assert_eq!(kind.hand(), Hand::Node);
            deck.played(kind, kind == Kind::KillSidecar);
            if deck.is_dealt() {
                break;
            }
        }
        assert!(deck.is_dealt());
        assert_eq!(deck.tries[&Kind::DiskFull], Deck::TRIES_MAX);
    }

    #[test]
    fn every_fault_is_for_some_store_and_has_a_name() {
        for kind in Kind::value_variants() {
            assert!(kind.is_for(Store::Postgres) || kind.is_for(Store::Sqlite));
            assert!(!kind.name().is_empty());
        }
        assert!(!Kind::all(Store::Sqlite).contains(&Kind::StaleWriter));
    }
}
