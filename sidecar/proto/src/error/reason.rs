//! The table of reasons.

use std::fmt::Write as _;

use tonic::Code;

use super::key;

macro_rules! reasons {
    ($( $variant:ident, $name:literal, $code:ident, [$($key:ident),*], $meaning:literal, $remedy:literal; )*) => {
        /// Why a call failed, the same words in every service: the `reason` of a `google.rpc.ErrorInfo`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorReason {
            $( #[doc = $meaning] $variant, )*
        }

        impl ErrorReason {
            /// All reasons, in the order of the reference.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )*];

            /// The reason as it travels.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// The status code that it comes with.
            pub fn code(self) -> Code {
                match self { $( Self::$variant => Code::$code, )* }
            }

            /// What it means, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $( Self::$variant => $meaning, )* }
            }

            /// What the caller does about it.
            pub fn remedy(self) -> &'static str {
                match self { $( Self::$variant => $remedy, )* }
            }

            /// The metadata that it carries when known.
            pub fn metadata_keys(self) -> &'static [&'static str] {
                match self { $( Self::$variant => &[$( key::$key ),*], )* }
            }
        }
    };
}

reasons! {
    InvalidRequest, "INVALID_REQUEST", InvalidArgument, [],
        "A field of the request does not have its form.",
        "Correct the field named in the violations.";
    InvalidEvent, "INVALID_EVENT", InvalidArgument, [],
        "A field of an event breaks a limit or does not have its form.",
        "Correct the field named in the violations.";
    InvalidFilter, "INVALID_FILTER", InvalidArgument, [],
        "The CEL expression of a selector does not parse, has the wrong type, or is too large.",
        "Correct the expression; the message names the place.";
    ContextAhead, "CONTEXT_AHEAD", InvalidArgument, [MISSING],
        "The context of the request names events that this log does not hold.",
        "Await the context here first, or append where it was read.";
    RequestIdReused, "REQUEST_ID_REUSED", InvalidArgument, [],
        "The request id was used before, with other content.",
        "Take a new id for a new request; repeat the same content to retry the old one.";
    ConditionFailed, "CONDITION_FAILED", FailedPrecondition, [SEQUENCE],
        "An event that the condition looks at was stored after the position it names.",
        "Read what was added, decide again, and append with the new position.";
    VersionIncompatible, "VERSION_INCOMPATIBLE", FailedPrecondition, [],
        "The two sides run versions that do not understand each other.",
        "Upgrade the older side.";
    Paused, "PAUSED", FailedPrecondition, [],
        "The edge is paused.",
        "Resume it, or remove the pause from the link.";
    EventTooLarge, "EVENT_TOO_LARGE", ResourceExhausted, [ACTUAL, LIMIT],
        "An event is larger than any event may be.",
        "Store the content elsewhere and append a reference, or split it.";
    RequestTooLarge, "REQUEST_TOO_LARGE", ResourceExhausted, [ACTUAL, LIMIT],
        "The events of one request are together larger, or more, than a request may have.",
        "Split it into several requests.";
    QueueFull, "QUEUE_FULL", ResourceExhausted, [],
        "More requests wait for the writer than it takes.",
        "Retry after the time given in the retry information.";
    StorageFull, "STORAGE_FULL", ResourceExhausted, [],
        "The database has no room.",
        "Make room; appends resume by themselves.";
    NotWriter, "NOT_WRITER", Unavailable, [WRITER_ADDRESS],
        "Another process is the writer of this log.",
        "Retry at the address given, or here when it has taken over.";
    StorageUnavailable, "STORAGE_UNAVAILABLE", Unavailable, [],
        "The database does not answer.",
        "Retry; if it lasts, look at the database.";
    Recovering, "RECOVERING", Unavailable, [],
        "The location is getting back what it lost and cannot judge repetitions yet.",
        "Retry after the time given in the retry information.";
    ShuttingDown, "SHUTTING_DOWN", Unavailable, [],
        "The process is stopping.",
        "Retry; another one takes over.";
    OutcomeUnknown, "OUTCOME_UNKNOWN", Unknown, [],
        "The append may be in the log or not; no other error leaves that open.",
        "Retry with the same request id; without one, read the log first.";
    TokenNotCovered, "TOKEN_NOT_COVERED", DeadlineExceeded, [MISSING],
        "The log did not cover the token before the deadline.",
        "Wait longer, or look at the edges on which the missing events arrive.";
    PositionAhead, "POSITION_AHEAD", OutOfRange, [HEAD],
        "The position lies beyond the head of the log.",
        "Continue from the head; a position belongs to the location that gave it.";
    HistoryTruncated, "HISTORY_TRUNCATED", OutOfRange, [TRUNCATED_BELOW],
        "The events asked for were deleted.",
        "Start at the sequence given.";
    LostEvents, "LOST_EVENTS", DataLoss, [MISSING],
        "The token names events that no location holds any more.",
        "Do not wait for them; treat what depends on them as not written.";
    Corrupted, "CORRUPTED", DataLoss, [SEQUENCE, EVENT_ID],
        "Stored bytes are not what was written.",
        "Verify the log and restore the location from a copy or a peer.";
    IncarnationChanged, "INCARNATION_CHANGED", Aborted, [LAST_SAFE_POSITION],
        "A loss has invalidated the position.",
        "Continue from the last safe position; what was derived from later events is to be checked.";
    Fenced, "FENCED", Aborted, [],
        "A later writer, incarnation or database has taken over; nothing was appended.",
        "Retry; the location answers again when its writer has been settled.";
    ConsumerTaken, "CONSUMER_TAKEN", Aborted, [],
        "Another stream began under the same consumer name.",
        "Let one stream run per name.";
    LogNotFound, "LOG_NOT_FOUND", NotFound, [],
        "This address does not serve the log, or serves several and none was named.",
        "Name one of the logs listed in the message.";
    ConsumerNotFound, "CONSUMER_NOT_FOUND", NotFound, [],
        "No consumer has this name.",
        "List the consumers; the first acknowledgement creates one.";
    DuplicateLocation, "DUPLICATE_LOCATION", AlreadyExists, [LOCATION],
        "Two locations claim the same name.",
        "Give one of them another name; a name is never reused.";
    LocationNotVouched, "LOCATION_NOT_VOUCHED", PermissionDenied, [LOCATION],
        "The certificate does not vouch for the location that the peer claims to be.",
        "Issue a certificate for that location, or correct the name.";
    EdgeNotAllowed, "EDGE_NOT_ALLOWED", PermissionDenied, [],
        "No link connects the two locations in this direction.",
        "Add the link, or correct the names.";
    CertificateRejected, "CERTIFICATE_REJECTED", Unauthenticated, [],
        "There is no client certificate, or none of a trusted issuer.",
        "Present a certificate that the location trusts.";
}

