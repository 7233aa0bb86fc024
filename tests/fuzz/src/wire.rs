//! gRPC messages: decoded, taken into the model, and back.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tidelog_model::{
    Cause, Condition, Digest, Event, EventId, HybridTime, Lineage, NewEvent, Origin, Position,
    StoredEvent, VectorTime, canonical, caps,
};
use tidelog_proto::convert::{
    FieldError, Selection, lineage_from_wire, lineage_to_wire, micros_from_timestamp,
    timestamp_from_micros,
};
use tidelog_proto::{ApiError, json, v1};

use crate::sample;

/// Every message of `tidelog.v1` that a call or a stream carries, in the order of the files.
macro_rules! for_each_message {
    ($go:ident, $kind:expr, $bytes:expr) => {
        for_each_message!(@list $go, $kind, $bytes,
            Origin, EventId, VectorTime, HybridTime, Cause, Position, LineageEntry, NewEvent, Event, Condition, Selector,
            IdRange, Recovered, Build, AppendRequest, AppendResponse, AppendStreamResponse, ReadRequest, ReadResponse,
            SubscribeRequest, SubscribeResponse, EventBatch, CaughtUp, Heartbeat, Consumer, AckRequest, AckResponse,
            GetConsumerRequest, GetConsumerResponse, ListConsumersRequest, ListConsumersResponse, DeleteConsumerRequest,
            DeleteConsumerResponse, AwaitRequest, AwaitResponse, DescribeRequest, DescribeResponse, ReplicationMessage, Offer,
            Open, Opened, VoidedId, Refused, Frame, Credit, ReplicationHeartbeat, Proof, GetStatusRequest, GetStatusResponse,
            WatchStatusRequest, WatchStatusResponse, LocationStatus, Writer, Edge, EdgeStatus, ApplyConfigRequest,
            ApplyConfigResponse, PauseEdgeRequest, PauseEdgeResponse, ResumeEdgeRequest, ResumeEdgeResponse, CutEdgeRequest,
            CutEdgeResponse, HealEdgeRequest, HealEdgeResponse, ListEventIdsRequest, ListEventIdsResponse, ListedEvent,
            VerifyRequest, VerifyResponse, Verified, Altered, GrantIncarnationRequest, GrantIncarnationResponse,
            BackupRequest, BackupResponse, BackupFile)
    };
    (@list $go:ident, $kind:expr, $bytes:expr, $($name:ident),+) => {{
        const NAMES: &[&str] = &[$(stringify!($name)),+];
        let wanted = NAMES[usize::from($kind) % NAMES.len()];
        $(if wanted == stringify!($name) { $go::<v1::$name>($bytes); })+
    }};
}

/// The first byte chooses the message. Nothing panics; what is decoded comes back; what the model takes comes back from it; what it refuses
/// is named by its field.
pub fn messages(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    for_each_message!(decoded, *kind, bytes);
    model(bytes);
    if let Ok(status) = tonic_types::Status::decode(bytes)
        && let Some(error) = ApiError::from_rpc_status(&status)
    {
        let _ = tonic_types::Status::from(error);
    }
}

fn decoded<M: Message + Default + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(message) = M::decode(bytes) else {
        return;
    };
    let encoded = message.encode_to_vec();
    assert_eq!(encoded.len(), message.encoded_len());
    let again = M::decode(encoded.as_slice()).expect("bytes that were written here");
    assert_eq!(again, message);
}

/// From the wire into the model and back; the second time it is the same.
fn there_and_back<W, T>(bytes: &[u8], to_wire: impl Fn(&T) -> W) -> Option<T>
where
    W: Message + Default,
    T: TryFrom<W, Error = FieldError> + PartialEq + Debug,
{
    let value = taken(T::try_from(W::decode(bytes).ok()?))?;
    let wire = W::decode(to_wire(&value).encode_to_vec().as_slice()).expect("written here");
    let again = T::try_from(wire).expect("a value of the model");
    assert_eq!(again, value);
    Some(value)
}

fn taken<T>(result: Result<T, FieldError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(!error.description.is_empty());
            assert!(
                error.to_string().len() < 4_096,
                "an error of {} bytes",
                error.to_string().len()
            );
            None
        }
    }
}

