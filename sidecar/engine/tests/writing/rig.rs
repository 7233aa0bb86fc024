//! A log on the memory store, with everything that outlives its process.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidelog_core::{AppendRequest, Stamp, WriterLimits};
use tidelog_engine::{FileWitness, LogHandle, LogOptions, ReaderOptions};
use tidelog_model::{LocationName, NewEvent};
use tidelog_store::{LogStore, MemoryStore, RequestRetention};

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
