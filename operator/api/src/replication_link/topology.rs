//! The shapes a link can have.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The shape of a link: exactly one of dense, hubAndSpoke, pointToPoint.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.dense), has(self.hubAndSpoke), has(self.pointToPoint)].filter(x, x).size() == 1")
        .message("topology takes exactly one of dense, hubAndSpoke, pointToPoint")
)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// Every location copies from every other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dense: Option<Dense>,
    /// Spokes copy from and to one hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_and_spoke: Option<HubAndSpoke>,
    /// One location copies from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_to_point: Option<PointToPoint>,
}

/// Every location copies from every other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dense {
    /// The locations.
    #[schemars(schema_with = "crate::schema::two_or_more_locations")]
    pub locations: Vec<String>,
}

/// Spokes copy from and to one hub, which forwards between them.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!(self.hub in self.spokes)").message("the hub is not one of its own spokes")
)]
#[serde(rename_all = "camelCase")]
pub struct HubAndSpoke {
    /// The location in the middle.
    #[schemars(schema_with = "crate::schema::label")]
    pub hub: String,
    /// The locations around it.
    #[schemars(schema_with = "crate::schema::locations")]
    pub spokes: Vec<String>,
    /// Which way events flow: Both, HubToSpokes or SpokesToHub.
    #[serde(default)]
    pub direction: HubDirection,
    /// Who opens the connections: Auto (the target, if the source has an endpoint, else the source) or Spoke.
    #[serde(default)]
    pub dial: DialSide,
}

/// Which way events flow between hub and spokes: Both, HubToSpokes or SpokesToHub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HubDirection {
    /// Both ways.
    #[default]
    Both,
    /// The spokes only receive.
    HubToSpokes,
    /// The spokes only send.
    SpokesToHub,
}

/// Who opens connections: Auto (the target, if the source has an endpoint, else the source) or Spoke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DialSide {
    /// The target if the source has an endpoint, else the source.
    #[default]
    Auto,
    /// The spoke, in both directions of flow.
    Spoke,
}

/// One location copies from another.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("self.source != self.target").message("source and target are two locations")
)]
#[serde(rename_all = "camelCase")]
pub struct PointToPoint {
    /// The location that is copied from.
    #[schemars(schema_with = "crate::schema::label")]
    pub source: String,
    /// The location that copies.
    #[schemars(schema_with = "crate::schema::label")]
    pub target: String,
    /// Which way events flow: OneWay or Both.
    #[serde(default)]
    pub direction: PointDirection,
}

/// Which way events flow between two locations: OneWay or Both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PointDirection {
    /// From source to target.
    #[default]
    OneWay,
    /// Both ways.
    Both,
}
