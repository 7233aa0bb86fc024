//! What a loss that was noticed late takes back.

use tidelog_core::{FrameOutcome, plan_late_raise};
use tidelog_model::{ChainHash, Incarnation, VectorTime};
use tidelog_store::LogStore;

use crate::bench::{
    APPLIED, Log, Peer, core_of, foreign, id, name, now, request, travelling, vector,
};

/// a#1/1 | b#1/1 a#1/3 a#1/4 b#1/2{a#1:4} a#1/6, proven up to the bar.
fn suspect() -> (Log, Peer) {
    let mut log = Log::new();
    log.append_one(request(&["1"])).unwrap();
    let peer = Peer::new(
        "b",
        vec![foreign("b#1/1", ""), foreign("b#1/2", "a#1:4,b#1:1")],
    );
    log.apply(&peer.frame(0, 1));
    log.append_one(request(&["3", "4"])).unwrap();
    log.apply(&peer.frame(1, 2));
    log.append_one(request(&["6"])).unwrap();
    (log, peer)
}

fn raised(log: &mut Log) -> tidelog_store::Raise {
    let above: Vec<_> = (2..=6).map(|n| log.row(n)).collect();
    let hash = now(log.store.hash_at(1)).unwrap().unwrap();
    let raise = plan_late_raise(&log.core, Incarnation(9), 1, &above, vector("a#1:1"), hash);
    now(log.store.raise(&raise)).unwrap();
    log.core = core_of(&log.store, 1);
    raise
}

#[test]
fn own_rows_above_the_proof_get_a_new_identity_in_their_order() {
    let (mut log, _) = suspect();
    let payload = |log: &Log, n| log.row(n).event.payload.clone();
    let before: Vec<_> = [1, 2, 3, 4, 6].map(|n| payload(&log, n)).into();
    let rewrite = raised(&mut log).rewrite.unwrap();
    let ids: Vec<_> = (1..=5).map(|n| log.row(n).event.id.to_string()).collect();
    assert_eq!(ids, ["a#1/1", "b#1/1", "a#9/3", "a#9/4", "a#9/5"]);
    let after: Vec<_> = (1..=5).map(|n| payload(&log, n)).collect();
    assert_eq!(after, before);
    let taken_back: Vec<_> = rewrite.voided.iter().map(|v| v.id.to_string()).collect();
    assert_eq!(taken_back, ["a#1/3", "a#1/4", "a#1/6"]);
    assert_eq!(log.core.view().voided.len(), 3);
    let state = now(log.store.state()).unwrap();
    assert_eq!((log.head(), state.head), (5, 5));
    assert_eq!(now(log.store.hash_at(5)).unwrap(), Some(state.hash));
    assert_ne!(state.hash, ChainHash::ZERO);
}

#[test]
fn peers_and_readers_go_back_to_where_both_histories_are_the_same_for_sure() {
    let (mut log, _) = suspect();
    let raise = raised(&mut log);
    assert_eq!(raise.rewrite.unwrap().after, 1);
    assert_eq!(raise.entry.base, 0, "the base of the incarnation in force");
}

#[test]
fn contexts_name_the_new_ids_and_the_vector_is_their_merge() {
    let (mut log, _) = suspect();
    raised(&mut log);
    assert_eq!(log.row(3).event.context, vector("a#1:1,b#1:1"));
    assert_eq!(log.row(4).event.context, vector("a#1:1,a#9:3,b#1:1"));
    // It had seen b#1/2, which had seen what was taken back and has left.
    assert_eq!(log.row(5).event.context, vector("a#1:1,a#9:4,b#1:1"));
    let mut merged = VectorTime::new();
    (1..=5).for_each(|n| merged.merge(&log.row(n).event.vector_time()));
    let view = log.core.view();
    assert_eq!(*view.version_vector, merged);
    assert_eq!(*view.covered_vector, merged);
}

#[test]
fn what_had_seen_an_id_in_doubt_leaves_with_all_that_follows_it_and_nothing_else_does() {
    let mut log = Log::new();
    log.append_one(request(&["1", "2"])).unwrap();
    let mut peer = Peer::new(
        "b",
        vec![
            foreign("d#1/1", "a#1:1"),
            foreign("b#1/2", "a#1:2,d#1:1"),
            foreign("d#1/2", "a#1:1,d#1:1"),
            // Has seen it through b#1/2 only; a narrow context that names nothing else.
            foreign("c#1/1", "b#1:2"),
            // Names nothing, but follows b#1/2: its entry would claim that one.
            foreign("b#1/5", ""),
            foreign("d#1/3", "d#1:2"),
        ],
    );
    log.apply(&peer.frame(0, 6));
    let above: Vec<_> = (2..=8).map(|n| log.row(n)).collect();
    let hash = now(log.store.hash_at(1)).unwrap().unwrap();
    let raise = plan_late_raise(&log.core, Incarnation(9), 1, &above, vector("a#1:1"), hash);
    now(log.store.raise(&raise)).unwrap();
    log.core = core_of(&log.store, 1);
    let ids = |log: &Log| -> Vec<_> {
        (1..=log.head())
            .map(|n| log.row(n).event.id.to_string())
            .collect()
    };
    assert_eq!(ids(&log), ["a#1/1", "a#9/2", "d#1/1", "d#1/2", "d#1/3"]);
    let view = log.core.view();
    assert_eq!(*view.version_vector, vector("a#1:1,a#9:2,d#1:3"));
    assert_eq!(*view.covered_vector, vector("a#1:1,a#9:2,b#1:1,d#1:3"));

    // From its source all of it comes again, after what it had seen.
    peer.events.insert(0, foreign("a#1/2", "a#1:1"));
    assert_eq!(log.apply(&peer.frame(0, 7)), APPLIED(4, 3));
    let again = ["a#1/2", "b#1/2", "c#1/1", "b#1/5"];
    assert_eq!(ids(&log)[5..], again);
}

