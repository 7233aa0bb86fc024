//! The edges of the plan that touch this location.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidelog_filter::{Filter, FilterError, FilterSet, OnError};
use tidelog_model::LocationName;

use crate::value::{ByteSize, Endpoint, Hash64};

/// A location that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peer {
    /// Its name.
    #[schemars(with = "String")]
    pub name: LocationName,
    /// Where it is reached; without one only it can dial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
}

/// Which side opens the connection of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dial {
    /// The location that is copied from.
    Source,
    /// The location that copies.
    Target,
}

/// The edges of the plan that touch this location.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Edges {
    /// Edges that bring events here, at most one per source.
    pub incoming: Vec<Incoming>,
    /// Edges that carry events away, at most one per target.
    pub outgoing: Vec<Outgoing>,
}

/// An edge that brings events here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Incoming {
    /// Where from.
    #[schemars(with = "String")]
    pub source: LocationName,
    /// Which side opens the connection; this location is the target.
    pub dial: Dial,
    /// Where the source is reached, when this side dials; absent means that of `peers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Locations behind the source, itself included, seen from here: whose covered entries are merged.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub behind: Vec<LocationName>,
    /// Stopped by the plan.
    #[serde(default)]
    pub paused: bool,
    /// Hash of the edge's filters in the plan here, compared with the source's.
    #[serde(default)]
    pub filter_hash: Hash64,
    /// Beyond this lag the edge is not synced.
    #[serde(default)]
    pub lag_threshold: LagThreshold,
}

/// An edge that carries events away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outgoing {
    /// Where to.
    #[schemars(with = "String")]
    pub target: LocationName,
    /// Which side opens the connection; this location is the source.
    pub dial: Dial,
    /// Where the target is reached, when this side dials; absent means that of `peers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Locations behind this one, itself included, seen from the target: whose covered entries it merges.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub behind: Vec<LocationName>,
    /// Stopped by the plan.
    #[serde(default)]
    pub paused: bool,
    /// Hash of `filters` in the plan here, compared with the target's.
    #[serde(default)]
    pub filter_hash: Hash64,
    /// What passes: all of these are ANDed.
    #[serde(default)]
    pub filters: Vec<EdgeFilter>,
    /// Largest frame.
    #[serde(default)]
    pub batch: Batch,
    /// Beyond this lag the edge is not synced.
    #[serde(default)]
    pub lag_threshold: LagThreshold,
}

impl Outgoing {
    /// The compiled filters.
    pub fn filter_set(&self) -> Result<FilterSet, FilterError> {
        self.filters
            .iter()
            .map(|f| Filter::compile(&f.name, &f.cel, f.on_error))
            .collect()
    }
}

/// A filter on an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EdgeFilter {
    /// Its name, for messages.
    pub name: String,
    /// The expression: CEL over `event`, `source` and `target`.
    pub cel: String,
    /// What an error of the expression means: stop before the event, leave it out, or let it through.
    #[serde(default)]
    #[schemars(with = "OnErrorName")]
    pub on_error: OnError,
}

/// Which of the events appended here may leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportFilter {
    /// The expression: CEL over `event`, `source` and `target`.
    pub cel: String,
    /// What an error of the expression means: stop before the event, leave it out, or let it through.
    #[serde(default)]
    #[schemars(with = "OnErrorName")]
    pub on_error: OnError,
}

impl ExportFilter {
    /// Name of the export filter in messages.
    pub const NAME: &'static str = "exportFilter";

    /// The compiled filter.
    pub fn compile(&self) -> Result<Filter, FilterError> {
        Filter::compile(Self::NAME, &self.cel, self.on_error)
    }
}

/// [`OnError`] for the reference; the filter room knows nothing of schemas.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
enum OnErrorName {
    Stall,
    Drop,
    Pass,
}

/// The largest frame of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Batch {
    /// Events in one frame.
    pub max_events: u32,
    /// Bytes in one frame; a larger event travels alone.
    pub max_bytes: ByteSize,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            max_events: 1_000,
            max_bytes: ByteSize::mib(4),
        }
    }
}

/// A lag beyond which an edge is not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LagThreshold {
    /// Events not yet copied.
    pub events: u64,
    /// Age of the oldest event not yet copied, in seconds.
    pub seconds: u32,
}

impl Default for LagThreshold {
    fn default() -> Self {
        Self {
            events: 1_000,
            seconds: 60,
        }
    }
}
