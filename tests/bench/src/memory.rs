//! Memory of processes at rest.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::location::free_block;

/// Resident memory in MiB.
pub fn rss_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .context("no number")?
        .parse()?;
    Ok(kib / 1024.0)
}

/// A development network of five locations (`examples/shop`), some seconds after its start.
pub async fn idle_dev(programs: &Path) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let mut child = Command::new(programs.join("tidelog"))
        .args([
            "--data-dir",
            &dir.path().display().to_string(),
            "dev",
            "-f",
            "examples/shop",
        ])
        .args(["--base-port", &free_block()?.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start tidelog")?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    ensure!(child.try_wait()?.is_none(), "tidelog dev ended");
    let pid = child.id().context("no process")?;
    let mib = rss_mib(pid)?;
    Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .status()
        .await?;
    tokio::time::timeout(Duration::from_secs(15), child.wait()).await??;
    Ok(mib)
}
