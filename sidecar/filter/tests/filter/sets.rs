//! Several filters on one edge.

use tidelog_filter::{EVALUATOR_VERSION, Filter, FilterSet, OnError, Verdict, plan_id};

use crate::fixture::{event, location};

fn filter(name: &str, cel: &str, on_error: OnError) -> Filter {
    Filter::compile(name, cel, on_error).unwrap()
}

fn verdict(set: &FilterSet) -> Verdict {
    set.evaluate(&event(), &location("eu"), &location("us"))
}

#[test]
fn names_order_and_repetition_do_not_change_the_predicate() {
    let a = || filter("a", "event.type == 'x'", OnError::Stall);
    let b = || filter("b", "event.type != 'y'", OnError::Drop);
    let set = FilterSet::new([a(), b()]);
    let same = FilterSet::new([
        b(),
        filter("z", " event.type == 'x'\n", OnError::Stall),
        b(),
    ]);
    assert_eq!(set.canonical(), same.canonical());
    assert_eq!(set.hash(), same.hash());
    assert_eq!(
        set.canonical(),
        format!(
            "tidelog-filter/{EVALUATOR_VERSION}\nDrop 17 event.type != 'y'\nStall 17 event.type == 'x'\n"
        )
    );
}

#[test]
fn expression_and_on_error_change_the_predicate() {
    let of = |cel: &str, on_error| FilterSet::new([filter("f", cel, on_error)]).hash();
    let base = of("event.type == 'x'", OnError::Stall);
    assert_ne!(base, of("event.type == 'y'", OnError::Stall));
    assert_ne!(base, of("event.type == 'x'", OnError::Pass));
    assert_ne!(base, FilterSet::default().hash());
    // One filter whose text looks like two lines is not two filters.
    let one = FilterSet::new([filter("f", "true\n&& true", OnError::Stall)]);
    let two = FilterSet::new([filter("f", "true", OnError::Stall)]);
    assert_ne!(one.canonical(), two.canonical());
}

#[test]
fn all_filters_must_pass_and_a_drop_wins_over_a_stall() {
    let pass = || filter("p", "event.type == 'OrderPlaced'", OnError::Stall);
    let drop = || filter("d", "event.type == 'Other'", OnError::Stall);
    let stall = || filter("s", "event.metadata.absent == 'x'", OnError::Stall);
    assert_eq!(verdict(&FilterSet::default()), Verdict::Pass);
    assert_eq!(verdict(&FilterSet::new([pass(), pass()])), Verdict::Pass);
    assert_eq!(verdict(&FilterSet::new([pass(), drop()])), Verdict::Drop);
    assert_eq!(verdict(&FilterSet::new([stall(), drop()])), Verdict::Drop);
    assert_eq!(verdict(&FilterSet::new([drop(), stall()])), Verdict::Drop);
    assert!(matches!(
        verdict(&FilterSet::new([pass(), stall()])),
        Verdict::Stall(_)
    ));
    let first = filter("first", "event.metadata.a == 'x'", OnError::Stall);
    let second = filter("second", "event.metadata.b == 'x'", OnError::Stall);
    let Verdict::Stall(reason) = verdict(&FilterSet::new([second, first])) else {
        panic!("must stall");
    };
    assert_eq!(reason.filter, "first");
}

#[test]
fn what_the_filters_use_is_collected() {
    let set = FilterSet::new([
        filter("a", "event.metadata.k == source", OnError::Stall),
        filter("b", "event.payload.k == event.metadata.k", OnError::Stall),
    ]);
    let uses = set.uses();
    assert!(uses.source && uses.payload && !uses.target);
    assert_eq!(uses.unguarded, ["event.metadata.k", "event.payload.k"]);
}

#[test]
fn plans_differ_by_text_order_and_borders() {
    assert_eq!(plan_id(["a", "b"]), plan_id(["a", "b"]));
    let different = [
        plan_id(["a", "b"]),
        plan_id(["b", "a"]),
        plan_id(["ab"]),
        plan_id(["a", "b", ""]),
        plan_id(Vec::<String>::new()),
    ];
    for (i, x) in different.iter().enumerate() {
        assert_ne!(*x, 0);
        assert!(!different[i + 1..].contains(x), "{i}");
    }
}
