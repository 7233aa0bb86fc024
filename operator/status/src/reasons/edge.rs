//! What an edge may say of itself: its state, and why it is in it. A link takes the reason of its worst edge.

use tidelog_api::{ConditionStatus, EdgeState};

use crate::table::{Meaning, row};

/// A reason of an edge in one state.
#[derive(Debug, Clone, Copy)]
pub struct EdgeReason {
    /// The state.
    pub state: EdgeState,
    /// The word for programs; empty where the state says everything.
    pub reason: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub hint: &'static str,
}

impl EdgeReason {
    /// The reason of a condition because of this: that of the edge, or else that of its state.
    pub fn word(&self) -> &'static str {
        match self.reason {
            "" => row(self.state).1.reason,
            word => word,
        }
    }
}

const fn told(
    state: EdgeState,
    reason: &'static str,
    meaning: &'static str,
    hint: &'static str,
) -> EdgeReason {
    EdgeReason {
        state,
        reason,
        meaning,
        hint,
    }
}

/// State, reason, meaning, what to do.
pub const EDGE_REASONS: &[EdgeReason] = &[
    told(
        EdgeState::Pending,
        "",
        "Configured, not tried yet.",
        "Nothing.",
    ),
    told(
        EdgeState::Connecting,
        "",
        "Dialling, or opening a stream.",
        "Nothing; if it lasts, look at the message.",
    ),
    told(
        EdgeState::Connecting,
        "NotReady",
        "The source answers and does not serve yet: it starts, or is not the writer of its log.",
        "Nothing; look at the source if it lasts.",
    ),
    told(
        EdgeState::Connecting,
        "StorageUnavailable",
        "The target could not store a frame.",
        "Look at the database of the target; the frame is sent again.",
    ),
    told(
        EdgeState::CatchingUp,
        "",
        "Copies what is behind.",
        "Nothing; the lag falls.",
    ),
    told(
        EdgeState::Streaming,
        "",
        "Up to date, follows live.",
        "Nothing.",
    ),
    told(
        EdgeState::Paused,
        "Paused",
        "Paused at this end, by `paused` of the link or the log, or by `tidelog edge pause`.",
        "`tidelog edge resume`, or take `paused` out of the manifest; both may hold.",
    ),
    told(
        EdgeState::Paused,
        "PausedAtSource",
        "The same, at the source.",
        "Resume it there.",
    ),
    told(
        EdgeState::Paused,
        "PausedAtTarget",
        "The same, at the target.",
        "Resume it there.",
    ),
    told(
        EdgeState::Stalled,
        "FilterError",
        "The filter failed on an event and says `onError: Stall`.",
        "Guard the key with `has(...)`, or choose `onError: Drop` or `Pass`. The message names event and key.",
    ),
    told(
        EdgeState::Stalled,
        "EventTooLarge",
        "The next event is beyond a limit of the target.",
        "Upgrade the target: the limits of a build are fixed.",
    ),
    told(
        EdgeState::Stalled,
        "VectorFull",
        "The next event would give the version vector more entries than a vector may have.",
        "Too many locations and incarnations; `tidelog status` warns at half the limit.",
    ),
    told(
        EdgeState::Stalled,
        "IdentityReused",
        "Source and target hold different events under one id, or the target holds one that the source took back after a loss.",
        "A person decides which history stands; restore the other location from a copy or start it anew under another name.",
    ),
    told(
        EdgeState::Stalled,
        "NoProgress",
        "The source offers another position than was asked for.",
        "It is tried again; if it lasts, compare the logs with `tidelog diff` and `tidelog verify`.",
    ),
    told(
        EdgeState::Stalled,
        "SourceReset",
        "A frame belongs to another incarnation of the source, or proves that this location has lost events.",
        "Nothing; the stream is opened anew, the location raises its incarnation if it has to.",
    ),
    told(
        EdgeState::Stalled,
        "Rejected",
        "The source breaks the protocol: order, digests, credit.",
        "It is tried again; the message names the event. A defect or a foreign program.",
    ),
    told(
        EdgeState::Unreachable,
        "PeerUnreachable",
        "Nobody answers at the address, the connection broke, or the peer that has to dial has not.",
        "Look at the peer, the address and the network; it is tried again, after about 100 ms at first, at most 10 s apart by default.",
    ),
    told(
        EdgeState::Unreachable,
        "Cut",
        "Cut by `tidelog edge cut` (development networks only).",
        "`tidelog edge heal`.",
    ),
    told(
        EdgeState::Incompatible,
        "VersionIncompatible",
        "The next event was written by a newer version of the application than the target declares, or the two ends speak no common protocol.",
        "Upgrade the target (`spec.application.version`), or the older of the two.",
    ),
    told(
        EdgeState::Incompatible,
        "ApplicationMismatch",
        "The two ends name different applications for one log.",
        "Correct `spec.application.name`; it belongs to the log.",
    ),
    told(
        EdgeState::Rejected,
        "CertificateRejected",
        "One side does not accept the other's certificate; the message says which and why.",
        "See [secure connections](../guides/secure-connections.md); it is tried again, and goes on when the files are mended.",
    ),
    told(
        EdgeState::Rejected,
        "EdgeNotAllowed",
        "The peer has no link for this edge.",
        "Apply the same manifests at both ends.",
    ),
    told(
        EdgeState::Rejected,
        "DuplicateLocation",
        "Another location answers at the address than was meant.",
        "Correct the endpoint, or give one of them another name.",
    ),
    told(
        EdgeState::Rejected,
        "Rejected",
        "The peer breaks the contract and is not asked again for an hour, or until the settings change.",
        "The message names the event; see the log of the peer.",
    ),
    told(
        EdgeState::SourceReset,
        "SourceReset",
        "The source has lost events or was restored; progress goes back to what both share.",
        "Nothing; see the guide on loss and recovery.",
    ),
];

/// Whether a link may say so because of an edge. An edge that gives no reason has that of its state.
pub(super) fn is_told(type_: &str, status: ConditionStatus, reason: &str) -> bool {
    EDGE_REASONS.iter().any(|told| {
        let known = row(told.state).1;
        let is_it = told.reason == reason || known.reason == reason;
        let says = match (type_, status) {
            ("Connected" | "Ready", ConditionStatus::False) => known.meaning != Meaning::Flows,
            ("Stalled", ConditionStatus::True) => known.meaning == Meaning::Stuck,
            ("Synced", ConditionStatus::Unknown) => known.meaning != Meaning::Flows,
            _ => false,
        };
        is_it && says
    })
}
