//! Running the program, alone or as a network.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidelog_harness::ports::Ports;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program, started in the root of the repository.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command
        .args(arguments)
        .current_dir(root())
        .env_remove("TIDELOG_DATA_DIR")
        .stdin(Stdio::null());
    command
}

/// Text of a program.
#[track_caller]
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Waits until something is true.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) if Instant::now() > until => panic!("not in time: {what}: {why}"),
            Err(_) => pause(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests of a process have no executor"
)]
fn pause() {
    thread::sleep(Duration::from_millis(50));
}

/// A data directory with manifests and processes; the processes die with it.
pub struct Network {
    dir: tempfile::TempDir,
    manifests: PathBuf,
    ports: Ports,
}

impl Network {
    /// A network of an example.
    pub fn of_example(name: &str, locations: u16) -> Self {
        let network = Self {
            dir: tempfile::tempdir().unwrap(),
            manifests: root().join("examples").join(name),
            ports: Ports::take(locations).unwrap(),
        };
        fs::create_dir(network.dir.path().join("out")).unwrap();
        network
    }

    /// The same, with a copy of the manifests that the test may change.
    pub fn of_copied_example(name: &str, locations: u16) -> Self {
        let mut network = Self::of_example(name, locations);
        let copy = network.dir.path().join("manifests");
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(&network.manifests).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, copy.join(from.file_name().unwrap())).unwrap();
        }
        network.manifests = copy;
        network
    }

    /// Where things are.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// Where its ports begin.
    pub fn base_port(&self) -> u16 {
        self.ports.first
    }

    /// Changes a manifest.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.manifests.join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "{file} has no `{from}`");
        fs::write(&path, before.replace(from, to)).unwrap();
    }

    /// The arguments of `dev`. Only the first start is told where ports begin: later ones keep them.
    pub fn dev(&self, more: &[&str]) -> Command {
        let mut command = command(&["dev", "-f"]);
        command
            .arg(&self.manifests)
            .arg("--data-dir")
            .arg(self.data_dir());
        if !self.data_dir().join("dev.json").exists() {
            command.args(["--base-port", &self.ports.first.to_string()]);
        }
        command.args(more);
        command
    }

    /// Starts `dev` and waits until it runs.
    #[track_caller]
    pub fn start(&self, more: &[&str]) -> Dev {
        let dev = self.spawn(more);
        eventually("dev runs", || {
            if dev.printed().contains(" run\n") || dev.printed().contains(" runs\n") {
                Ok(())
            } else {
                Err(dev.everything())
            }
        });
        dev
    }

    /// Starts `dev`.
    pub fn spawn(&self, more: &[&str]) -> Dev {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let out = self.path(&format!("out/{number}.out"));
        let err = self.path(&format!("out/{number}.err"));
        let child = self
            .dev(more)
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        Dev { child, out, err }
    }

    /// A command for this network.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.arg("--data-dir").arg(self.data_dir());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; its output.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout).to_owned()
    }

    /// Runs a command that must end with another code; its complaint.
    #[track_caller]
    pub fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stderr).to_owned()
    }

    /// Runs a command that prints one JSON document.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    /// The ids that a location holds, in the order of its log.
    #[track_caller]
    pub fn ids(&self, location: &str) -> Vec<String> {
        self.ok(&["read", "--location", location, "-o", "json"])
            .lines()
            .map(|line| {
                let event: Value = serde_json::from_str(line).unwrap();
                let id = &event["id"];
                format!(
                    "{}#{}/{}",
                    id["location"].as_str().unwrap(),
                    id["incarnation"],
                    id["sequence"].as_str().unwrap()
                )
            })
            .collect()
    }

    /// Waits until a location holds so many events.
    #[track_caller]
    pub fn holds(&self, location: &str, events: usize) -> Vec<String> {
        eventually(&format!("{location} holds {events} events"), || {
            let ids = self.ids(location);
            if ids.len() == events {
                Ok(ids)
            } else {
                Err(format!("{ids:?}"))
            }
        })
    }

    /// Appends an event.
    #[track_caller]
    pub fn append(&self, location: &str, event_type: &str, more: &[&str]) -> String {
        self.ok(&[
            &["append", "--location", location, "--type", event_type],
            more,
        ]
        .concat())
    }

    /// Waits until every edge of the status is in a state.
    #[track_caller]
    pub fn all_edges(&self, state: &str, edges: usize) {
        eventually(&format!("{edges} edges are {state}"), || {
            let status = self.run(&["status"]);
            let lines: Vec<&str> = text(&status.stdout)
                .lines()
                .filter(|line| line.split_whitespace().nth(3) == Some(state))
                .collect();
            if lines.len() == edges {
                Ok(())
            } else {
                Err(format!("{}{}", text(&status.stdout), text(&status.stderr)))
            }
        });
    }
}

/// A running `dev`.
pub struct Dev {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Dev {
    /// What it has printed.
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    /// Everything it has said.
    pub fn everything(&self) -> String {
        format!(
            "{}{}",
            self.printed(),
            fs::read_to_string(&self.err).unwrap()
        )
    }

    /// Waits until it has said something.
    #[track_caller]
    pub fn says(&self, what: &str) {
        eventually(&format!("dev says `{what}`"), || {
            let all = self.everything();
            if all.contains(what) { Ok(()) } else { Err(all) }
        });
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with Ctrl-C, which must work.
    #[track_caller]
    pub fn stop(mut self) -> String {
        signal(self.pid(), "INT");
        let status = self.ends();
        assert_eq!(status.code(), Some(0), "{}", self.everything());
        self.everything()
    }

    /// Waits until it ends.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < until,
                "dev does not end: {}",
                self.everything()
            );
            pause();
        }
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}
