//! What expressions mean.

use tidelog_filter::{EvalError, Filter, OnError, PayloadError, SelectorFilter, Verdict};
use tidelog_model::Event;

use crate::fixture::{compile, event, judge, location, with_payload};

#[test]
fn every_field_of_the_envelope_can_be_named() {
    for cel in [
        "event.id.location == 'eu' && event.id.incarnation == 1u && event.id.sequence == 42u",
        "event.id.sequence % 2u == 0u && event.id.sequence > 41",
        "event.context.entries.exists(e, e.location == 'us' && e.sequence == 7u)",
        "event.context.entries.size() == 2",
        "event.time.physical > timestamp('2023-11-14T22:13:20Z') && event.time.logical == 3u",
        "event.time.physical.getFullYear() == 2023",
        "event.type == 'OrderPlaced' && event.type.startsWith('Order') && event.type.size() == 11",
        "event.schema_version == 2 && event.schema_version >= 2u",
        "event.content_type == 'application/json'",
        "event.emitter_id == 'shop' && event.aggregate_id.matches('^order-[0-9]+$')",
        "'store-17' in event.destinations && event.destinations[0] == 'customer-9'",
        "event.metadata.store == 'store-17' && event.metadata['x-trace'].contains('b')",
        "int(event.metadata.n) + 1 == 13",
        "event.caused_by.log == 'carts' && event.caused_by.id.location == 'us' && event.caused_by.output_index == 1u",
        "event.caused_by.id != event.id && event.id == event.id",
        "event.delivery_id == 'd-1' && event.request_id == 'r-1'",
        "event.request_index == 1u && event.request_count == 3u",
        "event.application_version == '1.3' && event.plan_id == 18446744073709551615u",
        "source == 'eu' && target == 'store-17' && event.metadata.store == target",
    ] {
        assert_eq!(judge(cel, &event()), Ok(true), "{cel}");
    }
}

#[test]
fn json_payloads_are_looked_into() {
    for cel in [
        "event.payload.amount > 100 && event.payload.amount * 2 == 240",
        "event.payload.price == 9.5 && event.payload.price < 10",
        "event.payload.vip && event.payload.note == null",
        "event.payload.big == 18446744073709551615u",
        "event.payload.to.city == 'Kiel' && event.payload['to']['zip'].startsWith('24')",
        "event.payload.items.size() == 2 && event.payload.items[1].sku == 'b'",
        "event.payload.items.all(i, i.n > 0) && event.payload.items.exists_one(i, i.sku == 'a')",
        "event.payload.items.map(i, i.sku) == ['a', 'b']",
        "event.payload.items.filter(i, i.n > 1).size() == 1",
        "'amount' in event.payload && !('x' in event.payload) && has(event.payload.to.city)",
        "type(event.payload.amount) == int && type(event.payload.items) == list && type(event.payload) == map",
        "event.payload.to == event.payload.to && event.payload.items == event.payload.items",
        "event.payload.to != event.payload.items[0]",
    ] {
        assert_eq!(judge(cel, &event()), Ok(true), "{cel}");
    }
}

#[test]
fn presence_is_a_value_other_than_the_default() {
    let bare = Event {
        payload: [].as_slice().into(),
        caused_by: None,
        request_id: String::new(),
        ..event()
    };
    for (cel, set, unset) in [
        ("has(event.caused_by)", true, false),
        ("has(event.request_id)", true, false),
        ("has(event.payload)", true, false),
        ("has(event.metadata)", true, true),
        ("event.caused_by.log == ''", false, true),
        ("event.caused_by.id.sequence == 0u", false, true),
    ] {
        assert_eq!(judge(cel, &event()), Ok(set), "{cel}");
        assert_eq!(judge(cel, &bare), Ok(unset), "{cel}");
    }
    let text = Event {
        content_type: "text/plain".into(),
        ..event()
    };
    assert_eq!(judge("has(event.payload)", &text), Ok(false));
}

