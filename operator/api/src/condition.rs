//! Conditions in the form that `kubectl wait`, kstatus and Flux read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Condition types of an event log, all of them written on the first visit.
pub const EVENT_LOG_CONDITIONS: [&str; 9] = [
    "Ready",
    "StorageReady",
    "Available",
    "EndpointReady",
    "CertificatesReady",
    "PeersAgree",
    "Recovered",
    "Reconciling",
    "Stalled",
];

/// Condition types of a replication link, all of them written on the first visit.
pub const REPLICATION_LINK_CONDITIONS: [&str; 7] = [
    "Accepted",
    "ResolvedRefs",
    "Connected",
    "Synced",
    "Ready",
    "Reconciling",
    "Stalled",
];

/// One observed aspect of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed, for example Ready.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Z][A-Za-z]*$"))]
    pub type_: String,
    /// Whether it holds; Unknown until it was looked at.
    pub status: ConditionStatus,
    /// Generation of the spec that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When the status changed last.
    #[schemars(schema_with = "crate::schema::optional_time")]
    pub last_transition_time: Time,
    /// Stable CamelCase word for programs.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Z][A-Za-z]*$"))]
    pub reason: String,
    /// One sentence for people.
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// Whether a condition holds: True, False or Unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not looked at, or it cannot be seen.
    #[default]
    Unknown,
}
