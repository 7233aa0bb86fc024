//! The locations that run in this process: started together, kept in step with manifests and `dev.json`, stopped together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use comfy_table::Cell;
use futures_util::future::join_all;
use tidelog_config::{Config, Endpoint, Listen, Sqlite, Storage, Witness};
use tidelog_manifest::Manifests;
use tidelog_model::LocationName;
use tidelog_proto::v1::LocationStatus;
use tidelog_server::{RunningLocation, StartError};
use tidelog_store_postgres::create_database;
use tidelog_topology::Plan;
use tokio::time::sleep;

use super::board::Board;
use super::options::{Key, PostgresServer, Selection, StorageChoice};
use super::render::{self, Local};
use super::watch::Fingerprint;
use super::{DevArgs, plans, refused, tell_findings, tell_not_realised};
use crate::commands::status::location_state;
use crate::context::Context;
use crate::data_dir::{DataDir, LocationLock};
use crate::dev_file::{Block, DevFile, DevFileError, Service};
use crate::failure::Failure;
use crate::output::{rendered, table};

/// How long a location may take until it is shown as not ready; it goes on trying.
const READY_MAX: Duration = Duration::from_secs(20);
/// A look at a lock by somebody else lasts a moment and must not be taken for a process that runs the location.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A location that runs here.
struct Runner {
    location: RunningLocation,
    config: Config,
    lock: LocationLock,
}

/// A location that is about to run here.
struct Prepared {
    key: Key,
    config: Config,
    lock: LocationLock,
}

/// What the manifests ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// One plan per log.
    plans: Vec<Plan>,
    /// All locations of all logs, in the order in which they are written.
    locations: Vec<Key>,
}

impl Wanted {
    /// Takes the order from the manifests, because a plan has none.
    pub fn new(manifests: &Manifests, plans: Vec<Plan>) -> Self {
        let locations = manifests
            .logs
            .iter()
            .flat_map(|manifest| {
                manifest
                    .log
                    .locations
                    .iter()
                    .map(|location| (manifest.log.name.clone(), &location.name))
            })
            .filter_map(|(log, name)| Some((log, LocationName::new(name).ok()?)))
            .collect();
        Self { plans, locations }
    }
}

/// The locations of this process.
pub struct Session {
    data_dir: DataDir,
    args: DevArgs,
    selection: Selection,
    wanted: Wanted,
    running: BTreeMap<Key, Runner>,
    /// Locations that could not be started, so that it is not tried again with every look.
    failed: BTreeSet<Key>,
    /// Locations that were taken out of the manifests and told so.
    gone: BTreeSet<Key>,
    /// What was looked at last.
    manifests_seen: Fingerprint,
    network_seen: Fingerprint,
}

impl Session {
    /// A session in which nothing runs yet.
    pub fn new(context: &Context, args: DevArgs, selection: Selection, wanted: Wanted) -> Self {
        let data_dir = context.data_dir();
        Self {
            manifests_seen: Fingerprint::of(&args.manifests.files),
            network_seen: Fingerprint::of(&[data_dir.dev_file()]),
            data_dir,
            args,
            selection,
            wanted,
            running: BTreeMap::new(),
            failed: BTreeSet::new(),
            gone: BTreeSet::new(),
        }
    }

    /// Starts every location that belongs here, or none.
    pub async fn start(&mut self, board: &Board) -> Result<(), Failure> {
        let keys: Vec<Key> = self.wanted().collect();
        self.start_all(&keys, board).await?;
        self.wait_until_ready(&keys, board).await;
        Ok(())
    }

    /// Waits for locations that were started; one that is not ready in time goes on trying.
    async fn wait_until_ready(&self, keys: &[Key], board: &Board) {
        let ready = keys
            .iter()
            .filter_map(|key| Some((key, self.running.get(key)?)))
            .map(|(key, runner)| async move {
                (key, runner.location.wait_until_ready(READY_MAX).await)
            });
        for ((log, location), ready) in join_all(ready).await {
            if let Err(why) = ready {
                board.warning(&format!("{log}/{location} is not ready yet: {why}"));
            }
        }
    }

