//! Who is let in at the door, and for how long.

use std::time::Duration;

use tidelog_core::EdgeState;
use tidelog_proto::v1::{self, replication_message::Message};

use crate::hostile::{Puppet, pull, serving_source, waiting_target};
use crate::net::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_in_another_protocol_is_refused_as_incompatible() {
    let net = waiting_target().await;
    let mut puppet = Puppet::dial(&net, "us", true).await;
    puppet
        .say(Message::Offer(v1::Offer {
            log: "orders".into(),
            source: "eu".into(),
            target: "us".into(),
            protocol_version: 99,
        }))
        .await;
    let Some(Message::Refused(refused)) = puppet.hear().await else {
        panic!("refused");
    };
    assert_eq!(refused.reason(), v1::RefusalReason::Incompatible);
    assert!(refused.message.contains("99"), "{}", refused.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_says_nothing_any_more_is_let_go() {
    let net = waiting_target().await;
    let (mut puppet, open) = Puppet::offer(&net).await;
    puppet.agree(&open, 0).await;
    net.until("us", "eu", "us", EdgeState::Streaming).await;
    assert!(ends(&mut puppet).await, "the target keeps a silent source");
    eventually("unreachable", || async {
        net.status("us", "eu", "us").state == EdgeState::Unreachable
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_says_nothing_any_more_is_let_go() {
    let net = serving_source(1).await;
    let mut puppet = pull(&net, 1, "", 1 << 20).await;
    assert_eq!(puppet.frame().await.to, 1);
    assert!(ends(&mut puppet).await, "the source keeps a silent target");
}

/// Whether the stream ends although heartbeats come; they do for as long as it runs.
async fn ends(puppet: &mut Puppet) -> bool {
    let end = async { while puppet.hear_anything().await.is_some() {} };
    tokio::time::timeout(Duration::from_mins(1), end)
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_dials_again_is_served_on_the_new_call() {
    let net = serving_source(2).await;
    let mut first = pull(&net, 1, "", 1).await;
    assert_eq!(first.frame().await.to, 1);
    // Its first call stands still without credit; the second one is not refused, and begins where it says.
    let mut second = pull(&net, 2, "", 1 << 20).await;
    assert_eq!(second.frame().await.to, 1);
    assert_eq!(second.frame().await.to, 2);
    assert!(!ends_at_once(&mut second).await, "it goes on");
}

async fn ends_at_once(puppet: &mut Puppet) -> bool {
    let next = tokio::time::timeout(Duration::from_millis(300), puppet.hear_anything());
    matches!(next.await, Ok(None))
}
