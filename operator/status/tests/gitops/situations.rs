//! Situations that the operator tells of, each as the object that a cluster would hold.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use tidelog_api::{Condition, Dense, EdgeState, EdgeStatus, LagThreshold, Topology};
use tidelog_status::{
    Attending, Certificate, Doing, LinkSeen, LocationHere, LogSeen, Offered, Recovery,
    STANDSTILL_AFTER, SeenEdge, WriterSeen, link_status, log_status,
};
use tidelog_topology::{Finding, FindingKind, Severity};

const GENERATION: i64 = 3;

/// One situation.
pub struct Situation {
    pub name: String,
    pub object: Value,
}

fn now() -> Time {
    serde_json::from_str("\"2026-11-22T10:00:00Z\"").unwrap()
}

fn object(kind: &str, status: Value) -> Value {
    json!({
        "apiVersion": "tidelog.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "orders", "namespace": "shop", "generation": GENERATION},
        "status": status,
    })
}

fn serving() -> WriterSeen {
    WriterSeen {
        writer: None,
        doing: Doing::Serving,
        message: String::new(),
        head: 7,
        incarnation: 1,
        version_vector: Vec::new(),
        recovery: Recovery {
            recovered: true,
            reason: "NeverLost".into(),
            message: String::new(),
        },
        certificate: Some(Certificate {
            seconds_left: 30 * 86_400,
            is_late: false,
            error: String::new(),
        }),
        disagreeing: Vec::new(),
    }
}

fn here(seen: Option<WriterSeen>) -> LocationHere {
    LocationHere {
        name: "eu".into(),
        refused: None,
        storage: None,
        certificates: None,
        trust: None,
        offered: Offered::Service,
        seen,
        pods: (1, 2),
        last_word: None,
        endpoint: Some("orders.eu.example.com:7443".into()),
    }
}

fn doing(doing: Doing) -> LocationHere {
    here(Some(WriterSeen { doing, ..serving() }))
}

#[expect(clippy::unnecessary_wraps, reason = "as the fields hold it")]
fn trouble(reason: &str) -> Option<(String, String)> {
    Some((reason.to_owned(), "for people".to_owned()))
}

fn log_of(here: &[LocationHere], insecure: bool, before: &[Condition]) -> Value {
    log_with(here, insecure, before, None)
}

fn log_with(
    here: &[LocationHere],
    insecure: bool,
    before: &[Condition],
    rejected: Option<&Finding>,
) -> Value {
    let seen = LogSeen {
        attending: &Attending::default(),
        generation: Some(GENERATION),
        operator: "eu",
        spec_hash: "abc",
        here,
        rejected,
        insecure,
    };
    let status = log_status(&seen, before, &now());
    object("EventLog", serde_json::to_value(status).unwrap())
}

/// Those of a log.
pub fn logs() -> Vec<Situation> {
    let secret_missing = LocationHere {
        storage: trouble("SecretNotFound"),
        ..here(None)
    };
    let lost = WriterSeen {
        recovery: Recovery {
            recovered: false,
            reason: "FilteredEdges".into(),
            message: "eu#1/5..=9 were lost here".into(),
        },
        ..serving()
    };
    let ends = WriterSeen {
        certificate: Some(Certificate {
            seconds_left: 2 * 86_400,
            is_late: true,
            error: String::new(),
        }),
        ..serving()
    };
    let differ = WriterSeen {
        disagreeing: vec!["us".into()],
        ..serving()
    };
    let fine = || here(Some(serving()));
    let mut of_before = log_of(&[fine()], false, &[]);
    of_before["metadata"]["generation"] = json!(GENERATION + 1);
    let served = log_of(&[fine()], false, &[])["status"]["conditions"].clone();
    let served: Vec<Condition> = serde_json::from_value(served).unwrap();
    let of = |here: LocationHere| log_of(&[here], false, &[]);
    let situations = [
        ("serves", of(fine())),
        ("of the spec before the last change", of_before),
        ("not heard", of(here(None))),
        ("starts", of(doing(Doing::Starting))),
        ("awaits its incarnation", of(doing(Doing::Awaiting))),
        ("database away", of(doing(Doing::StorageUnavailable))),
        ("stops", of(doing(Doing::Stopping))),
        ("secret missing", of(secret_missing.clone())),
        (
            "secret missing, served before",
            log_of(&[secret_missing], false, &served),
        ),
        (
            "forbidden",
            of(LocationHere {
                refused: trouble("Forbidden"),
                ..fine()
            }),
        ),
        (
            "certificates missing",
            of(LocationHere {
                certificates: trouble("SecretNotFound"),
                ..fine()
            }),
        ),
        (
            "certificates on their way",
            of(LocationHere {
                certificates: trouble("Issuing"),
                ..here(None)
            }),
        ),
        ("certificate ends", of(here(Some(ends)))),
        (
            "peers not trusted",
            of(LocationHere {
                trust: trouble("PeerNotTrusted"),
                ..fine()
            }),
        ),
        ("peers differ", of(here(Some(differ)))),
        ("recovering", of(here(Some(lost)))),
        (
            "address pending",
            of(LocationHere {
                offered: Offered::Pending,
                ..fine()
            }),
        ),
        ("insecure", log_of(&[fine()], true, &[])),
        (
            "one of two locations away",
            log_of(&[fine(), here(None)], false, &[]),
        ),
        (
            "plan refused",
            log_with(&[fine()], false, &[], Some(&refused())),
        ),
        ("elsewhere", log_of(&[], false, &[])),
    ];
    let situations = situations.into_iter();
    situations
        .map(|(name, object)| Situation {
            name: format!("log: {name}"),
            object,
        })
        .collect()
}

