//! Queue and batches of the writer.

use tidelog_core::{
    AppendRequest, Effect, FrameOutcome, Input, LogCore, Refusal, StopReason, Ticket, Work, Writer,
    WriterLimits,
};
use tidelog_model::VectorTime;
use tidelog_store::{
    CommitError, InstanceId, LogStore, MemoryStore, Progress, StoreError, WriteBatch,
};

use crate::bench::{
    APPLIED, Log, NOW, Peer, foreign, id, keyed, lineage, name, now, request, vector,
};

/// A writer, its store, and what it said.
pub struct Bench {
    pub writer: Writer,
    pub store: MemoryStore,
    pub now: i64,
    pub said: Vec<Effect>,
}

impl Bench {
    pub fn new(limits: WriterLimits) -> Self {
        let log = Log::new();
        Self {
            writer: Writer::new(log.core, log.stamp, limits),
            store: log.store,
            now: NOW,
            said: Vec::new(),
        }
    }

    pub fn tell(&mut self, input: Input) {
        let effects = self.writer.handle(input, self.now);
        self.said.extend(effects);
    }

    pub fn append(&mut self, ticket: Ticket, request: AppendRequest) {
        self.tell(Input::Append(ticket, request));
    }

    pub fn frame(&mut self, ticket: Ticket, peer: &Peer, from: u64, to: u64) {
        let work = Work::Frame(Box::new(peer.frame(from, to)));
        self.tell(Input::Work(ticket, work));
    }

    /// The batch that is asked to be committed.
    pub fn batch(&mut self) -> WriteBatch {
        match self.asked() {
            Some(Effect::Commit(batch)) => *batch,
            other => unreachable!("a commit is due, not {other:?}"),
        }
    }

    /// What the store is asked to do.
    pub fn asked(&mut self) -> Option<Effect> {
        let asks = |e: &Effect| matches!(e, Effect::Check(_) | Effect::Commit(_) | Effect::Find(_));
        let at = self.said.iter().rposition(asks)?;
        Some(self.said.remove(at))
    }

    /// Lets the store do all that is asked.
    pub fn settle(&mut self) {
        while let Some(asked) = self.asked() {
            let input = match asked {
                Effect::Check(query) => Input::Checked(now(self.store.check(&query))),
                Effect::Commit(batch) => Input::Committed(now(self.store.commit(&batch))),
                Effect::Find(ids) => Input::Found(now(self.store.find(&ids))),
                other => unreachable!("{other:?} asks for nothing"),
            };
            self.tell(input);
        }
    }

    pub fn answers(&mut self) -> Vec<(Ticket, Result<u64, Refusal>)> {
        let answer = |effect: &Effect| match effect {
            Effect::Answer(ticket, answer) => {
                Some((*ticket, answer.as_ref().clone().map(|a| a.last_sequence)))
            }
            _ => None,
        };
        let found = self.said.iter().filter_map(answer).collect();
        self.said.retain(|e| !matches!(e, Effect::Answer(..)));
        found
    }

    pub fn work_done(&mut self) -> Vec<(Ticket, FrameOutcome)> {
        let done = |effect: &Effect| match effect {
            Effect::WorkDone(ticket, outcome) => Some((*ticket, outcome.clone())),
            _ => None,
        };
        let found = self.said.iter().filter_map(done).collect();
        self.said.retain(|e| !matches!(e, Effect::WorkDone(..)));
        found
    }

    pub fn stopped(&self) -> Option<StopReason> {
        self.said.iter().find_map(|e| match e {
            Effect::Stop(reason) => Some(reason.clone()),
            _ => None,
        })
    }
}

pub fn plain() -> Bench {
    Bench::new(WriterLimits::default())
}

pub fn pair() -> Peer {
    Peer::new("b", vec![foreign("b#1/1", ""), foreign("b#1/2", "b#1:1")])
}

