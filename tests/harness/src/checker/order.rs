//! Order and contexts: I3 and I12.

use super::causes::{Causes, Set, views};
use super::{Findings, Violation};
use crate::history::History;
use crate::record::{Seen, Vector};

/// I3: every local order is a linear extension of happened-before as the journal has it, and no stored vector calls concurrent what was not.
pub fn i3_causes_come_first(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I3");
    let views = views(history);
    let causes = Causes::of(history, &views);
    for &circle in &causes.circles {
        findings.add(format!(
            "{} was read before it was written",
            causes.facts[circle].id
        ));
    }
    for view in &views {
        let mut present = Set::default();
        let indices: Vec<usize> = view
            .facts
            .iter()
            .map(|fact| causes.index[&fact.id])
            .collect();
        for &index in &indices {
            present.insert(index);
        }
        let mut stored = Set::default();
        for (&index, fact) in indices.iter().zip(&view.facts) {
            for late in causes.before[index].left_over(&present, &stored) {
                findings.add(format!(
                    "{}: {} ({}) stands at {} before its cause {} ({})",
                    view.name,
                    fact.id,
                    fact.tag,
                    fact.sequence,
                    causes.facts[late].id,
                    causes.facts[late].tag
                ));
            }
            stored.insert(index);
        }
    }
    // Per event only the last cause of each origin: the others are behind it.
    let mut origins: Vec<String> = causes.facts.iter().map(|fact| fact.id.origin()).collect();
    let of: Vec<String> = origins.clone();
    origins.sort();
    origins.dedup();
    let of: Vec<usize> = of
        .iter()
        .map(|origin| origins.binary_search(origin).unwrap_or(0))
        .collect();
    for (index, fact) in causes.facts.iter().enumerate() {
        let mut last = vec![0; origins.len()];
        for cause in causes.before[index].iter() {
            last[of[cause]] = causes.facts[cause].id.sequence.max(last[of[cause]]);
        }
        for (origin, last) in origins.iter().zip(last) {
            if fact.context.get(origin) < last {
                findings.add(format!(
                    "the writer of {} had seen {origin}/{last}, its context {} says that they are concurrent",
                    fact.id, fact.context
                ));
            }
        }
    }
    findings.kept
}

/// I12: the context of an event was covered by its log when it was appended: it says no more than what stood before it, and of a writer who
/// named what it had seen, exactly that.
pub fn i12_contexts_are_what_was_seen(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I12");
    let views = views(history);
    let causes = Causes::of(history, &views);
    for view in views.iter().filter(|view| view.whole) {
        let mut vector = Vector::default();
        for (at, fact) in view.facts.iter().enumerate() {
            if view.was_written(at)
                && let Some(ahead) = vector.uncovered(&fact.context)
            {
                findings.add(format!(
                    "{}: {} was appended with {ahead} in its context, the log held {vector}",
                    view.name, fact.id
                ));
            }
            vector.merge(&fact.vector_time());
        }
    }
    for (index, fact) in causes.facts.iter().enumerate() {
        let Some(attempt) = causes.attempts[index] else {
            continue;
        };
        let Seen::Only(seen) = &attempt.seen else {
            continue;
        };
        let known: Option<Vec<usize>> = seen
            .iter()
            .map(|id| causes.index.get(id).copied())
            .collect();
        // What was lost altogether cannot be looked up any more.
        let Some(known) = known else { continue };
        let mut expected = Vector::default();
        for cause in known {
            expected.merge(&causes.facts[cause].vector_time());
        }
        for before in 0..fact.request_index {
            let sequence = fact.id.sequence - u64::from(fact.request_index - before);
            expected.raise(&fact.id.origin(), sequence);
        }
        if expected != fact.context {
            findings.add(format!(
                "the writer of {} had seen {expected}, its context says {}",
                fact.id, fact.context
            ));
        }
    }
    findings.kept
}
