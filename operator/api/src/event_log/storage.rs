//! Where a location keeps its copy.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a location keeps its copy: exactly one of managed, cloudNativePg, external.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.managed), has(self.cloudNativePg), has(self.external)].filter(x, x).size() == 1")
        .message("storage takes exactly one of managed, cloudNativePg, external")
)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// A single PostgreSQL with a volume, for trials and small sites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedStorage>,
    /// A cluster of CloudNativePG in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_native_pg: Option<CloudNativePg>,
    /// Any PostgreSQL, by a Secret that holds its URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStorage>,
}

/// A single PostgreSQL with a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedStorage {
    /// Size of the volume.
    #[serde(default = "ten_gibibytes")]
    #[schemars(schema_with = "crate::schema::quantity")]
    pub size: String,
}

fn ten_gibibytes() -> String {
    "10Gi".to_owned()
}

/// A cluster of CloudNativePG.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudNativePg {
    /// Name of the Cluster.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub cluster_name: String,
}

/// Any PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalStorage {
    /// Key of a Secret that holds the URI.
    pub uri_secret_ref: SecretKeyRef,
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
    /// Key in it.
    #[schemars(schema_with = "crate::schema::data_key")]
    pub key: String,
}
