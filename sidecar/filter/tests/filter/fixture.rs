//! An event with everything set, and short forms of compiling and judging.

use bytes::Bytes;
use tidelog_filter::{EvalError, Filter, FilterError, OnError};
use tidelog_model::{
    Cause, Event, EventId, HybridTime, Incarnation, LocationName, Origin, VectorTime,
};

pub fn location(name: &str) -> LocationName {
    LocationName::new(name).unwrap()
}

pub fn origin(name: &str) -> Origin {
    Origin::new(location(name), Incarnation(1))
}

pub fn event() -> Event {
    Event {
        id: EventId::new(origin("eu"), 42),
        context: VectorTime::from_iter([(origin("eu"), 41), (origin("us"), 7)]),
        time: HybridTime {
            micros: 1_700_000_000_123_456,
            logical: 3,
        },
        event_type: "OrderPlaced".into(),
        schema_version: 2,
        content_type: "application/json".into(),
        payload: Bytes::from_static(
            br#"{"amount": 120, "price": 9.5, "vip": true, "note": null, "big": 18446744073709551615,
                "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}], "to": {"city": "Kiel", "zip": "24103"}}"#,
        ),
        emitter_id: "shop".into(),
        aggregate_id: "order-1".into(),
        destinations: vec!["customer-9".into(), "store-17".into()],
        metadata: [("store", "store-17"), ("x-trace", "abc"), ("n", "12")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        caused_by: Some(Cause {
            log: "carts".into(),
            id: EventId::new(origin("us"), 9),
            output_index: 1,
        }),
        delivery_id: "d-1".into(),
        request_id: "r-1".into(),
        request_index: 1,
        request_count: 3,
        application_version: "1.3".parse().unwrap(),
        plan_id: u64::MAX,
    }
}

pub fn with_payload(json: impl Into<Bytes>) -> Event {
    Event {
        payload: json.into(),
        ..event()
    }
}

pub fn compile(cel: &str) -> Result<Filter, FilterError> {
    Filter::compile("f", cel, OnError::Stall)
}

pub fn judge(cel: &str, event: &Event) -> Result<bool, EvalError> {
    let filter = compile(cel).unwrap_or_else(|e| panic!("{cel}: {e}"));
    filter
        .explain(event, &location("eu"), &location("store-17"))
        .result
}

pub fn steps(cel: &str, event: &Event) -> u64 {
    let filter = compile(cel).unwrap_or_else(|e| panic!("{cel}: {e}"));
    filter
        .explain(event, &location("eu"), &location("store-17"))
        .steps
}
