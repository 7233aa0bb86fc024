//! What one batch of requests turns the log into.

use tidelog_core::{AppendRequest, FrameFault, FrameOutcome, Refusal};
use tidelog_model::{Cause, ChainHash, Condition, Incarnation, Position, PositionError, caps};
use tidelog_store::{Guard, LogStore, Raise};

use crate::bench::{
    APPLIED, Log, NOW, Peer, core_of, foreign, id, keyed, new_event, now, origin, request, vector,
};

fn after(sequence: u64) -> Condition {
    Condition {
        keys: vec!["k".into()],
        types: Vec::new(),
        after: Position::new(Incarnation(1), sequence),
    }
}

fn conditional(payload: &str, condition: Condition) -> AppendRequest {
    AppendRequest {
        condition: Some(condition),
        ..request(&[payload])
    }
}

fn caused(payload: &str, output_index: u32) -> AppendRequest {
    let mut event = new_event(payload);
    event.emitter_id = "saga".into();
    event.caused_by = Some(Cause {
        log: "orders".into(),
        id: id("b#1/9"),
        output_index,
    });
    AppendRequest {
        events: vec![event],
        ..AppendRequest::default()
    }
}

#[test]
fn by_default_an_event_has_seen_the_whole_log_and_those_before_it_in_its_request() {
    let mut log = Log::new();
    let peer = Peer::new("b", vec![foreign("b#1/1", "")]);
    assert_eq!(log.apply(&peer.frame(0, 1)), APPLIED(1, 0));
    let accepted = log.append_one(request(&["x", "y"])).unwrap();
    assert_eq!(accepted.ids, [id("a#1/2"), id("a#1/3")]);
    assert_eq!((accepted.first_sequence, accepted.last_sequence), (2, 3));
    assert_eq!(accepted.token, vector("a#1:3,b#1:1"));
    assert!(!accepted.replayed);
    assert_eq!(log.row(2).event.context, vector("b#1:1"));
    assert_eq!(log.row(3).event.context, vector("a#1:2,b#1:1"));
}

#[test]
fn the_chain_runs_over_every_event_in_its_order() {
    let mut log = Log::new();
    log.append(&[request(&["x", "y"]), request(&["z"])]);
    let rows = [1, 2, 3].map(|sequence| log.row(sequence));
    let chain = rows.iter().fold(ChainHash::ZERO, |hash, row| {
        hash.next(&row.event.id, &row.digest)
    });
    assert_eq!(log.core.view().hash, chain);
}

#[test]
fn a_narrow_context_is_kept_as_it_is_and_grows_within_the_request() {
    let mut log = Log::new();
    let peer = Peer::new("b", vec![foreign("b#1/1", ""), foreign("b#1/2", "b#1:1")]);
    log.apply(&peer.frame(0, 2));
    let narrow = AppendRequest {
        context: Some(vector("b#1:1")),
        ..request(&["x", "y"])
    };
    let accepted = log.append_one(narrow).unwrap();
    assert_eq!(log.row(3).event.context, vector("b#1:1"));
    assert_eq!(log.row(4).event.context, vector("a#1:3,b#1:1"));
    assert_eq!(accepted.token, vector("a#1:4,b#1:1"));
    assert_eq!(*log.core.view().version_vector, vector("a#1:4,b#1:2"));
}

#[test]
fn a_context_from_the_future_is_refused_and_names_what_is_missing() {
    let mut log = Log::new();
    let ahead = AppendRequest {
        context: Some(vector("a#1:1,b#1:7")),
        ..request(&["x"])
    };
    let refused = log.append(&[request(&["first"]), ahead]).remove(1);
    let missing = vector("b#1:7");
    assert_eq!(refused, Err(Refusal::ContextAhead { missing }));
    assert_eq!(log.head(), 1);
}

#[test]
fn a_retry_gets_the_first_answer_and_changes_nothing() {
    let mut log = Log::new();
    let first = log.append_one(keyed("r", &["x", "y"])).unwrap();
    let plan = log.plan(&[keyed("r", &["x", "y"])], None);
    assert!(plan.batch.is_none());
    let again = plan.outcomes[0].clone().unwrap();
    assert!(again.replayed);
    assert_eq!((again.ids, again.token), (first.ids, first.token));
}

