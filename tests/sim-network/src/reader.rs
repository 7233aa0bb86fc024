//! A reader: follows one location over every interruption, and writes down what it got.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use tidelog_harness::record::{Delivered, Fact, Subscription};
use tidelog_proto::error::key;
use tidelog_proto::v1::subscribe_request::Start;
use tidelog_proto::v1::subscribe_response::Content;
use tidelog_proto::{ApiError, ErrorReason, v1};
use tokio::time::{sleep, timeout};
use tonic::Status;

use crate::calls::Calls;
use crate::world::{World, dice, lock, now_micros};

/// Silence after which a reader dials again; a subscription speaks every 5 s.
const SILENCE_MAX: Duration = Duration::from_secs(8);

/// A reader that keeps its position itself, or has the log keep it.
pub struct Reader {
    name: String,
    calls: Calls,
    world: Arc<World>,
    durable: bool,
    /// How long it thinks about a message at most, and how likely it dials anew after one, in percent.
    slow_millis: u64,
    restless: u32,
    dice: Mutex<StdRng>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    record: Subscription,
    position: Option<v1::Position>,
    /// The last acknowledgement that was answered, and the last position that was seen.
    acknowledged: u64,
    sent: u64,
}

impl Reader {
    /// Begins at the first event of a location.
    pub fn new(calls: &Calls, durable: bool, world: &Arc<World>) -> Arc<Self> {
        let kind = if durable { "consumer" } else { "reader" };
        let name = format!("{kind}-{}", calls.location);
        let record = Subscription {
            name: name.clone(),
            location: calls.location.clone(),
            ..Subscription::default()
        };
        let mut dice = dice(world.seed, &name);
        Arc::new(Self {
            calls: calls.clone(),
            world: world.clone(),
            durable,
            slow_millis: [0, 0, 30, 300][dice.random_range(0..4)],
            restless: [0, 2, 20][dice.random_range(0..3)],
            dice: Mutex::new(dice),
            name,
            state: Mutex::new(State {
                record,
                ..State::default()
            }),
        })
    }

    /// What it has got so far.
    pub fn record(&self) -> Subscription {
        lock(&self.state).record.clone()
    }

    /// The last sequence it got.
    pub fn head(&self) -> u64 {
        lock(&self.state).head()
    }

    /// Acknowledgements are cumulative: nobody sends one for each event.
    fn wants_to_acknowledge(&self) -> bool {
        lock(&self.dice).random_bool(0.1)
    }

    /// Thinks about a message, and whether it goes on on the same stream.
    async fn thinks(&self) -> bool {
        if self.world.is_calm() {
            return true;
        }
        let (pause, goes_on) = {
            let mut dice = lock(&self.dice);
            let pause = dice.random_range(0..=self.slow_millis);
            (pause, dice.random_range(0..100) >= self.restless)
        };
        if pause > 0 {
            sleep(Duration::from_millis(pause)).await;
        }
        goes_on
    }

    fn starts(&self, first: bool) -> First {
        if !first || !self.durable {
            First::No
        } else if self.world.has_lost() {
            // Where no event is missing in the copy, acknowledgements may be, and nobody notices.
            First::Forgotten
        } else {
            First::Remembered
        }
    }

    /// The location it follows.
    pub fn location(&self) -> &str {
        &self.calls.location
    }

