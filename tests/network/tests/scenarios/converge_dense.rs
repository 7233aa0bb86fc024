//! Three locations that all copy from each other, writers everywhere.

use anyhow::{Result, ensure};
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::Storage;
use tidelog_harness::session::Draft;
use tidelog_harness::subscriber::Mode;

use super::{SOON, acknowledged, append_each, on_both_stores, with};

on_both_stores!(writers_everywhere_end_up_with_the_same_events_in_causal_order);

async fn writers_everywhere_end_up_with_the_same_events_in_causal_order(
    storage: Storage,
) -> Result<()> {
    let names = ["eu", "us", "ap"];
    let manifests = Manifests::new("orders", &names).link(Link::dense("all", &names));
    with(storage, manifests, async |network| {
        let mut live = Vec::new();
        for name in names {
            live.push(network.subscriber(&format!("live-{name}"), name, Mode::OwnPosition)?);
        }
        // Writers without a context, with several events per request.
        let mut tasks = tokio::task::JoinSet::new();
        for name in names {
            let mut session = network.session(&format!("wide-{name}"), name)?;
            tasks.spawn(async move {
                for round in 0..30 {
                    let drafts = (0..=round % 4).map(|_| Draft::of("wide")).collect();
                    acknowledged(session.append(drafts).await)?;
                }
                anyhow::Ok(())
            });
            // Writers who know only what they have read and written, and carry it from place to place.
            let mut session = network.session(&format!("narrow-{name}"), name)?.narrow();
            let places: Vec<_> = names
                .iter()
                .map(|place| Ok((*place, network.client(place)?)))
                .collect::<Result<_>>()?;
            tasks.spawn(async move {
                let key = format!("case-{}", session.location());
                for round in 0..12 {
                    let (place, client) = places[round % places.len()].clone();
                    session.move_to(place, client, SOON).await?;
                    session.read(&key).await?;
                    append_each(&mut session, 2, &key).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        network.converged(SOON).await?;
        for subscriber in live {
            let head = network
                .client(&subscriber.record().location)?
                .describe()
                .await?
                .head;
            subscriber.reached(head, SOON).await?;
            subscriber.stop();
        }
        let history = network.judge().await?;
        let heads: Vec<u64> = history.dumps.values().map(|dump| dump.head).collect();
        // 3 writers with 73 events, 3 with 24.
        ensure!(heads == [291, 291, 291], "{heads:?}");
        ensure!(
            history
                .dumps
                .values()
                .all(|dump| dump.incarnation == history.dumps[&dump.location].lineage[0].0),
            "nothing was raised"
        );
        Ok(())
    })
    .await
}
