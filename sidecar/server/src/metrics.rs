//! Metrics of a location, read at the moment of the scrape from what runs. One table names them all; the reference is generated from it.

use std::fmt;
use std::fmt::Write as _;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tidelog_engine::{LogHandle, LogPhase};
use tidelog_replication::{Direction, EdgeStatus, ReplicationHandle};
use tidelog_tls::{Certificates, late_from};

use crate::describe::counters;

/// Name, kind and meaning of a metric.
pub struct MetricDoc {
    /// Full name, with its unit.
    pub name: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    /// Labels besides `log` and `location`.
    pub labels: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

const fn doc(
    name: &'static str,
    kind: &'static str,
    labels: &'static str,
    meaning: &'static str,
) -> MetricDoc {
    MetricDoc {
        name,
        kind,
        labels,
        meaning,
    }
}

/// All metrics.
pub const METRICS: &[MetricDoc] = &[
    doc(
        "tidelog_appended_events_total",
        "counter",
        "",
        "Events appended here since the start of the process",
    ),
    doc(
        "tidelog_accepted_requests_total",
        "counter",
        "",
        "Append requests accepted, replays included",
    ),
    doc(
        "tidelog_refused_requests_total",
        "counter",
        "",
        "Append requests refused",
    ),
    doc("tidelog_batches_total", "counter", "", "Batches committed"),
    doc(
        "tidelog_replicated_events_total",
        "counter",
        "",
        "Events received from peers and stored",
    ),
    doc(
        "tidelog_redundant_events_total",
        "counter",
        "",
        "Events received from peers that were here already",
    ),
    doc(
        "tidelog_commit_microseconds_total",
        "counter",
        "",
        "Time spent in commits, in microseconds",
    ),
    doc(
        "tidelog_resolved_commits_total",
        "counter",
        "",
        "Commits whose outcome had to be looked up",
    ),
    doc(
        "tidelog_guard_hits_total",
        "counter",
        "",
        "Duplicates that only the unique key caught; anything above 0 is a defect",
    ),
    doc(
        "tidelog_clock_ahead_events_total",
        "counter",
        "",
        "Events received whose time was too far ahead to be believed",
    ),
    doc(
        "tidelog_certificate_rotations_total",
        "counter",
        "",
        "How often certificate, key or authorities were replaced since the start of the process; absent without TLS",
    ),
    doc(
        "tidelog_certificate_expiry_timestamp_seconds",
        "gauge",
        "",
        "When the certificate ceases to count, Unix time in seconds; absent without TLS",
    ),
    doc(
        "tidelog_certificate_late_timestamp_seconds",
        "gauge",
        "",
        "From when on the certificate should have been replaced, Unix time in seconds: a week before its end, or a sixth of its life where that is less; absent without TLS",
    ),
    doc("tidelog_head", "gauge", "", "Last local sequence"),
    doc("tidelog_incarnation", "gauge", "", "Incarnation in force"),
    doc(
        "tidelog_vector_entries",
        "gauge",
        "",
        "Entries of the version vector; the limit is 256",
    ),
    doc(
        "tidelog_serving",
        "gauge",
        "",
        "1 while appends are accepted",
    ),
    doc(
        "tidelog_tail_bytes",
        "gauge",
        "",
        "Bytes of the newest events kept in memory",
    ),
    doc(
        "tidelog_edge_connected",
        "gauge",
        "source, target",
        "1 while a stream of the edge runs",
    ),
    doc(
        "tidelog_edge_progress",
        "gauge",
        "source, target",
        "Position of the source that the target has taken over",
    ),
    doc(
        "tidelog_edge_lag_events",
        "gauge",
        "source, target",
        "Positions of the source not taken over; absent when unknown",
    ),
    doc(
        "tidelog_edge_lag_microseconds",
        "gauge",
        "source, target",
        "Age of the oldest event not taken over, in microseconds; absent when unknown",
    ),
    doc(
        "tidelog_edge_filtered_events",
        "gauge",
        "source, target",
        "Events that the edge's filter kept back since the start of the process",
    ),
];

/// The reference of all metrics as Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "Every metric has the labels `log` and `location`.\n\n| metric | kind | further labels | meaning |\n|---|---|---|---|\n",
    );
    for m in METRICS {
        let labels = if m.labels.is_empty() { "–" } else { m.labels };
        let _ = writeln!(
            out,
            "| `{}` | {} | {labels} | {} |",
            m.name, m.kind, m.meaning
        );
    }
    out
}

