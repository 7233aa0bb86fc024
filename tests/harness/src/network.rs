//! Several locations of one log, each in a process of its own, with a record of what happens to them.

mod place;
mod settle;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tidelog_proto::v1;

pub use place::Place;
pub use storage::Storage;

use crate::client::{Client, incoming};
use crate::history::Topology;
use crate::journal::Journal;
use crate::manifests::Manifests;
use crate::ports::Ports;
use crate::process::{Process, run, tidelog};
use crate::record::{Fact, Id, Life};
use crate::session::Session;
use crate::subscriber::{Mode, Subscriber};

/// Longer than a start takes while the machine builds something else.
const READY: Duration = Duration::from_mins(1);
/// Longer than copying takes while the machine builds something else.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running network.
pub struct Network {
    /// What the manifests say now.
    pub manifests: Manifests,
    /// What is written down.
    pub journal: Journal,
    topology: Topology,
    directory: Option<tempfile::TempDir>,
    ports: Ports,
    storage: Storage,
    places: BTreeMap<String, Place>,
    processes: BTreeMap<String, Process>,
    clients: BTreeMap<String, Client>,
    facts: BTreeMap<Id, Fact>,
    starts: u32,
}

impl Network {
    /// Starts every location, each in its own process, and waits until all serve.
    pub async fn start(storage: Storage, manifests: Manifests) -> Result<Self> {
        let mut network = Self::prepare(storage, manifests)?;
        let names: Vec<String> = network.names();
        for name in &names {
            network.spawn(name, &[name])?;
        }
        for name in &names {
            network.ready(name).await?;
        }
        Ok(network)
    }

    /// Starts every location in one process.
    pub async fn start_in_one_process(storage: Storage, manifests: Manifests) -> Result<Self> {
        let mut network = Self::prepare(storage, manifests)?;
        let names: Vec<String> = network.names();
        network.spawn("all", &[])?;
        for name in &names {
            network.ready(name).await?;
        }
        Ok(network)
    }

    /// Writes the manifests and takes ports, and starts nothing.
    pub fn prepare(storage: Storage, mut manifests: Manifests) -> Result<Self> {
        storage.name_log(&mut manifests.log);
        let directory = tempfile::Builder::new().prefix("tidelog-net-").tempdir()?;
        // Room for locations that are added later.
        let blocks = u16::try_from(manifests.locations.len())? + 2;
        let network = Self {
            journal: Journal::default(),
            topology: manifests.topology(),
            directory: Some(directory),
            ports: Ports::take(blocks)?,
            storage,
            places: BTreeMap::new(),
            processes: BTreeMap::new(),
            clients: BTreeMap::new(),
            facts: BTreeMap::new(),
            starts: 0,
            manifests,
        };
        std::fs::create_dir(network.path("manifests"))?;
        network.write_manifests()?;
        Ok(network)
    }

    /// Names of all locations.
    pub fn names(&self) -> Vec<String> {
        self.manifests
            .names()
            .iter()
            .map(|name| (*name).to_owned())
            .collect()
    }

    /// A path in the directory of this network.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory
            .as_ref()
            .map_or_else(PathBuf::new, |directory| directory.path().join(name))
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The first of the ports of this network; each location has ten.
    pub fn first_port(&self) -> u16 {
        self.ports.first
    }

    fn write_manifests(&self) -> Result<()> {
        // As an editor would: never half a file.
        let file = self.path("manifests/network.yaml");
        let fresh = self.path("network.yaml.new");
        std::fs::write(&fresh, self.manifests.yaml())?;
        Ok(std::fs::rename(fresh, file)?)
    }

    /// Changes the manifests while the network runs. What passed before stays allowed.
    pub fn change(&mut self, change: impl FnOnce(&mut Manifests)) -> Result<()> {
        change(&mut self.manifests);
        let mut topology = self.manifests.topology();
        topology.former = std::mem::take(&mut self.topology.former);
        topology.former.append(&mut self.topology.edges);
        topology.excused = std::mem::take(&mut self.topology.excused);
        self.topology = topology;
        self.write_manifests()
    }

    /// Leaves open where events of these tags are.
    pub fn excuse(&mut self, tags: impl IntoIterator<Item = String>) {
        self.topology.excused.extend(tags);
    }

