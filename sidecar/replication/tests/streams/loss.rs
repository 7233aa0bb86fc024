//! Databases that come back older than they were.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidelog_replication::{RecoveryState, RecoveryStatus};
use tidelog_store::MemoryStore;

use crate::net::{Net, edge, eventually, mesh, wall};

/// Restarts `eu` from a copy that was taken after the first three of five events.
async fn restored(net: &mut Net, with_witness: bool) {
    for i in 0..3 {
        net.append("eu", &format!("e{i}")).await;
    }
    let copy = net.sites["eu"].store.snapshot();
    let witness = net.dir.path().join("eu");
    let witness_then = std::fs::read(&witness).unwrap();
    net.append("eu", "lost 4").await;
    net.append("eu", "lost 5").await;
    net.append("us", "u").await;
    net.settle(&["eu", "us"], 6).await;
    net.stop("eu").await;
    if with_witness {
        // The witness is as old as the copy: nothing at this location tells that anything is missing.
        std::fs::write(&witness, witness_then).unwrap();
    }
    let store = MemoryStore::restore(copy, Arc::new(wall));
    net.start_on("eu", Arc::new(store)).await;
}

async fn both_hold(net: &Net, count: usize) {
    net.settle(&["eu", "us"], count).await;
    let sets = [net.ids("eu").await, net.ids("us").await]
        .map(|ids| ids.into_iter().collect::<BTreeSet<_>>());
    assert_eq!(sets[0], sets[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_own_events_come_back_from_a_peer_after_a_raise() {
    let mut net = Net::running(&["eu", "us"], mesh(&["eu", "us"])).await;
    restored(&mut net, false).await;
    assert_eq!(
        net.log("eu").lineage().entries().len(),
        2,
        "raised at start"
    );
    net.append("eu", "new").await;
    both_hold(&net, 7).await;
    eventually("recovered", || async {
        net.replication("eu").recovery().borrow().state == RecoveryState::Recovered
    })
    .await;
    // A token of what was lost and came back is covered.
    let token = "eu#1:5".parse().unwrap();
    net.log("eu").reader().wait_for(&token, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_whose_database_was_emptied_says_that_events_were_lost_and_came_back() {
    let mut net = Net::running(&["eu", "us"], mesh(&["eu", "us"])).await;
    net.append("eu", "lost").await;
    net.append("us", "u").await;
    both_hold(&net, 2).await;
    let never = net.replication("us").recovery();
    assert_eq!(never.borrow().state, RecoveryState::NotNeeded);
    net.stop("eu").await;
    net.start_on("eu", Arc::new(MemoryStore::new(Arc::new(wall))))
        .await;
    net.append("eu", "new").await;
    both_hold(&net, 3).await;
    assert_eq!(
        net.log("eu").lineage().entries().len(),
        1,
        "it knows of no other"
    );
    let recovery = net.replication("eu").recovery();
    eventually("recovered", || async {
        recovery.borrow().state == RecoveryState::Recovered
    })
    .await;
    let lost = recovery.borrow().lost.clone();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].to_string(), "eu#1/1..=1");
    // Nothing was lost by those that were only told of it.
    assert_eq!(never.borrow().state, RecoveryState::NotNeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_that_only_a_peer_noticed_is_proven_by_an_event_and_raises() {
    let mut net = Net::running(&["eu", "us"], mesh(&["eu", "us"])).await;
    restored(&mut net, true).await;
    eventually("raised", || async {
        net.log("eu").lineage().entries().len() == 2
    })
    .await;
    net.append("us", "v").await;
    net.append("eu", "new").await;
    both_hold(&net, 8).await;
    assert_eq!(net.log("us").lineage().entries().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_without_a_way_back_asks_its_target_for_proof() {
    // Nothing flows from us to eu: only what us says when it opens the stream tells.
    let mut net = Net::running(&["eu", "us"], vec![edge("eu", "us")]).await;
    for i in 0..3 {
        net.append("eu", &format!("e{i}")).await;
    }
    let copy = net.sites["eu"].store.snapshot();
    let witness = net.dir.path().join("eu");
    let witness_then = std::fs::read(&witness).unwrap();
    net.append("eu", "lost 4").await;
    net.settle(&["us"], 4).await;
    net.stop("eu").await;
    std::fs::write(&witness, witness_then).unwrap();
    let store = MemoryStore::restore(copy, Arc::new(wall));
    net.start_on("eu", Arc::new(store)).await;
    eventually("raised", || async {
        net.log("eu").lineage().entries().len() == 2
    })
    .await;
    net.append("eu", "new").await;
    net.settle(&["us"], 5).await;
    let recovery = net.replication("eu").recovery();
    eventually(
        "says what it may lack: nobody knows where above the base it began",
        || async {
            recovery
                .borrow()
                .lost
                .iter()
                .any(|r| r.to_string() == "eu#1/1..=4")
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_with_a_filtered_edge_says_what_it_may_lack() {
    let edges = vec![
        edge("eu", "us").filtered("event.type != 'Local'"),
        edge("us", "eu"),
    ];
    let mut net = Net::running(&["eu", "us"], edges).await;
    restored(&mut net, false).await;
    let recovery = net.replication("eu").recovery();
    eventually("incomplete", || async {
        recovery.borrow().state == RecoveryState::Incomplete
    })
    .await;
    let status = recovery.borrow().clone();
    assert_eq!(status.reason, "FilteredEdges");
    let lost = lost_of_five(&status);
    assert!(status.message.contains(&lost), "{}", status.message);
}

/// What is told of a loss after the third of five own events. The sixth number is that of an event of the peer, which may have read that far or not.
fn lost_of_five(status: &RecoveryStatus) -> String {
    let ranges: Vec<String> = status.lost.iter().map(ToString::to_string).collect();
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert!(
        ["eu#1/4..=5", "eu#1/4..=6"].contains(&ranges[0].as_str()),
        "{ranges:?}"
    );
    ranges[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_one_whose_incoming_edge_is_filtered() {
    let edges = vec![
        edge("eu", "us"),
        edge("us", "eu").filtered("event.type != 'Local'"),
    ];
    let mut net = Net::running(&["eu", "us"], edges).await;
    restored(&mut net, false).await;
    let recovery = net.replication("eu").recovery();
    eventually("incomplete", || async {
        recovery.borrow().state == RecoveryState::Incomplete
    })
    .await;
    lost_of_five(&recovery.borrow());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_without_own_events_says_so_by_what_was_read_of_it() {
    // What comes from us is forwarded to the spoke; eu appends nothing, so no vector names what it loses.
    let edges = vec![
        edge("us", "eu"),
        edge("eu", "spoke").filtered("event.type != 'Local'"),
    ];
    let mut net = Net::running(&["eu", "us", "spoke"], edges).await;
    net.append("us", "first").await;
    net.settle(&["eu", "spoke"], 1).await;
    let copy = net.sites["eu"].store.snapshot();
    net.append("us", "lost and back").await;
    net.settle(&["eu", "spoke"], 2).await;
    net.stop("eu").await;
    let store = MemoryStore::restore(copy, Arc::new(wall));
    net.start_on("eu", Arc::new(store)).await;
    let recovery = net.replication("eu").recovery();
    eventually("incomplete", || async {
        recovery.borrow().state == RecoveryState::Incomplete
    })
    .await;
    assert_eq!(recovery.borrow().lost[0].to_string(), "eu#1/2..=2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn covered_entries_of_a_closed_incarnation_are_taken_over_from_peers() {
    let mut net = Net::running(&["eu", "us"], mesh(&["eu", "us"])).await;
    let copy = net.sites["eu"].store.snapshot();
    net.edges[0].filter = Some(("event.type != 'Local'", tidelog_filter::OnError::Stall));
    net.apply();
    let token = net.append("eu", "Local").await.token;
    net.log("us").reader().wait_for(&token, None).await.unwrap();
    net.stop("eu").await;
    let store = MemoryStore::restore(copy, Arc::new(wall));
    net.start_on("eu", Arc::new(store)).await;
    // Nobody holds the event any more; its entry is known from the peer only.
    eventually("taken over", || async {
        net.log("eu").reader().view().covered_vector.covers(&token)
    })
    .await;
    assert!(!net.log("eu").reader().view().version_vector.covers(&token));
}
