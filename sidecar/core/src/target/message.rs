//! What a target is told, what it asks its driver to do, and what it shows of itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidelog_model::{ApplicationVersion, EventId, LocationName};
use tidelog_store::{Progress, VoidedId};

use crate::frame::{Frame, FrameOutcome};
use crate::log::FrameWork;
use crate::stream::{Credit, Heartbeat, Open, Opened, Refused};
use crate::view::LogView;

/// An edge as its target knows it.
#[derive(Debug, Clone)]
pub struct TargetConfig {
    /// The log.
    pub log: String,
    /// The other location.
    pub source: LocationName,
    /// This one.
    pub target: LocationName,
    /// The plan that runs here.
    pub spec_hash: String,
    /// Name of the application.
    pub application_name: String,
    /// Version of the application here.
    pub application_version: ApplicationVersion,
    /// Identity of the edge's filter in the plan here.
    pub filter_hash: String,
    /// Locations behind the source, seen from here.
    pub behind: Arc<BTreeSet<LocationName>>,
    /// Bytes in flight.
    pub window_bytes: u64,
}

/// What the target is told.
#[derive(Debug)]
pub enum TargetInput {
    /// A connection to the source stands; the stream gets this random id (not 0). To be told after the newest view, and after everything that
    /// an earlier stream gave to the writer: a stream that is opened at a position which the writer has left is of no use, and nobody may notice
    /// while its source is silent.
    Connected(u64),
    /// The source agreed.
    Opened(Box<Opened>),
    /// The source refused.
    Refused(Box<Refused>),
    /// A frame arrived.
    Frame(Box<Frame>),
    /// The source is alive.
    Heartbeat(Heartbeat),
    /// The writer is done with the frame. The view that shows it may come before or after.
    Applied(FrameOutcome),
    /// The writer is done with going back. The view that shows it may come before or after.
    WentBack(FrameOutcome),
    /// Which of the voided ids asked about is held here.
    Voided(Option<EventId>),
    /// The log moved on (also by other streams).
    View(Arc<LogView>),
    /// The connection is gone.
    Disconnected(String),
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// At once.
    Now,
    /// With growing, jittered pauses.
    Backoff,
    /// Not before an hour, or a change of configuration.
    Hour,
}

/// What the driver of a target has to do.
#[derive(Debug)]
pub enum TargetEffect {
    /// Open the stream.
    Open(Box<Open>),
    /// Hand a frame to the writer; answer with [`TargetInput::Applied`].
    Apply(Box<FrameWork>),
    /// Go back in the writer; answer with [`TargetInput::WentBack`].
    GoBack(Progress),
    /// Look whether one of these is held; answer with [`TargetInput::Voided`].
    FindVoided(Vec<VoidedId>),
    /// Tell the source.
    Credit(Credit),
    /// End the connection and try again.
    Close(String, Retry),
}

/// State of an edge, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EdgeState {
    /// Not started.
    Pending,
    /// Dialling or shaking hands.
    Connecting,
    /// Runs, behind the source's head.
    CatchingUp,
    /// Runs, at the source's head.
    Streaming,
    /// Paused by plan or command.
    Paused,
    /// Does not go on until somebody acts.
    Stalled,
    /// No connection.
    Unreachable,
    /// Versions do not fit.
    Incompatible,
    /// Refused by rule.
    Rejected,
    /// Goes back because the source lost events.
    SourceReset,
}

/// What is known about an edge at its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// The state.
    pub state: EdgeState,
    /// One CamelCase word; empty when all is well.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The source's head as last heard, with the local time of hearing. `None` before.
    pub source_head: Option<(u64, i64)>,
    /// The source's clock minus `stored_at` of the oldest event not yet copied, as last heard.
    pub behind_micros: Option<i64>,
    /// Events received and found here already.
    pub redundant_total: u64,
    /// Events received and stored.
    pub stored_total: u64,
    /// Events that the source's filter kept back, as far as frames told.
    pub filtered_total: u64,
    /// The plan that the source runs.
    pub peer_spec_hash: String,
    /// The filter that the source evaluates.
    pub peer_filter_hash: String,
}
