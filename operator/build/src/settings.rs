//! What is the same for all logs of an operator: flags and values of the chart.

use std::time::Duration;

use serde_json::{Value, json};

/// Settings of an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Image of the sidecar.
    pub sidecar_image: String,
    /// Image of the database of `managed` storage.
    pub postgres_image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// Names of Secrets for the registry.
    pub image_pull_secrets: Vec<String>,
    /// Namespace of the operator: from there it may reach the pods' administration.
    pub operator_namespace: String,
    /// Resources of a sidecar, as a pod has them.
    pub sidecar_resources: Value,
    /// Resources of a managed database.
    pub postgres_resources: Value,
    /// How long a certificate counts; the next one is made when a third of that is left.
    pub certificate_lifetime: Duration,
    /// The Gateway that `expose: TLSRoute` hangs its routes on.
    pub gateway: Option<Gateway>,
}

impl Settings {
    /// References to the Secrets for the registry.
    pub(crate) fn pull_secrets(&self) -> Vec<Value> {
        let names = self.image_pull_secrets.iter();
        names.map(|name| json!({"name": name})).collect()
    }
}

/// A Gateway with a listener that passes TLS through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}
