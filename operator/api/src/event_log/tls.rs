//! Certificates between locations.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Certificates between locations: at most one of issuerRef, secretName, insecure.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.issuerRef), has(self.secretName), has(self.insecure) && self.insecure].filter(x, x).size() <= 1")
        .message("tls takes at most one of issuerRef, secretName, insecure: true")
)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Issuer of cert-manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,
    /// Secret with tls.crt, tls.key and ca.crt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::object_name")]
    pub secret_name: Option<String>,
    /// No TLS at all. Anybody who reaches the port can read and write this log.
    #[serde(default)]
    pub insecure: bool,
    /// Trust domain of the identities, spiffe://TRUST_DOMAIN/tidelog/NAMESPACE/LOG/LOCATION.
    #[serde(default = "trust_domain")]
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = "^[a-z0-9]([-._a-z0-9]*[a-z0-9])?$")
    )]
    pub trust_domain: String,
    /// CA certificates of other locations, and which locations each may vouch for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 128),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "name", "key"])
    )]
    pub trust_bundles: Vec<TrustBundle>,
}

fn trust_domain() -> String {
    "tidelog".to_owned()
}

/// An issuer of cert-manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerRef {
    /// Name of the issuer.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
    /// Issuer or ClusterIssuer, or a kind of another group.
    #[serde(default = "issuer")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// API group of the issuer.
    #[serde(default = "cert_manager")]
    #[schemars(length(min = 1, max = 253))]
    pub group: String,
}

fn issuer() -> String {
    "Issuer".to_owned()
}

fn cert_manager() -> String {
    "cert-manager.io".to_owned()
}

/// CA certificates and the locations they may vouch for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustBundle {
    /// Where the certificates are.
    #[serde(default)]
    pub kind: TrustBundleKind,
    /// Name of the Secret or ConfigMap.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
    /// Key in it.
    #[schemars(schema_with = "crate::schema::data_key")]
    pub key: String,
    /// Locations that these certificates may vouch for.
    #[schemars(schema_with = "crate::schema::locations")]
    pub locations: Vec<String>,
}

/// Where CA certificates are: ConfigMap or Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrustBundleKind {
    /// A ConfigMap.
    #[default]
    ConfigMap,
    /// A Secret.
    Secret,
}
