//! Partitions of the whole network. Only links are broken meanwhile: every append must be taken.

use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tidelog_harness::record::{Answer, Vector};
use tidelog_harness::session::to_wire;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Played, hold};
use crate::kind::Kind;
use crate::site::Site;
use crate::tally::Tally;
use crate::weather::Sky;

/// What an append may be told whatever is broken: it is about the request, not about the log.
const ABOUT_THE_REQUEST: [&str; 3] = ["CONDITION_FAILED", "CONTEXT_AHEAD", "INCARNATION_CHANGED"];
/// Until everybody has everything: many times the longest pause before a connection is dialled again, for machines that do much else.
const CONVERGED: Duration = Duration::from_mins(3);
/// A writer that is fenced, or a server that came back just before, is none of the partition's doing.
const CALM: Duration = Duration::from_secs(30);

pub(super) async fn play(
    site: &mut Site,
    kind: Kind,
    tally: &Tally,
    sky: &Sky,
    random: &mut StdRng,
) -> Result<Played> {
    let _broken = sky.lock().await;
    let mut names = site.network.names();
    names.shuffle(random);
    let count = match kind {
        Kind::Isolation => 1,
        _ => 2,
    };
    let inside = names.split_off(names.len() - count);
    calm(site).await;
    let before = site.links.counted();
    let how = site.links.part(&inside, random);
    let from = site.network.journal.now();
    hold(random, 2_500..6_000).await;
    let mut witness = site.links.parted(&inside, &before);
    // A connection that is just being dialled again needs its time.
    for _ in 0..120 {
        if witness.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        witness = site.links.parted(&inside, &before);
    }
    let until = site.network.journal.now();
    site.links.mend();
    let healed = Instant::now();
    refused(site, tally, from, until);
    if let Some(took) = converge(site, healed).await? {
        tally.counts().converged.push(took);
    }
    let witness = witness.map(|witness| format!("{how}: {witness}"));
    Ok((inside.join("+"), witness))
}

/// Waits until every location serves, and knows that nothing is missing: what was broken before is over.
async fn calm(site: &Site) {
    let deadline = Instant::now() + CALM;
    for name in site.network.names() {
        while Instant::now() < deadline {
            let since = site.network.journal.now();
            let well = match site.network.client(&name) {
                Ok(client) => client.describe().await.is_ok_and(|described| {
                    described
                        .recovered
                        .is_none_or(|recovered| recovered.recovered)
                }),
                Err(_) => false,
            };
            if well && super::taken_after(site, &name, since).await.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Counts what was asked for and answered while only links were broken.
fn refused(site: &Site, tally: &Tally, from: i64, until: i64) {
    let pages = site.network.journal.pages();
    let recent = pages
        .attempts
        .iter()
        .rev()
        .take_while(|attempt| attempt.ended_at >= from);
    let during = recent.filter(|attempt| attempt.started_at >= from && attempt.ended_at <= until);
    let mut counts = tally.counts();
    for attempt in during {
        counts.tries_in_partitions += 1;
        match &attempt.answer {
            Answer::Ok { .. } => {}
            Answer::Refused { reason, .. } if ABOUT_THE_REQUEST.contains(&reason.as_str()) => {}
            answer => {
                counts.refused_in_partitions += 1;
                let message = format!("{} at {}: {answer:?}", attempt.request_id, attempt.location);
                counts.refusals.push(message);
            }
        }
    }
}

/// From the moment of healing until every location covers what all had then; `None` when some of it is lost for good.
async fn converge(site: &Site, healed: Instant) -> Result<Option<f64>> {
    let mut all = Vector::default();
    for client in site.clients()?.values() {
        let described = client.describe().await?;
        all.merge(&Vector::from(&described.version_vector.unwrap_or_default()));
    }
    let mut waiting = JoinSet::new();
    for (name, client) in site.clients()? {
        let token = to_wire(&all);
        waiting.spawn(async move {
            let deadline = Instant::now() + CONVERGED;
            loop {
                match client.await_token(token.clone(), Duration::from_secs(15)).await {
                    Ok(_) => return Ok(true),
                    Err(status) if status.code() == tonic::Code::DataLoss => return Ok(false),
                    Err(status) if Instant::now() > deadline => {
                        anyhow::bail!("I4: {name} does not cover what all had when the partition ended, {CONVERGED:?} later: {status}")
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
    }
    let mut whole = true;
    while let Some(done) = waiting.join_next().await {
        whole &= done??;
    }
    Ok(whole.then(|| healed.elapsed().as_secs_f64() * 1_000.0))
}
