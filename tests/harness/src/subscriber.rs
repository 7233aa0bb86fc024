//! A reader that follows one location over every interruption, and writes down what it got.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tidelog_proto::error::key;
use tidelog_proto::v1::subscribe_request::Start;
use tidelog_proto::v1::subscribe_response::Content;
use tidelog_proto::{ApiError, ErrorReason, v1};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::journal::Journal;
use crate::record::{Delivered, Fact, Subscription};

/// A log whose database was put back under it finds out, and says so, within this time on the slowest machine.
const SOON: Duration = Duration::from_mins(1);

/// A running subscriber. It ends when it is stopped or dropped.
pub struct Subscriber {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
    journal: Journal,
}

#[derive(Default)]
struct State {
    record: Subscription,
    /// Where to go on: incarnation and sequence.
    position: Option<v1::Position>,
    /// The last acknowledgement that was answered, and the last one that was sent.
    acknowledged: u64,
    sent: u64,
    streams: u64,
    /// Events that came again although they had been acknowledged: a breach, unless the log had lost that acknowledgement and says so
    /// soon. When that was, and what to say.
    doubts: Vec<(Instant, String)>,
}

/// How it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It keeps its position itself.
    OwnPosition,
    /// The log keeps its position, under its name.
    Consumer,
}

impl Subscriber {
    /// Follows a location from its first event.
    pub fn start(
        name: &str,
        location: &str,
        mode: Mode,
        client: Client,
        journal: &Journal,
    ) -> Self {
        let record = Subscription {
            name: name.to_owned(),
            location: location.to_owned(),
            ..Subscription::default()
        };
        let state = Arc::new(Mutex::new(State {
            record,
            ..State::default()
        }));
        let follower = Follower {
            name: name.to_owned(),
            mode,
            client,
            state: Arc::clone(&state),
        };
        Self {
            state,
            task: tokio::spawn(follower.run()),
            journal: journal.clone(),
        }
    }

    /// What it has got so far.
    pub fn record(&self) -> Subscription {
        lock(&self.state).record.clone()
    }

    /// The last sequence it got.
    pub fn head(&self) -> u64 {
        let state = lock(&self.state);
        state
            .record
            .events
            .last()
            .map_or(state.record.start, |delivered| delivered.fact.sequence)
    }

    /// How many streams it has had.
    pub fn streams(&self) -> u64 {
        lock(&self.state).streams
    }

