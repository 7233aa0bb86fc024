//! Commits whose outcome is not known, and ids that are stored already.

use tidelog_core::{
    Effect, FrameFault, FrameOutcome, Input, LogCore, Refusal, Resolution, StopReason, Work,
};
use tidelog_model::{Incarnation, LineageEntry};
use tidelog_store::{CommitError, Fence, Guard, LogStore, Raise, StoreError, WriteBatch};

use crate::bench::{
    APPLIED, Peer, core_of, foreign, id, keyed, lease, name, now, request, take_lease, vector,
};
use crate::writer::{Bench, pair, plain};

/// A writer with one batch whose commit says nothing.
fn in_doubt() -> (Bench, WriteBatch) {
    let mut bench = plain();
    bench.append(1, request(&["x"]));
    bench.frame(10, &pair(), 0, 1);
    bench.tell(Input::Go);
    let batch = bench.batch();
    bench.tell(Input::Committed(Err(CommitError::Unknown("gone".into()))));
    assert!(matches!(
        bench.said.pop(),
        Some(Effect::Resolve { planned_head: 2 })
    ));
    assert_eq!(bench.answers(), []);
    (bench, batch)
}

fn look(bench: &Bench, nonce: Option<u64>, planned_head: u64) -> Input {
    let state = match nonce {
        Some(nonce) => take_lease(&bench.store, nonce),
        None => now(bench.store.state()).unwrap(),
    };
    Input::Resolved(Ok(Resolution {
        nonce,
        state,
        hash_at_planned_head: now(bench.store.hash_at(planned_head)).unwrap(),
    }))
}

/// Another process takes the lease and writes.
fn another_writer(bench: &Bench, payload: &str) {
    now(bench.store.acquire_lease(&lease(77))).unwrap();
    let core = core_of(&bench.store, 77);
    let written = core.plan(
        &tidelog_core::Stamp::default(),
        &[&request(&[payload])],
        &tidelog_store::CheckAnswers::default(),
        None,
        0,
    );
    now(bench.store.commit(&written.batch.unwrap())).unwrap();
}

#[test]
fn an_unknown_commit_that_happened_is_answered_as_such() {
    let (mut bench, batch) = in_doubt();
    now(bench.store.commit(&batch)).unwrap();
    bench.tell(look(&bench, Some(5), 2));
    assert!(matches!(bench.said[0], Effect::Witness { head: 2, .. }));
    assert_eq!(bench.answers(), [(1, Ok(1))]);
    assert_eq!(bench.work_done(), [(10, APPLIED(1, 0))]);
    bench.append(2, request(&["y"]));
    bench.tell(Input::Go);
    bench.settle();
    assert_eq!(
        bench.answers(),
        [(2, Ok(3))],
        "it goes on under the new nonce"
    );
}

#[test]
fn an_unknown_commit_that_did_not_happen_is_refused_for_certain() {
    let (mut bench, batch) = in_doubt();
    bench.tell(look(&bench, Some(5), 2));
    assert!(matches!(
        bench.answers()[..],
        [(1, Err(Refusal::Store(StoreError::Unavailable(_))))]
    ));
    assert!(matches!(
        bench.work_done()[..],
        [(10, FrameOutcome::Failed(_))]
    ));
    assert_eq!(
        now(bench.store.commit(&batch)),
        Err(CommitError::Fenced),
        "and never will"
    );
    // Consumers are stored under the nonce that is shown: from now on under the new one.
    let shown = bench.said.iter().find_map(|effect| match effect {
        Effect::Publish { events, view } => Some((events.len(), view.fence())),
        _ => None,
    });
    let fence = Fence {
        incarnation: Incarnation(1),
        nonce: 5,
    };
    assert_eq!(shown, Some((0, fence)));
    bench.append(2, request(&["y"]));
    bench.tell(Input::Go);
    bench.settle();
    assert_eq!(bench.answers(), [(2, Ok(1))]);
}

#[test]
fn a_commit_that_happened_is_answered_although_another_writer_has_gone_on() {
    for lease_is_mine in [true, false] {
        let (mut bench, batch) = in_doubt();
        now(bench.store.commit(&batch)).unwrap();
        another_writer(&bench, "other");
        bench.tell(look(&bench, lease_is_mine.then_some(5), 2));
        assert_eq!(bench.answers(), [(1, Ok(1))]);
        assert!(bench.stopped().is_some());
        // The other one's witness and view are ahead of this one's.
        assert!(
            !bench
                .said
                .iter()
                .any(|e| matches!(e, Effect::Witness { .. } | Effect::Publish { .. }))
        );
    }
}