#[test]
fn a_request_id_with_other_content_is_refused() {
    let mut log = Log::new();
    log.append_one(keyed("r", &["x", "y"])).unwrap();
    for other in [&["x", "z"][..], &["x"], &["x", "y", "z"]] {
        let refused = log.append_one(keyed("r", other));
        let expected = Refusal::RequestIdReused {
            request_id: "r".into(),
        };
        assert_eq!(refused, Err(expected), "{other:?}");
    }
    assert_eq!(log.head(), 2);
}

#[test]
fn where_a_part_of_a_request_is_held_the_rest_is_appended_under_its_id() {
    let mut log = Log::new();
    let mut head = foreign("b#1/1", "");
    head.payload = "x".into();
    (head.request_id, head.request_count) = ("r".into(), 3);
    log.apply(&Peer::new("b", vec![head]).frame(0, 1));
    // Its condition was decided where it was accepted; here its own first event would fail it.
    let mut retry = keyed("r", &["x", "y", "z"]);
    retry.condition = Some(after(0));
    let accepted = log.append_one(retry.clone()).unwrap();
    assert_eq!(accepted.ids, [id("b#1/1"), id("a#1/2"), id("a#1/3")]);
    assert!(!accepted.replayed);
    let second = log.row(2).event;
    assert_eq!((second.request_index, second.request_count), (1, 3));
    assert!(log.append_one(retry).unwrap().replayed);
    assert_eq!(log.head(), 3);
}

#[test]
fn the_same_request_twice_in_one_batch_is_stored_once() {
    let mut log = Log::new();
    let outcomes = log.append(&[keyed("r", &["x"]), keyed("r", &["x"]), keyed("r", &["y"])]);
    let [first, second, third] = outcomes.try_into().unwrap();
    assert_eq!(first.unwrap().ids, second.unwrap().ids);
    assert!(matches!(third, Err(Refusal::RequestIdReused { .. })));
    assert_eq!(log.head(), 1);
}

#[test]
fn an_event_for_a_cause_is_stored_once_whatever_its_request_id() {
    let mut log = Log::new();
    let first = log.append_one(caused("x", 0)).unwrap();
    let again = log.append_one(caused("x", 0)).unwrap();
    assert!(again.replayed);
    assert_eq!(again.ids, first.ids);
    assert!(!log.append_one(caused("x", 1)).unwrap().replayed);
    // Half known by its cause: in the log and in the same batch the retry finds both halves again.
    let mut mixed = keyed("r", &["new"]);
    mixed.events.push(caused("x", 0).events.remove(0));
    let outcomes = log.append(&[mixed.clone(), mixed.clone()]);
    assert_eq!(
        outcomes[0].as_ref().unwrap().ids,
        [id("a#1/3"), id("a#1/1")]
    );
    assert!(outcomes[1].as_ref().unwrap().replayed);
    assert!(log.append_one(mixed).unwrap().replayed);
    assert_eq!(log.head(), 3);
}

#[test]
fn the_token_covers_every_event_of_the_request_wherever_it_was_found() {
    let mut log = Log::new();
    let peer = Peer::new("b", vec![foreign("b#1/1", ""), foreign("b#1/2", "b#1:1")]);
    log.apply(&peer.frame(0, 1));
    log.append_one(caused("x", 0)).unwrap();
    log.apply(&peer.frame(1, 2));
    // The last event of the request is the oldest one: it was appended for its cause.
    let mut mixed = keyed("r", &["new"]);
    mixed.events.push(caused("x", 0).events.remove(0));
    let first = log.append_one(mixed.clone()).unwrap();
    assert_eq!(first.ids, [id("a#1/4"), id("a#1/2")]);
    assert_eq!(first.token, vector("a#1:4,b#1:2"));
    let again = log.append_one(mixed).unwrap();
    assert!(again.replayed);
    assert_eq!(again.token, first.token);
}

#[test]
fn an_event_has_seen_what_was_found_before_it_in_its_request_whatever_the_context_says() {
    let mut log = Log::new();
    log.apply(&Peer::new("b", vec![foreign("b#1/1", "")]).frame(0, 1));
    log.append_one(caused("x", 0)).unwrap();
    let mut narrow = caused("x", 0);
    narrow.events.extend(request(&["new"]).events);
    narrow.context = Some(vector(""));
    let accepted = log.append_one(narrow).unwrap();
    assert_eq!(accepted.ids, [id("a#1/2"), id("a#1/3")]);
    assert_eq!(accepted.token, vector("a#1:3,b#1:1"));
}

