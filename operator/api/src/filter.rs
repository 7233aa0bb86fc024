//! Filters as manifests write them. Whether an expression is valid is for the planner: only it compiles CEL.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to an event on which a filter fails: Stall stops the edge and names the event, Drop leaves it out, Pass lets
/// it through.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum OnError {
    /// Stop the edge, name event, key and way out.
    #[default]
    Stall,
    /// Treat the event as not admitted.
    Drop,
    /// Treat the event as admitted.
    Pass,
}

/// Decides which events appended at this location may leave it, whatever the links say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportFilter {
    /// CEL over `event`, `source` and `target`; an event leaves when it is true.
    #[schemars(schema_with = "crate::schema::cel")]
    pub cel: String,
    /// What happens to an event on which the expression fails: Stall stops the edge and names the event, Drop leaves it out, Pass lets it through.
    #[serde(default)]
    pub on_error: OnError,
}

/// Decides which events pass some edges of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkFilter {
    /// Name of the filter, unique in its link; messages and metrics carry it.
    #[schemars(schema_with = "crate::schema::label")]
    pub name: String,
    /// Only edges that start at one of these locations; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::locations")]
    pub sources: Option<Vec<String>>,
    /// Only edges that end at one of these locations; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::locations")]
    pub targets: Option<Vec<String>>,
    /// CEL over `event`, `source` and `target`; an event passes when it is true. Guard keys that may be absent with has(...).
    #[schemars(schema_with = "crate::schema::cel")]
    pub cel: String,
    /// What happens to an event on which the expression fails: Stall stops the edge and names the event, Drop leaves it out, Pass lets it through.
    #[serde(default)]
    pub on_error: OnError,
}
