//! The programs under test as child processes: found or built, logged to a file, killed in every way, gone when the test process is gone.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};

/// Set to a program to test that one, whatever is in the target directory.
pub const PROGRAM_VARIABLE: &str = "TIDELOG_TEST_PROGRAM";

/// The `tidelog` command: the one of the build that this test belongs to. Built here when it is missing or older than its sources.
pub fn tidelog() -> Result<&'static Path> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found =
        FOUND.get_or_init(|| find("tidelog-cli", "tidelog").map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// The `tidelog-operator` program, in the same way.
pub fn operator() -> Result<PathBuf> {
    find_built("tidelog-operator", "tidelog-operator")
}

fn find(package: &str, name: &str) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM_VARIABLE) {
        return Ok(named.into());
    }
    find_built(package, name)
}

fn find_built(package: &str, name: &str) -> Result<PathBuf> {
    // .../target/debug/deps/test-1234 is a test, .../target/debug/name a program beside the one under test.
    let test = std::env::current_exe().context("where is this test?")?;
    let directory = test
        .ancestors()
        .find(|place| place.file_name().is_some_and(|name| name == "deps"))
        .or_else(|| {
            test.parent()
                .map(|place| place.join("deps"))
                .is_some_and(|deps| deps.is_dir())
                .then_some(test.as_path())
        })
        .and_then(Path::parent)
        .with_context(|| format!("{} is not in a target directory", test.display()))?;
    let program = directory.join(name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if is_fresh(&program, &root)? {
        return Ok(program);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--locked", "--package", package, "--bin", name])
        .current_dir(&root);
    if directory.ends_with("release") {
        command.arg("--release");
    }
    // What cargo tells a test of its own package is nothing that another build is to see: build scripts would run again for it, now and at the next build.
    for (variable, _) in std::env::vars_os() {
        let told = variable.to_string_lossy();
        let of_package = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if of_package.iter().any(|begin| told.starts_with(begin)) || told == "OUT_DIR" {
            command.env_remove(&variable);
        }
    }
    if let Some(target) = directory.parent() {
        command.env("CARGO_TARGET_DIR", target);
    }
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(program)
}

fn is_fresh(program: &Path, root: &Path) -> Result<bool> {
    let Ok(built) = program.metadata().and_then(|metadata| metadata.modified()) else {
        return Ok(false);
    };
    for room in ["operator", "sidecar"] {
        if newest(&root.join(room))? > built {
            return Ok(false);
        }
    }
    Ok(true)
}

fn newest(directory: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in
        std::fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?
    {
        let entry = entry?;
        let path = entry.path();
        let is_source = ["rs", "toml", "proto", "sql"]
            .iter()
            .any(|end| path.extension().is_some_and(|e| e == *end));
        if entry.file_type()?.is_dir() {
            // What a test of a room holds is no part of the program.
            if entry.file_name() != "tests" {
                newest = newest.max(self::newest(&path)?);
            }
        } else if is_source {
            newest = newest.max(entry.metadata()?.modified()?);
        }
    }
    Ok(newest)
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; both its streams are appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let mut file = File::options().create(true).append(true).open(log)?;
        writeln!(file, "==== {command:?}")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // Ctrl-C in the terminal is for the tests; the watchdog ends the children.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        watch(&format!("+{}", child.id()));
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// True while it lives.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended; an error when it has not after `patience`.
    pub async fn ended(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                watch(&format!("-{}", self.child.id()));
                return Ok(status);
            }
            ensure!(
                Instant::now() < deadline,
                "{} did not end within {patience:?}:\n{}",
                self.name,
                self.log_tail(30)
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it with SIGKILL.
    pub async fn kill(&mut self) -> Result<()> {
        if self.is_running() {
            self.child.kill()?;
        }
        self.ended(Duration::from_secs(10)).await.map(drop)
    }

    /// Asks it to end with SIGTERM, and says how it did.
    pub async fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.ended(patience).await
    }

    /// Stops it where it stands (SIGSTOP); it does not notice.
    pub fn freeze(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) -> Result<()> {
        self.signal("CONT")
    }

    /// Sends a signal by name.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status()?;
        ensure!(
            status.success(),
            "SIG{signal} to {} ({}): {status}",
            self.name,
            self.child.id()
        );
        Ok(())
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text =
            String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        let skip = text.lines().count().saturating_sub(lines);
        text.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }

    /// An error when it ended or panicked.
    pub fn assert_well(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let how = status
                .signal()
                .map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
            bail!("{} ended ({how}):\n{}", self.name, self.log_tail(30));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        watch(&format!("-{}", self.child.id()));
    }
}

/// Tells the watchdog of this test process about a child (`+pid`, `-pid`). The watchdog is a shell that reads from a pipe whose other end only
/// this process has: when this process ends, in whatever way, it kills the children that are left. (A parent-death signal would come when
/// the *thread* that started a child ends.)
fn watch(line: &str) {
    const SCRIPT: &str = r#"
        children=" "
        while read -r line; do
          case $line in
            +*) children="$children${line#+} " ;;
            -*) one=" ${line#-} "
                case $children in *"$one"*) children="${children%%"$one"*} ${children#*"$one"}" ;; esac ;;
          esac
        done
        for child in $children; do kill -s KILL "$child" 2>/dev/null; done
    "#;
    static WATCHDOG: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();
    let pipe = WATCHDOG.get_or_init(|| {
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "tidelog-watchdog"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .ok()?;
        child.stdin.take().map(Mutex::new)
    });
    if let Some(pipe) = pipe {
        let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(pipe, "{line}");
    }
}

