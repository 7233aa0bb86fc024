//! etcd and an API server, nothing else: no pod will ever run, but definitions, rules, roles and watches are the real ones.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::helm::Helm;
use crate::kubectl::Kubectl;

/// Somebody else may take a port between our look and the bind.
const ATTEMPTS: usize = 3;

/// A running API server. It ends when this process does, in whatever way: its script waits for the end of a pipe that only this process holds.
pub struct ApiServer {
    programs: PathBuf,
    directory: PathBuf,
    script: Mutex<Child>,
}

impl ApiServer {
    /// The one that all tests of this process share; give each test a namespace of its own.
    ///
    /// # Panics
    /// When it cannot be started: without it no test of this binary means anything.
    #[expect(clippy::panic, reason = "for tests")]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<ApiServer>> = OnceLock::new();
        match SHARED.get_or_init(Self::start) {
            Ok(server) => server,
            Err(error) => panic!("no API server: {error:#}"),
        }
    }

    /// Builds the programs if need be, starts them and waits until they serve.
    pub fn start() -> Result<Self> {
        let programs = install("api")?;
        let mut attempt = 1;
        loop {
            match Self::start_once(&programs) {
                Err(error) if attempt < ATTEMPTS => {
                    eprintln!("API server, attempt {attempt}: {error:#}");
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn start_once(programs: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("tidelog-api-server-")
            .tempdir()?
            // The script removes it.
            .keep();
        let mut script = Command::new(kit("api-server.sh"))
            .arg(&directory)
            .arg(three_free_ports()?.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start api-server.sh")?;
        let mut line = String::new();
        let output = script.stdout.take().context("its output")?;
        BufReader::new(output).read_line(&mut line)?;
        if line.trim() != "ready" {
            let status = script.wait()?;
            bail!("it ended with {status}");
        }
        Ok(Self {
            programs: programs.to_owned(),
            directory,
            script: Mutex::new(script),
        })
    }

    /// Says who the administrator is, for any client.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// `kubectl` as administrator, in namespace `default`.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.programs.join("kubectl"), self.kubeconfig()).looking()
    }

    /// The same in a new namespace.
    pub fn namespace(&self, name: &str) -> Result<Kubectl> {
        self.kubectl().run(&["create", "namespace", name])?.done()?;
        Ok(self.kubectl().in_namespace(name))
    }

    /// Helm as administrator.
    pub fn helm(&self) -> Result<Helm> {
        Ok(Helm::new()?.at(self.kubeconfig()))
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        drop(script.stdin.take());
        let _ = script.wait();
    }
}

pub(crate) fn kit(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("kit")
        .join(script)
}

/// The directory of the programs.
pub(crate) fn install(part: &str) -> Result<PathBuf> {
    let output = Command::new(kit("install.sh"))
        .arg(part)
        .stderr(Stdio::inherit())
        .output()
        .context("start install.sh")?;
    ensure!(output.status.success(), "install.sh: {}", output.status);
    let path = String::from_utf8(output.stdout)?;
    Ok(PathBuf::from(path.trim()))
}

/// The first of three ports in a row that nobody listens on.
fn three_free_ports() -> Result<u16> {
    for _ in 0..100 {
        let first = TcpListener::bind(("127.0.0.1", 0))?;
        let port = first.local_addr()?.port();
        let free = |port: Option<u16>| port.and_then(|p| TcpListener::bind(("127.0.0.1", p)).ok());
        if free(port.checked_add(1)).is_some() && free(port.checked_add(2)).is_some() {
            return Ok(port);
        }
    }
    Err(anyhow!("no three free ports in a row"))
}
