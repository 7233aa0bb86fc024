//! What a frame does inside the target's transaction.

use tidelog_core::{FrameFault, FrameOutcome};
use tidelog_model::{ChainHash, VectorTime, caps};

use crate::bench::{
    APPLIED, Log, NOW, Peer, foreign, id, name, origin, request, travelling, vector,
};

fn peer() -> Peer {
    Peer::new(
        "b",
        vec![
            foreign("b#1/1", ""),
            foreign("c#1/1", "b#1:1"),
            foreign("b#1/3", "b#1:1,c#1:1"),
            foreign("b#1/4", "b#1:3,c#1:1"),
        ],
    )
}

fn position(log: &Log) -> u64 {
    log.core
        .view()
        .progress
        .get(&name("b"))
        .map_or(0, |p| p.position)
}

#[test]
fn a_frame_that_continues_is_applied_and_moves_everything_at_once() {
    let mut log = Log::new();
    let peer = peer();
    assert_eq!(log.apply(&peer.frame(0, 3)), APPLIED(3, 0));
    let view = log.core.view();
    assert_eq!((view.head, position(&log)), (3, 3));
    assert_eq!(view.progress[&name("b")].hash, peer.hash(3));
    assert_eq!(*view.version_vector, vector("b#1:3,c#1:1"));
    assert!(!log.row(1).appended_here);
    assert_eq!(log.apply(&peer.frame(3, 4)), APPLIED(1, 0));
}

#[test]
fn a_gap_another_hash_and_an_overlap_do_not_continue() {
    let mut log = Log::new();
    let peer = peer();
    assert_eq!(log.apply(&peer.frame(1, 2)), FrameOutcome::Discontinuous);
    log.apply(&peer.frame(0, 2));
    assert_eq!(log.apply(&peer.frame(1, 3)), FrameOutcome::Discontinuous);
    let mut other = peer.frame(2, 3);
    other.frame.hash_from = ChainHash([9; 32]);
    assert_eq!(log.apply(&other), FrameOutcome::Discontinuous);
    assert_eq!((log.head(), position(&log)), (2, 2));
}

#[test]
fn what_lies_behind_the_progress_is_dropped() {
    let mut log = Log::new();
    let peer = peer();
    log.apply(&peer.frame(0, 3));
    assert_eq!(log.apply(&peer.frame(0, 2)), FrameOutcome::Dropped);
    assert_eq!(log.apply(&peer.frame(0, 3)), FrameOutcome::Dropped);
    assert_eq!(position(&log), 3);
}

#[test]
fn a_frame_of_vectors_only_is_applied_at_the_progress() {
    let mut log = Log::new();
    let peer = peer();
    log.apply(&peer.frame(0, 3));
    let mut told = peer.frame(3, 3);
    told.frame.covered = vector("a#1:9,b#1:9,c#1:9,d#1:9");
    assert_eq!(log.apply(&told), APPLIED(0, 0));
    let view = log.core.view();
    // Only entries of locations behind the source, and never into the version vector.
    assert_eq!(*view.covered_vector, vector("b#1:9,c#1:9"));
    assert_eq!(*view.version_vector, vector("b#1:3,c#1:1"));
}

#[test]
fn what_is_held_already_is_not_stored_again() {
    let mut log = Log::new();
    log.apply(&peer().frame(0, 3));
    let other = Peer::new(
        "c",
        vec![
            foreign("b#1/1", ""),
            foreign("c#1/1", "b#1:1"),
            foreign("c#1/3", "b#1:1,c#1:1"),
        ],
    );
    assert_eq!(log.apply(&other.frame(0, 3)), APPLIED(1, 2));
    assert_eq!(log.head(), 4);
    assert_eq!(*log.core.view().version_vector, vector("b#1:3,c#1:3"));
}

