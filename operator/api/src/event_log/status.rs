//! What an operator reports about its location of a log.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;

/// What the operator of this cluster sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventLogStatus {
    /// Generation of the spec that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// The location that this cluster realises; '*' for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub location: Option<String>,
    /// The operator that attends to this log in this cluster, by namespace and name of its Lease; others stand by for as long as that is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::lease")]
    pub operator: Option<String>,
    /// Operators of this cluster that would attend to the log too, and stand by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::leases")]
    pub other_operators: Vec<String>,
    /// Highest local sequence; of several locations here the largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub head: Option<i64>,
    /// What is stored here, per origin; absent where this cluster realises several locations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["location", "incarnation"])
    )]
    pub version_vector: Vec<VectorEntry>,
    /// Current incarnation of the local copy, as last heard; it rises after a loss. Absent where this cluster realises several locations: `locations` has it of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub incarnation: Option<i64>,
    /// The pod that writes; absent where this cluster realises several locations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<WriterStatus>,
    /// Hash of what all locations must agree on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub spec_hash: Option<String>,
    /// The locations that this cluster realises.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 128),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub locations: Vec<LocationStatus>,
    /// Ready, StorageReady, Available, EndpointReady, CertificatesReady, PeersAgree, Recovered, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// One entry of a version vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VectorEntry {
    /// Location of the origin.
    #[schemars(schema_with = "crate::schema::label")]
    pub location: String,
    /// Incarnation of the origin.
    #[schemars(range(min = 0))]
    pub incarnation: i64,
    /// Highest sequence of that origin.
    #[schemars(range(min = 0))]
    pub sequence: i64,
}

/// The pod that writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WriterStatus {
    /// Name of the pod.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub pod: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::optional_time")]
    pub since: Option<Time>,
}

/// One location that this cluster realises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocationStatus {
    /// Name of the location.
    #[schemars(schema_with = "crate::schema::label")]
    pub name: String,
    /// Whether it accepts appends.
    #[serde(default)]
    pub ready: bool,
    /// Highest local sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub head: Option<i64>,
    /// Current incarnation, as last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub incarnation: Option<i64>,
}
