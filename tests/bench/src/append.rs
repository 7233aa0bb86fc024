//! Appends as an application makes them: each caller waits for its own durable answer, or one stream keeps many in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tidelog_proto::v1;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;

use crate::caller::Caller;
use crate::load::{Load, Sample};
use crate::location::Location;
use crate::payload;

const APPEND: &str = "/tidelog.v1.LogService/Append";

/// Callers that each wait for their answer, over some connections.
pub struct Unary<'a> {
    location: &'a Location,
    callers: u64,
    connections: Vec<Caller>,
}

/// How callers reach the sidecar.
#[derive(Clone, Copy)]
pub enum Way {
    /// So many connections on localhost.
    Tcp(usize),
    /// One connection on the Unix socket.
    Socket,
}

impl<'a> Unary<'a> {
    pub async fn new(location: &'a Location, callers: u64, way: Way) -> Result<Self> {
        let mut connections = Vec::new();
        match way {
            Way::Socket => connections.push(location.caller_by_socket(APPEND).await?),
            Way::Tcp(count) => {
                for _ in 0..count {
                    connections.push(location.caller(APPEND).await?);
                }
            }
        }
        Ok(Self {
            location,
            callers,
            connections,
        })
    }
}

#[tonic::async_trait]
impl Load for Unary<'_> {
    async fn run(&mut self, span: Duration) -> Result<Sample> {
        let before = self.location.head().await?;
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for (caller, connection) in (0..self.callers).zip(self.connections.iter().cycle()) {
            let mut connection = connection.clone();
            tasks.push(tokio::spawn(async move {
                let mut done = 0;
                while begun.elapsed() < span {
                    connection
                        .call(&payload::request(caller * 1_000_003 + done))
                        .await?;
                    done += 1;
                }
                anyhow::Ok(done)
            }));
        }
        let mut events = 0;
        for task in tasks {
            events += task.await??;
        }
        let seconds = begun.elapsed().as_secs_f64();
        check(self.location, before, events).await?;
        Ok(Sample { events, seconds })
    }
}

/// One `AppendStream` of single events.
pub struct Stream<'a> {
    pub location: &'a Location,
    pub in_flight: usize,
}

#[tonic::async_trait]
impl Load for Stream<'_> {
    async fn run(&mut self, span: Duration) -> Result<Sample> {
        let before = self.location.head().await?;
        let mut client = self.location.log().await?;
        let places = Arc::new(Semaphore::new(self.in_flight));
        let (out, requests) = tokio::sync::mpsc::channel(self.in_flight);
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
        let mut events = 0;
        while let Some(answer) = answers.message().await? {
            match answer.result {
                Some(v1::append_stream_response::Result::Ok(_)) => events += 1,
                other => bail!("refused: {other:?}"),
            }
            places.add_permits(1);
        }
        let seconds = begun.elapsed().as_secs_f64();
        ensure!(
            events == sent.load(Ordering::Relaxed),
            "not every request was answered"
        );
        check(self.location, before, events).await?;
        Ok(Sample { events, seconds })
    }
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
