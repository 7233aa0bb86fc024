//! What a target asks for and hands to its writer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidelog_core::{
    Credit, EdgeState, Frame, FrameFault, FrameOutcome, LogView, Open, Opened, RefusalKind,
    Refused, Retry, Target, TargetConfig, TargetEffect, TargetInput,
};
use tidelog_model::{ApplicationVersion, ChainHash, Digest, Lineage};
use tidelog_store::{Progress, VoidedId};

use crate::bench::{APPLIED, NOW, Peer, foreign, id, lineage, name, vector};

/// A target at `a` of the source `b`, whose log has three events.
struct Bench {
    machine: Target,
    view: LogView,
    peer: Peer,
}

impl Bench {
    fn new() -> Self {
        Self::at(0, &[(1, 0)])
    }

    fn at(position: u64, entries: &[(u32, u64)]) -> Self {
        let events = (1..=9).map(|n| foreign(&format!("b#1/{n}"), ""));
        let peer = Peer::new("b", events.collect());
        let mut view = LogView {
            location: name("a"),
            lineage: Arc::new(lineage(&[(1, 0)])),
            head: 0,
            hash: ChainHash::ZERO,
            version_vector: Arc::default(),
            covered_vector: Arc::default(),
            stored_at_micros: NOW,
            progress: Arc::default(),
            voided: Arc::default(),
            nonce: 1,
        };
        if position > 0 {
            let progress = Progress {
                position,
                hash: peer.hash(position),
                lineage: lineage(entries),
            };
            view.progress = Arc::new(BTreeMap::from([(name("b"), progress)]));
        }
        let config = TargetConfig {
            log: "log".into(),
            source: name("b"),
            target: name("a"),
            spec_hash: String::new(),
            application_name: "app".into(),
            application_version: ApplicationVersion::default(),
            filter_hash: String::new(),
            behind: Arc::new(BTreeSet::from([name("b")])),
            window_bytes: 10_000,
        };
        let machine = Target::new(config, Arc::new(view.clone()));
        Self {
            machine,
            view,
            peer,
        }
    }

    fn tell(&mut self, input: TargetInput) -> Vec<TargetEffect> {
        self.machine.handle(input, NOW)
    }

    fn connect(&mut self, stream: u64) -> Open {
        match self.tell(TargetInput::Connected(stream)).pop() {
            Some(TargetEffect::Open(open)) => *open,
            other => unreachable!("{other:?}"),
        }
    }

    fn opened(open: &Open) -> Opened {
        Opened {
            stream: open.stream,
            lineage: lineage(&[(1, 0)]),
            position: open.position,
            hash: open.hash,
            head: 9,
            voided: Vec::new(),
            spec_hash: String::new(),
            application_name: "app".into(),
            application_version: ApplicationVersion::default(),
            filter_hash: String::new(),
        }
    }

    /// Connects and opens.
    fn run(&mut self, stream: u64) {
        let open = self.connect(stream);
        let opened = Self::opened(&open);
        assert!(self.tell(TargetInput::Opened(Box::new(opened))).is_empty());
    }

    fn refused(&self, kind: RefusalKind, position: u64, source: Lineage) -> TargetInput {
        TargetInput::Refused(Box::new(Refused {
            stream: 1,
            kind,
            message: "because".into(),
            lineage: source,
            position,
            hash: if position > 9 {
                ChainHash::ZERO
            } else {
                self.peer.hash(position)
            },
        }))
    }

    fn frame(&self, stream: u64, from: u64, to: u64) -> Frame {
        Frame {
            stream,
            ..self.peer.frame(from, to).frame
        }
    }

    fn arrives(&mut self, stream: u64, from: u64, to: u64) -> Vec<TargetEffect> {
        let frame = self.frame(stream, from, to);
        self.tell(TargetInput::Frame(Box::new(frame)))
    }

