//! What happened in a run, as it is counted while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::kind::{Kind, Store};

/// One fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Which.
    pub kind: Kind,
    /// With which store.
    pub store: Store,
    /// To what.
    pub place: String,
    /// From when, in microseconds.
    pub from: i64,
    /// Until when.
    pub until: i64,
    /// What shows that it happened; `None` when nothing does.
    pub witness: Option<String>,
}

/// A broken promise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breach {
    /// Which promise.
    pub invariant: String,
    /// What was seen.
    pub message: String,
    /// With which store.
    pub store: Store,
    /// The seed of the episode.
    pub seed: u64,
}

/// Memory and queues of one sidecar while something did not take what was for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stalled {
    /// What stood still.
    pub what: String,
    /// Bytes that were appended meanwhile.
    pub appended_mib: f64,
    /// Resident memory before, in MiB.
    pub before_mib: f64,
    /// The most that it was meanwhile.
    pub most_mib: f64,
    /// What it may grow by.
    pub bound_mib: f64,
    /// The most bytes of the newest events in memory, by the sidecar's own figure.
    pub tail_mib: f64,
    /// The most bytes that stood in the kernel's and the proxy's hands for the one that stood still.
    pub in_flight_mib: f64,
}

/// Everything that is counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// The faults of this run.
    pub faults: Vec<Fault>,
    /// Requests that were acknowledged.
    pub acknowledged: u64,
    /// Events in them.
    pub events: u64,
    /// Tries to append, whatever became of them.
    pub tries: u64,
    /// Tries whose outcome nobody said.
    pub unknown: u64,
    /// Requests that were still without an answer at the end.
    pub unanswered: u64,
    /// Appends that were not taken although only connections between locations were broken.
    pub refused_in_partitions: u64,
    /// What they were told.
    pub refusals: Vec<String>,
    /// Tries during partitions.
    pub tries_in_partitions: u64,
    /// From the end of a process to the first append that was taken afterwards, by what was ended, in milliseconds.
    pub back: BTreeMap<String, Vec<f64>>,
    /// From the end of a partition until everybody covered what everybody had, in milliseconds.
    pub converged: Vec<f64>,
    /// Broken promises.
    pub breaches: Vec<Breach>,
    /// Memory under stalls.
    pub stalled: Vec<Stalled>,
    /// The most memory of any sidecar, in MiB.
    pub most_mib: f64,
    /// Events delivered to subscribers.
    pub delivered: u64,
    /// Networks that were started.
    pub episodes: u64,
}

/// Counted while a run goes on; cheap to clone, all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

impl Tally {
    /// The counts, to add or to look.
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on from what was counted before.
    pub fn from_counts(counts: Counts) -> Self {
        Self(Arc::new(Mutex::new(counts)))
    }

    /// True when a promise was broken.
    pub fn is_broken(&self) -> bool {
        let counts = self.counts();
        !counts.breaches.is_empty() || counts.refused_in_partitions > 0 || counts.unanswered > 0
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) {
        self.counts().faults.push(fault);
    }
}
