//! From what a sidecar says to what a status tells.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tidelog_api::{EdgeState, EdgeStatus, VectorEntry, WriterStatus};
use tidelog_proto::v1;
use tidelog_status::{Certificate, Doing, Recovery, SeenEdge, WriterSeen};

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
            .map(|certificates| Certificate {
                seconds_left: certificates
                    .not_after
                    .as_ref()
                    .map_or(0, |end| end.seconds - now.as_second()),
                error: certificates.error.clone(),
            }),
        disagreeing: disagreeing(status),
    })
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
    }
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
