//! From what a sidecar says to what a status tells.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tidelog_api::{EdgeState, EdgeStatus, VectorEntry, WriterStatus};
use tidelog_proto::v1;
use tidelog_status::{Certificate, Doing, Recovery, SeenEdge, WriterSeen};
use tidelog_tls::late_from;

use crate::motion::Progress;
use crate::sidecars::Heard;

/// What the writer says; `None` where the one that was heard is not the writer and knows of one.
pub(crate) fn writer(heard: &Heard, now: Timestamp) -> Option<WriterSeen> {
    let status = &heard.status;
    let doing = match status.state() {
        v1::LocationState::Serving | v1::LocationState::Recovering => Doing::Serving,
        v1::LocationState::AwaitingIncarnation => Doing::Awaiting,
        v1::LocationState::StorageUnavailable => Doing::StorageUnavailable,
        v1::LocationState::Stopping => Doing::Stopping,
        v1::LocationState::Starting | v1::LocationState::Unspecified => Doing::Starting,
        v1::LocationState::Standby => return None,
    };
    let recovered = status.recovered.clone().unwrap_or_default();
    Some(WriterSeen {
        writer: heard.is_writer().then(|| WriterStatus {
            pod: heard.pod.name.clone(),
            since: writes_since(status),
        }),
        doing,
        message: status.message.clone(),
        head: int(status.head),
        incarnation: i64::from(status.incarnation),
        version_vector: vector(status.version_vector.as_ref()),
        recovery: Recovery {
            recovered: recovered.recovered,
            reason: word(&recovered.reason, "Unknown"),
            message: recovered.message,
        },
        certificate: status
            .certificates
            .as_ref()
            .map(|certificates| certificate(certificates, now.as_second())),
        disagreeing: disagreeing(status),
    })
}

fn certificate(said: &v1::Certificates, now: i64) -> Certificate {
    let begin = said.not_before.as_ref().map_or(0, |time| time.seconds);
    let end = said.not_after.as_ref().map_or(0, |time| time.seconds);
    Certificate {
        seconds_left: end.saturating_sub(now),
        is_late: now >= late_from(begin, end),
        error: said.error.clone(),
    }
}

/// Whole seconds: that is what the API shows.
fn writes_since(status: &v1::LocationStatus) -> Option<Time> {
    let since = status.writer.as_ref()?.since.as_ref()?;
    Timestamp::from_second(since.seconds).ok().map(Time)
}

/// Peers that have told of another spec.
fn disagreeing(status: &v1::LocationStatus) -> Vec<String> {
    let edges = status.edges.iter();
    let others = edges.filter(|e| !e.peer_spec_hash.is_empty() && !e.spec_agrees);
    let mut peers: Vec<String> = others
        .map(|e| {
            if e.source == status.location {
                e.target.clone()
            } else {
                e.source.clone()
            }
        })
        .collect();
    peers.sort();
    peers.dedup();
    peers
}

fn vector(vector: Option<&v1::VectorTime>) -> Vec<VectorEntry> {
    let entries = vector.map(|v| v.entries.as_slice()).unwrap_or_default();
    let entry = |entry: &v1::vector_time::Entry| VectorEntry {
        location: entry.location.clone(),
        incarnation: i64::from(entry.incarnation),
        sequence: int(entry.sequence),
    };
    entries.iter().map(entry).collect()
}

/// An edge, from its end at a location.
pub(crate) fn edge(edge: &v1::EdgeStatus, here: &str) -> SeenEdge {
    let since = edge.last_transition.as_ref();
    // Whole seconds, as they are read back.
    let since = since.and_then(|t| Timestamp::new(t.seconds, 0).ok());
    SeenEdge {
        status: EdgeStatus {
            source: edge.source.clone(),
            target: edge.target.clone(),
            state: state(edge.state()),
            source_head: edge.source_head.map(int),
            progress: Some(int(edge.progress)),
            lag_events: edge.lag_events.map(int),
            lag_seconds: edge.lag_seconds.map(int),
            filtered_total: Some(int(edge.filtered_total)),
            last_error: Some(edge.last_error.chars().take(1_000).collect())
                .filter(|e: &String| !e.is_empty()),
            last_transition: since.map(Time),
        },
        reason: word(&edge.reason, ""),
        message: edge.message.clone(),
        here: here.to_owned(),
        stale: false,
        synced: edge.synced,
        still: Duration::ZERO,
    }
}

