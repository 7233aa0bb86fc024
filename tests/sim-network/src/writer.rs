//! A writer: appends, insists, reads, travels; remembers what it has seen, and writes everything down.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tidelog_harness::record::{Answer, Attempt, Condition, Fact, Id, Seen, Vector};
use tidelog_harness::session::to_wire;
use tidelog_proto::{ErrorReason, v1};
use tokio::time::sleep;

use crate::calls::Calls;
use crate::world::{World, dice, now_micros};

/// Tries of one request before its writer turns to something else.
const TRIES_MAX: usize = 25;

/// One writer, of a kind that the seed has drawn.
pub struct Writer {
    name: String,
    world: Arc<World>,
    places: Vec<Calls>,
    at: usize,
    dice: StdRng,
    counter: u64,
    with_request_ids: bool,
    /// What it saw since its own last event, and that event: all the rest is behind these.
    seen: BTreeSet<Id>,
    known: BTreeSet<Id>,
    /// The merge of the vector times of all it read and wrote; `None`: it gives no context.
    context: Option<Vector>,
}

struct Prepared {
    request: v1::AppendRequest,
    request_id: String,
    seen: Seen,
    condition: Option<Condition>,
}

impl Writer {
    /// A writer, somewhere.
    pub fn new(number: usize, places: &[Calls], world: &Arc<World>) -> Self {
        let name = format!("w{number}");
        let mut dice = dice(world.seed, &name);
        Self {
            at: dice.random_range(0..places.len()),
            with_request_ids: dice.random_bool(0.8),
            context: dice.random_bool(0.5).then(Vector::default),
            name,
            world: world.clone(),
            places: places.to_vec(),
            dice,
            counter: 0,
            seen: BTreeSet::new(),
            known: BTreeSet::new(),
        }
    }

    /// Writes until the world is calm, and twice after it.
    pub async fn run(mut self) {
        let pace = self.dice.random_range(5..400);
        let mut last = 2;
        while last > 0 {
            let key = format!("k{}", self.dice.random_range(0..4));
            let narrow = self.context.is_some();
            match self.dice.random_range(0..10) {
                0 | 1 => self.conditionally(&key).await,
                2 if narrow => self.travel().await,
                3 | 4 if narrow => drop(self.read(&key).await),
                5 => self.burst(&key).await,
                _ => {
                    let prepared = self.prepare(&key, None);
                    self.insist(&prepared).await;
                }
            }
            let rest = self.dice.random_range(0..pace);
            sleep(Duration::from_millis(rest)).await;
            last -= usize::from(self.world.is_calm());
        }
    }

    fn here(&self) -> Calls {
        self.places[self.at].clone()
    }

    fn prepare(&mut self, key: &str, condition: Option<Condition>) -> Prepared {
        self.counter += 1;
        let request_id = format!("{}-{}", self.name, self.counter);
        // An event without a request id does not tell which others it came with: the judge of contexts has to know them alone.
        let alone = self.context.is_some() && !self.with_request_ids;
        let count = [1, 1, 2, 7][self.dice.random_range(0..if alone { 2 } else { 4 })];
        let stores: Vec<&str> = self.places.iter().map(|p| p.location.as_str()).collect();
        let events = (0..count).map(|index| {
            let store = stores.choose(&mut self.dice).copied().unwrap_or_default();
            let metadata = [("store".to_owned(), store.to_owned())];
            v1::NewEvent {
                r#type: "Noted".to_owned(),
                aggregate_id: key.to_owned(),
                metadata: metadata.into_iter().collect(),
                payload: vec![b'x'; self.dice.random_range(0..2_000)].into(),
                emitter_id: self.name.clone(),
                delivery_id: format!("{request_id}-{index}"),
                ..v1::NewEvent::default()
            }
        });
        let request = v1::AppendRequest {
            events: events.collect(),
            context: self.context.as_ref().map(to_wire),
            condition: condition.clone().map(|condition| v1::Condition {
                keys: condition.keys,
                types: condition.types,
                after: Some(v1::Position {
                    incarnation: 0,
                    sequence: condition.after,
                }),
            }),
            request_id: if self.with_request_ids {
                request_id.clone()
            } else {
                String::new()
            },
            ..v1::AppendRequest::default()
        };
        let seen = match self.context {
            None => Seen::Everything,
            Some(_) => Seen::Only(self.seen.clone()),
        };
        Prepared {
            request,
            request_id,
            seen,
            condition,
        }
    }

    /// Sends a request once, and writes down what became of it.
    async fn send(&mut self, prepared: &Prepared) -> Answer {
        let started_at = now_micros();
        let calls = self.here();
        let answer = calls.append(prepared.request.clone()).await;
        self.note(prepared, &calls.location, started_at, &answer);
        if let (Answer::Ok { ids, token, .. }, Some(context)) = (&answer, &mut self.context) {
            context.merge(token);
            self.known.extend(ids.iter().cloned());
            if let Seen::Only(behind) = &prepared.seen {
                self.seen.retain(|id| !behind.contains(id));
            }
            self.seen.extend(ids.last().cloned());
        }
        answer
    }

