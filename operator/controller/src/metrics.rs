//! What the controller counts.

use std::fmt::Write as _;

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

/// Begins the name of every metric.
pub const METRICS_PREFIX: &str = "tidelog_operator";

struct Told {
    // As it is registered: the format adds the prefix, and `_total` to counters.
    name: &'static str,
    kind: &'static str,
    labels: &'static str,
    meaning: &'static str,
}

const VISITS: Told = Told {
    name: "visits",
    kind: "counter",
    labels: "kind, outcome",
    meaning: "Visits of resources by kind (EventLog, ReplicationLink) and outcome (done, failed)",
};
const SECONDS: Told = Told {
    name: "visit_duration_seconds",
    kind: "histogram",
    labels: "",
    meaning: "How long a visit took",
};
const WRITES: Told = Told {
    name: "api_writes",
    kind: "counter",
    labels: "kind",
    meaning: "Writes to the API server by kind; `status` are those of the custom resources' status",
};
const HEARD: Told = Told {
    name: "sidecars_heard",
    kind: "gauge",
    labels: "",
    meaning: "Sidecars that have said something within the last three seconds",
};

/// Every metric as a row of a table, for the reference.
pub fn metrics_reference() -> String {
    let mut out = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for told in [VISITS, SECONDS, WRITES, HEARD] {
        let total = if told.kind == "counter" { "_total" } else { "" };
        let labels = if told.labels.is_empty() {
            "–"
        } else {
            told.labels
        };
        let _ = writeln!(
            out,
            "| `{METRICS_PREFIX}_{}{total}` | {} | {labels} | {} |",
            told.name, told.kind, told.meaning
        );
    }
    out
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
    /// Registers everything, in a registry whose prefix is [`METRICS_PREFIX`].
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            visits: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.001, 4.0, 8)),
            writes: Family::default(),
            heard: Gauge::default(),
        };
        registry.register(VISITS.name, VISITS.meaning, metrics.visits.clone());
        registry.register(SECONDS.name, SECONDS.meaning, metrics.seconds.clone());
        registry.register(WRITES.name, WRITES.meaning, metrics.writes.clone());
        registry.register(HEARD.name, HEARD.meaning, metrics.heard.clone());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_tells_what_is_served() {
        let mut registry = Registry::with_prefix(METRICS_PREFIX);
        let metrics = Metrics::new(&mut registry);
        metrics.visited("EventLog", std::time::Duration::ZERO, true);
        metrics.wrote("status");
        metrics.heard(1);
        let mut served = String::new();
        prometheus_client::encoding::text::encode(&mut served, &registry).unwrap();
        let mut count = 0;
        for line in served
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
        {
            count += 1;
            let (name, kind) = line.split_once(' ').unwrap();
            let samples: Vec<&str> = served.lines().filter(|l| l.starts_with(name)).collect();
            let total = if kind == "counter" { "_total" } else { "" };
            let row = format!("| `{name}{total}` | {kind} | ");
            let reference = metrics_reference();
            let row = reference.lines().find(|l| l.starts_with(&row)).expect(line);
            let labels = row.split('|').nth(3).unwrap().trim();
            for label in labels.split(", ").filter(|label| *label != "–") {
                assert!(
                    samples[0].contains(&format!("{label}=")),
                    "{label}: {samples:?}"
                );
            }
        }
        // Two lines of the table are its head.
        assert_eq!(metrics_reference().lines().count(), count + 2);
    }
}
