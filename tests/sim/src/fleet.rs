//! Many runs, and the sum of what they did.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::counts::Counts;
use crate::run::{More, Script, Violation, run};
use crate::step::OPERATIONS;

/// Seeds `from..to`, on so many threads.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The first seed.
    pub from: u64,
    /// The seed after the last one.
    pub to: u64,
    /// How many run at the same time.
    pub threads: u64,
    /// On graphs that the planner refuses.
    pub refused: bool,
    /// Asking for more than is promised.
    pub more: Option<More>,
    /// Operators keep witnesses.
    pub operated: bool,
}

/// What they did.
#[derive(Debug, Default)]
pub struct Sum {
    /// Seeds that were run.
    pub runs: u64,
    /// How often each operation and each fault happened.
    pub counts: Counts,
    /// The seeds that failed, lowest first.
    pub failed: Vec<(u64, Violation)>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Sum {
    /// Faults of all kinds per run.
    pub fn faults_per_run(&self) -> f64 {
        let faults = self.counts.iter().filter(|(name, _)| is_fault(name));
        let total: u64 = faults.map(|(_, count)| count).sum();
        total as f64 / self.runs.max(1) as f64
    }

    /// Operations that were never carried out.
    pub fn never(&self, operated: bool) -> Vec<&'static str> {
        let drawn = OPERATIONS
            .iter()
            .filter(|(_, weight, _)| operated || *weight > 0);
        let names = drawn.map(|(name, _, _)| *name);
        names.filter(|name| self.counts.of(name) == 0).collect()
    }
}

/// What breaks something, as opposed to what a healthy network does.
pub fn is_fault(name: &str) -> bool {
    const HARMLESS: &[&str] = &[
        "deliver a message",
        "answer a store operation",
        "answer a look into the log",
        "let a writer begin",
        "append",
        "read in a session",
        "read on from a position",
        "try a request again",
        "connect an edge",
        "notice the end of a stream",
        "show a view to an edge",
        "start a writer",
        "let time pass",
        "copy a database",
        "end a recovery",
        "notice another database",
        "pause or resume an edge",
        "remove or add an edge",
        "change the application's version",
    ];
    !HARMLESS.contains(&name) && !name.starts_with("graph: ")
}

impl Fleet {
    /// Runs them. `progress` is told now and then how many are done and how many failed; it says whether to go on.
    pub fn run(&self, progress: impl Fn(u64, usize) -> bool + Sync) -> Sum {
        let begun = Instant::now();
        let next = AtomicU64::new(self.from);
        let sum = Mutex::new(Sum::default());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| self.work(&next, &sum, &progress));
            }
        });
        let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
        sum.failed.sort_by_key(|(seed, _)| *seed);
        sum.elapsed = begun.elapsed();
        sum
    }

    fn work(
        &self,
        next: &AtomicU64,
        sum: &Mutex<Sum>,
        progress: &(impl Fn(u64, usize) -> bool + Sync),
    ) {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.to {
                return;
            }
            let outcome = run(&Script {
                seed,
                refused: self.refused,
                more: self.more,
                operated: self.operated,
                ..Script::default()
            });
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.runs += 1;
            sum.counts.merge(&outcome.counts);
            sum.failed
                .extend(outcome.violation.map(|violation| (seed, violation)));
            if !progress(sum.runs, sum.failed.len()) {
                next.store(self.to, Ordering::Relaxed);
                return;
            }
        }
    }
}
