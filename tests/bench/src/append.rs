//! Appends as an application makes them: each caller waits for its own durable answer, or one stream keeps many in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tidelog_proto::v1;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;

use crate::location::Location;
use crate::payload;

/// Events per second of `callers` that each wait for their answer, over so many connections.
pub async fn unary(
    location: &Location,
    callers: u64,
    connections: usize,
    span: Duration,
) -> Result<f64> {
    let before = location.head().await?;
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(location.log().await?);
    }
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for (caller, client) in (0..callers).zip(clients.iter().cycle()) {
        let mut client = client.clone();
        tasks.push(tokio::spawn(async move {
            let mut done = 0;
            while begun.elapsed() < span {
                client
                    .append(payload::request(caller * 1_000_003 + done))
                    .await?;
                done += 1;
            }
            Ok::<u64, tonic::Status>(done)
        }));
    }
    let mut total = 0;
    for task in tasks {
        total += task.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    check(location, before, total).await?;
    Ok(total as f64 / seconds)
}

/// Events per second over one `AppendStream` of single events.
pub async fn stream(location: &Location, in_flight: usize, span: Duration) -> Result<f64> {
    let before = location.head().await?;
    let mut client = location.log().await?;
    let places = Arc::new(Semaphore::new(in_flight));
    let (out, requests) = tokio::sync::mpsc::channel(in_flight);
    let begun = Instant::now();
    let sent = Arc::new(AtomicU64::new(0));
    let (counter, doors) = (sent.clone(), places.clone());
    tokio::spawn(async move {
        while begun.elapsed() < span {
            let Ok(place) = doors.clone().acquire_owned().await else {
                return;
            };
            place.forget();
            let n = counter.fetch_add(1, Ordering::Relaxed);
            if out.send(payload::request(n)).await.is_err() {
                return;
            }
        }
    });
    let mut answers = client
        .append_stream(ReceiverStream::new(requests))
        .await?
        .into_inner();
    let mut total = 0;
    while let Some(answer) = answers.message().await? {
        match answer.result {
            Some(v1::append_stream_response::Result::Ok(_)) => total += 1,
            other => bail!("refused: {other:?}"),
        }
        places.add_permits(1);
    }
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(
        total == sent.load(Ordering::Relaxed),
        "not every request was answered"
    );
    check(location, before, total).await?;
    Ok(total as f64 / seconds)
}

/// What was acknowledged is there.
async fn check(location: &Location, before: u64, acknowledged: u64) -> Result<()> {
    let head = location.head().await?;
    ensure!(
        head == before + acknowledged,
        "head {head}, expected {}",
        before + acknowledged
    );
    Ok(())
}
