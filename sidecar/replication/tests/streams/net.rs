//! Locations on memory stores, with real sockets between them, as a plan of edges says.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tidelog_core::{Accepted, AppendRequest, EdgeState, Stamp, WriterLimits};
use tidelog_engine::{FileWitness, LogHandle, LogOptions, ReaderOptions};
use tidelog_filter::{Filter, FilterSet, OnError};
use tidelog_model::{EventId, LocationName, NewEvent, StoredEvent};
use tidelog_replication::options::Filters;
use tidelog_replication::{
    Direction, EdgeStatus, IncomingEdge, OutgoingEdge, Replication, ReplicationHandle,
    ReplicationOptions, ReplicationSettings, Tuning, serve,
};
use tidelog_store::{EdgeKey, LogStore, MemoryStore, ReadQuery, RequestRetention};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub fn wall() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros(),
    )
    .unwrap()
}

pub fn name(text: &str) -> LocationName {
    LocationName::new(text).unwrap()
}

pub fn key(source: &str, target: &str) -> EdgeKey {
    EdgeKey {
        source: name(source),
        target: name(target),
    }
}

/// A loopback address that no outgoing connection uses, so that a location finds its port free when it starts again.
fn own_address() -> SocketAddr {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let n = (std::process::id() << 7).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, a | 1, b, c)), 0)
}

/// Which end dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dial {
    Target,
    Source,
}

