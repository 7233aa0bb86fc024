//! Conditions and their reasons, from the tables that operator and command line read.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use regex::Regex;
use tidelog_api::{
    ConditionStatus, EdgeState, EdgeStatus, LagThreshold, PointToPoint, ReplicationLinkStatus,
    Topology,
};
use tidelog_status::{
    EDGE_STATES, EVENT_LOG_REASONS, EVENT_LOG_TYPES, LinkSeen, Meaning, REPLICATION_LINK_REASONS,
    REPLICATION_LINK_TYPES, ReasonRow, SeenEdge, TypeRow, link_status,
};

use super::{cell, code};

const HEAD: &str = "\
# Conditions

What the operator writes into `status.conditions` of an EventLog and of a ReplicationLink: `kubectl describe evlog NAME` and `rlink NAME` show them, `kubectl get -o yaml` all of their fields. The operator of each
cluster speaks of its own locations only, so the same log may say different things in two clusters.

Every type is there from the first visit on. `status` is `True`, `False`, or `Unknown`: nobody who knows was heard within three seconds. `reason` is one word for programs, and stable; `message` is for people, and
is not. `observedGeneration` is the generation of the spec that was looked at; `lastTransitionTime` stays while the status does. A change of the status, or of the reason of a condition that does not hold,
is told once by an Event, the summaries (`Ready`, `Reconciling`) and `EndpointReady` aside.

`Reconciling` and `Stalled` are abnormal when they are `True`, as [kstatus](https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus) reads them; all others when they are `False`.

Where a resource has several locations or edges in one cluster, a condition is that of the one that is worst off. `NAME` is that of the log, `LOCATION` that of the location.
";

/// Words in CamelCase in the code that are no reasons: conditions, kinds, phases of pods, shapes.
const NO_REASONS: [&str; 31] = [
    "Accepted",
    "Available",
    "Certificate",
    "CertificatesReady",
    "ConfigMap",
    "Delete",
    "Dense",
    "EndpointReady",
    "Event",
    "EventLog",
    "Failed",
    "HubAndSpoke",
    "NetworkPolicy",
    "Opaque",
    "PeersAgree",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "PointToPoint",
    "Ready",
    "Reconcile",
    "Reconciling",
    "Recovered",
    "ReplicationLink",
    "Retain",
    "Secret",
    "Service",
    "Stalled",
    "StatefulSet",
    "StorageReady",
    "Succeeded",
    "Synced",
];

/// The page.
pub fn page() -> Result<String> {
    let mut out = HEAD.to_owned();
    out.push_str("\n## EventLog\n\n");
    types(EVENT_LOG_TYPES, &mut out);
    reasons(EVENT_LOG_REASONS, &mut out);
    out.push_str("\n## ReplicationLink\n\n");
    types(REPLICATION_LINK_TYPES, &mut out);
    reasons(REPLICATION_LINK_REASONS, &mut out);
    out.push_str(
        "\n### By its edges\n\n\
         A link takes the reason of its worst edge, from the first of these states to the last; the reason is the edge's own where it gives one, and else that of this table. What each reason of an edge means, and \
         what to do, is told in [states of an edge](edge-states.md). A word that a newer sidecar gives is passed on.\n\n\
         | state | reason without one of its own | `Connected`, `Ready` | `Synced` | `Reconciling` | `Stalled` |\n|---|---|---|---|---|---|\n",
    );
    for row in EDGE_STATES {
        let status = seen(row.state)?;
        let of = |type_: &str| -> Result<String> {
            let mut all = status.conditions.iter();
            let found = all
                .find(|c| c.type_ == type_)
                .with_context(|| format!("no condition {type_}"))?;
            Ok(format!("{:?}", found.status))
        };
        let synced = if row.meaning == Meaning::Flows {
            "by lag; Unknown while the head of the source is not known".to_owned()
        } else {
            of("Synced")?
        };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            out,
            "| {:?} | {} | {} | {synced} | {} | {} |",
            row.state,
            if row.meaning == Meaning::Flows {
                String::new()
            } else {
                format!("`{}`", row.reason)
            },
            of("Connected")?,
            of("Reconciling")?,
            of("Stalled")?,
        );
    }
    out.push_str(
        "\n### By the planner\n\n\
         An error among the [findings of a plan](edge-states.md#findings-of-a-plan) is the reason of `Accepted=False`, `Ready=False`, `Stalled=True`, and of `Connected` and `Synced`, which are `Unknown` then. \
         What ran before goes on.\n",
    );
    Ok(out)
}

