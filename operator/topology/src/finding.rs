//! What a plan has to say about itself.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// Whether a finding forbids to run the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// What was found; the name is the reason in a link's `Accepted` condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum FindingKind {
    /// Edges of one component admit different events.
    FilteredCycle,
    /// Two links carry the same direction between the same locations.
    DuplicateEdge,
    /// A location is listed twice.
    DuplicateLocation,
    /// Two links have one name.
    DuplicateLink,
    /// A link names a location that the log does not have.
    UnknownLocation,
    /// A shape contradicts itself.
    InvalidTopology,
    /// Nobody can open the connection.
    NoEndpoint,
    /// A filter is not a valid expression.
    InvalidFilter,
    /// A filter reads a key that may be absent.
    UnguardedKey,
    /// A filter is on no edge.
    UnusedFilter,
    /// One location carries all others.
    SinglePointOfFailure,
    /// Some locations have no link to the others.
    Disconnected,
}

impl FindingKind {
    /// Whether such a finding forbids to run the plan.
    pub fn severity(self) -> Severity {
        match self {
            Self::FilteredCycle
            | Self::DuplicateEdge
            | Self::DuplicateLocation
            | Self::DuplicateLink
            | Self::UnknownLocation
            | Self::InvalidTopology
            | Self::NoEndpoint
            | Self::InvalidFilter => Severity::Error,
            Self::UnguardedKey
            | Self::UnusedFilter
            | Self::SinglePointOfFailure
            | Self::Disconnected => Severity::Warning,
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One thing that is wrong or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Whether it forbids to run the plan.
    pub severity: Severity,
    /// What it is, for programs.
    pub kind: FindingKind,
    /// What it is about: a log, a link, a location or an edge.
    pub subject: String,
    /// The links that would have to change; empty when it is about the log.
    pub links: BTreeSet<String>,
    /// What is wrong and the way out, for people.
    pub message: String,
    /// What would happen otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

impl Finding {
    pub(crate) fn new(
        kind: FindingKind,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: kind.severity(),
            kind,
            subject: subject.into(),
            links: BTreeSet::new(),
            message: message.into(),
            example: None,
        }
    }

    pub(crate) fn of_links<'a>(mut self, links: impl IntoIterator<Item = &'a str>) -> Self {
        self.links.extend(links.into_iter().map(str::to_owned));
        self
    }

    pub(crate) fn with_example(mut self, example: impl Into<String>) -> Self {
        self.example = Some(example.into());
        self
    }
}

/// `a, b, c and 4 more`: names enough to recognise, not a page of them.
pub(crate) fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 6;
    let all: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if all.len() <= SHOWN + 1 {
        return all.join(", ");
    }
    format!("{} and {} more", all[..SHOWN].join(", "), all.len() - SHOWN)
}
