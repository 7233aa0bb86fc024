//! A location without any connection: it goes on, and so do the others; afterwards everybody has everything.

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::Storage;
use tidelog_harness::subscriber::Mode;

use super::{SOON, append_each, on_both_stores, with};

on_both_stores!(both_sides_of_a_partition_accept_writes_and_meet_again);

async fn both_sides_of_a_partition_accept_writes_and_meet_again(storage: Storage) -> Result<()> {
    let names = ["eu", "us", "ap"];
    let manifests = Manifests::new("orders", &names).link(Link::dense("all", &names));
    with(storage, manifests, async |network| {
        let live = network.subscriber("live-us", "us", Mode::OwnPosition)?;
        let mut sessions = Vec::new();
        for name in names {
            sessions.push(network.session(&format!("w-{name}"), name)?);
        }
        for session in &mut sessions {
            append_each(session, 5, "before").await?;
        }
        network.converged(SOON).await?;
        network.isolate("us").await?;
        // Every one of these must be taken at once: nothing on the way of a write waits for a peer.
        for session in &mut sessions {
            append_each(session, 20, "apart").await?;
        }
        let apart = network.client("us")?.describe().await?;
        ensure!(
            apart.head == 35,
            "us has 15 events of before and 20 of its own, not {}",
            apart.head
        );
        // A token of the other side is not covered here, and the error says what is missing.
        let token = network
            .client("eu")?
            .describe()
            .await?
            .version_vector
            .context("a version vector")?;
        let late = network
            .client("us")?
            .await_token(token.clone(), std::time::Duration::from_secs(2))
            .await;
        let late = late.err().context("us covers what it cannot have")?;
        ensure!(
            late.code() == tonic::Code::DeadlineExceeded && late.message().contains("eu#"),
            "{late:?}"
        );
        network.heal_all("us").await?;
        network.client("us")?.await_token(token, SOON).await?;
        network.converged(SOON).await?;
        live.reached(75, SOON).await?;
        live.stop();
        let history = network.judge().await?;
        ensure!(history.dumps.values().all(|dump| dump.head == 75));
        // What was written apart is concurrent, and the vectors say so.
        let us = &history.dumps["us"];
        let last = |name: &str| us.facts.iter().rfind(|fact| fact.id.location == name);
        let here = last("us").context("an event of us")?;
        let there = last("eu").context("an event of eu")?;
        ensure!(here.context.get(&there.id.origin()) < there.id.sequence);
        ensure!(there.context.get(&here.id.origin()) < here.id.sequence);
        Ok(())
    })
    .await
}
