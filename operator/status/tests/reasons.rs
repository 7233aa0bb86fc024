//! The tables of reasons say what the code does: every condition that a situation gives is told, and every one that is told is given by some situation.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidelog_api::{
    Condition, ConditionStatus, Dense, EVENT_LOG_CONDITIONS, EdgeState, EdgeStatus, LagThreshold,
    REPLICATION_LINK_CONDITIONS, Topology, WriterStatus,
};
use tidelog_status::{
    Attending, Certificate, Doing, EDGE_REASONS, EDGE_STATES, EVENT_LOG_REASONS, EVENT_LOG_TYPES,
    FINDINGS, LinkSeen, LocationHere, LogSeen, Offered, REPLICATION_LINK_REASONS,
    REPLICATION_LINK_TYPES, ReasonRow, Recovery, Resource, STANDSTILL_AFTER, SeenEdge, WriterSeen,
    hint, is_told, link_status, log_status, row,
};
use tidelog_topology::{Finding, FindingKind, Severity};

/// Type, status and reason of a condition.
type Told = (String, String, String);

fn now() -> Time {
    serde_json::from_str("\"2026-11-22T10:00:00Z\"").unwrap()
}

fn told(condition: &Condition) -> Told {
    let status = format!("{:?}", condition.status);
    (condition.type_.clone(), status, condition.reason.clone())
}

/// Refuses a condition that no table knows.
fn check(resource: Resource, conditions: &[Condition], given: &mut BTreeSet<Told>) {
    for condition in conditions {
        let Condition {
            type_,
            status,
            reason,
            ..
        } = condition;
        assert!(
            is_told(resource, type_, *status, reason),
            "{type_}={status:?} {reason} is in no table of operator/status/src/reasons"
        );
        given.insert(told(condition));
    }
}

fn words(rows: &[ReasonRow]) -> BTreeSet<Told> {
    let words = |row: &ReasonRow| {
        let reason = row.reason.to_owned();
        let word = move |&(type_, status): &(&str, ConditionStatus)| -> (String, String, String) {
            (type_.to_owned(), format!("{status:?}"), reason.clone())
        };
        row.conditions.iter().map(word).collect::<Vec<_>>()
    };
    rows.iter().flat_map(words).collect()
}

/// Every refusal that the controller knows, by what it is about.
const STORAGE: [&str; 7] = [
    "SecretNotFound",
    "SecretInvalid",
    "PasswordLost",
    "NameTaken",
    "Forbidden",
    "Invalid",
    "KindNotFound",
];
const CERTIFICATES: [&str; 9] = [
    "Issuing",
    "IssuingFailed",
    "SecretNotFound",
    "SecretInvalid",
    "AuthorityLost",
    "NameTaken",
    "Forbidden",
    "Invalid",
    "KindNotFound",
];
const OBJECTS: [&str; 4] = ["NameTaken", "Forbidden", "Invalid", "KindNotFound"];

fn each(reasons: &[&str]) -> Vec<Option<(String, String)>> {
    let mut all = vec![None];
    all.extend(
        reasons
            .iter()
            .map(|r| Some(((*r).to_owned(), String::new()))),
    );
    all
}

fn writers() -> Vec<Option<WriterSeen>> {
    let base = WriterSeen {
        writer: Some(WriterStatus {
            pod: "orders-eu-0".into(),
            since: None,
        }),
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
    };
    let mut all = vec![None, Some(base.clone())];
    for doing in [
        Doing::Starting,
        Doing::Awaiting,
        Doing::StorageUnavailable,
        Doing::Stopping,
    ] {
        all.push(Some(WriterSeen {
            doing,
            ..base.clone()
        }));
    }
    // As the sidecar says them, and the word for what it does not say; a test of the pages compares these with the sidecar's code.
    for (recovered, reason) in [
        (true, "PulledBack"),
        (false, "PullingBack"),
        (false, "PeersNotHeard"),
        (false, "CatchingUp"),
        (false, "FilteredEdges"),
        (false, "Unknown"),
    ] {
        all.push(Some(WriterSeen {
            recovery: Recovery {
                recovered,
                reason: reason.into(),
                message: String::new(),
            },
            ..base.clone()
        }));
    }
    for (seconds_left, error) in [(0, ""), (86_400, ""), (86_400, "cannot read")] {
        all.push(Some(WriterSeen {
            certificate: Some(Certificate {
                seconds_left,
                is_late: true,
                error: error.into(),
            }),
            ..base.clone()
        }));
    }
    all.push(Some(WriterSeen {
        certificate: None,
        ..base.clone()
    }));
    all.push(Some(WriterSeen {
        disagreeing: vec!["us".into()],
        ..base
    }));
    all
}

