//! One sidecar with a folder of its own.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tidelog_harness::client::Client;
use tidelog_harness::ports::Ports;
use tidelog_harness::process::Process;
use tidelog_proto::v1;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The program, with nothing from the environment of the tests.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog-sidecar"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDELOG_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// A location: its folder, its ports and, while it runs, its process.
pub struct Sidecar {
    pub name: String,
    pub ports: Ports,
    dir: tempfile::TempDir,
    process: Option<Process>,
}

impl Sidecar {
    /// A location on SQLite that does not run yet; `more` goes to the end of its configuration.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ports: Ports::take(1).unwrap(),
            dir: tempfile::tempdir().unwrap(),
            process: None,
        }
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One of its addresses: the last digit is that of the table of ports.
    pub fn address(&self, digit: u16) -> String {
        format!("127.0.0.1:{}", self.ports.first + digit)
    }

    /// The Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.path("api.sock")
    }

    /// The configuration as YAML, with `more` at its end.
    pub fn yaml(&self, more: &str) -> String {
        let (data, witness) = (self.path("data"), self.path("witness"));
        format!(
            "log: orders\nlocation: {}\napplication: {{name: shop, version: '1.4'}}\n\
             storage: {{sqlite: {{path: {}}}}}\nwitness: {{file: {}}}\n\
             listen: {{api: '{}', metrics: '{}', health: '{}', replication: '{}', admin: '{}', socket: {}}}\n{more}",
            self.name,
            data.display(),
            witness.display(),
            self.address(0),
            self.address(1),
            self.address(2),
            self.address(3),
            self.address(4),
            self.socket().display(),
        )
    }

    /// Writes the configuration and names the file.
    pub fn write(&self, yaml: &str) -> PathBuf {
        let file = self.path("config.yaml");
        std::fs::write(&file, yaml).unwrap();
        file
    }

    /// Starts it with the configuration that was written, and waits until it serves.
    pub async fn start(&mut self) {
        self.spawn();
        self.serves().await;
    }

    /// Starts it with the configuration that was written.
    pub fn spawn(&mut self) {
        let file = self.path("config.yaml");
        let command = program(&["--config", text(&file)]);
        let process = Process::start(&self.name, command, &self.path("log")).unwrap();
        self.process = Some(process);
    }

    /// Waits until it serves.
    pub async fn serves(&self) {
        eventually(&format!("{} serves", self.name), || async {
            let status = self.client().status().await.ok()?;
            (status.state() == v1::LocationState::Serving).then_some(())
        })
        .await;
    }

    /// Waits until its log says something.
    pub async fn says(&self, what: &str) {
        eventually(&format!("{} says `{what}`", self.name), || async {
            let log = std::fs::read_to_string(self.path("log")).ok()?;
            log.contains(what).then_some(())
        })
        .await;
    }

    /// Its process, which runs.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// Its calls.
    pub fn client(&self) -> Client {
        Client::new("orders", &self.address(0), &self.address(4)).unwrap()
    }

    /// Its view of an edge.
    pub async fn edge(&self, source: &str, target: &str) -> Option<v1::EdgeStatus> {
        let status = self.client().status().await.ok()?;
        let mut edges = status.edges.into_iter();
        edges.find(|edge| edge.source == source && edge.target == target)
    }

    /// Waits until an edge is in a state here.
    pub async fn sees(&self, source: &str, target: &str, state: v1::EdgeState) -> v1::EdgeStatus {
        let what = format!("{source}->{target} is {state:?} at {}", self.name);
        eventually(&what, || async {
            let edge = self.edge(source, target).await;
            edge.filter(|edge| edge.state() == state)
        })
        .await
    }
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An event of a type.
pub fn append(kind: &str) -> v1::AppendRequest {
    v1::AppendRequest {
        events: vec![v1::NewEvent {
            r#type: kind.to_owned(),
            ..v1::NewEvent::default()
        }],
        ..v1::AppendRequest::default()
    }
}

/// Waits until something is there.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