fn model(bytes: &[u8]) {
    there_and_back::<v1::Origin, Origin>(bytes, |value| value.into());
    if let Some(id) = there_and_back::<v1::EventId, EventId>(bytes, |value| value.into()) {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Some(vector) = there_and_back::<v1::VectorTime, VectorTime>(bytes, |value| value.into())
    {
        assert!(vector.len() <= caps::VECTOR_ENTRIES_MAX);
        assert_eq!(vector.to_string().parse(), Ok(vector));
    }
    there_and_back::<v1::HybridTime, HybridTime>(bytes, |time| (*time).into());
    there_and_back::<v1::Cause, Cause>(bytes, |value| value.into());
    there_and_back::<v1::Position, Position>(bytes, |position| (*position).into());
    there_and_back::<v1::Condition, Condition>(bytes, |value| value.into());
    there_and_back::<v1::Selector, Selection>(bytes, |value| value.into());
    there_and_back::<v1::NewEvent, NewEvent>(bytes, |event| event.clone().into());
    if let Ok(opened) = v1::Opened::decode(bytes)
        && let Some(lineage) = taken(lineage_from_wire("lineage", &opened.source_lineage))
    {
        let again: Lineage =
            lineage_from_wire("lineage", &lineage_to_wire(&lineage)).expect("a lineage");
        assert_eq!(again, lineage);
    }
    if let Ok(beat) = v1::ReplicationHeartbeat::decode(bytes)
        && let Some(time) = beat.time
        && let Some(micros) = taken(micros_from_timestamp(&time))
    {
        assert_eq!(
            micros_from_timestamp(&timestamp_from_micros(micros)),
            Ok(micros)
        );
    }
    if let Some(event) = there_and_back::<v1::Event, Event>(bytes, |event| (&stored(event)).into())
    {
        let canonical: Bytes = canonical::encode(&event).into();
        if event.check().is_ok() && canonical.len() <= caps::EVENT_BYTES_MAX {
            // What a location would accept it can also forward.
            assert_eq!(canonical::decode(&canonical).as_ref(), Ok(&event));
        }
    }
    lines(bytes);
}

/// Events in JSON, as the command line writes and reads them.
fn lines(bytes: &[u8]) {
    if let Ok(event) = v1::Event::decode(bytes)
        && let Ok(line) = json::event_line(&event)
    {
        assert!(!line.contains('\n'));
        let back = json::event_from_json(&line);
        assert!(back.is_ok(), "{back:?}: {line}");
        let back = back.unwrap_or_default();
        assert_eq!(back.id, event.id, "{line}");
        assert_eq!(back.metadata, event.metadata, "{line}");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = json::event_from_json(text);
    }
}

fn stored(event: &Event) -> StoredEvent {
    StoredEvent {
        sequence: 1,
        stored_at_micros: 1,
        appended_here: true,
        digest: Digest::default(),
        event: Arc::new(event.clone()),
    }
}

/// One of the messages with most in them, for each first byte that reads it.
pub fn seeds() -> Vec<Vec<u8>> {
    let event = sample::plain("eu#1/42", "eu#1:41,us#1:7");
    let canonical: Bytes = canonical::encode(&event).into();
    let vector: v1::VectorTime = (&event.context).into();
    let new = v1::NewEvent {
        r#type: "OrderPlaced".into(),
        payload: Bytes::from_static(b"{}"),
        ..Default::default()
    };
    let frame = v1::Frame {
        stream_id: 7,
        source_incarnation: 1,
        from: 4,
        to: 5,
        hash_from: vec![0; 32].into(),
        hash_to: vec![1; 32].into(),
        events: vec![canonical],
        covered_vector: Some(vector.clone()),
        head: 5,
        ..Default::default()
    };
    let open = v1::Open {
        stream_id: 7,
        log: "orders".into(),
        target: "us".into(),
        source: "eu".into(),
        hash: vec![0; 32].into(),
        version_vector: Some(vector.clone()),
        covered_vector: Some(vector),
        source_lineage: vec![v1::LineageEntry {
            incarnation: 1,
            base: 0,
        }],
        ..Default::default()
    };
    let bodies = [
        v1::Event::from(&stored(&event)).encode_to_vec(),
        v1::AppendRequest {
            events: vec![new],
            request_id: "r".into(),
            ..Default::default()
        }
        .encode_to_vec(),
        message(v1::replication_message::Message::Frame(frame)),
        message(v1::replication_message::Message::Open(open)),
        v1::VectorTime::from(&event.context).encode_to_vec(),
        v1::EventId::from(&event.id).encode_to_vec(),
    ];
    (0..80u8)
        .flat_map(|kind| {
            bodies
                .iter()
                .map(move |body| [&[kind], body.as_slice()].concat())
        })
        .collect()
}

fn message(message: v1::replication_message::Message) -> Vec<u8> {
    v1::ReplicationMessage::from(message).encode_to_vec()
}