#[test]
fn every_reason_of_a_log_is_told_and_every_one_told_is_given() {
    let refused = finding(FindingKind::FilteredCycle);
    let mut given = BTreeSet::new();
    let waiting = Attending {
        operator: Some("tidelog/tidelog-operator.eu".into()),
        others: vec!["trial/tidelog-operator.all".into()],
    };
    let mut see = |here: &[LocationHere], insecure: bool, rejected: Option<&Finding>| {
        let attending = if insecure {
            waiting.clone()
        } else {
            Attending::default()
        };
        let seen = LogSeen {
            attending: &attending,
            generation: Some(3),
            operator: "eu",
            spec_hash: "abc",
            here,
            rejected,
            insecure,
        };
        let status = log_status(&seen, &[], &now());
        check(Resource::EventLog, &status.conditions, &mut given);
    };
    see(&[], false, None);
    let base = LocationHere {
        name: "eu".into(),
        refused: None,
        storage: None,
        certificates: None,
        trust: None,
        offered: Offered::Service,
        seen: None,
        pods: (0, 2),
        last_word: None,
        endpoint: Some("orders.eu.example.com:7443".into()),
    };
    for seen in writers() {
        for storage in each(&STORAGE) {
            for certificates in each(&CERTIFICATES) {
                for refused in each(&OBJECTS) {
                    let here = LocationHere {
                        refused,
                        storage: storage.clone(),
                        certificates: certificates.clone(),
                        seen: seen.clone(),
                        ..base.clone()
                    };
                    see(&[here], false, None);
                }
            }
        }
        for trust in each(&["PeerNotTrusted", "TrustBundleInvalid"]) {
            let here = LocationHere {
                trust,
                seen: seen.clone(),
                ..base.clone()
            };
            see(std::slice::from_ref(&here), false, None);
            see(std::slice::from_ref(&here), true, None);
            see(&[here], false, Some(&refused));
        }
    }
    for offered in [
        Offered::Nothing,
        Offered::Service,
        Offered::Pending,
        Offered::NoGateway,
        Offered::At("192.0.2.1".into()),
    ] {
        for endpoint in [None, base.endpoint.clone()] {
            let here = LocationHere {
                offered: offered.clone(),
                endpoint,
                ..base.clone()
            };
            see(&[here], false, None);
        }
    }
    let never: Vec<Told> = words(EVENT_LOG_REASONS)
        .difference(&given)
        .cloned()
        .collect();
    assert!(never.is_empty(), "told and never given: {never:?}");
}

fn finding(kind: FindingKind) -> Finding {
    Finding {
        severity: kind.severity(),
        kind,
        subject: "link core".into(),
        links: BTreeSet::new(),
        message: "for people".into(),
        example: None,
    }
}

