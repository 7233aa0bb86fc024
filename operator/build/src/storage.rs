//! Where a location keeps its copy, and how its sidecars learn how to reach it.

use tidelog_api::{EventLog, Location, ManagedStorage, Storage};

use crate::names::{Names, URI_KEY};

/// The Secret with the URI of a location's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSecret {
    /// Its name.
    pub name: String,
    /// Key of the URI.
    pub key: String,
    /// Whether the operator makes it.
    pub is_ours: bool,
}

/// Where a location keeps its copy.
pub(crate) fn storage(log: &EventLog, location: &Location) -> Storage {
    let said = location.storage.as_ref().or(log.spec.storage.as_ref());
    said.cloned().unwrap_or(Storage {
        managed: Some(ManagedStorage {
            size: "10Gi".to_owned(),
        }),
        cloud_native_pg: None,
        external: None,
    })
}

/// The Secret with the URI of a location's database.
pub fn database_secret(log: &EventLog, location: &Location) -> DatabaseSecret {
    let storage = storage(log, location);
    if let Some(external) = storage.external {
        return DatabaseSecret {
            name: external.uri_secret_ref.name,
            key: external.uri_secret_ref.key,
            is_ours: false,
        };
    }
    if let Some(cluster) = storage.cloud_native_pg {
        // The one that its operator makes for applications.
        return DatabaseSecret {
            name: format!("{}-app", cluster.cluster_name),
            key: URI_KEY.to_owned(),
            is_ours: false,
        };
    }
    let log = log.metadata.name.as_deref().unwrap_or_default();
    DatabaseSecret {
        name: Names::new(log, &location.name).postgres(),
        key: URI_KEY.to_owned(),
        is_ours: true,
    }
}

/// The URI of a managed database. The password has nothing in it that would have to be escaped.
pub fn database_uri(names: &Names, namespace: &str, password: &str) -> String {
    let host = format!("{}.{namespace}.svc", names.postgres());
    format!("postgres://tidelog:{password}@{host}:5432/tidelog")
}
