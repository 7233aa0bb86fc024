//! The same runs with a bug in the product: a level that notices none of them would prove nothing by noticing nothing.

use std::time::Duration;

use crate::seeds::Runner;

/// Bugs that whole locations show to those who use them, each of which has to be noticed. Others cannot be noticed here: a second guard behind
/// the broken one hides them, or they need what does not happen here. The tests of the log core, the stores and the planner notice those.
pub const NOTICED: &[&str] = &[];

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
