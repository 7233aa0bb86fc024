//! Where events are and are not: I4, I10, I11.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Violation};
use crate::history::{Edge, History, Topology};
use crate::record::{Fact, Id};

fn held(history: &History) -> BTreeMap<String, BTreeMap<&Id, &Fact>> {
    let dumps = history.dumps.iter();
    dumps
        .map(|(name, dump)| {
            let facts = dump.facts.iter().map(|fact| (&fact.id, fact));
            (name.clone(), facts.collect())
        })
        .collect()
}

/// I4: each location holds what directed paths that admit it bring from any holder.
pub fn i4_everything_is_where_it_belongs(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I4");
    for (location, fact, holders) in history.topology.missing(&held(history)) {
        findings.add(format!(
            "{} ({}) is missing at {location}; held by {holders}",
            fact.id, fact.tag
        ));
    }
    findings.kept
}

/// I10: no location ever showed an event that no path from its origin admits.
pub fn i10_nothing_filtered_leaves(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I10");
    let topology = &history.topology;
    let edges: Vec<&Edge> = topology.edges.iter().chain(&topology.former).collect();
    let mut judge = |who: &str, location: &str, fact: &Fact| {
        let from = BTreeSet::from([fact.id.location.as_str()]);
        if fact.id.location != location
            && !topology.excused.contains(&fact.tag)
            && !Topology::reach(&edges, &from, fact).contains(location)
        {
            findings.add(format!(
                "{who} shows {} ({}), which no path from {} admits",
                fact.id, fact.tag, fact.id.location
            ));
        }
    };
    for (location, dump) in &history.dumps {
        for fact in &dump.facts {
            judge(&format!("the log at {location}"), location, fact);
        }
    }
    for subscription in &history.pages.subscriptions {
        for delivered in subscription
            .events
            .iter()
            .chain(subscription.voided.iter().flatten())
        {
            judge(
                &format!("subscriber {}", subscription.name),
                &subscription.location,
                &delivered.fact,
            );
        }
    }
    findings.kept
}

/// I11: what a version vector counts as held is held, as far as it can be admitted there; what progress counts as copied is copied, as far as
/// the edge admits it.
pub fn i11_vectors_and_progress_tell_the_truth(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I11");
    let topology = &history.topology;
    let edges: Vec<&Edge> = topology.edges.iter().collect();
    let held = held(history);
    let mut holders: BTreeMap<&Id, (BTreeSet<&str>, &Fact)> = BTreeMap::new();
    for (location, facts) in &held {
        for (&id, &fact) in facts {
            holders
                .entry(id)
                .or_insert_with(|| (BTreeSet::new(), fact))
                .0
                .insert(location);
        }
    }
    let excused = |fact: &Fact| topology.excused.contains(&fact.tag);
    for (at, fact) in holders.values() {
        for location in Topology::reach(&edges, at, fact) {
            let Some(dump) = history.dumps.get(location) else {
                continue;
            };
            let counted = dump.version_vector.get(&fact.id.origin()) >= fact.id.sequence;
            if counted && !at.contains(location) && !excused(fact) {
                findings.add(format!(
                    "{location} counts {} ({}) as held in {} and does not hold it",
                    fact.id, fact.tag, dump.version_vector
                ));
            }
        }
    }
    for (location, dump) in &history.dumps {
        for edge in &dump.edges {
            let rule = edges
                .iter()
                .find(|e| e.source == edge.source && e.target == *location);
            let (Some(source), Some(rule)) = (history.dumps.get(&edge.source), rule) else {
                continue;
            };
            if edge.source_incarnation != source.incarnation {
                continue;
            }
            let copied = source
                .facts
                .iter()
                .filter(|fact| fact.sequence <= edge.progress);
            for fact in copied.filter(|fact| (rule.admits)(fact) && !excused(fact)) {
                if !held
                    .get(location)
                    .is_some_and(|facts| facts.contains_key(&fact.id))
                {
                    findings.add(format!(
                        "{location} has copied {} up to {} and does not hold {} ({}), which stands there at {}",
                        edge.source, edge.progress, fact.id, fact.tag, fact.sequence
                    ));
                }
            }
        }
    }
    findings.kept
}
