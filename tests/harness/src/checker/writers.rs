//! Who wrote: I8, and conditions.

use std::collections::BTreeMap;

use super::causes::views;
use super::{Findings, Violation};
use crate::history::History;
use crate::record::Answer;

/// I8: once an incarnation was seen in force, nothing that was asked for later is acknowledged under an earlier one; and one number of one
/// incarnation is acknowledged once.
pub fn i8_no_stale_writer_writes(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I8");
    let mut lives: BTreeMap<&str, Vec<(i64, u32)>> = BTreeMap::new();
    for life in &history.pages.lives {
        lives
            .entry(&life.location)
            .or_default()
            .push((life.at, life.incarnation));
    }
    let mut taken: BTreeMap<(&str, u32, u64), &str> = BTreeMap::new();
    for attempt in &history.pages.attempts {
        let Answer::Ok { ids, replayed, .. } = &attempt.answer else {
            continue;
        };
        for id in ids {
            let place = (id.location.as_str(), id.incarnation, id.sequence);
            let request = taken.entry(place).or_insert(&attempt.request_id);
            if *request != attempt.request_id {
                findings.add(format!(
                    "{id} was given to requests {request} and {}",
                    attempt.request_id
                ));
            }
            if *replayed {
                continue;
            }
            let later = lives.get(id.location.as_str()).into_iter().flatten();
            if let Some((_, life)) = later
                .filter(|(at, life)| *at < attempt.started_at && *life > id.incarnation)
                .max_by_key(|(_, life)| *life)
            {
                findings.add(format!(
                    "{id} was written for {} after incarnation {life} was in force",
                    attempt.session
                ));
            }
        }
    }
    for (location, dump) in &history.dumps {
        let last = dump.lineage.last().map(|(incarnation, _)| *incarnation);
        if last.is_some_and(|last| last != dump.incarnation) {
            findings.add(format!(
                "{location} is in incarnation {}, its lineage ends at {last:?}",
                dump.incarnation
            ));
        }
    }
    findings.kept
}

/// Between the position that a condition names and the event it let in, nothing that matches is stored.
pub fn conditions_exclude(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("conditions");
    let views = views(history);
    for attempt in &history.pages.attempts {
        let (
            Some(condition),
            Answer::Ok {
                ids,
                replayed: false,
                ..
            },
        ) = (&attempt.condition, &attempt.answer)
        else {
            continue;
        };
        let Some(first) = ids.first() else { continue };
        let mut whole = views.iter().filter(|view| view.whole);
        let shown = whole.find_map(|view| Some(&view.facts[..view.written_at(first)?]));
        let between = shown.into_iter().flatten().filter(|fact| {
            fact.sequence > condition.after
                && fact.keys.iter().any(|key| condition.keys.contains(key))
                && (condition.types.is_empty() || condition.types.contains(&fact.kind))
        });
        for faster in between {
            findings.add(format!(
                "{first} was let in after {} on {:?}, but {} stands at {}",
                condition.after, condition.keys, faster.id, faster.sequence
            ));
        }
    }
    findings.kept
}
