//! Everything at once: writers of all kinds, readers, consumers, and every few moments something breaks. Then everything is mended, and
//! all judges look at the run. `TIDELOG_STORM_SEED` and `TIDELOG_STORM_SECONDS` repeat or lengthen it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tidelog_harness::client::Client;
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::{Network, PATIENCE, Storage};
use tidelog_harness::record::{Answer, Condition};
use tidelog_harness::session::{Draft, Session};
use tidelog_harness::subscriber::Mode;
use tokio::task::JoinSet;

use super::{on_both_stores, with};

on_both_stores!(nothing_breaks_in_a_storm);

const REGIONS: [&str; 3] = ["eu", "us", "ap"];
const STORES: [&str; 2] = ["s1", "s2"];

fn manifests() -> Manifests {
    let own = "has(event.metadata.store) && event.metadata.store == target";
    let stores = Link::hub_and_spoke("stores", "eu", &STORES);
    Manifests::new("orders", &REGIONS)
        .behind_nat(&STORES)
        .link(Link::dense("regions", &REGIONS))
        .link(stores.filtered(
            &["eu"],
            &[],
            own,
            Arc::new(|fact, _, target| {
                fact.metadata
                    .get("store")
                    .is_some_and(|store| store == target)
            }),
        ))
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

async fn nothing_breaks_in_a_storm(storage: Storage) -> Result<()> {
    let seed =
        setting("TIDELOG_STORM_SEED").unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    let seconds = setting("TIDELOG_STORM_SECONDS").unwrap_or(25);
    // Straight to the stream: a failure must show it, and a run that hangs too.
    writeln!(
        std::io::stderr(),
        "storm: TIDELOG_STORM_SEED={seed} TIDELOG_STORM_SECONDS={seconds}"
    )?;
    with(storage, manifests(), async |network| {
        let outcome = storm(network, seed, Duration::from_secs(seconds)).await;
        outcome.with_context(|| format!("TIDELOG_STORM_SEED={seed}"))
    })
    .await
}

async fn storm(network: &mut Network, seed: u64, length: Duration) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let names: Vec<String> = network.names();
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for name in &names {
        readers.push(network.subscriber(&format!("live-{name}"), name, Mode::OwnPosition)?);
        readers.push(network.subscriber(&format!("consumer-{name}"), name, Mode::Consumer)?);
    }
    let mut writers = JoinSet::new();
    let clients: BTreeMap<String, Client> = names
        .iter()
        .map(|name| Ok((name.clone(), network.client(name)?)))
        .collect::<Result<_>>()?;
    for number in 0..8 {
        let home = names.choose(&mut random).context("a location")?;
        let session = network.session(&format!("w{number}"), home)?;
        let narrow = number % 2 == 0;
        let session = if narrow { session.narrow() } else { session };
        let writer = Writer {
            session,
            narrow,
            clients: clients.clone(),
            random: StdRng::seed_from_u64(seed ^ (number + 1)),
            over: Arc::clone(&over),
        };
        writers.spawn(writer.run());
    }

    let copy = weather(network, &mut random, length, &clients).await?;

    over.store(true, Ordering::Relaxed);
    let mut taken = 0;
    while let Some(done) = writers.join_next().await {
        taken += done??;
    }
    ensure!(taken > 50, "only {taken} appends were taken");
    drop(copy);
    network.converged(PATIENCE).await?;
    for reader in readers {
        let head = network
            .client(&reader.record().location)?
            .describe()
            .await?
            .head;
        reader.reached(head, PATIENCE).await?;
        reader.stop();
    }
    let history = network.judge().await?;
    let faults = network
        .journal
        .pages()
        .attempts
        .iter()
        .filter(|a| !matches!(a.answer, Answer::Ok { .. }))
        .count();
    writeln!(
        std::io::stderr(),
        "storm: {taken} requests taken, {faults} tries failed, {} events at eu",
        history.dumps["eu"].head
    )?;
    Ok(())
}

