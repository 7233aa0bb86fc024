//! Numbers: I5 and I13.

use std::collections::BTreeMap;

use super::{Findings, Violation};
use crate::history::History;
use crate::record::{FrameRecord, Progress, Vector};

/// I5: sequences are gap-free, the version vector is the merge of what is stored, the covered vector is at least that, progress is at most
/// the head of its source.
pub fn i5_counters_agree(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I5");
    for (location, dump) in &history.dumps {
        let mut merged = Vector::default();
        let mut stored_at = i64::MIN;
        let mut latest: BTreeMap<String, u64> = BTreeMap::new();
        for (expected, fact) in (1..).zip(&dump.facts) {
            if fact.sequence != expected {
                findings.add(format!(
                    "{location}: {} stands at {}, expected at {expected}",
                    fact.id, fact.sequence
                ));
                break;
            }
            if fact.stored_at < stored_at {
                findings.add(format!(
                    "{location}: {} was stored before the event in front of it",
                    fact.id
                ));
            }
            stored_at = fact.stored_at;
            let before = latest
                .insert(fact.id.origin(), fact.id.sequence)
                .unwrap_or(0);
            if before > fact.id.sequence {
                findings.add(format!(
                    "{location}: {} stands after number {before} of its origin",
                    fact.id
                ));
            }
            merged.merge(&fact.vector_time());
        }
        if dump.facts.len() as u64 != dump.head {
            findings.add(format!(
                "{location}: {} events, the head is {}",
                dump.facts.len(),
                dump.head
            ));
        }
        if merged != dump.version_vector {
            findings.add(format!(
                "{location}: the version vector is {}, the merge of what is stored {merged}",
                dump.version_vector
            ));
        }
        if let Some(entry) = dump.covered_vector.uncovered(&dump.version_vector) {
            findings.add(format!(
                "{location}: {entry} is held and not covered: {}",
                dump.covered_vector
            ));
        }
        for edge in &dump.edges {
            let Some(source) = history.dumps.get(&edge.source) else {
                continue;
            };
            if edge.source_incarnation == source.incarnation && edge.progress > source.head {
                findings.add(format!(
                    "{location} has copied {} up to {}, whose head is {}",
                    edge.source, edge.progress, source.head
                ));
            }
        }
        if !dump.lineage.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            findings.add(format!(
                "{location}: incarnations do not rise: {:?}",
                dump.lineage
            ));
        }
    }
    findings.kept
}

/// I13: frames of one stream continue each other, and the progress of an edge never goes back while neither end has lost anything.
pub fn i13_streams_are_continuous(history: &History) -> Vec<Violation> {
    let mut findings = Findings::of("I13");
    let mut streams: BTreeMap<(&str, u64), &FrameRecord> = BTreeMap::new();
    for frame in &history.pages.frames {
        let said = format!("stream {:x} of {}", frame.stream, frame.source);
        if frame.from > frame.to {
            findings.add(format!(
                "{said}: a frame from {} to {}",
                frame.from, frame.to
            ));
        }
        if frame.from == frame.to && frame.hash_from != frame.hash_to {
            findings.add(format!("{said}: two hashes at {}", frame.from));
        }
        if let Some(before) = streams.insert((&frame.source, frame.stream), frame)
            && (before.to != frame.from || before.hash_to != frame.hash_from)
        {
            findings.add(format!(
                "{said}: a frame ends at {} ({}), the next begins at {} ({})",
                before.to, before.hash_to, frame.from, frame.hash_from
            ));
        }
    }
    let mut edges: BTreeMap<(&str, &str, u32, u32), &Progress> = BTreeMap::new();
    for now in &history.pages.progress {
        let lives = (now.source_incarnation, now.target_incarnation);
        let edge = (now.source.as_str(), now.target.as_str(), lives.0, lives.1);
        if let Some(before) = edges.insert(edge, now)
            && before.progress > now.progress
        {
            findings.add(format!(
                "{} -> {}: progress went back from {} to {}",
                now.source, now.target, before.progress, now.progress
            ));
        }
    }
    findings.kept
}
