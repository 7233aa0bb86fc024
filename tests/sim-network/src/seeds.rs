//! Many seeds, each in a process of its own: what one leaves behind in a process cannot move the next.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::run::Outcome;
use crate::world::lock;

/// Real time after which a seed is given up.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs seeds with the program that runs one.
#[derive(Debug, Clone)]
pub struct Runner {
    /// The program.
    pub program: PathBuf,
    /// Seeds at the same time.
    pub jobs: usize,
    /// A bug to build on, in a program that has them: see `tests/mutants`.
    pub mutant: Option<String>,
    /// No seed is begun any more once one has failed.
    pub stops: bool,
}

/// What many seeds did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Seeds that ran to their end.
    pub seeds: u64,
    /// Simulated time of all of them.
    pub simulated: Duration,
    /// What happened how often.
    pub counts: BTreeMap<String, u64>,
    /// In how many seeds it happened.
    pub covered: BTreeMap<String, u64>,
    /// Seeds in which something was violated, and what.
    pub failed: Vec<(u64, Vec<String>)>,
}

impl Runner {
    /// One seed.
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no executor here: a thread waits for its child"
    )]
    pub fn one(&self, seed: u64) -> Result<Outcome> {
        let mut command = Command::new(&self.program);
        if let Some(mutant) = &self.mutant {
            command.env("TIDELOG_MUTANT", mutant);
        }
        let mut child = command
            .arg(seed.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let begun = Instant::now();
        while child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output()?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            let told = String::from_utf8_lossy(&output.stderr);
            let end = told.char_indices().rev().nth(2_000).map_or(0, |(at, _)| at);
            format!(
                "seed {seed} ended without an outcome ({}): {}",
                output.status,
                &told[end..]
            )
        })
    }

    /// All seeds from one on; tells each that is done.
    pub fn all(&self, from: u64, count: u64, told: impl Fn(&Outcome) + Sync) -> Tally {
        let next = AtomicU64::new(from);
        let tally = Mutex::new(Tally::default());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        let done = seed >= from.saturating_add(count);
                        if done || (self.stops && !lock(&tally).failed.is_empty()) {
                            break;
                        }
                        match self.one(seed) {
                            Ok(outcome) => {
                                told(&outcome);
                                lock(&tally).add(outcome);
                            }
                            Err(error) => {
                                lock(&tally).failed.push((seed, vec![format!("{error:#}")]));
                            }
                        }
                    }
                });
            }
        });
        let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        tally.failed.sort();
        tally
    }
}

impl Tally {
    /// Takes in what other seeds did.
    pub fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
        for (what, count) in other.covered {
            *self.covered.entry(what).or_default() += count;
        }
        self.failed.extend(other.failed);
    }

    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.simulated += Duration::from_millis(outcome.millis);
        for (what, count) in outcome.counts {
            *self.counts.entry(what.clone()).or_default() += count;
            *self.covered.entry(what).or_default() += 1;
        }
        if !outcome.violations.is_empty() {
            self.failed.push((outcome.seed, outcome.violations));
        }
    }

    /// Everything that was broken on purpose.
    pub fn faults(&self) -> u64 {
        let broken = |what: &str| what.starts_with("weather: ") || what.starts_with("disk: ");
        let faults = self.counts.iter().filter(|(what, _)| broken(what));
        faults.map(|(_, count)| count).sum()
    }
}
