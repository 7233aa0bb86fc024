//! The same runs with a bug in the product: a level that notices none of them would prove nothing by noticing nothing.

use std::time::Duration;

use crate::seeds::Runner;

/// Bugs that whole locations show to those who use them, each of which has to be noticed.
///
/// Others cannot be noticed here. Some have a second guard behind the broken one: frames come in order over one connection, and a target that
/// could not apply one drops all that follow it with their stream, so that none gets as far as `no-continuity`,
/// `goes-on-after-a-failed-frame` or `frames-of-other-streams`. Some are of what does not happen here, such as other versions, export filters,
/// full vectors or a frozen process. The tests of the log core, the stores and the planner notice those.
pub const NOTICED: &[&str] = &[
    // Conditions and requests.
    "condition-blind-to-its-batch",
    "requests-of-a-batch-apart",
    "request-content-unchecked",
    "request-unseen-by-itself",
    "context-unchecked",
    "context-of-own-events-only",
    // Batches and their outcomes.
    "answered-before-the-commit",
    "unknown-is-committed",
    "unknown-is-failed",
    "kv-misses-own-events",
    "stored-at-steps-back",
    // Replication.
    "no-dedup",
    "own-events-forwarded-only",
    "frames-overlap",
    "filter-ignored",
    "progress-in-another-transaction",
    "vv-from-the-source",
    "vv-merges-the-id-only",
    "kv-later-than-its-head",
    // Restarts and raises.
    "no-raise",
    "witness-not-told",
    // Subscriptions.
    "hand-over-repeats-an-event",
    "hand-over-skips-to-the-head",
];

/// What became of a bug.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The bug.
    pub mutant: String,
    /// How many seeds were run.
    pub seeds: u64,
    /// The seed that noticed it, and what it saw.
    pub noticed: Option<(u64, String)>,
    /// Real time that it took.
    pub took: Duration,
}

/// Runs seeds from one on with a bug, until one of them notices it.
pub fn hunt(runner: &Runner, mutant: &str, from: u64, count: u64) -> Verdict {
    let runner = Runner {
        mutant: Some(mutant.to_owned()),
        stops: true,
        ..runner.clone()
    };
    let begun = std::time::Instant::now();
    let tally = runner.all(from, count, |_| {});
    // Which of those that ran at the same time was the first to end is not up to the seed.
    let noticed = tally.failed.first().map(|(seed, violations)| {
        let what = violations.first().cloned().unwrap_or_default();
        (*seed, what)
    });
    Verdict {
        mutant: mutant.to_owned(),
        seeds: noticed.as_ref().map_or(count, |(seed, _)| seed - from + 1),
        noticed,
        took: begun.elapsed(),
    }
}