/// How far an edge is that runs and is behind; `None` for all others.
pub(crate) fn behind(edge: &v1::EdgeStatus) -> Option<Progress> {
    let runs = [v1::EdgeState::CatchingUp, v1::EdgeState::Streaming].contains(&edge.state());
    (runs && edge.lag_events.is_some_and(|lag| lag > 0)).then_some(Progress {
        position: edge.progress,
        incarnation: edge.source_incarnation,
        filtered: edge.filtered_total,
    })
}

fn state(state: v1::EdgeState) -> EdgeState {
    match state {
        v1::EdgeState::Unspecified | v1::EdgeState::Pending => EdgeState::Pending,
        v1::EdgeState::Connecting => EdgeState::Connecting,
        v1::EdgeState::CatchingUp => EdgeState::CatchingUp,
        v1::EdgeState::Streaming => EdgeState::Streaming,
        v1::EdgeState::Paused => EdgeState::Paused,
        v1::EdgeState::Stalled => EdgeState::Stalled,
        v1::EdgeState::Unreachable => EdgeState::Unreachable,
        v1::EdgeState::Incompatible => EdgeState::Incompatible,
        v1::EdgeState::Rejected => EdgeState::Rejected,
        v1::EdgeState::SourceReset => EdgeState::SourceReset,
    }
}

/// A reason as conditions take it: a sidecar of another version may say what this one does not know.
fn word(said: &str, otherwise: &str) -> String {
    let fits = said.len() <= 63
        && said.starts_with(|c: char| c.is_ascii_uppercase())
        && said.bytes().all(|b| b.is_ascii_alphabetic());
    if fits { said } else { otherwise }.to_owned()
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_proto::convert::timestamp_from_micros;

    fn certificate_with(life: i64, left: i64) -> Certificate {
        let now = 1_800_000_000;
        let at = |seconds: i64| Some(timestamp_from_micros(seconds * 1_000_000));
        let said = v1::Certificates {
            not_before: at(now + left - life),
            not_after: at(now + left),
            ..v1::Certificates::default()
        };
        certificate(&said, now)
    }

    #[test]
    fn an_edge_says_what_its_sidecar_says_of_it() {
        let said = v1::EdgeStatus {
            source: "eu".into(),
            target: "us".into(),
            state: v1::EdgeState::Unreachable.into(),
            source_head: Some(17),
            progress: 12,
            lag_events: Some(5),
            lag_seconds: Some(3),
            filtered_total: 2,
            last_error: "é".repeat(2_000),
            ..v1::EdgeStatus::default()
        };
        let seen = edge(&said, "us").status;
        assert_eq!((seen.source.as_str(), seen.target.as_str()), ("eu", "us"));
        assert_eq!(seen.state, EdgeState::Unreachable);
        let numbers = (seen.source_head, seen.progress, seen.filtered_total);
        assert_eq!(numbers, (Some(17), Some(12), Some(2)));
        assert_eq!((seen.lag_events, seen.lag_seconds), (Some(5), Some(3)));
        assert_eq!(seen.last_error, Some("é".repeat(1_000)));

        // What nobody knows is not 0.
        let nothing = edge(&v1::EdgeStatus::default(), "us").status;
        let unknown = (nothing.source_head, nothing.lag_events, nothing.lag_seconds);
        assert_eq!(unknown, (None, None, None));
        assert_eq!(nothing.last_error, None);
    }

    #[test]
    fn a_certificate_is_late_by_its_own_length() {
        let (hour, day) = (3_600, 86_400);
        for (life, left, is_late) in [
            (90 * day, 29 * day, false),
            (90 * day, 8 * day, false),
            (90 * day, 6 * day, true),
            (25 * hour, 24 * hour, false),
            (25 * hour, 8 * hour, false),
            (25 * hour, 4 * hour, true),
            (25 * hour, -1, true),
        ] {
            let found = certificate_with(life, left);
            assert_eq!(
                (found.seconds_left, found.is_late),
                (left, is_late),
                "{life}"
            );
        }
    }
}
