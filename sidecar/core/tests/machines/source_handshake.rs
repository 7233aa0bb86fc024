//! How a source answers who asks for a stream.

use tidelog_core::{Open, PROTOCOL_VERSION, RefusalKind, SourceEffect, SourceInput};
use tidelog_model::{ChainHash, Incarnation};

use crate::bench::{foreign, id, lineage, name, travelling, vector};
use crate::source::Bench;

fn refusal(effects: &[SourceEffect]) -> (RefusalKind, u64, ChainHash) {
    let refused = effects.iter().find_map(|e| match e {
        SourceEffect::Refused(r) => Some((r.kind, r.position, r.hash)),
        _ => None,
    });
    refused.expect("a refusal")
}

/// Opens and answers the question for a hash.
fn open(bench: &mut Bench, open: Open) -> Vec<SourceEffect> {
    let mut effects = bench.tell(SourceInput::Open(Box::new(open)));
    if let Some(SourceEffect::NeedHash(position)) = effects.first() {
        let position = *position;
        let hash = Some(bench.hash(position));
        effects = bench.tell(SourceInput::Hash { position, hash });
    }
    effects
}

#[test]
fn a_stream_starts_where_both_hold_the_same_hash() {
    let mut bench = Bench::new(5);
    let at = Open {
        position: 3,
        hash: bench.hash(3),
        ..bench.open()
    };
    let effects = open(&mut bench, at);
    let Some(SourceEffect::Opened(opened)) = effects.first() else {
        unreachable!("{effects:?}")
    };
    assert_eq!(
        (opened.position, opened.hash, opened.head),
        (3, bench.hash(3), 5)
    );
    assert!(matches!(effects[1], SourceEffect::Read { after: 3, to: 5 }));
}

#[test]
fn another_lineage_goes_back_to_the_base_where_they_parted() {
    let mut bench = Bench::with_lineage(9, &[(1, 0), (7, 4)]);
    let asked = Open {
        position: 6,
        hash: ChainHash([6; 32]),
        source_lineage: lineage(&[(1, 0)]),
        ..bench.open()
    };
    assert_eq!(
        refusal(&open(&mut bench, asked)),
        (RefusalKind::PositionMismatch, 4, bench.hash(4))
    );
    // A position below the base is shared.
    let asked = Open {
        position: 4,
        hash: bench.hash(4),
        source_lineage: lineage(&[(1, 0)]),
        ..bench.open()
    };
    assert!(matches!(
        open(&mut bench, asked)[0],
        SourceEffect::Opened(_)
    ));
}

#[test]
fn one_incarnation_with_two_bases_goes_back_to_the_lower() {
    let mut bench = Bench::with_lineage(9, &[(1, 0), (7, 5)]);
    let asked = Open {
        position: 8,
        hash: ChainHash([8; 32]),
        source_lineage: lineage(&[(1, 0), (7, 2)]),
        ..bench.open()
    };
    assert_eq!(
        refusal(&open(&mut bench, asked)),
        (RefusalKind::PositionMismatch, 2, bench.hash(2))
    );
}

#[test]
fn beyond_the_head_of_the_same_lineage_nothing_is_certain_but_the_start() {
    // The head itself may lie on what has grown since the loss.
    let mut bench = Bench::new(5);
    let asked = Open {
        position: 7,
        hash: ChainHash([7; 32]),
        ..bench.open()
    };
    assert_eq!(
        refusal(&open(&mut bench, asked)),
        (RefusalKind::PositionMismatch, 0, ChainHash::ZERO)
    );
}

#[test]
fn another_hash_at_a_position_that_should_be_shared_goes_back_to_the_start() {
    let mut bench = Bench::new(5);
    let asked = Open {
        position: 3,
        hash: ChainHash([3; 32]),
        ..bench.open()
    };
    assert_eq!(
        refusal(&open(&mut bench, asked)),
        (RefusalKind::PositionMismatch, 0, ChainHash::ZERO)
    );
}

