//! The example networks with several logs and with many locations, each in one process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::checker::check_all;
use tidelog_harness::client::Client;
use tidelog_harness::history::{History, Topology};
use tidelog_harness::journal::Journal;
use tidelog_harness::ports::Ports;
use tidelog_harness::process::{Process, tidelog};
use tidelog_harness::session::{Draft, Session};
use tidelog_proto::v1;

use super::{SOON, acknowledged};

/// An example that runs in one process.
struct Example {
    process: Process,
    directory: tempfile::TempDir,
    _ports: Ports,
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name)
}

impl Example {
    fn start(name: &str, blocks: u16) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let ports = Ports::take(blocks)?;
        let mut command = Command::new(tidelog()?);
        command
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .args(["-v", "--color", "never", "dev", "-f"]);
        command
            .arg(example(name))
            .args(["--base-port", &ports.first.to_string()]);
        let process = Process::start(name, command, &directory.path().join("log"))?;
        Ok(Self {
            process,
            directory,
            _ports: ports,
        })
    }

    async fn client(&mut self, log: &str, location: &str) -> Result<Client> {
        let file = self.directory.path().join("data/dev.json");
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            self.process.assert_well()?;
            if let Ok(text) = std::fs::read_to_string(&file) {
                let network: serde_json::Value = serde_json::from_str(&text)?;
                let entry = &network["logs"][log][location];
                if let (Some(api), Some(admin)) = (entry["api"].as_str(), entry["admin"].as_str()) {
                    let client = Client::new(log, api, admin)?;
                    if client
                        .status()
                        .await
                        .is_ok_and(|status| status.state() == v1::LocationState::Serving)
                    {
                        return Ok(client);
                    }
                }
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "{log}/{location} does not serve:\n{}",
                self.process.log_tail(30)
            );
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
    }
}

/// Waits until every edge has copied everything, and lets all judges look at the log.
async fn judge(
    journal: &Journal,
    topology: Topology,
    clients: &BTreeMap<&str, Client>,
) -> Result<History> {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let mut states = Vec::new();
        for client in clients.values() {
            states.push(client.status().await?);
        }
        let heads: BTreeMap<String, u64> = states
            .iter()
            .map(|state| (state.location.clone(), state.head))
            .collect();
        // By the heads themselves: a lag of 0 is that to the head last heard of, which may be a moment old.
        let behind: Vec<_> = states
            .into_iter()
            .flat_map(|state| state.edges)
            .filter(|edge| {
                edge.direction() == v1::EdgeDirection::Incoming
                    && heads.get(&edge.source) != Some(&edge.progress)
            })
            .collect();
        if behind.is_empty() {
            break;
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "still behind: {behind:#?}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut history = History {
        topology,
        pages: journal.pages().clone(),
        ..History::default()
    };
    for (name, client) in clients {
        history
            .dumps
            .insert((*name).to_owned(), client.dump().await?);
    }
    let violations = check_all(&history);
    ensure!(violations.is_empty(), "{violations:#?}");
    Ok(history)
}

#[tokio::test]
async fn three_logs_share_locations_and_nothing_else() -> Result<()> {
    let mut example = Example::start("three-logs", 7)?;
    let logs: [(&str, &[&str]); 3] = [
        ("m", &["a", "b", "c"]),
        ("n", &["a", "c"]),
        ("o", &["a", "b"]),
    ];
    for (log, locations) in logs {
        let journal = Journal::default();
        let mut topology = Topology::default();
        let mut clients = BTreeMap::new();
        for location in locations {
            clients.insert(*location, example.client(log, location).await?);
            for other in locations.iter().filter(|other| *other != location) {
                topology.edge(location, other);
            }
        }
        for round in 0..6 {
            let location = locations[round % locations.len()];
            let mut session = Session::new(
                &format!("{log}-{round}"),
                location,
                clients[location].clone(),
                journal.clone(),
            );
            acknowledged(session.append(vec![Draft::of(log), Draft::of(log)]).await)?;
        }
        let history = judge(&journal, topology, &clients).await?;
        for dump in history.dumps.values() {
            ensure!(
                dump.head == 12,
                "{log}/{} has {} events",
                dump.location,
                dump.head
            );
            ensure!(
                dump.facts.iter().all(|fact| fact.keys == [log]),
                "an event of another log is in {log}"
            );
        }
    }
    // An address serves one log; another name is refused.
    let api = example.client("m", "a").await?;
    let request = v1::DescribeRequest {
        log: "n".to_owned(),
    };
    let status = api
        .log()
        .describe(request)
        .await
        .err()
        .context("log n was served at the address of m")?;
    ensure!(status.code() == tonic::Code::NotFound, "{status:?}");
    let ended = example.process.terminate(SOON).await?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}

#[tokio::test]
async fn eleven_locations_in_one_process_converge() -> Result<()> {
    let mut example = Example::start("major-minor", 11)?;
    let majors = ["a", "b", "c"];
    let minors = [
        ("a", "a1"),
        ("a", "a2"),
        ("a", "a3"),
        ("b", "b1"),
        ("b", "b2"),
        ("c", "c1"),
        ("c", "c2"),
        ("c", "c3"),
    ];
    let mut topology = Topology::default();
    for (source, target) in majors
        .iter()
        .flat_map(|one| majors.iter().map(move |other| (one, other)))
    {
        if source != target {
            topology.edge(source, target);
        }
    }
    for (major, minor) in minors {
        topology.edge(minor, major);
        if minor == "a3" {
            topology.filtered(
                major,
                minor,
                Arc::new(|fact| fact.metadata.get("site").is_some_and(|site| site == "a3")),
            );
        } else {
            topology.edge(major, minor);
        }
    }
    ensure!(topology.edges.len() == 22, "{:?}", topology.edges);
    let journal = Journal::default();
    let mut clients = BTreeMap::new();
    for location in majors.into_iter().chain(minors.map(|(_, minor)| minor)) {
        clients.insert(location, example.client("stock", location).await?);
    }
    let mut expected = 0;
    for round in 0..3 {
        for (location, client) in &clients {
            let mut session = Session::new(
                &format!("{location}-{round}"),
                location,
                client.clone(),
                journal.clone(),
            );
            let site = if round == 1 { "a3" } else { "elsewhere" };
            acknowledged(
                session
                    .append(vec![Draft::of("stock").with("site", site)])
                    .await,
            )?;
            expected += 1;
        }
    }
    let history = judge(&journal, topology, &clients).await?;
    for (location, dump) in &history.dumps {
        // What a3 wrote itself, and what carries its name.
        let expected = if location == "a3" { 13 } else { expected };
        ensure!(
            dump.head == expected,
            "{location} has {} events of {expected}",
            dump.head
        );
    }
    let ended = example.process.terminate(SOON).await?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}
