//! What streams send while the writer changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidelog_core::{EdgeContext, Frame, FrameEvent, FrameOutcome, FrameWork, Work};
use tidelog_model::{
    ChainHash, Event, HybridTime, Incarnation, Lineage, LineageEntry, LocationName, VectorTime,
    canonical,
};
use tidelog_store::LogStore;

use crate::faulty::{Faulty, Gate};
use crate::rig::{Rig, request};

/// An event that another location has written, as it travels.
pub fn foreign(id: &str, context: &str) -> FrameEvent {
    let event = Event {
        id: id.parse().unwrap(),
        context: context.parse().unwrap(),
        time: HybridTime::default(),
        event_type: "t".into(),
        schema_version: 0,
        content_type: String::new(),
        payload: Bytes::new(),
        emitter_id: String::new(),
        aggregate_id: "a".into(),
        destinations: Vec::new(),
        metadata: [].into(),
        caused_by: None,
        delivery_id: String::new(),
        request_id: String::new(),
        request_index: 0,
        request_count: 0,
        application_version: "".parse().unwrap(),
        plan_id: 0,
    };
    FrameEvent::decode(&Bytes::from(canonical::encode(&event))).unwrap()
}

/// A frame of a source that covers `(from, to]` with these events.
pub fn frame(source: &str, from: u64, to: u64, events: Vec<FrameEvent>, covered: &str) -> Work {
    let hash = |n: u64| match n {
        0 => ChainHash::ZERO,
        n => ChainHash([n as u8; 32]),
    };
    let covered: VectorTime = covered.parse().unwrap();
    let source = LocationName::new(source).unwrap();
    Work::Frame(Box::new(FrameWork {
        frame: Frame {
            stream: 1,
            incarnation: Incarnation(1),
            from,
            to,
            hash_from: hash(from),
            hash_to: hash(to),
            events,
            covered,
            head: to,
            filtered: 0,
        },
        edge: EdgeContext {
            source: source.clone(),
            lineage: Lineage::new(vec![LineageEntry {
                incarnation: Incarnation(1),
                base: 0,
            }])
            .unwrap(),
            behind: Arc::new(BTreeSet::from([source])),
        },
    }))
}

const STORED: FrameOutcome = FrameOutcome::Applied {
    stored: 1,
    redundant: 0,
};

#[tokio::test]
async fn a_frame_of_a_stream_from_before_a_fail_over_is_not_applied_by_the_next_writer() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    let before = *log.epoch().borrow();
    let first = frame("s", 0, 2, vec![foreign("s#1/1", "")], "s#1:1");
    assert_eq!(log.work(before, first).await, STORED);
    let reached_the_standby = store.inner().snapshot();
    // X is written at t, and comes from t. Then s is told that it is here, and leaves it out: Y has seen it.
    let x = || frame("t", 0, 1, vec![foreign("t#1/1", "")], "t#1:1");
    let y = || {
        let events = vec![foreign("s#1/3", "s#1:1,t#1:1")];
        frame("s", 2, 4, events, "s#1:3,t#1:1")
    };
    assert_eq!(log.work(before, x()).await, STORED);

    // The fail-over loses X. The writer notices at its next append; the frame with Y comes while the next one begins.
    store.fail_over(reached_the_standby);
    store.hold(Gate::Lease);
    assert!(log.append(request("t")).await.is_err());
    store.held_up().await;
    assert_ne!(*log.epoch().borrow(), before, "streams end at once");
    assert!(!log.serving());
    let sender = log.clone();
    let late = tokio::spawn(async move { sender.work(before, y()).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.let_go();
    let outcome = late.await.unwrap();
    assert!(
        matches!(outcome, FrameOutcome::Failed(_)),
        "covers X without holding it: {outcome:?}"
    );

    assert!(log.wait_until_serving().await);
    let now = *log.epoch().borrow();
    assert_eq!(log.work(now, x()).await, STORED, "X is still missing");
    assert_eq!(log.work(now, y()).await, STORED);
    assert_eq!(store.state().await.unwrap().head, 3);
}

#[tokio::test]
async fn recovery_that_an_earlier_writer_has_finished_says_nothing_about_the_next_one() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let mut options = rig.options(store.clone(), "one");
    options.recovering_max = Duration::from_mins(1);
    let log = tidelog_engine::LogHandle::start(options);
    assert!(log.wait_until_serving().await);
    let before = *log.epoch().borrow();
    let copy = store.inner().snapshot();
    log.append(request("t")).await.unwrap();
    store.fail_over(copy);
    assert!(log.append(request("t")).await.is_err());
    assert!(log.wait_until_serving().await);
    assert!(log.status().borrow().recovering, "it has raised");
    log.recovered(before).await;
    log.append(request("t")).await.unwrap();
    assert!(log.status().borrow().recovering);
    log.recovered(*log.epoch().borrow()).await;
    log.append(request("t")).await.unwrap();
    assert!(!log.status().borrow().recovering);
}
