//! Filters: what passes, what does not, and that waiting ends all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use tidelog_core::EdgeState;
use tidelog_filter::OnError;
use tidelog_model::NewEvent;

use crate::net::{Net, edge, eventually, mesh, new_event, pause};

fn tagged(kind: &str, store: &str) -> NewEvent {
    NewEvent {
        metadata: BTreeMap::from([("store".to_owned(), store.to_owned())]),
        ..new_event(kind)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_covered_although_its_events_were_filtered() {
    let filter = "has(event.metadata.store) && event.metadata.store == target";
    let edges = vec![edge("eu", "us").filtered(filter), edge("us", "eu")];
    let net = Net::running(&["eu", "us"], edges).await;
    net.append_with("eu", tagged("kept", "ap")).await;
    net.append_with("eu", tagged("sent", "us")).await;
    let token = net.append_with("eu", tagged("kept", "ap")).await.token;
    let view = net
        .log("us")
        .reader()
        .wait_for(&token, Some(Duration::from_secs(5)))
        .await
        .unwrap();
    assert_eq!(view.head, 1);
    assert!(!view.version_vector.covers(&token));
    net.until("us", "eu", "us", EdgeState::Streaming).await;
    eventually("counted at both ends", || async {
        ["us", "eu"].iter().all(|at| {
            let status = net.status(at, "eu", "us");
            status.filtered_total == 2 && status.progress == 3 && status.lag.events == Some(0)
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn covered_entries_travel_on_behind_a_filtered_bridge() {
    let filter = "event.type == 'Public'";
    let edges = vec![
        edge("eu", "us").filtered(filter),
        edge("us", "eu"),
        edge("us", "ap"),
        edge("ap", "us"),
    ];
    let net = Net::running(&["ap", "eu", "us"], edges).await;
    let token = net.append("eu", "Secret").await.token;
    for at in ["us", "ap"] {
        let view = net
            .log(at)
            .reader()
            .wait_for(&token, Some(Duration::from_secs(5)))
            .await
            .unwrap();
        assert_eq!(view.head, 0, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_filter_keeps_own_events_and_lets_those_of_others_through() {
    let edges = vec![edge("eu", "us"), edge("us", "ap")];
    let mut net = Net::planned(&["ap", "eu", "us"], edges).await;
    net.exports.insert("us", "event.type == 'Public'");
    for at in ["ap", "eu", "us"] {
        net.start(at).await;
    }
    net.append("eu", "Secret").await;
    net.settle(&["us"], 1).await;
    net.append("us", "Secret").await;
    net.append("us", "Public").await;
    net.settle(&["ap"], 2).await;
    let at_ap: Vec<String> = net
        .events("ap")
        .await
        .iter()
        .map(|e| format!("{} {}", e.event.id.origin.location, e.event.event_type))
        .collect();
    assert_eq!(at_ap, ["eu Secret", "us Public"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changing_a_filter_restarts_only_the_edge_that_it_is_on() {
    let edges = vec![
        edge("eu", "us").filtered("event.type == 'A'"),
        edge("eu", "ap"),
    ];
    let mut net = Net::running(&["ap", "eu", "us"], edges).await;
    net.append("eu", "A").await;
    net.append("eu", "B").await;
    net.settle(&["ap"], 2).await;
    net.settle(&["us"], 1).await;
    // An event that was judged by the old filter is not judged again.
    eventually("everything judged", || async {
        net.status("us", "eu", "us").progress == 2
    })
    .await;
    let other = net
        .until("ap", "eu", "ap", EdgeState::Streaming)
        .await
        .streams_total;
    let own = net.status("us", "eu", "us").streams_total;
    net.edges[0].filter = Some(("event.type == 'B'", OnError::Stall));
    net.apply();
    eventually("the edge restarted", || async {
        net.status("us", "eu", "us").streams_total > own
    })
    .await;
    net.append("eu", "A").await;
    net.append("eu", "B").await;
    net.settle(&["ap"], 4).await;
    net.settle(&["us"], 2).await;
    let types: Vec<_> = net
        .events("us")
        .await
        .iter()
        .map(|e| e.event.event_type.clone())
        .collect();
    assert_eq!(types, ["A", "B"]);
    assert_eq!(net.status("ap", "eu", "ap").streams_total, other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_a_filter_stalls_the_edge_and_names_event_and_way_out() {
    let edges = vec![edge("eu", "us").filtered("event.metadata.store == 'us'")];
    let mut net = Net::running(&["eu", "us"], edges).await;
    net.append_with("eu", tagged("fine", "us")).await;
    let id = net.append("eu", "without").await.ids[0].clone();
    net.append_with("eu", tagged("later", "us")).await;
    net.settle(&["us"], 1).await;
    for at in ["eu", "us"] {
        let stalled = net.until(at, "eu", "us", EdgeState::Stalled).await;
        assert_eq!(stalled.reason, "FilterError");
        assert!(
            stalled.message.contains(&id.to_string()),
            "{}",
            stalled.message
        );
        assert!(stalled.message.contains("store"), "{}", stalled.message);
    }
    pause(300).await;
    assert_eq!(net.ids("us").await.len(), 1, "nothing is skipped");
    eventually("a lag that does not fall", || async {
        net.status("us", "eu", "us").lag.events == Some(2)
    })
    .await;
    net.edges[0].filter = Some(("event.metadata.store == 'us'", OnError::Drop));
    net.apply();
    net.settle(&["us"], 2).await;
    net.until("us", "eu", "us", EdgeState::Streaming).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_uniform_filter_over_a_mesh_brings_exactly_what_it_admits() {
    let names = ["ap", "eu", "us"];
    let edges = mesh(&names)
        .into_iter()
        .map(|e| e.filtered("event.type != 'Local'"))
        .collect();
    let net = Net::running(&names, edges).await;
    let mut tokens = Vec::new();
    for i in 0..20 {
        let at = names[i % 3];
        let kind = if i % 2 == 0 { "Local" } else { "Shared" };
        tokens.push(net.append(at, kind).await.token);
    }
    for at in names {
        for token in &tokens {
            let wait = Some(Duration::from_secs(5));
            net.log(at).reader().wait_for(token, wait).await.unwrap();
        }
        net.check(at).await;
        let shared = net.events(at).await;
        let shared = shared.iter().filter(|e| e.event.event_type == "Shared");
        assert_eq!(shared.count(), 10);
        let foreign_local =
            net.events(at).await.into_iter().any(|e| {
                e.event.event_type == "Local" && e.event.id.origin.location.as_str() != at
            });
        assert!(!foreign_local);
    }
}
