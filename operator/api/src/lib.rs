//! The custom resources of Tidelog, group `tidelog.dev`, version `v1alpha1`.
//!
//! Two kinds: an [`EventLog`] says where a log lives, a [`ReplicationLink`] says who copies from whom. The types here are
//! the only source of the custom resource definitions in `crds/`, and of the rules by which manifests are read offline:
//! what a cluster would refuse, the command line refuses with the same words.
//!
//! Invariants: every list and every string has a maximum, integers are `i32` or `i64`, there are no floats, every enum has
//! a default instead of being optional, and unknown fields are tolerated by the types (an older operator reads newer
//! objects) but not by the reader of manifests.
//!
//! Absent on purpose: a client, an executor, and any rule that needs to see more than one object (those are the planner's).

mod condition;
mod crd;
mod event_log;
mod filter;
mod replication_link;
mod schema;

pub use condition::{
    Condition, ConditionStatus, EVENT_LOG_CONDITIONS, REPLICATION_LINK_CONDITIONS,
};
pub use crd::{
    CrdError, DEFINITION_HEADER, crds, custom_resource_definitions, generate_crds, object_schema,
};
pub use event_log::{
    Application, CloudNativePg, DeletionPolicy, Endpoint, EventLog, EventLogSpec, EventLogStatus,
    Expose, ExternalStorage, IssuerRef, Location, LocationState, LocationStatus, ManagedStorage,
    PodTemplate, SecretKeyRef, Storage, Tls, TrustBundle, TrustBundleKind, VectorEntry,
    WriterStatus,
};
pub use filter::{ExportFilter, LinkFilter, OnError};
pub use replication_link::{
    Batch, Dense, DialSide, EdgeState, EdgeStatus, EventLogRef, HubAndSpoke, HubDirection,
    LagThreshold, PointDirection, PointToPoint, ReplicationLink, ReplicationLinkSpec,
    ReplicationLinkStatus, Topology,
};
pub use schema::{
    CEL_BYTES_MAX, DEFAULT_REPLICATION_PORT, EDGE_STATUS_MAX, FILTERS_MAX, LOCATIONS_MAX,
    NAME_BYTES_MAX, NAMES_TOGETHER_BYTES_MAX, OTHER_OPERATORS_MAX, VECTOR_ENTRIES_MAX,
    pattern_in_words,
};

/// API group of both kinds.
pub const GROUP: &str = "tidelog.dev";
/// The only version served.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` as manifests spell it.
pub const API_VERSION: &str = "tidelog.dev/v1alpha1";
