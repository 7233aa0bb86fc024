//! The log without its sockets: what is left of the raw insert before gRPC takes its part.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tempfile::TempDir;
use tidelog_core::{AppendRequest, Stamp, WriterLimits};
use tidelog_engine::{FileWitness, LogHandle, LogOptions, ReaderOptions};
use tidelog_model::{LocationName, NewEvent};
use tidelog_proto::v1;
use tidelog_store::{LogStore, RequestRetention};
use tidelog_store_postgres::{PostgresOptions, PostgresStore};
use tokio::runtime::Runtime;

use crate::load::{Load, Sample};
use crate::payload;

/// A log in this process, with so many requests of so many events in flight.
pub struct InProcess {
    log: LogHandle,
    in_flight: usize,
    events: u64,
    /// The log has threads of its own, as it has in the sidecar.
    runtime: Runtime,
    _dir: TempDir,
}

impl InProcess {
    pub async fn start(uri: &str, in_flight: usize, events: u64) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let started = start(uri.to_owned(), dir.path().join("witness"));
        let log = runtime.spawn(started).await??;
        Ok(Self {
            log,
            in_flight,
            events,
            runtime,
            _dir: dir,
        })
    }

    pub async fn stop(self) {
        self.log.shut_down().await;
        // Not dropped: that would wait, and may not be done here.
        self.runtime.shutdown_background();
    }
}

async fn start(uri: String, witness: PathBuf) -> Result<LogHandle> {
    let location = LocationName::new("a")?;
    let options = PostgresOptions::new(&uri, "bench", location.clone());
    let store: Arc<dyn LogStore> = Arc::new(PostgresStore::open(options).await?);
    let nonces = AtomicU64::new(1);
    let log = LogHandle::start(LogOptions {
        log: "bench".into(),
        location,
        store,
        witness: Arc::new(FileWitness::new(witness)),
        stamp: Stamp::default(),
        limits: WriterLimits::default(),
        reader: ReaderOptions::default(),
        owner: "bench".into(),
        address: String::new(),
        lease_ttl: Duration::from_secs(10),
        recovering_max: Duration::from_secs(1),
        retention: RequestRetention {
            keep: Duration::from_mins(10),
            newest_min: 1000,
            newest_max: 100_000,
        },
        random: Arc::new(move || nonces.fetch_add(1, Ordering::Relaxed)),
    });
    ensure!(log.wait_until_serving().await, "the log does not serve");
    Ok(log)
}

#[tonic::async_trait]
impl Load for &InProcess {
    async fn run(&mut self, span: Duration) -> Result<Sample> {
        let (log, in_each) = (&self.log, self.events);
        let before = log.reader().view().head;
        let begun = Instant::now();
        let mut answers = FuturesOrdered::new();
        let (mut n, mut events) = (0, 0);
        while begun.elapsed() < span || !answers.is_empty() {
            while begun.elapsed() < span && answers.len() < self.in_flight {
                answers.push_back(log.append(request(n * in_each, in_each)?));
                n += 1;
            }
            if let Some(answer) = answers.next().await {
                answer.map_err(|refusal| anyhow!("refused: {refusal}"))?;
                events += in_each;
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let head = log.reader().view().head;
        ensure!(
            head == before + events,
            "head {head}, expected {}",
            before + events
        );
        Ok(Sample { events, seconds })
    }
}

fn request(first: u64, events: u64) -> Result<AppendRequest> {
    let wire = (first..first + events).map(payload::event);
    let events = wire.map(|event: v1::NewEvent| NewEvent::try_from(event));
    Ok(AppendRequest {
        events: events.collect::<Result<_, _>>()?,
        ..AppendRequest::default()
    })
}
