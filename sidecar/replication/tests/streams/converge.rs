//! Locations that end up with the same events, each once, causes first.

use std::collections::BTreeSet;

use bytes::Bytes;
use tidelog_core::EdgeState;
use tidelog_model::{NewEvent, caps};

use crate::net::{Dial, Net, edge, eventually, mesh, new_event, pause};

async fn same_everywhere(net: &Net, at: &[&str]) {
    let sets: Vec<BTreeSet<_>> = futures_util::future::join_all(at.iter().map(|one| net.ids(one)))
        .await
        .into_iter()
        .map(|ids| ids.into_iter().collect())
        .collect();
    assert!(sets.windows(2).all(|w| w[0] == w[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_locations_that_write_at_once_converge() {
    let net = Net::running(&["eu", "us"], mesh(&["eu", "us"])).await;
    for _ in 0..50 {
        tokio::join!(net.append("eu", "e"), net.append("us", "u"));
    }
    net.settle(&["eu", "us"], 100).await;
    same_everywhere(&net, &["eu", "us"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_of_three_converges() {
    let names = ["ap", "eu", "us"];
    let net = Net::running(&names, mesh(&names)).await;
    for _ in 0..30 {
        tokio::join!(
            net.append("eu", "e"),
            net.append("us", "u"),
            net.append("ap", "a")
        );
    }
    net.settle(&names, 90).await;
    same_everywhere(&net, &names).await;
    let count =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    for at in names {
        let counters = net.log(at).counters();
        assert_eq!(count(&counters.guard_hits), 0);
        let (stored, redundant) = (
            count(&counters.replicated_events),
            count(&counters.redundant_events),
        );
        println!("at {at}: {stored} events stored, {redundant} received in vain");
        assert_eq!(stored, 60);
        // Live events race what was declared of them; 60 can come over a second edge, 30 own ones back over each of two.
        assert!(redundant <= 120, "{redundant} of {stored} at {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_edge_of_a_triangle_cut_events_come_by_the_third_location() {
    let names = ["ap", "eu", "us"];
    let net = Net::running(&names, mesh(&names)).await;
    for (source, target) in [("eu", "us"), ("us", "eu")] {
        net.cut(source, target);
        net.until(source, source, target, EdgeState::Unreachable)
            .await;
    }
    for _ in 0..10 {
        net.append("eu", "e").await;
        net.append("us", "u").await;
    }
    net.settle(&names, 20).await;
    assert!(net.status("us", "eu", "us").lag.events.is_none());
    net.heal("eu", "us");
    net.heal("us", "eu");
    net.until("us", "eu", "us", EdgeState::Streaming).await;
    net.append("eu", "after").await;
    net.settle(&names, 21).await;
    same_everywhere(&net, &names).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_location_catches_up_through_many_frames_while_its_own_writes_go_on() {
    let mut net = Net::planned(&["eu", "us"], mesh(&["eu", "us"])).await;
    net.tuning.frame_events_max = 7;
    net.tuning.window_bytes = 4_000;
    net.start("eu").await;
    for _ in 0..300 {
        net.append("eu", "e").await;
    }
    net.start("us").await;
    for _ in 0..50 {
        net.append("us", "u").await;
    }
    net.settle(&["eu", "us"], 350).await;
    same_everywhere(&net, &["eu", "us"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_beyond_the_frame_budget_travels_alone() {
    let mut net = Net::planned(&["eu", "us"], vec![edge("eu", "us")]).await;
    net.tuning.frame_bytes_max = 64 * 1024;
    net.tuning.window_bytes = 100 * 1024;
    net.start("eu").await;
    net.start("us").await;
    let large = |size: usize| NewEvent {
        payload: Bytes::from(vec![7; size]),
        ..new_event("Large")
    };
    net.append("eu", "before").await;
    net.append_with("eu", large(caps::EVENT_BYTES_MAX - 1_000))
        .await;
    net.append("eu", "after").await;
    net.append_with("eu", large(70_000)).await;
    net.settle(&["us"], 4).await;
    assert_eq!(
        net.events("us").await[1].event.payload.len(),
        caps::EVENT_BYTES_MAX - 1_000
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoke_that_only_dials_out_gives_and_takes() {
    // Nothing dials the spoke: it pulls what comes and pushes what goes.
    let edges = vec![
        edge("hub", "spoke").dialled_by(Dial::Target),
        edge("spoke", "hub").dialled_by(Dial::Source),
    ];
    let net = Net::running(&["hub", "spoke"], edges).await;
    for i in 0..20 {
        net.append("hub", &format!("h{i}")).await;
        net.append("spoke", &format!("s{i}")).await;
    }
    net.settle(&["hub", "spoke"], 40).await;
    let pushed = net.until("hub", "spoke", "hub", EdgeState::Streaming).await;
    assert_eq!(pushed.lag.events, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_restarts_in_the_middle_goes_on_where_it_was() {
    let mut net = Net::planned(&["eu", "us"], mesh(&["eu", "us"])).await;
    net.tuning.frame_events_max = 5;
    net.tuning.window_bytes = 2_000;
    net.start("eu").await;
    net.start("us").await;
    for i in 0..200 {
        net.append("eu", "e").await;
        if i == 60 || i == 130 {
            let store = net.stop("us").await;
            net.start_on("us", store).await;
        }
    }
    net.settle(&["eu", "us"], 200).await;
    assert_eq!(net.log("us").lineage().entries().len(), 1, "nothing raised");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_brings_covered_entries_along_and_then_is_quiet() {
    let edges = vec![
        edge("a", "b"),
        edge("b", "a"),
        edge("b", "c"),
        edge("c", "b"),
    ];
    let net = Net::running(&["a", "b", "c"], edges).await;
    let token = net.append("a", "x").await.token;
    let view = net
        .log("c")
        .reader()
        .wait_for(&token, Some(std::time::Duration::from_secs(10)))
        .await
        .unwrap();
    assert_eq!(view.head, 1);
    // With nothing to say no commits are made: neither events nor vectors go round and round.
    pause(400).await;
    let batches = |at| {
        net.log(at)
            .counters()
            .batches
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    let before: Vec<u64> = ["a", "b", "c"].map(batches).to_vec();
    pause(600).await;
    assert_eq!(["a", "b", "c"].map(batches).to_vec(), before);
    eventually("progress at a", || async {
        net.status("a", "b", "a").lag.events == Some(0)
    })
    .await;
}