#[test]
fn a_commit_that_lost_to_another_writer_is_refused_for_certain() {
    let (mut bench, _) = in_doubt();
    another_writer(&bench, "other");
    bench.tell(look(&bench, None, 2));
    assert_eq!(bench.answers(), [(1, Err(Refusal::NotWriter))]);
    assert_eq!(bench.stopped(), Some(StopReason::Fenced));

    let (mut bench, _) = in_doubt();
    another_writer(&bench, "other");
    bench.tell(look(&bench, Some(5), 2));
    assert_eq!(bench.answers(), [(1, Err(Refusal::NotWriter))]);
    assert!(matches!(bench.stopped(), Some(StopReason::StateChanged(_))));
}

#[test]
fn a_head_that_another_writer_has_brought_so_far_does_not_tell_that_the_batch_is_there() {
    let (mut bench, _) = in_doubt();
    another_writer(&bench, "other");
    another_writer(&bench, "one more");
    bench.tell(look(&bench, Some(5), 2));
    assert_eq!(bench.answers(), [(1, Err(Refusal::NotWriter))]);
    assert!(matches!(bench.stopped(), Some(StopReason::StateChanged(_))));
}

#[test]
fn after_a_raise_only_the_hash_chain_tells() {
    for happened in [true, false] {
        let (mut bench, batch) = in_doubt();
        if happened {
            now(bench.store.commit(&batch)).unwrap();
        }
        let state = take_lease(&bench.store, 77);
        let guard = Guard {
            incarnation: Incarnation(1),
            nonce: 77,
            head: state.head,
        };
        let entry = LineageEntry {
            incarnation: Incarnation(9),
            base: state.head,
        };
        now(bench.store.raise(&Raise {
            guard,
            entry,
            rewrite: None,
        }))
        .unwrap();
        another_writer(&bench, "other");
        bench.tell(look(&bench, None, 2));
        let answers = bench.answers();
        if happened {
            assert_eq!(answers, [(1, Ok(1))]);
        } else {
            assert!(
                matches!(answers[..], [(1, Err(Refusal::OutcomeUnknown(_)))]),
                "{answers:?}"
            );
        }
        assert_eq!(bench.stopped(), Some(StopReason::Fenced));
    }
}

#[test]
fn unknown_is_answered_only_after_the_deadline_and_once() {
    let (mut bench, batch) = in_doubt();
    let down = || Input::Resolved(Err(StoreError::Unavailable("down".into())));
    bench.tell(down());
    bench.now += 10_000_000;
    bench.tell(Input::Tick);
    assert_eq!(bench.answers(), []);
    bench.now += 1;
    bench.tell(Input::Tick);
    assert!(matches!(
        bench.answers()[..],
        [(1, Err(Refusal::OutcomeUnknown(_)))]
    ));
    assert!(matches!(
        bench.work_done()[..],
        [(10, FrameOutcome::Failed(_))]
    ));
    // It happened after all: what is in the log is shown, nobody is answered twice, and the next request waits no longer.
    now(bench.store.commit(&batch)).unwrap();
    bench.append(2, request(&["y"]));
    bench.said.clear();
    bench.tell(look(&bench, Some(5), 2));
    assert!(
        bench
            .said
            .iter()
            .any(|e| matches!(e, Effect::Publish { view, .. } if view.head == 2))
    );
    bench.settle();
    assert_eq!(bench.answers(), [(2, Ok(3))]);
    assert_eq!(bench.work_done(), []);
}

#[test]
fn a_request_that_was_refused_for_its_own_reasons_is_not_unknown() {
    let mut bench = plain();
    bench.append(1, request(&["x"]));
    bench.append(
        2,
        tidelog_core::AppendRequest {
            context: Some(vector("z#1:1")),
            ..request(&["y"])
        },
    );
    bench.tell(Input::Go);
    bench.batch();
    bench.tell(Input::Committed(Err(CommitError::Unknown("gone".into()))));
    bench.now += 11_000_000;
    bench.tell(Input::Tick);
    let answers = bench.answers();
    assert!(matches!(answers[0], (1, Err(Refusal::OutcomeUnknown(_)))));
    assert!(matches!(answers[1], (2, Err(Refusal::ContextAhead { .. }))));
}