#[test]
fn every_reason_of_a_link_is_told_and_every_one_told_is_given() {
    let topology = Topology {
        dense: Some(Dense {
            locations: vec!["eu".into(), "us".into()],
        }),
        hub_and_spoke: None,
        point_to_point: None,
    };
    let refused = finding(FindingKind::FilteredCycle);
    let mut given = BTreeSet::new();
    let mut see =
        |has_log: bool, findings: &[Finding], edges: &[SeenEdge], beside: Option<&Finding>| {
            let seen = LinkSeen {
                generation: Some(3),
                topology: &topology,
                lag_threshold: &LagThreshold::default(),
                has_log,
                here: &["eu".to_owned()],
                findings,
                beside,
                edges,
            };
            let status = link_status(&seen, &[], &now());
            check(Resource::ReplicationLink, &status.conditions, &mut given);
        };
    see(false, &[], &[], None);
    see(true, &[], &[], None);
    see(true, &[], &[], Some(&refused));
    for known in FINDINGS {
        see(true, &[finding(known.kind)], &[], None);
    }
    // As the edge gives it, and without a word of its own.
    let own = EDGE_REASONS.iter().map(|told| (told.state, told.reason));
    let silent = EDGE_STATES.iter().map(|row| (row.state, ""));
    for (state, reason) in own.chain(silent) {
        for (source, target) in [("us", "eu"), ("eu", "us")] {
            for lag_events in [None, Some(5)] {
                for (stale, synced) in [(false, false), (false, true), (true, false)] {
                    let edge = SeenEdge {
                        status: EdgeStatus {
                            source: source.into(),
                            target: target.into(),
                            state,
                            source_head: None,
                            progress: None,
                            lag_events,
                            lag_seconds: None,
                            filtered_total: None,
                            last_error: None,
                            last_transition: None,
                        },
                        reason: reason.into(),
                        message: String::new(),
                        here: "eu".into(),
                        stale,
                        synced,
                        still: STANDSTILL_AFTER,
                    };
                    see(true, &[], std::slice::from_ref(&edge), None);
                    see(true, &[], &[edge], Some(&refused));
                }
            }
        }
    }
    let never: Vec<Told> = words(REPLICATION_LINK_REASONS)
        .difference(&given)
        .cloned()
        .collect();
    assert!(never.is_empty(), "told and never given: {never:?}");
}

#[test]
fn what_is_told_is_of_conditions_that_exist() {
    let logs = (
        EVENT_LOG_REASONS,
        EVENT_LOG_TYPES,
        &EVENT_LOG_CONDITIONS[..],
    );
    let links = (
        REPLICATION_LINK_REASONS,
        REPLICATION_LINK_TYPES,
        &REPLICATION_LINK_CONDITIONS[..],
    );
    for (rows, known, types) in [logs, links] {
        let known: Vec<&str> = known.iter().map(|row| row.type_).collect();
        assert_eq!(known, types);
        for row in rows {
            for (type_, _) in row.conditions {
                assert!(types.contains(type_), "{type_} of {}", row.reason);
            }
        }
        let told: BTreeSet<&str> = rows
            .iter()
            .flat_map(|row| row.conditions.iter().map(|(type_, _)| *type_))
            .collect();
        assert_eq!(told.len(), types.len());
    }
}

#[test]
fn every_reason_has_one_hint() {
    for rows in [EVENT_LOG_REASONS, REPLICATION_LINK_REASONS] {
        for row in rows {
            assert!(row.meaning.ends_with('.'), "{}", row.reason);
            let same = rows.iter().filter(|other| other.reason == row.reason);
            assert!(
                same.clone().all(|other| other.hint == row.hint),
                "{} has two hints",
                row.reason
            );
            assert!(hint(row.reason).is_some());
        }
    }
    for told in EDGE_REASONS {
        assert!(hint(told.word()).is_some(), "{}", told.word());
        assert!(hint(row(told.state).1.reason).is_some(), "{:?}", told.state);
    }
    for told in FINDINGS {
        // A cluster refuses a list with two of one name before the planner could: there the edge's meaning of the word counts.
        let is_of_an_edge = told.kind == FindingKind::DuplicateLocation;
        let found = hint(&told.kind.to_string());
        assert!(is_of_an_edge || found == Some(told.hint), "{}", told.kind);
    }
    assert_eq!(hint("SomethingNew"), None);
}

#[test]
fn every_state_of_an_edge_and_every_finding_is_told() {
    for row in EDGE_STATES {
        assert!(
            EDGE_REASONS.iter().any(|told| told.state == row.state),
            "{:?}",
            row.state
        );
    }
    let errors = FINDINGS
        .iter()
        .filter(|told| told.kind.severity() == Severity::Error);
    assert_eq!(errors.count(), 8);
    for state in [EdgeState::Streaming, EdgeState::CatchingUp] {
        let reason = row(state).1.reason;
        assert!(!is_told(
            Resource::ReplicationLink,
            "Connected",
            ConditionStatus::False,
            reason
        ));
    }
}
