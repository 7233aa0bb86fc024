//! A request that can be repeated, and what a writer has seen: it decides what its next request has to come after.

use std::collections::BTreeSet;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tidelog_harness::record::{Answer, Attempt, Condition, Fact, Id, Seen, Vector};
use tidelog_harness::session::to_wire;
use tidelog_proto::v1;

use crate::world::{World, now_micros};

/// A condition, and the incarnation of the position that it names; 0 names none.
#[derive(Clone)]
pub struct Unless {
    /// For the record.
    pub condition: Condition,
    /// Of the position after which nobody may have been faster.
    pub incarnation: u32,
}

/// A request that can be repeated.
#[derive(Clone)]
pub struct Prepared {
    /// What is sent.
    pub request: v1::AppendRequest,
    /// Its name in the record; also sent, unless the writer gives no request ids.
    pub name: String,
    seen: Seen,
    condition: Option<Condition>,
}

/// What a writer remembers.
pub struct Memory {
    writer: String,
    counter: u64,
    with_request_ids: bool,
    /// What it saw since its own last event, and that event: all the rest is behind these.
    seen: BTreeSet<Id>,
    known: BTreeSet<Id>,
    /// The merge of the vector times of all it read and wrote; `None`: it gives no context.
    context: Option<Vector>,
}

impl Memory {
    /// A writer that has seen nothing, of a kind that is drawn.
    pub fn new(writer: &str, dice: &mut StdRng) -> Self {
        Self {
            writer: writer.to_owned(),
            counter: 0,
            with_request_ids: dice.random_bool(0.8),
            context: dice.random_bool(0.5).then(Vector::default),
            seen: BTreeSet::new(),
            known: BTreeSet::new(),
        }
    }

    /// Whether its requests may be repeated without knowing what became of them.
    pub fn may_repeat(&self) -> bool {
        self.with_request_ids
    }

    /// Whether it says what its events come after.
    pub fn is_narrow(&self) -> bool {
        self.context.is_some()
    }

    /// What it has seen, as a token.
    pub fn token(&self) -> v1::VectorTime {
        to_wire(self.context.as_ref().unwrap_or(&Vector::default()))
    }

    /// Makes a request of its own with some events of a key, each for one of the stores.
    pub fn prepare(
        &mut self,
        key: &str,
        stores: &[&str],
        unless: Option<Unless>,
        dice: &mut StdRng,
    ) -> Prepared {
        self.counter += 1;
        let name = format!("{}-{}", self.writer, self.counter);
        // An event without a request id does not tell which others it came with: the judge of contexts has to know them alone.
        let alone = self.is_narrow() && !self.with_request_ids;
        let count = [1, 1, 2, 7][dice.random_range(0..if alone { 2 } else { 4 })];
        let events = (0..count).map(|index| {
            let store = stores.choose(dice).copied().unwrap_or_default();
            let metadata = [("store".to_owned(), store.to_owned())];
            v1::NewEvent {
                r#type: "Noted".to_owned(),
                aggregate_id: key.to_owned(),
                metadata: metadata.into_iter().collect(),
                payload: vec![b'x'; dice.random_range(0..500)].into(),
                emitter_id: self.writer.clone(),
                delivery_id: format!("{name}-{index}"),
                ..v1::NewEvent::default()
            }
        });
        let request = v1::AppendRequest {
            events: events.collect(),
            context: self.context.as_ref().map(to_wire),
            condition: unless.as_ref().map(|unless| v1::Condition {
                keys: unless.condition.keys.clone(),
                types: unless.condition.types.clone(),
                after: Some(v1::Position {
                    incarnation: unless.incarnation,
                    sequence: unless.condition.after,
                }),
            }),
            request_id: if self.with_request_ids {
                name.clone()
            } else {
                String::new()
            },
            ..v1::AppendRequest::default()
        };
        Prepared {
            request,
            name,
            seen: match self.context {
                None => Seen::Everything,
                Some(_) => Seen::Only(self.seen.clone()),
            },
            condition: unless.map(|unless| unless.condition),
        }
    }

    /// Learns what became of a request.
    pub fn learn(&mut self, prepared: &Prepared, answer: &Answer) {
        let (Answer::Ok { ids, token, .. }, Some(context)) = (answer, &mut self.context) else {
            return;
        };
        context.merge(token);
        self.known.extend(ids.iter().cloned());
        // Its last event has seen all that was known when it was asked for; what was read meanwhile stays.
        if let Seen::Only(behind) = &prepared.seen {
            self.seen.retain(|id| !behind.contains(id));
        }
        self.seen.extend(ids.last().cloned());
    }

    /// Remembers events that it has read.
    pub fn saw(&mut self, facts: &[Fact]) {
        let Some(context) = &mut self.context else {
            return;
        };
        for fact in facts {
            if self.known.insert(fact.id.clone()) {
                self.seen.insert(fact.id.clone());
            }
            context.merge(&fact.vector_time());
        }
    }

    /// Forgets what it has seen: after a loss, tokens may name events that exist no more.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.known.clear();
        if let Some(context) = &mut self.context {
            *context = Vector::default();
        }
    }

    /// Writes down what became of a try.
    pub fn note(
        &self,
        prepared: &Prepared,
        location: &str,
        started_at: i64,
        answer: &Answer,
        world: &World,
    ) {
        let ended_at = now_micros();
        let (told, what) = match answer {
            Answer::Ok { ids, replayed, .. } => {
                let first = ids.first().map(ToString::to_string).unwrap_or_default();
                let what = if *replayed { "replayed" } else { "taken" };
                (format!("{what} {first} +{}", ids.len()), what.to_owned())
            }
            Answer::Refused { reason, message } => (format!("{reason}: {message}"), reason.clone()),
            Answer::Unknown { message } => (format!("unknown: {message}"), "unknown".to_owned()),
        };
        world.count(&format!("append: {what}"));
        let line = format!(
            "{} asked {location} since {started_at} for {}: {told}",
            self.writer, prepared.name
        );
        world.say(ended_at, &line);
        let events = prepared.request.events.iter();
        world.pages().attempts.push(Attempt {
            session: self.writer.clone(),
            location: location.to_owned(),
            request_id: prepared.name.clone(),
            tags: events.map(|event| event.delivery_id.clone()).collect(),
            seen: prepared.seen.clone(),
            condition: prepared.condition.clone(),
            started_at,
            ended_at,
            answer: answer.clone(),
        });
    }
}
