//! A writer: appends, insists, repeats, reads, travels, and looks whether what it was told is true.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use tidelog_harness::record::{Answer, Condition, Fact, Id};
use tidelog_proto::{ErrorReason, v1};
use tokio::time::{Instant, sleep};

use crate::calls::Calls;
use crate::request::{Memory, Prepared, Unless};
use crate::world::{World, dice, now_micros};

/// How long a writer insists before it turns to something else.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it insists when everything was mended: then whatever may be repeated has to be taken in the end.
const PATIENCE_IN_CALM: Duration = Duration::from_mins(1);

/// One writer, of a kind that the seed has drawn.
pub struct Writer {
    name: String,
    world: Arc<World>,
    places: Vec<Calls>,
    at: usize,
    dice: StdRng,
    memory: Memory,
    /// The last request that was taken, its key and its last event.
    last: Option<(Prepared, String, Id)>,
}

impl Writer {
    /// A writer, somewhere.
    pub fn new(number: usize, places: &[Calls], world: &Arc<World>) -> Self {
        let name = format!("w{number}");
        let mut dice = dice(world.seed, &name);
        Self {
            at: dice.random_range(0..places.len()),
            memory: Memory::new(&name, &mut dice),
            name,
            world: world.clone(),
            places: places.to_vec(),
            dice,
            last: None,
        }
    }

    /// Writes until the world is calm, and twice after it.
    pub async fn run(mut self) {
        let pace = self.dice.random_range(5..400);
        let mut last = 2;
        while last > 0 {
            let key = format!("k{}", self.dice.random_range(0..4));
            let calm = self.world.is_calm();
            let narrow = self.memory.is_narrow();
            match self.dice.random_range(0..14) {
                // The last word is a request that has to be taken.
                _ if calm => self.append(&key).await,
                0 | 1 => self.conditionally(&key).await,
                2 => self.race(&key).await,
                3 | 4 if narrow => self.travel().await,
                5 | 6 if narrow => drop(self.read(&key).await),
                7 | 8 => self.burst(&key).await,
                9 => self.twice(&key).await,
                10 => self.again().await,
                _ => self.append(&key).await,
            }
            let rest = self.dice.random_range(0..pace);
            sleep(Duration::from_millis(rest)).await;
            last -= usize::from(calm);
        }
    }

    fn here(&self) -> Calls {
        self.places[self.at].clone()
    }

    fn prepare(&mut self, key: &str, unless: Option<Unless>) -> Prepared {
        let stores: Vec<&str> = self.places.iter().map(|p| p.location.as_str()).collect();
        self.memory.prepare(key, &stores, unless, &mut self.dice)
    }

    async fn append(&mut self, key: &str) {
        let prepared = self.prepare(key, None);
        self.insist(&prepared, key).await;
    }

    /// Sends a request once, and writes down what became of it.
    async fn send(&mut self, prepared: &Prepared) -> Answer {
        let (calls, started_at) = (self.here(), now_micros());
        let answer = calls.append(prepared.request.clone()).await;
        let memory = &mut self.memory;
        memory.note(prepared, &calls.location, started_at, &answer, &self.world);
        memory.learn(prepared, &answer);
        answer
    }

    /// Repeats a request until its answer is definite, or for a while.
    async fn insist(&mut self, prepared: &Prepared, key: &str) {
        let calm = self.world.is_calm();
        let patience = if calm { PATIENCE_IN_CALM } else { PATIENCE };
        let deadline = Instant::now() + patience;
        loop {
            let answer = self.send(prepared).await;
            match &answer {
                Answer::Ok { ids, .. } => {
                    let last = ids.last().cloned();
                    self.last = last.map(|id| (prepared.clone(), key.to_owned(), id));
                    return;
                }
                Answer::Refused { reason, .. } if reason == "CONTEXT_AHEAD" => {
                    // What it has seen was lost with a database.
                    return self.memory.forget();
                }
                Answer::Refused { reason, .. } if !may_be_repeated(reason) => return,
                // Without an id nobody knows what a second try would be.
                Answer::Unknown { .. } if !self.memory.may_repeat() => return,
                _ => {}
            }
            if Instant::now() >= deadline {
                if calm {
                    let (who, what) = (&self.name, &prepared.name);
                    let text = format!(
                        "{who}: {what} was not taken within {patience:?} after everything was mended: {answer:?}"
                    );
                    self.world.breach(&text);
                }
                return;
            }
            sleep(Duration::from_millis(self.dice.random_range(20..300))).await;
        }
    }

    /// Several requests at once, over one connection, in one stream or in calls of their own.
    async fn burst(&mut self, key: &str) {
        let count = self.dice.random_range(2..12);
        let prepared: Vec<Prepared> = (0..count).map(|_| self.prepare(key, None)).collect();
        let streamed = self.dice.random_bool(0.5);
        self.together(&prepared, streamed).await;
    }