impl ErrorReason {
    /// The reason of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.as_str() == name)
    }

    /// The domain of all reasons.
    pub const fn domain() -> &'static str {
        "tidelog.dev"
    }

    /// True when no call of this version answers it: the name is kept for what is to come, so that a client can be written for it now.
    pub fn is_reserved(self) -> bool {
        matches!(
            self,
            Self::VersionIncompatible
                | Self::Paused
                | Self::HistoryTruncated
                | Self::DuplicateLocation
                | Self::CertificateRejected
        )
    }

    /// True when the same request may succeed later without being changed.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::QueueFull
            | Self::StorageFull
            | Self::NotWriter
            | Self::StorageUnavailable
            | Self::Recovering
            | Self::ShuttingDown
            | Self::OutcomeUnknown
            | Self::TokenNotCovered
            | Self::Fenced => true,
            Self::InvalidRequest
            | Self::InvalidEvent
            | Self::InvalidFilter
            | Self::ContextAhead
            | Self::RequestIdReused
            | Self::ConditionFailed
            | Self::VersionIncompatible
            | Self::Paused
            | Self::EventTooLarge
            | Self::RequestTooLarge
            | Self::PositionAhead
            | Self::HistoryTruncated
            | Self::LostEvents
            | Self::Corrupted
            | Self::IncarnationChanged
            | Self::ConsumerTaken
            | Self::LogNotFound
            | Self::ConsumerNotFound
            | Self::DuplicateLocation
            | Self::LocationNotVouched
            | Self::EdgeNotAllowed
            | Self::CertificateRejected => false,
        }
    }
}

impl std::fmt::Display for ErrorReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a status code as gRPC spells it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The table of reasons as Markdown, for the reference of errors.
pub fn reference() -> String {
    let mut out = String::from(
        "| reason | status | retry unchanged | metadata | meaning | what to do |\n|---|---|---|---|---|---|\n",
    );
    for reason in ErrorReason::ALL {
        let keys: Vec<String> = reason
            .metadata_keys()
            .iter()
            .map(|k| format!("`{k}`"))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {}{} | {} |",
            reason.as_str(),
            code_name(reason.code()),
            if reason.is_retryable() { "yes" } else { "no" },
            keys.join(", "),
            if reason.is_reserved() {
                "*Reserved.* "
            } else {
                ""
            },
            reason.meaning(),
            reason.remedy(),
        );
    }
    out
}
