//! The faults that are made to processes, databases and the whole network. Each says what shows that it happened.

mod database;
mod disk;
mod partition;
mod restore;
mod sidecar;
mod stale;

use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tidelog_harness::record::Answer;

use crate::kind::Kind;
use crate::site::{REGIONS, Site};
use crate::tally::Tally;
use crate::weather::Sky;

/// A location that does not take appends for so long is broken, not slow.
const TAKEN: Duration = Duration::from_mins(2);

/// What was broken, and what shows it.
pub type Played = (String, Option<String>);

/// Makes one fault, holds it, and mends it.
pub async fn play(
    site: &mut Site,
    kind: Kind,
    tally: &Tally,
    sky: &Sky,
    random: &mut StdRng,
) -> Result<Played> {
    let name = match kind {
        // The others have no filtered edge: all that peers hold must come back to them.
        Kind::RestoreOlderCopy | Kind::StaleWriter | Kind::SwapDatabase => {
            REGIONS[random.random_range(1..3)].to_owned()
        }
        _ => {
            let names = site.network.names();
            names.choose(random).cloned().context("a location")?
        }
    };
    let witness = match kind {
        Kind::Isolation | Kind::Partition => {
            return partition::play(site, kind, tally, sky, random).await;
        }
        Kind::KillSidecar => sidecar::kill(site, &name, tally, random).await?,
        Kind::FreezeSidecar => sidecar::freeze(site, &name, random).await?,
        Kind::SecondSidecar => sidecar::second(site, &name).await?,
        Kind::ClockJump => sidecar::clock(site, &name, random).await?,
        Kind::RestoreOlderCopy => restore::play(site, &name, sky, random).await?,
        Kind::SwapDatabase => restore::swap(site, &name, sky, random).await?,
        Kind::StaleWriter => stale::play(site, &name).await?,
        Kind::DiskFull | Kind::ReadOnly | Kind::WalFull => {
            disk::play(site, kind, &name, random).await?
        }
        Kind::KillPostgres => database::kill(site, &name, tally, random).await?,
        Kind::FreezePostgres => database::freeze(site, &name, random).await?,
        Kind::RestartPostgres => database::restart(site, &name).await?,
        Kind::TerminateBackends => database::terminate(site, &name, random).await?,
        Kind::ConnectionsExhausted => database::exhaust(site, &name, random).await?,
        _ => None,
    };
    Ok((name, witness))
}

/// Waits a time between two bounds.
async fn hold(random: &mut StdRng, millis: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.random_range(millis))).await;
}

/// Tries at a location that were answered with one of some reasons since then.
fn refused_since(site: &Site, location: &str, since: i64, reasons: &[&str]) -> usize {
    let pages = site.network.journal.pages();
    let recent = pages
        .attempts
        .iter()
        .rev()
        .take_while(|attempt| attempt.ended_at >= since);
    recent
        .filter(|attempt| attempt.location == location && attempt.started_at >= since)
        .filter(|attempt| {
            matches!(&attempt.answer, Answer::Refused { reason, .. } if reasons.contains(&reason.as_str()))
        })
        .count()
}

/// Waits until a location takes appends again that were asked for after a moment; `None` when it does not in time. The time from
/// then on, in milliseconds.
async fn taken_after(site: &Site, location: &str, since: i64) -> Option<f64> {
    let deadline = tokio::time::Instant::now() + TAKEN;
    while tokio::time::Instant::now() < deadline {
        let first = {
            let pages = site.network.journal.pages();
            let recent = pages
                .attempts
                .iter()
                .rev()
                .take_while(|attempt| attempt.ended_at >= since);
            recent
                .filter(|a| a.location == location && matches!(a.answer, Answer::Ok { .. }))
                .map(|attempt| attempt.ended_at)
                .min()
        };
        if let Some(first) = first {
            return Some((first - since) as f64 / 1_000.0);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}
