//! The version gate.

use tidelog_core::{EdgeState, Stamp};

use crate::net::{Net, edge, pause};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_stops_before_events_of_newer_writers_and_goes_on_after_the_upgrade() {
    let mut net = Net::planned(&["eu", "us"], vec![edge("eu", "us")]).await;
    net.start("eu").await;
    net.start("us").await;
    net.append("eu", "old").await;
    net.settle(&["us"], 1).await;
    net.log("eu")
        .set_stamp(Stamp {
            application_version: "1.2".parse().unwrap(),
            plan_id: 0,
        })
        .await;
    let id = net.append("eu", "new").await.ids[0].clone();
    for at in ["eu", "us"] {
        let gated = net.until(at, "eu", "us", EdgeState::Incompatible).await;
        assert_eq!(gated.reason, "VersionIncompatible");
        assert!(gated.message.contains(&id.to_string()), "{}", gated.message);
    }
    pause(200).await;
    assert_eq!(net.status("us", "eu", "us").progress, 1);
    net.versions.insert("us", "1.2");
    net.apply();
    net.settle(&["us"], 2).await;
    net.until("us", "eu", "us", EdgeState::Streaming).await;
    net.until("eu", "eu", "us", EdgeState::Streaming).await;
}
