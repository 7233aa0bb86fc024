//! Every reason that operator, planner or sidecar can give has a row in the table of hints. The code itself is looked into: a reason that somebody adds fails here.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;
use tidelog_api::{EVENT_LOG_CONDITIONS, REPLICATION_LINK_CONDITIONS};
use tidelog_status::{EDGE_STATES, HINTS, Hint, hint};
use tidelog_topology::FindingKind;

/// Where reasons are given. The sidecar's reach the conditions as they are.
const PLACES: &[&str] = &[
    "operator/status/src",
    "operator/controller/src",
    "sidecar/core/src/target.rs",
    "sidecar/core/src/target",
    "sidecar/core/src/source",
    "sidecar/replication/src/connection.rs",
    "sidecar/replication/src/edge.rs",
    "sidecar/replication/src/recovery.rs",
    "sidecar/replication/src/source.rs",
    "sidecar/replication/src/target.rs",
    "sidecar/server/src/recovered.rs",
];

/// Words of that form in these files that are no reasons.
const KINDS: &[&str] = &[
    "Certificate",
    "ConfigMap",
    "Dense",
    "Event",
    "EventLog",
    "Failed",
    "HubAndSpoke",
    "NetworkPolicy",
    "Opaque",
    "PodDisruptionBudget",
    "PointToPoint",
    "Reconcile",
    "ReplicationLink",
    "Secret",
    "Service",
    "StatefulSet",
    "Succeeded",
    "TLSRoute",
];

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Words in CamelCase between quotes, tests aside.
fn words(place: &Path, found: &mut BTreeSet<String>) {
    if place.is_dir() {
        for entry in fs::read_dir(place).unwrap() {
            words(&entry.unwrap().path(), found);
        }
        return;
    }
    let name = place.file_name().unwrap_or_default();
    if name == "tests.rs" || name == "hint.rs" {
        return;
    }
    let text = fs::read_to_string(place).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let word = Regex::new(r#""([A-Z][A-Za-z]*)""#).unwrap();
    found.extend(word.captures_iter(code).map(|found| found[1].to_owned()));
}

fn given() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for place in PLACES {
        words(&root().join(place), &mut found);
    }
    let conditions = EVENT_LOG_CONDITIONS
        .iter()
        .chain(&REPLICATION_LINK_CONDITIONS);
    for other in conditions.chain(KINDS) {
        // Two conditions are true by a reason of the same name.
        if !["Accepted", "ResolvedRefs", "Connected"].contains(other) {
            found.remove(*other);
        }
    }
    found.extend(findings().map(|kind| kind.to_string()));
    found
}

/// Every finding of the planner: the reasons of `Accepted`. The match is here so that another one does not compile without a row.
fn findings() -> impl Iterator<Item = FindingKind> {
    let all = [
        FindingKind::FilteredCycle,
        FindingKind::DuplicateEdge,
        FindingKind::DuplicateLocation,
        FindingKind::DuplicateLink,
        FindingKind::UnknownLocation,
        FindingKind::InvalidTopology,
        FindingKind::NoEndpoint,
        FindingKind::InvalidFilter,
        FindingKind::UnguardedKey,
        FindingKind::UnusedFilter,
        FindingKind::SinglePointOfFailure,
        FindingKind::Disconnected,
    ];
    all.into_iter().inspect(|kind| match kind {
        FindingKind::FilteredCycle
        | FindingKind::DuplicateEdge
        | FindingKind::DuplicateLocation
        | FindingKind::DuplicateLink
        | FindingKind::UnknownLocation
        | FindingKind::InvalidTopology
        | FindingKind::NoEndpoint
        | FindingKind::InvalidFilter
        | FindingKind::UnguardedKey
        | FindingKind::UnusedFilter
        | FindingKind::SinglePointOfFailure
        | FindingKind::Disconnected => {}
    })
}

#[test]
fn every_reason_has_a_hint_and_every_hint_a_reason() {
    let told: BTreeSet<String> = HINTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let given = given();
    let without: Vec<_> = given.difference(&told).collect();
    assert!(
        without.is_empty(),
        "no row in operator/status/src/hint.rs (or no reason at all: KINDS of this test): {without:?}"
    );
    let idle: Vec<_> = told.difference(&given).collect();
    assert!(idle.is_empty(), "nobody gives these reasons: {idle:?}");
}

#[test]
fn the_table_is_in_order_and_says_something() {
    assert!(HINTS.windows(2).all(|two| two[0].0 < two[1].0), "by name");
    for (name, what) in HINTS {
        assert_eq!(hint(name), Some(*what));
        let text = what.text();
        assert_eq!(text.is_empty(), *what == Hint::Well, "{name}");
        assert!(
            !text.ends_with('.') && !text.contains('\n'),
            "{name}: one phrase"
        );
    }
    assert_eq!(hint("OfAnotherVersion"), None);
}

#[test]
fn a_state_in_which_a_person_has_to_look_tells_what_to_do() {
    for row in EDGE_STATES {
        let is_well = hint(row.reason) == Some(Hint::Well);
        assert_eq!(is_well, row.reason == "Streaming", "{}", row.reason);
    }
}
