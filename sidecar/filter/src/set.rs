//! The filters of one edge, ANDed, and their canonical form.

use std::fmt::Write as _;

use tidelog_model::{Event, LocationName, mutant};

use crate::filter::{Explanation, Filter, Verdict};
use crate::limits::EVALUATOR_VERSION;
use crate::program::Uses;

/// The effective predicate of an edge: its filters in order of expression, then `onError`, each once. Names do not count.
///
/// Two edges have the same predicate exactly when their [`canonical`](Self::canonical) forms are equal. Without filters it lets
/// everything through.
#[derive(Debug, Clone, Default)]
pub struct FilterSet(Vec<Filter>);

impl FilterSet {
    /// A set of filters. Of two that differ only in name the one given first stays.
    pub fn new(filters: impl IntoIterator<Item = Filter>) -> Self {
        let mut filters: Vec<Filter> = filters.into_iter().collect();
        let key = |f: &Filter| (f.cel().to_owned(), f.on_error());
        if !mutant!("filters-in-the-order-written") {
            filters.sort_by_key(key);
        }
        filters.dedup_by_key(|f| key(f));
        Self(filters)
    }

    /// The filters in canonical order.
    pub fn filters(&self) -> &[Filter] {
        &self.0
    }

    /// True when everything passes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the filters look at together.
    pub fn uses(&self) -> Uses {
        let mut all = Uses::default();
        for uses in self.0.iter().map(Filter::uses) {
            all.source |= uses.source;
            all.target |= uses.target;
            all.payload |= uses.payload;
            all.unguarded.extend(uses.unguarded.iter().cloned());
        }
        all.unguarded.sort();
        all.unguarded.dedup();
        all
    }

    /// Judges an event.
    ///
    /// A [`Verdict::Drop`] of one filter wins over a [`Verdict::Stall`] of another, as CEL's `error && false` is false: what one filter
    /// keeps back for sure does not leave, so nobody has to decide about it. Of several stalls the first in canonical order is reported.
    /// So the verdict does not depend on the order in which the filters were written.
    pub fn evaluate(&self, event: &Event, source: &LocationName, target: &LocationName) -> Verdict {
        let mut verdict = Verdict::Pass;
        for filter in &self.0 {
            match filter.evaluate(event, source, target) {
                Verdict::Drop if mutant!("one-filter-of-several-is-enough") => {}
                Verdict::Drop => return Verdict::Drop,
                Verdict::Stall(reason) if verdict == Verdict::Pass => {
                    verdict = Verdict::Stall(reason);
                }
                Verdict::Pass | Verdict::Stall(_) => {}
            }
        }
        verdict
    }

    /// Judges an event and tells what each filter says.
    pub fn explain(
        &self,
        event: &Event,
        source: &LocationName,
        target: &LocationName,
    ) -> Vec<Explanation> {
        self.0
            .iter()
            .map(|f| f.explain(event, source, target))
            .collect()
    }

    /// The canonical form: evaluator version, then per filter a line of `onError`, bytes of the expression, expression.
    pub fn canonical(&self) -> String {
        let mut text = format!("tidelog-filter/{EVALUATOR_VERSION}\n");
        for filter in &self.0 {
            let cel = filter.cel();
            // Writing to a String cannot fail. The length makes the form unambiguous whatever the expression holds.
            let _ = writeln!(text, "{} {} {cel}", filter.on_error(), cel.len());
        }
        text
    }

    /// First eight bytes of the BLAKE3 of the canonical form, what edges compare and report.
    pub fn hash(&self) -> u64 {
        hash_of(blake3::Hasher::new().update(self.canonical().as_bytes()))
    }
}

impl FromIterator<Filter> for FilterSet {
    fn from_iter<I: IntoIterator<Item = Filter>>(filters: I) -> Self {
        Self::new(filters)
    }
}

/// The id of a plan: first eight bytes of the BLAKE3 over its canonical filters, in the order given.
///
/// The planner hands in one text per edge and export filter that says which it is and ends with [`FilterSet::canonical`], sorted, so that
/// equal plans have equal ids. Never 0, which means that an event carries no plan.
pub fn plan_id<S: AsRef<str>>(canonical_filters: impl IntoIterator<Item = S>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for text in canonical_filters {
        let bytes = text.as_ref().as_bytes();
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    }
    hash_of(&hasher).max(1)
}

fn hash_of(hasher: &blake3::Hasher) -> u64 {
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_be_bytes(first)
}
