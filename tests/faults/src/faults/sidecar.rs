//! Faults of one process.

use std::time::Duration;

use anyhow::{Result, ensure};
use rand::Rng as _;
use rand::rngs::StdRng;
use tidelog_harness::process::run;

use super::{hold, taken_after};
use crate::site::{Site, state_of};
use crate::tally::Tally;

/// SIGKILL, and a start soon afterwards.
pub(super) async fn kill(
    site: &mut Site,
    name: &str,
    tally: &Tally,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let pid = site.network.process(name)?.id();
    let address = site.network.address(name, "api")?;
    site.network.kill(name).await?;
    let killed_at = site.network.journal.now();
    let gone = state_of(pid).is_none();
    let refused = tokio::net::TcpStream::connect(&address).await.err();
    hold(random, 0..600).await;
    site.network.restart(name).await?;
    let back = taken_after(site, name, killed_at).await;
    ensure!(back.is_some(), "{name} takes no append after SIGKILL");
    tally
        .counts()
        .back
        .entry("sidecar".to_owned())
        .or_default()
        .extend(back);
    Ok(refused
        .filter(|_| gone)
        .map(|error| format!("process {pid} is gone, {address}: {error}")))
}

/// SIGSTOP; sometimes for longer than the lease of a writer holds.
pub(super) async fn freeze(
    site: &mut Site,
    name: &str,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let process = site.network.process(name)?;
    let pid = process.id();
    process.freeze()?;
    hold(random, 300..7_000).await;
    let state = state_of(pid);
    let process = site.network.process(name)?;
    process.thaw()?;
    process.assert_well()?;
    Ok((state == Some('T')).then(|| format!("process {pid} in state T")))
}

/// A second process with the same data must be told who runs the location, and end.
pub(super) async fn second(site: &mut Site, name: &str) -> Result<Option<String>> {
    let pid = site.network.process(name)?.id();
    let command = site.network.dev_command(&[name])?;
    let output = run(command, Duration::from_secs(40)).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1) && said.contains(&pid.to_string()),
        "a second process for {name} ended with {} instead of naming {pid}: {said}",
        output.status
    );
    site.network.process(name)?.assert_well()?;
    Ok(Some(format!(
        "a second process ended with 1 and named {pid}"
    )))
}

/// The clock of one machine goes forward or back, and after a while it is right again.
pub(super) async fn clock(
    site: &mut Site,
    name: &str,
    random: &mut StdRng,
) -> Result<Option<String>> {
    let by: i32 = match random.random_range(0..4) {
        0 => random.random_range(1..20),
        1 => random.random_range(60..3_600),
        2 => -random.random_range(1..20),
        _ => -random.random_range(60..3_600),
    };
    let (flag, seen) = (site.flag(name, "clock"), site.flag(name, "clock-seen"));
    let _ = std::fs::remove_file(&seen);
    std::fs::write(&flag, by.to_string())?;
    hold(random, 800..4_000).await;
    std::fs::remove_file(&flag)?;
    site.network.process(name)?.assert_well()?;
    Ok(seen
        .exists()
        .then(|| format!("the process read a clock that was off by {by} s")))
}
