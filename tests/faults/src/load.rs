//! Who writes: single events and batches, conditions, narrow contexts that travel, and request ids that are repeated until there is an answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tidelog_harness::client::Client;
use tidelog_harness::record::{Answer, Condition};
use tidelog_harness::session::{Draft, Prepared, Session};
use tidelog_harness::subscriber::{Mode, Subscriber};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::site::{SPOKES, Site};

/// Writers of one location; one of them remembers what it has seen itself.
const WRITERS: usize = 2;
/// How long a request is repeated after everything is mended.
const INSIST: Duration = Duration::from_secs(45);
const AGAIN: Duration = Duration::from_millis(40);

/// What one writer got done.
#[derive(Debug, Default, Clone, Copy)]
pub struct Done {
    /// Requests that were taken.
    pub taken: u64,
    /// Requests without an answer at the end.
    pub unanswered: u64,
}

/// Writers and readers of all locations.
pub struct Load {
    over: Arc<AtomicBool>,
    writers: JoinSet<Done>,
    /// Readers; two of each location.
    pub readers: Vec<Subscriber>,
}

impl Load {
    /// Starts them.
    pub fn start(site: &Site, seed: u64) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let clients = site.clients()?;
        let mut writers = JoinSet::new();
        let mut readers = Vec::new();
        for (at, name) in site.network.names().iter().enumerate() {
            for number in 0..WRITERS {
                let session = site.network.session(&format!("w-{name}-{number}"), name)?;
                let narrow = number == 1;
                let writer = Writer {
                    session: if narrow { session.narrow() } else { session },
                    narrow,
                    clients: clients.clone(),
                    random: StdRng::seed_from_u64(seed ^ ((at * WRITERS + number + 1) as u64)),
                    over: Arc::clone(&over),
                    began: Instant::now(),
                };
                writers.spawn(writer.run());
            }
            let network = &site.network;
            readers.push(network.subscriber(&format!("live-{name}"), name, Mode::OwnPosition)?);
            readers.push(network.subscriber(&format!("consumer-{name}"), name, Mode::Consumer)?);
        }
        Ok(Self {
            over,
            writers,
            readers,
        })
    }

    /// Lets the writers finish what they are at.
    pub async fn end(&mut self) -> Result<Done> {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Done::default();
        while let Some(done) = self.writers.join_next().await {
            let done = done?;
            all.taken += done.taken;
            all.unanswered += done.unanswered;
        }
        Ok(all)
    }
}

struct Writer {
    session: Session,
    narrow: bool,
    clients: BTreeMap<String, Client>,
    random: StdRng,
    over: Arc<AtomicBool>,
    began: Instant,
}

impl Writer {
    async fn run(mut self) -> Done {
        let mut done = Done::default();
        while !self.over.load(Ordering::Relaxed) {
            // Other keys every few seconds, so that reading one stays short.
            let key = format!(
                "k{}-{}",
                self.random.random_range(0..4),
                self.began.elapsed().as_secs() / 8
            );
            let drafts = (0..self.batch()).map(|_| self.draft(&key)).collect();
            match self.random.random_range(0..10) {
                0 | 1 => done.taken += u64::from(self.conditionally(drafts, &key).await),
                2 if self.narrow => self.travel().await,
                3 | 4 if self.narrow => {
                    // A read that fails is a read of nothing.
                    let _ = self.session.read(&key).await;
                }
                _ => match self.insistently(drafts).await {
                    Some(taken) => done.taken += u64::from(taken),
                    None => done.unanswered += 1,
                },
            }
            let pause = self.random.random_range(10..90);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        done
    }

    fn batch(&mut self) -> usize {
        match self.random.random_range(0..20) {
            0 => self.random.random_range(20..40),
            1..=4 => self.random.random_range(2..6),
            _ => 1,
        }
    }

    fn draft(&mut self, key: &str) -> Draft {
        let draft = Draft::of(key);
        match self.random.random_range(0..3) {
            0 => draft,
            at => draft.with("store", SPOKES[at % SPOKES.len()]),
        }
    }

    /// Repeats until there is a definite answer, whatever breaks meanwhile: whether it was taken; `None` when nobody ever said.
    async fn insistently(&mut self, drafts: Vec<Draft>) -> Option<bool> {
        let prepared: Prepared = self.session.prepare(drafts, None);
        let mut deadline = None;
        loop {
            match self.session.send(&prepared).await {
                Answer::Ok { .. } => return Some(true),
                Answer::Refused { reason, .. } if reason == "CONTEXT_AHEAD" => {
                    // What it has seen was lost with a database.
                    self.session.forget();
                    return Some(false);
                }
                Answer::Refused { reason, .. } if reason == "INCARNATION_CHANGED" => {
                    return Some(false);
                }
                _ => {}
            }
            if self.over.load(Ordering::Relaxed) {
                let until = *deadline.get_or_insert_with(|| Instant::now() + INSIST);
                if Instant::now() > until {
                    return None;
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
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

    /// Goes on elsewhere, with all that it has seen; it stays where it is when the other place does not hear of it in time.
    async fn travel(&mut self) {
        let names: Vec<String> = self.clients.keys().cloned().collect();
        if let Some(place) = names.choose(&mut self.random)
            && let Some(client) = self.clients.get(place).cloned()
        {
            let patience = Duration::from_secs(2);
            let _ = self.session.move_to(place, client, patience).await;
        }
    }
}
