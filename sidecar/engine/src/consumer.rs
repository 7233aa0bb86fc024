//! Durable named consumers.
//!
//! The position of a consumer is a row in the log's database. What is kept in memory beside it, per name: which stream is the current
//! one, and how far that one was given. A consumer acknowledges up to there and no further; only forward, unless it says `reset`.
//!
//! ```text
//!   stored (acknowledged)          given to the current stream                 head
//!   ────────────┼──────────────────────────┼─────────────────────────────────────┤
//!   ignored ────┤├──── may be acknowledged ─┤├──── refused (BeyondDelivered) ─────┤
//! ```
//!
//! Positions carry their incarnation. One that a raise has invalidated is answered `INCARNATION_CHANGED` on every use until a reset.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidelog_core::LogView;
use tidelog_model::{LimitError, Lineage, Position, caps, limit, mutant};
use tidelog_store::Consumer;
use tokio::sync::watch;

use crate::errors::{Closed, ConsumerError, SubscribeError};
use crate::reader::LogReader;

/// A consumer as stored, and whether a subscription runs under its name here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// As stored.
    pub consumer: Consumer,
    /// True while a subscription runs under this name.
    pub connected: bool,
}

/// Streams by name. A name stays while a stream runs or ran under it, so that what was given to it can still be acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    /// Held while the stored position is judged and changed.
    gate: tokio::sync::Mutex<()>,
    stream: watch::Sender<Stream>,
}

/// The current stream of a name.
#[derive(Debug, Clone, Copy, Default)]
struct Stream {
    /// Rises with each stream, reset and deletion: a stream that finds another number here has ended.
    generation: u64,
    connected: bool,
    /// Everything up to here was given to the current (or last) stream.
    delivered: Option<Position>,
    /// The last change of generation was a deletion.
    deleted: bool,
}

/// A borrowed slot, which is dropped when it has nothing to remember.
struct Held<'a> {
    consumers: &'a Consumers,
    name: &'a str,
    slot: Arc<Slot>,
}

/// The claim of one subscription to a name.
#[derive(Debug)]
pub(crate) struct Claim {
    name: String,
    slot: Arc<Slot>,
    seen: watch::Receiver<Stream>,
    generation: u64,
}

impl Consumers {
    fn hold<'a>(&'a self, name: &'a str) -> Held<'a> {
        let mut slots = self.lock();
        let slot = slots.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Slot {
                gate: tokio::sync::Mutex::default(),
                stream: watch::Sender::default(),
            })
        });
        Held {
            consumers: self,
            name,
            slot: Arc::clone(slot),
        }
    }

    fn connected(&self, name: &str) -> bool {
        self.lock()
            .get(name)
            .is_some_and(|slot| slot.stream.borrow().connected)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut slots = self.consumers.lock();
        // Two: the table and this one. Slots are handed out under the lock only, so nobody can come by one meanwhile.
        let unused = Arc::strong_count(&self.slot) == 2;
        if unused && self.slot.stream.borrow().delivered.is_none() {
            slots.remove(self.name);
        }
    }
}

impl Slot {
    /// Ends the current stream; returns the generation of whatever comes next.
    fn replace(&self, next: Stream) -> u64 {
        let mut generation = 0;
        self.stream.send_modify(|stream| {
            generation = stream.generation + 1;
            *stream = Stream { generation, ..next };
        });
        generation
    }

    /// The last sequence that was given out and is still part of the history.
    fn delivered(&self, lineage: &Lineage) -> u64 {
        let delivered = self.stream.borrow().delivered;
        delivered.map_or(0, |p| {
            if mutant!("delivered-of-a-lost-history") {
                p.sequence
            } else {
                p.sequence.min(lineage.safe_until(p.incarnation))
            }
        })
    }
}

impl Claim {
    /// Notes that everything up to `position` is given out now. Fails when the name was taken over: then nothing may be given out.
    pub(crate) fn deliver(&self, position: Position) -> Result<(), SubscribeError> {
        let mut result = Ok(());
        self.slot.stream.send_if_modified(|stream| {
            if stream.generation == self.generation || mutant!("taken-over-stream-goes-on") {
                stream.delivered = Some(position);
            } else {
                result = Err(self.ended(stream));
            }
            false
        });
        result
    }

    /// Returns when the name was taken over. Cancel safe.
    pub(crate) async fn taken(&mut self) {
        let mine = self.generation;
        // The slot owns the sender and this claim the slot: it cannot end.
        let _ = self.seen.wait_for(|stream| stream.generation != mine).await;
    }

