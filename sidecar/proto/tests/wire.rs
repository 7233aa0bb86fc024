//! What leaves a location comes back as it was, in protobuf and in JSON; what is malformed is refused with its field.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::iter::once;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use proptest::prelude::*;
use prost::Message;
use tidelog_model::{
    Cause, ChainHash, Condition, Digest, Event, EventId, HybridTime, Incarnation, Lineage,
    LineageEntry, LocationName, NewEvent, Origin, Position, Selector, StoredEvent, VectorTime,
    canonical, caps,
};
use tidelog_proto::convert::{
    FieldError, Selection, chain_hash_from_wire, digest_from_wire, field, lineage_from_wire,
    lineage_to_wire, micros_from_timestamp, timestamp_from_micros,
};
use tidelog_proto::error::{Precondition, key};
use tidelog_proto::{ApiError, ErrorReason, FILE_DESCRIPTOR_SET, json, v1};

/// Through the bytes of the wire, not only through the type.
fn sent<M: Message + Default>(message: M) -> M {
    M::decode(message.encode_to_vec().as_slice()).expect("own bytes decode")
}

fn name() -> impl Strategy<Value = LocationName> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?".prop_map(|n| LocationName::new(&n).unwrap())
}

fn origin() -> impl Strategy<Value = Origin> {
    (name(), 1..=u32::MAX).prop_map(|(l, i)| Origin::new(l, Incarnation(i)))
}

fn sequence() -> impl Strategy<Value = u64> {
    prop_oneof![1..100u64, Just(caps::SEQUENCE_MAX)]
}

fn id() -> impl Strategy<Value = EventId> {
    (origin(), sequence()).prop_map(|(o, s)| EventId::new(o, s))
}

fn vector() -> impl Strategy<Value = VectorTime> {
    prop::collection::vec((origin(), sequence()), 0..12).prop_map(|v| v.into_iter().collect())
}

fn position() -> impl Strategy<Value = Position> {
    (any::<u32>(), 0..=caps::SEQUENCE_MAX).prop_map(|(i, s)| Position::new(Incarnation(i), s))
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[^\0]{1,12}", 0..4)
}

fn cause() -> impl Strategy<Value = Option<Cause>> {
    prop::option::of(
        ("[a-z]{1,8}", id(), any::<u32>()).prop_map(|(log, id, output_index)| Cause {
            log,
            id,
            output_index,
        }),
    )
}

fn new_event() -> impl Strategy<Value = NewEvent> {
    (
        ("\\PC{1,12}", any::<u32>(), "\\PC{0,12}", "\\PC{0,12}"),
        prop::collection::vec(any::<u8>(), 0..64),
        ("\\PC{0,12}", texts(), "\\PC{0,12}"),
        prop::collection::btree_map("\\PC{1,8}", "\\PC{0,8}", 0..4),
        cause(),
    )
        .prop_map(
            |(
                (event_type, schema_version, content_type, emitter_id),
                payload,
                keys,
                metadata,
                caused_by,
            )| {
                NewEvent {
                    event_type,
                    schema_version,
                    content_type,
                    payload: payload.into(),
                    emitter_id,
                    aggregate_id: keys.0,
                    destinations: keys.1,
                    metadata,
                    caused_by,
                    delivery_id: keys.2,
                }
            },
        )
}

