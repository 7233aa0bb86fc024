//! What breaks, and when: one hand breaks links, the other one everything else, at the same time and by the same seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tidelog_harness::journal::Journal;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::faults;
use crate::kind::{Deck, Hand, Kind, Store};
use crate::links::Links;
use crate::run::Stop;
use crate::site::Site;
use crate::tally::{Fault, Tally};

/// Held while a link is broken, and by those faults of which something is measured that a broken link would disturb.
pub type Sky = Arc<Mutex<()>>;

/// The decks of both hands, kept over all networks of a set.
pub struct Decks {
    /// Of the hand that breaks links.
    pub links: Deck,
    /// Of the other one.
    pub nodes: Deck,
}

impl Decks {
    /// Writes down that a fault happened.
    pub fn played(&mut self, kind: Kind) {
        match kind.hand() {
            Hand::Link => self.links.played(kind, true),
            Hand::Node => self.nodes.played(kind, true),
        }
    }

    /// True when every fault happened.
    pub fn are_dealt(&self) -> bool {
        self.links.is_dealt() && self.nodes.is_dealt()
    }
}

/// How long things break.
#[derive(Debug, Clone)]
pub struct Span {
    /// Until then.
    pub until: Instant,
    /// Those that were named and have not happened by then are tried until this moment.
    pub limit: Instant,
    /// Unless somebody wants it to end.
    pub stop: Stop,
}

impl Span {
    /// The next fault: any while there is time, then one that is missing.
    fn deal(&self, deck: &mut Deck, random: &mut StdRng) -> Option<Kind> {
        if Instant::now() < self.until {
            deck.deal(random)
        } else {
            deck.deal_missing(random)
        }
    }

    fn goes_on(&self, deck: &Deck) -> bool {
        let now = Instant::now();
        let wanted = now < self.until || (now < self.limit && !deck.is_dealt());
        wanted && !self.stop.is_asked_for()
    }
}

/// Breaks things for so long. Ends with everything mended.
pub async fn run(
    site: &mut Site,
    decks: &mut Decks,
    tally: &Tally,
    seed: u64,
    span: &Span,
) -> Result<()> {
    let over = Arc::new(AtomicBool::new(false));
    let sky = Sky::default();
    let links = LinkHand {
        links: Arc::clone(&site.links),
        store: site.store,
        journal: site.network.journal.clone(),
        tally: tally.clone(),
        sky: Arc::clone(&sky),
        random: StdRng::seed_from_u64(seed ^ 0x11a5),
        over: Arc::clone(&over),
        span: span.clone(),
    };
    let nodes = async {
        let outcome = nodes(site, &mut decks.nodes, tally, &sky, seed, span).await;
        over.store(true, Ordering::Relaxed);
        outcome
    };
    let (outcome, ()) = tokio::join!(nodes, links.run(&mut decks.links));
    site.links.mend();
    outcome
}

async fn nodes(
    site: &mut Site,
    deck: &mut Deck,
    tally: &Tally,
    sky: &Sky,
    seed: u64,
    span: &Span,
) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed ^ 0x40de);
    while span.goes_on(deck) {
        tokio::time::sleep(Duration::from_millis(random.random_range(200..900))).await;
        let Some(kind) = span.deal(deck, &mut random) else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let from = site.network.journal.now();
        let (place, witness) = faults::play(site, kind, tally, sky, &mut random)
            .await
            .with_context(|| format!("the fault {}", kind.name()))?;
        deck.played(kind, witness.is_some());
        tally.fault(Fault {
            kind,
            store: site.store,
            place,
            from,
            until: site.network.journal.now(),
            witness,
        });
        site.network.sample().await;
    }
    Ok(())
}

struct LinkHand {
    links: Arc<Links>,
    store: Store,
    journal: Journal,
    tally: Tally,
    sky: Sky,
    random: StdRng,
    over: Arc<AtomicBool>,
    span: Span,
}

impl LinkHand {
    async fn run(mut self, deck: &mut Deck) {
        let pairs = self.links.pairs();
        // While the other hand is still at it, links break too; afterwards only those that are missing.
        while self.span.goes_on(deck) || !self.over.load(Ordering::Relaxed) {
            let pause = self.random.random_range(100..800);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let over = self.over.load(Ordering::Relaxed) || self.span.stop.is_asked_for();
            let kind = if over {
                deck.deal_missing(&mut self.random)
                    .filter(|_| self.span.goes_on(deck))
            } else {
                deck.deal(&mut self.random)
            };
            let (Some(kind), Some(pair)) = (kind, pairs.choose(&mut self.random)) else {
                if over {
                    return;
                }
                continue;
            };
            let sky = Arc::clone(&self.sky);
            let broken = sky.lock().await;
            let witness = self.break_one(kind, pair).await;
            drop(broken);
            deck.played(kind, witness);
        }
    }

    async fn break_one(&mut self, kind: Kind, pair: &(String, String)) -> bool {
        let from = self.journal.now();
        let witness = self.links.play(kind, pair, &mut self.random).await;
        let happened = witness.is_some();
        self.tally.fault(Fault {
            kind,
            store: self.store,
            place: format!("{}->{}", pair.0, pair.1),
            from,
            until: self.journal.now(),
            witness,
        });
        happened
    }
}