#[derive(Debug, Clone)]
pub struct Edge {
    pub source: &'static str,
    pub target: &'static str,
    pub dial: Dial,
    pub filter: Option<(&'static str, OnError)>,
    pub paused: bool,
}

pub fn edge(source: &'static str, target: &'static str) -> Edge {
    Edge {
        source,
        target,
        dial: Dial::Target,
        filter: None,
        paused: false,
    }
}

impl Edge {
    pub fn dialled_by(mut self, dial: Dial) -> Self {
        self.dial = dial;
        self
    }
    pub fn filtered(mut self, cel: &'static str) -> Self {
        self.filter = Some((cel, OnError::Stall));
        self
    }
}

/// Both directions between all of them.
pub fn mesh(names: &[&'static str]) -> Vec<Edge> {
    let mut edges = Vec::new();
    for source in names {
        edges.extend(
            names
                .iter()
                .filter(|t| *t != source)
                .map(|t| edge(source, t)),
        );
    }
    edges
}

pub struct Site {
    pub store: Arc<MemoryStore>,
    pub log: LogHandle,
    pub replication: ReplicationHandle,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

pub struct Net {
    pub dir: tempfile::TempDir,
    pub edges: Vec<Edge>,
    pub tuning: Tuning,
    pub versions: BTreeMap<&'static str, &'static str>,
    pub exports: BTreeMap<&'static str, &'static str>,
    pub addresses: BTreeMap<&'static str, SocketAddr>,
    pub sites: BTreeMap<&'static str, Site>,
}

impl Net {
    /// A network that is not running yet: adjust, then start its sites.
    pub async fn planned(names: &[&'static str], edges: Vec<Edge>) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let mut addresses = BTreeMap::new();
        for name in names {
            let listener = TcpListener::bind(own_address()).await.unwrap();
            addresses.insert(*name, listener.local_addr().unwrap());
        }
        Self {
            dir: tempfile::tempdir().unwrap(),
            edges,
            tuning: Tuning {
                heartbeat: Duration::from_millis(200),
                backoff_min: Duration::from_millis(20),
                backoff_max: Duration::from_millis(400),
                ..Tuning::default()
            },
            versions: BTreeMap::new(),
            exports: BTreeMap::new(),
            addresses,
            sites: BTreeMap::new(),
        }
    }

    pub async fn running(names: &[&'static str], edges: Vec<Edge>) -> Self {
        let mut net = Self::planned(names, edges).await;
        for name in names {
            net.start(name).await;
        }
        net
    }

    pub async fn start(&mut self, at: &'static str) {
        self.start_on(at, Arc::new(MemoryStore::new(Arc::new(wall))))
            .await;
    }

    pub async fn start_on(&mut self, at: &'static str, store: Arc<MemoryStore>) {
        let log = LogHandle::start(LogOptions {
            log: "orders".into(),
            location: name(at),
            store: store.clone(),
            witness: Arc::new(FileWitness::new(self.dir.path().join(at))),
            stamp: Stamp {
                application_version: self.version(at).parse().unwrap(),
                plan_id: 0,
            },
            limits: WriterLimits::default(),
            reader: ReaderOptions::default(),
            owner: at.into(),
            address: String::new(),
            lease_ttl: Duration::from_secs(5),
            recovering_max: Duration::from_millis(300),
            retention: RequestRetention {
                keep: Duration::from_mins(1),
                newest_min: 10,
                newest_max: 1000,
            },
            random: Arc::new(rand::random),
        });
        assert!(log.wait_until_serving().await);
        let replication = Replication::start(
            ReplicationOptions {
                log: "orders".into(),
                location: name(at),
                settings: self.settings(at),
                tuning: self.tuning,
                clock: Arc::new(wall),
                random: Arc::new(rand::random),
            },
            log.clone(),
        )
        .await
        .unwrap();
        let listener = TcpListener::bind(self.addresses[at]).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let api = replication.api();
        let server = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            serve(listener, api, stopped).await.unwrap();
        });
        let site = Site {
            store,
            log,
            replication,
            stop: Some(stop),
            server,
        };
        self.sites.insert(at, site);
    }

    /// Stops a location cleanly; its store is what is left.
    pub async fn stop(&mut self, at: &str) -> Arc<MemoryStore> {
        let mut site = self.sites.remove(at).unwrap();
        site.replication.shut_down().await;
        let _ = site.stop.take().unwrap().send(());
        site.server.await.unwrap();
        site.log.shut_down().await;
        site.store
    }

    fn version(&self, at: &str) -> &'static str {
        self.versions.get(at).copied().unwrap_or("1.0")
    }

    pub fn settings(&self, at: &str) -> ReplicationSettings {
        let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
        for edge in &self.edges {
            let behind = Arc::new(self.behind(edge));
            let filters = filters(edge.filter);
            let filter_hash = format!("{:016x}", filters.0.hash());
            if edge.target == at {
                incoming.push(IncomingEdge {
                    source: name(edge.source),
                    dial: self.dial(edge, Dial::Target),
                    behind: behind.clone(),
                    filter_hash: filter_hash.clone(),
                    paused: edge.paused,
                });
            }
            if edge.source == at {
                outgoing.push(OutgoingEdge {
                    target: name(edge.target),
                    dial: self.dial(edge, Dial::Source),
                    behind,
                    filter_hash,
                    filters,
                    paused: edge.paused,
                    frame_events_max: None,
                    frame_bytes_max: None,
                });
            }
        }
        ReplicationSettings {
            spec_hash: format!("{}", self.edges.len()),
            application_name: "shop".into(),
            application_version: self.version(at).parse().unwrap(),
            export_filter: filters(self.exports.get(at).map(|cel| (*cel, OnError::Stall))),
            incoming,
            outgoing,
        }
    }

    /// Hands every running site the settings of the edges as they are now.
    pub fn apply(&self) {
        for (at, site) in &self.sites {
            site.replication.apply(&self.settings(at));
        }
    }

    fn dial(&self, edge: &Edge, by: Dial) -> Option<String> {
        let other = match by {
            Dial::Target => edge.source,
            Dial::Source => edge.target,
        };
        (edge.dial == by).then(|| self.addresses[other].to_string())
    }

    /// The source's component of the undirected graph without the target.
    fn behind(&self, edge: &Edge) -> BTreeSet<LocationName> {
        let mut found = BTreeSet::from([edge.source]);
        loop {
            let more: Vec<&str> = self
                .edges
                .iter()
                .filter(|e| e.source != edge.target && e.target != edge.target)
                .filter(|e| found.contains(e.source) != found.contains(e.target))
                .flat_map(|e| [e.source, e.target])
                .collect();
            let before = found.len();
            found.extend(more);
            if found.len() == before {
                return found.into_iter().map(name).collect();
            }
        }
    }

    pub fn log(&self, at: &str) -> &LogHandle {
        &self.sites[at].log
    }

    pub fn replication(&self, at: &str) -> &ReplicationHandle {
        &self.sites[at].replication
    }

    pub async fn append(&self, at: &str, kind: &str) -> Accepted {
        self.append_with(at, new_event(kind)).await
    }

    pub async fn append_with(&self, at: &str, event: NewEvent) -> Accepted {
        self.log(at).append(request_of(event)).await.unwrap()
    }

    pub async fn events(&self, at: &str) -> Vec<StoredEvent> {
        let query = ReadQuery {
            after: 0,
            to: u64::MAX,
            events_max: usize::MAX,
            bytes_max: usize::MAX,
            scan_max: usize::MAX,
            selector: tidelog_model::Selector::default(),
        };
        self.sites[at].store.read(&query).await.unwrap().events
    }

    pub async fn ids(&self, at: &str) -> Vec<EventId> {
        let events = self.events(at).await;
        events.iter().map(|e| e.event.id.clone()).collect()
    }

    /// Waits until all these locations hold so many events; then checks what must always hold.
    pub async fn settle(&self, at: &[&str], count: usize) {
        for one in at {
            let held = || async { self.ids(one).await.len() };
            eventually(&format!("{count} events at {one}"), || async {
                held().await >= count
            })
            .await;
        }
        for one in at {
            self.check(one).await;
            assert_eq!(self.ids(one).await.len(), count, "at {one}");
        }
    }

    /// Each event once, no effect before a cause that is here, numbers without gaps, vectors as the events say.
    pub async fn check(&self, at: &str) {
        let events = self.events(at).await;
        let mut seen = tidelog_model::VectorTime::new();
        let mut ids = BTreeSet::new();
        for (i, stored) in events.iter().enumerate() {
            let event = &stored.event;
            assert_eq!(stored.sequence, i as u64 + 1);
            assert!(ids.insert(event.id.clone()), "{} twice at {at}", event.id);
            assert!(seen.get(&event.id.origin) < event.id.sequence);
            for later in &events[i + 1..] {
                assert!(
                    !event.context.covers_id(&later.event.id),
                    "{} before its cause {} at {at}",
                    event.id,
                    later.event.id
                );
            }
            seen.merge(&event.vector_time());
        }
        let view = self.log(at).reader().view();
        assert!(view.covered_vector.covers(&view.version_vector));
        if view.head == events.len() as u64 {
            assert_eq!(*view.version_vector, seen, "at {at}");
        }
    }

    pub fn status(&self, at: &str, source: &str, target: &str) -> EdgeStatus {
        self.try_status(at, source, target).unwrap()
    }

    pub fn try_status(&self, at: &str, source: &str, target: &str) -> Option<EdgeStatus> {
        let wanted = key(source, target);
        let all = self.replication(at).status();
        all.into_iter().find(|status| {
            let mine = match status.direction {
                Direction::Incoming => target == at,
                Direction::Outgoing => source == at,
            };
            status.edge == wanted && mine
        })
    }

    pub async fn until(
        &self,
        at: &str,
        source: &str,
        target: &str,
        state: EdgeState,
    ) -> EdgeStatus {
        eventually(&format!("{source}->{target} {state:?} at {at}"), || async {
            self.try_status(at, source, target)
                .is_some_and(|s| s.state == state)
        })
        .await;
        self.status(at, source, target)
    }

    /// Cut at both ends, as a broken line is.
    pub fn cut(&self, source: &str, target: &str) {
        self.replication(source).cut(&key(source, target)).unwrap();
        self.replication(target).cut(&key(source, target)).unwrap();
    }

    pub fn heal(&self, source: &str, target: &str) {
        self.replication(source).heal(&key(source, target)).unwrap();
        self.replication(target).heal(&key(source, target)).unwrap();
    }
}

pub fn filters(filter: Option<(&str, OnError)>) -> Filters {
    let compiled = filter.map(|(cel, on_error)| Filter::compile("f", cel, on_error).unwrap());
    FilterSet::new(compiled).into()
}

pub fn request_of(event: NewEvent) -> AppendRequest {
    AppendRequest {
        events: vec![event],
        ..AppendRequest::default()
    }
}

pub fn new_event(kind: &str) -> NewEvent {
    NewEvent {
        event_type: kind.into(),
        aggregate_id: "a".into(),
        payload: Bytes::from_static(b"{}"),
        ..NewEvent::default()
    }
}

pub async fn eventually<F, Fut>(what: &str, mut holds: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
