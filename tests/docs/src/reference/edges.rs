//! What an edge may say of itself, what it means, and what to do. The states are those of the code; a test looks for reasons that are not told here.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Result;
use regex::Regex;
use tidelog_core::EdgeState;
use tidelog_topology::FindingKind;

use super::{cell, code};

const HEAD: &str = "\
# States of an edge

`tidelog status` shows a state per edge, `GetStatus` also a `reason` (one word for programs) and a `message` (which event, which address, what to do).
State and reason at the two ends may differ for a moment: each end tells what it knows. An attempt to connect does not hide the states that need a person.

While an edge does not run, its source head and lag are unknown (`?`) at the target, never 0. Nothing is skipped in any of these states: progress stays where
it is, and the edge goes on from there. Appends at both ends go on in all of them.
";

const STATES: [EdgeState; 10] = [
    EdgeState::Pending,
    EdgeState::Connecting,
    EdgeState::CatchingUp,
    EdgeState::Streaming,
    EdgeState::Paused,
    EdgeState::Stalled,
    EdgeState::Unreachable,
    EdgeState::Incompatible,
    EdgeState::Rejected,
    EdgeState::SourceReset,
];

type Reason = (&'static str, &'static str, &'static str);

/// Reason, meaning, what to do.
fn reasons(state: EdgeState) -> &'static [Reason] {
    match state {
        EdgeState::Pending => &[("", "Configured, not tried yet.", "Nothing.")],
        EdgeState::Connecting => &[
            (
                "",
                "Dialling, or opening a stream.",
                "Nothing; if it lasts, look at the message.",
            ),
            (
                "NotReady",
                "The source answers and does not serve yet: it starts, or is not the writer of its log.",
                "Nothing; look at the source if it lasts.",
            ),
            (
                "StorageUnavailable",
                "The target could not store a frame.",
                "Look at the database of the target; the frame is sent again.",
            ),
        ],
        EdgeState::CatchingUp => &[("", "Copies what is behind.", "Nothing; the lag falls.")],
        EdgeState::Streaming => &[("", "Up to date, follows live.", "Nothing.")],
        EdgeState::Paused => &[
            (
                "Paused",
                "Paused at this end, by `paused` of the link or the log, or by `tidelog edge pause`.",
                "`tidelog edge resume`, or take `paused` out of the manifest; both may hold.",
            ),
            (
                "PausedAtSource",
                "The same, at the source.",
                "Resume it there.",
            ),
            (
                "PausedAtTarget",
                "The same, at the target.",
                "Resume it there.",
            ),
        ],
        EdgeState::Stalled => &[
            (
                "FilterError",
                "The filter failed on an event and says `onError: Stall`.",
                "Guard the key with `has(...)`, or choose `onError: Drop` or `Pass`. The message names event and key.",
            ),
            (
                "EventTooLarge",
                "The next event is beyond a limit of the target.",
                "Upgrade the target: the limits of a build are fixed.",
            ),
            (
                "VectorFull",
                "The next event would give the version vector more entries than a vector may have.",
                "Too many locations and incarnations; `tidelog status` warns at half the limit.",
            ),
            (
                "IdentityReused",
                "Source and target hold different events under one id, or the target holds one that the source took back after a loss.",
                "A person decides which history stands; restore the other location from a copy or start it anew under another name.",
            ),
            (
                "NoProgress",
                "The source offers another position than was asked for.",
                "It is tried again; if it lasts, compare the logs with `tidelog diff` and `tidelog verify`.",
            ),
            (
                "SourceReset",
                "A frame belongs to another incarnation of the source, or proves that this location has lost events.",
                "Nothing; the stream is opened anew, the location raises its incarnation if it has to.",
            ),
            (
                "Rejected",
                "The source breaks the protocol: order, digests, credit.",
                "It is tried again; the message names the event. A defect or a foreign program.",
            ),
        ],
        EdgeState::Unreachable => &[
            (
                "PeerUnreachable",
                "Nobody answers at the address, the connection broke, or the peer that has to dial has not.",
                "Look at the peer, the address and the network; it is tried again, after about 100 ms at first, at most 10 s apart by default.",
            ),
            (
                "Cut",
                "Cut by `tidelog edge cut` (development networks only).",
                "`tidelog edge heal`.",
            ),
        ],
        EdgeState::Incompatible => &[
            (
                "VersionIncompatible",
                "The next event was written by a newer version of the application than the target declares, or the two ends speak no common protocol.",
                "Upgrade the target (`spec.application.version`), or the older of the two.",
            ),
            (
                "ApplicationMismatch",
                "The two ends name different applications for one log.",
                "Correct `spec.application.name`; it belongs to the log.",
            ),
        ],
        EdgeState::Rejected => &[
            (
                "CertificateRejected",
                "One side does not accept the other's certificate; the message says which and why.",
                "See [secure connections](../guides/secure-connections.md); it is tried again, and goes on when the files are mended.",
            ),
            (
                "EdgeNotAllowed",
                "The peer has no link for this edge.",
                "Apply the same manifests at both ends.",
            ),
            (
                "DuplicateLocation",
                "Another location answers at the address than was meant.",
                "Correct the endpoint, or give one of them another name.",
            ),
            (
                "Rejected",
                "The peer breaks the contract and is not asked again for an hour, or until the settings change.",
                "The message names the event; see the log of the peer.",
            ),
        ],
        EdgeState::SourceReset => &[(
            "SourceReset",
            "The source has lost events or was restored; progress goes back to what both share.",
            "Nothing; see the guide on loss and recovery.",
        )],
    }
}

