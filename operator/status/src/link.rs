//! Conditions and edges of a ReplicationLink, as one operator sees them: the edges that touch its locations.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidelog_api::{
    Condition, ConditionStatus, EdgeState, EdgeStatus, LagThreshold, ReplicationLinkStatus,
    Topology,
};
use tidelog_topology::{Finding, Severity};

use crate::fact::{Fact, with_history};
use crate::table::{Meaning, row};

/// An edge, and how its end here has spoken of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenEdge {
    /// What is written of it.
    pub status: EdgeStatus,
    /// The word for programs, as the sidecar gives it; empty when all is well.
    pub reason: String,
    /// The sentence for people.
    pub message: String,
    /// The location here.
    pub here: String,
    /// Nobody has heard of it within three progress intervals.
    pub stale: bool,
    /// The lag is known, and within the threshold.
    pub synced: bool,
    /// For how long it is known to be behind without any progress; zero when it is not behind, moves, or nobody has looked for long enough.
    pub still: Duration,
}

/// An edge that runs, is behind, and has copied nothing for so long waits for something that does not come by itself.
pub const STANDSTILL_AFTER: Duration = Duration::from_mins(1);

impl SeenEdge {
    /// Connected, behind, and without any progress.
    fn stands_still(&self) -> bool {
        let flows = row(self.status.state).1.meaning == Meaning::Flows;
        let is_behind = self.status.lag_events.is_some_and(|lag| lag > 0);
        !self.stale && flows && is_behind && self.still >= STANDSTILL_AFTER
    }

    /// The location at the other end.
    fn peer(&self) -> &str {
        if self.status.source == self.here {
            &self.status.target
        } else {
            &self.status.source
        }
    }
}

/// What an operator sees of a link.
#[derive(Debug, Clone)]
pub struct LinkSeen<'a> {
    /// Generation of the spec that was looked at.
    pub generation: Option<i64>,
    /// The shape.
    pub topology: &'a Topology,
    /// The bounds of its lag.
    pub lag_threshold: &'a LagThreshold,
    /// Whether its log is there.
    pub has_log: bool,
    /// The locations that this cluster realises.
    pub here: &'a [String],
    /// What the planner finds about this link, errors first.
    pub findings: &'a [Finding],
    /// What it finds about other links of the log, or about the log, when that forbids to run the plan: then nothing new comes into force for this link either.
    pub beside: Option<&'a Finding>,
    /// The edges of the plan that touch a location here; of a plan that is refused those that run all the same.
    pub edges: &'a [SeenEdge],
}

/// The status to be written.
pub fn link_status(seen: &LinkSeen<'_>, before: &[Condition], now: &Time) -> ReplicationLinkStatus {
    let facts = facts(seen, before);
    let connected = seen
        .edges
        .iter()
        .filter(|e| !e.stale && row(e.status.state).1.meaning == Meaning::Flows)
        .count();
    ReplicationLinkStatus {
        observed_generation: seen.generation,
        topology: Some(shape(seen.topology).to_owned()),
        edges_connected: Some(format!("{connected}/{}", seen.edges.len())),
        max_lag: max_lag(seen.edges),
        edges: seen.edges.iter().map(|e| e.status.clone()).collect(),
        conditions: with_history(facts, before, seen.generation, now),
    }
}

fn shape(topology: &Topology) -> &'static str {
    if topology.hub_and_spoke.is_some() {
        "HubAndSpoke"
    } else if topology.point_to_point.is_some() {
        "PointToPoint"
    } else {
        "Dense"
    }
}

/// The largest lag of the edges that end here; `?` when one of them is unknown, for it may be larger.
fn max_lag(edges: &[SeenEdge]) -> Option<String> {
    let incoming: Vec<&SeenEdge> = edges.iter().filter(|e| e.status.target == e.here).collect();
    if incoming.is_empty() {
        return None;
    }
    let largest = |of: fn(&EdgeStatus) -> Option<i64>| {
        let known: Option<Vec<i64>> = incoming
            .iter()
            .map(|e| of(&e.status).filter(|_| !e.stale))
            .collect();
        known.map_or_else(
            || "?".to_owned(),
            |lags| lags.into_iter().max().unwrap_or_default().to_string(),
        )
    };
    let (events, seconds) = (largest(|e| e.lag_events), largest(|e| e.lag_seconds));
    Some(format!("{events} ev / {seconds} s"))
}

