//! What is refused when a filter is loaded, with the place, the reason and the way out.

use tidelog_filter::{FilterErrorKind as Kind, limits};

use crate::fixture::compile;

/// Compiles what must be refused; gives place and reason.
fn refused(cel: &str) -> ((usize, usize), Kind) {
    match compile(cel) {
        Ok(_) => panic!("accepted: {cel}"),
        Err(e) => {
            assert_eq!(e.filter, "f");
            assert!(e.to_string().starts_with("filter `f`, line "), "{e}");
            ((e.line, e.column), e.kind)
        }
    }
}

#[test]
fn text_that_is_not_cel_is_refused_where_it_goes_wrong() {
    for (cel, place) in [
        ("event.type ==", (1, 14)),
        ("true &&\n  event.type = 'x'", (2, 14)),
        ("'open", (1, 1)),
    ] {
        let (found, kind) = refused(cel);
        assert!(matches!(kind, Kind::Syntax { .. }), "{cel}: {kind}");
        assert_eq!(found, place, "{cel}: {kind}");
    }
    assert_eq!(refused("").1, Kind::Empty);
    assert_eq!(refused(" \n ").1, Kind::Empty);
}

#[test]
fn size_is_bounded() {
    let long = format!("event.type == '{}'", "x".repeat(limits::CEL_BYTES_MAX));
    assert!(matches!(refused(&long).1, Kind::TooLong { .. }));
    let many = format!(
        "event.type in [{}]",
        vec!["'a'"; limits::NODES_MAX].join(",")
    );
    assert!(matches!(refused(&many).1, Kind::TooManyNodes { .. }));
    let fits = format!(
        "event.type in [{}]",
        vec!["'a'"; limits::NODES_MAX - 10].join(",")
    );
    assert!(compile(&fits).is_ok());
}

#[test]
fn undeclared_names_are_refused_with_what_is_declared() {
    let (place, kind) = refused("event.type == 'x' &&\n    evnt.type == 'y'");
    assert_eq!(place, (2, 5), "{kind}");
    assert!(
        matches!(&kind, Kind::UndeclaredName { name, .. } if name == "evnt"),
        "{kind}"
    );
    assert!(kind.to_string().contains("source, target"), "{kind}");
    for cel in [
        "google.protobuf.Timestamp == 1",
        ".event.type == 'x'",
        "@type == 'x'",
        "__x",
    ] {
        assert!(compile(cel).is_err(), "{cel}");
    }
    assert_eq!(refused("size(event) == 1").1, Kind::BareEvent);
}

#[test]
fn fields_that_differ_between_locations_are_refused_with_the_reason() {
    for (cel, way_out) in [
        ("event.sequence > 1u", "event.id.sequence"),
        ("event.stored_at == null", "event.time"),
        ("has(event.digest)", "derived"),
    ] {
        let (_, kind) = refused(cel);
        assert!(matches!(kind, Kind::RefusedField { .. }), "{kind}");
        assert!(kind.to_string().contains(way_out), "{kind}");
    }
    let (place, kind) = refused("true || event.kind == 'x'");
    assert_eq!(place.0, 1);
    assert!(kind.to_string().contains("aggregate_id"), "{kind}");
    for cel in [
        "event.id.origin == 'eu'",
        "event.time.seconds == 1",
        "event.caused_by.id.x == 1",
    ] {
        assert!(matches!(refused(cel).1, Kind::UnknownField { .. }), "{cel}");
    }
    assert!(matches!(
        refused("has(event.id.location)").1,
        Kind::NeedlessHas { .. }
    ));
}

#[test]
fn undeclared_functions_are_refused() {
    for cel in [
        "now() > event.time.physical",
        "event.type.lowerAscii() == 'x'",
        "event.time.physical.getHours('Europe/Berlin') == 3",
        "math.greatest(1, 2) == 2",
        "optional.of(1).hasValue()",
        "event.metadata.has('store')",
        "size(event.type, 2) == 1",
        "random() < 0.5",
        "dyn(1) == 1",
    ] {
        let (_, kind) = refused(cel);
        assert!(
            matches!(
                kind,
                Kind::UndeclaredFunction { .. } | Kind::UndeclaredName { .. }
            ),
            "{cel}: {kind}"
        );
    }
    assert!(compile("event.metadata.?store == 'x'").is_err());
    assert!(matches!(
        refused("Foo{a: 1} == 1").1,
        Kind::NotAllowed { .. }
    ));
}

