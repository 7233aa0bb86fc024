//! Frames: what a source sends and a target applies.
//!
//! ```text
//!   source's log   … 40 │ 41 42 43 44 45 │ 46 …        frame (40, 45]
//!                    h(40)              h(45)           events: those that pass the filter and are not covered
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use tidelog_model::{
    CanonicalError, ChainHash, Digest, Event, EventId, Incarnation, LimitError, Lineage,
    LocationName, VectorTime, canonical,
};

/// An event as it travels: its canonical bytes, decoded, with the digest over those very bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameEvent {
    /// The event.
    pub event: Arc<Event>,
    /// Digest over the canonical bytes.
    pub digest: Digest,
    /// Length of the canonical bytes.
    pub bytes: usize,
}

impl FrameEvent {
    /// Reads what a peer sent. The digest needs no trust: it is computed over the bytes, and the strict decoder accepts one encoding only.
    pub fn decode(bytes: &Bytes) -> Result<Self, CanonicalError> {
        let event = canonical::decode(bytes)?;
        Ok(Self {
            event: Arc::new(event),
            digest: Digest::of(bytes),
            bytes: bytes.len(),
        })
    }
}

/// Positions `(from, to]` of one source in one of its incarnations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The stream, as the target named it.
    pub stream: u64,
    /// Incarnation of the source.
    pub incarnation: Incarnation,
    /// Exclusive.
    pub from: u64,
    /// Inclusive. Equal to `from` in a frame that carries vectors only.
    pub to: u64,
    /// The source's hash chain at `from`.
    pub hash_from: ChainHash,
    /// The source's hash chain at `to`.
    pub hash_to: ChainHash,
    /// Events of `(from, to]` that pass the filter and are not covered by what the target declared on this stream.
    pub events: Vec<FrameEvent>,
    /// What the source covers as of `to`.
    pub covered: VectorTime,
    /// The source's head when the frame was made.
    pub head: u64,
    /// Events of `(from, to]` that the filter kept back.
    pub filtered: u64,
}

/// What the target knows about an edge besides the frame itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeContext {
    /// The source's location.
    pub source: LocationName,
    /// The source's lineage as opened on this stream; stored with the progress.
    pub lineage: Lineage,
    /// Locations behind the source, seen from this target: the only ones whose covered entries are merged.
    pub behind: Arc<BTreeSet<LocationName>>,
}

/// What became of a frame in the target's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameOutcome {
    /// Applied: progress is at `to`.
    Applied {
        /// Events stored.
        stored: usize,
        /// Events that were here already.
        redundant: usize,
    },
    /// Lies behind the progress: nothing to do.
    Dropped,
    /// Does not continue the progress: close the stream and open it at the progress.
    Discontinuous,
    /// The source breaks a rule or cannot be followed: the edge stalls and says why.
    Stalled(FrameFault),
    /// The frame proves that this location lost events of its current incarnation.
    LossProven(Box<FrameEvent>),
    /// The store refused for now; the frame is not applied and the stream is to be reopened after a while.
    Failed(String),
}

/// Why a frame cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameFault {
    /// An event breaks a limit of this location.
    #[error("event {id} breaks a limit here: {error}")]
    Limit {
        /// The event.
        id: EventId,
        /// Which limit.
        error: LimitError,
    },
    /// The frame's covered vector does not cover an event in it.
    #[error("event {id} is not covered by the frame's own vector")]
    NotCovered {
        /// The event.
        id: EventId,
    },
    /// An event of the frame comes after one that has seen it.
    #[error("event {id} comes after an event that has seen it; its source does not keep the order")]
    OutOfOrder {
        /// The event.
        id: EventId,
    },
    /// An event has seen own events of this location that were never written here.
    #[error(
        "event {id} has seen {seen}, which this location has never written; either a loss here was not noticed or its source invents events, and a person has to decide"
    )]
    NeverWritten {
        /// The event.
        id: EventId,
        /// What is beyond the history here.
        seen: VectorTime,
    },
    /// One id with two contents.
    #[error(
        "event {id} is stored here with another content ({held} here, {received} received); one of the two locations reused an id and a person has to decide"
    )]
    IdentityReused {
        /// The id.
        id: EventId,
        /// Digest here.
        held: Digest,
        /// Digest received.
        received: Digest,
    },
    /// The version vector has no room for the event's origins.
    #[error("event {id} needs {entries} vector entries, the limit is {limit}", limit = tidelog_model::caps::VECTOR_ENTRIES_MAX)]
    VectorFull {
        /// The event.
        id: EventId,
        /// Entries needed.
        entries: usize,
    },
    /// The covered vector has no room for what the frame covers.
    #[error("the frame makes the covered vector {entries} entries long, the limit is {limit}", limit = tidelog_model::caps::VECTOR_ENTRIES_MAX)]
    CoveredFull {
        /// Entries needed.
        entries: usize,
    },
    /// Numbers that contradict each other.
    #[error("frame ({from}, {to}] holds {events} events")]
    Malformed {
        /// Exclusive.
        from: u64,
        /// Inclusive.
        to: u64,
        /// Events in it.
        events: usize,
    },
}
