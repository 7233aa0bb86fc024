//! The log without its sockets: what is left of the raw insert before gRPC takes its part.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use futures_util::StreamExt;
use tidelog_core::{AppendRequest, Stamp, WriterLimits};
use tidelog_engine::{FileWitness, LogHandle, LogOptions, ReaderOptions};
use tidelog_model::{LocationName, NewEvent};
use tidelog_proto::v1;
use tidelog_store::{LogStore, RequestRetention};
use tidelog_store_postgres::{PostgresOptions, PostgresStore};

use crate::payload;

/// Events per second of `in_flight` requests, each of `events` events, on PostgreSQL.
pub async fn append(uri: &str, in_flight: usize, events: u64, span: Duration) -> Result<f64> {
    let location = LocationName::new("a")?;
    let options = PostgresOptions::new(uri, "bench", location.clone());
    let store: Arc<dyn LogStore> = Arc::new(PostgresStore::open(options).await?);
    let dir = tempfile::tempdir()?;
    let nonces = AtomicU64::new(1);
    let log = LogHandle::start(LogOptions {
        log: "bench".into(),
        location,
        store,
        witness: Arc::new(FileWitness::new(dir.path().join("witness"))),
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
    let before = log.reader().view().head;
    let begun = Instant::now();
    let requests = futures_util::stream::iter(0u64..).take_while(|_| {
        let more = begun.elapsed() < span;
        async move { more }
    });
    let appended = requests
        .map(|n| {
            let log = log.clone();
            async move {
                log.append(request(n * events, events)?)
                    .await
                    .map_err(|refusal| anyhow!("refused: {refusal}"))
            }
        })
        .buffered(in_flight)
        .fold(Ok::<u64, anyhow::Error>(0), |total, outcome| async move {
            outcome.and_then(|_| total.map(|n| n + events))
        })
        .await?;
    let seconds = begun.elapsed().as_secs_f64();
    let head = log.reader().view().head;
    ensure!(
        head == before + appended,
        "head {head}, expected {}",
        before + appended
    );
    log.shut_down().await;
    Ok(appended as f64 / seconds)
}

fn request(first: u64, events: u64) -> Result<AppendRequest> {
    let wire = (first..first + events).map(payload::event);
    let events = wire.map(|event: v1::NewEvent| NewEvent::try_from(event));
    Ok(AppendRequest {
        events: events.collect::<Result<_, _>>()?,
        ..AppendRequest::default()
    })
}
