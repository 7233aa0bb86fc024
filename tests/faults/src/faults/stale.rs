//! A writer stands still, another process on another machine takes its log over, and the first one wakes up.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::client::Client;
use tidelog_harness::ports::Ports;
use tidelog_harness::process::{Process, tidelog};
use tidelog_harness::record::Life;
use tidelog_harness::session::{Draft, Session};
use tidelog_proto::v1;
use tokio::time::Instant;

use super::taken_after;
use crate::site::{Site, state_of};

const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn play(site: &mut Site, name: &str) -> Result<Option<String>> {
    let process = site.network.process(name)?;
    let pid = process.id();
    process.freeze()?;
    let outcome = succeed(site, name, pid).await;
    // Whatever came of it: the location goes on in its first home.
    site.network.process(name)?.thaw()?;
    site.network.kill(name).await?;
    let (witness, mut successor) = outcome?;
    let ended = successor.terminate(PATIENCE).await?;
    ensure!(
        ended.success(),
        "the successor at {name}: {ended}:\n{}",
        successor.log_tail(30)
    );
    let since = site.network.journal.now();
    site.network.restart(name).await?;
    let back = taken_after(site, name, since).await;
    ensure!(back.is_some(), "{name} takes no append in its first home");
    Ok(witness)
}

async fn succeed(site: &mut Site, name: &str, pid: u32) -> Result<(Option<String>, Process)> {
    let network = &mut site.network;
    let ports = Ports::take(7)?;
    let elsewhere = format!("elsewhere-{}", network.journal.now());
    let mut command = Command::new(tidelog()?);
    command.arg("--data-dir").arg(network.path(&elsewhere));
    command.args(["-v", "--color", "never", "dev", "-f"]);
    command.arg(network.path("manifests"));
    command.args(["--only", name, "--base-port", &ports.first.to_string()]);
    let uri = network.storage_of(name).uri().context("a server")?;
    command.args(["--storage", &uri]);
    for (peer, address) in site.links.peers(name) {
        command.args(["--peer", &format!("{peer}={address}")]);
    }
    let log = network.path(&format!("{elsewhere}.log"));
    let mut successor = Process::start("successor", command, &log)?;
    let client = address(
        &site.network.path(&elsewhere),
        &site.network.manifests.log,
        name,
        &mut successor,
    )
    .await?;
    let status = serving(&client, &mut successor).await?;
    let life = Life {
        at: site.network.journal.now(),
        location: name.to_owned(),
        incarnation: status.incarnation,
    };
    let journal = site.network.journal.clone();
    journal.pages().lives.push(life);
    let session = format!("successor-{}", journal.now());
    let mut second = Session::new(&session, name, client.clone(), journal.clone());
    // A new writer that cannot know what the old one did last asks its peers first.
    let wrote = second
        .append_surely(vec![Draft::of("taken-over")], PATIENCE)
        .await?;
    let frozen = state_of(pid) == Some('T');
    site.network.process(name)?.thaw()?;
    let woke_at = journal.now();
    // The writers of the storm ask the one that woke up; whatever it answers, it is not that it wrote. The judges look at that.
    tokio::time::sleep(Duration::from_secs(2)).await;
    second
        .append_surely(vec![Draft::of("taken-over")], PATIENCE)
        .await?;
    let asked = {
        let pages = journal.pages();
        let recent = pages
            .attempts
            .iter()
            .rev()
            .take_while(|attempt| attempt.ended_at >= woke_at);
        recent
            .filter(|attempt| attempt.location == name && attempt.session != session)
            .count()
    };
    let witness = (frozen && asked > 0).then(|| {
        format!(
            "process {pid} in state T while its successor wrote {} in incarnation {}, {asked} appends were asked for of the one that woke up",
            wrote.first().map(ToString::to_string).unwrap_or_default(),
            status.incarnation
        )
    });
    Ok((witness, successor))
}

/// Where the successor serves, as soon as it says so.
async fn address(
    directory: &std::path::Path,
    log: &str,
    name: &str,
    process: &mut Process,
) -> Result<Client> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        process.assert_well()?;
        if let Ok(text) = std::fs::read_to_string(directory.join("dev.json")) {
            let file: serde_json::Value = serde_json::from_str(&text)?;
            let entry = &file["logs"][log][name];
            if let (Some(api), Some(admin)) = (entry["api"].as_str(), entry["admin"].as_str()) {
                return Client::new(log, api, admin);
            }
        }
        ensure!(
            Instant::now() < deadline,
            "the successor does not start:\n{}",
            process.log_tail(40)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn serving(client: &Client, process: &mut Process) -> Result<v1::LocationStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        process.assert_well()?;
        if let Ok(status) = client.status().await
            && matches!(
                status.state(),
                v1::LocationState::Serving | v1::LocationState::Recovering
            )
        {
            return Ok(status);
        }
        ensure!(
            Instant::now() < deadline,
            "the successor does not take over:\n{}",
            process.log_tail(40)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
