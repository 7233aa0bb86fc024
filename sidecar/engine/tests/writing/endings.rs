//! What the end of a writer leaves open: as little as can be.

use std::sync::Arc;
use std::time::Duration;

use tidelog_core::Refusal;
use tidelog_engine::{LogHandle, LogOptions, LogPhase};
use tidelog_model::Incarnation;
use tidelog_store::LogStore;

use crate::faulty::{Faulty, Gate};
use crate::rig::{Jammed, Rig, keyed, request, wall};
use crate::streams::foreign;

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(Duration::from_secs(10), future);
    answer.await.unwrap()
}

#[tokio::test]
async fn nothing_is_raised_that_the_witness_does_not_know() {
    let rig = Rig::new();
    let store = Rig::store();
    let witness = Arc::new(Jammed::new(rig.witness()));
    witness.jam(true);
    let log = LogHandle::start(LogOptions {
        witness: witness.clone(),
        ..rig.options(store.clone(), "one")
    });
    let mut status = log.status();
    let failing = status.wait_for(|s| matches!(s.phase, LogPhase::Failing(_)));
    drop(soon(failing).await.unwrap());
    assert_eq!(store.state().await.unwrap().lineage.entries(), []);
    witness.jam(false);
    assert!(soon(log.wait_until_serving()).await);
    assert_eq!(store.state().await.unwrap().lineage.entries().len(), 1);
}

#[tokio::test]
async fn a_loss_that_is_proven_during_a_commit_leaves_nothing_unknown() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    store.hold(Gate::Commit);
    let in_flight = log.submit(request("t")).await;
    store.held_up().await;
    let plain = log.submit(request("t")).await;
    let asking = log.submit(keyed("t", "r")).await;
    log.report_loss(foreign("eu#1/50", "")).await;
    assert_eq!(soon(plain.answer()).await, Err(Refusal::NotWriter));
    assert_eq!(soon(asking.answer()).await, Err(Refusal::NotWriter));
    store.let_go();
    assert_eq!(soon(in_flight.answer()).await.unwrap().first_sequence, 1);
}

#[tokio::test]
async fn a_loss_that_two_peers_prove_is_one_loss() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    log.append(request("t")).await.unwrap();
    let epoch = *log.epoch().borrow();
    store.hold(Gate::Lease);
    log.report_loss(foreign("eu#1/50", "")).await;
    store.held_up().await;
    // While the raise is under way another peer shows the same, and one shows what was there all the time.
    log.report_loss(foreign("eu#1/50", "")).await;
    log.report_loss(foreign("eu#1/1", "")).await;
    let waiting = log.submit(request("t")).await;
    store.let_go();
    let accepted = soon(waiting.answer()).await.unwrap();
    let view = log.reader().view();
    assert_eq!(view.lineage.entries().len(), 2);
    let current = view.current().incarnation;
    assert_eq!(accepted.ids[0].origin.incarnation, current);
    assert_eq!(
        *log.epoch().borrow(),
        epoch + 2,
        "one end and one beginning"
    );
    // What this very writer has written is no loss, however old the view was by which somebody judged.
    let own = format!("eu#{current}/2");
    log.report_loss(foreign(&own, "")).await;
    log.append(request("t")).await.unwrap();
    assert_eq!(*log.epoch().borrow(), epoch + 2);
}

#[tokio::test]
async fn a_new_incarnation_is_above_those_that_peers_have_named() {
    let rig = Rig::new();
    let log = rig.start(Rig::store()).await;
    let seconds = u32::try_from(wall() / 1_000_000).unwrap();
    let named = Incarnation(seconds + 3_600);
    log.heard_incarnation(named);
    log.heard_incarnation(Incarnation(1));
    let raise = async || {
        let mut epoch = log.epoch();
        let before = *epoch.borrow_and_update();
        let current = log.lineage().current().unwrap().incarnation;
        log.report_loss(foreign(&format!("eu#{current}/50"), ""))
            .await;
        soon(epoch.wait_for(|e| *e > before + 1)).await.unwrap();
        log.lineage().current().unwrap().incarnation
    };
    let raised = raise().await;
    assert_eq!(raised, Incarnation(named.0 + 1));
    // One that would leave no room is not believed.
    log.heard_incarnation(Incarnation(u32::MAX));
    assert_eq!(raise().await, Incarnation(raised.0 + 1));
}