    /// Sends requests at once.
    async fn together(&mut self, prepared: &[Prepared], streamed: bool) -> Vec<Answer> {
        let (calls, started_at) = (self.here(), now_micros());
        let requests = prepared.iter().map(|prepared| prepared.request.clone());
        let answers = if streamed {
            calls.append_stream(requests.collect()).await
        } else {
            let asked = requests.map(|request| calls.append(request));
            futures_util::future::join_all(asked).await
        };
        for (prepared, answer) in prepared.iter().zip(&answers) {
            let memory = &mut self.memory;
            memory.note(prepared, &calls.location, started_at, answer, &self.world);
            memory.learn(prepared, answer);
        }
        answers
    }

    /// The same request twice at once: one of them repeats the other.
    async fn twice(&mut self, key: &str) {
        if !self.memory.may_repeat() {
            return;
        }
        let prepared = self.prepare(key, None);
        let answers = self
            .together(&[prepared.clone(), prepared.clone()], false)
            .await;
        if let [Answer::Ok { ids: one, .. }, Answer::Ok { ids: other, .. }] = &answers[..] {
            self.world.count("the same request twice");
            if one != other {
                let (who, what) = (&self.name, &prepared.name);
                let text = format!("{who}: {what} was taken as {one:?} and as {other:?}");
                self.world.breach(&text);
            }
        }
    }

    /// Asks again for what was taken: the answer is the first one. Then for something else under the same id, which is refused.
    async fn again(&mut self) {
        let Some((prepared, _, id)) = self.last.clone().filter(|_| self.memory.may_repeat()) else {
            return;
        };
        // Where a filter keeps a part of it away, the same request is another one.
        if self.world.filtered && self.here().location != id.location {
            return;
        }
        let answer = self.send(&prepared).await;
        if self.world.has_lost() {
            return;
        }
        if let Answer::Ok { ids, replayed, .. } = &answer {
            self.world.count("asked again");
            if !replayed || ids.last() != Some(&id) {
                let (who, what) = (&self.name, &prepared.name);
                let text = format!("{who}: {what} ended as {id}, and asked again: {answer:?}");
                self.world.breach(&text);
            }
        }
        let mut other = prepared.request.clone();
        for event in &mut other.events {
            event.delivery_id.push_str("-other");
        }
        let answer = self.here().append(other).await;
        if matches!(answer, Answer::Ok { .. }) && !self.world.has_lost() {
            let (who, what) = (&self.name, &prepared.name);
            let text = format!("{who}: other content under the id {what}: {answer:?}");
            self.world.breach(&text);
        }
    }

    /// Nobody may have been faster than the last event that it knows of the key.
    async fn unless(&mut self, key: &str) -> Option<Unless> {
        let (facts, position) = self.read(key).await?;
        let condition = Condition {
            keys: vec![key.to_owned()],
            types: Vec::new(),
            after: facts.last().map_or(0, |fact| fact.sequence),
        };
        let named = self.dice.random_bool(0.7);
        Some(Unless {
            condition,
            incarnation: if named { position.incarnation } else { 0 },
        })
    }

    /// Appends if nobody was faster.
    async fn conditionally(&mut self, key: &str) {
        if let Some(unless) = self.unless(key).await {
            // Somebody may be faster meanwhile, or the location lose what was read.
            let pause = [0, 0, 50, 2_000][self.dice.random_range(0..4)];
            sleep(Duration::from_millis(pause)).await;
            let prepared = self.prepare(key, Some(unless));
            self.insist(&prepared, key).await;
        }
    }

    /// Several requests at once of which only the first may be taken.
    async fn race(&mut self, key: &str) {
        if let Some(unless) = self.unless(key).await {
            let count = self.dice.random_range(2..5);
            let prepared: Vec<Prepared> = (0..count)
                .map(|_| self.prepare(key, Some(unless.clone())))
                .collect();
            let answers = self.together(&prepared, false).await;
            let taken = |answer: &&Answer| matches!(answer, Answer::Ok { .. });
            if answers.iter().filter(taken).count() == 1 {
                self.world.count("a race was won");
            }
        }
    }

    async fn read(&mut self, key: &str) -> Option<(Vec<Fact>, v1::Position)> {
        let (facts, position) = self.here().read(key).await.ok()?;
        self.world.count("read");
        self.memory.saw(&facts);
        Some((facts, position))
    }

    /// Goes on elsewhere, once that location covers what it has seen; stays when it does not hear of it in time.
    async fn travel(&mut self) {
        let place = self.dice.random_range(0..self.places.len());
        let token = self.memory.token();
        if self.places[place].await_token(token).await.is_err() {
            return;
        }
        self.world.count("travel");
        self.at = place;
        let Some((_, key, id)) = self.last.clone() else {
            return;
        };
        // What it was told to have taken, and is told to be covered here, is here.
        let known = self.world.keeps_everything();
        if let Some((facts, _)) = self.read(&key).await
            && known
            && self.world.keeps_everything()
            && !facts.iter().any(|fact| fact.id == id)
        {
            let place = &self.places[place].location;
            let text = format!("{}: {place} covers {id} and does not show it", self.name);
            self.world.breach(&text);
        }
        if self.dice.random_bool(0.5) {
            self.again().await;
        }
    }
}

/// Refusals after which the same request may succeed.
fn may_be_repeated(reason: &str) -> bool {
    ErrorReason::from_name(reason).is_some_and(ErrorReason::is_retryable)
}
