//! Replay = live: one order, no gap, no repetition, whatever runs beside it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidelog_engine::{
    Closed, PageError, ReaderOptions, Start, SubscribeError, SubscribeRequest, Subscription,
    SubscriptionItem,
};
use tidelog_model::{Position, PositionError, Selector};
use tidelog_store::generate::Peer;
use tokio::time::{sleep, timeout};

use crate::log::{
    HANG, Log, at, ended, live, next, no_tail, peer_events, replay, sequences, small, version,
};

fn upto(n: u64) -> Vec<u64> {
    (1..=n).collect()
}

#[tokio::test]
async fn replay_then_caught_up_then_live() {
    for options in [small(), no_tail()] {
        let mut log = Log::start(options).await;
        log.append(30).await;
        let mut subscription = log.subscribe(Start::default()).await;
        assert_eq!(replay(&mut subscription).await, (upto(30), at(1, 30)));
        assert_eq!(subscription.position(), at(1, 30));
        log.append(1).await;
        assert_eq!(live(&mut subscription, 1).await, [31]);
        log.append(20).await;
        assert_eq!(
            live(&mut subscription, 20).await,
            (32..=51).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_subscription_goes_on_from_any_position_it_carried() {
    let mut log = Log::start(small()).await;
    log.append(30).await;
    for from in 0..=30 {
        let mut subscription = log.subscribe(Start::After(at(1, from))).await;
        let (seen, caught_up) = replay(&mut subscription).await;
        assert_eq!(seen, (from + 1..=30).collect::<Vec<_>>());
        assert_eq!(caught_up, at(1, 30));
    }
    let unchecked = replay(&mut log.subscribe(Start::After(at(0, 28))).await).await;
    assert_eq!(
        unchecked,
        (vec![29, 30], at(1, 30)),
        "positions carry the incarnation from then on"
    );
}

#[tokio::test]
async fn caught_up_means_the_head_of_the_call_even_when_the_log_grows_faster_than_it_is_read() {
    let mut log = Log::start(small()).await;
    log.append(20).await;
    let mut subscription = log.subscribe(Start::default()).await;
    let mut seen = Vec::new();
    loop {
        assert!(seen.len() <= 20, "past the head of the call: {seen:?}");
        match next(&mut subscription).await {
            SubscriptionItem::Events { events, .. } => seen.extend(sequences(&events)),
            SubscriptionItem::CaughtUp { position, head } => {
                assert_eq!((position, head), (at(1, 20), log.reader.view().head));
                break;
            }
            SubscriptionItem::Heartbeat { .. } => panic!("not idle"),
        }
        log.append(50).await;
    }
    assert_eq!(seen, upto(20));
    let rest = live(&mut subscription, 150).await;
    assert_eq!(rest, (21..=170).collect::<Vec<_>>());
}

/// Drains a subscription until it has seen the last of `count` events; asserts order, and that caught up comes once.
async fn drain(mut subscription: Subscription, count: u64, seed: u64, slow: bool) -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut seen, mut caught_up) = (Vec::new(), 0);
    let start = subscription.position().sequence;
    while seen.last() != Some(&count) || caught_up == 0 {
        // Dropping the call at a random point must not lose what it had found.
        let patience = Duration::from_micros(random.random_range(0..400));
        let item = if random.random_bool(0.3) {
            timeout(patience, subscription.next()).await
        } else {
            timeout(HANG, subscription.next()).await
        };
        let Ok(item) = item else { continue };
        match item.unwrap() {
            SubscriptionItem::Events { events, position } => {
                assert!(!events.is_empty());
                assert!(position.sequence >= events[events.len() - 1].sequence);
                seen.extend(sequences(&events));
            }
            SubscriptionItem::CaughtUp { position, .. } => {
                caught_up += 1;
                assert_eq!(caught_up, 1, "seed {seed}");
                assert_eq!(
                    position.sequence,
                    seen.last().copied().unwrap_or(start),
                    "seed {seed}"
                );
            }
            SubscriptionItem::Heartbeat { .. } => {}
        }
        if slow {
            sleep(Duration::from_micros(random.random_range(0..1_500))).await;
        } else if random.random_bool(0.5) {
            tokio::task::yield_now().await;
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_subscriber_falls_out_of_memory_and_loses_nothing() {
    const COUNT: u64 = 4_000;
    let options = ReaderOptions {
        heartbeat_every: Duration::from_millis(1),
        page_events_max: 50,
        page_scan_max: 100,
        ..small()
    };
    let bytes_max = options.tail_bytes_max;
    let mut log = Log::start(options).await;
    let mut readers = Vec::new();
    for seed in 0..6 {
        let subscription = log.subscribe(Start::default()).await;
        readers.push(tokio::spawn(drain(
            subscription,
            COUNT,
            seed,
            seed % 2 == 0,
        )));
    }
    let (mut random, mut most, mut fewest) = (StdRng::seed_from_u64(99), 0, usize::MAX);
    while log.writer.head < COUNT {
        let count = random.random_range(1..=40).min(COUNT - log.writer.head);
        log.append_shaped(count as usize, |_, e| e.payload = Bytes::from(vec![0; 100]))
            .await;
        let size = log.reader.tail_size();
        most = most.max(size.bytes);
        if log.writer.head > 200 {
            fewest = fewest.min(size.events);
        }
        if random.random_bool(0.2) {
            tokio::task::yield_now().await;
        }
    }
    assert!(most <= bytes_max, "{most}");
    assert!(
        fewest < 100,
        "the tail must be too short for the slow ones: {fewest}"
    );
    for reader in readers {
        assert_eq!(timeout(HANG, reader).await.unwrap().unwrap(), upto(COUNT));
    }
}

/// Many subscriptions begin at random moments while events are appended and published in two steps.
async fn hand_over(seed: u64, options: ReaderOptions) {
    const COUNT: u64 = 120;
    let mut random = StdRng::seed_from_u64(seed);
    let mut log = Log::start(options).await;
    let mut readers = Vec::new();
    while log.writer.head < COUNT {
        if random.random_bool(0.3) {
            let after = random.random_range(0..=log.reader.view().head);
            let subscription = log.subscribe(Start::After(at(1, after))).await;
            let task = tokio::spawn(drain(subscription, COUNT, random.random(), false));
            readers.push((after, task));
        }
        let count = random.random_range(1..=5).min(COUNT - log.writer.head);
        let batch = log.commit_only(count as usize).await;
        for _ in 0..random.random_range(0..4) {
            tokio::task::yield_now().await;
        }
        log.publish(batch).await;
        for _ in 0..random.random_range(0..4) {
            tokio::task::yield_now().await;
        }
    }
    for (after, reader) in readers {
        let seen = timeout(HANG, reader).await.unwrap().unwrap();
        let expected: Vec<u64> = (after + 1..=COUNT).collect();
        assert_eq!(seen, expected, "seed {seed}");
    }
}

#[tokio::test]
async fn no_schedule_of_the_hand_over_loses_or_repeats_an_event() {
    for seed in 0..150 {
        let tail_bytes_max = [0, 3_000, 1 << 20][seed as usize % 3];
        hand_over(
            seed,
            ReaderOptions {
                tail_bytes_max,
                ..small()
            },
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_parallel_schedule_of_the_hand_over_loses_or_repeats_an_event() {
    for seed in 1_000..1_060 {
        let tail_bytes_max = [0, 3_000, 1 << 20][seed as usize % 3];
        hand_over(
            seed,
            ReaderOptions {
                tail_bytes_max,
                ..small()
            },
        )
        .await;
    }
}

#[tokio::test]
async fn heartbeats_carry_the_position_when_nothing_matches() {
    let options = ReaderOptions {
        heartbeat_every: Duration::from_millis(15),
        ..small()
    };
    let mut log = Log::start(options).await;
    log.append(30).await;
    let nothing = Selector {
        types: vec!["Never".into()],
        ..Selector::default()
    };
    let request = SubscribeRequest {
        selection: nothing.into(),
        ..SubscribeRequest::default()
    };
    let mut subscription = log.reader.subscribe(request).await.unwrap();
    assert_eq!(replay(&mut subscription).await, (vec![], at(1, 30)));
    let beat = |n| SubscriptionItem::Heartbeat {
        position: at(1, n),
        head: n,
    };
    assert_eq!(next(&mut subscription).await, beat(30));
    log.append(12).await;
    assert_eq!(next(&mut subscription).await, beat(42));
    assert_eq!(next(&mut subscription).await, beat(42));
    log.raise(7).await;
    let raised = SubscriptionItem::Heartbeat {
        position: at(7, 42),
        head: 42,
    };
    assert_eq!(next(&mut subscription).await, raised);
}

#[tokio::test]
async fn a_long_replay_that_matches_nothing_beats_too() {
    let options = ReaderOptions {
        heartbeat_every: Duration::ZERO,
        ..no_tail()
    };
    let mut log = Log::start(options).await;
    log.append(40).await;
    let nothing = Selector {
        types: vec!["Never".into()],
        ..Selector::default()
    };
    let request = SubscribeRequest {
        selection: nothing.into(),
        ..SubscribeRequest::default()
    };
    let mut subscription = log.reader.subscribe(request).await.unwrap();
    let SubscriptionItem::Heartbeat { position, head } = next(&mut subscription).await else {
        panic!("neither an event nor caught up yet")
    };
    assert_eq!(
        (position, head),
        (at(1, 11), 40),
        "one page of the scan limit"
    );
}

#[tokio::test]
async fn latest_starts_behind_the_head_of_the_call() {
    let mut log = Log::start(small()).await;
    log.append(30).await;
    let mut subscription = log.subscribe(Start::Latest).await;
    log.append(3).await;
    assert_eq!(replay(&mut subscription).await, (vec![], at(1, 30)));
    assert_eq!(live(&mut subscription, 3).await, [31, 32, 33]);
}

#[tokio::test]
async fn from_time_starts_at_the_first_event_stored_at_or_after_it() {
    let mut log = Log::start(small()).await;
    for _ in 0..4 {
        log.append(5).await;
    }
    let times: Vec<i64> = log
        .stored()
        .await
        .iter()
        .map(|e| e.stored_at_micros)
        .collect();
    for (time, first) in [
        (0, 1),
        (times[0], 1),
        (times[5], 6),
        (times[5] - 1, 6),
        (times[5] + 1, 11),
        (times[19], 16),
        (times[19] + 1, 21),
    ] {
        let seen = replay(&mut log.subscribe(Start::FromTime(time)).await)
            .await
            .0;
        assert_eq!(seen, (first..=20).collect::<Vec<_>>(), "{time}");
    }
    // What is not published is not a start either.
    let batch = log.commit_only(2).await;
    let mut future = log.subscribe(Start::FromTime(i64::MAX)).await;
    assert_eq!(replay(&mut future).await, (vec![], at(1, 20)));
    log.publish(batch).await;
    assert_eq!(live(&mut future, 2).await, [21, 22]);
}

#[tokio::test]
async fn from_version_starts_at_the_first_uncovered_event_and_skips_covered_ones() {
    for options in [small(), no_tail()] {
        let mut log = Log::start(options).await;
        let mut us = Peer::new("us");
        log.append(4).await; // 1-4: eu#1/1..4
        log.receive("us", 3, us.write_many(3)).await; // 5-7: us#1/1..3
        log.append(2).await; // 8-9: eu#1/8..9
        log.receive("us", 6, us.write_many(3)).await; // 10-12: us#1/4..6
        log.append(1).await; // 13: eu#1/13
        for (start, expected) in [
            ("", upto(13)),
            ("eu#1:9,us#1:4", vec![11, 12, 13]),
            ("eu#1:2,us#1:5", vec![3, 4, 8, 9, 12, 13]),
            ("us#1:6", vec![1, 2, 3, 4, 8, 9, 13]),
            ("ap#1:5", upto(13)),
            ("eu#1:13,us#1:6", vec![]),
        ] {
            let mut subscription = log.subscribe(Start::FromVersion(version(start))).await;
            assert_eq!(
                replay(&mut subscription).await,
                (expected, at(1, 13)),
                "{start}"
            );
        }
        let mut subscription = log
            .subscribe(Start::FromVersion(version("eu#1:13,us#1:8")))
            .await;
        replay(&mut subscription).await;
        log.receive("us", 9, us.write_many(3)).await; // 14-16: us#1/7..9
        assert_eq!(live(&mut subscription, 1).await, [16]);
    }
}

#[tokio::test]
async fn from_version_passes_a_long_covered_part() {
    let mut log = Log::start(small()).await;
    for _ in 0..10 {
        log.append(1_000).await;
    }
    let mut subscription = log
        .subscribe(Start::FromVersion(version("eu#1:9990")))
        .await;
    let (seen, _) = replay(&mut subscription).await;
    assert_eq!(seen, (9_991..=10_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn min_version_is_waited_for_before_the_first_event() {
    let mut log = Log::start(small()).await;
    log.append(1).await;
    let request = |deadline| SubscribeRequest {
        start: Start::Latest,
        min_version: version("us#1:4"),
        deadline,
        ..SubscribeRequest::default()
    };
    let early = log
        .reader
        .subscribe(request(Some(Duration::from_millis(20))))
        .await;
    assert!(
        matches!(early, Err(SubscribeError::MinVersion(_))),
        "{early:?}"
    );
    let reader = log.reader.clone();
    let waiting = tokio::spawn(async move { reader.subscribe(request(None)).await });
    tokio::task::yield_now().await;
    log.receive("us", 4, peer_events("us", 4)).await;
    let mut subscription = waiting.await.unwrap().unwrap();
    assert_eq!(replay(&mut subscription).await, (vec![], at(1, 5)));
}

fn changed(position: Position, last_safe: Position) -> SubscribeError {
    PageError::Position(PositionError::IncarnationChanged {
        position,
        last_safe,
    })
    .into()
}

#[tokio::test]
async fn a_raise_at_the_head_does_not_disturb_a_subscription() {
    let mut log = Log::start(small()).await;
    log.append(10).await;
    let mut idle = log.subscribe(Start::default()).await;
    replay(&mut idle).await;
    let mut behind = log.subscribe(Start::default()).await;
    next(&mut behind).await;
    log.raise(7).await;
    log.append(5).await;
    assert_eq!(live(&mut idle, 5).await, [11, 12, 13, 14, 15]);
    assert_eq!(idle.position(), at(7, 15));
    assert_eq!(replay(&mut behind).await, (vec![8, 9, 10], at(7, 10)));
    assert_eq!(live(&mut behind, 5).await, [11, 12, 13, 14, 15]);
}

#[tokio::test]
async fn a_raise_below_what_was_delivered_ends_the_subscription() {
    let mut log = Log::start(small()).await;
    log.append(10).await;
    let mut idle = log.subscribe(Start::default()).await;
    replay(&mut idle).await;
    let mut behind = log.subscribe(Start::default()).await;
    next(&mut behind).await;
    let waiting = tokio::spawn(async move { idle.next().await });
    tokio::task::yield_now().await;
    log.rewrite(9, 8).await;
    let told = timeout(HANG, waiting).await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        told,
        changed(at(1, 10), at(9, 8)),
        "told at once, not with the next event"
    );
    assert_eq!(
        replay(&mut behind).await,
        (vec![8, 9, 10], at(9, 10)),
        "it had 7 of the 8 that stand"
    );

    log.rewrite(12, 2).await;
    log.append(100).await;
    assert_eq!(ended(&mut behind).await, changed(at(9, 10), at(12, 2)));
    assert_eq!(
        ended(&mut behind).await,
        changed(at(9, 10), at(12, 2)),
        "and for good"
    );
    let again = SubscribeRequest {
        start: Start::After(at(9, 10)),
        ..SubscribeRequest::default()
    };
    let refused = log.reader.subscribe(again).await.unwrap_err();
    assert_eq!(refused, changed(at(9, 10), at(12, 2)));
}

#[tokio::test]
async fn a_log_that_came_back_shorter_than_at_the_call_is_caught_up_at_its_head() {
    let mut log = Log::start(small()).await;
    log.append(40).await;
    let mut subscription = log.subscribe(Start::default()).await;
    next(&mut subscription).await;
    // As if the database had been restored from a copy with 12 events.
    let mut older = Log::start(small()).await;
    older.append(12).await;
    older.raise(7).await;
    log.publisher.reset(older.stored_view().await);
    let (seen, position) = replay(&mut subscription).await;
    assert_eq!((seen, position), (vec![8, 9, 10, 11, 12], at(7, 12)));
}

#[tokio::test]
async fn a_position_beyond_the_head_is_refused() {
    let mut log = Log::start(small()).await;
    log.append(3).await;
    let request = SubscribeRequest {
        start: Start::After(at(1, 4)),
        ..SubscribeRequest::default()
    };
    let ahead = PositionError::Ahead {
        position: at(1, 4),
        head: 3,
    };
    assert_eq!(
        log.reader.subscribe(request).await.unwrap_err(),
        PageError::Position(ahead).into()
    );
}

#[tokio::test]
async fn closing_ends_subscriptions_that_wait() {
    let mut log = Log::start(small()).await;
    log.append(3).await;
    let mut subscription = log.subscribe(Start::Latest).await;
    replay(&mut subscription).await;
    let waiting = tokio::spawn(async move { subscription.next().await });
    tokio::task::yield_now().await;
    log.publisher.close(Closed::ShuttingDown);
    let told = timeout(HANG, waiting).await.unwrap().unwrap().unwrap_err();
    assert_eq!(told, Closed::ShuttingDown.into());
    log.publisher.reset(log.stored_view().await);
    let refused = log
        .reader
        .subscribe(SubscribeRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        refused,
        Closed::ShuttingDown.into(),
        "the end of the process is final"
    );
}

#[tokio::test]
async fn a_live_event_is_the_one_in_memory_and_not_a_copy() {
    let mut log = Log::start(small()).await;
    let mut subscription = log.subscribe(Start::Latest).await;
    replay(&mut subscription).await;
    let batch = log.commit_only(1).await;
    let event = Arc::clone(&batch.events[0].event);
    log.publish(batch).await;
    let SubscriptionItem::Events { events, .. } = next(&mut subscription).await else {
        panic!("an event")
    };
    assert!(Arc::ptr_eq(&events[0].event, &event));
}