#[test]
fn who_is_wrong_here_is_told_why() {
    let mut bench = Bench::new(1);
    let base = bench.open();
    let cases = [
        (
            Open {
                log: "other".into(),
                ..base.clone()
            },
            RefusalKind::WrongLocation,
        ),
        (
            Open {
                source: name("z"),
                ..base.clone()
            },
            RefusalKind::WrongLocation,
        ),
        (
            Open {
                target: name("z"),
                ..base.clone()
            },
            RefusalKind::WrongLocation,
        ),
        (
            Open {
                protocol_version: PROTOCOL_VERSION + 1,
                ..base.clone()
            },
            RefusalKind::Incompatible,
        ),
        (
            Open {
                canonical_version: 0,
                ..base.clone()
            },
            RefusalKind::Incompatible,
        ),
        (
            Open {
                application_name: "other".into(),
                ..base
            },
            RefusalKind::ApplicationMismatch,
        ),
    ];
    for (asked, kind) in cases {
        assert_eq!(refusal(&open(&mut bench, asked)).0, kind);
        assert!(bench.machine.standing().is_none());
    }
}

#[test]
fn a_target_that_holds_more_of_me_than_i_wrote_is_asked_for_proof_once_an_hour() {
    let mut bench = Bench::new(5);
    let claims = Open {
        version_vector: vector("a#1:9"),
        ..bench.open()
    };
    let effects = open(&mut bench, claims.clone());
    assert_eq!(refusal(&effects).0, RefusalKind::SourceBehind);
    assert!(matches!(&effects[1], SourceEffect::AskProof(q) if *q == id("a#1/6")));
    // No proof, no raise; and no second question.
    assert!(matches!(
        bench.tell(SourceInput::Proof(None))[..],
        [SourceEffect::Close(_)]
    ));
    assert_eq!(
        refusal(&open(&mut bench, claims.clone())).0,
        RefusalKind::Rejected
    );
    bench.now += 3_600_000_000;
    assert_eq!(
        refusal(&open(&mut bench, claims)).0,
        RefusalKind::SourceBehind
    );
    let lost = travelling(foreign("a#1/8", ""));
    assert!(matches!(
        bench.tell(SourceInput::Proof(Some(lost)))[..],
        [SourceEffect::LossProven(_)]
    ));
}

#[test]
fn an_event_that_is_held_here_or_is_somebody_elses_proves_nothing() {
    for event in ["a#1/5", "a#0/9", "b#1/9"] {
        let mut bench = Bench::new(5);
        let claims = Open {
            version_vector: vector("a#1:9"),
            ..bench.open()
        };
        open(&mut bench, claims);
        let shown = travelling(foreign(event, ""));
        assert!(
            matches!(
                bench.tell(SourceInput::Proof(Some(shown)))[..],
                [SourceEffect::Close(_)]
            ),
            "{event}"
        );
    }
    let mut bench = Bench::new(5);
    assert!(
        bench
            .tell(SourceInput::Proof(Some(travelling(foreign("a#1/9", "")))))
            .is_empty(),
        "nobody asked"
    );
}

#[test]
fn a_later_incarnation_is_asked_about_when_something_of_it_is_stored_and_refused_otherwise() {
    let mut bench = Bench::new(5);
    let holds = Open {
        version_vector: vector("a#1:9,a#4:2,a#9:3"),
        source_incarnation_known: Incarnation(9),
        ..bench.open()
    };
    let effects = open(&mut bench, holds);
    assert!(matches!(&effects[1], SourceEffect::AskProof(q) if *q == id("a#9/1")));
    let mut bench = Bench::new(5);
    let heard = Open {
        source_incarnation_known: Incarnation(9),
        ..bench.open()
    };
    for _ in 0..2 {
        let effects = open(&mut bench, heard.clone());
        assert_eq!(refusal(&effects).0, RefusalKind::Rejected);
        assert_eq!(
            effects.len(),
            1,
            "there is nothing to show, so nothing is asked"
        );
    }
}

#[test]
fn a_hash_for_a_question_of_before_is_not_taken() {
    let mut bench = Bench::new(5);
    let first = Open {
        position: 3,
        hash: bench.hash(3),
        ..bench.open()
    };
    bench.tell(SourceInput::Open(Box::new(first)));
    let second = Open {
        stream: 2,
        position: 4,
        hash: bench.hash(4),
        ..bench.open()
    };
    bench.tell(SourceInput::Open(Box::new(second)));
    let hash = Some(bench.hash(3));
    assert!(
        bench
            .tell(SourceInput::Hash { position: 3, hash })
            .is_empty()
    );
    let hash = Some(bench.hash(4));
    assert!(matches!(
        bench.tell(SourceInput::Hash { position: 4, hash })[0],
        SourceEffect::Opened(_)
    ));
}