fn types(rows: &[TypeRow], out: &mut String) {
    out.push_str("| condition | it holds when |\n|---|---|\n");
    for row in rows {
        let _ = writeln!(out, "| `{}` | {} |", row.type_, cell(row.says));
    }
}

fn reasons(rows: &[ReasonRow], out: &mut String) {
    out.push_str("\n| reason | conditions | meaning | what to do |\n|---|---|---|---|\n");
    for row in rows {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            row.reason,
            conditions(row),
            cell(row.meaning),
            cell(row.hint)
        );
    }
}

/// Those with one status together, in the order in which they are told.
fn conditions(row: &ReasonRow) -> String {
    if row.conditions.is_empty() {
        return "an Event only".to_owned();
    }
    let mut groups: Vec<(ConditionStatus, Vec<String>)> = Vec::new();
    for (type_, status) in row.conditions {
        let name = format!("`{type_}`");
        match groups.iter_mut().find(|(known, _)| known == status) {
            Some((_, names)) => names.push(name),
            None => groups.push((*status, vec![name])),
        }
    }
    let group = |(status, names): (ConditionStatus, Vec<String>)| {
        format!("{status:?}: {}", names.join(", "))
    };
    groups.into_iter().map(group).collect::<Vec<_>>().join("; ")
}

/// What the operator says of a link with one edge in this state, whose lag is not known.
fn seen(state: EdgeState) -> Result<ReplicationLinkStatus> {
    let topology = Topology {
        dense: None,
        hub_and_spoke: None,
        point_to_point: Some(serde_json::from_value::<PointToPoint>(
            serde_json::json!({"source": "us", "target": "eu"}),
        )?),
    };
    let edge = SeenEdge {
        status: EdgeStatus {
            source: "us".to_owned(),
            target: "eu".to_owned(),
            state,
            source_head: None,
            progress: None,
            lag_events: None,
            lag_seconds: None,
            filtered_total: None,
            last_error: None,
            last_transition: None,
        },
        reason: String::new(),
        message: String::new(),
        here: "eu".to_owned(),
        stale: false,
        synced: false,
        still: Duration::ZERO,
    };
    let seen = LinkSeen {
        generation: None,
        topology: &topology,
        lag_threshold: &LagThreshold::default(),
        has_log: true,
        here: &["eu".to_owned()],
        findings: &[],
        beside: None,
        edges: &[edge],
    };
    let now = serde_json::from_value(serde_json::json!("2026-01-01T00:00:00Z"))?;
    Ok(link_status(&seen, &[], &now))
}

/// Reasons that the tables tell.
pub fn told() -> BTreeSet<String> {
    let all = EVENT_LOG_REASONS.iter().chain(REPLICATION_LINK_REASONS);
    all.map(|row| row.reason.to_owned())
        // As a condition is called.
        .filter(|reason| !NO_REASONS.contains(&reason.as_str()))
        .collect()
}

/// Reasons that the code of the operator, or that of a sidecar about recovery, gives: words in CamelCase, those aside that are something else.
pub fn given() -> Result<BTreeSet<String>> {
    let word = Regex::new(r#""((?:[A-Z][a-z]+)+)""#)?;
    let mut found = BTreeSet::new();
    for place in [
        "operator/controller/src",
        "operator/status/src/log.rs",
        "operator/status/src/link.rs",
        "sidecar/server/src/recovered.rs",
        "sidecar/replication/src/recovery.rs",
    ] {
        for text in code(place)? {
            found.extend(word.captures_iter(&text).map(|found| found[1].to_owned()));
        }
    }
    found.retain(|word| !NO_REASONS.contains(&word.as_str()));
    Ok(found)
}