    /// Waits until it got everything up to a sequence.
    pub async fn reached(&self, sequence: u64, patience: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + patience;
        while self.head() < sequence {
            if tokio::time::Instant::now() >= deadline {
                let record = self.record();
                anyhow::bail!(
                    "subscriber {} stands at {}, not at {sequence}, after {patience:?}",
                    record.name,
                    self.head()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends it and hands its record to the journal.
    pub fn stop(self) -> Subscription {
        self.task.abort();
        let doubts = std::mem::take(&mut lock(&self.state).doubts);
        for (_, text) in doubts {
            lock(&self.state).complain(&text);
        }
        let record = self.record();
        self.journal.pages().subscriptions.push(record.clone());
        record
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Follower {
    name: String,
    mode: Mode,
    client: Client,
    state: Arc<Mutex<State>>,
}

impl Follower {
    async fn run(self) {
        loop {
            if let Err(status) = self.stream().await {
                let safe = lock(&self.state).interrupted(&status);
                if let Some(safe) = safe.filter(|_| self.mode == Mode::Consumer) {
                    self.reset(safe).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its stored position lies in what was lost: only its owner may say where it goes on. When this fails, or the log went back once more
    /// meanwhile, it is told again.
    async fn reset(&self, safe: v1::Position) {
        let request = v1::AckRequest {
            consumer: self.name.clone(),
            position: Some(safe),
            reset: true,
            ..v1::AckRequest::default()
        };
        if let Err(status) = self.client.log().ack(request).await
            && let Some(error) = ApiError::from_status(&status)
            && !error.reason.is_retryable()
            && error.reason != ErrorReason::IncarnationChanged
        {
            let text = format!("cannot go on at {}: {status:?}", safe.sequence);
            lock(&self.state).complain(&text);
        }
    }

    async fn stream(&self) -> Result<(), tonic::Status> {
        let start = match self.mode {
            Mode::Consumer => Some(Start::Consumer(self.name.clone())),
            Mode::OwnPosition => lock(&self.state).position.map(Start::After),
        };
        let request = v1::SubscribeRequest {
            start,
            ..v1::SubscribeRequest::default()
        };
        let mut stream = self.client.log().subscribe(request).await?.into_inner();
        lock(&self.state).streams += 1;
        let mut first = true;
        let mut caught_up = false;
        while let Some(message) = stream.message().await? {
            let position = message.position.unwrap_or_default();
            let acknowledge = {
                let mut state = lock(&self.state);
                let known = state.position.map_or(0, |position| position.incarnation);
                if known != 0 && known < position.incarnation && self.mode == Mode::Consumer {
                    // The log went back, and its memory of this consumer with it.
                    let safe = match &message.content {
                        Some(Content::Events(batch)) => batch
                            .events
                            .first()
                            .map_or(0, |e| e.sequence.saturating_sub(1)),
                        _ => position.sequence,
                    };
                    state.go_back(v1::Position {
                        incarnation: position.incarnation,
                        sequence: safe,
                    });
                }
                match message.content {
                    Some(Content::Events(batch)) => {
                        for event in &batch.events {
                            state.deliver(
                                Fact::from(event),
                                position.incarnation,
                                self.mode,
                                first,
                            );
                            first = false;
                        }
                    }
                    Some(Content::CaughtUp(_)) if caught_up => {
                        state.complain("was told twice on one stream that it has caught up");
                    }
                    Some(Content::CaughtUp(_)) => caught_up = true,
                    Some(Content::Heartbeat(_)) => {}
                    None => state.complain("got a message without content"),
                }
                let stands = state
                    .record
                    .events
                    .last()
                    .map_or(state.record.start, |d| d.fact.sequence);
                if position.sequence != stands {
                    state.complain(&format!(
                        "was told position {} after event {stands}",
                        position.sequence
                    ));
                }
                state.position = Some(position);
                state.sent = state.sent.max(position.sequence);
                self.mode == Mode::Consumer && position.sequence > state.acknowledged
            };
            if acknowledge {
                let request = v1::AckRequest {
                    consumer: self.name.clone(),
                    position: Some(position),
                    ..v1::AckRequest::default()
                };
                self.client.log().ack(request).await?;
                lock(&self.state).acknowledged = position.sequence;
            }
        }
        Ok(())
    }
}

impl State {
    fn complain(&mut self, text: &str) {
        // It tries again and again; once is enough.
        if !self.record.complaints.iter().any(|known| known == text) {
            self.record.complaints.push(text.to_owned());
        }
    }

    /// Writes down what an error says; the last safe position when it is that a loss took this one back.
    fn interrupted(&mut self, status: &tonic::Status) -> Option<v1::Position> {
        let error = ApiError::from_status(status)?;
        match error.reason {
            ErrorReason::IncarnationChanged => {
                let told = error.metadata.get(key::LAST_SAFE_POSITION);
                let Some((incarnation, sequence)) = told.and_then(|text| {
                    let (incarnation, sequence) = text.split_once('/')?;
                    Some((incarnation.parse().ok()?, sequence.parse().ok()?))
                }) else {
                    self.complain(&format!("was not told the last safe position: {status:?}"));
                    return None;
                };
                let safe = v1::Position {
                    incarnation,
                    sequence,
                };
                self.go_back(safe);
                // What the log knew of this consumer may have gone back further than its events.
                self.acknowledged = 0;
                Some(safe)
            }
            ErrorReason::PositionAhead => {
                let text = format!("was told that its position is ahead: {}", status.message());
                self.complain(&text);
                None
            }
            _ => None,
        }
    }

    fn deliver(&mut self, fact: Fact, incarnation: u32, mode: Mode, first: bool) {
        if first && mode == Mode::Consumer {
            // At least once: what was not acknowledged comes again, and nothing that was.
            if fact.sequence <= self.acknowledged || fact.sequence > self.sent + 1 {
                let (acknowledged, sent) = (self.acknowledged, self.sent);
                let text = format!(
                    "goes on at {} after it acknowledged {acknowledged} (sent {sent})",
                    fact.sequence
                );
                self.doubts.push((Instant::now(), text));
            }
            self.record
                .events
                .retain(|delivered| delivered.fact.sequence < fact.sequence);
        }
        self.record.events.push(Delivered { incarnation, fact });
    }

    /// A loss has taken back what lies above a position.
    fn go_back(&mut self, safe: v1::Position) {
        let kept = self
            .record
            .events
            .iter()
            .take_while(|d| d.fact.sequence <= safe.sequence)
            .count();
        let voided = self.record.events.split_off(kept);
        self.record.voided.push(voided);
        self.record.told.push(safe.sequence);
        // A copy knows older acknowledgements, also of events that it holds.
        self.doubts.retain(|(at, _)| at.elapsed() > SOON);
        self.position = Some(safe);
        self.acknowledged = self.acknowledged.min(safe.sequence);
        self.sent = self.sent.min(safe.sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_that_its_position_was_lost_learns_where_to_go_on() {
        let mut state = State::default();
        let lost = ApiError::new(ErrorReason::IncarnationChanged, "gone")
            .with(key::LAST_SAFE_POSITION, "7/50");
        let safe = state.interrupted(&lost.into());
        assert_eq!(
            safe,
            Some(v1::Position {
                incarnation: 7,
                sequence: 50
            })
        );
        assert_eq!(state.position, safe);
        assert_eq!(state.record.told, [50]);
        let dull = ApiError::new(ErrorReason::StorageUnavailable, "later");
        assert_eq!(state.interrupted(&dull.into()), None);
        let mute = ApiError::new(ErrorReason::IncarnationChanged, "gone");
        assert_eq!(state.interrupted(&mute.into()), None);
        assert_eq!(state.record.complaints.len(), 1);
    }

    #[test]
    fn what_was_acknowledged_comes_again_only_when_the_log_says_soon_that_it_went_back() {
        let again = |state: &mut State| {
            state.acknowledged = 12;
            state.sent = 12;
            state.deliver(fact(9), 1, Mode::Consumer, true);
        };
        let mut state = State::default();
        again(&mut state);
        assert_eq!(state.doubts.len(), 1);
        // It holds the events that were acknowledged, and not the acknowledgement.
        state.go_back(v1::Position {
            incarnation: 7,
            sequence: 40,
        });
        assert!(state.doubts.is_empty());
        again(&mut state);
        assert_eq!(state.doubts.len(), 1);
    }

    fn fact(sequence: u64) -> Fact {
        Fact::from(&v1::Event {
            sequence,
            ..v1::Event::default()
        })
    }
}