#[test]
fn an_idle_write_goes_at_once_and_what_arrives_meanwhile_forms_the_next_batch() {
    let mut bench = plain();
    bench.append(1, request(&["1"]));
    bench.tell(Input::Go);
    let first = bench.batch();
    assert_eq!(first.events.len(), 1);
    for ticket in 2..5 {
        bench.append(ticket, request(&["x"]));
        bench.tell(Input::Go);
    }
    assert!(bench.said.is_empty(), "one batch in flight");
    now(bench.store.commit(&first)).unwrap();
    bench.tell(Input::Committed(Ok(())));
    let second = bench.batch();
    assert_eq!((second.guard.head, second.events.len()), (1, 3));
    assert_eq!(bench.answers(), [(1, Ok(1))]);
}

#[test]
fn the_witness_is_told_before_anything_is_shown_and_that_before_answers() {
    let mut bench = plain();
    bench.append(1, request(&["1"]));
    bench.tell(Input::Go);
    bench.settle();
    let order: Vec<_> = bench
        .said
        .iter()
        .map(|e| match e {
            Effect::Witness { head: 1, .. } => 'w',
            Effect::Publish { events, view } if events.len() == 1 && view.head == 1 => 'p',
            Effect::Answer(1, _) => 'a',
            _ => '?',
        })
        .collect();
    assert_eq!(order, ['w', 'p', 'a']);
}

#[test]
fn batches_are_bounded_by_events_and_by_bytes_and_a_larger_request_goes_alone() {
    let limits = WriterLimits {
        batch_events_max: 3,
        batch_bytes_max: 100,
        ..WriterLimits::default()
    };
    let mut bench = Bench::new(limits);
    let long = "x".repeat(60);
    bench.append(1, request(&["a", "b"]));
    bench.append(2, request(&["c", "d"]));
    bench.append(3, request(&[&long]));
    bench.append(4, request(&[&long]));
    bench.append(5, request(&["1", "2", "3", "4", "5"]));
    bench.tell(Input::Go);
    let mut sizes = Vec::new();
    while let Some(Effect::Commit(batch)) = bench.asked() {
        sizes.push(batch.events.len());
        bench.tell(Input::Committed(now(bench.store.commit(&batch))));
    }
    // c, d and the first long one fit together; neither b and c nor the two long ones do.
    assert_eq!(sizes, [2, 3, 1, 5]);
    assert_eq!(bench.writer.queued(), (0, 0));
}

#[test]
fn a_batch_takes_one_piece_of_work_after_the_requests() {
    let mut bench = plain();
    let peer = pair();
    bench.frame(10, &peer, 0, 1);
    bench.frame(11, &peer, 1, 2);
    bench.append(1, request(&["x"]));
    bench.tell(Input::Go);
    let batch = bench.batch();
    let ids: Vec<_> = batch
        .events
        .iter()
        .map(|e| e.event.id.to_string())
        .collect();
    assert_eq!(ids, ["a#1/1", "b#1/1"]);
    bench.tell(Input::Committed(now(bench.store.commit(&batch))));
    bench.settle();
    assert_eq!(
        bench.work_done(),
        [(10, APPLIED(1, 0)), (11, APPLIED(1, 0))]
    );
}

#[test]
fn a_refused_request_does_not_fail_its_neighbours() {
    let mut bench = plain();
    bench.append(1, request(&["x"]));
    bench.append(
        2,
        AppendRequest {
            context: Some(vector("z#1:1")),
            ..request(&["y"])
        },
    );
    bench.append(3, request(&["z"]));
    bench.tell(Input::Go);
    bench.settle();
    let missing = vector("z#1:1");
    assert_eq!(
        bench.answers(),
        [
            (1, Ok(1)),
            (2, Err(Refusal::ContextAhead { missing })),
            (3, Ok(2))
        ]
    );
}

#[test]
fn a_full_queue_refuses_by_number_and_by_bytes() {
    let limits = WriterLimits {
        queue_requests_max: 2,
        queue_bytes_max: 50,
        ..WriterLimits::default()
    };
    let mut bench = Bench::new(limits);
    let long = "x".repeat(100);
    bench.append(1, request(&[&long]));
    bench.append(2, request(&["y"]));
    bench.tell(Input::Go);
    bench.append(3, request(&["z"]));
    bench.append(4, request(&["z"]));
    bench.append(5, request(&["z"]));
    let answers = bench.answers();
    assert!(matches!(
        answers[0],
        (
            2,
            Err(Refusal::QueueFull {
                requests: 1,
                bytes: 102
            })
        )
    ));
    assert!(matches!(
        answers[1],
        (5, Err(Refusal::QueueFull { requests: 2, .. }))
    ));
    bench.settle();
    assert_eq!(bench.answers(), [(1, Ok(1)), (3, Ok(2)), (4, Ok(3))]);
}

