//! What is told at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use tidelog_harness::disk::{Disk, FileSystem};

use crate::run::Wanted;
use crate::stall::IN_FLIGHT_BOUND_MIB;
use crate::tally::{Breach, Stalled, Tally};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every fault that was named happened, and every promise was kept.
    Passed,
    /// A promise was broken.
    Failed,
    /// A fault that was named did not demonstrably happen: the run proves nothing.
    Void,
    /// Somebody ended it before its time; nothing was wrong until then.
    Interrupted,
}

/// The half and the ninety-ninth hundredth of some times, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Times {
    /// How many.
    pub count: usize,
    /// Half were at most so long.
    pub p50: f64,
    /// All but one in a hundred were at most so long.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// What is told at the end.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How it ended.
    pub verdict: Verdict,
    /// What everything was drawn from.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// Networks that were started.
    pub episodes: u64,
    /// Requests that were acknowledged.
    pub acknowledged_requests: u64,
    /// Events in them.
    pub acknowledged_events: u64,
    /// Tries to append.
    pub tries: u64,
    /// Tries whose outcome nobody said.
    pub unknown: u64,
    /// Requests that were still without an answer at the end.
    pub unanswered: u64,
    /// Events that subscribers got.
    pub delivered: u64,
    /// What was full and took no writes: real disks, or what stands for them.
    pub disks: Option<String>,
    /// Faults that demonstrably happened, by kind.
    pub faults: BTreeMap<String, usize>,
    /// Faults that were named and never demonstrably happened.
    pub missing: Vec<String>,
    /// One witness of each fault.
    pub witnesses: BTreeMap<String, String>,
    /// Tries while only links were broken.
    pub tries_in_partitions: u64,
    /// Those that were not taken: must be 0.
    pub refused_in_partitions: u64,
    /// What they were told.
    pub refusals: Vec<String>,
    /// From the end of a process to the first append taken afterwards, by process.
    pub back_ms: BTreeMap<String, Times>,
    /// From the end of a partition until everybody covered what everybody had.
    pub converged_ms: Option<Times>,
    /// Memory under stalls.
    pub stalled: Vec<Stalled>,
    /// What may be on its way to a peer that stands still.
    pub in_flight_bound_mib: f64,
    /// The most memory of any sidecar of the network.
    pub most_mib: f64,
    /// Broken promises.
    pub violations: Vec<Breach>,
}

fn times(values: &[f64]) -> Option<Times> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let index = (sorted.len() as f64 * part).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied()
    };
    Some(Times {
        count: sorted.len(),
        p50: at(0.5)?,
        p99: at(0.99)?,
        max: sorted.last().copied()?,
    })
}

impl Report {
    /// What has happened so far.
    pub fn of(tally: &Tally, wanted: &Wanted, seconds: f64) -> Self {
        let broken = tally.is_broken();
        let counts = tally.counts();
        let mut faults: BTreeMap<String, usize> = BTreeMap::new();
        let mut witnesses = BTreeMap::new();
        for fault in &counts.faults {
            if let Some(witness) = &fault.witness {
                *faults.entry(fault.kind.name()).or_default() += 1;
                let text = format!("{}: {witness}", fault.place);
                witnesses.entry(fault.kind.name()).or_insert(text);
            }
        }
        let mut missing = Vec::new();
        for store in &wanted.stores {
            for kind in wanted.named(*store) {
                let mut same = counts
                    .faults
                    .iter()
                    .filter(|f| f.kind == kind && f.store == *store);
                if !same.any(|fault| fault.witness.is_some()) {
                    missing.push(format!("{} ({})", kind.name(), store.name()));
                }
            }
        }
        let verdict = match (broken, missing.is_empty()) {
            (true, _) => Verdict::Failed,
            _ if wanted.stop.is_asked_for() => Verdict::Interrupted,
            (false, false) => Verdict::Void,
            (false, true) => Verdict::Passed,
        };
        let with_disks = wanted.stores.iter().any(|store| wanted.wants_disks(*store));
        Self {
            verdict,
            seed: wanted.seed,
            seconds,
            episodes: counts.episodes,
            acknowledged_requests: counts.acknowledged,
            acknowledged_events: counts.events,
            tries: counts.tries,
            unknown: counts.unknown,
            unanswered: counts.unanswered,
            delivered: counts.delivered,
            disks: with_disks.then(disks),
            faults,
            missing,
            witnesses,
            tries_in_partitions: counts.tries_in_partitions,
            refused_in_partitions: counts.refused_in_partitions,
            refusals: counts.refusals.iter().take(20).cloned().collect(),
            back_ms: counts
                .back
                .iter()
                .filter_map(|(what, values)| Some((what.clone(), times(values)?)))
                .collect(),
            converged_ms: times(&counts.converged),
            stalled: counts.stalled.clone(),
            in_flight_bound_mib: IN_FLIGHT_BOUND_MIB,
            most_mib: counts.most_mib,
            violations: counts.breaches.clone(),
        }
    }