    /// The locations that belong in this process.
    fn wanted(&self) -> impl Iterator<Item = Key> + '_ {
        self.wanted
            .locations
            .iter()
            .filter(|key| self.selection.runs(key))
            .cloned()
    }

    async fn start_all(&mut self, keys: &[Key], board: &Board) -> Result<(), Failure> {
        let prepared = self.prepare(keys, board).await?;
        let starting = prepared.into_iter().map(|Prepared { key, config, lock }| {
            let storage = self.args.storage.clone();
            async move {
                let started = open(&storage, &key, config.clone()).await;
                (key, config, lock, started)
            }
        });
        let mut failure = None;
        for (key, config, lock, started) in join_all(starting).await {
            match started {
                Ok(location) => {
                    self.running.insert(
                        key,
                        Runner {
                            location,
                            config,
                            lock,
                        },
                    );
                }
                Err(why) => {
                    self.release(std::iter::once(&key));
                    self.failed.insert(key);
                    failure.get_or_insert(why);
                }
            }
        }
        // A new location is a new peer of those that run already.
        self.network_seen = Fingerprint::of(&[self.data_dir.dev_file()]);
        failure.map_or(Ok(()), Err)
    }

    /// Locks, ports, entries in `dev.json`, configurations: everything that can be refused before anything runs.
    async fn prepare(&self, keys: &[Key], board: &Board) -> Result<Vec<Prepared>, Failure> {
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
            witness: Witness { file: witness },
            listen,
            insecure: self.selection.is_insecure(key),
        })
    }

    fn render(&self, key: &Key, local: Local, file: &DevFile) -> Result<Config, Failure> {
        let (log, location) = key;
        let plan = self
            .wanted
            .plans
            .iter()
            .find(|plan| plan.log == *log)
            .ok_or_else(|| Failure::failed(format!("there is no plan of {log}")))?;
        let endpoint_of = |name: &LocationName| self.endpoint(plan, name, file);
        Ok(render::config(plan, location, local, endpoint_of)?)
    }

    /// Where another location is reached: as it was said, else as this directory knows it, else as the manifests say.
    fn endpoint(&self, plan: &Plan, name: &LocationName, file: &DevFile) -> Option<Endpoint> {
        if let Some(endpoint) = self.selection.peer(&(plan.log.clone(), name.clone())) {
            return Some(endpoint.clone());
        }
        if let Some(entry) = file.get(&plan.log, name) {
            return entry.replication.parse().ok();
        }
        let endpoint = plan.locations.get(name.as_str())?.endpoint.as_ref()?;
        format!("{}:{}", endpoint.host, endpoint.port).parse().ok()
    }

    /// Takes over what was changed since the last look: manifests, and other processes of the network.
    pub async fn follow(&mut self, board: &Board) -> Result<(), Failure> {
        let manifests = Fingerprint::of(&self.args.manifests.files);
        let network = Fingerprint::of(&[self.data_dir.dev_file()]);
        let manifests_changed = manifests != self.manifests_seen;
        if !manifests_changed && network == self.network_seen {
            return Ok(());
        }
        self.manifests_seen = manifests;
        self.network_seen = network;
        if manifests_changed && !self.read_manifests(board) {
            return Ok(());
        }
        let new: Vec<Key> = self
            .wanted()
            .filter(|key| !self.running.contains_key(key) && !self.failed.contains(key))
            .collect();
        if !new.is_empty() {
            let started = self.start_all(&new, board).await;
            self.wait_until_ready(&new, board).await;
            for (log, location) in new.iter().filter(|key| self.running.contains_key(key)) {
                board.line(&format!("{log}/{location} was added and runs"))?;
            }
            if let Err(failure) = started {
                board.error(&format!(
                    "a new location does not start: {failure}\n  {}",
                    failure.hint
                ));
            }
        }
        self.tell_gone(board);
        self.apply(board).await
    }

    /// Reads and plans again; false when the old plan stays.
    fn read_manifests(&mut self, board: &Board) -> bool {
        let manifests = match self.args.manifests.read() {
            Ok(manifests) => manifests,
            Err(failure) => {
                board.error(&format!("{failure}\nkeeping the old plan"));
                return false;
            }
        };
        let plans = plans(&manifests);
        let refused = refused(&plans);
        if !refused.is_empty() {
            tell_findings(board, &plans);
            board.error(&format!(
                "plan of {} refused, keeping the old one",
                refused.join(", ")
            ));
            return false;
        }
        let wanted = Wanted::new(&manifests, plans);
        if wanted == self.wanted {
            return true;
        }
        tell_not_realised(board, &manifests);
        tell_findings(board, &wanted.plans);
        self.wanted = wanted;
        // A changed plan may have mended what kept them from starting.
        self.failed.clear();
        true
    }

    fn tell_gone(&mut self, board: &Board) {
        let wanted: BTreeSet<Key> = self.wanted().collect();
        for key in self.running.keys().filter(|key| !wanted.contains(key)) {
            if self.gone.insert(key.clone()) {
                board.warning(&format!(
                    "{}/{} is not in the manifests any more; restart needed to stop it",
                    key.0, key.1
                ));
            }
        }
        self.gone.retain(|key| !wanted.contains(key));
    }

    /// Puts configurations in force that differ from those that run.
    async fn apply(&mut self, board: &Board) -> Result<(), Failure> {
        let file = match DevFile::load(&self.data_dir) {
            Ok(file) => file.unwrap_or_default(),
            // It was damaged while we run; those who read it are told.
            Err(_) => return Ok(()),
        };
        let mut rendered = Vec::new();
        for (key, runner) in self
            .running
            .iter()
            .filter(|(key, _)| !self.gone.contains(key))
        {
            let Config {
                storage,
                witness: Some(witness),
                listen,
                insecure,
                ..
            } = runner.config.clone()
            else {
                continue;
            };
            match self.render(
                key,
                Local {
                    storage,
                    witness,
                    listen,
                    insecure,
                },
                &file,
            ) {
                Ok(config) if config != runner.config => rendered.push((key.clone(), config)),
                Ok(_) => {}
                Err(failure) => board.error(&failure.message),
            }
        }
        let mut restart: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut applied = Vec::new();
        for (key, config) in rendered {
            let Some(runner) = self.running.get_mut(&key) else {
                continue;
            };
            let name = format!("{}/{}", key.0, key.1);
            match runner.location.apply(&config).await {
                Ok(outcome) => {
                    let only_restart = runner.config.restart_needed(&config).len()
                        == outcome.restart_needed.len()
                        && !live_difference(&runner.config, &config);
                    if outcome.changed && !only_restart {
                        applied.push(name.clone());
                    }
                    for field in outcome.restart_needed {
                        restart.entry(field).or_default().insert(name.clone());
                    }
                    runner.config = config;
                }
                Err(error) => board.error(&format!(
                    "{name}: the new plan could not be put in force: {error}"
                )),
            }
        }
        if !applied.is_empty() {
            board.line(&format!(
                "the new plan is in force at {}",
                applied.join(", ")
            ))?;
        }
        for (field, names) in restart {
            let names: Vec<String> = names.into_iter().collect();
            board.warning(&format!(
                "{field} was changed: restart needed ({})",
                names.join(", ")
            ));
        }
        Ok(())
    }

    /// Where everything stands.
    pub fn status(&self) -> Vec<LocationStatus> {
        self.running
            .values()
            .map(|runner| runner.location.location_status())
            .collect()
    }

    /// Name, state and addresses of each location.
    pub fn overview(&self) -> String {
        let mut table = table(&[
            "LOG",
            "LOCATION",
            "STATE",
            "HEAD",
            "API",
            "ADMIN",
            "REPLICATION",
            "STORAGE",
        ]);
        for ((log, location), runner) in &self.running {
            let status = runner.location.location_status();
            let (state, ink) = location_state(status.state());
            let listen = &runner.config.listen;
            table.add_row([
                Cell::new(log),
                Cell::new(location),
                Cell::new(state).fg(ink),
                Cell::new(status.head),
                Cell::new(listen.api),
                Cell::new(listen.admin),
                Cell::new(listen.replication),
                Cell::new(self.storage_of(&(log.clone(), location.clone()))),
            ]);
        }
        let count = self.running.len();
        let word = if count == 1 {
            "location runs"
        } else {
            "locations run"
        };
        format!("{}\n{count} {word}\n", rendered(&table))
    }

    fn storage_of(&self, key: &Key) -> String {
        match &self.args.storage {
            StorageChoice::Sqlite => self.data_dir.database(&key.0, &key.1).display().to_string(),
            StorageChoice::Postgres(_) => {
                format!("PostgreSQL database {}", PostgresServer::database(key))
            }
        }
    }

    /// Stops every location of this process and takes the process out of `dev.json`.
    pub async fn stop(&mut self) {
        let running = std::mem::take(&mut self.running);
        let keys: Vec<Key> = running.keys().cloned().collect();
        join_all(running.into_values().map(|runner| async move {
            runner.location.shut_down().await;
            drop(runner.lock);
        }))
        .await;
        let wanted: Vec<Key> = self.wanted().collect();
        self.release(keys.iter().chain(&wanted));
    }

    /// A file that cannot be written keeps a process id that its lock proves wrong.
    fn release<'k>(&self, keys: impl Iterator<Item = &'k Key>) {
        let pid = std::process::id();
        let _ = DevFile::edit(&self.data_dir, |file| {
            for (log, location) in keys {
                file.stopped(log, location, pid);
            }
            Ok::<_, DevFileError>(())
        });
    }
}

