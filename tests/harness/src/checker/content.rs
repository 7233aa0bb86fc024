//! What is there, and what must not be: I1, I2, I7, I9.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Violation};
use crate::history::{Edge, History, Topology};
use crate::record::{Answer, Fact, Id};

/// Every event that was shown anywhere at any time, with who showed it.
fn shown(history: &History) -> impl Iterator<Item = (String, &Fact)> {
    let dumps = history.dumps.values().flat_map(|dump| {
        dump.facts
            .iter()
            .map(|fact| (format!("the log at {}", dump.location), fact))
    });
    let live = history.pages.subscriptions.iter().flat_map(|subscription| {
        let all = subscription
            .events
            .iter()
            .chain(subscription.voided.iter().flatten());
        all.map(|delivered| (format!("subscriber {}", subscription.name), &delivered.fact))
    });
    dumps.chain(live)
}

/// I1: every acknowledged event is at its origin, under its id, unless no database that held it survived.
pub fn i1_nothing_acknowledged_is_lost(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I1");
    let held: BTreeMap<&str, BTreeMap<&Id, &Fact>> = history
        .dumps
        .iter()
        .map(|(name, dump)| {
            (
                name.as_str(),
                dump.facts.iter().map(|f| (&f.id, f)).collect(),
            )
        })
        .collect();
    let edges: Vec<&Edge> = history.topology.edges.iter().collect();
    for attempt in &history.pages.attempts {
        let Answer::Ok { ids, .. } = &attempt.answer else {
            continue;
        };
        if ids.len() != attempt.tags.len() {
            findings.add(format!(
                "{} appended {} events and was given {} ids",
                attempt.session,
                attempt.tags.len(),
                ids.len()
            ));
        }
        for (id, tag) in ids.iter().zip(&attempt.tags) {
            let at_origin = held
                .get(id.location.as_str())
                .and_then(|facts| facts.get(id));
            match at_origin {
                Some(fact) if fact.tag == *tag => {}
                Some(fact) => findings.add(format!(
                    "{id} was acknowledged to {} for {tag} and holds {}",
                    attempt.session, fact.tag
                )),
                None if history.pages.may_be_lost.contains(id) => {}
                None => {
                    let holders = held
                        .iter()
                        .filter_map(|(name, facts)| Some((*name, *facts.get(id)?)));
                    let (holders, facts): (BTreeSet<&str>, Vec<&Fact>) = holders.unzip();
                    // A filter may keep it from coming back to where it was written, and what comes back first may cover it there; then it must be
                    // somewhere.
                    let excused = history.topology.excused.contains(tag);
                    let belongs = (!excused || holders.is_empty())
                        && facts.first().is_none_or(|fact| {
                            Topology::reach(&edges, &holders, fact).contains(id.location.as_str())
                        });
                    if belongs {
                        findings.add(format!(
                            "{id} ({tag}) was acknowledged at {} and is not at {}; held by {holders:?}",
                            attempt.location, id.location
                        ));
                    }
                }
            }
        }
    }
    findings.kept
}

/// I2: no location holds an id twice, or one event of a writer under two ids.
pub fn i2_nothing_is_stored_twice(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I2");
    for (location, dump) in &history.dumps {
        let mut ids: BTreeMap<&Id, u64> = BTreeMap::new();
        let mut tags: BTreeMap<&str, &Id> = BTreeMap::new();
        for fact in &dump.facts {
            if let Some(before) = ids.insert(&fact.id, fact.sequence) {
                findings.add(format!(
                    "{location} holds {} at {before} and at {}",
                    fact.id, fact.sequence
                ));
            }
            if let Some(before) = tags.insert(&fact.tag, &fact.id)
                && before != &fact.id
            {
                findings.add(format!(
                    "{location} holds {} as {before} and as {}",
                    fact.tag, fact.id
                ));
            }
        }
        // The store counts what only its unique key recognised: the guards before it must have.
        for warning in dump
            .warnings
            .iter()
            .filter(|text| text.contains("unique key"))
        {
            findings.add(format!("{location} warns: {warning}"));
        }
    }
    findings.kept
}

/// I7: what every try was refused for was never shown to anybody.
pub fn i7_what_failed_never_appears(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I7");
    let mut refused: BTreeMap<&str, &str> = BTreeMap::new();
    let mut perhaps: BTreeSet<&str> = BTreeSet::new();
    for attempt in &history.pages.attempts {
        for tag in &attempt.tags {
            match &attempt.answer {
                Answer::Refused { reason, .. } => {
                    refused.insert(tag, reason);
                }
                Answer::Ok { .. } | Answer::Unknown { .. } => {
                    perhaps.insert(tag);
                }
            }
        }
    }
    let mut said = BTreeSet::new();
    for (who, fact) in shown(history) {
        if let Some(reason) = refused.get(fact.tag.as_str())
            && !perhaps.contains(fact.tag.as_str())
            && said.insert(&fact.tag)
        {
            findings.add(format!(
                "{} was refused ({reason}), {who} shows it as {}",
                fact.tag, fact.id
            ));
        }
    }
    findings.kept
}

/// I9: whoever showed an id, at any time, showed the same event.
pub fn i9_no_id_has_two_contents(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I9");
    let mut known: BTreeMap<&Id, (&str, &Fact, String)> = BTreeMap::new();
    for (who, fact) in shown(history) {
        let (tag, first, before) = known
            .entry(&fact.id)
            .or_insert((&fact.tag, fact, who.clone()));
        let same = *tag == fact.tag
            && first.digest == fact.digest
            && first.context == fact.context
            && first.kind == fact.kind
            && first.keys == fact.keys
            && first.metadata == fact.metadata
            && first.time == fact.time;
        if !same {
            findings.add(format!(
                "{} is {tag} with digest {} for {before}, and {} with digest {} for {who}",
                fact.id, first.digest, fact.tag, fact.digest
            ));
        }
    }
    // What was acknowledged is a showing as well, even when nobody else ever saw it.
    let mut acknowledged: BTreeMap<&Id, &str> = BTreeMap::new();
    for attempt in &history.pages.attempts {
        let Answer::Ok { ids, .. } = &attempt.answer else {
            continue;
        };
        for (id, tag) in ids.iter().zip(&attempt.tags) {
            let shown = known.get(id).map(|(tag, _, _)| *tag);
            let told = *acknowledged.entry(id).or_insert(tag);
            for other in shown.into_iter().chain([told]).filter(|other| other != tag) {
                findings.add(format!(
                    "{id} was acknowledged for {tag}, and stands for {other}"
                ));
            }
        }
    }
    findings.kept
}