fn stored_event() -> impl Strategy<Value = StoredEvent> {
    (
        new_event(),
        (id(), vector(), 1..1_000_000u64, any::<u64>()),
        // The years 1 to 9999, which RFC 3339 can write.
        (
            -62_135_596_800_000_000..253_402_300_799_999_999i64,
            any::<u32>(),
        ),
        ("\\PC{0,12}", any::<u32>(), any::<u32>()),
        "([0-9]{1,3}(\\.[0-9]{1,3}){0,2})?",
    )
        .prop_map(
            |(new, (id, context, sequence, plan_id), (micros, logical), request, version)| {
                let event = Event {
                    id,
                    context,
                    time: HybridTime { micros, logical },
                    event_type: new.event_type,
                    schema_version: new.schema_version,
                    content_type: new.content_type,
                    payload: new.payload,
                    emitter_id: new.emitter_id,
                    aggregate_id: new.aggregate_id,
                    destinations: new.destinations,
                    metadata: new.metadata,
                    caused_by: new.caused_by,
                    delivery_id: new.delivery_id,
                    request_id: request.0,
                    request_index: request.1,
                    request_count: request.2,
                    application_version: version.parse().unwrap(),
                    plan_id,
                };
                StoredEvent {
                    sequence,
                    stored_at_micros: micros,
                    appended_here: true,
                    digest: Digest::of(&canonical::encode(&event)),
                    event: Arc::new(event),
                }
            },
        )
}

fn lineage() -> impl Strategy<Value = Lineage> {
    prop::collection::btree_map(1..=u32::MAX, 0..=caps::SEQUENCE_MAX, 0..6).prop_map(|entries| {
        let entries = entries.into_iter().map(|(i, base)| LineageEntry {
            incarnation: Incarnation(i),
            base,
        });
        Lineage::new(entries.collect()).unwrap()
    })
}

proptest! {
    #[test]
    fn ids_vectors_and_positions_come_back(id in id(), vector in vector(), position in position()) {
        prop_assert_eq!(&Origin::try_from(sent(v1::Origin::from(&id.origin))).unwrap(), &id.origin);
        prop_assert_eq!(EventId::try_from(sent(v1::EventId::from(&id))).unwrap(), id);
        prop_assert_eq!(VectorTime::try_from(sent(v1::VectorTime::from(&vector))).unwrap(), vector);
        prop_assert_eq!(Position::try_from(sent(v1::Position::from(position))).unwrap(), position);
    }

    #[test]
    fn every_microsecond_comes_back(micros: i64, logical: u32) {
        prop_assert_eq!(micros_from_timestamp(&timestamp_from_micros(micros)).unwrap(), micros);
        let time = HybridTime { micros, logical };
        prop_assert_eq!(HybridTime::try_from(sent(v1::HybridTime::from(time))).unwrap(), time);
    }

    #[test]
    fn lineages_come_back(lineage in lineage()) {
        prop_assert_eq!(lineage_from_wire("lineage", &lineage_to_wire(&lineage)).unwrap(), lineage);
    }

    #[test]
    fn new_events_come_back(event in new_event()) {
        prop_assert_eq!(NewEvent::try_from(sent(v1::NewEvent::from(event.clone()))).unwrap(), event);
    }

    #[test]
    fn stored_events_keep_every_field_and_their_digest(stored in stored_event()) {
        let wire = sent(v1::Event::from(&stored));
        prop_assert_eq!(wire.sequence, stored.sequence);
        prop_assert_eq!(digest_from_wire("digest", &wire.digest).unwrap(), stored.digest);
        let at = micros_from_timestamp(wire.stored_at.as_ref().unwrap()).unwrap();
        prop_assert_eq!(at, stored.stored_at_micros);
        let event = Event::try_from(wire).unwrap();
        prop_assert_eq!(Digest::of(&canonical::encode(&event)), stored.digest);
        prop_assert_eq!(&event, &*stored.event);
    }

    #[test]
    fn selections_and_conditions_come_back(
        keys in prop::collection::vec("[^\0]{1,12}", 1..4),
        types in texts(),
        origins in prop::collection::vec(name(), 0..4),
        cel in "[^\0]{0,20}",
        after in position(),
    ) {
        let selector = Selector { keys: keys.clone(), types: types.clone(), origins };
        let selection = Selection { selector, cel };
        prop_assert_eq!(Selection::try_from(sent(v1::Selector::from(&selection))).unwrap(), selection);
        let condition = Condition { keys, types, after };
        prop_assert_eq!(Condition::try_from(sent(v1::Condition::from(&condition))).unwrap(), condition);
    }

    #[test]
    fn events_come_back_from_their_line_of_json(
        stored in stored_event(),
        content in prop_oneof![Just(("application/json", true)), Just(("image/png", false))],
        value in prop_oneof!["\"\\PC{0,9}\"", "-?[1-9][0-9]{0,15}", "\\[true, *null\\]", "\\{\"a\": *\\{ *\\}\\}"],
    ) {
        let mut event = v1::Event::from(&stored);
        let (content_type, is_json) = content;
        event.content_type = content_type.into();
        if is_json && serde_json::from_str::<serde_json::Value>(&value).is_ok() {
            let compact = serde_json::from_str::<serde_json::Value>(&value).unwrap().to_string();
            event.payload = compact.into();
        } else if is_json {
            event.payload = Bytes::new();
        }
        let line = json::event_line(&event).unwrap();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(json::event_from_json(&line).unwrap(), event);
    }

    #[test]
    fn arbitrary_ids_are_converted_or_refused_but_never_panic(location in "\\PC{0,70}", incarnation: u32, sequence: u64) {
        let wire = v1::EventId { location, incarnation, sequence };
        if let Ok(id) = EventId::try_from(wire.clone()) {
            prop_assert_eq!(v1::EventId::from(&id), wire);
            prop_assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        }
    }
}

