//! As many episodes as time allows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use crate::episode::Episode;
use crate::kind::{Hand, Kind, Store};
use crate::operations;
use crate::report::{self, Report};
use crate::site::Servers;
use crate::stall;
use crate::tally::{Breach, Tally};
use crate::weather::Decks;

/// Things break for so long in one network: its history must be small enough to be judged.
const EPISODE: Duration = Duration::from_secs(80);
/// A network starts, comes to rest and is judged in about so long.
const AROUND: Duration = Duration::from_secs(20);
/// So many episodes may go wrong before a run gives up.
const FAILURES_MAX: u32 = 3;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// For how long; everything together.
    pub length: Duration,
    /// With which stores.
    pub stores: Vec<Store>,
    /// The faults; all when empty.
    pub faults: Vec<Kind>,
    /// Faults that are left out.
    pub except: Vec<Kind>,
    /// What everything is drawn from.
    pub seed: u64,
    /// Where the report goes.
    pub report: Option<PathBuf>,
    /// Where operations go.
    pub history: Option<PathBuf>,
    /// Where what is left of an episode that went wrong goes.
    pub keep: Option<PathBuf>,
    /// Whether memory is watched under stalls.
    pub stalls: bool,
}

/// Runs all of it, and says what happened.
pub async fn run(wanted: &Wanted) -> Result<Report> {
    let tally = Tally::default();
    let began = Instant::now();
    let mut number = 0;
    for store in &wanted.stores {
        let share = wanted.length / u32::try_from(wanted.stores.len()).unwrap_or(1).max(1);
        let kinds: Vec<Kind> = named(wanted, *store);
        let servers = match store {
            Store::Postgres => {
                report::note("starting five PostgreSQL servers");
                Servers::start().await?
            }
            Store::Sqlite => Servers::default(),
        };
        let outcome = set(wanted, *store, &kinds, &servers, &tally, &mut number, share).await;
        servers.stop().await?;
        outcome?;
    }
    let report = Report::of(&tally, wanted, began.elapsed());
    report.write(wanted.report.as_deref())?;
    Ok(report)
}

/// The faults that a run with a store is to have.
pub fn named(wanted: &Wanted, store: Store) -> Vec<Kind> {
    let all = Kind::all(store);
    all.into_iter()
        .filter(|kind| wanted.faults.is_empty() || wanted.faults.contains(kind))
        .filter(|kind| !wanted.except.contains(kind))
        .collect()
}

async fn set(
    wanted: &Wanted,
    store: Store,
    kinds: &[Kind],
    servers: &Servers,
    tally: &Tally,
    number: &mut u32,
    share: Duration,
) -> Result<()> {
    let began = Instant::now();
    let end = began + share;
    let mut decks = Decks {
        links: crate::kind::Deck::of(kinds, Hand::Link),
        nodes: crate::kind::Deck::of(kinds, Hand::Node),
    };
    if wanted.stalls {
        report::note(&format!("{}: memory under stalls", store.name()));
        *number += 1;
        let stalled = stall::run(store, servers, tally, &format!("stalls-{number}")).await;
        if let Err(error) = stalled {
            tally.counts().breaches.push(Breach {
                invariant: "bounds".to_owned(),
                message: format!("{error:#}"),
                store,
                seed: wanted.seed,
            });
        }
    }
    let mut failures = 0;
    loop {
        let now = Instant::now();
        let dealt = decks.links.is_dealt() && decks.nodes.is_dealt();
        if dealt && end <= now + AROUND {
            return Ok(());
        }
        *number += 1;
        let until = (now + EPISODE)
            .min(end.checked_sub(AROUND).unwrap_or(now))
            .max(now);
        let episode = Episode {
            store,
            seed: wanted.seed.wrapping_add(u64::from(*number)),
            number: *number,
            until,
            last: end <= until + 2 * AROUND,
        };
        report::note(&format!(
            "{}: episode {number}, seed {}",
            store.name(),
            episode.seed
        ));
        let outcome = episode.run(servers, &mut decks, tally).await?;
        if let Some(file) = &wanted.history {
            operations::append(file, *number, &outcome.pages, &tally.counts().faults)?;
        }
        if !outcome.is_well {
            failures += 1;
            keep(&outcome.directory, wanted.keep.as_deref(), episode.seed)?;
        }
        Report::of(tally, wanted, began.elapsed()).write(wanted.report.as_deref())?;
        if failures >= FAILURES_MAX || episode.last {
            return Ok(());
        }
    }
}

fn keep(left: &Path, keep: Option<&Path>, seed: u64) -> Result<()> {
    let Some(keep) = keep else { return Ok(()) };
    std::fs::create_dir_all(keep)?;
    let place = keep.join(format!("seed-{seed}"));
    std::fs::rename(left, &place).with_context(|| {
        format!(
            "{} could not be moved to {}",
            left.display(),
            place.display()
        )
    })
}
