//! A sidecar as its own process, as it runs in a pod.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tidelog_proto::v1;
use tidelog_proto::v1::admin_service_client::AdminServiceClient;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tokio::process::{Child, Command};
use tonic::transport::Channel;

use crate::caller::Caller;

/// Where a location keeps its log.
pub enum Storage {
    Postgres(String),
    Sqlite,
}

/// A running sidecar.
pub struct Location {
    pub name: &'static str,
    child: Child,
    base: u16,
    dir: TempDir,
}

impl Location {
    pub async fn start(programs: &Path, storage: Storage) -> Result<Self> {
        Self::start_with(programs, storage, "a", free_block()?, "").await
    }

    /// `edges` is the YAML of the configuration's edges.
    pub async fn start_with(
        programs: &Path,
        storage: Storage,
        name: &'static str,
        base: u16,
        edges: &str,
    ) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let root = dir.path().display();
        let storage = match storage {
            Storage::Postgres(uri) => format!("{{postgres: {{uri: \"{uri}\"}}}}"),
            Storage::Sqlite => format!("{{sqlite: {{path: {root}/db}}}}"),
        };
        let at = |n: u16| format!("\"127.0.0.1:{}\"", base + n);
        let config = format!(
            "log: bench\nlocation: {name}\nstorage: {storage}\nwitness: {{file: {root}/witness}}\nlogging: {{level: warn}}\nlisten: {{socket: {root}/api.sock, api: {}, metrics: {}, health: {}, replication: {}, admin: {}}}\n{edges}",
            at(0),
            at(1),
            at(2),
            at(3),
            at(4)
        );
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, config)?;
        let child = Command::new(programs.join("tidelog-sidecar"))
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start tidelog-sidecar; build it first (make bench does)")?;
        let location = Self {
            name,
            child,
            base,
            dir,
        };
        location.ready().await?;
        Ok(location)
    }

    async fn ready(&self) -> Result<()> {
        for _ in 0..100 {
            if let Ok(mut admin) = self.admin().await
                && let Ok(answer) = admin.get_status(v1::GetStatusRequest::default()).await
                && answer
                    .into_inner()
                    .status
                    .is_some_and(|s| s.state() == v1::LocationState::Serving)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("{} did not serve within 10 s", self.name)
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    pub async fn log(&self) -> Result<LogServiceClient<Channel>> {
        let address = format!("http://127.0.0.1:{}", self.base);
        Ok(LogServiceClient::connect(address).await?)
    }

    /// Calls one method.
    pub async fn caller(&self, method: &str) -> Result<Caller> {
        Caller::by_tcp(self.base, method).await
    }

    /// The same over its Unix socket, as an application in the same pod may use it.
    pub async fn caller_by_socket(&self, method: &str) -> Result<Caller> {
        Caller::by_socket(&self.dir.path().join("api.sock"), method).await
    }

    async fn admin(&self) -> Result<AdminServiceClient<Channel>> {
        let address = format!("http://127.0.0.1:{}", self.base + 4);
        Ok(AdminServiceClient::connect(address).await?)
    }

    pub async fn head(&self) -> Result<u64> {
        let answer = self
            .log()
            .await?
            .describe(v1::DescribeRequest::default())
            .await?;
        Ok(answer.into_inner().head)
    }

    pub async fn stop(mut self) -> Result<()> {
        let pid = self.pid().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await?;
        tokio::time::timeout(Duration::from_secs(15), self.child.wait()).await??;
        Ok(())
    }
}

/// The first of ten ports that are free now.
pub fn free_block() -> Result<u16> {
    for base in (21_000..60_000)
        .step_by(10)
        .skip(usize::from(rand::random::<u8>()))
    {
        let free = (0..5).all(|n| std::net::TcpListener::bind(("127.0.0.1", base + n)).is_ok());
        if free {
            return Ok(base);
        }
    }
    bail!("no ten free ports between 21000 and 60000")
}
