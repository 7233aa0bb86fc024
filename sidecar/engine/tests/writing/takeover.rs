//! Two processes and one log: what the one has done while the other looked away.

use std::sync::Arc;
use std::time::Duration;

use tidelog_core::{FrameEvent, FrameOutcome, Refusal};
use tidelog_engine::{LogHandle, LogPhase};
use tidelog_model::{EventId, canonical};
use tidelog_store::{InstanceId, Lease, LogStore, MemoryStore};

use crate::faulty::{Fault, Faulty, Gate};
use crate::rig::{Rig, keyed, request, wall};
use crate::streams::frame;

/// A writer whose process is frozen until another one has taken over.
async fn frozen_over_a_take_over(rig: &Rig) -> (Arc<Faulty>, LogHandle, LogHandle) {
    let store = Faulty::new(Rig::store());
    let first = rig.start(store.clone()).await;
    first.append(request("t")).await.unwrap();
    store.hold(Gate::Renew);
    let second = LogHandle::start(rig.options(store.inner(), "two"));
    assert!(second.wait_until_serving().await);
    (store, first, second)
}

async fn stands_by(log: &LogHandle) {
    let mut status = log.status();
    let standby = status.wait_for(|s| matches!(s.phase, LogPhase::Standby { .. }));
    standby.await.unwrap();
}

/// The id of the first append that is taken.
#[expect(clippy::panic, reason = "a helper of tests")]
async fn next_id(log: &LogHandle) -> EventId {
    for _ in 0..100 {
        if let Ok(accepted) = log.append(request("t")).await {
            return accepted.ids[0].clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing is appended within 5 s");
}

/// What was acknowledged under the id is there, or the id is never used again.
fn not_used_again(acknowledged: &EventId, next: &EventId) {
    assert_ne!(acknowledged, next, "one id, two contents");
}

#[tokio::test]
async fn a_fenced_writer_does_not_go_on_by_what_it_remembers() {
    let rig = Rig::new();
    let (store, first, second) = frozen_over_a_take_over(&rig).await;
    store.let_go();
    stands_by(&first).await;
    let reached_the_standby = store.inner().snapshot();
    let acknowledged = second.append(request("lost")).await.unwrap().ids.remove(0);
    drop(second);
    // The fail-over brings the log back to where the first writer left it.
    store.fail_over(reached_the_standby);
    assert!(first.wait_until_serving().await);
    let next = first.append(request("t")).await.unwrap().ids.remove(0);
    not_used_again(&acknowledged, &next);
}

#[tokio::test]
async fn a_commit_that_was_lost_while_another_writer_held_the_lease_ends_the_writer() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let first = rig.start(store.clone()).await;
    first.append(request("t")).await.unwrap();
    store.fail_next_commit(Fault::Gone);
    let waiting = first.submit(keyed("t", "r")).await;
    let second = LogHandle::start(rig.options(store.inner(), "two"));
    assert!(second.wait_until_serving().await);
    let reached_the_standby = store.inner().snapshot();
    let acknowledged = second.append(request("lost")).await.unwrap().ids.remove(0);
    drop(second);
    store.fail_over(reached_the_standby);
    // Until the lease of the second one has run out: the first one gets it, and finds head and hash as it left them.
    tokio::time::sleep(Duration::from_millis(800)).await;
    store.come_back();
    assert!(waiting.answer().await.is_err());
    not_used_again(&acknowledged, &next_id(&first).await);
}

#[tokio::test]
async fn an_older_copy_in_the_running_server_is_noticed_by_what_the_writer_remembers() {
    let running = InstanceId {
        system: "7".into(),
        timeline: "0".into(),
        started: Some("2026".into()),
    };
    let rig = Rig::new();
    let inner = MemoryStore::new(Arc::new(wall)).with_instance(running.clone());
    let store = Faulty::new(Arc::new(inner));
    let log = rig.start(store.clone()).await;
    log.append(request("kept")).await.unwrap();
    let copy = store.inner().snapshot();
    let acknowledged = log.append(request("lost")).await.unwrap().ids.remove(0);
    store.fail_next_commit(Fault::Gone);
    let waiting = log.submit(request("t")).await;
    store.went_away().await;
    store.put_back(copy, running);
    store.come_back();
    assert!(waiting.answer().await.is_err());
    not_used_again(&acknowledged, &next_id(&log).await);
}

#[tokio::test]
async fn an_older_copy_in_the_running_server_is_noticed_also_by_a_writer_that_it_fences() {
    let running = InstanceId {
        system: "7".into(),
        timeline: "0".into(),
        started: Some("2026".into()),
    };
    let rig = Rig::new();
    let inner = MemoryStore::new(Arc::new(wall)).with_instance(running.clone());
    let store = Faulty::new(Arc::new(inner));
    let log = rig.start(store.clone()).await;
    log.append(request("kept")).await.unwrap();
    let copy = store.inner().snapshot();
    let acknowledged = log.append(request("lost")).await.unwrap().ids.remove(0);
    store.put_back(copy, running);
    assert_eq!(log.append(request("t")).await, Err(Refusal::NotWriter));
    assert!(log.wait_until_serving().await);
    let next = log.append(request("t")).await.unwrap().ids.remove(0);
    not_used_again(&acknowledged, &next);
}

#[tokio::test]
async fn a_take_over_while_the_writer_starts_anew_is_noticed_though_it_is_over() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let first = rig.start(store.clone()).await;
    first.append(request("t")).await.unwrap();
    store.hold(Gate::Lease);
    store.restart();
    store.held_up().await;
    let second = LogHandle::start(rig.options(store.inner(), "two"));
    assert!(second.wait_until_serving().await);
    let reached_the_standby = store.inner().snapshot();
    let acknowledged = second.append(request("lost")).await.unwrap().ids.remove(0);
    drop(second);
    store.fail_over(reached_the_standby);
    tokio::time::sleep(Duration::from_millis(800)).await;
    store.let_go();
    assert!(first.wait_until_serving().await);
    let next = first.append(request("t")).await.unwrap().ids.remove(0);
    not_used_again(&acknowledged, &next);
}