    /// Writes it as JSON.
    pub fn write(&self, file: Option<&Path>) -> Result<()> {
        let Some(file) = file else { return Ok(()) };
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(out, "{name:<34} {value}");
        };
        line(
            "verdict",
            format!(
                "{:?}, seed {}, {:.0} s, {} networks",
                self.verdict, self.seed, self.seconds, self.episodes
            ),
        );
        line(
            "acknowledged",
            format!(
                "{} requests, {} events",
                self.acknowledged_requests, self.acknowledged_events
            ),
        );
        line(
            "tries",
            format!(
                "{}, {} of unknown outcome, {} never answered",
                self.tries, self.unknown, self.unanswered
            ),
        );
        line(
            "delivered to subscribers",
            format!("{} events", self.delivered),
        );
        line(
            "appends refused in partitions",
            format!(
                "{} of {}",
                self.refused_in_partitions, self.tries_in_partitions
            ),
        );
        for (what, times) in &self.back_ms {
            line(&format!("SIGKILL of {what} to first append"), times.text());
        }
        if let Some(times) = &self.converged_ms {
            line("heal to convergence", times.text());
        }
        for stalled in &self.stalled {
            line(
                &format!("stalled: {}", stalled.what),
                format!(
                    "{:.0} MiB appended, memory {:.0} to {:.0} MiB (may grow by {:.0}), newest events {:.1} MiB, on their way {:.1} MiB",
                    stalled.appended_mib,
                    stalled.before_mib,
                    stalled.most_mib,
                    stalled.bound_mib,
                    stalled.tail_mib,
                    stalled.in_flight_mib
                ),
            );
        }
        line(
            "most memory of a sidecar",
            format!("{:.0} MiB", self.most_mib),
        );
        if let Some(disks) = &self.disks {
            line("disks", disks.clone());
        }
        for (kind, count) in &self.faults {
            let witness = self.witnesses.get(kind).map_or("", String::as_str);
            line(
                &format!("fault {kind}"),
                format!("{count:>4}  e.g. {witness}"),
            );
        }
        for kind in &self.missing {
            line(
                &format!("fault {kind}"),
                "did not demonstrably happen: the run is void".to_owned(),
            );
        }
        for refusal in &self.refusals {
            line("refused in a partition", refusal.clone());
        }
        line("violations", self.violations.len().to_string());
        for breach in &self.violations {
            line(
                &format!(
                    "  {} ({}, seed {})",
                    breach.invariant,
                    breach.store.name(),
                    breach.seed
                ),
                breach.message.clone(),
            );
        }
        out
    }
}

impl Times {
    fn text(&self) -> String {
        format!(
            "p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms of {}",
            self.p50, self.p99, self.max, self.count
        )
    }
}

/// What disks are broken here.
pub fn disks() -> String {
    match Disk::possible() {
        Ok(FileSystem::Ext4) => "real: ext4 file systems of their own".to_owned(),
        Ok(FileSystem::Memory) => {
            "real when full; READ-ONLY IS EMULATED: there are no loop devices here".to_owned()
        }
        Err(why) => format!(
            "EMULATED, AND wal-full IS LEFT OUT: nothing may be mounted here ({why}); run as root where mounting is permitted"
        ),
    }
}

/// Says what is going on, on the error stream.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "faults: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{Kind, Store};
    use crate::tally::Fault;

    fn wanted() -> Wanted {
        Wanted::short(
            vec![Store::Postgres, Store::Sqlite],
            vec![Kind::KillSidecar],
        )
    }

    fn fault(store: Store, witness: Option<&str>) -> Fault {
        Fault {
            kind: Kind::KillSidecar,
            store,
            place: "eu".to_owned(),
            from: 0,
            until: 1,
            witness: witness.map(str::to_owned),
        }
    }

    #[test]
    fn a_run_without_a_witness_of_every_fault_with_every_store_is_void() {
        let tally = Tally::default();
        tally.fault(fault(Store::Postgres, Some("gone")));
        tally.fault(fault(Store::Sqlite, None));
        let report = Report::of(&tally, &wanted(), 0.0);
        assert_eq!(report.verdict, Verdict::Void);
        assert_eq!(report.missing, ["kill-sidecar (sqlite)"]);
        tally.fault(fault(Store::Sqlite, Some("gone")));
        let report = Report::of(&tally, &wanted(), 0.0);
        assert_eq!(report.verdict, Verdict::Passed);
        tally.counts().refused_in_partitions = 1;
        let report = Report::of(&tally, &wanted(), 0.0);
        assert_eq!(report.verdict, Verdict::Failed);
    }

    #[test]
    fn the_half_and_the_last_hundredth_of_times_are_times_that_were_taken() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let times = times(&values).unwrap();
        assert_eq!((times.p50, times.p99, times.max), (100.0, 198.0, 200.0));
        assert!(super::times(&[]).is_none());
    }
}