    /// What the writer publishes with a frame.
    fn shows(&mut self, position: u64, version: &str) -> Vec<TargetEffect> {
        let progress = Progress {
            position,
            hash: self.peer.hash(position),
            lineage: lineage(&[(1, 0)]),
        };
        self.view.progress = Arc::new(BTreeMap::from([(name("b"), progress)]));
        self.view.version_vector = Arc::new(vector(version));
        self.view.covered_vector = self.view.version_vector.clone();
        self.tell(TargetInput::View(Arc::new(self.view.clone())))
    }
}

fn credits(effects: &[TargetEffect]) -> Vec<Credit> {
    let credit = |e: &TargetEffect| match e {
        TargetEffect::Credit(credit) => Some(credit.clone()),
        _ => None,
    };
    effects.iter().filter_map(credit).collect()
}

fn closed(effects: &[TargetEffect]) -> Option<Retry> {
    effects.iter().find_map(|e| match e {
        TargetEffect::Close(_, retry) => Some(*retry),
        _ => None,
    })
}

fn applies(effects: &[TargetEffect]) -> Vec<(u64, u64)> {
    let span = |e: &TargetEffect| match e {
        TargetEffect::Apply(work) => Some((work.frame.from, work.frame.to)),
        _ => None,
    };
    effects.iter().filter_map(span).collect()
}