/// Whether something differs that changes while running.
fn live_difference(old: &Config, new: &Config) -> bool {
    let live = |config: &Config| {
        (
            config.edges.clone(),
            config.peers.clone(),
            config.export_filter.clone(),
            config.plan_id,
        )
    };
    live(old) != live(new)
}

/// Where this machine reaches what listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

async fn open(
    storage: &StorageChoice,
    key: &Key,
    config: Config,
) -> Result<RunningLocation, Failure> {
    let name = format!("{}/{}", key.0, key.1);
    if let StorageChoice::Postgres(server) = storage {
        create_database(server.uri(), &PostgresServer::database(key))
            .await
            .map_err(|error| Failure::failed(format!("{name}: {error}")).hint(POSTGRES_HINT))?;
    }
    RunningLocation::start(config).await.map_err(|error| {
        let failure = Failure::failed(format!("{name} does not start: {error}"));
        match error {
            StartError::Listen(_) => failure.hint("choose other ports with --base-port N"),
            StartError::Store { .. } if matches!(storage, StorageChoice::Postgres(_)) => {
                failure.hint(POSTGRES_HINT)
            }
            _ => failure,
        }
    })
}

const POSTGRES_HINT: &str = "check address, user and password of --storage postgres://USER:PASSWORD@HOST:PORT, and that the server runs";