/// Runs a command to its end, at most `patience`.
pub async fn run(mut command: Command, patience: Duration) -> Result<Output> {
    let said = format!("{command:?}");
    // Ctrl-C in the terminal is for the tests.
    command.stdin(Stdio::null()).process_group(0);
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    tokio::time::timeout(patience, command.output())
        .await
        .with_context(|| format!("not done after {patience:?}: {said}"))?
        .with_context(|| format!("run {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    }

    #[tokio::test]
    async fn a_killed_process_is_gone_and_a_terminated_one_says_how() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut process = Process::start("sleeper", sleeper(), &log).unwrap();
        process.assert_well().unwrap();
        process.kill().await.unwrap();
        assert!(!process.is_running());
        assert!(process.assert_well().is_err());
        let mut process = Process::start("sleeper", sleeper(), &log).unwrap();
        let status = process.terminate(Duration::from_secs(5)).await.unwrap();
        assert_eq!(status.signal(), Some(15));
        assert!(process.log_tail(5).contains("sleep"));
    }

    const HOLD: &str = "TIDELOG_TEST_HOLD_PROCESS";

    /// Runs itself once more as the process to kill.
    #[tokio::test]
    async fn children_die_with_a_test_process_that_is_killed() {
        if let Some(file) = std::env::var_os(HOLD) {
            let log = PathBuf::from(&file).with_extension("log");
            let gone = Process::start("gone", sleeper(), &log).unwrap();
            let kept = Process::start("kept", sleeper(), &log).unwrap();
            drop(gone);
            std::fs::write(&file, kept.id().to_string()).unwrap();
            tokio::time::sleep(Duration::from_mins(10)).await;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("child");
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "process::tests::children_die_with_a_test_process_that_is_killed",
            ])
            .env(HOLD, &file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let child = eventually(|| {
            std::fs::read_to_string(&file)
                .ok()
                .filter(|pid| !pid.is_empty())
        })
        .await;
        let child = Path::new("/proc").join(child);
        assert!(child.exists());
        parent.kill().unwrap();
        parent.wait().unwrap();
        eventually(|| (!child.exists()).then_some(())).await;
    }

    async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..400 {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited 20 s in vain");
    }
}