fn edge(source: &str, target: &str, state: EdgeState) -> SeenEdge {
    let flows = matches!(state, EdgeState::Streaming | EdgeState::CatchingUp);
    SeenEdge {
        status: EdgeStatus {
            source: source.into(),
            target: target.into(),
            state,
            source_head: flows.then_some(10),
            progress: Some(10),
            lag_events: flows.then_some(0),
            lag_seconds: flows.then_some(0),
            filtered_total: Some(0),
            last_error: None,
            last_transition: None,
        },
        reason: String::new(),
        message: String::new(),
        here: "eu".into(),
        stale: false,
        synced: flows,
        still: Duration::ZERO,
    }
}

fn link_of(edges: &[SeenEdge], has_log: bool, findings: &[Finding]) -> Value {
    link_beside(edges, has_log, findings, (None, &[]))
}

fn link_beside(
    edges: &[SeenEdge],
    has_log: bool,
    findings: &[Finding],
    (beside, before): (Option<&Finding>, &[Condition]),
) -> Value {
    let topology = Topology {
        dense: Some(Dense {
            locations: vec!["eu".into(), "us".into()],
        }),
        hub_and_spoke: None,
        point_to_point: None,
    };
    let seen = LinkSeen {
        generation: Some(GENERATION),
        topology: &topology,
        lag_threshold: &LagThreshold::default(),
        has_log,
        here: &["eu".to_owned()],
        findings,
        beside,
        edges,
    };
    let status = link_status(&seen, before, &now());
    object("ReplicationLink", serde_json::to_value(status).unwrap())
}

fn refused() -> Finding {
    Finding {
        severity: Severity::Error,
        kind: FindingKind::FilteredCycle,
        subject: "orders".into(),
        links: ["orders".to_owned()].into(),
        message: "for people".into(),
        example: None,
    }
}

/// Those of a link.
pub fn links() -> Vec<Situation> {
    let both = |incoming: SeenEdge| {
        let outgoing = edge("eu", "us", EdgeState::Streaming);
        link_of(&[outgoing, incoming], true, &[])
    };
    let is = |state: EdgeState| both(edge("us", "eu", state));
    let mut of_before = is(EdgeState::Streaming);
    of_before["metadata"]["generation"] = json!(GENERATION + 1);
    let mut behind = edge("us", "eu", EdgeState::CatchingUp);
    behind.status.lag_events = Some(5_000);
    behind.synced = false;
    let mut stands = behind.clone();
    stands.still = STANDSTILL_AFTER;
    let silent = |state: EdgeState| SeenEdge {
        stale: true,
        ..edge("us", "eu", state)
    };
    let paused = || edge("eu", "us", EdgeState::Paused);
    let running = [
        edge("eu", "us", EdgeState::Streaming),
        edge("us", "eu", EdgeState::Streaming),
    ];
    let accepted = link_of(&running, true, &[])["status"]["conditions"].clone();
    let accepted: Vec<Condition> = serde_json::from_value(accepted).unwrap();
    let (refused, other) = (refused(), refused());
    let beside = Some(&other);
    let situations = [
        ("streams", is(EdgeState::Streaming)),
        ("of the spec before the last change", of_before),
        ("catches up, beyond the threshold", both(behind)),
        ("stands still", both(stands)),
        ("pending", is(EdgeState::Pending)),
        ("connecting", is(EdgeState::Connecting)),
        ("not heard", both(silent(EdgeState::Streaming))),
        (
            "not heard, stalled before",
            both(silent(EdgeState::Stalled)),
        ),
        ("peer away", is(EdgeState::Unreachable)),
        (
            "paused",
            link_of(&[paused(), edge("us", "eu", EdgeState::Paused)], true, &[]),
        ),
        (
            "paused, peer away",
            link_of(
                &[paused(), edge("us", "eu", EdgeState::Unreachable)],
                true,
                &[],
            ),
        ),
        ("stalled", is(EdgeState::Stalled)),
        ("incompatible", is(EdgeState::Incompatible)),
        ("rejected", is(EdgeState::Rejected)),
        ("source reset", is(EdgeState::SourceReset)),
        (
            "refused by the planner",
            link_of(&[], true, std::slice::from_ref(&refused)),
        ),
        (
            "refused, what ran before runs on",
            link_of(&running, true, &[refused]),
        ),
        (
            "another one refused, new",
            link_beside(&[], true, &[], (beside, &[])),
        ),
        (
            "another one refused, runs",
            link_beside(&running, true, &[], (beside, &accepted)),
        ),
        ("no such log", link_of(&[], false, &[])),
        ("elsewhere", link_of(&[], true, &[])),
    ];
    let situations = situations.into_iter();
    situations
        .map(|(name, object)| Situation {
            name: format!("link: {name}"),
            object,
        })
        .collect()
}
