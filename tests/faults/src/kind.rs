//! The faults by name, and decks of them.

use std::collections::BTreeSet;

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use serde::{Deserialize, Serialize};

/// Where logs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
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
    /// The disk of a location's database is full; with PostgreSQL that of its tables.
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
    /// The disk of a database server's write-ahead log is full.
    WalFull,
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
            Store::Postgres => true,
            Store::Sqlite => self < Self::KillPostgres,
        }
    }

    /// Whether it breaks a disk.
    pub fn is_of_disks(self) -> bool {
        matches!(self, Self::DiskFull | Self::ReadOnly | Self::WalFull)
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
    happened: BTreeSet<Kind>,
}

impl Deck {
    /// Those of some faults that one hand makes.
    pub fn of(named: &[Kind], hand: Hand) -> Self {
        let named = named.iter().copied().filter(|kind| kind.hand() == hand);
        Self {
            named: named.collect(),
            cards: Vec::new(),
            happened: BTreeSet::new(),
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

    /// One of those that have not happened yet; `None` when all have.
    pub fn deal_missing(&self, random: &mut StdRng) -> Option<Kind> {
        let missing = self.named.iter().copied().filter(|kind| self.misses(*kind));
        missing.collect::<Vec<_>>().choose(random).copied()
    }

    /// Writes down whether it happened.
    pub fn played(&mut self, kind: Kind, happened: bool) {
        if happened {
            self.happened.insert(kind);
        } else if self.misses(kind) && self.cards.len() > 1 {
            // Not at once: what stood in its way may still be there.
            self.cards.insert(self.cards.len() - 1, kind);
        }
    }

    fn misses(&self, kind: Kind) -> bool {
        !self.happened.contains(&kind)
    }

    /// True when every fault happened.
    pub fn is_dealt(&self) -> bool {
        !self.named.iter().any(|kind| self.misses(*kind))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_deck_is_dealt_when_every_fault_happened_and_until_then_those_that_did_not_come_first() {
        let mut random = StdRng::seed_from_u64(1);
        let named = [Kind::LinkDelay, Kind::KillSidecar, Kind::DiskFull];
        let mut deck = Deck::of(&named, Hand::Node);
        for _ in 0..20 {
            assert!(!deck.is_dealt());
            let kind = deck.deal(&mut random).unwrap();
            assert_eq!(kind.hand(), Hand::Node);
            deck.played(kind, kind == Kind::KillSidecar);
        }
        assert_eq!(deck.deal_missing(&mut random), Some(Kind::DiskFull));
        deck.played(Kind::DiskFull, true);
        assert!(deck.is_dealt());
        assert_eq!(deck.deal_missing(&mut random), None);
        assert!(deck.deal(&mut random).is_some(), "it goes on all the same");
    }

    #[test]
    fn every_fault_is_for_some_store_and_has_a_name() {
        for kind in Kind::value_variants() {
            assert!(kind.is_for(Store::Postgres) || kind.is_for(Store::Sqlite));
            assert!(!kind.name().is_empty());
        }
        for kind in [Kind::StaleWriter, Kind::WalFull] {
            assert!(!Kind::all(Store::Sqlite).contains(&kind));
        }
    }
}