/// The progress had passed the lost event before the loss was noticed: its source had left it out, for the vector covered its id.
#[test]
fn a_lost_event_that_the_progress_has_passed_comes_back() {
    let mut log = Log::new();
    log.append_one(request(&["1"])).unwrap();
    log.append_one(request(&["doubtful 2"])).unwrap();
    let source = Peer::new(
        "b",
        vec![
            foreign("a#1/2", "a#1:1"),
            foreign("b#1/2", "a#1:2"),
            foreign("a#1/3", "a#1:2,b#1:2"),
        ],
    );
    // What a source sends to a target that has declared its vector.
    let sent = |log: &Log, from, to| {
        let mut work = source.frame(from, to);
        let declared = log.core.view().version_vector;
        work.frame
            .events
            .retain(|e| !declared.covers_id(&e.event.id));
        work
    };
    let first = sent(&log, 0, 2);
    assert_eq!(log.apply(&first), APPLIED(1, 0));
    let second = sent(&log, 2, 3);
    assert!(matches!(log.apply(&second), FrameOutcome::LossProven(_)));

    let above = [log.row(2), log.row(3)];
    let hash = now(log.store.hash_at(1)).unwrap().unwrap();
    let raise = plan_late_raise(&log.core, Incarnation(9), 1, &above, vector("a#1:1"), hash);
    now(log.store.raise(&raise)).unwrap();
    log.core = core_of(&log.store, 1);
    let progress = log.core.view().progress[&name("b")].clone();
    assert_eq!((progress.position, progress.hash), (0, ChainHash::ZERO));
    assert_eq!(progress.lineage, source.frame(0, 1).edge.lineage);

    let all = sent(&log, 0, 3);
    assert_eq!(log.apply(&all), APPLIED(3, 0));
    let ids: Vec<_> = (1..=5).map(|n| log.row(n).event.id.to_string()).collect();
    assert_eq!(ids, ["a#1/1", "a#9/2", "a#1/2", "b#1/2", "a#1/3"]);
}

#[test]
fn what_a_row_had_seen_below_the_base_is_what_was_there_and_no_more() {
    let mut log = Log::new();
    log.append_one(request(&["1"])).unwrap();
    let peer = Peer::new("b", vec![foreign("b#1/1", "")]);
    log.apply(&peer.frame(0, 1));
    log.append_one(request(&["3", "4"])).unwrap();
    let above = [log.row(3), log.row(4)];
    let raise = plan_late_raise(
        &log.core,
        Incarnation(9),
        2,
        &above,
        vector("a#1:1,b#1:1"),
        log.core.view().hash,
    );
    let rewrite = raise.rewrite.unwrap();
    assert_eq!(rewrite.events[1].event.context, vector("a#1:1,a#9:3,b#1:1"));
    assert_eq!(rewrite.version_vector, vector("a#1:1,a#9:4,b#1:1"));
    assert_eq!(rewrite.covered_vector, rewrite.version_vector);
}

#[test]
fn what_was_taken_back_is_never_stored_again_and_the_lost_original_is() {
    let mut log = Log::new();
    log.append_one(request(&["1"])).unwrap();
    log.append_one(request(&["false 2"])).unwrap();
    let voided = log.row(2).event;
    let hash = now(log.store.hash_at(1)).unwrap().unwrap();
    let raise = plan_late_raise(
        &log.core,
        Incarnation(9),
        1,
        &[log.row(2)],
        vector("a#1:1"),
        hash,
    );
    now(log.store.raise(&raise)).unwrap();
    log.core = core_of(&log.store, 1);
    let mut original = foreign("a#1/2", "a#1:1");
    original.payload = "true 2".into();
    let mut back = Peer::new("c", vec![(*voided).clone(), original]);
    back.name = name("b");
    let mut first = back.frame(0, 1);
    first.frame.events[0] = travelling((*voided).clone());
    assert_eq!(log.apply(&first), APPLIED(0, 1));
    assert_eq!(log.apply(&back.frame(1, 2)), APPLIED(1, 0));
    assert_eq!(log.row(3).event.id, id("a#1/2"));
    assert!(!matches!(
        log.apply(&back.frame(0, 2)),
        FrameOutcome::Applied { .. }
    ));
}
