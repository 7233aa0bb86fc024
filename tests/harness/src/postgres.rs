//! A private PostgreSQL server for tests: found on this machine, started in a temporary directory, gone when the test process is gone.
//!
//! The server keeps its default durability (`fsync=on`), asks for a random password, and listens on 127.0.0.1 and on a Unix socket.
//! PostgreSQL refuses to run as root: then it runs as an unprivileged user that exists already.
//!
//! **Who stops it.** A small shell process (the watchdog) holds the read end of a pipe whose write end only the test process has. When
//! the test process ends in any way, SIGKILL included, the pipe closes and the watchdog stops the server and removes the directory.
//! (A parent-death signal would not do: it fires when the *thread* that started the child ends.)

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::sync::OnceCell;

use crate::disk::Disk;

/// Oldest major version that Tidelog works with.
pub const MAJOR_MIN: u32 = 14;
/// The superuser of a test server.
pub const USER: &str = "tidelog";
const START_SECONDS_MAX: u64 = 60;
const STOP_SECONDS_MAX: u64 = 30;

/// A running server. Dropping it stops the server and removes its directory.
pub struct Postgres {
    programs: Programs,
    runner: Runner,
    directory: PathBuf,
    password: String,
    port: u16,
    server: Mutex<Option<Child>>,
    watchdog: Mutex<Child>,
    disks: Option<Disks>,
}

/// What a server has of its own to write on.
#[derive(Debug)]
pub struct Disks {
    /// Its tables, and all else but the other one.
    pub data: Disk,
    /// Its write-ahead log.
    pub wal: Disk,
}

/// The server's programs, all of one directory.
#[derive(Debug, Clone)]
struct Programs {
    directory: PathBuf,
    major: u32,
}

/// As whom the server runs.
#[derive(Debug, Clone)]
enum Runner {
    Myself,
    Other {
        name: String,
        uid: u32,
        gid: u32,
        program: &'static str,
    },
}

