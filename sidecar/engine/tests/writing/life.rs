//! What a log remembers over restarts, losses and take-overs.

use std::sync::Arc;
use std::time::Duration;

use tidelog_core::Refusal;
use tidelog_engine::{LogHandle, LogPhase, Start, SubscribeRequest, SubscriptionItem};
use tidelog_model::{Position, PositionError};
use tidelog_store::{LogStore, MemoryStore};

use crate::faulty::Faulty;
use crate::rig::{Rig, keyed, request, wall};

#[tokio::test]
async fn an_append_is_in_the_store_when_it_is_answered_and_seen_by_subscribers() {
    let rig = Rig::new();
    let store = Rig::store();
    let log = rig.start(store.clone()).await;
    let mut subscription = log
        .reader()
        .subscribe(SubscribeRequest::default())
        .await
        .unwrap();
    let accepted = log.append(request("t")).await.unwrap();
    assert_eq!(accepted.ids[0].to_string(), "eu#1/1");
    assert_eq!(accepted.token.to_string(), "eu#1:1");
    assert_eq!(store.state().await.unwrap().head, 1);
    let mut seen = 0;
    while seen == 0 {
        if let SubscriptionItem::Events { events, .. } = subscription.next().await.unwrap() {
            seen = events[0].sequence;
        }
    }
    assert_eq!(seen, 1);
    log.shut_down().await;
    assert!(matches!(
        log.append(request("t")).await,
        Err(Refusal::ShuttingDown)
    ));
}

#[tokio::test]
async fn many_requests_in_flight_are_answered_in_order_and_batched() {
    let rig = Rig::new();
    let log = rig.start(Rig::store()).await;
    let mut pending = Vec::new();
    for _ in 0..500 {
        pending.push(log.submit(request("t")).await);
    }
    for (i, answer) in pending.into_iter().enumerate() {
        assert_eq!(answer.answer().await.unwrap().first_sequence, i as u64 + 1);
    }
    let batches = log
        .counters()
        .batches
        .load(std::sync::atomic::Ordering::Relaxed);
    assert!(batches < 400, "{batches} batches for 500 requests");
}

#[tokio::test]
async fn a_restart_after_a_clean_stop_or_a_crash_goes_on_in_the_same_incarnation() {
    let rig = Rig::new();
    let store = Rig::store();
    let log = rig.start(store.clone()).await;
    log.append(request("t")).await.unwrap();
    log.shut_down().await;
    let log = rig.start(store.clone()).await;
    assert_eq!(
        log.append(keyed("t", "r")).await.unwrap().ids[0].to_string(),
        "eu#1/2"
    );
    drop(log); // a crash: nothing is recorded any more
    tokio::time::sleep(Duration::from_millis(50)).await;
    let copy = Arc::new(MemoryStore::restore(store.snapshot(), Arc::new(wall)));
    let log = rig.start(copy).await;
    let again = log.append(keyed("t", "r")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.ids[0].to_string(), "eu#1/2");
}

#[tokio::test]
async fn a_database_restored_from_an_older_copy_raises_and_tells_its_readers() {
    let rig = Rig::new();
    let store = Rig::store();
    let log = rig.start(store.clone()).await;
    log.append(request("t")).await.unwrap();
    let backup = store.snapshot();
    for _ in 0..4 {
        log.append(request("t")).await.unwrap();
    }
    let before = log.reader().view().current().incarnation;
    log.shut_down().await;

    let log = rig
        .start(Arc::new(MemoryStore::restore(backup, Arc::new(wall))))
        .await;
    let view = log.reader().view();
    assert!(view.current().incarnation > before);
    assert_eq!((view.current().base, view.head), (1, 1));
    let accepted = log.append(request("t")).await.unwrap();
    assert_eq!(
        accepted.ids[0].origin.incarnation,
        view.current().incarnation
    );
    assert_eq!(accepted.ids[0].sequence, 2);
    let lost = Position::new(before, 2);
    assert!(matches!(
        log.reader().check(lost).await,
        Err(tidelog_engine::PageError::Position(PositionError::IncarnationChanged { last_safe, .. }))
            if last_safe.sequence == 1
    ));
    // Requests with ids wait until the table is back, for a bounded time.
    assert!(matches!(
        log.append(keyed("t", "x")).await,
        Err(Refusal::Recovering)
    ));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(log.append(keyed("t", "x")).await.is_ok());
}