fn entry(location: &str, incarnation: u32, sequence: u64) -> v1::vector_time::Entry {
    v1::vector_time::Entry {
        location: location.into(),
        incarnation,
        sequence,
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, FieldError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_refused_vector_names_its_entry() {
    let refused = |entries: Vec<_>| {
        refused(field::<_, VectorTime>(
            "context",
            v1::VectorTime { entries },
        ))
    };
    expect!["context.entries[1]: names eu#1 a second time; each origin has one entry"]
        .assert_eq(&refused(vec![entry("eu", 1, 3), entry("eu", 1, 4)]));
    expect!["context.entries[0].location: `EU` is not a location name (1 to 63 of a-z, 0-9 and -, no - at the ends, for example eu)"]
        .assert_eq(&refused(vec![entry("EU", 1, 3)]));
    expect!["context.entries[0].incarnation: is 0; incarnations count from 1, for example eu#1"]
        .assert_eq(&refused(vec![entry("eu", 0, 3)]));
    expect!["context.entries[0].sequence: is 0; leave out the entry of an origin of which nothing was seen"]
        .assert_eq(&refused(vec![entry("eu", 1, 0)]));
    expect![
        "context.entries[0].sequence: is 9223372036854775808, the limit is 9223372036854775807"
    ]
    .assert_eq(&refused(vec![entry("eu", 1, 1 << 63)]));
    let many = |n| (1..=n).map(|i| entry("eu", i, 1)).collect::<Vec<_>>();
    expect!["context.entries: has 257 entries, the limit is 256"].assert_eq(&refused(many(257)));
    let full = v1::VectorTime { entries: many(256) };
    assert_eq!(VectorTime::try_from(full).unwrap().len(), 256);
}

#[test]
fn a_refused_event_names_the_path_to_the_field() {
    let event = v1::NewEvent {
        r#type: "T".into(),
        caused_by: Some(v1::Cause {
            log: "orders".into(),
            id: None,
            output_index: 0,
        }),
        ..Default::default()
    };
    expect!["events[3].caused_by.id: is missing; it must be set"].assert_eq(&refused(field::<
        _,
        NewEvent,
    >(
        "events[3]",
        event,
    )));
    expect!["id: is missing; it must be set"]
        .assert_eq(&refused(Event::try_from(v1::Event::default())));
}

#[test]
fn a_refused_selector_names_the_item() {
    let selector = v1::Selector {
        origins: vec!["eu".into(), "e u".into()],
        ..Default::default()
    };
    let text = refused(field::<_, Selection>("select", selector));
    assert!(
        text.starts_with("select.origins[1]: `e u` is not"),
        "{text}"
    );
    let keys = v1::Selector {
        keys: vec!["k".into(); caps::SELECTOR_ITEMS_MAX + 1],
        ..Default::default()
    };
    expect!["keys: has 257 entries, the limit is 256"]
        .assert_eq(&refused(Selection::try_from(keys)));
    expect!["keys: is empty; a condition names at least one key"]
        .assert_eq(&refused(Condition::try_from(v1::Condition::default())));
    let nul = v1::Condition {
        keys: vec!["a\0b".into()],
        ..Default::default()
    };
    assert!(refused(Condition::try_from(nul)).contains("U+0000"));
}

#[test]
fn hashes_times_positions_and_lineages_have_their_bounds() {
    expect!["hash: has 31 bytes; a hash has exactly 32"]
        .assert_eq(&refused(chain_hash_from_wire("hash", &[0; 31])));
    assert_eq!(chain_hash_from_wire("hash", &[0; 32]), Ok(ChainHash::ZERO));
    let at = |seconds, nanos| micros_from_timestamp(&pbjson_types::Timestamp { seconds, nanos });
    assert_eq!(at(1, 999), Ok(1_000_000));
    assert_eq!(at(-1, 1_000), Ok(-999_999));
    assert!(at(i64::MAX, 0).is_err());
    assert!(at(0, -1).is_err());
    assert!(at(0, 1_000_000_000).is_err());
    let beyond = v1::Position {
        incarnation: 1,
        sequence: u64::MAX,
    };
    assert!(refused(Position::try_from(beyond)).starts_with("sequence: "));
    let entry = |incarnation, base| v1::LineageEntry { incarnation, base };
    assert!(
        refused(lineage_from_wire("lineage", &[entry(2, 0), entry(2, 5)]))
            .starts_with("lineage[1].incarnation: ")
    );
    assert!(lineage_from_wire("lineage", &[entry(0, 0)]).is_err());
    assert!(lineage_from_wire("lineage", &[entry(1, u64::MAX)]).is_err());
    assert!(lineage_from_wire("lineage", &[]).is_ok());
}

fn sample() -> v1::Event {
    let event = Event {
        id: "eu#1/42".parse().unwrap(),
        context: "eu#1:41,us#1:7".parse().unwrap(),
        time: HybridTime {
            micros: 1_700_000_000_000_001,
            logical: 2,
        },
        event_type: "OrderPlaced".into(),
        schema_version: 1,
        content_type: "application/json; charset=utf-8".into(),
        payload: Bytes::from_static(
            b"{\n  \"total\": 12345678901234567890123.10,\n  \"note\": \"a \\\" b\\\\\", \"z\": [1, 2]\n}",
        ),
        emitter_id: String::new(),
        aggregate_id: "order-1".into(),
        destinations: vec![],
        metadata: [("b".into(), "2".into()), ("a".into(), "1".into())].into(),
        caused_by: None,
        delivery_id: String::new(),
        request_id: String::new(),
        request_index: 0,
        request_count: 1,
        application_version: "1.3".parse().unwrap(),
        plan_id: u64::MAX,
    };
    v1::Event::from(&StoredEvent {
        sequence: 9_007_199_254_740_993,
        stored_at_micros: 1_700_000_000_500_000,
        appended_here: true,
        digest: Digest::default(),
        event: Arc::new(event),
    })
}

#[test]
fn a_line_of_json_shows_the_payload_as_it_was_written() {
    expect![[r#"{"id":{"location":"eu","incarnation":1,"sequence":"42"},"sequence":"9007199254740993","context":{"entries":[{"location":"eu","incarnation":1,"sequence":"41"},{"location":"us","incarnation":1,"sequence":"7"}]},"time":{"physical":"2023-11-14T22:13:20.000001+00:00","logical":2},"type":"OrderPlaced","schemaVersion":1,"contentType":"application/json; charset=utf-8","aggregateId":"order-1","metadata":{"a":"1","b":"2"},"requestCount":1,"applicationVersion":"1.3","planId":"18446744073709551615","digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","storedAt":"2023-11-14T22:13:20.500+00:00","payload":{"total":12345678901234567890123.10,"note":"a \" b\\","z":[1,2]}}"#]]
        .assert_eq(&json::event_line(&sample()).unwrap());
}

#[test]
fn a_payload_that_is_not_json_is_shown_in_base64() {
    for (content_type, payload) in [
        ("application/json", "{not json"),
        ("application/octet-stream", "{}"),
        ("", "{}"),
        ("application/json", "{} {}"),
    ] {
        let mut event = sample();
        event.content_type = content_type.into();
        event.payload = payload.into();
        let line: serde_json::Value =
            serde_json::from_str(&json::event_line(&event).unwrap()).unwrap();
        assert!(line["payload"].is_string(), "{line}");
    }
    let mut event = sample();
    event.content_type = "application/vnd.shop.order+JSON".into();
    assert!(json::event_line(&event).unwrap().contains(r#""z":[1,2]"#));
}

#[test]
fn a_time_that_no_text_can_hold_is_an_error_and_not_a_line_that_nothing_reads() {
    let (first, last) = (-62_135_596_800, 253_402_300_799);
    let at = |seconds| v1::Event {
        stored_at: Some(pbjson_types::Timestamp { seconds, nanos: 0 }),
        ..sample()
    };
    for seconds in [first, last] {
        let line = json::event_line(&at(seconds)).unwrap();
        let back = json::event_from_json(&line).unwrap();
        assert_eq!(back.stored_at, at(seconds).stored_at);
    }
    for seconds in [first - 1, last + 1, i64::MIN, i64::MAX] {
        let error = json::event_line(&at(seconds)).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("stored_at is {seconds} seconds")),
            "{error}"
        );
    }
}

#[test]
fn json_input_with_an_unknown_field_is_refused_by_name() {
    let error = json::event_from_json(r#"{"tpye": "T"}"#).unwrap_err();
    assert!(error.to_string().contains("tpye"), "{error}");
    assert!(json::event_from_json("[]").is_err());
    let event =
        json::event_from_json(r#"{"type": "T", "sequence": 7, "schema_version": 2}"#).unwrap();
    assert_eq!((event.sequence, event.schema_version), (7, 2));
}

#[test]
fn enums_are_names_and_unknown_lags_are_absent_in_json() {
    let edge = v1::EdgeStatus {
        source: "eu".into(),
        state: v1::EdgeState::CatchingUp.into(),
        lag_seconds: Some(0),
        ..Default::default()
    };
    expect![[r#"{"source":"eu","state":"EDGE_STATE_CATCHING_UP","lagSeconds":"0"}"#]]
        .assert_eq(&serde_json::to_string(&edge).unwrap());
}

#[test]
fn an_absent_context_is_not_an_empty_one() {
    let absent = v1::AppendRequest::default();
    let empty = v1::AppendRequest {
        context: Some(v1::VectorTime::default()),
        ..Default::default()
    };
    assert_eq!(sent(absent).context, None);
    assert_eq!(sent(empty).context, Some(v1::VectorTime::default()));
}

#[test]
fn the_descriptor_set_has_every_service_call_and_import() {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut calls = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                calls.push(format!(
                    "{}.{}/{} {}{}",
                    file.package(),
                    service.name(),
                    method.name(),
                    if method.client_streaming() { "<" } else { "-" },
                    if method.server_streaming() { ">" } else { "-" },
                ));
            }
        }
        for import in &file.dependency {
            assert!(set.file.iter().any(|f| f.name() == import), "{import}");
        }
    }
    expect![[r"
        tidelog.v1.LogService/Append --
        tidelog.v1.LogService/AppendStream <>
        tidelog.v1.LogService/Read ->
        tidelog.v1.LogService/Subscribe ->
        tidelog.v1.LogService/Ack --
        tidelog.v1.LogService/GetConsumer --
        tidelog.v1.LogService/ListConsumers --
        tidelog.v1.LogService/DeleteConsumer --
        tidelog.v1.LogService/Await --
        tidelog.v1.LogService/Describe --
        tidelog.v1.ReplicationService/Pull <>
        tidelog.v1.ReplicationService/Push <>
        tidelog.v1.AdminService/GetStatus --
        tidelog.v1.AdminService/WatchStatus ->
        tidelog.v1.AdminService/ApplyConfig --
        tidelog.v1.AdminService/PauseEdge --
        tidelog.v1.AdminService/ResumeEdge --
        tidelog.v1.AdminService/CutEdge --
        tidelog.v1.AdminService/HealEdge --
        tidelog.v1.AdminService/ListEventIds ->
        tidelog.v1.AdminService/Verify ->
        tidelog.v1.AdminService/GrantIncarnation --
        tidelog.v1.AdminService/Backup ->"]]
    .assert_eq(&calls.join("\n"));
}

#[test]
fn the_descriptor_set_has_every_detail_of_errors_as_google_rpc_numbers_it() {
    let error = ApiError::field(ErrorReason::QueueFull, FieldError::new("a", "b"))
        .with(key::LIMIT, 1)
        .retry_after(Duration::from_secs(1))
        .with_precondition(Precondition {
            kind: String::new(),
            subject: String::new(),
            description: String::new(),
        });
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let google = set.file.iter().filter(|f| f.package() == "google.rpc");
    let messages: Vec<_> = google.flat_map(|f| &f.message_type).collect();
    let details = tonic_types::Status::from(error).details;
    assert_eq!(details.len(), 4);
    for detail in &details {
        let name = detail.type_url.rsplit('.').next().unwrap();
        assert!(messages.iter().any(|m| m.name() == name), "{name}");
    }
    let mut told = Vec::new();
    for message in messages.iter().flat_map(|m| once(*m).chain(&m.nested_type)) {
        for field in &message.field {
            told.push(format!(
                "{}.{} {}",
                message.name(),
                field.name(),
                field.number()
            ));
        }
    }
    expect![[r"
        Status.code 1
        Status.message 2
        Status.details 3
        ErrorInfo.reason 1
        ErrorInfo.domain 2
        ErrorInfo.metadata 3
        MetadataEntry.key 1
        MetadataEntry.value 2
        RetryInfo.retry_delay 1
        PreconditionFailure.violations 1
        Violation.type 1
        Violation.subject 2
        Violation.description 3
        BadRequest.field_violations 1
        FieldViolation.field 1
        FieldViolation.description 2"]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn every_message_field_and_call_is_commented() {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    for file in set
        .file
        .iter()
        .filter(|f| ["tidelog.v1", "google.rpc"].contains(&f.package()))
    {
        let info = file.source_code_info.as_ref().unwrap();
        for location in &info.location {
            // Paths of descriptor.proto: 4 message, 5 enum, 6 service at the top; 2 field, 3 nested message, 2 value, 2 call, 8 oneof below.
            let top = location.path.first().is_some_and(|t| [4, 5, 6].contains(t));
            let named = location.path.len() % 2 == 0
                && location
                    .path
                    .iter()
                    .skip(2)
                    .step_by(2)
                    .all(|t| [2, 3, 8].contains(t));
            if top && named {
                assert!(
                    location.leading_comments.is_some(),
                    "{} {:?} at line {:?} has no comment",
                    file.name(),
                    location.path,
                    location.span.first().map(|l| l + 1)
                );
            }
        }
    }
}
