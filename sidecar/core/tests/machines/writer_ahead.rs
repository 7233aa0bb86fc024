//! What is planned while a batch is in flight.

use tidelog_core::{AppendRequest, Effect, Input, Refusal, Stamp, StopReason, WriterLimits};
use tidelog_model::ApplicationVersion;
use tidelog_store::{CommitError, LogStore, StoreError, WriteBatch};

use crate::bench::{APPLIED, NOW, keyed, now, request, vector};
use crate::writer::{Bench, pair, plain};

/// A writer with the batch of request 1 in flight.
fn busy() -> (Bench, WriteBatch) {
    let mut bench = plain();
    bench.append(1, request(&["1"]));
    bench.tell(Input::Go);
    let first = bench.batch();
    (bench, first)
}

fn commit(bench: &mut Bench, batch: &WriteBatch) {
    let outcome = now(bench.store.commit(batch));
    bench.tell(Input::Committed(outcome));
}

#[test]
fn what_is_planned_ahead_is_what_would_be_planned_later() {
    let later: &[fn() -> AppendRequest] = &[
        || request(&["2", "3"]),
        || AppendRequest {
            context: Some(vector("a#1:1")),
            ..request(&["4"])
        },
        || AppendRequest {
            context: Some(vector("z#1:1")),
            ..request(&["refused"])
        },
        || request(&["5"]),
    ];
    let play = |ahead: bool| {
        let (mut bench, first) = busy();
        for (ticket, request) in (2..).zip(later) {
            bench.append(ticket, request());
            if ahead {
                bench.tell(Input::Go);
            }
        }
        bench.frame(10, &pair(), 0, 2);
        commit(&mut bench, &first);
        let second = bench.batch();
        commit(&mut bench, &second);
        assert_eq!(bench.work_done(), [(10, APPLIED(2, 0))]);
        (second, bench.answers(), now(bench.store.state()).unwrap())
    };
    let (batch, answers, state) = play(true);
    assert_eq!(batch.events.len(), 6);
    assert_eq!(answers.len(), 5);
    assert_eq!((batch, answers, state), play(false));
}

#[test]
fn the_next_batch_is_on_its_way_before_answers_go_out_but_after_the_witness_was_told() {
    let (mut bench, first) = busy();
    bench.append(2, request(&["2"]));
    bench.tell(Input::Go);
    commit(&mut bench, &first);
    let order: Vec<_> = bench
        .said
        .iter()
        .map(|e| match e {
            Effect::Witness { head: 1, .. } => 'w',
            Effect::Commit(batch) if batch.guard.head == 1 => 'c',
            Effect::Publish { view, .. } if view.head == 1 => 'p',
            Effect::Answer(1, _) => 'a',
            _ => '?',
        })
        .collect();
    assert_eq!(order, ['w', 'c', 'p', 'a']);
}

#[test]
fn when_the_batch_in_flight_fails_the_others_wait_again_in_their_order() {
    for outcome in [
        CommitError::Failed(StoreError::Unavailable("down".into())),
        CommitError::Unknown("cut".into()),
        CommitError::Fenced,
    ] {
        let (mut bench, _) = busy();
        bench.append(2, request(&["2"]));
        bench.tell(Input::Go);
        bench.append(3, request(&["3"]));
        bench.tell(Input::Go);
        assert_eq!(bench.writer.queued().0, 2);
        let fenced = matches!(outcome, CommitError::Fenced);
        let unknown = matches!(outcome, CommitError::Unknown(_));
        bench.tell(Input::Committed(Err(outcome)));
        if unknown {
            // Nothing was written: planned anew, from where the log is.
            let state = now(bench.store.state()).unwrap();
            bench.tell(Input::Resolved(Ok(tidelog_core::Resolution {
                nonce: Some(1),
                state,
                hash_at_planned_head: None,
            })));
        }
        bench.settle();
        let answers = bench.answers();
        assert!(matches!(answers[0], (1, Err(_))), "{answers:?}");
        if fenced {
            let refused = |ticket| (ticket, Err(Refusal::NotWriter));
            assert_eq!(answers[1..], [refused(2), refused(3)]);
        } else {
            assert_eq!(answers[1..], [(2, Ok(1)), (3, Ok(2))]);
        }
    }
}

#[test]
fn requests_that_ask_the_store_do_not_wait_behind_a_batch_that_has_room_for_them() {
    let (mut bench, first) = busy();
    bench.append(2, request(&["2"]));
    bench.append(3, keyed("r", &["3"]));
    bench.append(4, request(&["4"]));
    bench.tell(Input::Go);
    commit(&mut bench, &first);
    assert!(bench.said.iter().any(|e| matches!(e, Effect::Check(_))));
    bench.settle();
    assert_eq!(
        bench.answers(),
        [(1, Ok(1)), (2, Ok(2)), (3, Ok(3)), (4, Ok(4))]
    );
    let commits = bench.said.iter().filter_map(|e| match e {
        Effect::Publish { events, .. } => Some(events.len()),
        _ => None,
    });
    assert_eq!(commits.collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn a_batch_planned_ahead_keeps_its_bounds_and_waits_for_nobody() {
    let mut bench = Bench::new(WriterLimits {
        batch_events_max: 2,
        ..WriterLimits::default()
    });
    bench.append(1, request(&["1"]));
    bench.tell(Input::Go);
    let first = bench.batch();
    for (ticket, request) in [
        (2, request(&["2"])),
        (3, request(&["3"])),
        (4, keyed("r", &["4"])),
    ] {
        bench.append(ticket, request);
    }
    bench.tell(Input::Go);
    commit(&mut bench, &first);
    let second = bench.batch();
    assert_eq!(second.events.len(), 2);
    commit(&mut bench, &second);
    bench.settle();
    assert_eq!(bench.answers().last(), Some(&(4, Ok(4))));
    assert_eq!(bench.writer.queued(), (0, 0));
}

#[test]
fn events_are_stamped_with_what_holds_when_their_batch_is_written() {
    let (mut bench, first) = busy();
    bench.append(2, request(&["2"]));
    bench.tell(Input::Go);
    let stamp = Stamp {
        application_version: "2.0".parse::<ApplicationVersion>().unwrap(),
        plan_id: 7,
    };
    bench.tell(Input::Stamp(stamp));
    bench.now = NOW + 5;
    commit(&mut bench, &first);
    let second = bench.batch();
    assert_eq!(second.events[0].event.plan_id, 7);
    assert_eq!(second.events[0].stored_at_micros, NOW + 5);
}

#[test]
fn what_is_planned_ahead_is_refused_at_the_end() {
    let (mut bench, first) = busy();
    bench.append(2, request(&["2"]));
    bench.tell(Input::Go);
    bench.tell(Input::ShutDown);
    assert_eq!(bench.answers(), [(2, Err(Refusal::ShuttingDown))]);
    commit(&mut bench, &first);
    assert_eq!(bench.answers(), [(1, Ok(1))]);
    assert_eq!(bench.stopped(), Some(StopReason::ShutDown));
    assert_eq!(now(bench.store.state()).unwrap().head, 1);
}
