//! What runs for one location of a log: the resource, its plan and a few settings in, Kubernetes objects out.
//!
//! Pure and total: what can be wrong was found by schema and planner. Objects are written as they stand in a manifest, so that a reader who knows
//! Kubernetes knows this room; that they are what the API server takes is shown by the tests on a real one. Nothing here depends on what exists
//! already: server-side apply makes the difference.
//!
//! | module | what it holds |
//! |---|---|
//! | `names` | every name, label and path, in one place |
//! | `sidecar_config` | the configuration of the sidecar: the struct that it parses, filled from the plan |
//! | `pod` | where things are in a pod |
//! | `settings` | what is the same for all logs of an operator |
//! | `storage` | where it keeps its copy |
//! | `stateful_set` | the pods of a location |
//! | `secured` | whose certificates there are, who makes them, and who may vouch for whom |
//! | `services`, `network_policy`, `disruption` | how they are reached, by whom, and how many may be away |
//! | `inject` | the sidecar in an application's own pod |
//! | `postgres` | the database of `managed` storage |

mod disruption;
mod inject;
mod names;
mod network_policy;
mod pod;
mod postgres;
mod secured;
mod services;
mod settings;
mod sidecar_config;
mod stateful_set;
mod storage;

use serde_json::{Value, json};
use tidelog_api::{EventLog, Location};
use tidelog_config::Config;

pub use inject::{InjectError, Injection, has_pods, inject, inject_pod};
pub use names::{
    ADMIN_PORT, API_PORT, AUTHORITY_KEY, CERTIFICATE_KEY, CONFIG_KEY, CONTAINER, METRICS_PORT,
    Names, PASSWORD_KEY, PRIVATE_KEY, URI_KEY, WITNESS_KEY, label_selector, labels,
};
pub use pod::in_pod;
pub use secured::{Way, identity, trust, way};
pub use settings::{Gateway, Settings};
pub use sidecar_config::{Local, RenderError, planned_endpoint, sidecar_config};
pub use storage::{DatabaseSecret, database_secret, database_uri};

/// One location of a log, to be realised here.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The log.
    pub log: &'a EventLog,
    /// The location; one of the log's.
    pub location: &'a Location,
    /// The configuration of its sidecars.
    pub config: &'a Config,
}

impl Place<'_> {
    /// All names of its objects.
    pub fn names(&self) -> Names {
        Names::new(
            self.log.metadata.name.as_deref().unwrap_or_default(),
            &self.location.name,
        )
    }
}

/// Everything that this location owns and that is applied as it stands, in the order in which it is applied. Secrets, the witness and what vouches for
/// whom are not among them: they hold what only the cluster knows.
pub fn objects(place: &Place<'_>, settings: &Settings) -> Vec<Value> {
    let mut objects = vec![config_map(place)];
    if let Some(managed) = storage::storage(place.log, place.location).managed {
        objects.extend(postgres::objects(place, &managed, settings));
    }
    objects.extend(secured::requests(place, settings));
    objects.extend(services::objects(place, settings));
    objects.push(network_policy::sidecars(place, settings));
    objects.extend(disruption::budget(place));
    objects.push(stateful_set::sidecars(place, settings));
    objects
}

/// The configuration with which the next process starts; running ones are told otherwise.
fn config_map(place: &Place<'_>) -> Value {
    // A configuration that was built from checked values can always be written.
    let text = place.config.to_yaml().unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(place, &place.names().config(), "log"),
        "data": {CONFIG_KEY: text},
    })
}

/// Name, namespace and labels of an object of this place.
fn metadata(place: &Place<'_>, name: &str, component: &str) -> Value {
    json!({
        "name": name,
        "namespace": place.log.metadata.namespace,
        "labels": labels(&place.names(), component),
    })
}