#[tokio::test]
async fn a_question_to_the_store_is_not_a_commit() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    store.hold(Gate::Check);
    let asking = log.submit(keyed("t", "r")).await;
    store.held_up().await;
    log.report_loss(foreign("eu#1/50", "")).await;
    assert_eq!(soon(asking.answer()).await, Err(Refusal::NotWriter));
}

#[tokio::test]
async fn a_witness_that_cannot_be_written_leaves_only_its_own_commit_unknown() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let witness = Arc::new(Jammed::new(rig.witness()));
    let mut options = rig.options(store.clone(), "one");
    options.witness = witness.clone();
    let log = LogHandle::start(options);
    assert!(log.wait_until_serving().await);
    let before = log.append(keyed("t", "old")).await.unwrap();
    store.hold(Gate::Check);
    // One batch: a new request and the repetition of an old one. The next one waits.
    let new = log.submit(keyed("t", "new")).await;
    let old = log.submit(keyed("t", "old")).await;
    store.held_up().await;
    let queued = log.submit(request("t")).await;
    witness.jam(true);
    store.let_go();
    let answer = soon(new.answer()).await;
    assert!(matches!(answer, Err(Refusal::OutcomeUnknown(_))));
    assert_eq!(soon(old.answer()).await.unwrap().ids, before.ids);
    assert_eq!(soon(queued.answer()).await, Err(Refusal::NotWriter));
    witness.jam(false);
    assert!(log.wait_until_serving().await);
    assert!(soon(log.append(keyed("t", "new"))).await.unwrap().replayed);
}

#[tokio::test]
async fn what_comes_while_the_log_shuts_down_is_told_so() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    log.append(request("t")).await.unwrap();
    store.hold(Gate::Commit);
    let in_flight = log.submit(request("t")).await;
    store.held_up().await;
    let stopping = tokio::spawn({
        let log = log.clone();
        async move { log.shut_down().await }
    });
    let late = {
        let log = log.clone();
        tokio::spawn(async move {
            let mut answers = Vec::new();
            while answers.len() < 200 {
                answers.push(log.append(request("t")).await);
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            answers
        })
    };
    tokio::time::sleep(Duration::from_millis(10)).await;
    store.hold(Gate::Renew);
    tokio::time::sleep(Duration::from_millis(10)).await;
    store.let_go();
    assert_eq!(soon(in_flight.answer()).await.unwrap().first_sequence, 2);
    soon(stopping).await.unwrap();
    for answer in soon(late).await.unwrap() {
        assert_eq!(answer, Err(Refusal::ShuttingDown));
    }
}

#[tokio::test]
async fn a_log_that_stops_for_another_reason_still_shuts_down() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    store.hold(Gate::Commit);
    let in_flight = log.submit(request("t")).await;
    store.held_up().await;
    log.report_loss(foreign("eu#1/50", "")).await;
    let stopping = tokio::spawn({
        let log = log.clone();
        async move { log.shut_down().await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    store.let_go();
    soon(stopping).await.unwrap();
    assert!(soon(in_flight.answer()).await.is_ok());
    assert_eq!(log.append(request("t")).await, Err(Refusal::ShuttingDown));
}

#[tokio::test]
async fn what_was_handed_in_and_never_looked_at_is_not_in_the_log() {
    let rig = Rig::new();
    let log = rig.start(Rig::store()).await;
    let stopping = log.shut_down();
    tokio::pin!(stopping);
    tokio::select! {
        biased;
        () = &mut stopping => unreachable!("the log has not been told yet"),
        () = std::future::ready(()) => {}
    }
    // More than the writer takes at a time, and all of it behind the last word.
    let mut waiting = Vec::new();
    let submits = async {
        for _ in 0..600 {
            waiting.push(log.submit(request("t")).await);
        }
    };
    tokio::task::unconstrained(submits).await;
    soon(stopping).await;
    for pending in waiting {
        assert_eq!(soon(pending.answer()).await, Err(Refusal::ShuttingDown));
    }
}
