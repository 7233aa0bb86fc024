//! Replay, one caught-up, live: one order, nothing dropped, nothing repeated.
//!
//! A subscription is a position and nothing else: there is no switch from a replay queue to a live queue that could lose or repeat an
//! event. Each call looks for the next page after the position; when there is none, it waits for the head to move.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tidelog_model::{Position, StoredEvent, VectorTime, caps, limit, mutant};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::consumer::Claim;
use crate::errors::SubscribeError;
use crate::publish::{Phase, Snapshot};
use crate::reader::{IdPage, LogReader, PageQuery, ReadPage};
use crate::selection::Selection;

/// Where a subscription starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After this position.
    After(Position),
    /// At the first event that was stored at or after this time, microseconds since the Unix epoch.
    FromTime(i64),
    /// At the first event that this vector does not cover; covered ones are skipped from there on, too.
    FromVersion(VectorTime),
    /// After the head at the time of the call.
    Latest,
    /// After the stored position of this durable consumer, a new one at the first event.
    Consumer(String),
}

impl Default for Start {
    /// The first event.
    fn default() -> Self {
        Self::After(Position::default())
    }
}

/// What to follow.
#[derive(Debug, Clone, Default)]
pub struct SubscribeRequest {
    /// Where to start.
    pub start: Start,
    /// Which events.
    pub selection: Selection,
    /// Waited for before the first event.
    pub min_version: VectorTime,
    /// For `min_version`; `None` = the default of the log.
    pub deadline: Option<Duration>,
}

/// What a subscription says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionItem {
    /// At least one event, in log order.
    Events {
        /// The events.
        events: Vec<StoredEvent>,
        /// Everything up to here was delivered or did not match.
        position: Position,
    },
    /// Said once: everything up to the head at the time of the call was delivered or did not match.
    CaughtUp {
        /// Everything up to here was delivered or did not match.
        position: Position,
        /// The head now.
        head: u64,
    },
    /// Said when nothing else was for a while, also while a replay matches nothing.
    Heartbeat {
        /// Everything up to here was delivered or did not match.
        position: Position,
        /// The head now.
        head: u64,
    },
}

/// A running subscription. Holds no events.
#[derive(Debug)]
pub struct Subscription {
    reader: LogReader,
    state: watch::Receiver<Snapshot>,
    query: PageQuery,
    position: Position,
    /// The vector is still to be passed: identities are scanned instead of events.
    seeking: bool,
    /// The head at the time of the call, until it has been said that it was reached.
    replay_to: Option<u64>,
    claim: Option<Claim>,
    heartbeat_at: Instant,
}

/// Identities that are scanned at a time for the start of [`Start::FromVersion`].
const SEEK_IDS_MAX: usize = 4_096;

impl LogReader {
    /// Begins a subscription: waits for `min_version`, then fixes where it starts.
    pub async fn subscribe(
        &self,
        request: SubscribeRequest,
    ) -> Result<Subscription, SubscribeError> {
        request.selection.check()?;
        if !request.min_version.is_empty() {
            self.wait_for(&request.min_version, request.deadline)
                .await?;
        }
        let mut query = PageQuery {
            selection: request.selection,
            ..self.page_query()
        };
        let (mut seeking, mut claim) = (false, None);
        let (position, view) = match request.start {
            Start::After(position) => (position, self.check(position).await?),
            Start::Latest => {
                let view = self.check(Position::default()).await?;
                (Position::new(view.current().incarnation, view.head), view)
            }
            Start::FromTime(stored_at_micros) => self.position_before(stored_at_micros).await?,
            Start::FromVersion(version) => {
                limit::count("from_version", version.len(), caps::VECTOR_ENTRIES_MAX)?;
                seeking = !version.is_empty();
                query.uncovered_by = seeking.then(|| Arc::new(version));
                (Position::default(), self.check(Position::default()).await?)
            }
            Start::Consumer(name) => {
                let (claimed, position) = self.claim(&name).await?;
                claim = Some(claimed);
                (position, self.check(position).await?)
            }
        };
        Ok(Subscription {
            reader: self.clone(),
            state: self.state.clone(),
            query,
            position,
            seeking,
            replay_to: Some(view.head),
            claim,
            heartbeat_at: Instant::now() + self.options().heartbeat_every,
        })
    }
}