    /// The `tidelog` command on this network's data directory.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(tidelog()?);
        command.arg("--data-dir").arg(self.data()).args(arguments);
        command
            .env_remove("TIDELOG_DATA_DIR")
            .current_dir(self.path(""));
        Ok(command)
    }

    /// Runs the `tidelog` command to its end; its output when it succeeded.
    pub async fn cli(&self, arguments: &[&str]) -> Result<String> {
        let output = run(self.command(arguments)?, PATIENCE).await?;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        ensure!(
            output.status.success(),
            "tidelog {arguments:?}: {}\n{out}{err}",
            output.status
        );
        Ok(out.into_owned())
    }

    /// The command that runs some locations (all when none is named).
    pub fn dev_command(&self, only: &[&str]) -> Result<Command> {
        let mut command = self.command(&["--color", "never", "-v", "dev"])?;
        command.arg("-f").arg(self.path("manifests"));
        command.args(["--base-port", &self.ports.first.to_string()]);
        for location in only {
            command.args(["--only", location]);
        }
        let storage = match only {
            [location] => self.storage_of(location),
            _ => self.storage,
        };
        if let Some(uri) = storage.uri() {
            command.args(["--storage", &uri]);
        }
        if let [location] = only {
            self.dress(location, &mut command);
        }
        command.env("RUST_BACKTRACE", "1");
        Ok(command)
    }

    /// Starts a process that runs some locations, under the name of the first.
    fn spawn(&mut self, name: &str, only: &[&str]) -> Result<()> {
        let command = self.dev_command(only)?;
        self.spawn_command(name, command)
    }

    /// Starts a process with a command of its own.
    pub fn spawn_command(&mut self, name: &str, command: Command) -> Result<()> {
        self.starts += 1;
        let log = self.path(&format!("{name}.log"));
        let process = Process::start(name, command, &log)?;
        self.processes.insert(name.to_owned(), process);
        Ok(())
    }

    /// The process that runs a location.
    pub fn process(&mut self, location: &str) -> Result<&mut Process> {
        let name = if self.processes.contains_key(location) {
            location
        } else {
            "all"
        };
        self.processes
            .get_mut(name)
            .with_context(|| format!("{location} does not run"))
    }

    /// Waits until a location serves.
    pub async fn ready(&mut self, location: &str) -> Result<()> {
        let deadline = Instant::now() + READY;
        let mut last = "it is not in dev.json".to_owned();
        loop {
            let process = self.process(location)?;
            process.assert_well()?;
            let pid = process.id();
            if let Ok(client) = self.dial(location) {
                match client.status().await {
                    Ok(status) if status.pid == pid => {
                        if matches!(
                            status.state(),
                            v1::LocationState::Serving | v1::LocationState::Recovering
                        ) {
                            self.clients.insert(location.to_owned(), client);
                            self.lived(&status);
                            return Ok(());
                        }
                        last = format!("it is {:?}: {}", status.state(), status.message);
                    }
                    Ok(status) => last = format!("process {} answers instead of {pid}", status.pid),
                    Err(status) => last = format!("{status}"),
                }
            }
            if Instant::now() >= deadline {
                let tail = self.process(location)?.log_tail(40);
                bail!("{location} does not serve after {READY:?} ({last}):\n{tail}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn lived(&self, status: &v1::LocationStatus) {
        let at = self.journal.now();
        let mut pages = self.journal.pages();
        let known = pages
            .lives
            .iter()
            .rev()
            .find(|life| life.location == status.location);
        if known.is_none_or(|life| life.incarnation != status.incarnation) {
            pages.lives.push(Life {
                at,
                location: status.location.clone(),
                incarnation: status.incarnation,
            });
        }
        pages.progress.extend(incoming(status, at));
    }

    /// What `dev.json` says of a location: the address of one of its ports.
    pub fn address(&self, location: &str, port: &str) -> Result<String> {
        let text = std::fs::read_to_string(self.data().join("dev.json"))?;
        let file: serde_json::Value = serde_json::from_str(&text)?;
        let address = file["logs"][&self.manifests.log][location][port].as_str();
        Ok(address
            .with_context(|| format!("dev.json names no {port} of {location}"))?
            .to_owned())
    }

    fn dial(&self, location: &str) -> Result<Client> {
        Client::new(
            &self.manifests.log,
            &self.address(location, "api")?,
            &self.address(location, "admin")?,
        )
    }

    /// A client of a location.
    pub fn client(&self, location: &str) -> Result<Client> {
        self.clients
            .get(location)
            .cloned()
            .with_context(|| format!("{location} was never ready"))
    }

    /// A new writer at a location.
    pub fn session(&self, name: &str, location: &str) -> Result<Session> {
        Ok(Session::new(
            name,
            location,
            self.client(location)?,
            self.journal.clone(),
        ))
    }

    /// A new reader at a location.
    pub fn subscriber(&self, name: &str, location: &str, mode: Mode) -> Result<Subscriber> {
        Ok(Subscriber::start(
            name,
            location,
            mode,
            self.client(location)?,
            &self.journal,
        ))
    }

    /// Ends a location's process with SIGKILL.
    pub async fn kill(&mut self, location: &str) -> Result<()> {
        self.process(location)?.kill().await?;
        self.processes.remove(location);
        Ok(())
    }

    /// Asks a location's process to end, and waits until it has, with success.
    pub async fn stop(&mut self, location: &str) -> Result<()> {
        let status = self.process(location)?.terminate(PATIENCE).await?;
        let process = self.processes.remove(location);
        let tail = process
            .map(|process| process.log_tail(30))
            .unwrap_or_default();
        ensure!(
            status.success(),
            "{location} did not end cleanly: {status}\n{tail}"
        );
        Ok(())
    }

    /// Starts a location again, with what is on its disk, and waits until it serves.
    pub async fn restart(&mut self, location: &str) -> Result<()> {
        self.spawn(location, &[location])?;
        self.ready(location).await
    }

    /// Breaks an edge at both ends that run.
    pub async fn cut(&self, source: &str, target: &str) -> Result<()> {
        self.set_cut(source, target, true).await
    }

    /// Mends an edge at both ends that run.
    pub async fn heal(&self, source: &str, target: &str) -> Result<()> {
        self.set_cut(source, target, false).await
    }

    async fn set_cut(&self, source: &str, target: &str, cut: bool) -> Result<()> {
        for end in [source, target] {
            if self.processes.contains_key(end) || self.processes.contains_key("all") {
                let outcome = self.client(end)?.set_cut(source, target, cut).await;
                outcome.with_context(|| format!("cut {source} -> {target} at {end}: {cut}"))?;
            }
        }
        Ok(())
    }

    /// Breaks all edges from and to a location.
    pub async fn isolate(&self, location: &str) -> Result<()> {
        for (source, target) in self.manifests.edges_at(location) {
            self.cut(&source, &target).await?;
        }
        Ok(())
    }

    /// Mends all edges from and to a location.
    pub async fn heal_all(&self, location: &str) -> Result<()> {
        for (source, target) in self.manifests.edges_at(location) {
            self.heal(&source, &target).await?;
        }
        Ok(())
    }

    /// Copies the database of a running location with `tidelog backup`.
    pub async fn backup(&self, location: &str, name: &str) -> Result<PathBuf> {
        let directory = self.path(name);
        let text = directory.to_str().context("a directory in UTF-8")?;
        self.cli(&[
            "--log",
            &self.manifests.log,
            "backup",
            "--location",
            location,
            text,
        ])
        .await?;
        Ok(directory)
    }

    /// Puts a copy in the place of the database of a location that does not run.
    pub async fn restore(&self, location: &str, copy: &Path) -> Result<()> {
        ensure!(!self.processes.contains_key(location), "{location} runs");
        self.storage_of(location)
            .restore(&self.data(), &self.manifests.log, location, copy)
            .await
    }

    /// Events that a location's own writers were told are durable and that no other location holds. They are gone when its database is.
    pub async fn held_only_at(&self, location: &str) -> Result<BTreeSet<Id>> {
        let mut elsewhere = BTreeSet::new();
        for name in self.processes.keys().filter(|name| *name != location) {
            let ids = self.client(name)?.list().await?;
            elsewhere.extend(ids.into_iter().map(|(_, id, _)| id));
        }
        let pages = self.journal.pages();
        let acknowledged = pages
            .attempts
            .iter()
            .filter_map(|attempt| match &attempt.answer {
                crate::record::Answer::Ok { ids, .. } => Some(ids),
                _ => None,
            });
        Ok(acknowledged
            .flatten()
            .filter(|id| id.location == location && !elsewhere.contains(id))
            .cloned()
            .collect())
    }

    /// Names of the locations that run.
    pub fn running(&self) -> Vec<String> {
        if self.processes.contains_key("all") {
            return self.names();
        }
        self.processes.keys().cloned().collect()
    }

    /// The end of a test: processes that panicked fail it, and a failure shows what the processes said and keeps their directory.
    pub fn finish(mut self, outcome: Result<()>) -> Result<()> {
        let outcome = outcome.and_then(|()| self.assert_no_panic());
        if outcome.is_err()
            && let Some(directory) = self.directory.take()
        {
            let kept = directory.keep();
            let _ = self.journal.export(&kept.join("journal.jsonl"));
            eprint_logs(&kept);
        }
        outcome
    }

    fn assert_no_panic(&self) -> Result<()> {
        for (name, text) in logs(&self.path("")) {
            let at = text.find("panicked at");
            if let Some(at) = at {
                let from = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
                let until = text.len().min(from + 800);
                bail!("{name}: {}", text.get(from..until).unwrap_or(&text[from..]));
            }
        }
        Ok(())
    }
}

fn logs(directory: &Path) -> Vec<(String, String)> {
    let mut logs: Vec<(String, String)> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "log"))
        .map(|entry| {
            let text = std::fs::read(entry.path()).unwrap_or_default();
            (
                entry.file_name().to_string_lossy().into_owned(),
                String::from_utf8_lossy(&text).into_owned(),
            )
        })
        .collect();
    logs.sort();
    logs
}

fn eprint_logs(directory: &Path) {
    use std::io::Write as _;
    let mut err = std::io::stderr().lock();
    let _ = writeln!(
        err,
        "kept: {} (journal.jsonl, data, logs)",
        directory.display()
    );
    for (name, text) in logs(directory) {
        let skip = text.lines().count().saturating_sub(40);
        let _ = writeln!(err, "---- end of {name}");
        for line in text.lines().skip(skip) {
            let _ = writeln!(err, "{line}");
        }
    }
}
