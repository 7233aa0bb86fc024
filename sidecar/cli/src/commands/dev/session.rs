//! The locations that run in this process: started together, kept in step with manifests and `dev.json`, stopped together.

mod change;
mod open;
mod prepare;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use comfy_table::Cell;
use futures_util::future::join_all;
use tidelog_build::Local;
use tidelog_config::Config;
use tidelog_manifest::Manifests;
use tidelog_model::LocationName;
use tidelog_proto::v1::LocationStatus;
use tidelog_server::RunningLocation;
use tidelog_topology::Plan;

use self::change::Change;
use self::open::open;
use self::prepare::Prepared;
use super::board::Board;
use super::options::{Key, PostgresServer, Selection, StorageChoice};
use super::watch::Fingerprint;
use super::{DevArgs, plans, refused, tell_findings, tell_not_realised};
use crate::commands::status::location_state;
use crate::context::Context;
use crate::data_dir::{DataDir, LocationLock};
use crate::dev_file::{DevFile, DevFileError};
use crate::failure::Failure;
use crate::output::{rendered, table};

/// How long a location may take until it is shown as not ready; it goes on trying.
const READY_MAX: Duration = Duration::from_secs(20);
/// A location that runs here.
struct Runner {
    location: RunningLocation,
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
    /// A plan that is not in force everywhere yet.
    change: Option<Change>,
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
            change: None,
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
                let started = open(&storage, &key, config.clone(), board).await;
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
        failure.map_or(Ok(()), Err)
    }

    /// Takes over what was changed since the last look: manifests, and other processes of the network.
    pub async fn follow(&mut self, board: &Board) -> Result<(), Failure> {
        self.tell_in_force(board)?;
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
                    tls: None,
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
                    if live_difference(&runner.config, &config) {
                        applied.push(key.clone());
                    }
                    // What waits for a restart since an earlier change was said then.
                    let news = runner.config.restart_needed(&config);
                    for field in outcome.restart_needed {
                        if news.contains(&field) {
                            restart.entry(field).or_default().insert(name.clone());
                        }
                    }
                    runner.config = config;
                }
                Err(error) => board.error(&format!(
                    "{name}: the new plan could not be put in force: {error}"
                )),
            }
        }
        self.changed(applied);
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