    fn note(&self, prepared: &Prepared, location: &str, started_at: i64, answer: &Answer) {
        let ended_at = now_micros();
        let told = match answer {
            Answer::Ok { ids, replayed, .. } => {
                let first = ids.first().map(ToString::to_string).unwrap_or_default();
                format!("{first} +{} replayed {replayed}", ids.len())
            }
            Answer::Refused { reason, message } => format!("{reason}: {message}"),
            Answer::Unknown { message } => format!("unknown: {message}"),
        };
        let what = match answer {
            Answer::Ok { replayed: true, .. } => "append: replayed",
            Answer::Ok { .. } => "append: taken",
            Answer::Refused { reason, .. } => &format!("append: {reason}"),
            Answer::Unknown { .. } => "append: unknown",
        };
        self.world.count(what);
        let line = format!(
            "{} asked {location} since {started_at} for {}: {told}",
            self.name, prepared.request_id
        );
        self.world.say(ended_at, &line);
        let events = prepared.request.events.iter();
        self.world.pages().attempts.push(Attempt {
            session: self.name.clone(),
            location: location.to_owned(),
            request_id: prepared.request_id.clone(),
            tags: events.map(|event| event.delivery_id.clone()).collect(),
            seen: prepared.seen.clone(),
            condition: prepared.condition.clone(),
            started_at,
            ended_at,
            answer: answer.clone(),
        });
    }

    /// Repeats a request until its answer is definite, or for a while.
    async fn insist(&mut self, prepared: &Prepared) {
        for _ in 0..TRIES_MAX {
            match self.send(prepared).await {
                Answer::Ok { .. } => return,
                Answer::Refused { reason, .. } if reason == "CONTEXT_AHEAD" => {
                    // What it has seen was lost with a database.
                    return self.forget();
                }
                Answer::Refused { reason, .. } if !may_be_repeated(&reason) => return,
                // Without an id nobody knows what a second try would be.
                Answer::Unknown { .. } if !self.with_request_ids => return,
                _ => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Several requests at once, over one connection.
    async fn burst(&mut self, key: &str) {
        let calls = self.here();
        let count = self.dice.random_range(2..12);
        let prepared: Vec<Prepared> = (0..count).map(|_| self.prepare(key, None)).collect();
        let started_at = now_micros();
        let asked = prepared.iter().map(|prepared| {
            let (calls, request) = (calls.clone(), prepared.request.clone());
            async move { calls.append(request).await }
        });
        let answers = futures_util::future::join_all(asked).await;
        for (prepared, answer) in prepared.iter().zip(&answers) {
            self.note(prepared, &calls.location, started_at, answer);
            if let (Answer::Ok { ids, token, .. }, Some(context)) = (answer, &mut self.context) {
                context.merge(token);
                self.known.extend(ids.iter().cloned());
                self.seen.extend(ids.last().cloned());
            }
        }
    }

    /// Appends if nobody was faster than the last event that it knows of the key.
    async fn conditionally(&mut self, key: &str) {
        let Some(facts) = self.read(key).await else {
            return;
        };
        let condition = Condition {
            keys: vec![key.to_owned()],
            types: Vec::new(),
            after: facts.last().map_or(0, |fact| fact.sequence),
        };
        let prepared = self.prepare(key, Some(condition));
        if let Answer::Refused { reason, .. } = self.send(&prepared).await
            && reason == "CONTEXT_AHEAD"
        {
            self.forget();
        }
    }

    async fn read(&mut self, key: &str) -> Option<Vec<Fact>> {
        let facts = self.here().read(key).await.ok()?;
        self.world.count("read");
        for fact in &facts {
            if let Some(context) = &mut self.context {
                if self.known.insert(fact.id.clone()) {
                    self.seen.insert(fact.id.clone());
                }
                context.merge(&fact.vector_time());
            }
        }
        Some(facts)
    }

    /// Goes on elsewhere, once that location covers what it has seen; stays when it does not hear of it in time.
    async fn travel(&mut self) {
        let place = self.dice.random_range(0..self.places.len());
        let token = to_wire(self.context.as_ref().unwrap_or(&Vector::default()));
        if self.places[place].clone().await_token(token).await.is_ok() {
            self.world.count("travel");
            self.at = place;
        }
    }

    fn forget(&mut self) {
        self.seen.clear();
        self.known.clear();
        if let Some(context) = &mut self.context {
            *context = Vector::default();
        }
    }
}

/// Refusals after which the same request may succeed.
fn may_be_repeated(reason: &str) -> bool {
    ErrorReason::from_name(reason).is_some_and(ErrorReason::is_retryable)
}
