//! Random values for property tests.

use bytes::Bytes;
use proptest::prelude::*;
use tidelog_model::{Cause, Event, EventId, HybridTime, Origin, VectorTime};

use super::{event, origin};

/// Text of a few words and letters, sometimes empty, sometimes far from ASCII; never U+0000.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z]{1,8}",
        1 => Just(String::new()),
        1 => prop::collection::vec(any::<char>(), 0..12).prop_map(|chars| {
            chars.into_iter().filter(|c| *c != '\0').collect()
        }),
    ]
}

/// One of few keys, so that traces meet the same key again.
pub fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => "k[0-5]", 1 => Just("clé \"'\u{1F40B}".to_string()), 1 => Just(String::new())]
}

/// One of few types.
pub fn event_type() -> impl Strategy<Value = String> {
    "T[0-3]"
}

/// One of few origins.
pub fn any_origin() -> impl Strategy<Value = Origin> {
    ("[a-d]", 1u32..4).prop_map(|(name, incarnation)| origin(&name, incarnation))
}

/// A vector over few origins with sequences of every size.
pub fn vector() -> impl Strategy<Value = VectorTime> {
    let sequence = prop_oneof![1u64..100, 1u64..=i64::MAX as u64];
    prop::collection::vec((any_origin(), sequence), 0..6).prop_map(|v| v.into_iter().collect())
}

/// The cause of an event, out of few.
pub fn cause() -> impl Strategy<Value = Cause> {
    ("l[01]", any_origin(), 1u64..4, 0u32..2).prop_map(|(log, o, sequence, output_index)| Cause {
        log,
        id: EventId::new(o, sequence),
        output_index,
    })
}

/// Everything of an event but its identity and context, which depend on the history it gets into.
pub fn content() -> impl Strategy<Value = Event> {
    let names = (
        event_type(),
        key(),
        prop::collection::vec(key(), 0..3),
        text(),
        text(),
    );
    let body = (
        prop::collection::vec(any::<u8>(), 0..120),
        prop::collection::btree_map(text(), text(), 0..4),
        prop::option::weighted(0.3, cause()),
        "e[01]",
    );
    let numbers = (
        prop::option::weighted(0.4, ("r[0-9]", 0u32..3)),
        any::<u64>(),
        any::<u32>(),
        (any::<i64>(), any::<u32>()),
        "[0-9]{1,3}(\\.[0-9]{1,3}){0,2}",
    );
    (names, body, numbers).prop_map(|(names, body, numbers)| {
        let mut out = event(EventId::new(origin("unset", 1), 1));
        (
            out.event_type,
            out.aggregate_id,
            out.destinations,
            out.content_type,
            out.delivery_id,
        ) = names;
        out.payload = Bytes::from(body.0);
        out.metadata = body.1;
        out.caused_by = body.2;
        out.emitter_id = body.3;
        if let Some((request_id, index)) = numbers.0 {
            out.request_id = request_id;
            out.request_index = index;
            out.request_count = 3;
        }
        out.plan_id = numbers.1;
        out.schema_version = numbers.2;
        out.time = HybridTime {
            micros: numbers.3.0,
            logical: numbers.3.1,
        };
        out.application_version = numbers.4.parse().unwrap_or_default();
        out
    })
}
