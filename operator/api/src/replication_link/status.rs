//! What operators report about the edges of a link; each writes only those that touch its location.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;

/// What the operator of this cluster sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicationLinkStatus {
    /// Generation of the spec that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// The shape in a word: Dense, HubAndSpoke or PointToPoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub topology: Option<String>,
    /// Connected edges of all edges that touch this location, for example 3/4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub edges_connected: Option<String>,
    /// Largest lag, for example 12 ev / 3 s; ? when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub max_lag: Option<String>,
    /// The edges that touch this location.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["source", "target"])
    )]
    pub edges: Vec<EdgeStatus>,
    /// Accepted, ResolvedRefs, Connected, Synced, Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// One direction between two locations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeStatus {
    /// The location that is copied from.
    #[schemars(schema_with = "crate::schema::label")]
    pub source: String,
    /// The location that copies.
    #[schemars(schema_with = "crate::schema::label")]
    pub target: String,
    /// What the edge does.
    #[serde(default)]
    pub state: EdgeState,
    /// Highest sequence of the source, as last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub source_head: Option<i64>,
    /// Position of the source up to which everything admitted is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub progress: Option<i64>,
    /// Events not yet copied; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub lag_events: Option<i64>,
    /// Age of the oldest event not yet copied; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub lag_seconds: Option<i64>,
    /// Events that the filters of this edge kept back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub filtered_total: Option<i64>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::short_text")]
    pub last_error: Option<String>,
    /// When the state changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::optional_time")]
    pub last_transition: Option<Time>,
}

/// What an edge does: Pending, Connecting, CatchingUp, Streaming, Paused, Stalled, Unreachable, Incompatible, Rejected or
/// SourceReset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EdgeState {
    /// Not tried yet.
    #[default]
    Pending,
    /// Dialling or opening a stream.
    Connecting,
    /// Copying what it missed.
    CatchingUp,
    /// Copying as events arrive.
    Streaming,
    /// Stopped on purpose.
    Paused,
    /// Connected, and unable to make progress.
    Stalled,
    /// The peer does not answer.
    Unreachable,
    /// The peer speaks another version.
    Incompatible,
    /// The peer refuses this location.
    Rejected,
    /// The source lost events and went back.
    SourceReset,
}