/// Reads the metrics of one location.
pub(crate) struct LocationMetrics {
    pub(crate) log_name: String,
    pub(crate) location: String,
    pub(crate) log: LogHandle,
    pub(crate) replication: ReplicationHandle,
    pub(crate) certificates: Option<Certificates>,
}

impl fmt::Debug for LocationMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocationMetrics")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl LocationMetrics {
    /// The text of one scrape.
    pub(crate) fn scrape(self) -> Result<String, fmt::Error> {
        let labels = [
            ("log".into(), self.log_name.clone().into()),
            ("location".into(), self.location.clone().into()),
        ];
        let mut registry = Registry::with_labels(labels.into_iter());
        registry.register_collector(Box::new(self));
        let mut out = String::new();
        prometheus_client::encoding::text::encode(&mut out, &registry)?;
        Ok(out)
    }

    fn value(&self, name: &str) -> Option<Value> {
        let view = self.log.reader().view();
        let status = self.log.status().borrow().clone();
        if name == "tidelog_certificate_rotations_total" {
            return self
                .certificates
                .as_ref()
                .map(|c| Value::Counter(c.rotations));
        }
        if name == "tidelog_certificate_expiry_timestamp_seconds" {
            return self
                .certificates
                .as_ref()
                .map(|c| Value::Gauge(c.not_after));
        }
        if name == "tidelog_certificate_late_timestamp_seconds" {
            return self
                .certificates
                .as_ref()
                .map(|c| Value::Gauge(late_from(c.not_before, c.not_after)));
        }
        if let Some(counter) = name
            .strip_prefix("tidelog_")
            .and_then(|n| n.strip_suffix("_total"))
        {
            return counters(self.log.counters())
                .get(counter)
                .map(|v| Value::Counter(*v));
        }
        let number = match name {
            "tidelog_head" => view.head,
            "tidelog_incarnation" => u64::from(view.current().incarnation.0),
            "tidelog_vector_entries" => view.version_vector.len() as u64,
            "tidelog_serving" => u64::from(status.phase == LogPhase::Serving),
            "tidelog_tail_bytes" => self.log.reader().tail_size().bytes as u64,
            _ => return None,
        };
        Some(Value::Gauge(number as i64))
    }
}

enum Value {
    Counter(u64),
    Gauge(i64),
}

fn edge_value(name: &str, edge: &EdgeStatus) -> Option<i64> {
    use tidelog_core::EdgeState;
    match name {
        "tidelog_edge_connected" => Some(i64::from(matches!(
            edge.state,
            EdgeState::CatchingUp | EdgeState::Streaming
        ))),
        "tidelog_edge_progress" => Some(edge.progress as i64),
        "tidelog_edge_lag_events" => edge.lag.events.map(|n| n as i64),
        "tidelog_edge_lag_microseconds" => edge.lag.micros,
        "tidelog_edge_filtered_events" => Some(edge.filtered_total as i64),
        _ => None,
    }
}

impl Collector for LocationMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let edges = self.replication.status();
        for metric in METRICS {
            if metric.labels.is_empty() {
                match self.value(metric.name) {
                    // The encoder adds `_total` to counters itself.
                    Some(Value::Counter(v)) => {
                        let counter = ConstCounter::new(v);
                        let name = metric.name.trim_end_matches("_total");
                        let e = encoder.encode_descriptor(
                            name,
                            metric.meaning,
                            None,
                            counter.metric_type(),
                        )?;
                        counter.encode(e)?;
                    }
                    Some(Value::Gauge(v)) => {
                        let gauge = ConstGauge::new(v);
                        let e = encoder.encode_descriptor(
                            metric.name,
                            metric.meaning,
                            None,
                            gauge.metric_type(),
                        )?;
                        gauge.encode(e)?;
                    }
                    None => {}
                }
                continue;
            }
            let gauge = ConstGauge::new(0i64);
            let mut family = encoder.encode_descriptor(
                metric.name,
                metric.meaning,
                None,
                gauge.metric_type(),
            )?;
            for edge in edges.iter().filter(|e| e.direction == Direction::Incoming) {
                let Some(value) = edge_value(metric.name, edge) else {
                    continue;
                };
                let labels = [
                    ("source", edge.edge.source.as_str()),
                    ("target", edge.edge.target.as_str()),
                ];
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
