//! A location is put back to an older copy of its database: it begins a new incarnation, serves, and gets its own lost events back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::client::reason;
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::{Network, Storage};
use tidelog_harness::record::{Answer, Id};
use tidelog_harness::session::Draft;
use tidelog_harness::subscriber::Mode;
use tidelog_proto::{ErrorReason, v1};

use super::{SOON, acknowledged, append_each, on_both_stores, with};

on_both_stores!(
    a_restored_location_gets_its_own_events_back_and_tells_readers,
    events_that_nobody_else_held_are_gone_and_their_ids_are_never_used_again,
    a_location_that_is_restored_twice_never_repeats_an_id,
    recovery_ends_while_the_others_write_without_a_pause,
);

const NAMES: [&str; 3] = ["eu", "us", "ap"];

fn triangle() -> Manifests {
    Manifests::new("orders", &NAMES).link(Link::dense("all", &NAMES))
}

fn after(incarnation: u32, sequence: u64) -> v1::ReadRequest {
    v1::ReadRequest {
        after: Some(v1::Position {
            incarnation,
            sequence,
        }),
        ..v1::ReadRequest::default()
    }
}

async fn a_restored_location_gets_its_own_events_back_and_tells_readers(
    storage: Storage,
) -> Result<()> {
    with(storage, triangle(), async |network| {
        let live = network.subscriber("live-us", "us", Mode::OwnPosition)?;
        let consumer = network.subscriber("billing", "us", Mode::Consumer)?;
        let (mut eu, mut us) = (
            network.session("w-eu", "eu")?,
            network.session("w-us", "us")?,
        );
        append_each(&mut eu, 5, "k").await?;
        append_each(&mut us, 5, "k").await?;
        network.converged(SOON).await?;
        let copy = network.backup("us", "copy").await?;
        let base = network.client("us")?.describe().await?.head;
        let lost = append_each(&mut us, 15, "k").await?;
        append_each(&mut eu, 3, "k").await?;
        network.converged(SOON).await?;
        let head = network.client("us")?.describe().await?.head;
        live.reached(head, SOON).await?;
        consumer.reached(head, SOON).await?;

        network.kill("us").await?;
        ensure!(network.held_only_at("us").await?.is_empty());
        network.restore("us", &copy).await?;
        network.restart("us").await?;

        let described = network.client("us")?.describe().await?;
        let bases: Vec<u64> = described.lineage.iter().map(|entry| entry.base).collect();
        ensure!(
            bases == [0, base],
            "a new incarnation over the copy: {:?}",
            described.lineage
        );
        ensure!(described.incarnation > 1);
        // It serves at once; only what needs the table of request ids may have to wait.
        let mut free = network.session("free-us", "us")?.without_request_ids();
        acknowledged(free.append(vec![Draft::of("k")]).await)?;
        us.append_surely(vec![Draft::of("k")], SOON).await?;
        network.converged(SOON).await?;
        let back = network.client("us")?.list().await?;
        for id in &lost {
            ensure!(
                back.iter().any(|(_, other, _)| other == id),
                "{id} did not come back"
            );
        }

        // However far the log has grown, a position of before leads nowhere.
        append_each(&mut eu, 10, "k").await?;
        network.converged(SOON).await?;
        ensure!(network.client("us")?.describe().await?.head > head);
        let old = network.client("us")?.read(after(1, head)).await;
        let old = old
            .err()
            .context("a position of an incarnation that is over was taken")?;
        ensure!(
            reason(&old) == Some(ErrorReason::IncarnationChanged),
            "{old:?}"
        );
        ensure!(
            network.client("us")?.read(after(1, base)).await.is_ok(),
            "what the copy holds is shared"
        );

        let head = network.client("us")?.describe().await?.head;
        live.reached(head, SOON).await?;
        consumer.reached(head, SOON).await?;
        let live = live.stop();
        ensure!(
            live.told == [base],
            "{} was told {:?}",
            live.name,
            live.told
        );
        // The position of a consumer is in the database and went back with it: it goes on from there, at least once.
        let consumer = consumer.stop();
        ensure!(
            consumer.told.iter().all(|safe| *safe <= base),
            "{:?}",
            consumer.told
        );
        recovered(network, "us").await?;
        network.judge().await?;
        Ok(())
    })
    .await
}