impl Postgres {
    /// The server that all tests of this process share; give each test a database of its own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(&[])).await
    }

    /// Starts a server of its own, with settings that `postgresql.conf` takes.
    pub async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_on(None, settings).await
    }

    /// The same on disks of its own.
    pub async fn start_on(disks: Option<Disks>, settings: &[(&str, &str)]) -> Result<Self> {
        let programs = Programs::find()?;
        let runner = Runner::choose()?;
        let directory = tempfile::Builder::new()
            .prefix("tidelog-pg-")
            .tempdir()
            .context("create a directory for PostgreSQL")?
            .keep();
        // From here on the watchdog removes the directory, whatever fails.
        let data = data_of(&directory, disks.as_ref());
        let watchdog = start_watchdog(&directory, &data)?;
        let mut server = Self {
            programs,
            runner,
            password: random_hex(16)?,
            port: free_port()?,
            directory,
            server: Mutex::new(None),
            watchdog: Mutex::new(watchdog),
            disks,
        };
        server.initialise(settings)?;
        let mut attempt = 0;
        while let Err(error) = server.start_again().await {
            attempt += 1;
            if attempt == 5 || !server.log_tail().contains("Address already in use") {
                return Err(error);
            }
            // Somebody else took the port between our look and the server's bind.
            server.port = free_port()?;
        }
        Ok(server)
    }

    /// The major version of the server.
    pub fn major(&self) -> u32 {
        self.programs.major
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of [`USER`].
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The directory that holds the data directory, the socket and the server's log.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it has of its own to write on.
    pub fn disks(&self) -> Option<&Disks> {
        self.disks.as_ref()
    }

    /// How a client reaches a database over TCP.
    pub fn uri(&self, database: &str) -> String {
        format!(
            "postgres://{USER}:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    /// How a client reaches a database over the Unix socket.
    pub fn socket_uri(&self, database: &str) -> String {
        format!(
            "postgres://{USER}:{}@localhost:{}/{database}?host={}",
            self.password,
            self.port,
            self.directory.display()
        )
    }

    /// Creates an empty UTF-8 database and returns how to reach it.
    pub fn create_database(&self, name: &str) -> Result<String> {
        self.sql(
            "postgres",
            &format!("CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"),
        )?;
        Ok(self.uri(name))
    }

    /// Runs SQL as superuser, beside the code under test, and returns rows as text (`|` between columns, one line each).
    pub fn sql(&self, database: &str, statement: &str) -> Result<String> {
        let output = Command::new(self.programs.path("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--host", "127.0.0.1"])
            .args(["--port", &self.port.to_string(), "--username", USER])
            .args(["--dbname", database, "--command", statement])
            .env("PGPASSWORD", &self.password)
            .process_group(0)
            .output()
            .context("run psql")?;
        Ok(succeeded("psql", output)?.trim_end().to_owned())
    }

    /// A program of the server's installation, such as `pg_restore`, with host, port, user and password set in its environment.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.path(name));
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", USER)
            .env("PGPASSWORD", &self.password);
        command
    }

    /// True while the server's main process lives.
    pub fn is_running(&self) -> bool {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Starts the server again on the same port with the same data; waits until it accepts connections.
    pub async fn start_again(&self) -> Result<()> {
        ensure!(!self.is_running(), "the server runs already");
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        loop {
            // A killed server leaves its file behind, which still says that it is ready.
            let left_behind = self.pid_file();
            self.spawn()?;
            while self.is_running() {
                let now = self.pid_file();
                if now != left_behind && says_ready(&now) {
                    return Ok(());
                }
                ensure!(
                    Instant::now() < deadline,
                    "PostgreSQL was not ready after {START_SECONDS_MAX} s:\n{}",
                    self.log_tail()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // After a SIGKILL the old backends need a moment to notice that they are orphans.
            let tail = self.log_tail();
            if !tail.contains("still in use") || Instant::now() >= deadline {
                bail!("PostgreSQL did not start:\n{tail}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops the server cleanly: open transactions are aborted, a checkpoint is written.
    pub async fn stop(&self) -> Result<()> {
        self.signal("INT").await
    }

    /// Ends the server and all its backends with SIGKILL, as a power cut of the machine would, but for the page cache.
    pub async fn kill(&self) -> Result<()> {
        self.signal("KILL").await
    }

    /// Stops the server cleanly and starts it again.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Stops the server and all its backends where they stand (SIGSTOP); returns the ids of the processes.
    pub fn freeze(&self) -> Result<Vec<u32>> {
        // The main process first: it starts no backend then that would be missed.
        let main = self.pid()?;
        Self::send("STOP", &[main])?;
        let mut all = Self::backends(main);
        Self::send("STOP", &all)?;
        all.insert(0, main);
        Ok(all)
    }

    /// Lets them go on (SIGCONT).
    pub fn thaw(&self) -> Result<()> {
        let main = self.pid()?;
        let mut all = Self::backends(main);
        all.push(main);
        Self::send("CONT", &all)
    }

    /// The main process.
    pub fn pid(&self) -> Result<u32> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(server.as_ref().context("the server does not run")?.id())
    }

    fn backends(main: u32) -> Vec<u32> {
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children"));
        let children = children.unwrap_or_default();
        children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    }

    fn send(signal: &str, pids: &[u32]) -> Result<()> {
        let mut command = Command::new("kill");
        command.args(["-s", signal]);
        command.args(pids.iter().map(u32::to_string));
        // A backend may have ended by itself in between.
        command.stderr(Stdio::null()).process_group(0);
        command.status().context("run kill")?;
        Ok(())
    }

    async fn signal(&self, signal: &str) -> Result<()> {
        let pid = self.pid()?;
        let mut all = vec![pid];
        if signal == "KILL" {
            all.extend(Self::backends(pid));
        }
        Self::send(signal, &all)?;
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        while self.is_running() {
            ensure!(
                Instant::now() < deadline,
                "PostgreSQL did not end within {STOP_SECONDS_MAX} s after SIG{signal}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn initialise(&self, settings: &[(&str, &str)]) -> Result<()> {
        let password_file = self.directory.join("password");
        std::fs::write(&password_file, &self.password)?;
        if let Runner::Other { uid, gid, .. } = &self.runner {
            let mut theirs = vec![self.directory.clone(), password_file.clone()];
            for disk in self.disks.iter().flat_map(Disks::both) {
                theirs.push(disk.path());
            }
            for path in theirs {
                chown(&path, Some(*uid), Some(*gid))
                    .with_context(|| format!("hand over {}", path.display()))?;
            }
        }
        std::fs::set_permissions(&self.directory, PermissionsExt::from_mode(0o755))?;
        std::fs::set_permissions(&password_file, PermissionsExt::from_mode(0o600))?;
        let data = self.data();
        let mut command = self.runner.command(&self.programs.path("initdb"));
        command
            .arg("--pgdata")
            .arg(&data)
            .arg("--pwfile")
            .arg(&password_file)
            .args(["--username", USER, "--auth", "scram-sha-256"])
            .args(["--encoding", "UTF8", "--locale", "C", "--no-sync"])
            .current_dir(&self.directory);
        if let Some(disks) = &self.disks {
            // Small pieces: a log that has no room is seen soon.
            command.args(["--wal-segsize", "4", "--waldir"]);
            command.arg(disks.wal.path().join("wal"));
        }
        let output = command
            .output()
            .with_context(|| format!("run {command:?}"))?;
        succeeded("initdb", output)?;
        let mut conf = std::fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))?;
        writeln!(conf, "listen_addresses = '127.0.0.1'")?;
        writeln!(
            conf,
            "unix_socket_directories = '{}'",
            self.directory.display()
        )?;
        writeln!(conf, "max_connections = 200\nshared_buffers = '64MB'")?;
        // Said although it is the default: the tests are about what survives.
        writeln!(conf, "fsync = on\nfull_page_writes = on")?;
        for (name, value) in settings {
            writeln!(conf, "{name} = '{value}'")?;
        }
        for disk in self.disks.iter().flat_map(Disks::both) {
            // A disk that refuses writes forgets what was not flushed before.
            disk.flush()?;
        }
        Ok(())
    }

    fn spawn(&self) -> Result<()> {
        let log = std::fs::File::create(self.directory.join("server.log"))?;
        let child = self
            .runner
            .command(&self.programs.path("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in the terminal is for the tests; the watchdog stops the server afterwards.
            .process_group(0)
            .spawn()
            .context("start PostgreSQL")?;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    }

    fn pid_file(&self) -> String {
        std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default()
    }

    /// What it has said since its start.
    pub fn log(&self) -> String {
        let text = std::fs::read(self.directory.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    fn log_tail(&self) -> String {
        let text = self.log();
        let skip = text.lines().count().saturating_sub(20);
        text.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }

    fn data(&self) -> PathBuf {
        data_of(&self.directory, self.disks.as_ref())
    }
}

fn data_of(directory: &Path, disks: Option<&Disks>) -> PathBuf {
    disks.map_or_else(
        || directory.join("data"),
        |disks| disks.data.path().join("data"),
    )
}

impl Disks {
    /// Both of them.
    pub fn both(&self) -> [&Disk; 2] {
        [&self.data, &self.wal]
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let watchdog = self
            .watchdog
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        drop(watchdog.stdin.take());
        let _ = watchdog.wait();
        if let Some(server) = self
            .server
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
        {
            let _ = server.wait();
        }
    }
}

impl Programs {
    /// Looks in `TIDELOG_POSTGRES_BIN`, in `PATH` and where distributions put the server; the newest version wins.
    fn find() -> Result<Self> {
        let mut places: Vec<PathBuf> = Vec::new();
        if let Some(place) = std::env::var_os("TIDELOG_POSTGRES_BIN") {
            places.push(place.into());
        }
        if let Some(path) = std::env::var_os("PATH") {
            // `postgres` on the path is often a link into a directory that holds all the programs.
            places.extend(std::env::split_paths(&path).filter_map(|dir| {
                let program = std::fs::canonicalize(dir.join("postgres")).ok()?;
                Some(program.parent()?.to_owned())
            }));
        }
        for parent in [
            "/usr/lib/postgresql",
            "/usr/local/lib/postgresql",
            "/opt/homebrew/opt",
        ] {
            let versions = std::fs::read_dir(parent).into_iter().flatten().flatten();
            places.extend(versions.map(|version| version.path().join("bin")));
        }
        places.extend(
            ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/pgsql/bin"].map(PathBuf::from),
        );
        let found = places
            .iter()
            .filter(|place| {
                ["initdb", "postgres", "psql"]
                    .iter()
                    .all(|program| place.join(program).is_file())
            })
            .filter_map(|place| {
                let output = Command::new(place.join("postgres"))
                    .arg("--version")
                    .output()
                    .ok()?;
                let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
                Some(Self {
                    directory: place.clone(),
                    major,
                })
            })
            .filter(|programs| programs.major >= MAJOR_MIN)
            .max_by_key(|programs| programs.major);
        found.with_context(|| {
            format!(
                "PostgreSQL {MAJOR_MIN} or newer (initdb, postgres, psql) was not found in PATH, /usr/lib/postgresql/*/bin or \
                 /usr/local. These tests need the real server and are never skipped. `make test` installs it; by hand: \
                 `apt-get install postgresql` (Debian, Ubuntu), `dnf install postgresql-server` (Fedora), \
                 `brew install postgresql@17` (macOS); or set TIDELOG_POSTGRES_BIN to the directory of its programs"
            )
        })
    }

    fn path(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }
}

/// The last line of `postmaster.pid` says when connections are accepted.
fn says_ready(pid_file: &str) -> bool {
    pid_file
        .lines()
        .nth(7)
        .is_some_and(|line| line.trim() == "ready")
}

/// `postgres (PostgreSQL) 15.18 (Debian ...)` is 15.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(2)?;
    number
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

impl Runner {
    /// Root hands over to an unprivileged user that exists; everybody else runs the server as themselves.
    fn choose() -> Result<Self> {
        if id(&["-u"])? != 0 {
            return Ok(Self::Myself);
        }
        let program = ["setpriv", "runuser", "su"]
            .into_iter()
            .find(|program| {
                Command::new(program)
                    .arg("--version")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .is_ok_and(|status| status.success())
            })
            .context(
                "PostgreSQL does not run as root, and none of setpriv, runuser, su is installed",
            )?;
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| {
                Some(Self::Other {
                    name: name.to_owned(),
                    uid: id(&["-u", name]).ok()?,
                    gid: id(&["-g", name]).ok()?,
                    program,
                })
            })
            .context(
                "PostgreSQL does not run as root, and there is neither a user postgres nor nobody",
            )
    }

    fn command(&self, program: &Path) -> Command {
        match self {
            Self::Myself => Command::new(program),
            Self::Other {
                uid,
                gid,
                program: "setpriv",
                ..
            } => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"))
                    .arg("--clear-groups")
                    .arg("--")
                    .arg(program);
                command
            }
            Self::Other {
                name,
                program: "runuser",
                ..
            } => {
                let mut command = Command::new("runuser");
                command.args(["-u", name, "--"]).arg(program);
                command
            }
            Self::Other { name, .. } => {
                // `su` takes a shell line; "$0" and "$@" carry program and arguments through it unharmed.
                let mut command = Command::new("su");
                command
                    .args(["-s", "/bin/sh", name, "-c", "exec \"$0\" \"$@\"", "--"])
                    .arg(program);
                command
            }
        }
    }
}

fn id(arguments: &[&str]) -> Result<u32> {
    let output = Command::new("id").args(arguments).output()?;
    Ok(succeeded("id", output)?.trim().parse()?)
}

/// Waits for the end of the pipe, stops the server by its pid file (checked against the directory it works in, for a pid may be reused)
/// and removes the directory. SIGQUIT lets the server end its children and give back its shared memory; nobody wants its data.
fn start_watchdog(directory: &Path, data: &Path) -> Result<Child> {
    const SCRIPT: &str = r#"
        cat >/dev/null
        pid=$(head -n 1 "$2/postmaster.pid" 2>/dev/null)
        ours() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null &&
                 { [ ! -e "/proc/$pid/cwd" ] || [ "$(readlink "/proc/$pid/cwd")" = "$1" ]; }; }
        # Frozen processes do not hear that they are to end.
        if ours "$2"; then kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) 2>/dev/null; kill -QUIT "$pid"; fi
        tries=0
        while ours "$2" && [ "$tries" -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
        if ours "$2"; then kill -KILL "$pid"; fi
        rm -rf -- "$1"
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "tidelog-watchdog"])
        .arg(directory)
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("start the watchdog")
}

fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

fn random_hex(bytes: usize) -> Result<String> {
    use std::fmt::Write as _;
    use std::io::Read as _;
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(buffer.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn succeeded(program: &str, output: Output) -> Result<String> {
    ensure!(
        output.status.success(),
        "{program} failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_the_server_says() {
        assert_eq!(
            major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of("nonsense"), None);
    }

    #[tokio::test]
    async fn a_server_keeps_its_data_across_a_kill_and_leaves_nothing_behind() {
        let server = Postgres::start(&[]).await.unwrap();
        server.create_database("notes").unwrap();
        assert_eq!(server.sql("notes", "SHOW fsync").unwrap(), "on");
        server
            .sql("notes", "CREATE TABLE t AS SELECT 42 AS answer")
            .unwrap();
        server.kill().await.unwrap();
        assert!(server.sql("notes", "SELECT 1").is_err());
        server.start_again().await.unwrap();
        assert_eq!(server.sql("notes", "SELECT answer FROM t").unwrap(), "42");
        let directory = server.directory().to_owned();
        drop(server);
        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn a_wrong_password_is_refused() {
        let mut server = Postgres::start(&[]).await.unwrap();
        server.password.push('x');
        let error = server.sql("postgres", "SELECT 1").unwrap_err().to_string();
        assert!(error.contains("password authentication failed"), "{error}");
    }

    const HOLD: &str = "TIDELOG_TEST_HOLD_SERVER";

    /// Runs itself once more as the process to kill.
    #[tokio::test]
    async fn a_test_process_that_is_killed_leaves_no_server_behind() {
        if let Some(file) = std::env::var_os(HOLD) {
            let server = Postgres::start(&[]).await.unwrap();
            let pid = server.pid_file().lines().next().unwrap().to_owned();
            std::fs::write(file, format!("{pid} {}", server.directory().display())).unwrap();
            tokio::time::sleep(Duration::from_mins(10)).await;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("server");
        let name = "postgres::tests::a_test_process_that_is_killed_leaves_no_server_behind";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(HOLD, &file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let said = eventually(|| {
            std::fs::read_to_string(&file)
                .ok()
                .filter(|s| s.contains('/'))
        });
        let said = said.await;
        let (pid, server) = said.split_once(' ').unwrap();
        let process = Path::new("/proc").join(pid);
        assert!(Path::new(server).exists() && process.exists());
        child.kill().unwrap();
        child.wait().unwrap();
        eventually(|| (!Path::new(server).exists() && !process.exists()).then_some(())).await;
    }

    async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..600 {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited 30 s in vain");
    }
}
