//! Writers who race on one key: of all that have seen the same state one gets through, and a request that was taken is never taken again.

use anyhow::{Result, ensure};
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::Storage;
use tidelog_harness::record::{Answer, Condition};
use tidelog_harness::session::Draft;

use super::{SOON, acknowledged, append_each, on_both_stores, refused, with};

on_both_stores!(
    of_racing_writers_one_gets_through,
    a_request_that_was_taken_is_answered_again_and_not_taken_again,
);

fn pair() -> Manifests {
    Manifests::new("orders", &["eu", "us"]).link(Link::both("l", "eu", "us"))
}

fn nobody_after(key: &str, after: u64) -> Condition {
    Condition {
        keys: vec![key.to_owned()],
        types: Vec::new(),
        after,
    }
}

async fn of_racing_writers_one_gets_through(storage: Storage) -> Result<()> {
    with(storage, pair(), async |network| {
        let mut taken = 0;
        let mut faster = 0;
        let mut sessions = Vec::new();
        for number in 0..8 {
            sessions.push(network.session(&format!("w{number}"), "eu")?);
        }
        for _ in 0..8 {
            let mut race = tokio::task::JoinSet::new();
            for mut session in std::mem::take(&mut sessions) {
                race.spawn(async move {
                    let after = session
                        .read("account")
                        .await
                        .map(|facts| facts.last().map_or(0, |fact| fact.sequence));
                    let drafts = vec![Draft::of("account"), Draft::of("other")];
                    let answer = session
                        .append_if(drafts, nobody_after("account", after?))
                        .await;
                    anyhow::Ok((session, answer))
                });
            }
            while let Some(done) = race.join_next().await {
                let (session, answer) = done??;
                sessions.push(session);
                match answer {
                    Answer::Ok { .. } => taken += 1,
                    Answer::Refused { reason, .. } if reason == "CONDITION_FAILED" => faster += 1,
                    other => anyhow::bail!("{other:?}"),
                }
            }
        }
        ensure!(
            taken >= 8 && faster >= 8,
            "{taken} got through, {faster} were too late: that was no race"
        );
        // What came from elsewhere counts as well.
        let mut us = network.session("w-us", "us")?;
        let before = network.client("eu")?.describe().await?.head;
        append_each(&mut us, 1, "account").await?;
        network.converged(SOON).await?;
        let late = sessions
            .swap_remove(0)
            .append_if(vec![Draft::of("account")], nobody_after("account", before))
            .await;
        ensure!(refused(late)? == "CONDITION_FAILED");
        let history = network.judge().await?;
        ensure!(history.dumps["eu"].head == 2 * taken + 1);
        Ok(())
    })
    .await
}

async fn a_request_that_was_taken_is_answered_again_and_not_taken_again(
    storage: Storage,
) -> Result<()> {
    with(storage, pair(), async |network| {
        let mut eu = network.session("w-eu", "eu")?;
        let condition = nobody_after("k", 0);
        let prepared = eu.prepare(vec![Draft::of("k"), Draft::of("k")], Some(condition));
        let ids = acknowledged(eu.send(&prepared).await)?;
        let again = async |session: &mut tidelog_harness::session::Session, where_: &str| {
            let answer = session.send(&prepared).await;
            ensure!(
                matches!(&answer, Answer::Ok { ids: told, replayed: true, .. } if *told == ids),
                "{where_}: {answer:?}"
            );
            Ok(())
        };
        again(&mut eu, "at once").await?;
        network.converged(SOON).await?;
        network.kill("eu").await?;
        let mut elsewhere = network.session("w-us", "us")?;
        again(&mut elsewhere, "at another location").await?;
        network.restart("eu").await?;
        again(&mut eu, "after a kill").await?;
        let history = network.judge().await?;
        ensure!(history.dumps.values().all(|dump| dump.head == 2));
        Ok(())
    })
    .await
}
