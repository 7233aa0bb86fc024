//! How long an event takes to the other location.

use std::time::{Duration, Instant};

use tidelog_core::EdgeState;

use crate::net::{Net, mesh};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_event_is_at_the_peer_within_milliseconds() {
    let net = Net::running(&["eu", "us"], mesh(&["eu", "us"])).await;
    net.until("us", "eu", "us", EdgeState::Streaming).await;
    let mut took = Vec::new();
    for i in 0..200 {
        let begun = Instant::now();
        net.append("eu", "x").await;
        net.log("us").reader().wait_for_head_above(i).await.unwrap();
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    took.sort();
    let (p50, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("append at eu -> durable at us: p50 {p50:?}, p99 {p99:?}");
    assert!(p50 < Duration::from_millis(5), "p50 {p50:?}");
}
