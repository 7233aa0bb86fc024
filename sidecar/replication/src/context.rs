//! What the tasks of all edges share, and what is said to each of them.

use std::sync::Arc;

use tidelog_engine::{Clock, LogHandle, Random};
use tidelog_model::{ApplicationVersion, LocationName};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::carrier::Dialler;
use crate::connection::Connection;
use crate::options::{Filters, IncomingEdge, OutgoingEdge, Tuning};
use crate::recovery::Recovery;
use crate::status::Board;

/// What does not change while replication runs.
pub(crate) struct Shared {
    pub(crate) log_name: String,
    pub(crate) location: LocationName,
    pub(crate) log: LogHandle,
    pub(crate) tuning: Tuning,
    /// In place of TCP.
    pub(crate) dialler: Option<Dialler>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) board: Board,
    pub(crate) recovery: Recovery,
    pub(crate) stopping: CancellationToken,
}

impl Shared {
    pub(crate) fn now(&self) -> i64 {
        (self.clock)()
    }

    /// A fresh id of a stream: never 0, never that of another stream with any practical likelihood.
    pub(crate) fn stream_id(&self) -> u64 {
        (self.random)().max(1)
    }

    pub(crate) fn heard_bound_micros(&self) -> i64 {
        i64::try_from(self.tuning.heard_bound().as_micros()).unwrap_or(i64::MAX)
    }
}

/// One edge of the settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EdgeSpec {
    Incoming(IncomingEdge),
    Outgoing(OutgoingEdge, Filters),
}

impl EdgeSpec {
    pub(crate) fn dial(&self) -> Option<&str> {
        match self {
            Self::Incoming(edge) => edge.dial.as_deref(),
            Self::Outgoing(edge, _) => edge.dial.as_deref(),
        }
    }

    pub(crate) fn paused(&self) -> bool {
        match self {
            Self::Incoming(edge) => edge.paused,
            Self::Outgoing(edge, _) => edge.paused,
        }
    }
}

/// The settings that all edges share.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Common {
    pub(crate) spec_hash: String,
    pub(crate) application_name: String,
    pub(crate) application_version: ApplicationVersion,
}

/// What is wanted of one edge now.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) spec: Arc<EdgeSpec>,
    pub(crate) common: Arc<Common>,
    /// Rises when a running stream must not go on under the old settings.
    pub(crate) revision: u64,
    pub(crate) paused_by_command: bool,
    pub(crate) cut: bool,
    /// Rises to end a pause before dialling.
    pub(crate) kick: u64,
}

impl Control {
    /// Whether a stream that began under a revision of the settings may go on.
    pub(crate) fn lets_run(&self, revision: u64) -> bool {
        self.revision == revision && !self.cut && !self.paused_by_command && !self.spec.paused()
    }
}

/// What an edge has to look at besides its stream.
pub(crate) struct Signals {
    pub(crate) control: watch::Receiver<Control>,
    pub(crate) accepted: mpsc::Receiver<Connection>,
    pub(crate) epoch: watch::Receiver<u64>,
    pub(crate) stopping: CancellationToken,
}

/// Something happened besides the stream.
pub(crate) enum Signal {
    /// Settings or commands changed.
    Control,
    /// The writer changed: streams of before are void.
    Epoch,
    /// The peer has dialled.
    Accepted(Box<Connection>),
    /// The edge is gone, or everything stops.
    Stop,
}

impl Signals {
    /// The next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Signal::Stop,
            changed = self.control.changed() => match changed {
                Ok(()) => Signal::Control,
                Err(_) => Signal::Stop,
            },
            changed = self.epoch.changed() => match changed {
                Ok(()) => Signal::Epoch,
                Err(_) => Signal::Stop,
            },
            accepted = self.accepted.recv() => match accepted {
                Some(connection) => Signal::Accepted(Box::new(connection)),
                None => Signal::Stop,
            },
        }
    }
}

/// How a stream ended.
pub(crate) struct End {
    pub(crate) why: String,
    pub(crate) pause: Pause,
    /// The peer has dialled again: this connection takes the place of the one before.
    pub(crate) next: Option<Box<Connection>>,
}

/// What to do before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Nothing: the reason to end has passed.
    None,
    /// Growing pauses.
    Backoff,
    /// A pause that does not grow beyond a second: a person will lift the reason.
    Short,
    /// An hour, or until something changes.
    Hour,
}

impl End {
    pub(crate) fn new(why: impl Into<String>, pause: Pause) -> Self {
        Self {
            why: why.into(),
            pause,
            next: None,
        }
    }
}
