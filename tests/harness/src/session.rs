//! Writers who remember what they have seen, and write it down before they ask.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use tidelog_proto::v1;

use crate::client::Client;
use crate::journal::Journal;
use crate::record::{Answer, Attempt, Condition, Fact, Id, Seen, Vector};

/// An event that a session is about to append.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Its type; `Noted` when empty.
    pub kind: String,
    /// Its aggregate.
    pub aggregate: String,
    /// Further keys.
    pub destinations: Vec<String>,
    /// Metadata.
    pub metadata: Vec<(String, String)>,
    /// Bytes of payload.
    pub payload: Vec<u8>,
}

impl Draft {
    /// An event of an aggregate.
    pub fn of(aggregate: &str) -> Self {
        Self {
            aggregate: aggregate.to_owned(),
            ..Self::default()
        }
    }

    /// With an entry of metadata.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.metadata.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// One writer. It talks to one location at a time and may move.
#[derive(Debug, Clone)]
pub struct Session {
    name: String,
    location: String,
    client: Client,
    journal: Journal,
    counter: u64,
    with_request_ids: bool,
    /// What it saw since its own last event, and that event: all the rest is behind these.
    seen: BTreeSet<Id>,
    /// Everything it ever saw.
    known: BTreeSet<Id>,
    /// The merge of the vector times of all it read and wrote; `None` for a session that gives no context.
    context: Option<Vector>,
}

/// A request that can be repeated.
#[derive(Debug, Clone)]
pub struct Prepared {
    request: v1::AppendRequest,
    request_id: String,
    seen: Seen,
}

impl Prepared {
    /// The request id.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// What its events are called.
    pub fn tags(&self) -> Vec<String> {
        self.request
            .events
            .iter()
            .map(|event| event.delivery_id.clone())
            .collect()
    }
}

impl Session {
    /// A writer whose events happen after everything in the log.
    pub fn new(name: &str, location: &str, client: Client, journal: Journal) -> Self {
        Self {
            name: name.to_owned(),
            location: location.to_owned(),
            client,
            journal,
            counter: 0,
            with_request_ids: true,
            seen: BTreeSet::new(),
            known: BTreeSet::new(),
            context: None,
        }
    }

    /// The same writer, whose events happen only after what it has read and written itself.
    pub fn narrow(mut self) -> Self {
        self.context = Some(Vector::default());
        self
    }

    /// The same writer, which gives no request ids: nothing that needs the table of them may refuse it.
    pub fn without_request_ids(mut self) -> Self {
        self.with_request_ids = false;
        self
    }

    /// Where it is.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// What it talks to.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What it has seen, as a token.
    pub fn token(&self) -> v1::VectorTime {
        to_wire(self.context.as_ref().unwrap_or(&Vector::default()))
    }

    /// Appends once, without trying again.
    pub async fn append(&mut self, drafts: Vec<Draft>) -> Answer {
        let prepared = self.prepare(drafts, None);
        self.send(&prepared).await
    }

    /// Appends under a condition, once.
    pub async fn append_if(&mut self, drafts: Vec<Draft>, condition: Condition) -> Answer {
        let prepared = self.prepare(drafts, Some(condition));
        self.send(&prepared).await
    }

    /// Appends and insists: repeats with the same request id until the answer is definite or patience is over.
    pub async fn append_surely(
        &mut self,
        drafts: Vec<Draft>,
        patience: Duration,
    ) -> Result<Vec<Id>> {
        let prepared = self.prepare(drafts, None);
        self.insist(&prepared, patience).await
    }

