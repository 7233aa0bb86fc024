//! Filters: expressions made to hurt, and payloads made to hurt them.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidelog_filter::{Filter, FilterSet, OnError, SelectorFilter, Verdict, limits};
use tidelog_model::Event;

use crate::sample;

/// Words of the language.
pub const WORDS: &[&str] = &[
    "event",
    ".payload",
    ".metadata",
    ".type",
    ".id.sequence",
    "has(",
    "size(",
    ".all(x, ",
    ".exists(",
    ".map(x, ",
    ".filter(x, ",
    ".matches('",
    "(a+)+$",
    "(?:x{1000}){1000}",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "&&",
    "||",
    "!",
    "?",
    ":",
    "==",
    "in",
    "1u",
    "9223372036854775807",
    "1e308",
    "-",
    "source",
    "target",
    "'",
    "\"",
    "b'",
    "r'",
    "\\u0000",
    "string(",
    "int(",
    "timestamp(",
    "duration(",
    "type(",
    "dyn(",
    "event.destinations",
    "%",
    "/",
    "0",
];

/// An evaluation has at most a million steps; in a debug build that is far below this.
const SOON: Duration = Duration::from_secs(10);

fn place() -> (tidelog_model::LocationName, tidelog_model::LocationName) {
    (sample::location("eu"), sample::location("us"))
}

fn judged() -> &'static [Event; 3] {
    static EVENTS: OnceLock<[Event; 3]> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let plain = sample::plain("eu#1/42", "eu#1:41,us#1:7");
        let with = |payload: String| Event {
            content_type: "application/json".to_owned(),
            payload: payload.into(),
            ..plain.clone()
        };
        [
            with(
                r#"{"amount": 120, "items": [{"sku": "a"}, {"sku": "b"}], "to": {"city": "Kiel"}}"#
                    .to_owned(),
            ),
            with(format!(
                "[{}]",
                ["\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""; 900].join(",")
            )),
            plain.clone(),
        ]
    })
}

/// A text is a filter within all bounds, or refused with words. Judging is the same twice, takes no more than its steps, and ends soon.
pub fn expressions(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let start = Instant::now();
    let _ = SelectorFilter::compile(&text);
    let filter = match Filter::compile("f", &text, OnError::Stall) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(
                start.elapsed() < SOON,
                "refused after {:?}",
                start.elapsed()
            );
            return;
        }
    };
    assert!(text.trim().len() <= limits::CEL_BYTES_MAX);
    for event in judged() {
        judge(&filter, event);
    }
    let set = FilterSet::new([filter.clone(), filter.clone()]);
    assert_eq!(set.filters().len(), 1);
    // What one location has compiled another one compiles too, to the same filter.
    let again = Filter::compile("other", filter.cel(), OnError::Stall).expect("its own text");
    assert_eq!(FilterSet::new([again]).hash(), set.hash());
}

fn judge(filter: &Filter, event: &Event) {
    let (source, target) = place();
    let start = Instant::now();
    let told = filter.explain(event, &source, &target);
    assert!(told.steps <= limits::STEPS_MAX, "{} steps", told.steps);
    assert!(
        start.elapsed() < SOON,
        "{:?} for {} steps",
        start.elapsed(),
        told.steps
    );
    assert_eq!(
        filter.evaluate(event, &source, &target),
        told.verdict,
        "twice the same"
    );
    if let Verdict::Stall(reason) = &told.verdict {
        assert!(reason.to_string().contains(&event.id.to_string()));
    }
}

/// Expressions that look at every corner of a payload.
fn lookers() -> &'static [Filter] {
    static FILTERS: OnceLock<Vec<Filter>> = OnceLock::new();
    FILTERS.get_or_init(|| {
        [
            "has(event.payload) && event.payload.a == 1",
            "event.payload[0] == 'x'",
            "event.payload.all(k, k != '')",
            "event.payload.items.exists(i, i.sku == 'a')",
            "size(event.payload.items) > 2 || event.payload.items.map(i, i.n)[0] > 1",
            "event.payload.text.matches('^(a|b)+$') && event.payload.text + 'x' != ''",
            "event.payload == {'a': 1}",
        ]
        .iter()
        .filter_map(|cel| Filter::compile("f", cel, OnError::Stall).ok())
        .collect()
    })
}

/// Any bytes may claim to be JSON.
pub fn payloads(data: &[u8]) {
    assert!(lookers().len() > 4, "the expressions are filters");
    let event = Event {
        content_type: "application/json".to_owned(),
        payload: Bytes::copy_from_slice(data),
        ..sample::plain("eu#1/1", "")
    };
    for filter in lookers() {
        judge(filter, &event);
    }
}

/// Payloads.
pub fn payload_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"a": 1, "items": [{"sku": "a", "n": 2}], "text": "abab"}"#.to_owned(),
        "[\"x\", 1, -1.5e300, null, true]".to_owned(),
        "[".repeat(200),
        format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100)),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// Filters, and bombs.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "has(event.metadata.store) && event.metadata.store == target".to_owned(),
        "event.type in ['a', 'b'] || event.id.sequence % 2u == 0u".to_owned(),
        "event.payload.items.exists(i, i.sku == 'a')".to_owned(),
        "event.payload.all(x, event.payload.all(y, event.payload.all(z, x == y || y == z)))"
            .to_owned(),
        "event.payload.all(x, x.matches('(a+)+b'))".to_owned(),
        "event.payload.map(x, event.payload.map(y, x + y)).size() > 0".to_owned(),
        format!("{}true{}", "(".repeat(60), ")".repeat(60)),
        format!("1{} == 1", "+1".repeat(300)),
    ]
    .map(String::into_bytes)
    .to_vec()
}
