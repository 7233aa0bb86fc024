//! `ReplicationLink`: who copies from whom, and what.

mod status;
mod topology;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use status::{EdgeState, EdgeStatus, ReplicationLinkStatus};
pub use topology::{
    Dense, DialSide, HubAndSpoke, HubDirection, PointDirection, PointToPoint, Topology,
};

use crate::filter::LinkFilter;

/// Who copies from whom. Links of one log add up; between two locations there is at most one edge per direction.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tidelog.dev",
    version = "v1alpha1",
    kind = "ReplicationLink",
    plural = "replicationlinks",
    singular = "replicationlink",
    shortname = "rlink",
    category = "tidelog",
    namespaced,
    status = "ReplicationLinkStatus",
    derive = "PartialEq",
    doc = "Asynchronous copying of events between locations of one event log, in causal order.",
    selectable = ".spec.eventLogRef.name",
    printcolumn(name = "Log", type_ = "string", json_path = ".spec.eventLogRef.name"),
    printcolumn(name = "Topology", type_ = "string", json_path = ".status.topology"),
    printcolumn(name = "Edges", type_ = "string", json_path = ".status.edgesConnected"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Synced",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Synced")].status"#
    ),
    printcolumn(name = "MaxLag", type_ = "string", json_path = ".status.maxLag"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::duplicated_attributes,
    reason = "every printer column has a type of its own"
)]
pub struct ReplicationLinkSpec {
    /// The log whose locations are linked, in the same namespace.
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("eventLogRef cannot be changed; delete this link and create another"))]
    pub event_log_ref: EventLogRef,
    /// The shape: exactly one of dense, hubAndSpoke, pointToPoint.
    pub topology: Topology,
    /// Filters on edges of this link; several on one edge must all be true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 128),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub filters: Vec<LinkFilter>,
    /// Largest frame that is sent at once.
    #[serde(default)]
    pub batch: Batch,
    /// Beyond this lag the link is not Synced.
    #[serde(default)]
    pub lag_threshold: LagThreshold,
    /// Stops copying on every edge of this link; nothing is lost.
    #[serde(default)]
    pub paused: bool,
}

/// An event log in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventLogRef {
    /// Name of the EventLog.
    #[schemars(schema_with = "crate::schema::label")]
    pub name: String,
}

/// Largest frame that is sent at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Events.
    #[serde(default = "batch_events")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_events: i32,
    /// Bytes; a larger event travels alone.
    #[serde(default = "batch_bytes")]
    #[schemars(schema_with = "crate::schema::quantity")]
    pub max_bytes: String,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            max_events: batch_events(),
            max_bytes: batch_bytes(),
        }
    }
}

fn batch_events() -> i32 {
    1000
}

fn batch_bytes() -> String {
    "4Mi".to_owned()
}

/// Beyond this lag a link is not Synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LagThreshold {
    /// Events not yet copied.
    #[serde(default = "lag_events")]
    #[schemars(range(min = 1))]
    pub events: i64,
    /// Age of the oldest event not yet copied.
    #[serde(default = "lag_seconds")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub seconds: i32,
}

impl Default for LagThreshold {
    fn default() -> Self {
        Self {
            events: lag_events(),
            seconds: lag_seconds(),
        }
    }
}

fn lag_events() -> i64 {
    1000
}

fn lag_seconds() -> i32 {
    60
}
