//! What a location claims to hold, judged at every commit.

use tidelog_model::{ChainHash, VectorTime};

use super::{Ledger, Oracle};
use crate::run::More;

impl Oracle {
    /// Whether the contract says of an event that it gets to every location which the filters let it reach. Not of those about which a filter
    /// changed after they were written (section 8: "may be at any subset of locations, for good, and KV, Await, stability and deletion promise
    /// nothing for it"), not of those that a location beside filtered links had held and lost (section 7: "ordinary replication is not
    /// enough [...] Until that is built such a location replicates ordinarily and says `Recovered=False`"),
    /// and not of what is in doubt after a loss that was noticed late.
    pub(super) fn is_owed(&self, number: usize) -> bool {
        let truth = &self.events[number];
        let lost = match self.more {
            Some(More::LossesBesideFilters) => 0,
            _ => self.lost_beside_filters,
        };
        let doubtful = match self.more {
            Some(More::LateLosses) => 0,
            _ => self.doubt.events | self.doubt.seen,
        };
        (lost | doubtful) >> number & 1 == 0
            && self.filters.is_certain(truth.home, truth.class, number)
    }

    /// Everything at or below the vector that can ever get here is here: from its origin, or from whoever else holds it. What a restore has
    /// taken from everybody cannot.
    pub(super) fn claim_is_true(&self, site: usize, vector: &VectorTime, what: &str) {
        let held = self.ledgers[site].held;
        for (i, truth) in self.events.iter().enumerate() {
            if held >> i & 1 == 1 || !vector.covers_id(&truth.id) || !self.is_owed(i) {
                continue;
            }
            let lets_out = |ledger: &Ledger, holder: usize| {
                ledger.held >> i & 1 == 1
                    && (self.filters.exports(holder, truth.class)
                        || ledger.rows.contains(&(i, false)))
            };
            let ledgers = self.ledgers.iter().enumerate();
            let holders = ledgers.filter(|(holder, ledger)| lets_out(ledger, *holder));
            let holders = holders.fold(0, |holders, (holder, _)| holders | 1 << holder);
            assert!(
                !self.filters.reaches(holders, truth.class, site),
                "{what} {vector} of {} claims {}, which it does not hold",
                self.topology.names[site],
                truth.id
            );
        }
    }

    /// Q: progress on a source means that everything up to there which the edge admits is held, also when the source has lost it since.
    pub(super) fn progress_is_true(
        &mut self,
        source: usize,
        target: usize,
        position: u64,
        hash: ChainHash,
    ) {
        let histories = self.lost[source].iter().chain([&self.ledgers[source]]);
        let from = histories.rev().find(|h| h.chain_at(position) == Some(hash));
        let from = from
            .expect("I5: progress beyond all that its source has ever held, or with another hash");
        let mut edges = self.topology.edges.iter();
        let edge = edges
            .position(|e| e.source == source && e.target == target)
            .expect("frames come along edges");
        let filter = self.filters.planned(edge);
        let held = self.ledgers[target].held;
        let due = |(index, appended_here): &(usize, bool)| {
            let class = self.events[*index].class;
            held >> index & 1 == 0 && filter.passes(class, *appended_here) && self.is_owed(*index)
        };
        let rows = from.rows[..position as usize].iter();
        let missing: Vec<usize> = rows
            .filter(|row| due(row))
            .map(|(index, _)| *index)
            .collect();
        for index in missing {
            assert!(
                self.is_passed_over(source, index),
                "I11: progress {position}, but {} is missing",
                self.events[index].id
            );
        }
    }
}
