//! As many episodes as time allows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tidelog_harness::disk::Disk;
use tokio::time::Instant;

use crate::episode::Episode;
use crate::kind::{Deck, Hand, Kind, Store};
use crate::ledger::Ledger;
use crate::operations;
use crate::report::{self, Report};
use crate::site::Servers;
use crate::stall;
use crate::tally::{Breach, Tally};
use crate::weather::{Decks, Span};

/// Things break for so long in one network: its history must be small enough to be judged.
const EPISODE: Duration = Duration::from_secs(80);
/// With a bug in it, a network is judged sooner.
const EPISODE_OF_A_MUTANT: Duration = Duration::from_secs(30);
/// A network starts, comes to rest and is judged in about so long.
const AROUND: Duration = Duration::from_secs(20);
/// So many episodes may go wrong before a run gives up.
const FAILURES_MAX: u32 = 3;

/// Whether somebody wants a run to end. Cheap to clone, all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the end: what is under way is finished and judged, and nothing new is begun.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for.
    pub fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is to be run.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// For how long; everything together.
    pub length: Duration,
    /// So much longer, with each store, for faults that were named and have not happened.
    pub extra: Duration,
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
    /// Where what was done is kept, to go on later.
    pub resume: Option<PathBuf>,
    /// Whether memory is watched under stalls.
    pub stalls: bool,
    /// The bug that the sidecars are to have.
    pub mutant: Option<String>,
    /// Whether somebody wants it to end.
    pub stop: Stop,
}

impl Wanted {
    /// A short run with some faults, of nothing else.
    pub fn short(stores: Vec<Store>, faults: Vec<Kind>) -> Self {
        Self {
            length: Duration::from_secs(30),
            stores,
            faults,
            ..Self::default()
        }
    }

    /// The faults that a run with a store is to have. What cannot happen here is left out, unless it was named.
    pub fn named(&self, store: Store) -> Vec<Kind> {
        let all = Kind::all(store).into_iter();
        all.filter(|kind| self.faults.is_empty() || self.faults.contains(kind))
            .filter(|kind| !self.except.contains(kind))
            .filter(|kind| {
                *kind != Kind::WalFull || !self.faults.is_empty() || Disk::possible().is_ok()
            })
            .collect()
    }

    /// Whether disks are broken.
    pub fn wants_disks(&self, store: Store) -> bool {
        self.named(store).into_iter().any(Kind::is_of_disks)
    }

    /// What part of the time a store gets: as many faults as it has, so large.
    fn share(&self, store: Store) -> Duration {
        let weight = |store: &Store| {
            let kinds = self.named(*store).into_iter();
            kinds
                .filter(|kind| kind.hand() == Hand::Node)
                .count()
                .max(3) as f64
        };
        let all: f64 = self.stores.iter().map(weight).sum();
        self.length.mul_f64(weight(&store) / all.max(1.0))
    }
}

/// Runs all of it, or what was not done before, and says what happened.
pub async fn run(wanted: &Wanted, mut ledger: Ledger) -> Result<Report> {
    let tally = Tally::from_counts(std::mem::take(&mut ledger.counts));
    for store in &wanted.stores {
        let done = ledger.seconds.get(store).copied().unwrap_or_default();
        let kinds = wanted.named(*store);
        let mut decks = Decks {
            links: Deck::of(&kinds, Hand::Link),
            nodes: Deck::of(&kinds, Hand::Node),
        };
        for fault in &tally.counts().faults {
            if fault.store == *store && fault.witness.is_some() {
                decks.played(fault.kind);
            }
        }
        let left = wanted
            .share(*store)
            .saturating_sub(Duration::from_secs_f64(done));
        if left < AROUND && decks.are_dealt() && done > 0.0 || wanted.stop.is_asked_for() {
            continue;
        }
        if wanted.wants_disks(*store) {
            report::note(&report::disks());
        }
        let servers = match store {
            Store::Postgres => {
                report::note("starting five PostgreSQL servers");
                Servers::start(wanted.wants_disks(*store)).await?
            }
            Store::Sqlite => Servers::default(),
        };
        let mut set = Set {
            wanted,
            store: *store,
            servers: &servers,
            tally: &tally,
            ledger: &mut ledger,
        };
        let outcome = set.run(&mut decks, left).await;
        servers.stop().await?;
        outcome?;
    }
    let report = Report::of(&tally, wanted, ledger.elapsed());
    report.write(wanted.report.as_deref())?;
    Ok(report)
}