#[test]
fn one_cause_twice_in_a_batch_is_stored_once_and_twice_in_a_request_is_refused() {
    let mut log = Log::new();
    let outcomes = log.append(&[caused("x", 0), caused("x", 0)]);
    assert!(outcomes[1].as_ref().unwrap().replayed);
    let mut twice = caused("y", 5);
    twice.events.push(twice.events[0].clone());
    let refused = log.append_one(twice);
    assert!(matches!(
        refused,
        Err(Refusal::Invalid { index: Some(1), .. })
    ));
    assert_eq!(log.head(), 1);
}

#[test]
fn a_condition_sees_the_log_and_earlier_requests_of_its_batch() {
    let mut log = Log::new();
    let outcomes = log.append(&[
        conditional("x", after(0)),
        conditional("y", after(0)),
        conditional(
            "z",
            Condition {
                types: vec!["other".into()],
                ..after(0)
            },
        ),
    ]);
    assert!(outcomes[0].is_ok());
    let failed = Refusal::ConditionFailed { found: 1, after: 0 };
    assert_eq!(outcomes[1], Err(failed.clone()));
    assert!(outcomes[2].is_ok());
    assert_eq!(
        log.append_one(conditional("x", after(0))),
        Err(Refusal::ConditionFailed { found: 2, after: 0 })
    );
    assert!(log.append_one(conditional("x", after(2))).is_ok());
}

#[test]
fn a_condition_sees_replicated_events() {
    let mut log = Log::new();
    log.apply(&Peer::new("b", vec![foreign("b#1/1", "")]).frame(0, 1));
    let refused = log.append_one(conditional("x", after(0)));
    assert_eq!(
        refused,
        Err(Refusal::ConditionFailed { found: 1, after: 0 })
    );
}

/// Incarnation 7 begins at this head.
fn raise(log: &mut Log, head: u64) {
    let raise = Raise {
        guard: Guard {
            incarnation: Incarnation(1),
            nonce: 1,
            head,
        },
        entry: tidelog_model::LineageEntry {
            incarnation: Incarnation(7),
            base: head,
        },
        rewrite: None,
    };
    now(log.store.raise(&raise)).unwrap();
    log.core = core_of(&log.store, 1);
}

#[test]
fn a_condition_after_a_lost_position_is_refused_however_far_the_log_has_grown() {
    let mut log = Log::new();
    log.append_one(request(&["x"])).unwrap();
    raise(&mut log, 1);
    for _ in 0..5 {
        log.append_one(request(&["y"])).unwrap();
    }
    let refused = log.append_one(conditional("z", after(3)));
    assert!(matches!(
        refused,
        Err(Refusal::Position(PositionError::IncarnationChanged { last_safe, .. })) if last_safe == Position::new(Incarnation(7), 1)
    ));
    let ahead = log.append_one(conditional(
        "z",
        Condition {
            after: Position::new(Incarnation(7), 7),
            ..after(0)
        },
    ));
    assert!(matches!(
        ahead,
        Err(Refusal::Position(PositionError::Ahead { head: 6, .. }))
    ));
}

#[test]
fn a_refused_request_leaves_nothing_behind_and_its_neighbours_alone() {
    let mut log = Log::new();
    let mut large = request(&["x", "y"]);
    // Fits by its own fields; with the context it does not.
    large.events[1].payload = vec![0; caps::EVENT_BYTES_MAX - 20].into();
    let outcomes = log.append(&[request(&["1"]), large, request(&["2"])]);
    assert!(matches!(
        outcomes[1],
        Err(Refusal::Invalid { index: Some(1), .. })
    ));
    assert_eq!(outcomes[2].as_ref().unwrap().ids, [id("a#1/2")]);
    assert_eq!(log.row(2).event.context, vector("a#1:1"));
    assert_eq!(log.core.view().hash, now(log.store.state()).unwrap().hash);
}

