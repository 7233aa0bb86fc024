//! Where things are in a pod, as the configuration of its sidecar names them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use tidelog_api::EventLog;
use tidelog_config::{Listen, Postgres, Span, Storage, Tls, Witness, WitnessByOperator};

use crate::names::{
    ADMIN_PORT, API_PORT, CLIENTS_PORT, HEALTH_PORT, METRICS_PORT, REPLICATION_PORT, URI_KEY,
    WITNESS_KEY, paths,
};
use crate::sidecar_config::Local;

/// For the pods of any location of this log.
pub fn in_pod(log: &EventLog) -> Local {
    let tls = log.spec.tls.as_ref();
    let insecure = tls.is_some_and(|tls| tls.insecure);
    let anybody = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let trust_domain = tls.map_or("tidelog", |tls| tls.trust_domain.as_str());
    Local {
        storage: Storage::Postgres(Postgres {
            uri: None,
            uri_file: Some(Path::new(paths::STORAGE).join(URI_KEY)),
            max_connections: Postgres::CONNECTIONS,
        }),
        witness: Witness {
            file: Path::new(paths::WITNESS).join(WITNESS_KEY),
            operator: Some(WitnessByOperator {
                folder: Path::new(paths::STATE).join("witness"),
                record_wait: Span::secs(10),
                grant_wait: Span::secs(30),
            }),
        },
        listen: Listen {
            // For the application beside it, and for nobody else.
            api: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), API_PORT),
            socket: Some(Path::new(paths::RUN).join("api.sock")),
            metrics: anybody(METRICS_PORT),
            health: anybody(HEALTH_PORT),
            replication: anybody(REPLICATION_PORT),
            admin: anybody(ADMIN_PORT),
            clients: Some(anybody(CLIENTS_PORT)),
            // The environment of each pod says where it is.
            advertised: None,
        },
        tls: (!insecure).then(|| Tls {
            certificate_file: Path::new(paths::TLS).join("tls.crt"),
            key_file: Path::new(paths::TLS).join("tls.key"),
            trust_directory: paths::TRUST.into(),
            trust_domain: trust_domain.to_owned(),
            namespace: log.metadata.namespace.clone().unwrap_or_default(),
            reload: Span::secs(10),
        }),
        insecure,
    }
}