/// A raise leaves head and hash as they are. A fail-over that loses it brings back an incarnation whose ids were used.
#[tokio::test]
async fn a_writer_does_not_go_on_in_an_incarnation_that_it_had_left() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    log.append(request("t")).await.unwrap();
    let reached_the_standby = store.inner().snapshot();
    let acknowledged = log.append(request("lost")).await.unwrap().ids.remove(0);
    store.fail_over(reached_the_standby.clone());
    assert!(log.append(request("t")).await.is_err());
    assert!(log.wait_until_serving().await);
    let raised = log.reader().view().current();
    assert!(raised.incarnation > acknowledged.origin.incarnation);

    // The next one has the lease of this writer, and not its raise.
    let lease = store.state().await.unwrap().lease.unwrap();
    let standby = MemoryStore::restore(reached_the_standby, Arc::new(wall));
    let lease = Lease {
        owner: lease.owner,
        address: lease.address,
        nonce: lease.nonce,
        ttl: lease.remaining,
    };
    standby.acquire_lease(&lease).await.unwrap();
    let mut epoch = log.epoch();
    epoch.mark_unchanged();
    store.fail_over(standby.snapshot());
    store.restart();
    epoch.changed().await.unwrap();
    assert!(log.wait_until_serving().await);
    let next = log.append(request("t")).await.unwrap().ids.remove(0);
    not_used_again(&acknowledged, &next);
    assert!(next.origin.incarnation > raised.incarnation);
}

/// What a peer sends back of what this location has written.
async fn echo(store: &MemoryStore, sequence: u64) -> FrameEvent {
    let event = store.event(sequence).await.unwrap().unwrap().event;
    FrameEvent::decode(&canonical::encode(&event).into()).unwrap()
}

