//! What the planner is told: plain data, already checked for its form by whoever read it.

use serde::Serialize;
use tidelog_filter::OnError;

/// An event log and the locations it lives at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Name of the log.
    pub name: String,
    /// The application whose events it holds.
    pub application: Application,
    /// Where it lives.
    pub locations: Vec<Location>,
}

/// The application whose events a log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Name; part of what all locations agree on.
    pub name: String,
    /// Version, dotted integers; may differ between locations while it is rolled out.
    pub version: String,
}

/// One copy of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Name, a key of every clock.
    pub name: String,
    /// Where others reach it; without one this side dials.
    pub endpoint: Option<Endpoint>,
    /// Which events appended here may leave.
    pub export_filter: Option<ExportFilter>,
}

/// Address of a replication port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Filter on the events that are appended at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportFilter {
    /// The expression.
    pub cel: String,
    /// What happens when it fails.
    pub on_error: OnError,
}

/// A link: a shape, filters and how it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Name of the link.
    pub name: String,
    /// The shape.
    pub topology: Topology,
    /// Filters on some of its edges.
    pub filters: Vec<LinkFilter>,
    /// Largest frame.
    pub batch: Batch,
    /// Beyond this lag the link is not synced.
    pub lag_threshold: LagThreshold,
    /// Stopped on purpose; its edges still count for every rule.
    pub paused: bool,
}

/// The shape of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// Every location copies from every other.
    Dense {
        /// The locations.
        locations: Vec<String>,
    },
    /// Spokes around one hub.
    HubAndSpoke {
        /// The location in the middle.
        hub: String,
        /// The locations around it.
        spokes: Vec<String>,
        /// Which way events flow.
        direction: HubDirection,
        /// Who opens connections.
        dial: DialSide,
    },
    /// One location copies from another.
    PointToPoint {
        /// The location that is copied from.
        source: String,
        /// The location that copies.
        target: String,
        /// Which way events flow.
        direction: PointDirection,
    },
}

/// Which way events flow between hub and spokes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HubDirection {
    /// Both ways.
    #[default]
    Both,
    /// Spokes only receive.
    HubToSpokes,
    /// Spokes only send.
    SpokesToHub,
}

/// Who opens connections between hub and spokes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DialSide {
    /// The target if the source has an endpoint, else the source.
    #[default]
    Auto,
    /// The spoke, for both directions.
    Spoke,
}

/// Which way events flow between two locations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PointDirection {
    /// From source to target.
    #[default]
    OneWay,
    /// Both ways.
    Both,
}

/// Filter on some edges of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFilter {
    /// Name, for people.
    pub name: String,
    /// Only edges from these; `None`: any.
    pub sources: Option<Vec<String>>,
    /// Only edges to these; `None`: any.
    pub targets: Option<Vec<String>>,
    /// The expression.
    pub cel: String,
    /// What happens when it fails.
    pub on_error: OnError,
}

/// Largest frame that is sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Events.
    pub max_events: u32,
    /// Bytes; a larger event travels alone.
    pub max_bytes: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            max_events: 1000,
            max_bytes: 4 << 20,
        }
    }
}

/// Beyond this lag a link is not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LagThreshold {
    /// Events.
    pub events: u64,
    /// Seconds.
    pub seconds: u32,
}

impl Default for LagThreshold {
    fn default() -> Self {
        Self {
            events: 1000,
            seconds: 60,
        }
    }
}
