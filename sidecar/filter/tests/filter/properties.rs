//! Laws over random texts and random events.

use proptest::prelude::*;
use tidelog_filter::{FilterSet, OnError, SelectorFilter, Verdict};
use tidelog_model::{Event, HybridTime};

use crate::fixture::{compile, event, location};

/// Pieces of the language, so that random texts often are expressions.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "event",
        ".",
        "type",
        "metadata",
        "payload",
        "id",
        "sequence",
        "time",
        "physical",
        "a",
        "x",
        "source",
        "target",
        "'s'",
        "\"q\"",
        "1",
        "2u",
        "1.5",
        "-",
        "9223372036854775807",
        "true",
        "false",
        "null",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "?",
        "&&",
        "||",
        "!",
        "==",
        "!=",
        "<",
        ">=",
        "+",
        "*",
        "/",
        "%",
        " in ",
        " ",
        "\n",
        "has(event.metadata.a)",
        ".all(x,",
        ".map(x,",
        ".exists(x,",
        ".matches('a+')",
        ".size()",
        "size(",
        "int(",
        "uint(",
        "double(",
        "string(",
        "timestamp(",
        "duration(",
        "bytes(",
        "b'\\xff'",
        "'2020-01-01T00:00:00Z'",
        "'1h'",
        ".getFullYear()",
        "event.payload.a",
        "event.metadata.a",
        "event.destinations",
        "event.context.entries",
        "event.caused_by.id",
        "@result",
        "`",
        "\\",
        "é",
        "\u{0}",
    ])
}

fn expression() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => any::<String>(),
        3 => prop::collection::vec(piece(), 0..14).prop_map(|p| p.concat()),
    ]
}

/// Small well-formed expressions over everything that can go wrong at run time.
fn well_formed() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "event.payload.a",
        "event.payload.b.c",
        "event.payload",
        "event.metadata.a",
        "event.type",
        "event.id.sequence",
        "event.destinations",
        "event.time.physical",
        "event.context.entries",
        "event.caused_by.id",
        "event.schema_version",
        "1",
        "0",
        "-1",
        "2u",
        "0.0",
        "'x'",
        "''",
        "null",
        "[]",
        "[1, 'x']",
        "9223372036854775807",
        "-9223372036854775808",
        "b'\\xff'",
        "target",
        "true",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let ops = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "<", ">=", "&&", "||", " in ",
        ]);
        let calls = prop::sample::select(vec![
            "size",
            "int",
            "uint",
            "double",
            "string",
            "bytes",
            "bool",
            "timestamp",
            "duration",
            "type",
            "!",
            "-",
        ]);
        prop_oneof![
            (inner.clone(), ops, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (calls, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.exists(x, x == {b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}.map(x, {b}) == {a})")),
        ]
    })
    // In a position where the trial run does not refuse what is no boolean.
    .prop_map(|e| {
        format!(
            "has(event.payload.never) ? true : (event.payload.never == ({e})) || ({e}) == ({e})"
        )
    })
}

fn odd_event() -> impl Strategy<Value = Event> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::sample::select(vec![
            r#"{"a": 1, "b": {"c": "x"}}"#,
            r#"{"a": [1, 1.5, "x", null, {"c": []}]}"#,
            r#"{"a": -9223372036854775808}"#,
            r#"{"a": 1e308, "b": 18446744073709551615}"#,
            r#"{"a": "9999999999999"}"#,
            "[]",
            "null",
            "\"x\"",
            "{",
            "1e999",
            "{\"a\":\"\\ud800\"}",
        ])
        .prop_map(|s| s.as_bytes().to_vec()),
    ];
    let text = prop::sample::select(vec![
        "",
        "x",
        "1",
        "-1",
        "\u{10ffff}",
        "2020-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9223372036854775807s",
    ]);
    let content_type = prop::sample::select(vec!["application/json", "", "text/plain"]);
    (
        payload,
        any::<i64>(),
        content_type,
        text.clone(),
        text,
        any::<u32>(),
    )
        .prop_map(
            |(payload, micros, content_type, a, kind, schema_version)| Event {
                payload: payload.into(),
                content_type: content_type.into(),
                time: HybridTime { micros, logical: 1 },
                event_type: kind.into(),
                schema_version,
                metadata: [("a".to_owned(), a.to_owned())].into(),
                ..event()
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_compiler_panic(text in expression()) {
        if let Ok(filter) = compile(&text) {
            filter.evaluate(&event(), &location("a"), &location("b"));
        }
        let _ = SelectorFilter::compile(&text);
    }

    #[test]
    fn no_event_makes_the_evaluator_panic_and_verdicts_repeat(cel in well_formed(), event in odd_event()) {
        let Ok(filter) = compile(&cel) else { return Ok(()) };
        let (a, b) = (location("a"), location("b"));
        let first = filter.explain(&event, &a, &b);
        let again = compile(&cel).unwrap().explain(&event, &a, &b);
        prop_assert_eq!(&first, &again);
        prop_assert_eq!(filter.evaluate(&event, &a, &b), first.verdict);
        if let Err(error) = &first.result {
            prop_assert!(!error.to_string().contains("gave up"), "{}: {}", cel, error);
        }
    }

    #[test]
    fn a_set_does_not_depend_on_the_order_of_its_filters(
        picked in prop::collection::vec((0usize..5, 0usize..3), 0..5),
        event in odd_event(),
    ) {
        let texts = ["event.type == 'x'", "event.payload.a == 1", "event.metadata.a == '1'", "event.metadata.b == '1'", "true"];
        let errors = [OnError::Stall, OnError::Drop, OnError::Pass];
        let build = |(t, e): &(usize, usize)| tidelog_filter::Filter::compile(&format!("{t}{e}"), texts[*t], errors[*e]).unwrap();
        let one: FilterSet = picked.iter().map(build).collect();
        let other: FilterSet = picked.iter().rev().map(build).collect();
        let (a, b) = (location("a"), location("b"));
        prop_assert_eq!(one.hash(), other.hash());
        prop_assert_eq!(one.evaluate(&event, &a, &b), other.evaluate(&event, &a, &b));
        // ANDed: passes only when each passes.
        let each = one.filters().iter().all(|f| f.evaluate(&event, &a, &b) == Verdict::Pass);
        prop_assert_eq!(one.evaluate(&event, &a, &b) == Verdict::Pass, each);
    }
}
