//! One network from its start to the judgement.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tidelog_harness::checker::ALL;
use tidelog_harness::journal::Pages;
use tidelog_harness::network::PATIENCE;
use tidelog_harness::record::Answer;

use crate::kind::Store;
use crate::load::Load;
use crate::report::note;
use crate::site::{Servers, Site, World, metric, most_resident_mib};
use crate::tally::{Breach, Tally};
use crate::weather::{self, Decks, Span};

const GUARD_HITS: &str = "tidelog_guard_hits_total";

/// Which episode it is.
pub struct Episode {
    /// With which store.
    pub store: Store,
    /// What it is made of.
    pub seed: u64,
    /// Its number in the run.
    pub number: u32,
    /// The bug that its sidecars have.
    pub mutant: Option<String>,
    /// Whether disks are broken.
    pub disks: bool,
    /// How long things break.
    pub span: Span,
}

/// What is left of it.
pub struct Outcome {
    /// What was written down.
    pub pages: Pages,
    /// Where its processes and logs were.
    pub directory: PathBuf,
    /// Nothing was wrong.
    pub is_well: bool,
}

impl Episode {
    /// Runs it. An error is one of the surroundings; whatever the product did wrong is in the tally.
    pub async fn run(
        &self,
        servers: &Servers,
        decks: &mut Decks,
        tally: &Tally,
    ) -> Result<Outcome> {
        let log = format!("orders-{}", self.number);
        let world = World {
            disks: self.disks,
            mutant: self.mutant.as_deref(),
        };
        let mut site = Site::start(self.store, servers, &log, &world)
            .await
            .context("start the network")?;
        tally.counts().episodes += 1;
        let directory = site.network.path("");
        let before = tally.counts().breaches.len();
        let outcome = self.play(&mut site, decks, tally).await;
        let pages = site.network.journal.pages().clone();
        count(&pages, tally);
        if let Err(error) = &outcome {
            self.breach(tally, "the run", &format!("{error:#}"));
        }
        for name in site.network.names() {
            if let Ok(process) = site.network.process(&name) {
                let mut counts = tally.counts();
                counts.most_mib = counts
                    .most_mib
                    .max(most_resident_mib(process.id()).unwrap_or(0.0));
            }
        }
        let worse = tally.counts().breaches.len() - before;
        let verdict = match worse {
            0 => Ok(()),
            count => Err(anyhow::anyhow!("{count} promises broken")),
        };
        let is_well = self.finish(site, verdict, tally);
        Ok(Outcome {
            pages,
            directory,
            is_well,
        })
    }

    /// Ends the processes; a panic of one of them breaks a promise too.
    fn finish(&self, site: Site, verdict: Result<()>, tally: &Tally) -> bool {
        let is_well = verdict.is_ok();
        let cleared = if is_well { site.clear() } else { Ok(()) };
        if !is_well {
            // What a disk holds goes with it.
            site.keep_disks();
        }
        let finished = site.network.finish(verdict.and(cleared));
        if let (true, Err(error)) = (is_well, &finished) {
            self.breach(tally, "the processes", &format!("{error:#}"));
        }
        finished.is_ok()
    }

    async fn play(&self, site: &mut Site, decks: &mut Decks, tally: &Tally) -> Result<()> {
        let mut load = Load::start(site, self.seed)?;
        let broken = weather::run(site, decks, tally, self.seed, &self.span).await;
        site.links.mend();
        let done = load.end().await?;
        tally.counts().acknowledged += done.taken;
        tally.counts().unanswered += done.unanswered;
        broken?;
        site.network.converged(PATIENCE).await?;
        for reader in std::mem::take(&mut load.readers) {
            let location = reader.record().location;
            let head = site.network.client(&location)?.describe().await?.head;
            if let Err(error) = reader.reached(head, PATIENCE).await {
                self.breach(tally, "I6", &format!("{error:#}"));
            }
            reader.stop();
        }
        let history = site.network.gather().await?;
        self.guards(site, tally).await?;
        for (name, judge) in ALL {
            for violation in judge(&history) {
                self.breach(tally, name, &violation.message);
            }
        }
        Ok(())
    }

    /// An event that only the unique key kept from being stored twice got past everything that should have known it.
    async fn guards(&self, site: &Site, tally: &Tally) -> Result<()> {
        for name in site.network.names() {
            let address = site.network.address(&name, "metrics")?;
            let hits = metric(&address, GUARD_HITS).await;
            let hits = hits.with_context(|| format!("{name} does not tell {GUARD_HITS}"))?;
            if hits > 0.0 {
                let message = format!("{name}: {GUARD_HITS} is {hits}");
                self.breach(tally, "I2 nothing is stored twice", &message);
            }
        }
        Ok(())
    }

    fn breach(&self, tally: &Tally, invariant: &str, message: &str) {
        // At once: a run that ends for another reason prints no report.
        note(&format!("{invariant}: {message}"));
        tally.counts().breaches.push(Breach {
            invariant: invariant.to_owned(),
            message: message.to_owned(),
            store: self.store,
            seed: self.seed,
        });
    }
}

fn count(pages: &Pages, tally: &Tally) {
    let mut counts = tally.counts();
    for attempt in &pages.attempts {
        counts.tries += 1;
        match &attempt.answer {
            Answer::Ok { ids, replayed, .. } => {
                counts.events += if *replayed { 0 } else { ids.len() as u64 };
            }
            Answer::Unknown { .. } => counts.unknown += 1,
            Answer::Refused { .. } => {}
        }
    }
    for subscription in &pages.subscriptions {
        counts.delivered += subscription.events.len() as u64;
    }
}
