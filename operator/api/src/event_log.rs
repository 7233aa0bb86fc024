//! `EventLog`: one log, the locations it lives at, and what it needs there.

mod status;
mod storage;
mod tls;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use status::{EventLogStatus, LocationStatus, VectorEntry, WriterStatus};
pub use storage::{CloudNativePg, ExternalStorage, ManagedStorage, SecretKeyRef, Storage};
pub use tls::{IssuerRef, Tls, TrustBundle, TrustBundleKind};

use crate::filter::ExportFilter;

/// What an event log is and where it lives. The same object is applied in every cluster; each operator realises its own
/// location.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tidelog.dev",
    version = "v1alpha1",
    kind = "EventLog",
    plural = "eventlogs",
    singular = "eventlog",
    shortname = "evlog",
    category = "tidelog",
    namespaced,
    status = "EventLogStatus",
    derive = "PartialEq",
    doc = "An event log that exists at several locations, each with a full local copy that accepts writes on its own.",
    printcolumn(name = "Location", type_ = "string", json_path = ".status.location"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Head", type_ = "integer", json_path = ".status.head"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Storage",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="StorageReady")].reason"#,
        priority = 1
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name of an EventLog takes lower-case letters, digits and '-', begins with a letter and ends with a letter or digit"),
    validation = Rule::new("self.spec.locations.all(l, size(self.metadata.name) + size(l.name) <= 48)")
        .message("metadata.name and the name of a location may have 48 characters together: <log>-<location>-pg names a StatefulSet")
)]
#[x_kube(
    validation = Rule::new("oldSelf.locations.all(o, (has(o.state) && o.state == 'Decommissioned') || self.locations.exists(n, n.name == o.name))")
        .message("a location leaves the list only after its state was set to Decommissioned"),
    // The size of a location is its own, that of the log, or the default, before and now; nothing where it is not managed.
    validation = Rule::new("self.locations.all(n, oldSelf.locations.all(o, o.name != n.name || [has(o.storage) ? (has(o.storage.managed) ? o.storage.managed.size : '') : has(oldSelf.storage) ? (has(oldSelf.storage.managed) ? oldSelf.storage.managed.size : '') : '10Gi'].all(before, [has(n.storage) ? (has(n.storage.managed) ? n.storage.managed.size : '') : has(self.storage) ? (has(self.storage.managed) ? self.storage.managed.size : '') : '10Gi'].all(now, before == '' || now == '' || before == now))))")
        .message("storage.managed.size of a location cannot be changed: make the claim data-<log>-<location>-pg-0 larger where its class allows that, or move to storage.external or storage.cloudNativePg"),
    validation = Rule::new("(has(oldSelf.tls) && has(oldSelf.tls.insecure) && oldSelf.tls.insecure) || (has(self.tls) ? self.tls.trustDomain : 'tidelog') == (has(oldSelf.tls) ? oldSelf.tls.trustDomain : 'tidelog')")
        .message("tls.trustDomain cannot be changed while pods run with it: delete this object in every cluster and apply it again; volumes, witness and authorities stay")
)]
#[serde(rename_all = "camelCase")]
pub struct EventLogSpec {
    /// The application whose events these are.
    pub application: Application,
    /// Where the log lives. A name is a key of every clock and is never reused.
    #[schemars(
        length(min = 1, max = 128),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub locations: Vec<Location>,
    /// Where a location keeps its copy, unless it says so itself: exactly one of managed, cloudNativePg, external; absent: managed with its defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Sidecars per location: one fenced writer, the others warm standbys.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: i32,
    /// Certificates between locations: at most one of issuerRef, secretName, insecure; none of them: the operator issues them from a CA Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How the replication port is offered to other locations: None (this location dials out), ClusterIP, NodePort, LoadBalancer, or TLSRoute of the Gateway API.
    #[serde(default)]
    pub expose: Expose,
    /// Pod template: your application beside the sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub template: Option<PodTemplate>,
    /// What happens to the volumes of managed databases when this object is deleted: Retain keeps them for the next object of that name, Delete takes them along. Witness, CA Secret and the passwords of databases stay in either case.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Stops replication on every edge of this log; appends go on.
    #[serde(default)]
    pub paused: bool,
}

/// A pod template, passed on as it is.
pub type PodTemplate = serde_json::Map<String, serde_json::Value>;

fn one() -> i32 {
    1
}

/// The application whose events a log holds.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Name of the application; it belongs to the log and cannot be changed.
    #[schemars(schema_with = "crate::schema::label")]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("application.name cannot be changed: it belongs to the log"))]
    pub name: String,
    /// Version of the application, dotted integers in quotes. A location does not accept events written by a newer one.
    #[schemars(schema_with = "crate::schema::dotted_version")]
    pub version: String,
}

/// One copy of the log: a cluster, a zone, a shop.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!(has(oldSelf.state) && oldSelf.state == 'Decommissioned') || (has(self.state) && self.state == 'Decommissioned')")
        .message("a location that was decommissioned does not come back; use a new name")
)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// Name of the location: a key of every clock, never reused.
    #[schemars(schema_with = "crate::schema::label")]
    pub name: String,
    /// Where other locations reach it; absent: this side always dials out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Which events appended here may leave; no link can widen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_filter: Option<ExportFilter>,
    /// Where this location keeps its copy, instead of what the log says: exactly one of managed, cloudNativePg, external.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Active, or Decommissioned before the location leaves the list.
    #[serde(default)]
    pub state: LocationState,
}

/// Whether a location takes part: Active or Decommissioned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LocationState {
    /// It takes part.
    #[default]
    Active,
    /// It has left for good.
    Decommissioned,
}

/// Address of a location's replication port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Host name or IP address.
    #[schemars(schema_with = "crate::schema::host")]
    pub host: String,
    /// Port.
    #[serde(default = "replication_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

fn replication_port() -> i32 {
    crate::schema::DEFAULT_REPLICATION_PORT
}

/// How the replication port is offered to other locations: None, ClusterIP, NodePort, LoadBalancer or TLSRoute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Expose {
    /// No Service; this location dials out.
    None,
    /// A Service inside the cluster.
    #[default]
    ClusterIP,
    /// A port on every node.
    NodePort,
    /// A load balancer of the cloud.
    LoadBalancer,
    /// A route of the Gateway API that passes TLS through.
    TLSRoute,
}

/// What happens to the volumes of managed databases when the object is deleted: Retain or Delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay, and applying the object again adopts them.
    #[default]
    Retain,
    /// They go with it.
    Delete,
}
