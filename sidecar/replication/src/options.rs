//! What replication needs to run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidelog_engine::{Clock, Random};
use tidelog_filter::FilterSet;
use tidelog_model::{ApplicationVersion, LocationName, mutant};

/// Everything replication is started with.
#[derive(Clone)]
pub struct ReplicationOptions {
    /// Name of the log.
    pub log: String,
    /// This location.
    pub location: LocationName,
    /// What may change while it runs.
    pub settings: ReplicationSettings,
    /// Sizes and pauses.
    pub tuning: Tuning,
    /// The wall clock, microseconds since the Unix epoch.
    pub clock: Clock,
    /// Random numbers: ids of streams, jitter.
    pub random: Random,
}

/// What may change while replication runs. Only edges that it changes restart their stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReplicationSettings {
    /// The plan that runs here, for peers to compare. A change of it alone restarts nothing.
    pub spec_hash: String,
    /// Name of the application; it belongs to the log.
    pub application_name: String,
    /// Version of the application here: events of newer writers are not asked for.
    pub application_version: ApplicationVersion,
    /// The filter on events appended here.
    pub export_filter: Filters,
    /// Edges that bring events here.
    pub incoming: Vec<IncomingEdge>,
    /// Edges that carry events away.
    pub outgoing: Vec<OutgoingEdge>,
}

/// An edge that brings events here.
#[derive(Debug, Clone, PartialEq)]
pub struct IncomingEdge {
    /// Where from.
    pub source: LocationName,
    /// Where to dial: `HOST:PORT`, or a whole `http(s)://` address. `None`: the source dials.
    pub dial: Option<String>,
    /// Locations behind the source, seen from here: the only ones whose covered entries are merged.
    pub behind: Arc<BTreeSet<LocationName>>,
    /// Identity of the link's filter in the plan here.
    pub filter_hash: String,
    /// Paused by the plan.
    pub paused: bool,
}

impl IncomingEdge {
    /// Whether the plan has filters on it. The filters themselves are the source's.
    pub fn is_filtered(&self) -> bool {
        // Without a plan's word, as good as none.
        let unfiltered = [FilterSet::default().hash(), 0].map(|hash| format!("{hash:016x}"));
        !unfiltered.contains(&self.filter_hash) && !mutant!("filtered-incoming-edge-forgotten")
    }
}

/// An edge that carries events away.
#[derive(Debug, Clone, PartialEq)]
pub struct OutgoingEdge {
    /// Where to.
    pub target: LocationName,
    /// Where to dial: `HOST:PORT`, or a whole `http(s)://` address. `None`: the target dials.
    pub dial: Option<String>,
    /// Locations behind this one, seen from the target: the covered entries that it takes over.
    pub behind: Arc<BTreeSet<LocationName>>,
    /// Identity of the link's filter in the plan here.
    pub filter_hash: String,
    /// The link's filters on this edge.
    pub filters: Filters,
    /// Paused by the plan.
    pub paused: bool,
    /// Events in one frame; `None` means the default.
    pub frame_events_max: Option<usize>,
    /// Canonical bytes in one frame; `None` means the default.
    pub frame_bytes_max: Option<usize>,
}

/// Filters that are equal when their canonical forms are.
#[derive(Debug, Clone, Default)]
pub struct Filters(pub FilterSet);

impl PartialEq for Filters {
    fn eq(&self, other: &Self) -> bool {
        self.0.canonical() == other.0.canonical()
    }
}

impl From<FilterSet> for Filters {
    fn from(set: FilterSet) -> Self {
        Self(set)
    }
}

/// Sizes and pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Bytes of frames in flight to this target, per edge.
    pub window_bytes: u64,
    /// Events in one frame.
    pub frame_events_max: usize,
    /// Canonical bytes in one frame; a larger event travels alone.
    pub frame_bytes_max: usize,
    /// Rows looked at for one frame.
    pub scan_rows_max: usize,
    /// Either side speaks at least this often.
    pub heartbeat: Duration,
    /// First pause before dialling again.
    pub backoff_min: Duration,
    /// Longest pause before dialling again.
    pub backoff_max: Duration,
    /// A stream that ran so long makes the next pause the first one again.
    pub stable_after: Duration,
    /// A frame without events waits so long for company.
    pub empty_frame_delay: Duration,
    /// A peer's claim of a loss is looked into once in this time.
    pub proof_interval: Duration,
    /// A connection that does not stand by then is given up.
    pub connect_timeout: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            window_bytes: 8 * 1024 * 1024,
            frame_events_max: 1_000,
            frame_bytes_max: 1024 * 1024,
            scan_rows_max: 4_096,
            heartbeat: Duration::from_secs(1),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            stable_after: Duration::from_secs(2),
            empty_frame_delay: Duration::from_millis(25),
            proof_interval: Duration::from_hours(1),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

impl Tuning {
    /// A head that was heard longer ago says nothing about the lag.
    pub fn heard_bound(&self) -> Duration {
        self.heartbeat * 3
    }

    /// A peer that is silent for so long is gone.
    pub fn silence_max(&self) -> Duration {
        (self.heartbeat * 10).max(Duration::from_secs(2))
    }
}