fn goes_back(effects: &[TargetEffect]) -> (u64, ChainHash) {
    match effects {
        [TargetEffect::GoBack(progress)] => (progress.position, progress.hash),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn it_opens_where_the_log_says_and_tells_what_it_knows() {
    let mut bench = Bench::at(3, &[(1, 0), (4, 2)]);
    bench.view.version_vector = Arc::new(vector("b#1:3"));
    bench.tell(TargetInput::View(Arc::new(bench.view.clone())));
    let open = bench.connect(7);
    assert_eq!(
        (open.stream, open.position, open.hash),
        (7, 3, bench.peer.hash(3))
    );
    assert_eq!(open.version_vector, vector("b#1:3"));
    assert_eq!(
        open.source_incarnation_known.0, 4,
        "also when only the lineage tells"
    );
    assert_eq!(open.credit_bytes, 10_000);
}

#[test]
fn one_frame_at_a_time_is_with_the_writer() {
    let mut bench = Bench::new();
    bench.run(1);
    assert_eq!(applies(&bench.arrives(1, 0, 2)), [(0, 2)]);
    assert_eq!(applies(&bench.arrives(1, 2, 3)), []);
    assert_eq!(applies(&bench.arrives(1, 3, 4)), []);
    let cost = bench.frame(1, 0, 2).cost();
    let effects = bench.tell(TargetInput::Applied(APPLIED(2, 0)));
    assert_eq!(applies(&effects), [(2, 3)]);
    assert_eq!(credits(&effects)[0].bytes, cost);
}

#[test]
fn other_streams_and_other_incarnations_are_ignored() {
    let mut bench = Bench::new();
    bench.run(1);
    assert!(bench.arrives(2, 0, 2).is_empty());
    bench.tell(TargetInput::Disconnected("gone".into()));
    bench.run(2);
    assert!(bench.arrives(1, 0, 2).is_empty());
    let stale = Frame {
        incarnation: tidelog_model::Incarnation(9),
        ..bench.frame(2, 0, 2)
    };
    assert_eq!(
        closed(&bench.tell(TargetInput::Frame(Box::new(stale)))),
        Some(Retry::Backoff)
    );
    assert!(
        bench.arrives(2, 0, 2).is_empty(),
        "nothing later of that stream"
    );
}

#[test]
fn consent_for_another_stream_or_another_position_is_none() {
    let mut bench = Bench::at(3, &[(1, 0)]);
    let open = bench.connect(5);
    let mut other = Bench::opened(&open);
    other.stream = 4;
    assert!(bench.tell(TargetInput::Opened(Box::new(other))).is_empty());
    let mut higher = Bench::opened(&open);
    higher.position = 4;
    assert_eq!(
        closed(&bench.tell(TargetInput::Opened(Box::new(higher)))),
        Some(Retry::Backoff)
    );
    assert_eq!(bench.machine.status().reason, "NoProgress");
}

#[test]
fn a_frame_of_before_that_is_applied_while_the_stream_opens_does_no_harm() {
    let mut bench = Bench::new();
    let open = bench.connect(5);
    bench.shows(2, "b#1:2");
    let opened = Bench::opened(&open);
    let effects = bench.tell(TargetInput::Opened(Box::new(opened)));
    // What has moved since it asked is declared as soon as the stream runs.
    let told = credits(&effects).remove(0);
    assert_eq!(
        (told.progress, told.version_vector),
        (2, Some(vector("b#1:2")))
    );
    assert_eq!(closed(&effects), None);
    assert_eq!(applies(&bench.arrives(5, 0, 2)), [(0, 2)]);
    let effects = bench.tell(TargetInput::Applied(FrameOutcome::Dropped));
    assert_eq!((closed(&effects), credits(&effects)[0].progress), (None, 2));
}

#[test]
fn answer_and_view_may_come_in_either_order() {
    let mut bench = Bench::new();
    bench.run(1);
    bench.arrives(1, 0, 2);
    // First the answer: the progress is told at once, the vectors as soon as they are known.
    let told = credits(&bench.tell(TargetInput::Applied(APPLIED(2, 0)))).remove(0);
    assert_eq!((told.progress, told.version_vector), (2, None));
    let told = credits(&bench.shows(2, "b#1:2")).remove(0);
    assert_eq!(
        (told.bytes, told.version_vector),
        (0, Some(vector("b#1:2")))
    );
    assert_eq!(told.covered_vector, Some(vector("b#1:2")));
    // First the view: one message tells all.
    bench.arrives(1, 2, 9);
    assert!(bench.shows(9, "b#1:9").is_empty());
    let told = credits(&bench.tell(TargetInput::Applied(APPLIED(7, 0)))).remove(0);
    assert_eq!(
        (told.progress, told.version_vector),
        (9, Some(vector("b#1:9")))
    );
    assert_eq!(bench.machine.status().state, EdgeState::Streaming);
}

#[test]
fn vectors_that_move_by_other_streams_are_declared_anew() {
    let mut bench = Bench::new();
    bench.run(1);
    let told = credits(&bench.shows(0, "c#1:4")).remove(0);
    assert_eq!(
        (told.bytes, told.version_vector),
        (0, Some(vector("c#1:4")))
    );
    assert!(bench.shows(0, "c#1:4").is_empty(), "nothing moved");
}

#[test]
fn another_lineage_goes_back_to_the_common_base_with_the_sources_hash() {
    let mut bench = Bench::at(6, &[(1, 0)]);
    bench.connect(1);
    let refused = bench.refused(RefusalKind::PositionMismatch, 4, lineage(&[(1, 0), (7, 4)]));
    let effects = bench.tell(refused);
    assert_eq!(goes_back(&effects), (4, bench.peer.hash(4)));
    assert_eq!(bench.machine.status().state, EdgeState::SourceReset);
    assert_eq!(
        closed(&bench.tell(TargetInput::WentBack(APPLIED(0, 0)))),
        Some(Retry::Now)
    );
}

#[test]
fn what_is_not_certain_to_be_shared_goes_back_to_the_start() {
    // Too high for the lineages; not lower than what is held; agreeing lineages, whose positions should agree as well.
    for (proposed, source) in [
        (5, &[(1, 0), (7, 4)][..]),
        (6, &[(1, 0), (7, 8)]),
        (3, &[(1, 0)]),
    ] {
        let mut bench = Bench::at(6, &[(1, 0)]);
        bench.connect(1);
        let refused = bench.refused(RefusalKind::PositionMismatch, proposed, lineage(source));
        let effects = bench.tell(refused);
        assert_eq!(
            goes_back(&effects),
            (0, ChainHash::ZERO),
            "{proposed} {source:?}"
        );
    }
}

#[test]
fn at_the_start_there_is_nowhere_to_go_back_to() {
    let mut bench = Bench::new();
    bench.connect(1);
    let refused = bench.refused(RefusalKind::PositionMismatch, 0, lineage(&[(1, 0)]));
    assert_eq!(closed(&bench.tell(refused)), Some(Retry::Backoff));
    assert_eq!(bench.machine.status().reason, "NoProgress");
}

/// From 6 to 4, and no view has told of it.
fn gone_back() -> Bench {
    let mut bench = Bench::at(6, &[(1, 0)]);
    bench.connect(1);
    let refused = bench.refused(RefusalKind::PositionMismatch, 4, lineage(&[(1, 0), (7, 4)]));
    bench.tell(refused);
    bench.tell(TargetInput::WentBack(APPLIED(0, 0)));
    bench.tell(TargetInput::Disconnected("closed".into()));
    bench
}

#[test]
fn after_going_back_it_opens_there_even_when_the_view_is_late() {
    let mut bench = gone_back();
    assert_eq!(bench.connect(2).position, 4);
    bench.tell(TargetInput::Disconnected("closed".into()));
    bench.shows(5, "b#1:5");
    assert_eq!(bench.connect(3).position, 5);
}

#[test]
fn the_writer_knows_better_where_the_progress_is() {
    let mut bench = gone_back();
    // Before a view tells of it the database fails over to a copy in which the progress is as it was.
    bench.run(2);
    bench.arrives(2, 4, 5);
    let closing = bench.tell(TargetInput::Applied(FrameOutcome::Discontinuous));
    assert_eq!(closed(&closing), Some(Retry::Now));
    bench.tell(TargetInput::Disconnected("closed".into()));
    assert_eq!(bench.connect(3).position, 6);
}

#[test]
fn each_refusal_has_its_state_and_its_pause() {
    let cases = [
        (RefusalKind::Paused, EdgeState::Paused, Retry::Backoff),
        (
            RefusalKind::Incompatible,
            EdgeState::Incompatible,
            Retry::Backoff,
        ),
        (
            RefusalKind::ApplicationMismatch,
            EdgeState::Incompatible,
            Retry::Backoff,
        ),
        (RefusalKind::NotReady, EdgeState::Connecting, Retry::Backoff),
        (RefusalKind::Cut, EdgeState::Unreachable, Retry::Backoff),
        (RefusalKind::Rejected, EdgeState::Rejected, Retry::Hour),
        (
            RefusalKind::WrongLocation,
            EdgeState::Rejected,
            Retry::Backoff,
        ),
        (
            RefusalKind::EdgeNotAllowed,
            EdgeState::Rejected,
            Retry::Backoff,
        ),
    ];
    for (kind, state, retry) in cases {
        let mut bench = Bench::new();
        bench.connect(1);
        let refused = bench.refused(kind, 0, lineage(&[(1, 0)]));
        assert_eq!(closed(&bench.tell(refused)), Some(retry), "{kind:?}");
        assert_eq!(bench.machine.status().state, state, "{kind:?}");
    }
    // Here the source asks for proof on the same connection.
    let mut bench = Bench::new();
    bench.connect(1);
    let refused = bench.refused(RefusalKind::SourceBehind, 0, lineage(&[(1, 0)]));
    assert!(bench.tell(refused).is_empty());
    assert_eq!(bench.machine.status().state, EdgeState::SourceReset);
}

#[test]
fn each_outcome_has_its_pause_and_nothing_later_of_the_stream_is_applied() {
    let reused = FrameFault::IdentityReused {
        id: id("b#1/1"),
        held: Digest([0; 32]),
        received: Digest([1; 32]),
    };
    let cases = [
        (
            FrameOutcome::Discontinuous,
            Retry::Now,
            EdgeState::Connecting,
            "",
        ),
        (
            FrameOutcome::Failed("full".into()),
            Retry::Backoff,
            EdgeState::Connecting,
            "StorageUnavailable",
        ),
        (
            FrameOutcome::Stalled(reused),
            Retry::Backoff,
            EdgeState::Stalled,
            "IdentityReused",
        ),
        (
            FrameOutcome::Stalled(FrameFault::OutOfOrder { id: id("b#1/1") }),
            Retry::Backoff,
            EdgeState::Stalled,
            "Rejected",
        ),
    ];
    for (outcome, retry, state, reason) in cases {
        let mut bench = Bench::new();
        bench.run(1);
        bench.arrives(1, 0, 2);
        bench.arrives(1, 2, 3);
        let effects = bench.tell(TargetInput::Applied(outcome));
        assert_eq!(closed(&effects), Some(retry));
        assert_eq!((applies(&effects), credits(&effects)), (vec![], vec![]));
        let status = bench.machine.status();
        assert_eq!((status.state, status.reason.as_str()), (state, reason));
        assert!(bench.arrives(1, 2, 3).is_empty());
    }
}

#[test]
fn a_source_that_ignores_its_credit_is_cut_off() {
    let mut bench = Bench::new();
    bench.run(1);
    let mut large = bench.frame(1, 0, 1);
    large.events[0].bytes = 9_000_000;
    let effects = bench.tell(TargetInput::Frame(Box::new(large)));
    assert_eq!(closed(&effects), Some(Retry::Backoff));
    assert_eq!(bench.machine.status().reason, "Rejected");
}

#[test]
fn what_its_source_took_back_is_looked_for_before_anything_is_applied() {
    for held in [None, Some(id("b#1/2"))] {
        let mut bench = Bench::new();
        let open = bench.connect(1);
        let mut opened = Bench::opened(&open);
        opened.voided = vec![VoidedId {
            id: id("b#1/2"),
            digest: Digest([2; 32]),
        }];
        let effects = bench.tell(TargetInput::Opened(Box::new(opened)));
        assert!(matches!(effects[..], [TargetEffect::FindVoided(_)]));
        assert!(bench.arrives(1, 0, 2).is_empty(), "it waits");
        let effects = bench.tell(TargetInput::Voided(held.clone()));
        if held.is_none() {
            assert_eq!(applies(&effects), [(0, 2)]);
        } else {
            assert_eq!(closed(&effects), Some(Retry::Hour));
            assert_eq!(bench.machine.status().reason, "IdentityReused");
        }
    }
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let mut bench = Bench::new();
    bench.run(1);
    assert!(bench.tell(TargetInput::Voided(None)).is_empty());
    assert!(bench.tell(TargetInput::WentBack(APPLIED(0, 0))).is_empty());
    assert!(bench.tell(TargetInput::Applied(APPLIED(1, 0))).is_empty());
    let refused = bench.refused(RefusalKind::Paused, 0, lineage(&[(1, 0)]));
    assert!(bench.tell(refused).is_empty());
    assert_eq!(applies(&bench.arrives(1, 0, 2)), [(0, 2)]);
}

#[test]
fn an_own_raise_ends_the_stream_once() {
    let mut bench = Bench::new();
    bench.run(1);
    bench.arrives(1, 0, 2);
    bench.view.lineage = Arc::new(lineage(&[(1, 0), (9, 0)]));
    let effects = bench.tell(TargetInput::View(Arc::new(bench.view.clone())));
    assert_eq!(closed(&effects), Some(Retry::Now));
    assert!(bench.arrives(1, 2, 3).is_empty());
    bench.view.lineage = Arc::new(lineage(&[(1, 0), (9, 0), (10, 0)]));
    assert!(
        bench
            .tell(TargetInput::View(Arc::new(bench.view.clone())))
            .is_empty()
    );
}
