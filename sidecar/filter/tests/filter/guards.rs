//! Which keys are reported as unguarded.

use crate::fixture::compile;

fn check(cel: &str, expected: &[&str]) {
    let filter = compile(cel).unwrap_or_else(|e| panic!("{cel}: {e}"));
    assert_eq!(filter.uses().unguarded, expected, "{cel}");
}

#[test]
fn bare_keys_are_reported() {
    check("event.metadata.store == target", &["event.metadata.store"]);
    check("event.metadata['a b'] == 'x'", &["event.metadata.a b"]);
    check(
        "event.payload.a.b == 1 || event.metadata.k == 'x'",
        &["event.metadata.k", "event.payload.a", "event.payload.a.b"],
    );
    check(
        "event.payload.items[0].sku == 'x'",
        &["event.payload.items"],
    );
    check("event.type == 'x' && event.id.sequence > 1u", &[]);
}

#[test]
fn guarded_keys_are_not() {
    for cel in [
        "has(event.metadata.k) && event.metadata.k == 'x'",
        "event.metadata.k == 'x' && has(event.metadata.k)",
        "!has(event.metadata.k) || event.metadata.k == 'x'",
        "has(event.metadata.k) ? event.metadata.k == 'x' : true",
        "!has(event.metadata.k) ? true : event.metadata.k == 'x'",
        "'k' in event.metadata && event.metadata['k'] == 'x'",
        "has(event.metadata.k) && event.type == 'y' && (event.type == 'x' || event.metadata.k == 'x')",
        "!(has(event.metadata.k) && event.type == 'y') || event.metadata.k == 'x'",
        "has(event.payload.a) && has(event.payload.a.b) && event.payload.a.b == 1",
        "has(event.metadata.k) && event.metadata.k.startsWith('x') && size(event.metadata.k) > 1",
        "event.destinations.all(d, has(event.metadata.k) && d == event.metadata.k)",
    ] {
        check(cel, &[]);
    }
}

#[test]
fn a_guard_of_something_else_does_not_count() {
    check(
        "has(event.metadata.a) && event.metadata.b == 'x'",
        &["event.metadata.b"],
    );
    check(
        "has(event.metadata.k) || event.metadata.k == 'x'",
        &["event.metadata.k"],
    );
    check(
        "!has(event.metadata.k) && event.metadata.k == 'x'",
        &["event.metadata.k"],
    );
    check(
        "(has(event.metadata.k) || event.type == 'y') && event.metadata.k == 'x'",
        &["event.metadata.k"],
    );
    check(
        "has(event.metadata.k) ? true : event.metadata.k == 'x'",
        &["event.metadata.k"],
    );
    // `has(a.b)` itself is an error when `a` is absent.
    check(
        "has(event.payload.a.b) && event.payload.a.b == 1",
        &["event.payload.a"],
    );
}

#[test]
fn keys_of_loop_variables_are_reported() {
    check(
        "has(event.payload.items) && event.payload.items.all(i, i.sku == 'x')",
        &["i.sku"],
    );
    check(
        "has(event.payload.items) && event.payload.items.all(i, has(i.sku) && i.sku == 'x')",
        &[],
    );
}

#[test]
fn what_is_named_is_told() {
    let uses = |cel: &str| {
        let u = compile(cel).unwrap().uses().clone();
        (u.source, u.target, u.payload)
    };
    assert_eq!(uses("event.type == 'x'"), (false, false, false));
    assert_eq!(uses("source == 'x'"), (true, false, false));
    assert_eq!(uses("event.type == target"), (false, true, false));
    assert_eq!(uses("event.payload.a == 1"), (false, false, true));
    assert_eq!(uses("has(event.payload)"), (false, false, true));
    assert_eq!(
        uses("event.metadata.source == 'target'"),
        (false, false, false)
    );
}
