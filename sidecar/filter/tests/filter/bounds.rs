//! What an evaluation may cost, and expressions made to exceed it.

use std::time::{Duration, Instant};

use tidelog_filter::{EvalError, PayloadError, limits};
use tidelog_model::Event;

use crate::fixture::{compile, event, judge, steps, with_payload};

#[test]
fn expressions_made_to_overflow_the_stack_are_refused_on_a_small_one() {
    let bombs = [
        format!("{}true{}", "(".repeat(2_000), ")".repeat(2_000)),
        "(".repeat(4_000),
        format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000)),
        format!("event{}", ".a".repeat(2_000)),
        format!("event.payload{} == 1", ".a".repeat(1_000)),
        format!("event.payload{} == 1", "[0]".repeat(1_300)),
        format!("event.payload{}", ".size()".repeat(500)),
        format!("1{} == 1", "+1".repeat(2_000)),
        format!("1{}", "<1".repeat(2_000)),
        format!("true{}", "&&true".repeat(600)),
        "true?true:".repeat(400) + "true",
        format!("{}true", "!".repeat(4_000)),
        format!("{}1 == 1", "-".repeat(4_000)),
        format!("{}1{}", "size(".repeat(700), ")".repeat(700)),
        format!("{}1{}", "{1:".repeat(1_000), "}".repeat(1_000)),
        format!("{}1{}", "[1].map(x,".repeat(300), ")".repeat(300)),
        "'\\".repeat(1_000),
        "\"\"\"".repeat(1_000),
        "`".repeat(4_000),
    ];
    // Less than the default of an executor's thread.
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    let check = move || {
        for bomb in bombs {
            let result = compile(&bomb);
            // `!!!!…` and `----…` cancel out in the parser, which is fine.
            assert!(result.is_err() || bomb.starts_with('!') || bomb.starts_with('-'));
        }
    };
    thread.spawn(check).unwrap().join().unwrap();
}

#[test]
fn the_deepest_expression_allowed_is_evaluated_on_a_small_stack() {
    // Levels: `==`, one per `+`, and the last `1`.
    let terms = limits::LEVELS_MAX - 2;
    let deep = format!(
        "event.schema_version{} == {}u",
        "+1u".repeat(terms - 1),
        1 + terms
    );
    let too_deep = format!("event.schema_version{} == 1u", "+1u".repeat(terms));
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    let check = move || {
        assert_eq!(judge(&deep, &event()), Ok(true));
        assert!(compile(&too_deep).is_err());
    };
    thread.spawn(check).unwrap().join().unwrap();
}

