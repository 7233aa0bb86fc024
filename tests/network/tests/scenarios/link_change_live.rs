//! Manifests are edited while the network runs: links go and come, filters change, a location is added.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tidelog_harness::manifests::{Link, Manifests, Rule};
use tidelog_harness::network::Storage;
use tidelog_harness::session::Draft;

use super::{SOON, acknowledged, append_each, with};

#[tokio::test]
async fn links_are_removed_and_added_while_the_network_runs() -> Result<()> {
    let manifests = Manifests::new("orders", &["eu", "us", "ap"])
        .link(Link::both("eu-us", "eu", "us"))
        .link(Link::both("us-ap", "us", "ap"));
    with(Storage::Sqlite, manifests, async |network| {
        let mut eu = network.session("w-eu", "eu")?;
        append_each(&mut eu, 3, "k").await?;
        network.converged(SOON).await?;
        network.change(|manifests| drop(manifests.links.pop()))?;
        let deadline = tokio::time::Instant::now() + SOON;
        while !network.client("ap")?.status().await?.edges.is_empty() {
            ensure!(
                tokio::time::Instant::now() < deadline,
                "the edges of a removed link stay:{}",
                network.edges().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        append_each(&mut eu, 3, "k").await?;
        network.converged(SOON).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        ensure!(
            network.client("ap")?.describe().await?.head == 3,
            "an event came over a link that is gone"
        );
        let mut ap = network.session("w-ap", "ap")?;
        append_each(&mut ap, 3, "k").await?;
        network.change(|manifests| manifests.links.push(Link::both("eu-ap", "eu", "ap")))?;
        network.converged(SOON).await?;
        let history = network.judge().await?;
        ensure!(history.dumps.values().all(|dump| dump.head == 9));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_location_is_added_while_the_network_runs() -> Result<()> {
    let manifests = Manifests::new("orders", &["eu", "us"]).link(Link::both("eu-us", "eu", "us"));
    with(Storage::Sqlite, manifests, async |network| {
        let mut eu = network.session("w-eu", "eu")?;
        append_each(&mut eu, 5, "k").await?;
        network.change(|manifests| {
            manifests.locations.push(("ap".to_owned(), true));
            manifests.links.push(Link::both("us-ap", "us", "ap"));
        })?;
        network.restart("ap").await?;
        let mut ap = network.session("w-ap", "ap")?;
        append_each(&mut ap, 5, "k").await?;
        network.converged(SOON).await?;
        let history = network.judge().await?;
        ensure!(history.dumps.len() == 3 && history.dumps.values().all(|dump| dump.head == 10));
        Ok(())
    })
    .await
}

fn colour(name: &'static str) -> (String, Rule) {
    let cel = format!("has(event.metadata.colour) && event.metadata.colour == '{name}'");
    (
        cel,
        Arc::new(move |fact, _, _| {
            fact.metadata
                .get("colour")
                .is_some_and(|colour| colour == name)
        }),
    )
}

#[tokio::test]
async fn a_changed_filter_holds_for_what_is_written_once_it_is_in_force() -> Result<()> {
    let link = |(cel, rule): (String, Rule)| {
        Link::both("stores", "eu", "s1").filtered(&["eu"], &[], &cel, rule)
    };
    let manifests = Manifests::new("orders", &["eu", "s1"]).link(link(colour("red")));
    with(Storage::Sqlite, manifests, async |network| {
        let mut eu = network.session("w-eu", "eu")?;
        let mut tags = Vec::new();
        for name in ["red", "green", "red", "green"] {
            let prepared = eu.prepare(vec![Draft::of("k").with("colour", name)], None);
            tags.extend(prepared.tags());
            acknowledged(eu.send(&prepared).await)?;
        }
        network.converged(SOON).await?;
        let before = network
            .edge_until("eu", "s1", "level", |edge| edge.progress == 4)
            .await?;
        ensure!(network.client("s1")?.describe().await?.head == 2);
        network.change(|manifests| manifests.links = vec![link(colour("green"))])?;
        network
            .edge_until("eu", "s1", "under the new filter", |edge| {
                edge.filter_hash != before.filter_hash
                    && edge.spec_agrees
                    && !edge.peer_spec_hash.is_empty()
            })
            .await?;
        // What was written before is where the old filter left it.
        network.excuse(tags);
        for name in ["red", "green", "green"] {
            acknowledged(eu.append(vec![Draft::of("k").with("colour", name)]).await)?;
        }
        network.converged(SOON).await?;
        let history = network.judge().await?;
        let colours: Vec<&str> = history.dumps["s1"]
            .facts
            .iter()
            .map(|fact| fact.metadata["colour"].as_str())
            .collect();
        ensure!(colours == ["red", "red", "green", "green"], "{colours:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_plan_that_is_refused_changes_nothing() -> Result<()> {
    let names = ["eu", "us", "ap"];
    let manifests = Manifests::new("orders", &names).link(Link::dense("all", &names));
    with(Storage::Sqlite, manifests, async |network| {
        let (cel, rule) = colour("red");
        let unsafe_link = Link::dense("all", &names).filtered(&["eu"], &["us"], &cel, rule);
        let topology_before = network.manifests.clone();
        network.change(|manifests| manifests.links = vec![unsafe_link])?;
        let deadline = tokio::time::Instant::now() + SOON;
        while !network
            .process("eu")?
            .log_tail(50)
            .contains("keeping the old")
        {
            ensure!(
                tokio::time::Instant::now() < deadline,
                "nobody says that the plan is refused"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        network.change(|manifests| *manifests = topology_before)?;
        let mut eu = network.session("w-eu", "eu")?;
        append_each(&mut eu, 5, "k").await?;
        network.converged(SOON).await?;
        network.judge().await?;
        Ok(())
    })
    .await
}