#[tokio::test]
async fn what_another_writer_of_this_location_has_written_is_not_a_loss() {
    for successor_stays in [true, false] {
        let rig = Rig::new();
        let (store, first, second) = frozen_over_a_take_over(&rig).await;
        let epoch = *first.epoch().borrow();
        second.append(request("t")).await.unwrap();
        let written = echo(&store.inner(), 2).await;
        if !successor_stays {
            second.shut_down().await;
        }
        let back = frame("us", 0, 2, vec![written], "eu#1:2");
        let outcome = first.work(epoch, back).await;
        assert!(matches!(outcome, FrameOutcome::Failed(_)), "{outcome:?}");
        store.let_go();
        if successor_stays {
            stands_by(&first).await;
            second.shut_down().await;
        }
        assert!(first.wait_until_serving().await);
        let view = first.reader().view();
        assert_eq!((view.lineage.entries().len(), view.head), (1, 2));
        assert!(view.voided.is_empty());
    }
}

#[tokio::test]
async fn a_writer_that_was_frozen_over_a_take_over_records_no_clean_stop() {
    let rig = Rig::new();
    let (store, first, second) = frozen_over_a_take_over(&rig).await;
    let reached_the_standby = store.inner().snapshot();
    second.append(request("lost")).await.unwrap();
    let before = std::fs::read(rig.witness()).unwrap();
    let stopping = tokio::spawn(async move { first.shut_down().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.let_go();
    stopping.await.unwrap();
    assert_eq!(std::fs::read(rig.witness()).unwrap(), before);
    drop(second);

    let copy = MemoryStore::restore(reached_the_standby, Arc::new(wall));
    let log = rig.start(Arc::new(copy)).await;
    let next = log.append(request("t")).await;
    assert!(!matches!(next, Err(Refusal::NotWriter)));
    not_used_again(&"eu#1/2".parse().unwrap(), &next.unwrap().ids[0]);
}

#[tokio::test]
async fn a_writer_whose_database_is_silent_stops_and_tells_whoever_waits() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let log = rig.start(store.clone()).await;
    log.append(request("t")).await.unwrap();
    for gate in [Gate::Commit, Gate::Renew, Gate::Lease] {
        store.hold(gate);
    }
    let waiting = log.submit(keyed("t", "r")).await;
    let soon = Duration::from_secs(20);
    let answer = tokio::time::timeout(soon, waiting.answer()).await.unwrap();
    assert!(
        matches!(answer, Err(Refusal::OutcomeUnknown(_))),
        "{answer:?}"
    );
    let mut status = log.status();
    let failing = status.wait_for(|s| matches!(s.phase, LogPhase::Failing(_)));
    tokio::time::timeout(soon, failing).await.unwrap().unwrap();
    let late = tokio::time::timeout(soon, log.append(request("late"))).await;
    assert!(late.unwrap().is_err());

    store.let_go();
    let serving = tokio::time::timeout(soon, log.wait_until_serving()).await;
    assert!(serving.unwrap());
    let again = log.append(keyed("t", "r")).await.unwrap();
    assert_eq!(again.first_sequence, 2);
    assert_eq!(log.append(request("t")).await.unwrap().first_sequence, 3);
}

#[tokio::test]
async fn a_writer_that_was_cut_off_still_finds_out_what_became_of_its_commit() {
    let rig = Rig::new();
    let store = Faulty::new(Rig::store());
    let mut options = rig.options(store.clone(), "one");
    options.limits.resolve_micros_max = 60_000_000;
    let log = LogHandle::start(options);
    assert!(log.wait_until_serving().await);
    for gate in [Gate::Commit, Gate::Renew, Gate::Lease] {
        store.hold(gate);
    }
    let waiting = log.submit(request("t")).await;
    let mut status = log.status();
    let failing = status.wait_for(|s| matches!(s.phase, LogPhase::Failing(_)));
    let soon = Duration::from_secs(20);
    tokio::time::timeout(soon, failing).await.unwrap().unwrap();
    // Over more than one look at the lease.
    tokio::time::sleep(Duration::from_millis(900)).await;
    store.let_go();
    let answer = tokio::time::timeout(soon, waiting.answer()).await.unwrap();
    assert!(
        !matches!(answer, Err(Refusal::OutcomeUnknown(_))),
        "{answer:?}"
    );
    let serving = tokio::time::timeout(soon, log.wait_until_serving()).await;
    assert!(serving.unwrap());
    let next = log.append(request("t")).await.unwrap().first_sequence;
    assert_eq!(next, if answer.is_ok() { 2 } else { 1 });
}
