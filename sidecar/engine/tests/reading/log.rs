//! A log under test: a memory store, a writer's memory, and the published log that readers see.

use std::sync::Arc;
use std::time::Duration;

use tidelog_core::LogView;
use tidelog_engine::{
    LogReader, Publisher, ReaderOptions, Start, SubscribeError, SubscribeRequest, Subscription,
    SubscriptionItem, published,
};
use tidelog_model::{Event, Incarnation, Position, StoredEvent, VectorTime};
use tidelog_store::generate::{self, Peer, Writer};
use tidelog_store::{LogStore, ReadQuery, WriteBatch};

use crate::gate::GatedStore;

/// Nothing in a test takes this long unless it hangs.
pub const HANG: Duration = Duration::from_secs(10);

pub struct Log {
    pub store: Arc<GatedStore>,
    pub writer: Writer,
    pub publisher: Publisher,
    pub reader: LogReader,
}

/// Options under which every page of a few events is a page of its own.
pub fn small() -> ReaderOptions {
    ReaderOptions {
        tail_bytes_max: 16 * 1024,
        page_events_max: 7,
        page_scan_max: 11,
        heartbeat_every: Duration::from_hours(1),
        ..ReaderOptions::default()
    }
}

/// As [`small`], without a tail: everything comes from the store.
pub fn no_tail() -> ReaderOptions {
    ReaderOptions {
        tail_bytes_max: 0,
        ..small()
    }
}

pub fn at(incarnation: u32, sequence: u64) -> Position {
    Position::new(Incarnation(incarnation), sequence)
}

pub fn version(text: &str) -> VectorTime {
    text.parse().unwrap()
}

pub fn sequences(events: &[StoredEvent]) -> Vec<u64> {
    events.iter().map(|e| e.sequence).collect()
}

impl Log {
    pub async fn start(options: ReaderOptions) -> Self {
        let store = GatedStore::new(memory_store());
        let writer = Writer::start(&*store).await;
        Self::publish_anew(store, writer, options).await
    }

    /// The same database, served by a new process.
    pub async fn restart(self, options: ReaderOptions) -> Self {
        let Self { store, writer, .. } = self;
        Self::publish_anew(store, writer, options).await
    }

    async fn publish_anew(store: Arc<GatedStore>, writer: Writer, options: ReaderOptions) -> Self {
        let state = store.state().await.unwrap();
        let view = LogView::of(writer.location.clone(), &state);
        let (publisher, reader) = published(store.clone(), view, options);
        Self {
            store,
            writer,
            publisher,
            reader,
        }
    }

    /// Appends own events and publishes them.
    pub async fn append(&mut self, count: usize) {
        self.append_shaped(count, |_, _| {}).await;
    }

    /// Appends own events of a shape and publishes them.
    pub async fn append_shaped(&mut self, count: usize, shape: impl FnMut(usize, &mut Event)) {
        let batch = self.writer.append(count, shape);
        self.store.commit(&batch).await.unwrap();
        self.publish(batch).await;
    }

    /// Stores events of a peer and publishes them.
    pub async fn receive(&mut self, peer: &str, position: u64, events: Vec<Event>) {
        let batch = self.writer.receive(peer, position, events);
        self.store.commit(&batch).await.unwrap();
        self.publish(batch).await;
    }

    /// Commits own events without publishing them, as when the outcome of the commit is not known yet.
    pub async fn commit_only(&mut self, count: usize) -> WriteBatch {
        let batch = self.writer.append(count, |_, _| {});
        self.store.commit(&batch).await.unwrap();
        batch
    }

    pub async fn publish(&self, batch: WriteBatch) {
        let view = self.stored_view().await;
        self.publisher.publish(batch.events, view);
    }

    pub async fn stored_view(&self) -> LogView {
        LogView::of(
            self.writer.location.clone(),
            &self.store.state().await.unwrap(),
        )
    }

    /// A raise at the head.
    pub async fn raise(&mut self, incarnation: u32) {
        self.publisher.suspend();
        let raise = self.writer.raise(incarnation);
        self.store.raise(&raise).await.unwrap();
        self.publisher.reset(self.stored_view().await);
    }

    /// A late raise: everything above the base gets another identity.
    pub async fn rewrite(&mut self, incarnation: u32, base: u64) {
        self.publisher.suspend();
        self.rewrite_store(incarnation, base).await;
        self.publisher.reset(self.stored_view().await);
    }

    pub async fn rewrite_store(&mut self, incarnation: u32, base: u64) {
        let hash = self.store.hash_at(base).await.unwrap().unwrap();
        let above: Vec<_> = self.stored().await.split_off(base as usize);
        let raise = self.writer.rewrite(incarnation, hash, &above);
        self.store.raise(&raise).await.unwrap();
    }

    /// Everything that the database holds.
    pub async fn stored(&self) -> Vec<StoredEvent> {
        stored(&self.store.inner).await
    }

    pub async fn subscribe(&self, start: Start) -> Subscription {
        self.reader
            .subscribe(SubscribeRequest {
                start,
                ..SubscribeRequest::default()
            })
            .await
            .unwrap()
    }
}

pub async fn stored(store: &dyn LogStore) -> Vec<StoredEvent> {
    let everything = ReadQuery {
        after: 0,
        to: u64::MAX,
        events_max: usize::MAX,
        bytes_max: usize::MAX,
        scan_max: usize::MAX,
        selector: tidelog_model::Selector::default(),
    };
    store.read(&everything).await.unwrap().events
}

/// A peer's events that have seen nothing of anybody else.
pub fn peer_events(name: &str, count: usize) -> Vec<Event> {
    Peer::new(name).write_many(count)
}

/// The next item, or the end of the test when there is none for long.
pub async fn next(subscription: &mut Subscription) -> SubscriptionItem {
    tokio::time::timeout(HANG, subscription.next())
        .await
        .expect("an item in time")
        .unwrap()
}

/// Why a subscription ends, or the end of the test when it does not for long.
pub async fn ended(subscription: &mut Subscription) -> SubscribeError {
    tokio::time::timeout(HANG, subscription.next())
        .await
        .expect("an end in time")
        .unwrap_err()
}

/// What a subscription says up to and including caught up: sequences, and the position of the caught up.
pub async fn replay(subscription: &mut Subscription) -> (Vec<u64>, Position) {
    let mut seen = Vec::new();
    loop {
        match next(subscription).await {
            SubscriptionItem::Events { events, .. } => seen.extend(sequences(&events)),
            SubscriptionItem::CaughtUp { position, .. } => return (seen, position),
            SubscriptionItem::Heartbeat { .. } => {}
        }
    }
}

/// So many further events; anything else but heartbeats ends the test.
pub async fn live(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.len() < count {
        match next(subscription).await {
            SubscriptionItem::Events { events, .. } => seen.extend(sequences(&events)),
            SubscriptionItem::Heartbeat { .. } => {}
            item @ SubscriptionItem::CaughtUp { .. } => panic!("caught up once already: {item:?}"),
        }
    }
    seen
}

fn memory_store() -> tidelog_store::MemoryStore {
    // Leases never run out here.
    tidelog_store::MemoryStore::new(Arc::new(|| 0))
}

/// The name of the location under test.
pub fn eu(incarnation: u32) -> tidelog_model::Origin {
    generate::origin("eu", incarnation)
}
