//! What the planner may find. An error refuses the plan, and is the reason of the links that it is about.

use tidelog_api::ConditionStatus;
use tidelog_topology::{FindingKind, Severity};

/// What a finding means, and the way out.
#[derive(Debug, Clone, Copy)]
pub struct FindingWords {
    /// What was found; its name is the reason.
    pub kind: FindingKind,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub hint: &'static str,
}

const fn told(kind: FindingKind, meaning: &'static str, hint: &'static str) -> FindingWords {
    FindingWords {
        kind,
        meaning,
        hint,
    }
}

/// All of them, errors first.
pub const FINDINGS: &[FindingWords] = &[
    told(
        FindingKind::FilteredCycle,
        "Edges of one cycle admit different events, so a later event could overtake an earlier one that then passes for a duplicate.",
        "The same filters on every edge of the component, an `exportFilter`, or fewer links.",
    ),
    told(
        FindingKind::DuplicateEdge,
        "Two links carry the same direction between the same locations.",
        "Take one of them away.",
    ),
    told(
        FindingKind::DuplicateLocation,
        "A location is listed twice.",
        "List it once.",
    ),
    told(
        FindingKind::DuplicateLink,
        "Two links have one name.",
        "Rename one.",
    ),
    told(
        FindingKind::UnknownLocation,
        "A link names a location that the log does not have.",
        "Add it to `spec.locations`, or correct the name.",
    ),
    told(
        FindingKind::InvalidTopology,
        "A shape contradicts itself, such as a hub among its own spokes.",
        "Correct the shape.",
    ),
    told(
        FindingKind::NoEndpoint,
        "Nobody can open the connection: the side that would be dialled has no endpoint.",
        "Give one of the two an `endpoint`, or let the other side dial.",
    ),
    told(
        FindingKind::InvalidFilter,
        "A filter does not parse, names something unknown, is too large or gives no boolean.",
        "Correct the expression; `tidelog filter test` shows what it does.",
    ),
    told(
        FindingKind::UnguardedKey,
        "A filter reads a key that may be absent, where it would fail.",
        "`has(event.metadata.key) && …`.",
    ),
    told(
        FindingKind::UnusedFilter,
        "A filter is on no edge of its link.",
        "Correct its `sources` and `targets`, or take it away.",
    ),
    told(
        FindingKind::SinglePointOfFailure,
        "One location connects some others with the rest.",
        "Meant, or a second link around it.",
    ),
    told(
        FindingKind::Disconnected,
        "Some locations have no link to the others.",
        "Add a link.",
    ),
];

/// Whether a link may say so because its plan is refused.
pub(super) fn is_told(type_: &str, status: ConditionStatus, reason: &str) -> bool {
    let errors = FINDINGS
        .iter()
        .filter(|row| row.kind.severity() == Severity::Error);
    let is_one = errors
        .map(|row| row.kind.to_string())
        .any(|kind| kind == reason);
    let says = matches!(
        (type_, status),
        ("Accepted" | "Ready", ConditionStatus::False)
            | ("Connected" | "Synced", ConditionStatus::Unknown)
            | ("Stalled", ConditionStatus::True)
    );
    is_one && says
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_told() {
        // A new one does not compile here until it has a place.
        let place = |kind: FindingKind| match kind {
            FindingKind::FilteredCycle => 0,
            FindingKind::DuplicateEdge => 1,
            FindingKind::DuplicateLocation => 2,
            FindingKind::DuplicateLink => 3,
            FindingKind::UnknownLocation => 4,
            FindingKind::InvalidTopology => 5,
            FindingKind::NoEndpoint => 6,
            FindingKind::InvalidFilter => 7,
            FindingKind::UnguardedKey => 8,
            FindingKind::UnusedFilter => 9,
            FindingKind::SinglePointOfFailure => 10,
            FindingKind::Disconnected => 11,
        };
        let places: Vec<usize> = FINDINGS.iter().map(|told| place(told.kind)).collect();
        assert_eq!(places, (0..12).collect::<Vec<_>>());
    }
}
