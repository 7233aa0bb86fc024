//! The plan: data, ordered, comparable, serialisable.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};
use tidelog_filter::OnError;

use crate::finding::{Finding, Severity};
use crate::hashes::{Digest, FilterHash, PlanId};
use crate::input::{Application, Batch, Endpoint, ExportFilter, LagThreshold};

/// Everything that follows from a log and its links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Name of the log.
    pub log: String,
    /// The application whose events it holds.
    pub application: Application,
    /// Hash of what all locations must agree on.
    pub spec_hash: Digest,
    /// Stamp of the link filters in force.
    pub plan_id: PlanId,
    /// The locations by name.
    pub locations: BTreeMap<String, PlannedLocation>,
    /// The edges; of two for the same direction the first by link name.
    pub edges: BTreeMap<EdgeId, Edge>,
    /// Biconnected components with three or more locations.
    pub components: Vec<Component>,
    /// Pairs of locations that hang together by nothing but their own edges.
    pub bridges: Vec<Bridge>,
    /// Sets of locations without any link between them; one set when all is well.
    pub islands: Vec<BTreeSet<String>>,
    /// What is wrong or worth knowing, errors first.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// Whether nothing forbids to run it.
    pub fn is_accepted(&self) -> bool {
        self.errors().next().is_none()
    }

    /// The findings that forbid to run it.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
    }

    /// The findings that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.severity == Severity::Warning)
    }

    /// The edges that start or end at a location.
    pub fn edges_at(&self, location: &str) -> impl Iterator<Item = &Edge> {
        self.edges
            .values()
            .filter(move |edge| edge.source == location || edge.target == location)
    }
}

/// A location as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedLocation {
    /// Where others reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Which events appended here may leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_filter: Option<ExportFilter>,
}

/// One direction between two locations; as text `eu->us`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId {
    /// The location that is copied from.
    pub source: String,
    /// The location that copies.
    pub target: String,
}

impl EdgeId {
    /// The edge from `source` to `target`.
    pub fn new(source: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
        }
    }

    /// The opposite direction.
    pub fn reversed(&self) -> Self {
        Self::new(&self.target, &self.source)
    }
}

impl fmt::Display for EdgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.source, self.target)
    }
}

impl Serialize for EdgeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One direction of copying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// The location that is copied from.
    pub source: String,
    /// The location that copies.
    pub target: String,
    /// The link it belongs to.
    pub link: String,
    /// Who opens the connection; `None` only beside a `NoEndpoint` finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dial: Option<Dial>,
    /// What passes: all of these, sorted, without repetition.
    pub filters: Vec<EdgeFilter>,
    /// Hash of `filters` as the data plane computes it, compared when a connection opens.
    pub filter_hash: FilterHash,
    /// Stopped by its link.
    pub paused: bool,
    /// The locations behind the source, as the target sees it: whose entries of a covered vector it may merge.
    pub behind: BTreeSet<String>,
    /// Largest frame.
    pub batch: Batch,
    /// Beyond this lag it is not synced.
    pub lag_threshold: LagThreshold,
}

impl Edge {
    /// Source and target.
    pub fn id(&self) -> EdgeId {
        EdgeId::new(&self.source, &self.target)
    }

    /// The predicates of its filters; equal lists admit the same events.
    pub fn predicates(&self) -> impl Iterator<Item = &Predicate> {
        self.filters.iter().map(|filter| &filter.predicate)
    }
}

/// Who opens a connection, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dial {
    /// The side that opens it.
    pub by: Side,
    /// The endpoint of the other side; `None` only when the planner was told that every location is reachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
}

/// One end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Side {
    /// The location that is copied from.
    Source,
    /// The location that copies.
    Target,
}

/// A filter on an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeFilter {
    /// Its name in the link, for messages and metrics.
    pub name: String,
    /// What it decides.
    #[serde(flatten)]
    pub predicate: Predicate,
}

/// What makes two filters the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Predicate {
    /// The expression, without surrounding space.
    pub cel: String,
    /// What happens when it fails.
    pub on_error: OnError,
    /// Version of the evaluator.
    pub evaluator: u32,
}

/// Three or more locations that any one of them can leave without parting the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Its locations.
    pub locations: BTreeSet<String>,
    /// Its edges.
    pub edges: BTreeSet<EdgeId>,
    /// Whether an edge of it has a filter.
    pub filtered: bool,
}

/// Two locations, linked by an edge in one or both directions, that nothing else connects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bridge {
    /// Its two locations.
    pub locations: BTreeSet<String>,
    /// One or two edges.
    pub edges: BTreeSet<EdgeId>,
    /// Whether an edge of it has a filter.
    pub filtered: bool,
}