    /// Follows for good.
    pub async fn run(self: Arc<Self>) {
        loop {
            if let Err(status) = self.stream().await {
                self.interrupted(&status);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stream(&self) -> Result<(), Status> {
        let start = if self.durable {
            Some(Start::Consumer(self.name.clone()))
        } else {
            lock(&self.state).position.map(Start::After)
        };
        let request = v1::SubscribeRequest {
            start,
            ..v1::SubscribeRequest::default()
        };
        let silent = |_| Status::deadline_exceeded("silence");
        let mut log = self.calls.log();
        let subscribing = log.subscribe(request);
        let response = timeout(SILENCE_MAX, subscribing).await.map_err(silent)??;
        let mut stream = response.into_inner();
        self.world.count("subscribe");
        let (mut first, mut caught_up) = (true, false);
        while let Some(message) = timeout(SILENCE_MAX, stream.message())
            .await
            .map_err(silent)??
        {
            let position = message.position.unwrap_or_default();
            let acknowledge = {
                let mut state = lock(&self.state);
                state.may_have_gone_back(&message, position, self.durable);
                match message.content {
                    Some(Content::Events(batch)) => {
                        for event in &batch.events {
                            let fact = Fact::from(event);
                            let line = format!("{} got {} {}", self.name, fact.sequence, fact.id);
                            self.world.say(now_micros(), &line);
                            state.deliver(fact, position.incarnation, self.starts(first));
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
                let stands = state.head();
                if position.sequence != stands {
                    let at = position.sequence;
                    state.complain(&format!("was told position {at} after event {stands}"));
                }
                state.position = Some(position);
                state.sent = state.sent.max(position.sequence);
                self.durable
                    && position.sequence > state.acknowledged
                    && self.wants_to_acknowledge()
            };
            if acknowledge {
                let request = v1::AckRequest {
                    consumer: self.name.clone(),
                    position: Some(position),
                    ..v1::AckRequest::default()
                };
                let asked = timeout(SILENCE_MAX, log.ack(request));
                if let Err(status) = asked.await.map_err(silent)? {
                    // What came over a stream that has ended meanwhile was not delivered on the one that counts.
                    self.world.count("ack: refused");
                    if !is_position_ahead(&status) {
                        return Err(status);
                    }
                    break;
                }
                self.world.count("ack");
                if self.wants_to_acknowledge() {
                    // One that comes late changes nothing.
                    let late = v1::AckRequest {
                        consumer: self.name.clone(),
                        position: Some(v1::Position {
                            sequence: position.sequence / 2,
                            ..position
                        }),
                        ..v1::AckRequest::default()
                    };
                    let asked = timeout(SILENCE_MAX, log.ack(late));
                    asked.await.map_err(silent)??;
                }
                let mut state = lock(&self.state);
                state.acknowledged = state.acknowledged.max(position.sequence);
            }
            if !self.thinks().await {
                break;
            }
        }
        Ok(())
    }

    fn interrupted(&self, status: &Status) {
        let Some(error) = ApiError::from_status(status) else {
            return;
        };
        let mut state = lock(&self.state);
        match error.reason {
            ErrorReason::IncarnationChanged => {
                let safe = error
                    .metadata
                    .get(key::LAST_SAFE_POSITION)
                    .and_then(|text| {
                        let (incarnation, sequence) = text.split_once('/')?;
                        Some((incarnation.parse().ok()?, sequence.parse().ok()?))
                    });
                match safe {
                    Some((incarnation, sequence)) => {
                        self.world.count("reader goes back");
                        state.go_back(v1::Position {
                            incarnation,
                            sequence,
                        });
                    }
                    None => {
                        state.complain(&format!("was not told the last safe position: {status:?}"));
                    }
                }
            }
            ErrorReason::PositionAhead => {
                let text = format!("was told that its position is ahead: {}", status.message());
                state.complain(&text);
            }
            _ => {}
        }
    }
}

/// Whether an event is the first one of a stream whose beginning the log remembers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    No,
    /// An older copy may have been put in the place of what was remembered.
    Forgotten,
    Remembered,
}

fn is_position_ahead(status: &Status) -> bool {
    ApiError::from_status(status).is_some_and(|error| error.reason == ErrorReason::PositionAhead)
}

impl State {
    fn head(&self) -> u64 {
        let last = self.record.events.last();
        last.map_or(self.record.start, |delivered| delivered.fact.sequence)
    }

    fn complain(&mut self, text: &str) {
        if !self.record.complaints.iter().any(|known| known == text) {
            self.record.complaints.push(text.to_owned());
        }
    }

    /// The log went back, and its memory of a consumer with it.
    fn may_have_gone_back(
        &mut self,
        message: &v1::SubscribeResponse,
        position: v1::Position,
        durable: bool,
    ) {
        let known = self.position.map_or(0, |position| position.incarnation);
        if !durable || known == 0 || known >= position.incarnation {
            return;
        }
        let safe = match &message.content {
            Some(Content::Events(batch)) => {
                let first = batch.events.first();
                first.map_or(0, |event| event.sequence.saturating_sub(1))
            }
            _ => position.sequence,
        };
        self.go_back(v1::Position {
            incarnation: position.incarnation,
            sequence: safe,
        });
    }

    fn deliver(&mut self, fact: Fact, incarnation: u32, first: First) {
        if first != First::No {
            // At least once: what was not acknowledged comes again, and nothing that was.
            let again = fact.sequence <= self.acknowledged && first == First::Remembered;
            if again || fact.sequence > self.sent + 1 {
                let (acknowledged, sent) = (self.acknowledged, self.sent);
                let at = fact.sequence;
                self.complain(&format!(
                    "goes on at {at} after it acknowledged {acknowledged} (sent {sent})"
                ));
            }
            self.record
                .events
                .retain(|delivered| delivered.fact.sequence < fact.sequence);
        }
        self.record.events.push(Delivered { incarnation, fact });
    }

    /// A loss has taken back what lies above a position.
    fn go_back(&mut self, safe: v1::Position) {
        let standing = self.record.events.iter();
        let kept = standing
            .take_while(|delivered| delivered.fact.sequence <= safe.sequence)
            .count();
        let voided = self.record.events.split_off(kept);
        self.record.voided.push(voided);
        self.record.told.push(safe.sequence);
        self.position = Some(safe);
        self.acknowledged = self.acknowledged.min(safe.sequence);
        self.sent = self.sent.min(safe.sequence);
    }
}
