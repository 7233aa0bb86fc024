//! What a location lives on: clock, randomness, database, witness and network. By default those of this machine.

use std::sync::Arc;

use tidelog_engine::{Clock, Random, WitnessKeeper};
use tidelog_replication::{Dialler, Incoming};
use tidelog_store::LogStore;

use crate::clock::now_micros;

/// What a location lives on, where it is not what the configuration says of this machine: a simulation gives its own.
pub struct Surroundings {
    /// The wall clock, microseconds since the Unix epoch.
    pub clock: Clock,
    /// Random numbers: ids of streams, nonces, jitter.
    pub random: Random,
    /// The log's database, open. `None`: the one of the configuration.
    pub store: Option<Arc<dyn LogStore>>,
    /// The record outside of the database. `None`: the one of the configuration.
    pub witness: Option<Arc<dyn WitnessKeeper>>,
    /// The network. `None`: TCP, on the addresses of the configuration.
    pub network: Option<Network>,
}

/// Connections in place of sockets. The ports for people and probes (metrics, health, the Unix socket) do not exist then.
pub struct Network {
    /// To `LogService`.
    pub api: Incoming,
    /// To `AdminService`.
    pub admin: Incoming,
    /// To `ReplicationService`.
    pub replication: Incoming,
    /// From here to other locations.
    pub dialler: Dialler,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Arc::new(now_micros),
            random: Arc::new(rand::random::<u64>),
            store: None,
            witness: None,
            network: None,
        }
    }
}
