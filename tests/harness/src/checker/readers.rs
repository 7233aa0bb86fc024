//! What readers were shown: I6.

use std::collections::BTreeMap;

use super::{Findings, Violation};
use crate::history::History;
use crate::record::Id;

/// I6: replay and live are the same: each subscriber got the log as it is read afterwards, without gap or repetition, and what it was told to
/// forget was told alike to all.
pub fn i6_replay_is_live(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I6");
    for (location, dump) in &history.dumps {
        let read = dump
            .facts
            .iter()
            .map(|fact| (fact.sequence, &fact.id, &fact.digest));
        let listed = dump
            .listed
            .iter()
            .map(|(sequence, id, digest)| (*sequence, id, digest));
        if let Some((read, listed)) = read.zip(listed).find(|(read, listed)| read != listed) {
            findings.add(format!(
                "{location} reads {} at {} and lists {} there",
                read.1, read.0, listed.1
            ));
        }
        if dump.facts.len() != dump.listed.len() {
            findings.add(format!(
                "{location} reads {} events and lists {}",
                dump.facts.len(),
                dump.listed.len()
            ));
        }
    }
    // What a position meant, whoever was told it.
    let mut meaning: BTreeMap<(&str, u32, u64), (&Id, &str)> = BTreeMap::new();
    for subscription in &history.pages.subscriptions {
        let name = &subscription.name;
        for complaint in &subscription.complaints {
            findings.add(format!("subscriber {name}: {complaint}"));
        }
        let mut expected = subscription.start + 1;
        for delivered in &subscription.events {
            if delivered.fact.sequence != expected {
                findings.add(format!(
                    "subscriber {name} expected {expected} and got {} ({})",
                    delivered.fact.sequence, delivered.fact.id
                ));
            }
            expected = delivered.fact.sequence + 1;
            let Some(dump) = history.dumps.get(&subscription.location) else {
                continue;
            };
            let at = usize::try_from(delivered.fact.sequence).unwrap_or(usize::MAX);
            let read = at.checked_sub(1).and_then(|at| dump.facts.get(at));
            if read.is_none_or(|fact| fact.id != delivered.fact.id) {
                findings.add(format!(
                    "subscriber {name} got {} at {}, a read gives {}",
                    delivered.fact.id,
                    delivered.fact.sequence,
                    read.map_or_else(|| "nothing".to_owned(), |fact| fact.id.to_string())
                ));
            }
        }
        for delivered in subscription
            .events
            .iter()
            .chain(subscription.voided.iter().flatten())
        {
            let fact = &delivered.fact;
            let position = (
                subscription.location.as_str(),
                delivered.incarnation,
                fact.sequence,
            );
            let (id, before) = meaning.entry(position).or_insert((&fact.id, name));
            if **id != fact.id {
                findings.add(format!(
                    "position {}/{} of {} is {id} for {before} and {} for {name}",
                    position.1, position.2, position.0, fact.id
                ));
            }
        }
    }
    findings.kept
}