#[test]
fn another_database_behind_the_connection_stops_the_writer_and_leaves_what_it_remembers_to_be_proven()
 {
    let mut bench = plain();
    bench.append(1, request(&["x"]));
    bench.tell(Input::Go);
    bench.batch();
    bench.append(2, request(&["y"]));
    let instance = |started: &str| {
        Box::new(InstanceId {
            system: "s".into(),
            timeline: "1".into(),
            started: Some(started.into()),
        })
    };
    bench.tell(Input::Committed(Err(CommitError::AnotherDatabase {
        leased: instance("yesterday"),
        found: instance("today"),
    })));
    let refused = Err(Refusal::NotWriter);
    assert_eq!(bench.answers(), [(1, refused.clone()), (2, refused)]);
    assert!(
        matches!(bench.stopped(), Some(StopReason::StateChanged(why)) if why.contains("s/1/today"))
    );
}

#[test]
fn a_fenced_writer_never_writes_again() {
    let mut bench = plain();
    bench.append(1, request(&["x"]));
    bench.tell(Input::Go);
    bench.append(2, request(&["y"]));
    bench.frame(10, &pair(), 0, 1);
    bench.batch();
    bench.tell(Input::Committed(Err(CommitError::Fenced)));
    assert_eq!(
        bench.answers(),
        [(1, Err(Refusal::NotWriter)), (2, Err(Refusal::NotWriter))]
    );
    assert!(matches!(
        bench.work_done()[..],
        [(10, FrameOutcome::Failed(_))]
    ));
    assert_eq!(bench.stopped(), Some(StopReason::Fenced));
    bench.said.clear();
    // Whatever still comes, in whatever order.
    bench.tell(Input::Committed(Ok(())));
    bench.tell(Input::Checked(Err(StoreError::Unavailable("late".into()))));
    bench.tell(Input::Found(Ok(Vec::new())));
    bench.tell(Input::ShutDown);
    bench.append(3, request(&["z"]));
    bench.tell(Input::Go);
    assert!(
        !bench.said.iter().any(|e| matches!(e, Effect::Commit(_))),
        "{:?}",
        bench.said
    );
    assert!(matches!(bench.answers()[..], [(3, Err(_))]));
}

#[test]
fn a_failed_check_is_a_definite_answer() {
    let mut bench = plain();
    bench.append(1, keyed("r", &["x"]));
    bench.tell(Input::Go);
    assert!(matches!(bench.said.pop(), Some(Effect::Check(_))));
    let error = StoreError::Unavailable("down".into());
    bench.tell(Input::Checked(Err(error.clone())));
    assert_eq!(bench.answers(), [(1, Err(Refusal::Store(error)))]);
    bench.append(2, request(&["x"]));
    bench.tell(Input::Go);
    bench.settle();
    assert_eq!(bench.answers(), [(2, Ok(1))]);
}