#[test]
fn a_shutdown_does_not_wait_for_a_batch_that_was_answered_as_unknown() {
    let (mut bench, _) = in_doubt();
    bench.tell(Input::ShutDown);
    assert_eq!(bench.stopped(), None);
    bench.now += 11_000_000;
    bench.tell(Input::Tick);
    assert!(matches!(
        bench.answers()[..],
        [(1, Err(Refusal::OutcomeUnknown(_)))]
    ));
    assert_eq!(bench.stopped(), Some(StopReason::ShutDown));
}

#[test]
fn an_unknown_commit_of_vectors_only_is_told_by_progress_and_vectors() {
    for happened in [true, false] {
        let mut bench = plain();
        let mut told = pair().frame(0, 0);
        told.frame.covered = vector("b#1:9");
        bench.tell(Input::Work(10, Work::Frame(Box::new(told))));
        bench.tell(Input::Go);
        let batch = bench.batch();
        if happened {
            now(bench.store.commit(&batch)).unwrap();
        }
        bench.tell(Input::Committed(Err(CommitError::Unknown("gone".into()))));
        bench.said.clear();
        bench.tell(look(&bench, Some(5), 0));
        let shown = bench.said.iter().any(
            |e| matches!(e, Effect::Publish { view, .. } if view.progress.contains_key(&name("b"))),
        );
        assert_eq!(shown, happened);
        let applied = bench.work_done() == [(10, APPLIED(0, 0))];
        assert_eq!(applied, happened);
        assert_eq!(bench.stopped(), None);
    }
}

#[test]
fn an_id_that_is_stored_already_with_equal_content_is_dropped_and_counted() {
    let mut bench = plain();
    let peer = pair();
    // The vector of this core has forgotten the first event; the unique key has not.
    let blind: LogCore = core_of(&bench.store, 1);
    bench.frame(10, &peer, 0, 1);
    bench.tell(Input::Go);
    bench.settle();
    let mut state = now(bench.store.state()).unwrap();
    state.version_vector = blind.view().version_vector.as_ref().clone();
    state.progress.clear();
    let identity = tidelog_core::Identity {
        location: name("a"),
        nonce: 1,
    };
    let core = LogCore::new(identity, &state);
    bench.writer = tidelog_core::Writer::new(
        core,
        tidelog_core::Stamp::default(),
        tidelog_core::WriterLimits::default(),
    );
    bench.said.clear();
    bench.append(1, keyed("r", &["x"]));
    bench.frame(11, &peer, 0, 2);
    bench.tell(Input::Go);
    bench.settle();
    assert_eq!(bench.answers(), [(1, Ok(2))]);
    assert_eq!(bench.work_done(), [(11, APPLIED(1, 0))]);
    assert_eq!(bench.writer.guard_hits(), 1);

    // The same with other content.
    let identity = tidelog_core::Identity {
        location: name("a"),
        nonce: 1,
    };
    let mut state = now(bench.store.state()).unwrap();
    state.version_vector = vector("a#1:2");
    state.progress.clear();
    let core = LogCore::new(identity, &state);
    bench.writer = tidelog_core::Writer::new(
        core,
        tidelog_core::Stamp::default(),
        tidelog_core::WriterLimits::default(),
    );
    let mut other = foreign("b#1/1", "");
    other.payload = "other".into();
    bench.append(2, request(&["y"]));
    bench.frame(12, &Peer::new("b", vec![other]), 0, 1);
    bench.tell(Input::Go);
    bench.settle();
    assert_eq!(bench.answers(), [(2, Ok(4))]);
    let done = bench.work_done();
    assert!(
        matches!(&done[..], [(12, FrameOutcome::Stalled(FrameFault::IdentityReused { id: reused, .. }))] if *reused == id("b#1/1"))
    );
    assert_eq!(bench.writer.guard_hits(), 0);
}

#[test]
fn an_own_id_that_is_stored_already_stops_the_writer() {
    for with_frame in [false, true] {
        let mut bench = plain();
        bench.append(1, request(&["x"]));
        if with_frame {
            bench.frame(10, &pair(), 0, 1);
        }
        bench.tell(Input::Go);
        bench.batch();
        bench.tell(Input::Committed(Err(CommitError::DuplicateIdentity)));
        bench.settle();
        assert_eq!(bench.answers(), [(1, Err(Refusal::NotWriter))]);
        assert!(matches!(bench.stopped(), Some(StopReason::StateChanged(_))));
    }
}
