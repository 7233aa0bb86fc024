//! A peer that is gone without a word: its machine is off, or the line swallows what is sent. No connection breaks by itself then; the
//! pings of HTTP/2 find out. Heartbeats are a minute apart here, so that nothing else can.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidelog_harness::record::Answer;
use tidelog_proto::v1::EdgeState;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::sidecar::{Sidecar, append, eventually};

/// A ping every five seconds, five seconds for its answer; and what a busy machine takes.
const FOUND_OUT: Duration = Duration::from_secs(14);

/// Source and target.
const EDGES: [(&str, &str); 2] = [("eu", "us"), ("us", "eu")];

const PATIENT: &str = "replication: {heartbeat: 60s, connect: 500ms, backoffMax: 500ms}\n";

/// A line between two locations, which can be told to swallow everything while it keeps all connections.
struct Line {
    address: SocketAddr,
    swallow: watch::Sender<bool>,
}

impl Line {
    async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (swallow, swallowing) = watch::channel(false);
        let line = Self {
            address: listener.local_addr().unwrap(),
            swallow,
        };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (address, swallowing) = (address.clone(), swallowing.clone());
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(&address).await {
                        let (near_in, near_out) = near.into_split();
                        let (far_in, far_out) = far.into_split();
                        tokio::spawn(carry(near_in, far_out, swallowing.clone()));
                        carry(far_in, near_out, swallowing).await;
                    }
                });
            }
        });
        line
    }
}

/// Carries bytes one way. What was swallowed once cannot be mended: such a connection swallows until it ends.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    swallowing: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut black = false;
    while let Ok(bytes @ 1..) = from.read(&mut buffer).await {
        black |= *swallowing.borrow();
        if !black && to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
    if black {
        // Not even the end of a connection comes through.
        std::future::pending::<()>().await;
    }
}

/// `eu` is copied to `us` and `us` to `eu`, both over connections that `us` dials at an address.
async fn pair(mut eu: Sidecar, dialled: &str) -> (Sidecar, Sidecar) {
    let mut us = Sidecar::new("us");
    let hub = "edges: {incoming: [{source: us, dial: Source, behind: [us]}], \
               outgoing: [{target: us, dial: Target, behind: [eu]}]}\n";
    eu.write(&eu.yaml(&format!("{PATIENT}{hub}")));
    let spoke = format!(
        "peers: [{{name: eu, endpoint: '{dialled}'}}]\n\
         edges: {{incoming: [{{source: eu, dial: Target, behind: [eu]}}], \
         outgoing: [{{target: eu, dial: Source, behind: [us]}}]}}\n"
    );
    us.write(&us.yaml(&format!("{PATIENT}{spoke}")));
    tokio::join!(eu.start(), us.start());
    for (source, target) in EDGES {
        eu.sees(source, target, EdgeState::Streaming).await;
        us.sees(source, target, EdgeState::Streaming).await;
    }
    (eu, us)
}

async fn append_at(place: &Sidecar) {
    let answer = place.client().append(append("T")).await;
    assert!(matches!(answer, Answer::Ok { .. }), "{answer:?}");
}

async fn holds(place: &Sidecar, count: usize) {
    eventually(&format!("{count} events at {}", place.name), || async {
        let ids = place.client().list().await.ok()?;
        (ids.len() == count).then_some(())
    })
    .await;
}

/// Both edges become unreachable at a place, no later than the pings say.
async fn finds_out(place: &Sidecar, since: Instant) {
    for (source, target) in EDGES {
        let edge = place.sees(source, target, EdgeState::Unreachable).await;
        let took = since.elapsed();
        assert!(took < FOUND_OUT, "{took:?} at {}", place.name);
        assert_eq!(edge.reason, "PeerUnreachable");
        assert_eq!(edge.lag_events, None, "unknown, not 0");
    }
}

/// Everything flows again, what was appended meanwhile included.
async fn recovers(eu: &Sidecar, us: &Sidecar, count: usize) {
    holds(eu, count).await;
    holds(us, count).await;
    for (source, target) in EDGES {
        eu.sees(source, target, EdgeState::Streaming).await;
        us.sees(source, target, EdgeState::Streaming).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_swallows_everything_is_noticed_at_both_ends_and_used_again() {
    let eu = Sidecar::new("eu");
    let line = Line::to(eu.address(3)).await;
    let (eu, us) = pair(eu, &line.address.to_string()).await;
    line.swallow.send_replace(true);
    let begun = Instant::now();
    append_at(&eu).await;
    append_at(&us).await;
    tokio::join!(finds_out(&eu, begun), finds_out(&us, begun));
    holds(&us, 1).await;
    line.swallow.send_replace(false);
    recovers(&eu, &us, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_frozen_is_noticed_and_goes_on_when_it_wakes_up() {
    let eu = Sidecar::new("eu");
    let address = eu.address(3);
    let (mut eu, us) = pair(eu, &address).await;
    eu.process().freeze().unwrap();
    let begun = Instant::now();
    append_at(&us).await;
    finds_out(&us, begun).await;
    eu.process().thaw().unwrap();
    recovers(&eu, &us, 1).await;
}