#[test]
fn keys_are_iterated_in_order() {
    // The order could show in a list; with a map in random order this would fail in most runs.
    let cel = "event.payload.map(k, k) == ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']";
    let payload = with_payload(&br#"{"h":1,"c":1,"b":1,"a":1,"g":1,"f":1,"e":1,"d":1}"#[..]);
    assert_eq!(judge(cel, &payload), Ok(true));
    assert_eq!(
        judge(
            "event.metadata.map(k, k) == ['n', 'store', 'x-trace']",
            &event()
        ),
        Ok(true)
    );
}

#[test]
fn what_an_error_means_is_explicit() {
    let cel = "event.metadata.absent == 'x'";
    let (source, target) = (location("eu"), location("us"));
    let verdict = |on_error| {
        Filter::compile("residency", cel, on_error)
            .unwrap()
            .evaluate(&event(), &source, &target)
    };
    assert_eq!(verdict(OnError::Drop), Verdict::Drop);
    assert_eq!(verdict(OnError::Pass), Verdict::Pass);
    let Verdict::Stall(reason) = verdict(OnError::Stall) else {
        panic!("must stall");
    };
    let missing = EvalError::MissingKey {
        key: "absent".into(),
    };
    assert_eq!(reason.error, missing);
    let text = reason.to_string();
    for part in ["residency", "eu#1/42", "absent", "has(", "onError"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_error_is_absorbed_as_cel_says() {
    for (cel, expected) in [
        (
            "event.metadata.absent == 'x' || event.type == 'OrderPlaced'",
            Ok(true),
        ),
        (
            "event.metadata.absent == 'x' && event.type == 'Other'",
            Ok(false),
        ),
        (
            "event.type == 'OrderPlaced' || event.metadata.absent == 'x'",
            Ok(true),
        ),
    ] {
        assert_eq!(judge(cel, &event()), expected, "{cel}");
    }
}

#[test]
fn payloads_that_are_not_json_are_errors_only_when_looked_into() {
    let not_json = Event {
        content_type: "application/octet-stream".into(),
        ..event()
    };
    let error = judge("event.payload.amount > 1", &not_json).unwrap_err();
    assert!(
        matches!(error, EvalError::Payload(PayloadError::NotJson { .. })),
        "{error}"
    );
    assert!(
        error.to_string().contains("application/octet-stream"),
        "{error}"
    );
    assert_eq!(
        judge("has(event.payload) && event.payload.amount > 1", &not_json),
        Ok(false)
    );
    assert_eq!(
        judge("event.type == 'OrderPlaced' || event.payload.x", &not_json),
        Ok(true)
    );

    let malformed = with_payload(&b"{\"amount\": "[..]);
    let error = judge("event.payload.amount > 1", &malformed).unwrap_err();
    assert!(
        matches!(error, EvalError::Payload(PayloadError::Malformed { .. })),
        "{error}"
    );
}

#[test]
fn a_result_that_is_not_a_boolean_is_an_error() {
    let error = judge("event.payload.amount", &event()).unwrap_err();
    assert_eq!(
        error,
        EvalError::NotBoolean {
            actual: "int".into()
        }
    );
    let error = judge("event.payload.to.city > 3", &event()).unwrap_err();
    assert!(matches!(error, EvalError::Type { .. }), "{error}");
}

#[test]
fn map_literals_are_for_looking_up() {
    assert_eq!(
        judge("{'store-17': 'eu', 'x': 'us'}[target] == source", &event()),
        Ok(true)
    );
    assert_eq!(judge("target in {'store-17': true}", &event()), Ok(true));
}

#[test]
fn a_time_out_of_range_is_an_error_and_no_panic() {
    for micros in [
        i64::MIN,
        i64::MAX,
        -62_135_596_800_000_001,
        253_402_300_800_000_000,
    ] {
        let mut odd = event();
        odd.time.micros = micros;
        let cel = "event.time.physical > timestamp('2020-01-01T00:00:00Z')";
        assert!(judge(cel, &odd).is_err(), "{micros}");
    }
}

#[test]
fn a_selector_sees_the_event_only_and_skips_what_it_cannot_judge() {
    let selector = SelectorFilter::compile("event.metadata.store == 'store-17'").unwrap();
    assert!(selector.matches(&event()));
    let without = Event {
        metadata: std::collections::BTreeMap::new(),
        ..event()
    };
    assert!(!selector.matches(&without));
    assert!(selector.judge(&without).is_err());
    for name in ["source", "target"] {
        let error = SelectorFilter::compile(&format!("{name} == 'eu'")).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn filters_are_shared_between_threads() {
    let filter = compile("event.payload.items.all(i, i.n < 10)").unwrap();
    let verdicts: Vec<Verdict> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| filter.evaluate(&event(), &location("a"), &location("b"))))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(verdicts, vec![Verdict::Pass; 4]);
}
