//! SIGKILL under load. Writers repeat with the same request id: nothing acknowledged is gone, nothing is there twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::Storage;
use tidelog_harness::session::Draft;
use tidelog_harness::subscriber::Mode;

use super::{SOON, append_each, on_both_stores, with};

on_both_stores!(
    a_killed_location_loses_nothing_and_doubles_nothing,
    a_location_that_starts_alone_says_how_far_it_had_copied,
);

async fn a_killed_location_loses_nothing_and_doubles_nothing(storage: Storage) -> Result<()> {
    let names = ["eu", "us", "ap"];
    let manifests = Manifests::new("orders", &names).link(Link::dense("all", &names));
    with(storage, manifests, async |network| {
        let live = network.subscriber("live-eu", "eu", Mode::OwnPosition)?;
        let consumer = network.subscriber("billing", "eu", Mode::Consumer)?;
        let over = Arc::new(AtomicBool::new(false));
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..6 {
            let place = if number < 4 { "eu" } else { "us" };
            let mut session = network.session(&format!("w{number}"), place)?;
            let over = Arc::clone(&over);
            writers.spawn(async move {
                let mut count = 0;
                while !over.load(Ordering::Relaxed) {
                    let drafts = (0..=count % 3).map(|_| Draft::of("k")).collect();
                    session.append_surely(drafts, SOON).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            });
        }
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            network.kill("eu").await?;
            network.restart("eu").await?;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        over.store(true, Ordering::Relaxed);
        while let Some(done) = writers.join_next().await {
            ensure!(done?? > 0, "a writer got nothing through");
        }
        network.converged(SOON).await?;
        let head = network.client("eu")?.describe().await?.head;
        live.reached(head, SOON).await?;
        consumer.reached(head, SOON).await?;
        ensure!(live.streams() >= 4, "the subscriber was never interrupted");
        live.stop();
        consumer.stop();
        let history = network.judge().await?;
        // The witness proves that nothing was lost: no restart begins a new incarnation.
        ensure!(
            history.dumps["eu"].lineage.len() == 1,
            "{:?}",
            history.dumps["eu"].lineage
        );
        Ok(())
    })
    .await
}

async fn a_location_that_starts_alone_says_how_far_it_had_copied(storage: Storage) -> Result<()> {
    let names = ["eu", "us"];
    let manifests = Manifests::new("orders", &names).link(Link::both("l", "eu", "us"));
    with(storage, manifests, async |network| {
        let mut us = network.session("w-us", "us")?;
        append_each(&mut us, 7, "k").await?;
        network
            .edge_until("us", "eu", "level", |edge| edge.progress == 7)
            .await?;
        network.kill("us").await?;
        network.kill("eu").await?;
        network.restart("eu").await?;
        let status = network.client("eu")?.status().await?;
        let edge = status
            .edges
            .iter()
            .find(|edge| edge.source == "us")
            .context("an edge from us")?;
        ensure!(edge.progress == 7, "{edge:?}");
        ensure!(
            edge.lag_events.is_none(),
            "the head of us is unknown, and so is the lag: {edge:?}"
        );
        network.restart("us").await?;
        network.judge().await?;
        Ok(())
    })
    .await
}