    /// Makes a request with a request id and tags of its own.
    pub fn prepare(&mut self, drafts: Vec<Draft>, condition: Option<Condition>) -> Prepared {
        self.counter += 1;
        let request_id = format!("{}-{}", self.name, self.counter);
        let events = drafts
            .into_iter()
            .enumerate()
            .map(|(index, draft)| v1::NewEvent {
                r#type: if draft.kind.is_empty() {
                    "Noted".to_owned()
                } else {
                    draft.kind
                },
                aggregate_id: draft.aggregate,
                destinations: draft.destinations,
                metadata: draft.metadata.into_iter().collect(),
                payload: draft.payload.into(),
                emitter_id: self.name.clone(),
                delivery_id: format!("{request_id}-{index}"),
                ..v1::NewEvent::default()
            });
        let request = v1::AppendRequest {
            events: events.collect(),
            context: self.context.as_ref().map(to_wire),
            condition: condition.map(|condition| v1::Condition {
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
        }
    }

    /// Sends a request once, and writes down what became of it.
    pub async fn send(&mut self, prepared: &Prepared) -> Answer {
        let started_at = self.journal.now();
        let answer = self.client.append(prepared.request.clone()).await;
        let attempt = Attempt {
            session: self.name.clone(),
            location: self.location.clone(),
            request_id: prepared.request_id.clone(),
            tags: prepared.tags(),
            seen: prepared.seen.clone(),
            condition: prepared
                .request
                .condition
                .clone()
                .map(|condition| Condition {
                    after: condition.after.map_or(0, |position| position.sequence),
                    keys: condition.keys,
                    types: condition.types,
                }),
            started_at,
            ended_at: self.journal.now(),
            answer: answer.clone(),
        };
        self.journal.pages().attempts.push(attempt);
        if let (Answer::Ok { ids, token, .. }, Some(context)) = (&answer, &mut self.context) {
            context.merge(token);
            self.known.extend(ids.iter().cloned());
            // Its last event has seen all that was known when it was asked for; what was read meanwhile stays.
            if let Seen::Only(behind) = &prepared.seen {
                self.seen.retain(|id| !behind.contains(id));
            }
            self.seen.extend(ids.last().cloned());
        }
        answer
    }

    /// Repeats a request until the answer is definite or patience is over.
    pub async fn insist(&mut self, prepared: &Prepared, patience: Duration) -> Result<Vec<Id>> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let answer = self.send(prepared).await;
            match &answer {
                Answer::Ok { ids, .. } => return Ok(ids.clone()),
                Answer::Refused { reason, .. } if !may_be_repeated(reason) => {
                    bail!("{} at {}: {answer:?}", prepared.request_id(), self.location)
                }
                _ if tokio::time::Instant::now() >= deadline => {
                    bail!(
                        "{} at {} was not taken within {patience:?}: {answer:?}",
                        prepared.request_id(),
                        self.location
                    )
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Reads the events of a key (all when empty) from where it is; it has seen them then.
    pub async fn read(&mut self, key: &str) -> Result<Vec<Fact>, tonic::Status> {
        let select = (!key.is_empty()).then(|| v1::Selector {
            keys: vec![key.to_owned()],
            ..v1::Selector::default()
        });
        let request = v1::ReadRequest {
            select,
            ..v1::ReadRequest::default()
        };
        let facts: Vec<Fact> = self
            .client
            .read(request)
            .await?
            .iter()
            .map(Fact::from)
            .collect();
        for fact in &facts {
            self.saw(fact);
        }
        Ok(facts)
    }

    /// Remembers an event that it came to know.
    pub fn saw(&mut self, fact: &Fact) {
        if let Some(context) = &mut self.context {
            if self.known.insert(fact.id.clone()) {
                self.seen.insert(fact.id.clone());
            }
            context.merge(&fact.vector_time());
        }
    }

    /// Goes on at another location, once that location covers what it has seen.
    pub async fn move_to(
        &mut self,
        location: &str,
        client: Client,
        patience: Duration,
    ) -> Result<(), tonic::Status> {
        client.await_token(self.token(), patience).await?;
        location.clone_into(&mut self.location);
        self.client = client;
        Ok(())
    }

    /// Forgets what it has seen: after a loss, tokens may name events that exist no more.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.known.clear();
        if let Some(context) = &mut self.context {
            *context = Vector::default();
        }
    }
}

/// Refusals after which the same request may succeed.
fn may_be_repeated(reason: &str) -> bool {
    tidelog_proto::ErrorReason::from_name(reason)
        .is_some_and(tidelog_proto::ErrorReason::is_retryable)
}

/// A vector on the wire.
pub fn to_wire(vector: &Vector) -> v1::VectorTime {
    let entries = vector.0.iter().filter_map(|(origin, sequence)| {
        let (location, incarnation) = origin.split_once('#')?;
        Some(v1::vector_time::Entry {
            location: location.to_owned(),
            incarnation: incarnation.parse().ok()?,
            sequence: *sequence,
        })
    });
    v1::VectorTime {
        entries: entries.collect(),
    }
}
