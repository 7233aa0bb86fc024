//! Every name, label and path, in one place.
//!
//! `<log>-<location>` has at most 49 characters (a rule of the schema), so that the longest StatefulSet's name, `<log>-<location>-pg`, has 52: the label that
//! Kubernetes puts on its pods adds eleven, and a label has 63 at most.

use serde_json::{Value, json};

/// The container of the sidecar, in the pods of a log and in those of applications.
pub const CONTAINER: &str = "tidelog";
/// Port of the application's API.
pub const API_PORT: u16 = 7440;
/// Port of metrics and of health over HTTP.
pub const METRICS_PORT: u16 = 7441;
/// Port of health for the kubelet.
pub const HEALTH_PORT: u16 = 7442;
/// Port of other locations.
pub const REPLICATION_PORT: u16 = 7443;
/// Port of operator and command line.
pub const ADMIN_PORT: u16 = 7444;

/// Port of applications' sidecars and of standbys.
pub const CLIENTS_PORT: u16 = 7445;

/// Key of the configuration in its ConfigMap.
pub const CONFIG_KEY: &str = "sidecar.yaml";
/// Key of the witness in its ConfigMap.
pub const WITNESS_KEY: &str = "witness.json";
/// Key of the authority in a Secret with a certificate, and in the ConfigMap that is given to others.
pub const AUTHORITY_KEY: &str = "ca.crt";
/// Key of a certificate in its Secret.
pub const CERTIFICATE_KEY: &str = "tls.crt";
/// Key of a private key in its Secret.
pub const PRIVATE_KEY: &str = "tls.key";
/// Key of the password in the Secret of a managed database.
pub const PASSWORD_KEY: &str = "password";
/// Key of the URI in the Secret of a managed database.
pub const URI_KEY: &str = "uri";

/// Where things are in a pod.
pub mod paths {
    /// The configuration.
    pub const CONFIG: &str = "/etc/tidelog/config";
    /// Certificate and key.
    pub const TLS: &str = "/etc/tidelog/tls";
    /// Who may vouch for whom.
    pub const TRUST: &str = "/etc/tidelog/trust";
    /// The witness, as the operator has recorded it.
    pub const WITNESS: &str = "/etc/tidelog/witness";
    /// The URI of the database.
    pub const STORAGE: &str = "/etc/tidelog/storage";
    /// The pod's own part of the witness.
    pub const STATE: &str = "/var/lib/tidelog";
    /// The Unix socket of the API.
    pub const RUN: &str = "/run/tidelog";
}

/// The names of one location of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Name of the log.
    pub log: String,
    /// Name of the location.
    pub location: String,
}

impl Names {
    /// Of a log and a location.
    pub fn new(log: &str, location: &str) -> Self {
        Self {
            log: log.to_owned(),
            location: location.to_owned(),
        }
    }

    /// Pods, their StatefulSet and its headless Service.
    pub fn base(&self) -> String {
        format!("{}-{}", self.log, self.location)
    }

    /// ConfigMap of the configuration.
    pub fn config(&self) -> String {
        self.with("config")
    }

    /// Service for other locations.
    pub fn peers(&self) -> String {
        self.with("peers")
    }

    /// ConfigMap of the witness.
    pub fn witness(&self) -> String {
        self.with("witness")
    }

    /// Secret with certificate and key.
    pub fn tls(&self) -> String {
        self.with("tls")
    }

    /// ConfigMap with the authorities of all known locations.
    pub fn trust(&self) -> String {
        self.with("trust")
    }

    /// Secret with the authority of this location.
    pub fn authority(&self) -> String {
        self.with("ca")
    }

    /// ConfigMap with the certificate of that authority, and nothing secret: what others have to know to trust this location. The same name in every cluster.
    pub fn vouching(&self) -> String {
        self.with("authority")
    }

    /// Secret with which operator and command line show who they are.
    pub fn admin(&self) -> String {
        self.with("admin")
    }

    /// Service for applications' sidecars, and the Secret with which they show who they are.
    pub fn client(&self) -> String {
        self.with("client")
    }

    /// Everything of a managed database.
    pub fn postgres(&self) -> String {
        self.with("pg")
    }

    fn with(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.base())
    }
}

/// Labels of an object.
pub fn labels(names: &Names, component: &str) -> Value {
    json!({
        "app.kubernetes.io/name": "tidelog",
        "app.kubernetes.io/instance": names.base(),
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": "tidelog-operator",
        "tidelog.dev/log": names.log,
        "tidelog.dev/location": names.location,
    })
}

/// What the pods of a component are found by: never changes.
pub fn selector(names: &Names, component: &str) -> Value {
    json!({
        "app.kubernetes.io/component": component,
        "tidelog.dev/log": names.log,
        "tidelog.dev/location": names.location,
    })
}

/// The same as a query.
pub fn label_selector(names: &Names, component: &str) -> String {
    let Names { log, location } = names;
    format!(
        "app.kubernetes.io/component={component},tidelog.dev/log={log},tidelog.dev/location={location}"
    )
}
