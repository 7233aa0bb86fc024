//! Everything that can be refused before anything runs: locks, ports, entries in `dev.json`, configurations.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tidelog_build::{Local, planned_endpoint, sidecar_config};
use tidelog_config::{Config, Endpoint, Listen, Sqlite, Storage, Witness};
use tidelog_model::LocationName;
use tidelog_topology::Plan;
use tokio::time::sleep;

use super::super::board::Board;
use super::super::options::{Key, StorageChoice};
use super::Session;
use crate::data_dir::{DataDir, LocationLock};
use crate::dev_file::{Block, DevFile, Service};
use crate::failure::Failure;

/// A look at a lock by somebody else lasts a moment and must not be taken for a process that runs the location.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A location that is about to run here.
pub struct Prepared {
    /// Which one.
    pub key: Key,
    /// Its configuration.
    pub config: Config,
    /// That nobody else runs it.
    pub lock: LocationLock,
}

impl Session {
    /// Locks, ports, entries in `dev.json`, configurations: everything that can be refused before anything runs.
    pub(super) async fn prepare(
        &self,
        keys: &[Key],
        board: &Board,
    ) -> Result<Vec<Prepared>, Failure> {
        let mut locks = Vec::new();
        for key in keys {
            locks.push(self.lock(key).await?);
        }
        let pid = std::process::id();
        let blocks = DevFile::edit(&self.data_dir, |file| {
            let mut blocks = Vec::new();
            for (log, location) in keys {
                let block = file.block(log, location, self.args.base_port)?;
                let listens: Vec<Service> = Service::ALL
                    .into_iter()
                    .filter(|service| {
                        *service != Service::Replication
                            || self
                                .selection
                                .listen(&(log.clone(), location.clone()))
                                .is_none()
                    })
                    .collect();
                block.check_free(&listens, log, location)?;
                let socket = self
                    .socket(log, location)
                    .map(|_| DataDir::socket(log, location).display().to_string());
                let mut entry = block.entry(pid, socket);
                if let Some(address) = self.selection.listen(&(log.clone(), location.clone())) {
                    entry.replication = reachable(address).to_string();
                }
                file.put(log, location, entry);
                blocks.push(block);
            }
            Ok::<_, Failure>(blocks)
        })?;
        let file = DevFile::load(&self.data_dir)?.unwrap_or_default();
        let mut prepared = Vec::new();
        for ((key, lock), block) in keys.iter().zip(locks).zip(blocks) {
            let (log, location) = key;
            if self.socket(log, location).is_none() {
                board.note(&format!(
                    "note: {log}/{location} has no Unix socket, its path would be longer than {} bytes",
                    Listen::SOCKET_PATH_BYTES_MAX
                ));
            }
            let local = self.local(key, block)?;
            let config = self.render(key, local, &file)?;
            config
                .validate()
                .map_err(|error| Failure::failed(format!("{log}/{location}: {error}")))?;
            prepared.push(Prepared {
                key: key.clone(),
                config,
                lock,
            });
        }
        Ok(prepared)
    }

    async fn lock(&self, (log, location): &Key) -> Result<LocationLock, Failure> {
        let mut tries = 1;
        loop {
            match self.data_dir.lock_location(log, location) {
                Ok(lock) => return Ok(lock),
                Err(_) if tries < LOCK_TRIES => {
                    tries += 1;
                    sleep(LOCK_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The Unix socket of a location; `None` when its path does not fit.
    fn socket(&self, log: &str, location: &LocationName) -> Option<PathBuf> {
        let path = self.data_dir.path().join(DataDir::socket(log, location));
        (path.as_os_str().len() <= Listen::SOCKET_PATH_BYTES_MAX).then_some(path)
    }

    fn local(&self, key: &Key, block: Block) -> Result<Local, Failure> {
        let (log, location) = key;
        let database = self.data_dir.database(log, location);
        let witness = self.data_dir.witness(log, location);
        for folder in [database.parent(), witness.parent()].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(|error| {
                Failure::failed(format!("cannot create {}: {error}", folder.display()))
                    .hint("choose another directory with --data-dir")
            })?;
        }
        let listen = Listen {
            api: block.address(Service::Api),
            socket: self.socket(log, location),
            metrics: block.address(Service::Metrics),
            health: block.address(Service::Health),
            replication: self
                .selection
                .listen(key)
                .unwrap_or(block.address(Service::Replication)),
            admin: block.address(Service::Admin),
            clients: None,
            advertised: None,
        };
        let storage = match &self.args.storage {
            StorageChoice::Sqlite => Storage::Sqlite(Sqlite {
                // The store keeps more than one file there, so it is given the folder.
                path: database,
            }),
            StorageChoice::Postgres(server) => Storage::Postgres(server.storage(key)),
        };
        Ok(Local {
            storage,
            witness: Witness {
                file: witness,
                operator: None,
            },
            listen,
            tls: None,
            insecure: self.selection.is_insecure(key),
        })
    }

    /// The configuration of a location, as manifests and `dev.json` have it now.
    pub(super) fn render(
        &self,
        key: &Key,
        local: Local,
        file: &DevFile,
    ) -> Result<Config, Failure> {
        let (log, location) = key;
        let plan = self
            .wanted
            .plans
            .iter()
            .find(|plan| plan.log == *log)
            .ok_or_else(|| Failure::failed(format!("there is no plan of {log}")))?;
        let endpoint_of = |name: &LocationName| self.endpoint(plan, name, file);
        Ok(sidecar_config(plan, location, local, endpoint_of)?)
    }

    /// Where another location is reached: as it was said, else as this directory knows it, else as the manifests say.
    fn endpoint(&self, plan: &Plan, name: &LocationName, file: &DevFile) -> Option<Endpoint> {
        if let Some(endpoint) = self.selection.peer(&(plan.log.clone(), name.clone())) {
            return Some(endpoint.clone());
        }
        if let Some(entry) = file.get(&plan.log, name) {
            return entry.replication.parse().ok();
        }
        planned_endpoint(plan, name)
    }
}

/// Where this machine reaches what listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}
