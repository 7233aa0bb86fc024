//! A log on the memory store, with everything that outlives its process.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tidelog_core::{AppendRequest, ProvenHead, Stamp, Witness, WriterLimits};
use tidelog_engine::{FileWitness, LogHandle, LogOptions, ReaderOptions, Recorded, WitnessKeeper};
use tidelog_model::{Incarnation, LocationName, NewEvent};
use tidelog_store::{InstanceId, LogStore, MemoryStore, RequestRetention};

pub fn wall() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros(),
    )
    .unwrap()
}

pub struct Rig {
    pub dir: tempfile::TempDir,
    nonces: Arc<AtomicU64>,
}

impl Rig {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            nonces: Arc::new(AtomicU64::new(1)),
        }
    }

    pub fn store() -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(Arc::new(wall)))
    }

    pub fn witness(&self) -> PathBuf {
        self.dir.path().join("witness")
    }

    pub fn options(&self, store: Arc<dyn LogStore>, owner: &str) -> LogOptions {
        let nonces = self.nonces.clone();
        LogOptions {
            log: "orders".into(),
            location: LocationName::new("eu").unwrap(),
            store,
            witness: Arc::new(FileWitness::new(self.witness())),
            stamp: Stamp::default(),
            limits: WriterLimits {
                resolve_micros_max: 300_000,
                ..WriterLimits::default()
            },
            reader: ReaderOptions::default(),
            owner: owner.into(),
            address: "127.0.0.1:7440".into(),
            lease_ttl: Duration::from_millis(600),
            recovering_max: Duration::from_millis(300),
            retention: RequestRetention {
                keep: Duration::from_mins(1),
                newest_min: 10,
                newest_max: 1000,
            },
            random: Arc::new(move || nonces.fetch_add(2, Ordering::Relaxed) << 4),
        }
    }

    pub async fn start(&self, store: Arc<dyn LogStore>) -> LogHandle {
        let log = LogHandle::start(self.options(store, "one"));
        assert!(log.wait_until_serving().await);
        log
    }
}

pub fn request(kind: &str) -> AppendRequest {
    AppendRequest {
        events: vec![NewEvent {
            event_type: kind.into(),
            aggregate_id: "a".into(),
            ..NewEvent::default()
        }],
        ..AppendRequest::default()
    }
}

pub fn keyed(kind: &str, id: &str) -> AppendRequest {
    AppendRequest {
        request_id: id.into(),
        ..request(kind)
    }
}

/// A witness file on a disk that can be made to fail.
pub struct Jammed {
    inner: FileWitness,
    jammed: AtomicBool,
}

impl Jammed {
    pub fn new(path: PathBuf) -> Self {
        Self {
            inner: FileWitness::new(path),
            jammed: AtomicBool::new(false),
        }
    }

    pub fn jam(&self, jammed: bool) {
        self.jammed.store(jammed, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        if self.jammed.load(Ordering::SeqCst) {
            return Err(io::Error::other("jammed"));
        }
        Ok(())
    }
}

#[async_trait]
impl WitnessKeeper for Jammed {
    fn load(&self) -> io::Result<Option<Witness>> {
        self.inner.load()
    }
    async fn raise(&self, incarnation: Incarnation) -> io::Result<Recorded> {
        self.check()?;
        self.inner.raise(incarnation).await
    }
    async fn begin(
        &self,
        writer: u64,
        incarnation: Incarnation,
        instance: &InstanceId,
        head: ProvenHead,
    ) -> io::Result<Recorded> {
        self.check()?;
        self.inner.begin(writer, incarnation, instance, head).await
    }
    fn committed(&self, head: ProvenHead) -> io::Result<()> {
        self.check()?;
        self.inner.committed(head)
    }
    async fn clean_stop(&self, head: ProvenHead) -> io::Result<()> {
        self.check()?;
        self.inner.clean_stop(head).await
    }
}
