//! Where this process listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Endpoint;

/// Addresses to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Listen {
    /// The application's API (`LogService`).
    #[schemars(with = "String")]
    pub api: SocketAddr,
    /// The same on a Unix socket, a path of at most 100 bytes; absent means no socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// HTTP: `/metrics`, `/livez`, `/readyz`.
    #[schemars(with = "String")]
    pub metrics: SocketAddr,
    /// `grpc.health.v1.Health` with the services `startup`, `live`, `ready`.
    #[schemars(with = "String")]
    pub health: SocketAddr,
    /// Other locations (`ReplicationService`).
    #[schemars(with = "String")]
    pub replication: SocketAddr,
    /// Operator and command line (`AdminService`).
    #[schemars(with = "String")]
    pub admin: SocketAddr,
    /// The application's API for sidecars of applications elsewhere and for standbys, with certificates of this location; absent means that nobody else
    /// is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub clients: Option<SocketAddr>,
    /// Where other processes reach `clients` of this one, HOST:PORT; needs `clients`. A process that is not the writer then leads what comes in at `api`,
    /// `socket`, `clients` and `replication` to the one that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub advertised: Option<Endpoint>,
}

impl Listen {
    /// Bytes of a path that fit a Unix socket's address.
    pub const SOCKET_PATH_BYTES_MAX: usize = 100;

    /// The addresses with their names.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let mut all = vec![
            ("api", self.api),
            ("metrics", self.metrics),
            ("health", self.health),
            ("replication", self.replication),
            ("admin", self.admin),
        ];
        all.extend(self.clients.map(|clients| ("clients", clients)));
        all
    }
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            api: loopback(7440),
            socket: None,
            metrics: loopback(7441),
            health: loopback(7442),
            replication: loopback(7443),
            admin: loopback(7444),
            clients: None,
            advertised: None,
        }
    }
}
