//! What a loss that was noticed late takes back.

use tidelog_core::{FrameOutcome, plan_late_raise};
use tidelog_model::{ChainHash, Incarnation, LineageEntry, VectorTime};
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
    let entry = LineageEntry {
        incarnation: Incarnation(9),
        base: 1,
    };
    let raise = plan_late_raise(&log.core, entry, &above, vector("a#1:1"), hash);
    now(log.store.raise(&raise)).unwrap();
    log.core = core_of(&log.store, 1);
    raise
}

#[test]
fn own_rows_above_the_proof_get_a_new_identity_at_their_place() {
    let (mut log, _) = suspect();
    let payloads: Vec<_> = (1..=6).map(|n| log.row(n).event.payload.clone()).collect();
    let rewrite = raised(&mut log).rewrite.unwrap();
    let ids: Vec<_> = (1..=6).map(|n| log.row(n).event.id.to_string()).collect();
    assert_eq!(ids, ["a#1/1", "b#1/1", "a#9/3", "a#9/4", "b#1/2", "a#9/6"]);
    assert_eq!(
        payloads,
        (1..=6)
            .map(|n| log.row(n).event.payload.clone())
            .collect::<Vec<_>>()
    );
    let taken_back: Vec<_> = rewrite.voided.iter().map(|v| v.id.to_string()).collect();
    assert_eq!(taken_back, ["a#1/3", "a#1/4", "a#1/6"]);
    assert_eq!(log.core.view().voided.len(), 3);
    let state = now(log.store.state()).unwrap();
    assert_eq!(now(log.store.hash_at(6)).unwrap(), Some(state.hash));
    assert_ne!(state.hash, ChainHash::ZERO);
}

#[test]
fn contexts_name_the_new_ids_and_the_vector_is_their_merge() {
    let (mut log, _) = suspect();
    raised(&mut log);
    assert_eq!(log.row(3).event.context, vector("a#1:1,b#1:1"));
    assert_eq!(log.row(4).event.context, vector("a#1:1,a#9:3,b#1:1"));
    // A foreign row stays what it is.
    assert_eq!(log.row(5).event.context, vector("a#1:4,b#1:1"));
    assert_eq!(log.row(6).event.context, vector("a#1:1,a#9:4,b#1:2"));
    let mut merged = VectorTime::new();
    (1..=6).for_each(|n| merged.merge(&log.row(n).event.vector_time()));
    let view = log.core.view();
    assert_eq!(*view.version_vector, merged);
    assert!(view.covered_vector.covers(&view.version_vector));
}

#[test]
fn what_a_row_had_seen_below_the_base_is_what_was_there_and_no_more() {
    let mut log = Log::new();
    log.append_one(request(&["1"])).unwrap();
    let peer = Peer::new("b", vec![foreign("b#1/1", "")]);
    log.apply(&peer.frame(0, 1));
    log.append_one(request(&["3", "4"])).unwrap();
    let above = [log.row(3), log.row(4)];
    let entry = LineageEntry {
        incarnation: Incarnation(9),
        base: 2,
    };
    let raise = plan_late_raise(
        &log.core,
        entry,
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
    let entry = LineageEntry {
        incarnation: Incarnation(9),
        base: 1,
    };
    let hash = now(log.store.hash_at(1)).unwrap().unwrap();
    let raise = plan_late_raise(&log.core, entry, &[log.row(2)], vector("a#1:1"), hash);
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