impl Subscription {
    /// Everything up to here was delivered or did not match: where to resume.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What comes next. Cancel safe: what a dropped call had found comes with the next one. After an error of the store the call may be
    /// repeated; every other error is final.
    pub async fn next(&mut self) -> Result<SubscriptionItem, SubscribeError> {
        loop {
            tokio::task::consume_budget().await;
            self.query.to = self.replay_to.unwrap_or(u64::MAX);
            let (page, seeking) = if self.seeking {
                self.seek().await?
            } else {
                (self.reader.page(self.position, &self.query).await?, false)
            };
            let head = page.view.head;
            if let Some(claim) = &self.claim
                && !mutant!("delivered-without-a-claim")
            {
                claim.deliver(page.position)?;
            }
            (self.position, self.seeking) = (page.position, seeking);
            let position = page.position;
            if !page.events.is_empty() {
                return Ok(self.say(SubscriptionItem::Events {
                    events: page.events,
                    position,
                }));
            }
            // A raise may have put the head below the one at the time of the call.
            if self.replay_to.is_some_and(|end| {
                position.sequence
                    >= if mutant!("caught-up-at-a-head-that-is-gone") {
                        end
                    } else {
                        end.min(head)
                    }
            }) {
                self.replay_to = None;
                if mutant!("hand-over-skips-to-the-head") {
                    self.position.sequence = head;
                }
                if mutant!("hand-over-repeats-an-event") {
                    self.position.sequence = position.sequence.saturating_sub(1);
                }
                return Ok(self.say(SubscriptionItem::CaughtUp { position, head }));
            }
            if Instant::now() >= self.heartbeat_at {
                return Ok(self.say(SubscriptionItem::Heartbeat { position, head }));
            }
            if position.sequence >= head {
                self.wait(page.epoch).await;
            }
        }
    }

    /// Moves over covered events by their identities alone, up to the first that is not covered. True while that was not found.
    async fn seek(&self) -> Result<(ReadPage, bool), SubscribeError> {
        let mut page = self.reader.ids(self.position, SEEK_IDS_MAX).await?;
        let covered = |id| {
            self.query
                .uncovered_by
                .as_ref()
                .is_some_and(|v| v.covers_id(id))
        };
        let first = page
            .rows
            .iter()
            .find(|row| !covered(&row.id))
            .map(|row| row.sequence);
        if let Some(first) = first {
            page.position.sequence = first - u64::from(!mutant!("seek-skips-the-first"));
        }
        let seeking = first.is_none() && page.position.sequence < page.view.head;
        let IdPage {
            position,
            view,
            epoch,
            ..
        } = page;
        Ok((
            ReadPage {
                events: Vec::new(),
                position,
                view,
                epoch,
            },
            seeking,
        ))
    }

    /// Returns when there may be something to say.
    async fn wait(&mut self, epoch: u64) {
        let sequence = self.position.sequence;
        let moved = self.state.wait_for(|now| match &now.phase {
            Phase::Open => {
                now.view.head > sequence || (now.epoch != epoch && !mutant!("raise-does-not-wake"))
            }
            Phase::Suspended => false,
            Phase::Closed(_) => true,
        });
        let taken = async {
            match &mut self.claim {
                Some(claim) => claim.taken().await,
                None => pending().await,
            }
        };
        tokio::select! {
            // An error means that the publisher is gone; the next page says so.
            _ = moved => {}
            () = taken => {}
            () = sleep_until(self.heartbeat_at) => {}
        }
    }

    fn say(&mut self, item: SubscriptionItem) -> SubscriptionItem {
        self.heartbeat_at = Instant::now() + self.reader.options().heartbeat_every;
        item
    }
}
