//! Spokes behind a filter: only what is meant for them arrives, waiting goes over what is not, and a loss beside a filter is told.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::Storage;
use tidelog_harness::session::Draft;
use tidelog_harness::subscriber::Mode;
use tidelog_proto::v1;

use super::{SOON, acknowledged, on_both_stores, with};

on_both_stores!(
    only_admitted_events_reach_a_spoke,
    a_restore_beside_a_filter_says_what_it_lacks,
);

/// Dense regions; stores that get what carries their name. `ap` exports nothing that is marked secret.
fn shop() -> Manifests {
    let regions = ["eu", "us", "ap"];
    let own = "has(event.metadata.store) && event.metadata.store == target";
    Manifests::new("orders", &regions)
        .behind_nat(&["s1", "s2"])
        .link(Link::dense("regions", &regions))
        .link(Link::hub_and_spoke("stores", "eu", &["s1", "s2"]).filtered(
            &["eu"],
            &[],
            own,
            Arc::new(|fact, _, target| {
                fact.metadata
                    .get("store")
                    .is_some_and(|store| store == target)
            }),
        ))
        .export(
            "ap",
            "!has(event.metadata.secret)",
            Arc::new(|fact| !fact.metadata.contains_key("secret")),
        )
}

async fn only_admitted_events_reach_a_spoke(storage: Storage) -> Result<()> {
    with(storage, shop(), async |network| {
        let live = network.subscriber("live-s1", "s1", Mode::OwnPosition)?;
        let mut admitted = 0;
        for (at, name) in ["eu", "us", "ap", "s1", "s2"].into_iter().enumerate() {
            let mut session = network.session(&format!("w-{name}"), name)?;
            for round in 0..8 {
                let store = ["s1", "s2", "s3"][(round + at) % 3];
                // A request of which a filter admits only some.
                let mut drafts = vec![Draft::of("k"), Draft::of("k").with("store", store)];
                if name == "ap" {
                    drafts.push(Draft::of("k").with("secret", "yes").with("store", "s1"));
                }
                admitted += usize::from(store == "s1" && name != "s1");
                acknowledged(session.append(drafts).await)?;
            }
        }
        network.converged(SOON).await?;
        // A wait for something that is filtered out on the way ends as soon as the way has been looked at.
        let mut eu = network.session("late-eu", "eu")?.narrow();
        acknowledged(
            eu.append(vec![Draft::of("k").with("store", "nobody")])
                .await,
        )?;
        let s1 = network.client("s1")?;
        s1.await_token(eu.token(), SOON)
            .await
            .context("waiting over a filtered event")?;
        let mut us = network.session("late-us", "us")?.narrow();
        acknowledged(us.append(vec![Draft::of("k")]).await)?;
        s1.await_token(us.token(), SOON)
            .await
            .context("waiting over an event that was filtered two edges away")?;
        let head = s1.describe().await?.head;
        ensure!(
            head == 16 + admitted as u64,
            "{head} events at s1, {admitted} of others were meant for it"
        );
        live.reached(head, SOON).await?;
        live.stop();
        let history = network.judge().await?;
        ensure!(history.dumps["s1"].facts.iter().all(|fact| {
            fact.id.location == "s1"
                || fact
                    .metadata
                    .get("store")
                    .is_some_and(|store| store == "s1")
        }));
        let secret = |name: &str| {
            history.dumps[name]
                .facts
                .iter()
                .filter(|f| f.metadata.contains_key("secret"))
                .count()
        };
        ensure!(
            secret("ap") == 8 && secret("eu") + secret("us") + secret("s1") == 0,
            "secrets left ap"
        );
        Ok(())
    })
    .await
}

async fn a_restore_beside_a_filter_says_what_it_lacks(storage: Storage) -> Result<()> {
    with(storage, shop(), async |network| {
        let mut eu = network.session("w-eu", "eu")?;
        let mut us = network.session("w-us", "us")?;
        for store in ["s1", "s2", "s3"] {
            acknowledged(eu.append(vec![Draft::of("k").with("store", store)]).await)?;
        }
        network.converged(SOON).await?;
        let copy = network.backup("eu", "copy").await?;
        let mut tags = Vec::new();
        for store in ["s1", "s2", "s3", "s1"] {
            for session in [&mut eu, &mut us] {
                let prepared = session.prepare(vec![Draft::of("k").with("store", store)], None);
                tags.extend(prepared.tags());
                acknowledged(session.send(&prepared).await)?;
            }
        }
        network.converged(SOON).await?;
        network.kill("eu").await?;
        network.restore("eu", &copy).await?;
        network.restart("eu").await?;
        eu.append_surely(
            vec![Draft::of("k").with("store", "s1")],
            Duration::from_mins(1),
        )
        .await?;
        // What comes back to eu may not be told from what s1 has already: the contract excepts it, and says so.
        network.excuse(tags);
        network.converged(SOON).await?;
        let recovered = network
            .client("eu")?
            .describe()
            .await?
            .recovered
            .context("recovered")?;
        ensure!(
            !recovered.recovered && recovered.reason == "FilteredEdges",
            "{recovered:?}"
        );
        let status = network.client("eu")?.status().await?;
        ensure!(
            status.state() == v1::LocationState::Serving,
            "it serves all the same: {:?}",
            status.state()
        );
        network.judge().await?;
        Ok(())
    })
    .await
}