#[test]
fn a_failed_commit_keeps_answers_that_do_not_depend_on_it() {
    let mut bench = plain();
    bench.append(1, keyed("old", &["x"]));
    bench.tell(Input::Go);
    bench.settle();
    bench.answers();
    let condition = |after| {
        Some(tidelog_model::Condition {
            keys: vec!["k".into()],
            types: Vec::new(),
            after: tidelog_model::Position::new(tidelog_model::Incarnation(1), after),
        })
    };
    bench.append(2, keyed("old", &["x"]));
    bench.append(3, keyed("new", &["y"]));
    bench.append(4, keyed("new", &["y"]));
    bench.append(
        5,
        AppendRequest {
            condition: condition(0),
            ..request(&["z"])
        },
    );
    bench.append(
        6,
        AppendRequest {
            condition: condition(1),
            ..request(&["z"])
        },
    );
    bench.append(
        7,
        AppendRequest {
            context: Some(vector("z#1:1")),
            ..request(&["y"])
        },
    );
    bench.tell(Input::Go);
    let Some(Effect::Check(query)) = bench.said.pop() else {
        unreachable!()
    };
    bench.tell(Input::Checked(now(bench.store.check(&query))));
    bench.batch();
    let error = StoreError::Full("disk".into());
    bench.tell(Input::Committed(Err(CommitError::Failed(error.clone()))));
    let answers = bench.answers();
    let store = |ticket| (ticket, Err(Refusal::Store(error.clone())));
    assert_eq!(answers[0], (2, Ok(1)), "held before");
    assert_eq!(answers[1], store(3));
    assert_eq!(answers[2], store(4), "a replay of what is not in the log");
    // The store's highest match hides behind the batch's own event: refused either way, and by what is found later.
    assert!(matches!(answers[3], (5, Err(_))));
    assert_eq!(answers[4], store(6), "failed by an event that is not there");
    assert!(matches!(answers[5], (7, Err(Refusal::ContextAhead { .. }))));
}

#[test]
fn recovery_that_ends_while_a_batch_is_in_flight_is_over() {
    let mut bench = plain();
    bench.writer.set_recovering(true);
    bench.append(1, request(&["x"]));
    bench.tell(Input::Go);
    bench.writer.set_recovering(false);
    bench.settle();
    bench.append(2, keyed("r", &["y"]));
    bench.tell(Input::Go);
    bench.settle();
    assert_eq!(bench.answers(), [(1, Ok(1)), (2, Ok(2))]);
}

#[test]
fn a_shutdown_finishes_what_is_in_flight_and_refuses_the_rest() {
    let mut bench = plain();
    bench.append(1, keyed("r", &["x"]));
    bench.tell(Input::Go);
    bench.append(2, request(&["y"]));
    bench.tell(Input::ShutDown);
    bench.append(3, request(&["z"]));
    assert_eq!(
        bench.answers(),
        [
            (2, Err(Refusal::ShuttingDown)),
            (3, Err(Refusal::ShuttingDown))
        ]
    );
    assert_eq!(bench.stopped(), None);
    bench.settle();
    assert_eq!(bench.answers(), [(1, Ok(1))]);
    assert_eq!(bench.stopped(), Some(StopReason::ShutDown));
}

#[test]
fn a_stop_from_outside_waits_for_the_commit_under_way_and_for_nothing_else() {
    let fenced = || Input::Stop(StopReason::Fenced);
    let mut bench = plain();
    bench.append(1, request(&["x"]));
    bench.tell(Input::Go);
    bench.append(2, request(&["y"]));
    bench.frame(10, &pair(), 0, 1);
    bench.tell(fenced());
    bench.append(3, request(&["z"]));
    let refused = |ticket| (ticket, Err(Refusal::NotWriter));
    assert_eq!(bench.answers(), [refused(2), refused(3)]);
    assert!(matches!(
        bench.work_done()[..],
        [(10, FrameOutcome::Failed(_))]
    ));
    assert_eq!(bench.stopped(), None);
    // Shutting down does not make the reason go away.
    bench.tell(Input::ShutDown);
    bench.settle();
    assert_eq!(bench.answers(), [(1, Ok(1))]);
    assert_eq!(bench.stopped(), Some(StopReason::Fenced));

    // A question to the store writes nothing: there is nothing to wait for.
    let mut bench = plain();
    bench.append(1, keyed("r", &["x"]));
    bench.tell(Input::Go);
    assert!(matches!(bench.said.pop(), Some(Effect::Check(_))));
    bench.tell(fenced());
    assert_eq!(bench.answers(), [refused(1)]);
    assert_eq!(bench.stopped(), Some(StopReason::Fenced));

    let mut bench = plain();
    bench.tell(fenced());
    assert_eq!(bench.stopped(), Some(StopReason::Fenced));
}

#[test]
fn an_idle_writer_shuts_down_at_once() {
    let mut bench = plain();
    bench.tell(Input::ShutDown);
    assert_eq!(bench.stopped(), Some(StopReason::ShutDown));
}

