//! From an append to whoever follows: a subscriber at the same location, a peer over a socket, a peer that catches up.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use tidelog_proto::v1;
use tidelog_proto::v1::subscribe_response::Content;
use tonic::Streaming;

use crate::location::{Location, Storage, free_block};
use crate::payload;

/// Median and 99th percentile, in milliseconds, from the start of an append to the arrival at a subscriber.
pub async fn subscriber(location: &Location, rounds: u64) -> Result<(f64, f64)> {
    latency(location, location, rounds).await
}

async fn latency(writer: &Location, reader: &Location, rounds: u64) -> Result<(f64, f64)> {
    let mut log = writer.log().await?;
    let latest = v1::subscribe_request::Start::Latest(true);
    let subscribe = v1::SubscribeRequest {
        start: Some(latest),
        ..v1::SubscribeRequest::default()
    };
    let mut stream = reader.log().await?.subscribe(subscribe).await?.into_inner();
    let mut micros = Histogram::<u64>::new(3)?;
    for n in 0..rounds {
        let begun = Instant::now();
        log.append(payload::request(n)).await?;
        next_event(&mut stream).await?;
        micros.record(u64::try_from(begun.elapsed().as_micros())?)?;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let ms = |q| micros.value_at_quantile(q) as f64 / 1000.0;
    Ok((ms(0.5), ms(0.99)))
}

async fn next_event(stream: &mut Streaming<v1::SubscribeResponse>) -> Result<()> {
    loop {
        let message = stream.message().await?.context("the subscription ended")?;
        if matches!(message.content, Some(Content::Events(_))) {
            return Ok(());
        }
    }
}

/// Figures of two locations joined by a link.
pub struct Peers {
    pub catch_up: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Fills one location, then starts a second one that copies it, then measures the live way.
pub async fn peers(
    programs: &Path,
    source: Storage,
    target: Storage,
    events: u64,
) -> Result<Peers> {
    let (from, to) = (free_block()?, free_block()?);
    ensure!(from != to, "two locations need two blocks of ports");
    let outgoing = "edges: {outgoing: [{target: b, dial: Target, behind: []}]}\n";
    let a = Location::start_with(programs, source, "a", from, outgoing).await?;
    fill(&a, events).await?;
    let incoming = format!(
        "peers: [{{name: a, endpoint: \"127.0.0.1:{}\"}}]\nedges: {{incoming: [{{source: a, dial: Target, behind: [a]}}]}}\n",
        from + 3
    );
    let begun = Instant::now();
    let b = Location::start_with(programs, target, "b", to, &incoming).await?;
    let head = a.head().await?;
    while b.head().await? < head {
        ensure!(
            begun.elapsed() < Duration::from_mins(2),
            "no catch-up within two minutes"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let catch_up = head as f64 / begun.elapsed().as_secs_f64();
    let (p50_ms, p99_ms) = latency(&a, &b, 500).await?;
    b.stop().await?;
    a.stop().await?;
    Ok(Peers {
        catch_up,
        p50_ms,
        p99_ms,
    })
}

async fn fill(location: &Location, events: u64) -> Result<()> {
    let mut client = location.log().await?;
    let mut n = 0;
    while n < events {
        let count = (events - n).min(500);
        let batch = (0..count).map(|i| payload::event(n + i)).collect();
        client
            .append(v1::AppendRequest {
                events: batch,
                ..v1::AppendRequest::default()
            })
            .await?;
        n += count;
    }
    Ok(())
}