    fn ended(&self, stream: &Stream) -> SubscribeError {
        let name = self.name.clone();
        if stream.deleted {
            SubscribeError::ConsumerDeleted { name }
        } else {
            SubscribeError::ConsumerTaken { name }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.slot.stream.send_if_modified(|stream| {
            if stream.generation == self.generation {
                stream.connected = false;
            }
            false
        });
    }
}

impl LogReader {
    /// Makes the caller the stream of a consumer, creating it at the start of the log when it is new. The stream before it ends. Returns
    /// the stored position, which the caller still has to judge.
    pub(crate) async fn claim(&self, name: &str) -> Result<(Claim, Position), SubscribeError> {
        check_name(name)?;
        let held = self.shared.consumers.hold(name);
        let _gate = held.slot.gate.lock().await;
        let view = self.check(Position::default()).await?;
        let position = if let Some(stored) = self.shared.store.consumer(name).await? {
            stored.position
        } else {
            let new = self.consumer_at(name, &view, 0);
            if !self.shared.store.put_consumer(&view.fence(), &new).await? {
                return Err(Closed::Fenced.into());
            }
            new.position
        };
        let delivered = Some(position);
        let stream = Stream {
            connected: true,
            delivered,
            ..Stream::default()
        };
        let generation = held.slot.replace(stream);
        let claim = Claim {
            name: name.to_owned(),
            slot: Arc::clone(&held.slot),
            seen: held.slot.stream.subscribe(),
            generation,
        };
        Ok((claim, position))
    }

    /// Stores how far a consumer has come; durable when it returns. Below the stored position it changes nothing. With `reset` any position of
    /// the log is taken, and a running stream of that name ends. The first acknowledgement creates the consumer.
    pub async fn ack(
        &self,
        name: &str,
        position: Position,
        reset: bool,
    ) -> Result<ConsumerStatus, ConsumerError> {
        check_name(name)?;
        let held = self.shared.consumers.hold(name);
        let _gate = held.slot.gate.lock().await;
        let view = self.check(position).await?;
        if !reset {
            let stored = self.shared.store.consumer(name).await?;
            if let Some(consumer) = &stored
                && !mutant!("consumer-crosses-a-base")
            {
                view.lineage.check(consumer.position, view.head)?;
            }
            let floor = stored.as_ref().map_or(0, |c| c.position.sequence);
            let delivered = held.slot.delivered(&view.lineage).max(floor);
            if position.sequence > delivered && !mutant!("acknowledged-beyond-delivered") {
                return Err(ConsumerError::BeyondDelivered {
                    name: name.to_owned(),
                    position,
                    delivered: Position::new(view.current().incarnation, delivered),
                });
            }
            if let Some(consumer) = stored
                .filter(|_| position.sequence <= floor && !mutant!("acknowledgement-goes-back"))
            {
                return Ok(self.status(consumer));
            }
        }
        let consumer = self.consumer_at(name, &view, position.sequence);
        if !self
            .shared
            .store
            .put_consumer(&view.fence(), &consumer)
            .await?
        {
            return Err(Closed::Fenced.into());
        }
        if reset {
            let delivered = Some(consumer.position);
            held.slot.replace(Stream {
                delivered,
                ..Stream::default()
            });
        }
        Ok(self.status(consumer))
    }

    /// A consumer by name.
    pub async fn consumer(&self, name: &str) -> Result<ConsumerStatus, ConsumerError> {
        check_name(name)?;
        let stored = self.shared.store.consumer(name).await?;
        stored
            .map(|consumer| self.status(consumer))
            .ok_or_else(|| ConsumerError::NotFound {
                name: name.to_owned(),
            })
    }

    /// All consumers, by name.
    pub async fn consumers(&self) -> Result<Vec<ConsumerStatus>, ConsumerError> {
        let stored = self.shared.store.consumers().await?;
        Ok(stored
            .into_iter()
            .map(|consumer| self.status(consumer))
            .collect())
    }

    /// Forgets a consumer, durably, and ends its stream.
    pub async fn delete_consumer(&self, name: &str) -> Result<(), ConsumerError> {
        check_name(name)?;
        let held = self.shared.consumers.hold(name);
        let _gate = held.slot.gate.lock().await;
        if !self.shared.store.delete_consumer(name).await? {
            return Err(ConsumerError::NotFound {
                name: name.to_owned(),
            });
        }
        held.slot.replace(Stream {
            deleted: true,
            ..Stream::default()
        });
        Ok(())
    }

    /// The position is stored in the incarnation in force: up to it the history is the same as in the one that it was learned in.
    fn consumer_at(&self, name: &str, view: &LogView, sequence: u64) -> Consumer {
        Consumer {
            name: name.to_owned(),
            position: Position::new(view.current().incarnation, sequence),
            updated_at_micros: (self.options().clock)(),
        }
    }

    fn status(&self, consumer: Consumer) -> ConsumerStatus {
        let connected = self.shared.consumers.connected(&consumer.name);
        ConsumerStatus {
            consumer,
            connected,
        }
    }
}

fn check_name(name: &str) -> Result<(), LimitError> {
    limit::required("consumer", name, caps::KEY_BYTES_MAX)
}
