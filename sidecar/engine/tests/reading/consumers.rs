//! Durable named consumers.

use std::time::Duration;

use tidelog_engine::{Closed, ConsumerError, PageError, Start, SubscribeError, SubscribeRequest};
use tidelog_model::{LimitError, Position, PositionError};
use tidelog_store::generate::Writer;
use tidelog_store::{Consumer, LogStore};
use tokio::time::timeout;

use crate::log::{HANG, Log, at, ended, live, next, no_tail, replay, small};

fn named(name: &str) -> Start {
    Start::Consumer(name.into())
}

fn taken(name: &str) -> SubscribeError {
    SubscribeError::ConsumerTaken { name: name.into() }
}

async fn stored(log: &Log, name: &str) -> Position {
    log.reader.consumer(name).await.unwrap().consumer.position
}

#[tokio::test]
async fn a_new_consumer_starts_at_the_first_event_and_goes_on_where_it_acknowledged() {
    let mut log = Log::start(small()).await;
    log.append(20).await;
    let mut stream = log.subscribe(named("billing")).await;
    assert_eq!(replay(&mut stream).await.0, (1..=20).collect::<Vec<_>>());
    assert_eq!(
        stored(&log, "billing").await,
        at(1, 0),
        "delivered is not acknowledged"
    );
    let status = log.reader.ack("billing", at(1, 12), false).await.unwrap();
    assert_eq!(
        (status.consumer.position, status.connected),
        (at(1, 12), true)
    );
    assert!(status.consumer.updated_at_micros > 1_600_000_000_000_000);
    drop(stream);
    assert!(!log.reader.consumer("billing").await.unwrap().connected);

    let mut stream = log.subscribe(named("billing")).await;
    assert_eq!(replay(&mut stream).await.0, (13..=20).collect::<Vec<_>>());
    let log = log.restart(small()).await;
    let mut stream = log.subscribe(named("billing")).await;
    assert_eq!(replay(&mut stream).await.0, (13..=20).collect::<Vec<_>>());
    let mut other = log.subscribe(named("audit")).await;
    assert_eq!(replay(&mut other).await.0, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_second_stream_of_a_name_ends_the_first() {
    let mut log = Log::start(small()).await;
    log.append(20).await;
    let mut first = log.subscribe(named("billing")).await;
    replay(&mut first).await;
    log.reader.ack("billing", at(1, 5), false).await.unwrap();
    let waiting = tokio::spawn(async move {
        let error = ended(&mut first).await;
        (first, error)
    });
    tokio::task::yield_now().await;
    let mut second = log.subscribe(named("billing")).await;
    let (mut first, error) = timeout(HANG, waiting).await.unwrap().unwrap();
    assert_eq!(error, taken("billing"));
    log.append(1).await;
    assert_eq!(ended(&mut first).await, taken("billing"), "and stays ended");
    drop(first);
    assert!(
        log.reader.consumer("billing").await.unwrap().connected,
        "the second one runs"
    );
    assert_eq!(replay(&mut second).await.0, (6..=20).collect::<Vec<_>>());
    assert_eq!(live(&mut second, 1).await, [21]);
}

#[tokio::test]
async fn a_page_on_its_way_to_a_stream_that_was_taken_over_is_not_delivered() {
    let mut log = Log::start(no_tail()).await;
    log.append(10).await;
    let mut first = log.subscribe(named("billing")).await;
    log.store.close_gate();
    let held = tokio::spawn(async move { first.next().await });
    log.store.reader_arrived().await;
    let mut second = log.subscribe(named("billing")).await;
    log.store.open_gate();
    assert_eq!(held.await.unwrap().unwrap_err(), taken("billing"));
    assert_eq!(replay(&mut second).await.0, (1..=10).collect::<Vec<_>>());
}

/// A process that thaws after another one has taken over still believes that it serves.
#[tokio::test]
async fn a_process_that_was_taken_over_moves_no_consumer() {
    let mut log = Log::start(small()).await;
    log.append(20).await;
    let mut stream = log.subscribe(named("billing")).await;
    replay(&mut stream).await;
    log.reader.ack("billing", at(1, 5), false).await.unwrap();
    let successor = Writer::start_as(&*log.store, "eu", 2).await;
    let fence = successor.guard().fence();
    let acknowledged = Consumer {
        name: "billing".into(),
        position: at(1, 18),
        updated_at_micros: 7,
    };
    let stored_there = log.store.put_consumer(&fence, &acknowledged).await;
    assert_eq!(stored_there, Ok(true));

    let fenced = ConsumerError::Closed(Closed::Fenced);
    for reset in [false, true] {
        let late = log.reader.ack("billing", at(1, 20), reset).await;
        assert_eq!(late.unwrap_err(), fenced);
    }
    let start = SubscribeRequest {
        start: named("new"),
        ..SubscribeRequest::default()
    };
    let refused = log.reader.subscribe(start).await.unwrap_err();
    assert_eq!(refused, Closed::Fenced.into());
    assert_eq!(log.store.consumers().await, Ok(vec![acknowledged]));
}

#[tokio::test]
async fn acknowledged_is_only_what_was_delivered_and_only_forward() {
    let mut log = Log::start(small()).await;
    log.append(20).await;
    let mut stream = log.subscribe(named("billing")).await;
    next(&mut stream).await; // 1 to 7
    let beyond = |position, delivered| ConsumerError::BeyondDelivered {
        name: "billing".into(),
        position,
        delivered,
    };
    let refused = log
        .reader
        .ack("billing", at(1, 8), false)
        .await
        .unwrap_err();
    assert_eq!(refused, beyond(at(1, 8), at(1, 7)));
    assert_eq!(stored(&log, "billing").await, at(1, 0));
    assert_eq!(
        log.reader
            .ack("billing", at(1, 7), false)
            .await
            .unwrap()
            .consumer
            .position,
        at(1, 7)
    );
    let status = log.reader.ack("billing", at(1, 3), false).await.unwrap();
    assert_eq!(
        status.consumer.position,
        at(1, 7),
        "a lower one is implied already"
    );
    let ahead = PositionError::Ahead {
        position: at(1, 21),
        head: 20,
    };
    let refused = log
        .reader
        .ack("billing", at(1, 21), false)
        .await
        .unwrap_err();
    assert_eq!(refused, ConsumerError::Position(ahead));
    next(&mut stream).await; // 8 to 14
    assert_eq!(
        log.reader
            .ack("billing", at(0, 14), false)
            .await
            .unwrap()
            .consumer
            .position,
        at(1, 14)
    );

    // What was given to a stream may be acknowledged after its end, but not what only the stream before was given.
    next(&mut stream).await; // 15 to 20
    drop(stream);
    let mut second = log.subscribe(named("billing")).await;
    let refused = log
        .reader
        .ack("billing", at(1, 20), false)
        .await
        .unwrap_err();
    assert_eq!(refused, beyond(at(1, 20), at(1, 14)));
    next(&mut second).await;
    drop(second);
    assert_eq!(
        log.reader
            .ack("billing", at(1, 20), false)
            .await
            .unwrap()
            .consumer
            .position,
        at(1, 20)
    );
}

#[tokio::test]
async fn a_reset_moves_anywhere_and_ends_the_stream() {
    let mut log = Log::start(small()).await;
    log.append(20).await;
    let mut stream = log.subscribe(named("billing")).await;
    replay(&mut stream).await;
    log.reader.ack("billing", at(1, 15), false).await.unwrap();
    let status = log.reader.ack("billing", at(1, 4), true).await.unwrap();
    assert_eq!(
        (status.consumer.position, status.connected),
        (at(1, 4), false)
    );
    assert_eq!(ended(&mut stream).await, taken("billing"));
    let refused = log.reader.ack("billing", at(1, 15), false).await;
    assert!(
        refused.is_err(),
        "an old acknowledgement must not undo the reset: {refused:?}"
    );
    let mut stream = log.subscribe(named("billing")).await;
    assert_eq!(replay(&mut stream).await.0, (5..=20).collect::<Vec<_>>());

    let status = log.reader.ack("fresh", at(1, 18), true).await.unwrap();
    assert_eq!(status.consumer.position, at(1, 18));
    let mut stream = log.subscribe(named("fresh")).await;
    assert_eq!(replay(&mut stream).await.0, [19, 20]);
    let ahead = log.reader.ack("fresh", at(1, 21), true).await.unwrap_err();
    assert!(matches!(
        ahead,
        ConsumerError::Position(PositionError::Ahead { .. })
    ));
}

#[tokio::test]
async fn the_first_acknowledgement_creates_but_cannot_skip() {
    let mut log = Log::start(small()).await;
    log.append(20).await;
    let refused = log.reader.ack("new", at(1, 5), false).await.unwrap_err();
    assert!(
        matches!(refused, ConsumerError::BeyondDelivered { .. }),
        "{refused:?}"
    );
    assert!(log.reader.consumers().await.unwrap().is_empty());
    log.reader.ack("new", at(1, 0), false).await.unwrap();
    assert_eq!(stored(&log, "new").await, at(1, 0));
}

#[tokio::test]
async fn a_consumer_beyond_a_base_is_told_until_it_is_reset() {
    let mut log = Log::start(small()).await;
    log.append(20).await;
    let mut ahead = log.subscribe(named("ahead")).await;
    replay(&mut ahead).await;
    log.reader.ack("ahead", at(1, 15), false).await.unwrap();
    let mut safe = log.subscribe(named("safe")).await;
    replay(&mut safe).await;
    log.reader.ack("safe", at(1, 10), false).await.unwrap();
    log.rewrite(7, 10).await;
    log.append(50).await;

    let changed = |n| PositionError::IncarnationChanged {
        position: at(1, n),
        last_safe: at(7, 10),
    };
    let expected = SubscribeError::Page(PageError::Position(changed(20)));
    assert_eq!(ended(&mut ahead).await, expected);
    // An unchecked acknowledgement of what the stream was given before the raise must not pass for the events that replaced it.
    let refused = log.reader.ack("safe", at(0, 20), false).await.unwrap_err();
    let ConsumerError::BeyondDelivered { delivered, .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(delivered, at(7, 10));

    let mut log = log.restart(small()).await;
    log.append(1).await;
    let request = || SubscribeRequest {
        start: named("ahead"),
        ..SubscribeRequest::default()
    };
    let refused = log.reader.subscribe(request()).await.unwrap_err();
    assert_eq!(
        refused,
        SubscribeError::Page(PageError::Position(changed(15)))
    );
    let refused = log.reader.ack("ahead", at(7, 10), false).await.unwrap_err();
    assert_eq!(refused, ConsumerError::Position(changed(15)));
    assert_eq!(stored(&log, "ahead").await, at(1, 15), "told, not moved");
    log.reader.ack("ahead", at(7, 10), true).await.unwrap();
    let mut stream = log.subscribe(named("ahead")).await;
    assert_eq!(replay(&mut stream).await.0, (11..=71).collect::<Vec<_>>());
    let mut stream = log.subscribe(named("safe")).await;
    assert_eq!(replay(&mut stream).await.0, (11..=71).collect::<Vec<_>>());
}

#[tokio::test]
async fn consumers_are_listed_by_name_and_deleted_with_their_stream() {
    let mut log = Log::start(small()).await;
    log.append(5).await;
    let mut b = log.subscribe(named("b")).await;
    replay(&mut b).await;
    log.reader.ack("a", at(1, 3), true).await.unwrap();
    let list = log.reader.consumers().await.unwrap();
    let list: Vec<_> = list
        .iter()
        .map(|s| (s.consumer.name.as_str(), s.connected))
        .collect();
    assert_eq!(list, [("a", false), ("b", true)]);

    let waiting = tokio::spawn(async move { b.next().await });
    tokio::task::yield_now().await;
    log.reader.delete_consumer("b").await.unwrap();
    let ended = timeout(HANG, waiting).await.unwrap().unwrap().unwrap_err();
    assert_eq!(ended, SubscribeError::ConsumerDeleted { name: "b".into() });
    let missing = ConsumerError::NotFound { name: "b".into() };
    assert_eq!(log.reader.delete_consumer("b").await.unwrap_err(), missing);
    assert_eq!(log.reader.consumer("b").await.unwrap_err(), missing);
    assert!(log.store.consumer("b").await.unwrap().is_none());
    let refused = log.reader.ack("b", at(1, 5), false).await;
    assert!(
        refused.is_err(),
        "what a deleted consumer was given is forgotten: {refused:?}"
    );
    let mut b = log.subscribe(named("b")).await;
    assert_eq!(replay(&mut b).await.0, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn names_have_a_length() {
    let log = Log::start(small()).await;
    let long = "x".repeat(513);
    for name in ["", long.as_str(), "a\0b"] {
        let request = SubscribeRequest {
            start: named(name),
            ..SubscribeRequest::default()
        };
        let refused = log.reader.subscribe(request).await.unwrap_err();
        assert!(matches!(refused, SubscribeError::Invalid(_)), "{refused:?}");
        let refused = log.reader.ack(name, at(1, 0), false).await.unwrap_err();
        assert!(matches!(refused, ConsumerError::Invalid(_)), "{refused:?}");
    }
    let refused = log.reader.consumer(&long).await.unwrap_err();
    let limit = LimitError::TooLong {
        field: "consumer".into(),
        actual: 513,
        limit: 512,
    };
    assert_eq!(refused, ConsumerError::Invalid(limit));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_streams_that_begin_together_one_remains() {
    let mut log = Log::start(small()).await;
    log.append(5).await;
    let mut streams = Vec::new();
    for _ in 0..30 {
        let reader = log.reader.clone();
        streams.push(tokio::spawn(async move {
            let request = SubscribeRequest {
                start: named("one"),
                ..SubscribeRequest::default()
            };
            let mut stream = reader.subscribe(request).await.unwrap();
            // The events in one page, and caught up.
            for _ in 0..3 {
                match timeout(Duration::from_millis(150), stream.next()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        assert_eq!(error, taken("one"));
                        return false;
                    }
                    Err(_) => return true,
                }
            }
            panic!("more than there is")
        }));
    }
    let mut remaining = 0;
    for stream in streams {
        remaining += usize::from(stream.await.unwrap());
    }
    assert_eq!(remaining, 1);
}