#[test]
fn chain_and_covered_vector_grow_with_what_is_stored_whatever_the_frame_covers() {
    let mut log = Log::new();
    let peer = peer();
    let mut work = peer.frame(0, 3);
    work.edge.behind = std::sync::Arc::default();
    assert_eq!(log.apply(&work), APPLIED(3, 0));
    let view = log.core.view();
    assert_eq!(view.hash, peer.hash(3));
    assert_eq!(*view.covered_vector, vector("b#1:3,c#1:1"));
}

#[test]
fn a_frame_follows_local_requests_of_its_batch() {
    let mut log = Log::new();
    let frame = peer().frame(0, 2);
    let plan = log.plan(&[request(&["x"])], Some(&frame));
    assert_eq!(plan.outcomes[0].as_ref().unwrap().ids, [id("a#1/1")]);
    assert_eq!(plan.frame, Some(APPLIED(2, 0)));
    log.commit(plan).unwrap();
    assert_eq!(log.row(1).event.context, VectorTime::new());
    assert_eq!(log.row(3).event.id, id("c#1/1"));
}

#[test]
fn a_frame_that_fails_half_way_leaves_no_trace() {
    let mut log = Log::new();
    let peer = peer();
    let mut broken = peer.frame(0, 3);
    let mut ahead = foreign("b#1/1", "");
    ahead.time.micros = NOW + 900_000_000;
    broken.frame.events[0] = travelling(ahead);
    broken.frame.events[2] = travelling(foreign("b#1/3", "d#1:1"));
    let before = log.core.view();
    let plan = log.plan(&[request(&["x"])], Some(&broken));
    let fault = FrameFault::NotCovered { id: id("b#1/3") };
    assert_eq!(plan.frame, Some(FrameOutcome::Stalled(fault)));
    assert_eq!(plan.next.clock_ahead(), 0);
    let batch = plan.batch.as_ref().unwrap();
    assert_eq!((batch.events.len(), &batch.progress), (1, &None));
    assert_eq!(batch.version_vector, vector("a#1:1"));
    assert_eq!(batch.covered_vector, vector("a#1:1"));
    log.commit(plan).unwrap();
    assert_eq!(log.core.view().progress, before.progress);
    assert_eq!(log.apply(&peer.frame(0, 3)), APPLIED(3, 0));
}

#[test]
fn a_breach_of_the_source_stalls() {
    let mut log = Log::new();
    let stalled = |log: &mut Log, change: &dyn Fn(&mut tidelog_core::Frame)| {
        let mut work = peer().frame(0, 3);
        change(&mut work.frame);
        match log.apply(&work) {
            FrameOutcome::Stalled(fault) => fault,
            other => unreachable!("{other:?}"),
        }
    };
    let uncovered = stalled(&mut log, &|f| f.covered = vector("b#1:3"));
    assert!(matches!(uncovered, FrameFault::NotCovered { .. }));
    let swapped = stalled(&mut log, &|f| f.events.swap(0, 2));
    assert_eq!(swapped, FrameFault::OutOfOrder { id: id("c#1/1") });
    let twice = stalled(&mut log, &|f| f.events[1] = f.events[0].clone());
    assert_eq!(twice, FrameFault::OutOfOrder { id: id("b#1/1") });
    let crowded = stalled(&mut log, &|f| f.to = 2);
    assert!(matches!(crowded, FrameFault::Malformed { .. }));
    let large = stalled(&mut log, &|f| f.events[0].bytes = caps::EVENT_BYTES_MAX + 1);
    assert!(matches!(large, FrameFault::Limit { .. }));
    let still = stalled(&mut log, &|f| {
        f.to = 0;
        f.events.clear();
    });
    assert!(matches!(still, FrameFault::Malformed { .. }));
    assert_eq!(log.head(), 0);
}

