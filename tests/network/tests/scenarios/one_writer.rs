//! Two processes for one location: the second is refused, or takes over, and the first never writes again.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::client::Client;
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::Storage;
use tidelog_harness::ports::Ports;
use tidelog_harness::process::{Process, run, tidelog};
use tidelog_harness::record::{Answer, Life};
use tidelog_harness::session::{Draft, Session};
use tidelog_proto::v1;

use super::{SOON, append_each, on_both_stores, with};

on_both_stores!(a_second_process_is_told_who_runs_the_location);

fn pair() -> Manifests {
    Manifests::new("orders", &["eu", "us"]).link(Link::both("l", "eu", "us"))
}

async fn a_second_process_is_told_who_runs_the_location(storage: Storage) -> Result<()> {
    with(storage, pair(), async |network| {
        let pid = network.process("eu")?.id();
        let second = network.dev_command(&["eu"])?;
        let output = run(second, SOON).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
        ensure!(
            said.contains("eu") && said.contains(&pid.to_string()),
            "it does not say who: {said}"
        );
        // A frozen process still holds its location.
        network.process("eu")?.freeze()?;
        let output = run(network.dev_command(&["eu"])?, SOON).await?;
        network.process("eu")?.thaw()?;
        ensure!(
            output.status.code() == Some(1),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // The first one has noticed nothing.
        let mut eu = network.session("w-eu", "eu")?;
        append_each(&mut eu, 3, "k").await?;
        network.judge().await?;
        Ok(())
    })
    .await
}

/// Two machines, one database: locks on files do not help, only what the database itself checks.
#[tokio::test]
async fn a_frozen_writer_that_wakes_up_after_a_take_over_adds_nothing() -> Result<()> {
    frozen_and_succeeded(true).await
}

/// The numbers that the old writer would give are still free: only the guard of the write itself is left.
#[tokio::test]
async fn a_frozen_writer_adds_nothing_although_its_successor_has_not_written_yet() -> Result<()> {
    frozen_and_succeeded(false).await
}

async fn frozen_and_succeeded(writes: bool) -> Result<()> {
    with(Storage::postgres().await?, pair(), async |network| {
        let mut first = network.session("first", "eu")?;
        append_each(&mut first, 5, "k").await?;
        network.converged(SOON).await?;
        network.process("eu")?.freeze()?;
        // Requests that are already on their way when it wakes up.
        let mut asleep = tokio::task::JoinSet::new();
        for number in 0..5 {
            let mut session = network.session(&format!("asleep-{number}"), "eu")?;
            asleep.spawn(async move { session.append(vec![Draft::of("asleep")]).await });
        }

        let ports = Ports::take(3)?;
        let mut command = Command::new(tidelog()?);
        command.arg("--data-dir").arg(network.path("elsewhere"));
        command
            .args(["-v", "--color", "never", "dev", "-f"])
            .arg(network.path("manifests"));
        command.args(["--only", "eu", "--base-port", &ports.first.to_string()]);
        command.args(["--storage", &network.storage().uri().context("a server")?]);
        command.args([
            "--peer",
            &format!("us={}", network.address("us", "replication")?),
        ]);
        if !writes {
            // It proves with the witness that nothing is missing and goes on in the same incarnation: a new one would give it away.
            let witness = std::path::Path::new("witness").join(&network.manifests.log);
            std::fs::create_dir_all(network.path("elsewhere").join(&witness))?;
            let file = witness.join("eu");
            std::fs::copy(
                network.data().join(&file),
                network.path("elsewhere").join(&file),
            )?;
        }
        let mut successor = Process::start("successor", command, &network.path("successor.log"))?;
        let log = network.manifests.log.clone();
        let address = |port: u16| format!("127.0.0.1:{}", ports.first + port);
        let client = Client::new(&log, &address(0), &address(4))?;
        let status = serving(&client, &mut successor).await?;
        ensure!(writes || status.incarnation == 1, "{:?}", status.lineage);
        let life = Life {
            at: network.journal.now(),
            location: "eu".to_owned(),
            incarnation: status.incarnation,
        };
        network.journal.pages().lives.push(life);
        let mut second = Session::new("second", "eu", client.clone(), network.journal.clone());
        if writes {
            // A new writer that cannot know what the old one did last asks its peers first; `us` still dials the old one, so it is waited for as
            // long as a location waits for lost events at all (30 s), and then it goes on.
            second.append_surely(vec![Draft::of("k")], 3 * SOON).await?;
            append_each(&mut second, 4, "k").await?;
        }

        network.process("eu")?.thaw()?;
        // Whatever the old one answers, it is not that it wrote.
        for _ in 0..20 {
            let answer = first.append(vec![Draft::of("stale")]).await;
            ensure!(
                !matches!(answer, Answer::Ok { .. }),
                "the stale writer wrote: {answer:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while let Some(answer) = asleep.join_next().await {
            let answer = answer?;
            ensure!(
                !matches!(answer, Answer::Ok { .. }),
                "the stale writer wrote: {answer:?}"
            );
        }
        network.kill("eu").await?;
        second.append_surely(vec![Draft::of("k")], SOON).await?;
        append_each(&mut second, 4, "k").await?;
        let dump = client.dump().await?;
        ensure!(
            dump.facts.iter().all(|fact| fact.keys == ["k"]),
            "an event of the stale writer is in the log"
        );
        let expected = if writes { 15 } else { 10 };
        ensure!(dump.head == expected, "{}", dump.head);
        // The location goes on in its first home, and has all of it.
        let ended = successor.terminate(SOON).await?;
        ensure!(ended.success(), "{ended}:\n{}", successor.log_tail(30));
        network.restart("eu").await?;
        network.judge().await?;
        Ok(())
    })
    .await
}

async fn serving(client: &Client, process: &mut Process) -> Result<v1::LocationStatus> {
    let deadline = tokio::time::Instant::now() + SOON;
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
            tokio::time::Instant::now() < deadline,
            "it does not take over:\n{}",
            process.log_tail(40)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
