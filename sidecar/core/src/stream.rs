//! What source and target say to each other: one stream per directed edge, its random id chosen by the target.

use tidelog_model::{
    ApplicationVersion, ChainHash, EventId, Incarnation, Lineage, LocationName, StoredEvent,
    VectorTime,
};
use tidelog_store::VoidedId;

use crate::frame::Frame;

/// Version of the stream protocol spoken here.
pub const PROTOCOL_VERSION: u32 = 1;

/// The target's state, first message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Random, never 0.
    pub stream: u64,
    /// The log.
    pub log: String,
    /// Who asks.
    pub target: LocationName,
    /// Who is asked.
    pub source: LocationName,
    /// The target's progress on the source.
    pub position: u64,
    /// The source's hash chain there, as the target stored it.
    pub hash: ChainHash,
    /// The source's lineage, as the target stored it.
    pub source_lineage: Lineage,
    /// What the target stores.
    pub version_vector: VectorTime,
    /// What the target covers.
    pub covered_vector: VectorTime,
    /// The target's lineage.
    pub target_lineage: Lineage,
    /// The greatest incarnation of the source that the target has seen anywhere.
    pub source_incarnation_known: Incarnation,
    /// The plan that the target runs.
    pub spec_hash: String,
    /// Name of the application.
    pub application_name: String,
    /// Version of the application at the target.
    pub application_version: ApplicationVersion,
    /// Stream protocol.
    pub protocol_version: u32,
    /// Newest canonical bytes that the target reads.
    pub canonical_version: u32,
    /// Bytes that may be sent before the first credit.
    pub credit_bytes: u64,
    /// The edge's filter in the target's plan.
    pub filter_hash: String,
}

/// The source's consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Of the Open.
    pub stream: u64,
    /// The source's lineage.
    pub lineage: Lineage,
    /// Where the stream starts.
    pub position: u64,
    /// The hash chain there.
    pub hash: ChainHash,
    /// The source's head.
    pub head: u64,
    /// Ids that a raise of the source took back.
    pub voided: Vec<VoidedId>,
    /// The plan that the source runs.
    pub spec_hash: String,
    /// Name of the application.
    pub application_name: String,
    /// Version of the application at the source.
    pub application_version: ApplicationVersion,
    /// The edge's filter in the source's plan.
    pub filter_hash: String,
}

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// Position, hash or lineage do not agree: go back.
    PositionMismatch,
    /// The target knows more of the source than the source does.
    SourceBehind,
    /// Not the location or log that was meant.
    WrongLocation,
    /// Not an edge of the plan.
    EdgeNotAllowed,
    /// Paused by plan or command.
    Paused,
    /// Protocol or canonical bytes of an unknown version.
    Incompatible,
    /// Another application.
    ApplicationMismatch,
    /// The peer is not ready to serve.
    NotReady,
    /// A peer broke the contract; not before an hour.
    Rejected,
    /// Cut by command.
    Cut,
}

/// No stream under these terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Of the Open, 0 for none.
    pub stream: u64,
    /// Why, for programs.
    pub kind: RefusalKind,
    /// Why and what to do, for people.
    pub message: String,
    /// The source's lineage.
    pub lineage: Lineage,
    /// With `PositionMismatch`: where both may agree.
    pub position: u64,
    /// The source's hash chain there.
    pub hash: ChainHash,
}

/// What the target has applied and what more it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credit {
    /// The stream.
    pub stream: u64,
    /// Bytes in addition.
    pub bytes: u64,
    /// What the target stores; `None` when unchanged.
    pub version_vector: Option<VectorTime>,
    /// What the target covers; `None` when unchanged.
    pub covered_vector: Option<VectorTime>,
    /// Applied up to here.
    pub progress: u64,
}

/// Alive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heartbeat {
    /// The stream.
    pub stream: u64,
    /// Head of the sender.
    pub head: u64,
    /// The sender's clock, microseconds since the Unix epoch.
    pub time_micros: i64,
    /// From a source: when the oldest event that the target has not acknowledged was stored.
    pub next_stored_at_micros: Option<i64>,
    /// Why the sender does not go on: reason and message.
    pub stalled: Option<(String, String)>,
    /// From a source: sent up to here.
    pub sent: u64,
    /// The plan that the sender runs; `None` says nothing new.
    pub spec_hash: Option<String>,
    /// The edge's filter at the sender: what a source evaluates, what a target's plan has. `None` says nothing new.
    pub filter_hash: Option<String>,
}

/// Whether an edge lets an event through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It passes.
    Pass,
    /// A filter keeps it back.
    Filtered,
    /// A filter could not be evaluated: the edge waits before this event.
    Stall(String),
}

/// The filters of an edge, the location's own export filter included: a pure function of the event.
pub trait EdgeFilter: Send + Sync {
    /// Judges one event of the source's log.
    fn admit(&self, event: &StoredEvent) -> Admission;
}

/// Lets everything through.
pub struct NoFilter;

impl EdgeFilter for NoFilter {
    fn admit(&self, _: &StoredEvent) -> Admission {
        Admission::Pass
    }
}

impl Frame {
    /// What a frame costs of the target's credit, in bytes; both sides count the same.
    pub fn cost(&self) -> u64 {
        256 + self.events.iter().map(|e| e.bytes as u64 + 8).sum::<u64>()
            + 32 * self.covered.len() as u64
    }
}

/// The id by which a suspected loss is proven: this event or the nearest later one of its origin.
pub type ProofQuestion = EventId;
