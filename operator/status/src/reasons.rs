//! Every reason that a condition can have: what it means, and what to do about it. Pure data; the page of conditions and the hints of the command line are written
//! from it, and tests compare it with what the code gives.
//!
//! | module | what it holds |
//! |---|---|
//! | `event_log` | reasons of an EventLog |
//! | `replication_link` | reasons of a ReplicationLink that the operator gives itself |
//! | `edge` | reasons that an edge gives, by its state: a link takes that of its worst edge |
//! | `finding` | reasons of a plan that is refused, or that is worth a word |

mod edge;
mod event_log;
mod finding;
mod replication_link;

use tidelog_api::ConditionStatus;

pub use edge::{EDGE_REASONS, EdgeReason};
pub use event_log::{EVENT_LOG_REASONS, EVENT_LOG_TYPES};
pub use finding::{FINDINGS, FindingWords};
pub use replication_link::{REPLICATION_LINK_REASONS, REPLICATION_LINK_TYPES};

/// A kind that has conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A log.
    EventLog,
    /// Links between its locations.
    ReplicationLink,
}

/// A reason of a resource's conditions. A reason that means different things in different conditions has a row for each.
#[derive(Debug, Clone, Copy)]
pub struct ReasonRow {
    /// The word for programs.
    pub reason: &'static str,
    /// The conditions that have it, each with its status then; none for what is told by an Event alone.
    pub conditions: &'static [(&'static str, ConditionStatus)],
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub hint: &'static str,
}

/// A type of condition.
#[derive(Debug, Clone, Copy)]
pub struct TypeRow {
    /// Its name.
    pub type_: &'static str,
    /// What it says when it is true.
    pub says: &'static str,
}

/// What to do about a reason, whichever condition, Event or edge has it; `None` for a reason that this version does not know.
pub fn hint(reason: &str) -> Option<&'static str> {
    let own = EVENT_LOG_REASONS.iter().chain(REPLICATION_LINK_REASONS);
    let own = own.map(|row| (row.reason, row.hint));
    let edges = EDGE_REASONS.iter().map(|told| (told.word(), told.hint));
    let found = own.chain(edges).find(|(known, _)| *known == reason);
    let findings = || FINDINGS.iter().find(|row| row.kind.to_string() == reason);
    found
        .map(|(_, hint)| hint)
        .or_else(|| findings().map(|row| row.hint))
}

/// Reasons that pass by themselves, or that somebody has asked for.
const PASSING: &[&str] = &[
    "AddressPending",
    "AwaitingIncarnation",
    "CatchingUp",
    "Connecting",
    "HeadUnknown",
    "Insecure",
    "Issuing",
    "Lagging",
    "NotLocal",
    "NotReady",
    "Paused",
    "PausedAtSource",
    "PausedAtTarget",
    "PeersNotHeard",
    "Pending",
    "PullingBack",
    "SinglePointOfFailure",
    "SourceReset",
    "Starting",
    "Stopping",
    "Unknown",
];

/// Whether a reason passes by itself, or was asked for: nobody has to do anything unless it lasts.
pub fn is_passing(reason: &str) -> bool {
    PASSING.contains(&reason)
}

/// Whether the tables know that a condition may have this status for this reason.
pub fn is_told(resource: Resource, type_: &str, status: ConditionStatus, reason: &str) -> bool {
    let rows = match resource {
        Resource::EventLog => EVENT_LOG_REASONS,
        Resource::ReplicationLink => REPLICATION_LINK_REASONS,
    };
    let is_own = rows
        .iter()
        .any(|row| row.reason == reason && row.conditions.contains(&(type_, status)));
    is_own
        || (resource == Resource::ReplicationLink
            && (edge::is_told(type_, status, reason) || finding::is_told(type_, status, reason)))
}