async fn recovered(network: &Network, location: &str) -> Result<()> {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let recovered = network
            .client(location)?
            .describe()
            .await?
            .recovered
            .context("recovered")?;
        if recovered.recovered {
            ensure!(recovered.reason == "PulledBack", "{recovered:?}");
            return Ok(());
        }
        ensure!(tokio::time::Instant::now() < deadline, "{recovered:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn events_that_nobody_else_held_are_gone_and_their_ids_are_never_used_again(
    storage: Storage,
) -> Result<()> {
    with(storage, triangle(), async |network| {
        let (mut eu, mut us) = (
            network.session("w-eu", "eu")?,
            network.session("w-us", "us")?,
        );
        append_each(&mut us, 4, "k").await?;
        network.converged(SOON).await?;
        let copy = network.backup("us", "copy").await?;
        network.isolate("us").await?;
        let gone = append_each(&mut us, 6, "k").await?;
        let token = us_token(network).await?;
        append_each(&mut eu, 4, "k").await?;
        network.kill("us").await?;
        let alone = network.held_only_at("us").await?;
        ensure!(alone.iter().eq(&gone), "{alone:?}");
        network.journal.forgive(alone);
        network.restore("us", &copy).await?;
        // It starts without any cut: the first thing it hears is its peers.
        network.restart("us").await?;
        network.heal_all("us").await?;
        let fresh = us
            .append_surely(vec![Draft::of("k"), Draft::of("k")], SOON)
            .await?;
        ensure!(
            fresh
                .iter()
                .all(|id| !gone.contains(id) && id.incarnation > 1),
            "{fresh:?}"
        );
        network.converged(SOON).await?;
        // Nobody waits for what no location holds any more.
        let answer = network.client("us")?.await_token(token, SOON).await;
        let error = answer.err().context("a token of lost events was covered")?;
        ensure!(reason(&error) == Some(ErrorReason::LostEvents), "{error:?}");
        network.judge().await?;
        Ok(())
    })
    .await
}

async fn us_token(network: &Network) -> Result<v1::VectorTime> {
    network
        .client("us")?
        .describe()
        .await?
        .version_vector
        .context("a version vector")
}

async fn a_location_that_is_restored_twice_never_repeats_an_id(storage: Storage) -> Result<()> {
    with(storage, triangle(), async |network| {
        let mut us = network.session("w-us", "us")?;
        append_each(&mut us, 3, "k").await?;
        network.converged(SOON).await?;
        let copy = network.backup("us", "copy").await?;
        let mut ids: Vec<Id> = Vec::new();
        for round in 0..3 {
            // Each life appends, and nobody hears of it.
            if round > 0 {
                network.isolate("us").await?;
            }
            for _ in 0..2 {
                match us.append(vec![Draft::of("k")]).await {
                    Answer::Ok { ids: fresh, .. } => ids.extend(fresh),
                    Answer::Refused { reason, .. } if reason == "RECOVERING" => {}
                    other => anyhow::bail!("{other:?}"),
                }
            }
            network.kill("us").await?;
            let alone = network.held_only_at("us").await?;
            network.journal.forgive(alone);
            network.restore("us", &copy).await?;
            network.restart("us").await?;
        }
        network.heal_all("us").await?;
        ids.extend(us.append_surely(vec![Draft::of("k")], SOON).await?);
        let count = ids.len();
        ids.sort();
        ids.dedup();
        ensure!(ids.len() == count, "an id was given out twice");
        network.judge().await?;
        Ok(())
    })
    .await
}

async fn recovery_ends_while_the_others_write_without_a_pause(storage: Storage) -> Result<()> {
    with(storage, triangle(), async |network| {
        let mut us = network.session("w-us", "us")?;
        append_each(&mut us, 5, "k").await?;
        network.converged(SOON).await?;
        let copy = network.backup("us", "copy").await?;
        append_each(&mut us, 5, "k").await?;
        network.converged(SOON).await?;
        network.kill("us").await?;
        network.restore("us", &copy).await?;
        let over = Arc::new(AtomicBool::new(false));
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..6 {
            let place = ["eu", "ap"][number % 2];
            let mut session = network.session(&format!("busy-{number}"), place)?;
            let over = Arc::clone(&over);
            writers.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    acknowledged(session.append(vec![Draft::of("k"), Draft::of("k")]).await)?;
                }
                anyhow::Ok(())
            });
        }
        network.restart("us").await?;
        us.append_surely(vec![Draft::of("k")], SOON).await?;
        // It knows that all is back, instead of having waited for long enough.
        let recovered = pulled_back(network).await;
        over.store(true, Ordering::Relaxed);
        while let Some(done) = writers.join_next().await {
            done??;
        }
        recovered.context("while the others write")?;
        network.judge().await?;
        Ok(())
    })
    .await
}

/// Waits until us says that its lost events are back.
async fn pulled_back(network: &Network) -> Result<()> {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let status = network.client("us")?.status().await?;
        let recovered = status.recovered.context("no word about recovery")?;
        if recovered.recovered {
            ensure!(recovered.reason == "PulledBack", "{recovered:?}");
            return Ok(());
        }
        ensure!(tokio::time::Instant::now() < deadline, "{recovered:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
