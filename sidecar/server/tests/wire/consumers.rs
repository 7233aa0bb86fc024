//! Named consumers over the wire: kept, listed, resumed, taken over, forgotten.

use tidelog_proto::error::key;
use tidelog_proto::v1::subscribe_request::Start;
use tidelog_proto::{ErrorReason, v1};

use crate::rig::{Site, because, fields, ok, position, refused};

fn ack(consumer: &str, sequence: u64) -> v1::AckRequest {
    v1::AckRequest {
        consumer: consumer.into(),
        position: Some(position(1, sequence)),
        ..v1::AckRequest::default()
    }
}

fn get(consumer: &str) -> v1::GetConsumerRequest {
    v1::GetConsumerRequest {
        consumer: consumer.into(),
        ..v1::GetConsumerRequest::default()
    }
}

fn delete(consumer: &str) -> v1::DeleteConsumerRequest {
    v1::DeleteConsumerRequest {
        consumer: consumer.into(),
        ..v1::DeleteConsumerRequest::default()
    }
}

fn named(consumer: &str) -> Start {
    Start::Consumer(consumer.into())
}

#[tokio::test]
async fn a_consumer_goes_on_where_it_acknowledged_also_after_a_restart() {
    let site = Site::sqlite().await;
    for _ in 0..4 {
        site.append("T").await;
    }
    let mut follower = site.follow(Some(named("billing"))).await;
    assert_eq!(follower.replay().await.0, [1, 2, 3, 4]);
    let mut api = site.api();
    let acknowledged = ok(api.ack(ack("billing", 2))).await.consumer.unwrap();
    assert_eq!(acknowledged.position, Some(position(1, 2)));
    assert!(acknowledged.connected && acknowledged.updated_at.is_some());
    // Only forward: what is behind changes nothing.
    let again = ok(api.ack(ack("billing", 1))).await.consumer.unwrap();
    assert_eq!(again, acknowledged);
    drop((follower, api));

    let site = site.restart().await;
    let mut api = site.api();
    let kept = ok(api.get_consumer(get("billing"))).await.consumer.unwrap();
    assert_eq!(
        (kept.position, kept.connected),
        (Some(position(1, 2)), false)
    );
    assert_eq!(
        site.follow(Some(named("billing"))).await.replay().await.0,
        [3, 4]
    );

    ok(api.ack(ack("audit", 0))).await;
    let list = ok(api.list_consumers(v1::ListConsumersRequest::default())).await;
    let names: Vec<_> = list.consumers.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["audit", "billing"]);
}

#[tokio::test]
async fn a_second_stream_of_a_consumer_ends_the_first() {
    let site = Site::memory().await;
    site.append("T").await;
    let mut first = site.follow(Some(named("billing"))).await;
    first.replay().await;
    let mut second = site.follow(Some(named("billing"))).await;
    let error = because(ErrorReason::ConsumerTaken, &first.end().await);
    assert!(error.message.contains("`billing`"), "{error}");
    second.replay().await;
    site.append("T").await;
    assert_eq!(second.events().await, [2]);
    // A reset is a take-over too: the stream would go on from where nobody wants it to.
    let mut api = site.api();
    let reset = v1::AckRequest {
        reset: true,
        ..ack("billing", 0)
    };
    ok(api.ack(reset)).await;
    because(ErrorReason::ConsumerTaken, &second.end().await);
    assert_eq!(
        site.follow(Some(named("billing"))).await.replay().await.0,
        [1, 2]
    );
}

#[tokio::test]
async fn a_consumer_that_is_deleted_is_gone_and_so_is_its_stream() {
    let site = Site::memory().await;
    let mut api = site.api();
    let not_found = ErrorReason::ConsumerNotFound;
    let error = refused(not_found, api.get_consumer(get("billing"))).await;
    assert!(error.message.contains("`billing`"), "{error}");
    refused(not_found, api.delete_consumer(delete("billing"))).await;

    let mut follower = site.follow(Some(named("billing"))).await;
    follower.replay().await;
    assert!(
        ok(api.get_consumer(get("billing")))
            .await
            .consumer
            .unwrap()
            .connected
    );
    ok(api.delete_consumer(delete("billing"))).await;
    because(not_found, &follower.end().await);
    refused(not_found, api.get_consumer(get("billing"))).await;
}

#[tokio::test]
async fn only_what_was_delivered_can_be_acknowledged() {
    let site = Site::memory().await;
    let mut follower = site.follow(Some(named("billing"))).await;
    site.append("T").await;
    follower.replay().await;
    assert_eq!(follower.events().await, [1]);
    site.append("T").await;
    assert_eq!(follower.events().await, [2]);
    let mut api = site.api();
    let error = refused(ErrorReason::PositionAhead, api.ack(ack("billing", 3))).await;
    assert_eq!(error.metadata[key::HEAD], "2");
    let error = refused(ErrorReason::PositionAhead, api.ack(ack("other", 1))).await;
    assert_eq!(error.metadata[key::HEAD], "0", "it was given nothing");
    let nowhere = v1::AckRequest {
        position: None,
        ..ack("billing", 0)
    };
    let error = refused(ErrorReason::InvalidRequest, api.ack(nowhere)).await;
    assert_eq!(fields(&error), ["position"]);
    let error = refused(
        ErrorReason::InvalidRequest,
        api.ack(ack(&"n".repeat(513), 0)),
    )
    .await;
    assert_eq!(fields(&error), ["consumer"]);
}