/// All conditions, in the order in which they are written.
fn facts(seen: &LinkSeen<'_>, before: &[Condition]) -> Vec<Fact> {
    let accepted = accepted(seen, before);
    let resolved = resolved(seen);
    let refused = [&accepted, &resolved]
        .into_iter()
        .find(|f| f.status == ConditionStatus::False)
        .cloned();
    let tries = Tries::of(before, seen.edges);
    if let Some(refused) = refused {
        return facts_of_refused(seen, tries, accepted, resolved, refused);
    }
    if seen.edges.is_empty() {
        let here = seen.here.join(", ");
        let message = format!("no edge of this link begins or ends at {here}");
        let elsewhere = |type_| Fact::yes(type_, "NotLocal", message.clone());
        return vec![
            accepted,
            resolved,
            elsewhere("Connected"),
            elsewhere("Synced"),
            elsewhere("Ready"),
            Fact::no("Reconciling", "NotLocal", message.clone()),
            Fact::no("Stalled", "NotLocal", message.clone()),
        ];
    }
    let worst = worst(seen.edges);
    let (connected, synced) = (connected(seen.edges, worst, tries), synced(seen, tries));
    let ready = Fact {
        type_: "Ready",
        ..connected.clone()
    };
    let meaning = row(worst.status.state).1.meaning;
    let begins = worst.stale || (meaning == Meaning::Begins && !tries.again(worst));
    let reconciling = if begins {
        Fact::yes("Reconciling", "Connecting", sentence(worst))
    } else {
        Fact::no("Reconciling", "Done", "the plan is in force")
    };
    let still = seen.edges.iter().find(|edge| edge.stands_still());
    let stalled = if meaning == Meaning::Stuck && !worst.stale {
        Fact::yes("Stalled", &reason(worst), sentence(worst))
    } else if let Some(edge) = still {
        Fact::yes("Stalled", "Standstill", standstill(edge))
    } else {
        Fact::no("Stalled", "Progressing", "nothing needs a person")
    };
    vec![
        accepted,
        resolved,
        connected,
        synced,
        ready,
        reconciling,
        stalled,
    ]
}

/// What it says does not come into force; what ran before goes on, and is told as it is.
fn facts_of_refused(
    seen: &LinkSeen<'_>,
    tries: Tries<'_>,
    accepted: Fact,
    resolved: Fact,
    refused: Fact,
) -> Vec<Fact> {
    let (connected, synced, because) = if seen.edges.is_empty() {
        let because = format!("nothing of this link runs: {}", refused.message);
        let unknown = |type_| Fact::unknown(type_, &refused.reason, because.clone());
        (unknown("Connected"), unknown("Synced"), because)
    } else {
        let connected = connected(seen.edges, worst(seen.edges), tries);
        let because = format!(
            "what was in force before runs on, and nothing of this spec: {}",
            refused.message
        );
        (connected, synced(seen, tries), because)
    };
    vec![
        accepted,
        resolved,
        connected,
        synced,
        Fact::no("Ready", &refused.reason, because),
        Fact::no("Reconciling", "Refused", "waiting for another spec"),
        Fact::yes("Stalled", &refused.reason, refused.message),
    ]
}

fn accepted(seen: &LinkSeen<'_>, before: &[Condition]) -> Fact {
    let error = seen.findings.iter().find(|f| f.severity == Severity::Error);
    if let Some(finding) = error {
        let message = finding.message.clone();
        return Fact::no("Accepted", &finding.kind.to_string(), message);
    }
    let Some(beside) = seen.beside else {
        return Fact::yes("Accepted", "Accepted", "the plan can run");
    };
    let beside = sentence_of(beside);
    // One that was accepted, and is not changed since, is in force.
    let is_in_force = before.iter().any(|c| {
        c.type_ == "Accepted"
            && c.status == ConditionStatus::True
            && c.observed_generation == seen.generation
    });
    if is_in_force {
        let message = format!("it runs, and changes of the log and its links wait: {beside}");
        return Fact::yes("Accepted", "Accepted", message);
    }
    let message = format!("nothing comes into force until that is mended: {beside}");
    Fact::no("Accepted", "PlanRejected", message)
}

/// A finding for somebody who looks at something else.
pub(crate) fn sentence_of(finding: &Finding) -> String {
    let Finding {
        kind,
        subject,
        message,
        ..
    } = finding;
    format!("{subject} is refused ({kind}): {message}")
}

fn resolved(seen: &LinkSeen<'_>) -> Fact {
    if seen.has_log {
        Fact::yes("ResolvedRefs", "ResolvedRefs", "the log is there")
    } else {
        let message = "there is no EventLog of that name in this namespace";
        Fact::no("ResolvedRefs", "LogNotFound", message)
    }
}

/// What is not heard of is worse than what begins and better than what is known to be away.
fn worst(edges: &[SeenEdge]) -> &SeenEdge {
    let badness = |edge: &SeenEdge| {
        let (place, known) = row(edge.status.state);
        match (edge.stale, known.meaning) {
            (true, _) => (Meaning::Begins, usize::MAX),
            (false, meaning) => (meaning, place),
        }
    };
    let mut worst = &edges[0];
    for edge in edges {
        if badness(edge) > badness(worst) {
            worst = edge;
        }
    }
    worst
}

