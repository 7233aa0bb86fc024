//! The simulation judged: it finds nothing in what is accepted, it finds what is broken, and a seed is a run.

use tidelog_sim::fleet::Fleet;
use tidelog_sim::history::History;
use tidelog_sim::run::{Script, run};
use tidelog_sim::shrink::{from_text, shrink, to_text};

fn fleet(to: u64, refused: bool) -> Fleet {
    Fleet {
        from: 0,
        to,
        threads: 2,
        refused,
        more: None,
        operated: false,
    }
}

#[test]
fn the_invariants_hold_whatever_breaks() {
    let sum = fleet(1_000, false).run(|_, _| true);
    let failed: Vec<_> = sum
        .failed
        .iter()
        .map(|(seed, violation)| format!("make sim SEED={seed}: {}", violation.message))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(
        sum.never(false),
        Vec::<&str>::new(),
        "operations that never happened"
    );
    assert!(sum.faults_per_run() > 10.0, "{}", sum.faults_per_run());
}

#[test]
fn the_invariants_hold_where_operators_keep_the_witnesses() {
    let sum = Fleet {
        operated: true,
        ..fleet(500, false)
    };
    let sum = sum.run(|_, _| true);
    assert!(sum.failed.is_empty(), "{:#?}", sum.failed);
    assert_eq!(
        sum.never(true),
        Vec::<&str>::new(),
        "operations that never happened"
    );
}

#[test]
fn what_the_planner_refuses_loses_events() {
    let sum = fleet(200, true).run(|_, _| true);
    assert!(sum.failed.len() > 20, "{} of 200", sum.failed.len());
}

#[test]
fn the_same_seed_twice_is_the_same_run() {
    for seed in 0..50 {
        let script = Script {
            seed,
            ..Script::default()
        };
        let (first, second) = (run(&script), run(&script));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.counts, second.counts, "seed {seed}");
        let other = run(&Script {
            seed: seed + 1_000,
            ..Script::default()
        });
        assert_ne!(first.hash, other.hash, "two seeds, one run");
    }
}

#[test]
fn what_was_once_found_is_not_found_again() {
    let histories = History::parse_all(include_str!("../regressions.txt")).expect("histories");
    for history in histories {
        let outcome = run(&Script {
            seed: history.seed,
            history: Some(history.clone()),
            ..Script::default()
        });
        let violation = outcome.violation.map(|v| v.message);
        assert_eq!(violation, None, "{}", history.title);
    }
}

#[test]
fn a_run_that_is_written_down_is_the_same_run() {
    for seed in 0..30 {
        let drawn = run(&Script {
            seed,
            ..Script::default()
        });
        let text = drawn.history.to_string();
        let read = History::parse_all(&text).expect("what was written is read");
        assert_eq!(read, [drawn.history], "seed {seed}");
        let again = run(&Script {
            seed,
            history: read.into_iter().next(),
            ..Script::default()
        });
        assert_eq!(drawn.hash, again.hash, "seed {seed}");
    }
}

#[test]
fn what_is_no_history_is_told_by_its_line() {
    for (text, told) in [
        ("seed 1 graph a>b:7 exports 7", "line 1"),
        ("seed 1 graph a>b:7 exports 7,7\n  1 fly: a a>b", "line 2"),
        ("  1 append: a a>b", "line 1"),
        ("once upon a time", "line 1"),
    ] {
        let error = History::parse_all(text).expect_err(text);
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn lines_change_nothing() {
    let quiet = Script {
        seed: 7,
        ..Script::default()
    };
    let told = run(&Script {
        with_lines: true,
        ..quiet.clone()
    });
    assert_eq!(run(&quiet).hash, told.hash);
    assert!(told.lines.len() > 100, "{} lines", told.lines.len());
}

#[test]
fn a_failing_run_is_made_short_and_still_fails() {
    let (script, outcome) = (0..100)
        .map(|seed| Script {
            seed,
            refused: true,
            ..Script::default()
        })
        .map(|script| (script.clone(), run(&script)))
        .find(|(_, outcome)| outcome.violation.is_some())
        .expect("some refused graph loses something");
    let violation = outcome.violation.expect("just found");
    let shrunk = shrink(&script, outcome.steps, &violation, 300);
    assert!(
        shrunk.steps.len() < outcome.steps as usize / 4,
        "{} of {} steps",
        shrunk.steps.len(),
        outcome.steps
    );
    let again = run(&Script {
        steps: Some(from_text(&to_text(&shrunk.steps)).expect("what was written is read")),
        ..script
    });
    let again = again.violation.expect("the shorter run fails as well");
    assert!(again.resembles(&violation), "{again:?} and {violation:?}");
}

#[test]
fn steps_are_written_as_ranges_and_what_is_no_step_is_told() {
    let steps = from_text("3,9,40-42").expect("steps");
    assert_eq!(
        steps.iter().copied().collect::<Vec<_>>(),
        [3, 9, 40, 41, 42]
    );
    assert_eq!(to_text(&steps), "3,9,40-42");
    for wrong in ["x", "5-3", "1-", "-1"] {
        let told = from_text(wrong).expect_err("no steps");
        assert!(told.contains(wrong), "{told}");
    }
}