/// What a finding of the planner means, and the way out.
fn finding(kind: FindingKind) -> (&'static str, &'static str) {
    match kind {
        FindingKind::FilteredCycle => (
            "Edges of one cycle admit different events, so a later event could overtake an earlier one that then passes for a duplicate.",
            "The same filters on every edge of the component, an `exportFilter`, or fewer links.",
        ),
        FindingKind::DuplicateEdge => (
            "Two links carry the same direction between the same locations.",
            "Take one of them away.",
        ),
        FindingKind::DuplicateLocation => ("A location is listed twice.", "List it once."),
        FindingKind::DuplicateLink => ("Two links have one name.", "Rename one."),
        FindingKind::UnknownLocation => (
            "A link names a location that the log does not have.",
            "Add it to `spec.locations`, or correct the name.",
        ),
        FindingKind::InvalidTopology => (
            "A shape contradicts itself, such as a hub among its own spokes.",
            "Correct the shape.",
        ),
        FindingKind::NoEndpoint => (
            "Nobody can open the connection: the side that would be dialled has no endpoint.",
            "Give one of the two an `endpoint`, or let the other side dial.",
        ),
        FindingKind::InvalidFilter => (
            "A filter does not parse, names something unknown, is too large or gives no boolean.",
            "Correct the expression; `tidelog filter test` shows what it does.",
        ),
        FindingKind::UnguardedKey => (
            "A filter reads a key that may be absent, where it would fail.",
            "`has(event.metadata.key) && …`.",
        ),
        FindingKind::UnusedFilter => (
            "A filter is on no edge of its link.",
            "Correct its `sources` and `targets`, or take it away.",
        ),
        FindingKind::SinglePointOfFailure => (
            "One location connects some others with the rest.",
            "Meant, or a second link around it.",
        ),
        FindingKind::Disconnected => ("Some locations have no link to the others.", "Add a link."),
    }
}

const FINDINGS: [FindingKind; 12] = [
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

/// The page.
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    out.push_str("\n| state | reason | meaning | what to do |\n|---|---|---|---|\n");
    for state in STATES {
        for (reason, meaning, way_out) in reasons(state) {
            let reason = if reason.is_empty() {
                String::new()
            } else {
                format!("`{reason}`")
            };
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(
                out,
                "| {state:?} | {reason} | {} | {} |",
                cell(meaning),
                cell(way_out)
            );
        }
    }
    out.push_str(
        "\n`tidelog status` writes `(cut)` or `(paused)` behind the state when a command did it.\n\n\
         ## Findings of a plan\n\n\
         `tidelog plan` and the start of `tidelog dev` judge the links before anything runs. An error refuses the whole plan (exit code 3); a running network \
         keeps its old one.\n\n\
         | finding | severity | meaning | what to do |\n|---|---|---|---|\n",
    );
    for kind in FINDINGS {
        let (meaning, way_out) = finding(kind);
        let severity = format!("{:?}", kind.severity()).to_lowercase();
        let _ = writeln!(
            out,
            "| `{kind}` | {severity} | {} | {} |",
            cell(meaning),
            cell(way_out)
        );
    }
    out
}

/// Reasons that this page tells.
pub fn told() -> BTreeSet<String> {
    let all = STATES.into_iter().flat_map(reasons);
    all.map(|(reason, _, _)| (*reason).to_owned())
        .filter(|reason| !reason.is_empty())
        .collect()
}

/// Reasons that the code gives: words in CamelCase in the files that set states of edges.
pub fn given() -> Result<BTreeSet<String>> {
    let word = Regex::new(r#""((?:[A-Z][a-z]+)+)""#)?;
    let mut found = BTreeSet::new();
    for place in [
        "sidecar/core/src/target.rs",
        "sidecar/core/src/target",
        "sidecar/core/src/source",
        "sidecar/replication/src/edge.rs",
        "sidecar/replication/src/source.rs",
        "sidecar/replication/src/target.rs",
    ] {
        for text in code(place)? {
            found.extend(word.captures_iter(&text).map(|found| found[1].to_owned()));
        }
    }
    Ok(found)
}