fn reason(edge: &SeenEdge) -> String {
    if edge.reason.is_empty() {
        row(edge.status.state).1.reason.to_owned()
    } else {
        edge.reason.clone()
    }
}

fn sentence(edge: &SeenEdge) -> String {
    let EdgeStatus {
        source,
        target,
        state,
        ..
    } = &edge.status;
    let peer = edge.peer();
    if edge.stale {
        return format!("{source}->{target}: the sidecar here has not been heard of lately");
    }
    if edge.message.is_empty() {
        format!("{source}->{target} with {peer}: {state:?}")
    } else {
        format!("{source}->{target} with {peer}: {}", edge.message)
    }
}

fn standstill(edge: &SeenEdge) -> String {
    let EdgeStatus { source, target, .. } = &edge.status;
    let lag = edge.status.lag_events.unwrap_or_default();
    let least = STANDSTILL_AFTER.as_secs();
    format!(
        "{source}->{target} is connected and {lag} events behind, and has copied nothing for {least} s or more"
    )
}

/// A peer that was away when the link was looked at last, or is by the other edge between the same two, is away while it is dialled again: otherwise each
/// attempt would be news.
#[derive(Clone, Copy)]
struct Tries<'a> {
    was_away: bool,
    edges: &'a [SeenEdge],
}

impl<'a> Tries<'a> {
    fn of(before: &[Condition], edges: &'a [SeenEdge]) -> Self {
        let away = row(EdgeState::Unreachable).1.reason;
        let was_away = before.iter().any(|c| {
            c.type_ == "Connected" && c.status == ConditionStatus::False && c.reason == away
        });
        Self { was_away, edges }
    }

    fn again(self, edge: &SeenEdge) -> bool {
        let is_away = |other: &SeenEdge| {
            let state = other.status.state;
            !other.stale && state == EdgeState::Unreachable && other.peer() == edge.peer()
        };
        !edge.stale
            && edge.status.state == EdgeState::Connecting
            && (self.was_away || self.edges.iter().any(is_away))
    }

    fn reason(self, edge: &SeenEdge) -> String {
        if self.again(edge) {
            return row(EdgeState::Unreachable).1.reason.to_owned();
        }
        reason(edge)
    }
}

fn connected(edges: &[SeenEdge], worst: &SeenEdge, tries: Tries<'_>) -> Fact {
    if worst.stale {
        return Fact::unknown("Connected", "StatusUnknown", sentence(worst));
    }
    match row(worst.status.state).1.meaning {
        Meaning::Flows => {
            let message = format!("{0} of {0} edges run", edges.len());
            Fact::yes("Connected", "Connected", message)
        }
        _ => Fact::no("Connected", &tries.reason(worst), sentence(worst)),
    }
}

/// By the edges that end here: the lag of the others is known at their targets.
fn synced(seen: &LinkSeen<'_>, tries: Tries<'_>) -> Fact {
    let incoming = seen.edges.iter().filter(|e| e.status.target == e.here);
    let bound = seen.lag_threshold;
    let bound = format!("{} events or {} s", bound.events, bound.seconds);
    let mut behind = None;
    for edge in incoming {
        let unknown = edge.stale || edge.status.lag_events.is_none();
        if unknown {
            let message = format!("the lag is not known: {}", sentence(edge));
            let flows = row(edge.status.state).1.meaning == Meaning::Flows;
            let reason = if flows {
                "HeadUnknown".to_owned()
            } else {
                tries.reason(edge)
            };
            return Fact::unknown("Synced", &reason, message);
        }
        if !edge.synced {
            behind.get_or_insert(edge);
        }
    }
    // Where none ends here the lag is known at the targets; here is known whether anything leaves.
    let is_stuck =
        |edge: &&SeenEdge| edge.stale || row(edge.status.state).1.meaning != Meaning::Flows;
    let leaves_only = seen.edges.iter().all(|e| e.status.target != e.here);
    if leaves_only && let Some(edge) = seen.edges.iter().find(is_stuck) {
        let word = if edge.stale {
            "StatusUnknown".to_owned()
        } else {
            tries.reason(edge)
        };
        return Fact::unknown("Synced", &word, sentence(edge));
    }
    match behind {
        Some(edge) => {
            let EdgeStatus { source, target, .. } = &edge.status;
            let lag = edge.status.lag_events.unwrap_or_default();
            let message =
                format!("{source}->{target} is {lag} events behind, the bound is {bound}");
            Fact::no("Synced", "Lagging", message)
        }
        None => Fact::yes("Synced", "CaughtUp", format!("within {bound}")),
    }
}
