//! Where subscriptions start, and what they carry.

use std::time::Duration;

use tidelog_proto::error::key;
use tidelog_proto::v1::subscribe_request::Start;
use tidelog_proto::v1::subscribe_response::Content;
use tidelog_proto::{ErrorReason, v1};

use crate::rig::{Site, fields, ok, position, refused_stream, soon, vector};

#[tokio::test]
async fn a_subscription_starts_where_it_is_told() {
    let site = Site::memory().await;
    for kind in ["A", "B", "C"] {
        site.append(kind).await;
        // Times are microseconds: no two events are stored at the same one.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut read = ok(site.api().read(v1::ReadRequest::default())).await;
    let events = soon(read.message()).await.unwrap().unwrap().events;
    let second = events[1].stored_at.unwrap();
    let mut later = second;
    later.nanos += 1_000;
    let mut future = second;
    future.seconds += 3_600;

    let cases = [
        (None, vec![1, 2, 3]),
        (Some(Start::After(position(1, 1))), vec![2, 3]),
        (Some(Start::After(position(0, 2))), vec![3]),
        (Some(Start::After(position(1, 3))), vec![]),
        (Some(Start::FromTime(second)), vec![2, 3]),
        (Some(Start::FromTime(later)), vec![3]),
        (Some(Start::FromTime(future)), vec![]),
        (Some(Start::FromVersion(vector("eu#1:1"))), vec![2, 3]),
        (
            Some(Start::FromVersion(v1::VectorTime::default())),
            vec![1, 2, 3],
        ),
        (Some(Start::Latest(true)), vec![]),
        (Some(Start::Latest(false)), vec![1, 2, 3]),
        (Some(Start::Consumer("new".into())), vec![1, 2, 3]),
    ];
    let mut followers = Vec::new();
    for (start, expected) in cases {
        let mut follower = site.follow(start.clone()).await;
        let (sequences, reached) = follower.replay().await;
        assert_eq!(sequences, expected, "{start:?}");
        assert_eq!(reached, position(1, 3), "{start:?}");
        followers.push((start, follower));
    }
    site.append("D").await;
    for (start, mut follower) in followers {
        assert_eq!(follower.events().await, [4], "{start:?}");
    }
}

#[tokio::test]
async fn a_subscription_that_has_nothing_to_say_says_where_it_is() {
    let site = Site::with("memory: {}", |_, config| {
        config.reader.heartbeat = "100ms".parse().unwrap();
    })
    .await;
    let request = v1::SubscribeRequest {
        select: Some(v1::Selector {
            types: vec!["Wanted".into()],
            ..v1::Selector::default()
        }),
        ..v1::SubscribeRequest::default()
    };
    let mut stream = ok(site.api().subscribe(request)).await;
    let first = soon(stream.message()).await.unwrap().unwrap();
    assert_eq!(
        first.content,
        Some(Content::CaughtUp(v1::CaughtUp { head: 0 }))
    );
    site.append("Other").await;
    loop {
        let message = soon(stream.message()).await.unwrap().unwrap();
        let Some(Content::Heartbeat(beat)) = message.content else {
            panic!("{message:?}");
        };
        assert!(beat.time.is_some());
        if beat.head == 1 {
            assert_eq!(message.position, Some(position(1, 1)));
            return;
        }
    }
}

#[tokio::test]
async fn a_subscription_that_cannot_start_says_why() {
    let site = Site::memory().await;
    for _ in 0..2 {
        site.append("T").await;
    }
    let subscribe = |start| v1::SubscribeRequest {
        start: Some(start),
        ..v1::SubscribeRequest::default()
    };
    let mut api = site.api();
    let ahead = subscribe(Start::After(position(1, 9)));
    let error = refused_stream(ErrorReason::PositionAhead, api.subscribe(ahead)).await;
    assert_eq!(error.metadata[key::HEAD], "2");

    let time = pbjson_types::Timestamp {
        seconds: 0,
        nanos: -1,
    };
    let wrong = [
        (subscribe(Start::FromTime(time)), "from_time.nanos"),
        (
            subscribe(Start::FromVersion(v1::VectorTime {
                entries: vec![v1::vector_time::Entry {
                    location: "Not a name".into(),
                    incarnation: 1,
                    sequence: 1,
                }],
            })),
            "from_version.entries[0].location",
        ),
        (subscribe(Start::Consumer(String::new())), "consumer"),
        (
            v1::SubscribeRequest {
                select: Some(v1::Selector {
                    origins: vec!["eu".into(), "U S".into()],
                    ..v1::Selector::default()
                }),
                ..v1::SubscribeRequest::default()
            },
            "select.origins[1]",
        ),
    ];
    for (request, field) in wrong {
        let error = refused_stream(ErrorReason::InvalidRequest, api.subscribe(request)).await;
        assert_eq!(fields(&error), [field]);
    }
    let request = v1::SubscribeRequest {
        select: Some(v1::Selector {
            cel: "event.typ == 'T'".into(),
            ..v1::Selector::default()
        }),
        ..v1::SubscribeRequest::default()
    };
    let error = refused_stream(ErrorReason::InvalidFilter, api.subscribe(request)).await;
    assert_eq!(fields(&error), ["select.cel"]);
}