#[test]
fn a_vector_without_room_stalls_the_frame() {
    let mut log = Log::new();
    let events =
        (1..=caps::VECTOR_ENTRIES_MAX as u32 + 1).map(|i| foreign(&format!("b#{i}/{i}"), ""));
    let peer = Peer::new("b", events.collect());
    let outcome = log.apply(&peer.frame(0, caps::VECTOR_ENTRIES_MAX as u64 + 1));
    assert!(matches!(
        outcome,
        FrameOutcome::Stalled(FrameFault::VectorFull { entries: 257, .. })
    ));
    assert_eq!(log.head(), 0);
}

#[test]
fn invented_origins_make_no_covered_vector_that_nobody_takes() {
    let mut log = Log::new();
    let peer = Peer::new("b", vec![foreign("b#1/1", "")]);
    let mut work = peer.frame(0, 1);
    for i in 1..=caps::VECTOR_ENTRIES_MAX as u32 + 1 {
        let origin = id(&format!("b#{i}/1")).origin;
        work.frame.covered.raise(&origin, 1);
    }
    let outcome = log.apply(&work);
    assert!(
        matches!(
            outcome,
            FrameOutcome::Stalled(FrameFault::CoveredFull { entries: 257 })
        ),
        "{outcome:?}"
    );
    assert_eq!(log.head(), 0);
    assert!(log.core.view().covered_vector.is_empty());
    assert!(matches!(
        log.apply(&peer.frame(0, 1)),
        FrameOutcome::Applied { .. }
    ));
}

#[test]
fn an_own_event_beyond_the_own_history_proves_a_loss() {
    let mut log = Log::new();
    log.append_one(request(&["x"])).unwrap();
    for lost in ["a#1/2", "a#7/1"] {
        let peer = Peer::new("b", vec![foreign(lost, "")]);
        assert!(
            matches!(log.apply(&peer.frame(0, 1)), FrameOutcome::LossProven(e) if e.event.id == id(lost))
        );
    }
    assert_eq!(log.head(), 1);
}

/// The ids of this very batch are not known to anybody yet: who has them, has them from a history that is lost.
#[test]
fn local_requests_of_its_batch_do_not_hide_that_a_frame_proves_a_loss() {
    let mut log = Log::new();
    log.append_one(request(&["kept"])).unwrap();
    let lost = Peer::new("b", vec![foreign("a#1/2", "a#1:1")]);
    let frame = lost.frame(0, 1);
    let plan = log.plan(&[request(&["new 2", "new 3"])], Some(&frame));
    assert!(matches!(plan.frame, Some(FrameOutcome::LossProven(e)) if e.event.id == id("a#1/2")));
}

#[test]
fn what_has_seen_own_events_that_were_never_written_here_stalls_its_edge() {
    let mut log = Log::new();
    log.append_one(request(&["x"])).unwrap();
    // The lost ones themselves are kept back by a filter: nothing is proven, but nothing may be made of it either.
    for claim in ["a#1:2", "a#7:1"] {
        let peer = Peer::new("b", vec![foreign("b#1/1", claim)]);
        let frame = peer.frame(0, 1);
        let plan = log.plan(&[request(&["new 2"])], Some(&frame));
        let fault = FrameFault::NeverWritten {
            id: id("b#1/1"),
            seen: vector(claim),
        };
        assert_eq!(plan.frame, Some(FrameOutcome::Stalled(fault)));
        assert_eq!(plan.next.view().version_vector.get(&origin("a#1")), 2);
    }
    let peer = Peer::new("b", vec![foreign("b#1/1", "a#0:9,a#1:1")]);
    assert_eq!(log.apply(&peer.frame(0, 1)), APPLIED(1, 0));
}

#[test]
fn a_lost_own_event_of_an_older_incarnation_comes_back() {
    let mut log = Log::new();
    let peer = Peer::new("b", vec![foreign("a#0/5", ""), foreign("a#1/1", "a#0:5")]);
    log.append_one(request(&["x"])).unwrap();
    assert_eq!(log.apply(&peer.frame(0, 2)), APPLIED(1, 1));
    assert!(!log.row(2).appended_here);
    assert_eq!(*log.core.view().version_vector, vector("a#0:5,a#1:1"));
}
