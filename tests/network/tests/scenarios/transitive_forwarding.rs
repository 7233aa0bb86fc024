//! One edge of the triangle is cut: the third location forwards.

use anyhow::{Result, ensure};
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::Storage;

use super::{SOON, append_each, on_both_stores, with};

on_both_stores!(the_third_location_forwards_when_an_edge_is_cut);

async fn the_third_location_forwards_when_an_edge_is_cut(storage: Storage) -> Result<()> {
    let names = ["eu", "us", "ap"];
    let manifests = Manifests::new("orders", &names).link(Link::dense("all", &names));
    with(storage, manifests, async |network| {
        network.cut("eu", "us").await?;
        network.cut("us", "eu").await?;
        let mut eu = network.session("w-eu", "eu")?;
        let mut us = network.session("w-us", "us")?;
        for _ in 0..10 {
            append_each(&mut eu, 2, "k").await?;
            append_each(&mut us, 2, "k").await?;
        }
        network.converged(SOON).await?;
        let status = network.client("us")?.status().await?;
        let edge = status
            .edges
            .iter()
            .find(|edge| edge.source == "eu" && edge.target == "us");
        ensure!(
            edge.is_some_and(|edge| edge.cut && edge.progress == 0),
            "the cut edge copied: {edge:?}"
        );
        network.heal("eu", "us").await?;
        network.heal("us", "eu").await?;
        append_each(&mut eu, 5, "k").await?;
        network
            .edge_until("eu", "us", "level after the heal", |edge| {
                edge.progress >= 45
            })
            .await?;
        network.judge().await?;
        Ok(())
    })
    .await
}