#[tokio::test]
async fn a_restart_neither_ends_recovery_nor_begins_it_again() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let start = async || {
        let mut options = rig.options(store.clone(), "one");
        options.recovering_max = Duration::from_secs(3);
        let log = LogHandle::start(options);
        assert!(log.wait_until_serving().await);
        log
    };
    let refused = |answer| matches!(answer, Err(Refusal::Recovering));
    let log = start().await;
    let backup = store.inner().snapshot();
    log.append(request("t")).await.unwrap();
    log.shut_down().await;
    store.fail_over(backup);
    let log = start().await;
    assert!(refused(log.append(keyed("t", "x")).await));
    log.shut_down().await;

    // Another process: what was lost is not back because of it.
    let log = start().await;
    assert!(refused(log.append(keyed("t", "x")).await));
    let another_writer = async || {
        let mut epoch = log.epoch();
        let before = *epoch.borrow_and_update();
        store.restart();
        epoch.wait_for(|e| *e > before + 1).await.unwrap();
        assert!(log.wait_until_serving().await);
    };
    another_writer().await;
    assert!(refused(log.append(keyed("t", "x")).await));

    // It is back: that holds on.
    log.recovered(*log.epoch().borrow()).await;
    log.append(keyed("t", "x")).await.unwrap();
    another_writer().await;
    log.append(keyed("t", "y")).await.unwrap();

    // Nobody says so: for a bounded time all the same.
    log.shut_down().await;
    let log = start().await;
    assert!(refused(log.append(keyed("t", "z")).await));
    tokio::time::sleep(Duration::from_secs(4)).await;
    log.append(keyed("t", "z")).await.unwrap();
    log.shut_down().await;
    let log = start().await;
    log.append(keyed("t", "a")).await.unwrap();
}

#[tokio::test]
async fn an_emptied_database_never_uses_an_id_again() {
    let rig = Rig::new();
    let log = rig.start(Rig::store()).await;
    let first = log.append(request("t")).await.unwrap().ids.remove(0);
    log.shut_down().await;
    let log = rig.start(Rig::store()).await;
    let second = log.append(request("t")).await.unwrap().ids.remove(0);
    assert_ne!(first, second);
    assert_eq!(second.sequence, 1);
}

#[tokio::test]
async fn a_lost_witness_raises() {
    let rig = Rig::new();
    let store = Rig::store();
    let log = rig.start(store.clone()).await;
    log.append(request("t")).await.unwrap();
    log.shut_down().await;
    std::fs::remove_file(rig.witness()).unwrap();
    let log = rig.start(store).await;
    assert_ne!(log.reader().view().current().incarnation.0, 1);
}

#[tokio::test]
async fn a_second_process_waits_and_takes_over_when_the_lease_runs_out() {
    let rig = Rig::new();
    let store = Rig::store();
    let first = rig.start(store.clone()).await;
    first.append(request("t")).await.unwrap();
    let second = LogHandle::start(rig.options(store.clone(), "two"));
    let mut status = second.status();
    status
        .wait_for(|s| matches!(s.phase, LogPhase::Standby { .. }))
        .await
        .unwrap();
    assert!(matches!(
        second.append(request("t")).await,
        Err(Refusal::NotWriter)
    ));
    first.shut_down().await;
    assert!(second.wait_until_serving().await);
    assert_eq!(
        second.append(request("t")).await.unwrap().ids[0].to_string(),
        "eu#1/2"
    );
}

#[tokio::test]
async fn a_frozen_writer_that_wakes_after_a_take_over_adds_nothing() {
    let rig = Rig::new();
    let store = Rig::store();
    let first = rig.start(store.clone()).await;
    first.append(request("t")).await.unwrap();
    // Somebody else takes the lease over, as after its expiry.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let lease = tidelog_store::Lease {
        owner: "one".into(),
        address: String::new(),
        nonce: 77,
        ttl: Duration::from_secs(5),
    };
    store.acquire_lease(&lease).await.unwrap();
    let answer = first.append(request("t")).await;
    assert!(matches!(answer, Err(Refusal::NotWriter)), "{answer:?}");
    assert_eq!(store.state().await.unwrap().head, 1);
}

#[tokio::test]
async fn a_subscription_lives_through_a_take_over_without_loss() {
    let rig = Rig::new();
    let store = Rig::store();
    let log = rig.start(store.clone()).await;
    let request_latest = SubscribeRequest {
        start: Start::Latest,
        ..SubscribeRequest::default()
    };
    let mut subscription = log.reader().subscribe(request_latest).await.unwrap();
    log.append(request("a")).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let SubscriptionItem::Events { events, .. } = subscription.next().await.unwrap() {
            seen.extend(events.iter().map(|e| e.sequence));
            if seen.len() == 1 {
                log.append(request("b")).await.unwrap();
            }
        }
    }
    assert_eq!(seen, [1, 2]);
}

#[tokio::test]
async fn nothing_is_answered_that_the_witness_does_not_know() {
    let rig = Rig::new();
    let store = Rig::store();
    let witness = Arc::new(crate::rig::Jammed::new(rig.witness()));
    let mut options = rig.options(store.clone(), "one");
    options.witness = witness.clone();
    let log = LogHandle::start(options);
    assert!(log.wait_until_serving().await);
    log.append(request("t")).await.unwrap();
    witness.jam(true);
    let answer = log.append(keyed("t", "r")).await;
    assert!(
        matches!(answer, Err(Refusal::OutcomeUnknown(_))),
        "{answer:?}"
    );
    assert_eq!(
        log.reader().view().head,
        1,
        "an event left before the witness knew it"
    );
    witness.jam(false);
    assert!(log.wait_until_serving().await);
    let again = log.append(keyed("t", "r")).await.unwrap();
    assert_eq!((again.first_sequence, again.replayed), (2, true));
}