#[test]
fn lists_are_bounded() {
    let list = |n: usize| with_payload(format!(r#"{{"l": [{}], "n": 1}}"#, vec!["1"; n].join(",")));
    assert_eq!(
        judge(
            "event.payload.l.all(x, x == 1)",
            &list(limits::LIST_ITEMS_MAX)
        ),
        Ok(true)
    );
    let long = list(limits::LIST_ITEMS_MAX + 1);
    for cel in [
        "event.payload.l.all(x, x == 1)",
        "size(event.payload.l) > 0",
        "event.payload.l[0] == 1",
    ] {
        assert!(judge(cel, &long).is_err(), "{cel}");
    }
    assert_eq!(judge("event.payload.n == 1", &long), Ok(true));
    let root = with_payload(format!("[{}]", vec!["1"; 1_001].join(",")));
    let error = judge("event.payload[0] == 1", &root).unwrap_err();
    assert_eq!(
        error,
        EvalError::Payload(PayloadError::ListTooLong { actual: 1_001 })
    );
    // Made by the filter itself.
    let half = list(501);
    assert!(judge("size(event.payload.l + event.payload.l) > 0", &half).is_err());
}

#[test]
fn objects_are_iterated_within_bounds_and_looked_up_without() {
    let keys: Vec<String> = (0..1_001).map(|i| format!(r#""k{i}": 1"#)).collect();
    let wide = with_payload(format!("{{{}}}", keys.join(",")));
    assert_eq!(judge("event.payload.k1000 == 1", &wide), Ok(true));
    // Not absorbed: a bound ends the evaluation.
    let error = judge("event.payload.all(k, true) || true", &wide).unwrap_err();
    assert_eq!(error, EvalError::TooManyKeys { actual: 1_001 });
}

#[test]
fn large_payloads_are_not_parsed() {
    let large = with_payload(format!(
        r#"{{"a": "{}"}}"#,
        "x".repeat(limits::JSON_BYTES_MAX)
    ));
    let error = judge("event.payload.a == 'x'", &large).unwrap_err();
    assert!(
        matches!(error, EvalError::Payload(PayloadError::TooLarge { .. })),
        "{error}"
    );
    assert_eq!(judge("event.type == 'OrderPlaced'", &large), Ok(true));
}

#[test]
fn deep_payloads_are_an_error() {
    let deep = with_payload(format!("{}1{}", "[".repeat(60_000), "]".repeat(60_000)));
    assert!(judge("size(event.payload) == 1", &deep).is_err());
    let allowed = with_payload(format!("{}1{}", "[".repeat(120), "]".repeat(120)));
    assert_eq!(
        judge(
            "size(event.payload) == 1 && event.payload == event.payload",
            &allowed
        ),
        Ok(true)
    );
}

#[test]
fn texts_do_not_grow_without_bound() {
    let text = with_payload(format!(
        r#"{{"s": "{}", "l": [1,2,3]}}"#,
        "x".repeat(20_000)
    ));
    assert_eq!(
        judge("size(event.payload.s + event.payload.s) == 40000", &text),
        Ok(true)
    );
    let sum = ["event.payload.s"; 6].join("+");
    assert!(judge(&format!("size({sum}) > 0"), &text).is_err());
    let in_loop = "event.payload.l.map(x, event.payload.s + event.payload.s).size() == 3";
    assert_eq!(judge(in_loop, &text), Ok(true));
}

/// Expressions that do as much as they can on a payload of the largest size.
#[test]
fn the_dearest_expressions_end_soon() {
    let numbers = vec!["1"; 1_000].join(",");
    let body = "ab".repeat(100_000);
    let payload = with_payload(format!(
        r#"{{"l": [{numbers}], "m": [{numbers}], "s": "{body}", "o": {{"a": {{}}}}}}"#
    ));
    let many = |part: &str, n: usize, glue: &str| vec![part; n].join(glue);
    let dear = [
        format!(
            "event.payload.l.all(x, {})",
            many("!event.payload.s.contains('aa')", 40, "&&")
        ),
        format!(
            "event.payload.l.all(x, {})",
            many("event.payload.s == event.payload.s", 30, "&&")
        ),
        format!(
            "event.payload.l.all(x, {})",
            many("!(2 in event.payload.m)", 40, "&&")
        ),
        format!(
            "event.payload.l.all(x, {})",
            many("event.payload.l == event.payload.m", 30, "&&")
        ),
        format!(
            "event.payload.l.all(x, {})",
            many("event.payload == event.payload", 40, "&&")
        ),
        format!(
            "event.payload.l.all(x, {})",
            many("size(event.payload.s) > x", 40, "&&")
        ),
        format!(
            "event.payload.l.all(x, {})",
            many("!event.payload.s.matches('(a|b|ab)*c$')", 40, "&&")
        ),
        format!(
            "event.payload.l.map(x, event.payload.s).size() == 1000 && {}",
            many("true", 40, "&&")
        ),
        format!("event.payload.l.all(x, {} > 0)", many("x", 25, "+")),
        format!("event.payload.s.matches('{}')", "(a?b?){50}c"),
    ];
    for cel in &dear {
        let before = Instant::now();
        let result = judge(cel, &payload);
        let took = before.elapsed();
        // Steps are the bound; the clock only shows that a step is short (debug build on a busy machine).
        assert!(took < Duration::from_secs(20), "{took:?} {cel} {result:?}");
        let spent = steps(cel, &payload);
        assert!(spent <= limits::STEPS_MAX, "{spent} {cel}");
    }
    for cel in &dear[..5] {
        assert_eq!(judge(cel, &payload), Err(EvalError::TooManySteps), "{cel}");
        // Running out of steps is not absorbed.
        assert_eq!(
            judge(&format!("({cel}) || true"), &payload),
            Err(EvalError::TooManySteps),
            "{cel}"
        );
    }
}

#[test]
fn steps_depend_on_expression_and_event_only() {
    let cel = "event.payload.items.all(i, i.n > 0) && event.metadata.store.startsWith('s')";
    let first = steps(cel, &event());
    assert!(first > 0);
    assert!((0..20).all(|_| steps(cel, &event()) == first));
    // A filter of the envelope does not pay for the payload.
    let heavy = Event {
        payload: vec![b' '; 200_000].into(),
        ..event()
    };
    assert_eq!(
        steps("event.type == 'x'", &heavy),
        steps("event.type == 'x'", &event())
    );
}