#[test]
fn going_back_lowers_the_progress_and_never_raises_it() {
    let mut bench = plain();
    let peer = pair();
    bench.frame(10, &peer, 0, 2);
    bench.tell(Input::Go);
    bench.settle();
    let to = |position| Progress {
        position,
        hash: peer.hash(position),
        lineage: lineage(&[(1, 0), (5, 1)]),
    };
    bench.tell(Input::Work(11, Work::GoBack(name("b"), to(1))));
    bench.tell(Input::Go);
    bench.settle();
    assert_eq!(
        now(bench.store.state()).unwrap().progress[&name("b")],
        to(1)
    );
    let view = bench.said.iter().rev().find_map(|e| match e {
        Effect::Publish { view, .. } => Some(view.clone()),
        _ => None,
    });
    assert_eq!(view.unwrap().progress[&name("b")], to(1));
    bench.tell(Input::Work(12, Work::GoBack(name("b"), to(2))));
    bench.tell(Input::Go);
    bench.settle();
    let done = bench.work_done();
    assert_eq!(
        done[1..],
        [(11, APPLIED(0, 0)), (12, FrameOutcome::Dropped)]
    );
    // What is read again is held already.
    bench.frame(13, &peer, 1, 2);
    bench.tell(Input::Go);
    bench.settle();
    assert_eq!(bench.work_done(), [(13, APPLIED(0, 1))]);
}

#[test]
fn taking_over_covers_own_closed_incarnations_only_and_writes_only_news() {
    let mut bench = plain();
    bench.tell(Input::Work(1, Work::TakeOver(vector("a#0:5,a#1:9,b#1:9"))));
    bench.tell(Input::Go);
    let batch = bench.batch();
    assert_eq!(batch.covered_vector, vector("a#0:5"));
    assert_eq!(batch.version_vector, VectorTime::new());
    bench.tell(Input::Committed(now(bench.store.commit(&batch))));
    bench.tell(Input::Work(2, Work::TakeOver(vector("a#0:4"))));
    bench.tell(Input::Go);
    assert!(!bench.said.iter().any(|e| matches!(e, Effect::Commit(_))));
    assert_eq!(bench.work_done(), [(1, APPLIED(0, 0)), (2, APPLIED(0, 0))]);
}

/// The frame comes a batch later than the one in which its ids were used again.
#[test]
fn another_event_under_an_id_of_this_writer_stops_it() {
    let mut bench = plain();
    bench.append(1, request(&["new 1", "new 2"]));
    bench.tell(Input::Go);
    bench.settle();
    let held = now(bench.store.event(2)).unwrap().unwrap();
    let peer = Peer::new("b", vec![foreign("b#1/1", ""), (*held.event).clone()]);
    bench.frame(10, &peer, 0, 2);
    bench.tell(Input::Go);
    bench.settle();
    assert_eq!(bench.work_done(), [(10, APPLIED(1, 1))]);
    assert_eq!(bench.stopped(), None);

    let lost = Peer::new("c", vec![foreign("a#1/2", "a#1:1")]);
    bench.append(2, request(&["new 3"]));
    bench.frame(11, &lost, 0, 1);
    bench.tell(Input::Go);
    assert!(
        matches!(bench.stopped(), Some(StopReason::LossProven(e)) if e.event.id == id("a#1/2"))
    );
    assert_eq!(bench.answers(), [(1, Ok(2)), (2, Err(Refusal::NotWriter))]);
    assert_eq!(now(bench.store.state()).unwrap().head, 3);
}

#[test]
fn an_event_that_proves_a_loss_stops_the_writer() {
    let mut bench = plain();
    bench.append(1, request(&["x"]));
    bench.frame(10, &Peer::new("b", vec![foreign("a#1/7", "")]), 0, 1);
    bench.tell(Input::Go);
    assert_eq!(bench.answers(), [(1, Err(Refusal::NotWriter))]);
    assert!(matches!(bench.stopped(), Some(StopReason::LossProven(e)) if e.event.id.sequence == 7));
    assert_eq!(now(bench.store.state()).unwrap().head, 0);
    let _: &LogCore = bench.writer.core();
}
