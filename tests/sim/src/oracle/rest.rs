//! The end of a run, when nothing moves any more.

use tidelog_model::{Causality, ChainHash, vector_time};
use tidelog_store::LogState;

use super::Oracle;

impl Oracle {
    /// O6: two events compare as their writers would have told it. Of what was read on purpose only in part, an order may be said where there
    /// is none, never the other way round.
    fn compare_all(&self) {
        let exact =
            !self.restored && self.filters.none() && self.events.iter().all(|truth| !truth.narrow);
        for (i, x) in self.events.iter().enumerate() {
            for (j, y) in self.events.iter().enumerate().filter(|(j, _)| *j != i) {
                if self.doubt.holds(i) || self.doubt.holds(j) {
                    continue;
                }
                let told = vector_time::compare(&x.event, &y.event);
                let before = y.past >> i & 1 == 1;
                assert!(
                    !before || told == Causality::Before,
                    "O6: {} was seen by the writer of {}, and compares {told:?}",
                    x.id,
                    y.id
                );
                let after = x.past >> j & 1 == 1;
                assert!(
                    !exact || before || after || told == Causality::Concurrent,
                    "O6: {} and {} are concurrent, and compare {told:?}",
                    x.id,
                    y.id
                );
            }
        }
    }

    /// When nothing moves any more: the whole state, not a sum of it.
    /// Of edges that stand still only what is told by others is judged.
    pub fn at_rest(&self, states: &[LogState], stands_still: impl Fn(usize) -> bool) {
        self.compare_all();
        for (site, state) in states.iter().enumerate() {
            let ledger = &self.ledgers[site];
            assert_eq!(state.head, ledger.rows.len() as u64);
            assert_eq!(state.version_vector, ledger.vector);
            assert_eq!(state.hash, ledger.chain_at(state.head).expect("the head"));
        }
        for (number, e) in self.topology.edges.iter().enumerate() {
            if stands_still(number) {
                continue;
            }
            let voided = self.holds_what_was_voided(e.source, e.target);
            assert!(
                voided.is_none(),
                "{voided:?} was taken back, and nobody is told"
            );
            let (source, target) = (&states[e.source], &states[e.target]);
            let names = &self.topology.names;
            let way = format!("{}->{}", names[e.source], names[e.target]);
            let progress = target.progress.get(&names[e.source]);
            let (position, hash) = progress.map_or((0, ChainHash::ZERO), |p| (p.position, p.hash));
            assert_eq!(
                (position, hash),
                (source.head, source.hash),
                "{way} is not at the source's head"
            );
            // I4, edge by edge, which is closure along paths.
            let filter = self.filters.planned(number);
            for (index, appended_here) in &self.ledgers[e.source].rows {
                let truth = &self.events[*index];
                let admitted = filter.passes(truth.class, *appended_here);
                assert!(
                    !admitted
                        || self.ledgers[e.target].held >> index & 1 == 1
                        || !self.is_owed(*index),
                    "I4: {} never came along {way}",
                    truth.id
                );
            }
            let behind = self.topology.behind(number);
            let news = source
                .covered_vector
                .filtered(|o| behind.contains(&o.location));
            assert!(
                target.covered_vector.covers(&news),
                "{way}: KV {} was never told {news}",
                target.covered_vector
            );
        }
    }
}