#[test]
fn patterns_are_literals_that_compile_within_bounds() {
    for cel in [
        "event.type.matches(source)",
        "matches(event.type, 'a' + 'b')",
    ] {
        assert_eq!(refused(cel).1, Kind::ComputedPattern, "{cel}");
    }
    for cel in [
        "event.type.matches('(')",
        "event.type.matches('(((((a{100}){100}){100}){100}){100})')",
        "event.type.matches('(?=x)')",
        "event.type.matches('\\\\1')",
    ] {
        let (_, kind) = refused(cel);
        assert!(matches!(kind, Kind::BadPattern { .. }), "{cel}: {kind}");
        assert!(!kind.to_string().contains('\n'), "{kind}");
    }
    let groups = format!(
        "event.type.matches('{}a{}')",
        "(".repeat(60),
        ")".repeat(60)
    );
    assert!(matches!(refused(&groups).1, Kind::BadPattern { .. }));
    assert!(compile("event.type.matches('^[\\\\w.+-]+@\\\\w+([.]\\\\w+)*$')").is_ok());
}

#[test]
fn loops_are_one_level_deep() {
    for cel in [
        "event.payload.a.all(x, x.all(y, y > 1))",
        "event.payload.a.map(x, x + x).map(x, x + x).size() > 1",
        "[event.payload.a.map(x, x)].exists(y, size(y) > 1)",
        "event.payload.a.filter(x, x > 1).exists(x, x == 2)",
        "event.payload.a.exists(x, [x].exists(y, y == 1))",
    ] {
        assert!(
            matches!(refused(cel).1, Kind::NestedComprehension { .. }),
            "{cel}"
        );
    }
    assert!(compile("event.payload.a.all(x, x > 1) && event.payload.b.all(x, x > 1)").is_ok());
    for cel in [
        "event.payload.a.all(event, event.type == 'x')",
        "event.payload.a.all(target, target == 'x')",
        "event.payload.a.all(string, string == 'x')",
    ] {
        assert!(
            matches!(refused(cel).1, Kind::ReservedVariable { .. }),
            "{cel}"
        );
    }
}

#[test]
fn maps_whose_order_could_show_are_refused() {
    for cel in [
        "{'a': 1}.all(k, k == 'a')",
        "{'a': 1} == {'a': 1}",
        "(true ? {'a': 1} : {'b': 1})['a'] == 1",
    ] {
        assert_eq!(refused(cel).1, Kind::LooseMap, "{cel}");
    }
}

#[test]
fn results_that_are_not_booleans_are_refused_where_they_are() {
    for (cel, column) in [
        ("event.type", 6),
        ("1", 1),
        ("event.metadata", 6),
        ("event.type == 'x' && event.id.sequence", 30),
        ("event.type == 'x' ? 1 : 2", 21),
        ("!event.type.size()", 17),
        ("false && (event.type == 'y' || source)", 32),
    ] {
        let ((line, found), kind) = refused(cel);
        assert!(
            matches!(kind, Kind::NotBoolean { .. } | Kind::TypeMismatch { .. }),
            "{cel}: {kind}"
        );
        assert_eq!((line, found), (1, column), "{cel}: {kind}");
    }
}

#[test]
fn type_errors_of_the_envelope_are_refused() {
    for cel in [
        "event.type > 5",
        "event.id.sequence % 2 == 0",
        "event.type == 'x' || event.destinations + 1 == []",
        "event.schema_version.startsWith('1')",
        "event.type.foo == 'x'",
        "false && event.type > 5",
        "event.destinations.all(d, d > 1)",
        "event.metadata.store > 5",
        "event.type in 'abc'",
        "event.id.sequence.matches('1')",
    ] {
        assert!(matches!(refused(cel).1, Kind::TypeMismatch { .. }), "{cel}");
    }
}