/// All episodes with one store.
struct Set<'a> {
    wanted: &'a Wanted,
    store: Store,
    servers: &'a Servers,
    tally: &'a Tally,
    ledger: &'a mut Ledger,
}

impl Set<'_> {
    async fn run(&mut self, decks: &mut Decks, left: Duration) -> Result<()> {
        let wanted = self.wanted;
        let end = Instant::now() + left;
        let limit = end + wanted.extra;
        if wanted.stalls && !self.ledger.stalls.contains(&self.store) {
            let began = Instant::now();
            self.stalls().await;
            self.ledger.stalls.insert(self.store);
            self.done(began)?;
        }
        let length = match wanted.mutant {
            Some(_) => EPISODE_OF_A_MUTANT,
            None => EPISODE,
        };
        let mut failures = 0;
        loop {
            let now = Instant::now();
            let over = end <= now + AROUND && (decks.are_dealt() || limit <= now);
            if over || wanted.stop.is_asked_for() {
                return Ok(());
            }
            self.ledger.number += 1;
            let number = self.ledger.number;
            let until = (now + length)
                .min(end.checked_sub(AROUND).unwrap_or(now))
                .max(now);
            let last = end <= until + 2 * AROUND && wanted.mutant.is_none();
            let episode = Episode {
                store: self.store,
                seed: wanted.seed.wrapping_add(u64::from(number)),
                number,
                mutant: wanted.mutant.clone(),
                disks: wanted.wants_disks(self.store),
                span: Span {
                    until,
                    limit: if last { limit } else { until },
                    stop: wanted.stop.clone(),
                },
            };
            report::note(&format!(
                "{}: episode {number}, seed {}",
                self.store.name(),
                episode.seed
            ));
            let outcome = episode.run(self.servers, decks, self.tally).await?;
            if let Some(file) = &wanted.history {
                operations::append(file, number, &outcome.pages, &self.tally.counts().faults)?;
            }
            if !outcome.is_well {
                failures += 1;
                keep(&outcome.directory, wanted.keep.as_deref(), episode.seed)?;
            }
            self.done(now)?;
            let shown = wanted.mutant.is_some() && self.tally.is_broken();
            if failures >= FAILURES_MAX || last || shown {
                return Ok(());
            }
        }
    }

    async fn stalls(&mut self) {
        report::note(&format!("{}: memory under stalls", self.store.name()));
        self.ledger.number += 1;
        let log = format!("stalls-{}", self.ledger.number);
        let stalled = stall::run(self.store, self.servers, self.tally, &log).await;
        if let Err(error) = stalled {
            self.tally.counts().breaches.push(Breach {
                invariant: "bounds".to_owned(),
                message: format!("{error:#}"),
                store: self.store,
                seed: self.wanted.seed,
            });
        }
    }

    /// Writes down what was done since a moment.
    fn done(&mut self, since: Instant) -> Result<()> {
        *self.ledger.seconds.entry(self.store).or_default() += since.elapsed().as_secs_f64();
        let report = Report::of(self.tally, self.wanted, self.ledger.elapsed());
        report.write(self.wanted.report.as_deref())?;
        if self.wanted.resume.is_some() {
            self.ledger.counts = self.tally.counts().clone();
            self.ledger.save(self.wanted.resume.as_deref())?;
        }
        Ok(())
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