/// What breaks, and when. Ends with everything mended.
async fn weather(
    network: &mut Network,
    random: &mut StdRng,
    length: Duration,
    clients: &BTreeMap<String, Client>,
) -> Result<Option<PathBuf>> {
    let begun = tokio::time::Instant::now();
    let names: Vec<&String> = clients.keys().collect();
    let mut copy = None;
    let mut restored = false;
    while begun.elapsed() < length {
        tokio::time::sleep(Duration::from_millis(random.random_range(200..1200))).await;
        let name = names
            .choose(random)
            .map(|name| (*name).clone())
            .context("a location")?;
        match random.random_range(0..10) {
            0 | 1 => {
                let edges: Vec<(String, String)> =
                    network.manifests.edges_at(&name).into_iter().collect();
                let (source, target) = edges.choose(random).context("an edge")?;
                network.cut(source, target).await?;
            }
            2 => network.isolate(&name).await?,
            3..=5 => {
                for name in &names {
                    network.heal_all(name).await?;
                }
            }
            6 | 7 => {
                network.kill(&name).await?;
                tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
                network.restart(&name).await?;
            }
            8 => {
                network.process(&name)?.freeze()?;
                tokio::time::sleep(Duration::from_millis(random.random_range(100..2000))).await;
                network.process(&name)?.thaw()?;
            }
            _ => {}
        }
        network.sample().await;
        // Once: us goes back to what it was some time ago. It has no filtered edge, so all that others hold must come back.
        if copy.is_none() && begun.elapsed() > length / 4 {
            copy = Some(network.backup("us", "copy").await?);
        }
        if let Some(copy) = copy
            .as_ref()
            .filter(|_| !restored && begun.elapsed() > length / 2)
        {
            network.kill("us").await?;
            let alone = network.held_only_at("us").await?;
            network.journal.forgive(alone);
            network.restore("us", copy).await?;
            network.restart("us").await?;
            for name in &names {
                network.heal_all(name).await?;
            }
            restored = true;
        }
    }
    ensure!(restored, "the storm was too short for a restore");
    for name in &names {
        network.heal_all(name).await?;
    }
    Ok(copy)
}

struct Writer {
    session: Session,
    narrow: bool,
    clients: BTreeMap<String, Client>,
    random: StdRng,
    over: Arc<AtomicBool>,
}

impl Writer {
    /// Writes until it is over; the number of requests that were taken.
    async fn run(mut self) -> Result<usize> {
        let mut taken = 0;
        while !self.over.load(Ordering::Relaxed) {
            let key = format!("k{}", self.random.random_range(0..6));
            let drafts = (0..self.random.random_range(1..4))
                .map(|_| self.draft(&key))
                .collect();
            let done = match self.random.random_range(0..10) {
                0 | 1 => self.conditionally(drafts, &key).await,
                2 if self.narrow => {
                    self.travel().await;
                    false
                }
                3 | 4 if self.narrow => {
                    // A read that fails is a read of nothing.
                    let _ = self.session.read(&key).await;
                    false
                }
                _ => self.insistently(drafts).await,
            };
            taken += usize::from(done);
            tokio::time::sleep(Duration::from_millis(self.random.random_range(5..60))).await;
        }
        Ok(taken)
    }

    fn draft(&mut self, key: &str) -> Draft {
        let draft = Draft::of(key);
        match self.random.random_range(0..3) {
            0 => draft,
            at => draft.with("store", STORES[at % STORES.len()]),
        }
    }

    async fn insistently(&mut self, drafts: Vec<Draft>) -> bool {
        let prepared = self.session.prepare(drafts, None);
        for _ in 0..200 {
            match self.session.send(&prepared).await {
                Answer::Ok { .. } => return true,
                Answer::Refused { reason, .. } if reason == "CONTEXT_AHEAD" => {
                    // What it has seen was lost with a database.
                    self.session.forget();
                    return false;
                }
                Answer::Refused { reason, .. } if reason == "INCARNATION_CHANGED" => return false,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        false
    }

    /// Appends if nobody was faster than the last event that it knows of the key.
    async fn conditionally(&mut self, drafts: Vec<Draft>, key: &str) -> bool {
        let Ok(facts) = self.session.read(key).await else {
            return false;
        };
        let condition = Condition {
            keys: vec![key.to_owned()],
            types: Vec::new(),
            after: facts.last().map_or(0, |fact| fact.sequence),
        };
        matches!(
            self.session.append_if(drafts, condition).await,
            Answer::Ok { .. }
        )
    }

    /// Goes on elsewhere, with all that it has seen.
    async fn travel(&mut self) {
        let names: Vec<&String> = self.clients.keys().collect();
        let Some(place) = names.choose(&mut self.random).map(|name| (*name).clone()) else {
            return;
        };
        let Some(client) = self.clients.get(&place).cloned() else {
            return;
        };
        // It stays where it is when the other place does not hear of it in time.
        let _ = self
            .session
            .move_to(&place, client, Duration::from_secs(2))
            .await;
    }
}
