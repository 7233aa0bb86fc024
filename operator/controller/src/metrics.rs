//! What the controller counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Visit {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Written {
    kind: String,
}

/// What the controller counts.
#[derive(Debug, Clone)]
pub struct Metrics {
    visits: Family<Visit, Counter>,
    seconds: Histogram,
    writes: Family<Written, Counter>,
    heard: Gauge,
}

impl Metrics {
    /// Registers everything.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            visits: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.001, 4.0, 8)),
            writes: Family::default(),
            heard: Gauge::default(),
        };
        registry.register(
            "visits",
            "Visits of resources by kind (EventLog, ReplicationLink) and outcome (done, failed)",
            metrics.visits.clone(),
        );
        registry.register(
            "visit_duration_seconds",
            "How long a visit took",
            metrics.seconds.clone(),
        );
        registry.register(
            "api_writes",
            "Writes to the API server by kind; `status` are those of the custom resources' status",
            metrics.writes.clone(),
        );
        registry.register(
            "sidecars_heard",
            "Sidecars that have said something within the last three seconds",
            metrics.heard.clone(),
        );
        metrics
    }

    pub(crate) fn visited(&self, kind: &'static str, took: std::time::Duration, is_done: bool) {
        let outcome = if is_done { "done" } else { "failed" };
        self.visits.get_or_create(&Visit { kind, outcome }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn wrote(&self, kind: &str) {
        let kind = kind.to_owned();
        self.writes.get_or_create(&Written { kind }).inc();
    }

    pub(crate) fn heard(&self, sidecars: usize) {
        self.heard.set(i64::try_from(sidecars).unwrap_or(i64::MAX));
    }
}
