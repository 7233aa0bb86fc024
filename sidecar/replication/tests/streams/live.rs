//! What is seen at once: events, and changes of the plan.

use std::time::Duration;

use tidelog_core::EdgeState;

use crate::net::{Net, edge, eventually, mesh};

/// Nothing at either end comes round again for as long as this.
const NEVER: Duration = Duration::from_mins(10);

#[tokio::test]
async fn a_live_event_is_pushed_and_waits_for_no_clock() {
    let mut net = Net::planned(&["eu", "us"], mesh(&["eu", "us"])).await;
    net.tuning.heartbeat = NEVER;
    net.tuning.empty_frame_delay = NEVER;
    net.start("eu").await;
    net.start("us").await;
    for (at, source, target) in ENDS {
        net.until(at, source, target, EdgeState::Streaming).await;
    }
    for i in 0..50 {
        net.append("eu", "x").await;
        let arrives = net.log("us").reader().wait_for_head_above(i);
        let arrived = tokio::time::timeout(NEVER / 20, arrives).await;
        assert!(
            arrived.is_ok_and(|head| head.is_ok()),
            "event {} was not pushed",
            i + 1
        );
    }
    for (at, source, target) in ENDS {
        let streams = net.status(at, source, target).streams_total;
        assert_eq!(streams, 1, "{at} has opened {source}->{target} again");
    }
}

#[tokio::test]
async fn a_plan_that_leaves_an_edge_alone_is_told_at_both_ends_at_once() {
    let mut net = Net::planned(&["eu", "us"], mesh(&["eu", "us"])).await;
    // Nothing is told by the beat of the clock.
    net.tuning.heartbeat = NEVER;
    net.start("eu").await;
    net.start("us").await;
    for (at, source, target) in ENDS {
        net.until(at, source, target, EdgeState::Streaming).await;
        eventually("the peer's plan is known", || async {
            net.status(at, source, target).peer_spec_hash == "2"
        })
        .await;
    }
    for at in ["eu", "us"] {
        let mut settings = net.settings(at);
        settings.spec_hash = "3".to_owned();
        net.replication(at).apply(&settings);
    }
    for (at, source, target) in ENDS {
        eventually(&format!("{at} knows the plan of its peer"), || async {
            net.status(at, source, target).peer_spec_hash == "3"
        })
        .await;
        let status = net.status(at, source, target);
        assert_eq!(status.streams_total, 1, "the stream goes on");
    }
}

/// Two edges, seen from both ends.
const ENDS: [(&str, &str, &str); 4] = [
    ("eu", "eu", "us"),
    ("us", "eu", "us"),
    ("us", "us", "eu"),
    ("eu", "us", "eu"),
];

#[tokio::test]
async fn the_filter_in_force_is_that_of_the_source_at_both_ends() {
    let plan = |cel| vec![edge("eu", "us").filtered(cel)];
    let hash = |net: &Net| net.settings("eu").outgoing[0].filter_hash.clone();
    let mut net = Net::running(&["eu", "us"], plan("event.type == 'A'")).await;
    let a = hash(&net);
    net.until("us", "eu", "us", EdgeState::Streaming).await;
    net.edges = plan("event.type == 'B'");
    let b = hash(&net);
    let known = |net: &Net, at| {
        let status = net.status(at, "eu", "us");
        (status.filter_hash, status.peer_filter_hash)
    };
    // Only the target has the new plan: the source goes on under the old one.
    net.replication("us").apply(&net.settings("us"));
    eventually("the source knows the target's plan", || async {
        known(&net, "eu") == (a.clone(), b.clone())
    })
    .await;
    net.until("us", "eu", "us", EdgeState::Streaming).await;
    assert_eq!(known(&net, "us"), (a.clone(), a.clone()));
    net.replication("eu").apply(&net.settings("eu"));
    eventually("both ends say the new filter", || async {
        known(&net, "eu") == (b.clone(), b.clone()) && known(&net, "us") == (b.clone(), b.clone())
    })
    .await;
    // A source that nobody pulls from will not send under the old filter either; the target cannot know yet.
    net.cut("eu", "us");
    net.edges = plan("event.type == 'A'");
    net.apply();
    eventually("the source says the new filter", || async {
        known(&net, "eu").0 == a
    })
    .await;
    assert_eq!(known(&net, "us").0, b);
    net.heal("eu", "us");
    eventually("the target has heard of it", || async {
        known(&net, "us").0 == a
    })
    .await;
}