#[test]
fn a_request_outside_of_the_limits_is_refused_with_the_event_that_is_wrong() {
    let mut log = Log::new();
    assert!(matches!(
        log.append_one(request(&[])),
        Err(Refusal::Invalid { index: None, .. })
    ));
    let mut nameless = request(&["x", "y"]);
    nameless.events[1].event_type.clear();
    assert!(matches!(
        log.append_one(nameless),
        Err(Refusal::Invalid { index: Some(1), .. })
    ));
    let long = keyed(&"r".repeat(caps::KEY_BYTES_MAX + 1), &["x"]);
    assert!(matches!(
        log.append_one(long),
        Err(Refusal::Invalid { index: None, .. })
    ));
    let blind = conditional(
        "x",
        Condition {
            keys: Vec::new(),
            ..after(0)
        },
    );
    assert!(matches!(
        log.append_one(blind),
        Err(Refusal::Invalid { .. })
    ));
}

#[test]
fn strangers_do_not_take_the_place_of_what_is_appended_here() {
    let mut log = Log::new();
    let all = caps::VECTOR_ENTRIES_MAX as u32;
    let events = (1..=all).map(|i| foreign(&format!("b#{i}/{i}"), ""));
    let peer = Peer::new("b", events.collect());
    let outcome = log.apply(&peer.frame(0, u64::from(all)));
    assert!(
        matches!(
            outcome,
            FrameOutcome::Stalled(FrameFault::VectorFull { entries: 257, .. })
        ),
        "{outcome:?}"
    );
    log.apply(&peer.frame(0, u64::from(all) - 1));
    assert_eq!(log.head(), u64::from(all) - 1);
    assert!(log.append_one(request(&["x"])).is_ok());
    // The place that was kept is taken: there is none for another incarnation.
    raise(&mut log, u64::from(all));
    let refused = log.append_one(request(&["y"]));
    assert_eq!(refused, Err(Refusal::VectorFull { entries: 257 }));
}

#[test]
fn while_recovering_only_requests_that_need_the_table_wait() {
    let mut log = Log::new();
    log.core.set_recovering(true);
    let outcomes = log.append(&[keyed("r", &["x"]), caused("x", 0), request(&["x"])]);
    assert_eq!(outcomes[0], Err(Refusal::Recovering));
    assert_eq!(outcomes[1], Err(Refusal::Recovering));
    assert!(outcomes[2].is_ok());
    log.core.set_recovering(false);
    assert!(log.append_one(keyed("r", &["x"])).is_ok());
}

#[test]
fn times_never_run_backwards_when_the_wall_clock_does() {
    let mut log = Log::new();
    log.append_one(request(&["x"])).unwrap();
    log.now = NOW - 5_000_000;
    log.append_one(request(&["y"])).unwrap();
    log.now = NOW + 1;
    log.append_one(request(&["z"])).unwrap();
    let rows = [log.row(1), log.row(2), log.row(3)];
    assert!(rows.is_sorted_by(|a, b| a.event.time < b.event.time));
    let stored: Vec<_> = rows.iter().map(|r| r.stored_at_micros).collect();
    assert_eq!(stored, [NOW, NOW, NOW + 1]);
    // Also over a restart.
    log.now = NOW - 9;
    log.core = core_of(&log.store, 1);
    log.append_one(request(&["w"])).unwrap();
    assert!(log.row(4).event.time > rows[2].event.time);
    assert_eq!(log.row(4).stored_at_micros, NOW + 1);
}

#[test]
fn a_received_time_drags_the_clock_unless_it_is_too_far_ahead() {
    let mut log = Log::new();
    let mut near = foreign("b#1/1", "");
    near.time.micros = NOW + 50_000_000;
    let mut far = foreign("b#1/2", "b#1:1");
    far.time.micros = NOW + 900_000_000;
    log.apply(&Peer::new("b", vec![near, far]).frame(0, 2));
    log.append_one(request(&["x"])).unwrap();
    let own = log.row(3).event.time;
    assert_eq!((own.micros, own.logical), (NOW + 50_000_000, 1));
    assert_eq!(log.core.clock_ahead(), 1);
    assert_eq!(log.row(2).event.time.micros, NOW + 900_000_000);
    assert_eq!(log.row(2).stored_at_micros, NOW);
    assert_eq!(log.core.view().origin(), origin("a#1"));
}
