//! The shortest part of a run that still fails: steps are taken out, in halves and then in smaller pieces, as long as the same thing goes
//! wrong (delta debugging after Zeller and Hildebrandt, 2002).

use std::collections::BTreeSet;

use crate::run::{Script, Violation, run};

/// A failing run with as few steps as were found.
#[derive(Debug)]
pub struct Shrunk {
    /// The steps that are needed.
    pub steps: BTreeSet<u32>,
    /// What goes wrong in them.
    pub violation: Violation,
    /// How many runs it took to find out.
    pub runs: usize,
}

/// Shrinks a run that fails. At most so many runs are tried.
pub fn shrink(script: &Script, steps: u32, violation: &Violation, runs_max: usize) -> Shrunk {
    let mut kept: Vec<u32> = (0..steps).collect();
    let mut found = violation.clone();
    let mut runs = 0;
    let mut pieces = 2;
    while kept.len() > 1 && runs < runs_max {
        let size = kept.len().div_ceil(pieces);
        let mut shorter = None;
        for start in (0..kept.len()).step_by(size) {
            if runs >= runs_max {
                break;
            }
            let mut rest = kept.clone();
            rest.drain(start..(start + size).min(kept.len()));
            runs += 1;
            let outcome = run(&Script {
                steps: Some(rest.iter().copied().collect()),
                ..script.clone()
            });
            if let Some(other) = outcome.violation.filter(|v| v.resembles(violation)) {
                shorter = Some((rest, other));
                break;
            }
        }
        match shorter {
            Some((rest, other)) => {
                kept = rest;
                found = other;
                pieces = (pieces - 1).max(2);
            }
            None if size == 1 => break,
            None => pieces = (pieces * 2).min(kept.len()),
        }
    }
    Shrunk {
        steps: kept.into_iter().collect(),
        violation: found,
        runs,
    }
}

/// Steps as text: `3,9,40-52`.
pub fn to_text(steps: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for step in steps {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *step => *last = *step,
            _ => ranges.push((*step, *step)),
        }
    }
    let texts = ranges.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Steps from text.
pub fn from_text(text: &str) -> Result<BTreeSet<u32>, String> {
    let wrong = |part: &str| {
        format!("`{part}` is no step and no range of steps; give for example 3,9,40-52")
    };
    let mut steps = BTreeSet::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.parse().map_err(|_| wrong(part))?;
        let last: u32 = last.parse().map_err(|_| wrong(part))?;
        if first > last {
            return Err(wrong(part));
        }
        steps.extend(first..=last);
    }
    Ok(steps)
}
