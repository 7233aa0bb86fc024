//! Messages between locations that are changed on their way: the bytes that a client writes, other bytes in between, and what a server reads.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use futures_util::stream::{self, Empty};
use prost::Message as _;
use tidelog_model::canonical;
use tidelog_proto::v1::replication_message::Message;
use tidelog_proto::v1::replication_service_client::ReplicationServiceClient;
use tidelog_proto::v1::replication_service_server::{ReplicationService, ReplicationServiceServer};
use tidelog_proto::v1::{self, ReplicationMessage};
use tonic::body::Body;
use tonic::codegen::http::{Request as HttpRequest, Response as HttpResponse};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::ServiceExt as _;

use crate::place::Wait;
use crate::sample;

/// Bytes before each message: a flag and the length.
const HEAD: usize = 5;

/// Whatever is changed: what is read was sent, in its order and from the first message on, and a message that was changed ends the stream with
/// `DATA_LOSS`.
pub fn changed(data: &[u8]) {
    thread_local! {
        static WAIT: Wait = Wait::runtime();
    }
    let _ = WAIT.with(|wait| judge(&mut Unstructured::new(data), wait));
}

fn judge(u: &mut Unstructured<'_>, wait: &Wait) -> Result<()> {
    let sent = messages(u)?;
    let mut wire = wait.on(written(sent.clone()));
    let places = places(&wire);
    assert_eq!(places.len(), sent.len());
    let intact = wire.clone();
    for _ in 0..u.int_in_range(0..=3)? {
        let message = u.choose_index(places.len())?;
        let (from, to) = places[message];
        let at = u.int_in_range(from..=to - 1)?;
        match u.int_in_range(0..=3)? {
            0 => wire[at] = u.arbitrary()?,
            1 => {
                let end = u.int_in_range(at..=to)?;
                wire[at..end].fill(0);
            }
            2 => {
                // Bytes change places, as where buffers are mixed up.
                let other = u.int_in_range(from..=to - 1)?;
                wire.swap(at, other);
            }
            _ => wire[at] ^= 1 << u.int_in_range(0..=7)?,
        }
    }
    // The first message that is not what was written: one change may undo another.
    let is_changed = |&(from, to): &(usize, usize)| wire[from..to] != intact[from..to];
    let first_changed = places.iter().position(is_changed).unwrap_or(sent.len());
    let (heard, end) = wait.on(read(wire.into()));
    assert_eq!(heard.len(), first_changed, "{end:?}");
    for (heard, sent) in heard.iter().zip(&sent) {
        assert_eq!(heard.message, sent.message);
    }
    let expected = if first_changed < sent.len() {
        Code::DataLoss
    } else {
        Code::Ok
    };
    assert_eq!(end, expected);
    Ok(())
}

/// One to three messages: what the bytes decode to, or a frame.
fn messages(u: &mut Unstructured<'_>) -> Result<Vec<ReplicationMessage>> {
    let mut messages = Vec::new();
    for _ in 0..u.int_in_range(1..=3)? {
        let length = u.int_in_range(0..=120usize)?;
        let bytes = u.bytes(length.min(u.len()))?;
        let message = ReplicationMessage::decode(bytes).ok();
        let message = message.and_then(|decoded| decoded.message);
        messages.push(message.unwrap_or_else(frame).into());
    }
    Ok(messages)
}

fn frame() -> Message {
    let event = sample::plain("eu#1/42", "eu#1:41,us#1:7");
    Message::Frame(v1::Frame {
        stream_id: 7,
        source_incarnation: 1,
        from: 4,
        to: 5,
        hash_from: vec![0; 32].into(),
        hash_to: vec![1; 32].into(),
        events: vec![canonical::encode(&event).into()],
        covered_vector: Some((&event.context).into()),
        head: 5,
        ..v1::Frame::default()
    })
}

/// Where the messages lie, without their heads.
fn places(wire: &[u8]) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let mut at = 0;
    while let Some([_, a, b, c, d]) = wire.get(at..at + HEAD) {
        let from = at + HEAD;
        let to = from + u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        places.push((from, to));
        at = to;
    }
    places
}

/// The bytes that a client writes for these messages.
pub async fn written(messages: Vec<ReplicationMessage>) -> Vec<u8> {
    let wire = Arc::new(Mutex::new(Bytes::new()));
    let kept = wire.clone();
    let service = tower::service_fn(move |request: HttpRequest<Body>| {
        let kept = kept.clone();
        async move {
            let body = axum::body::Body::new(request.into_body());
            let bytes = axum::body::to_bytes(body, usize::MAX).await;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = bytes.expect("in memory");
            Ok::<_, Infallible>(Status::ok("").into_http::<Body>())
        }
    });
    let answer = ReplicationServiceClient::new(service)
        .push(stream::iter(messages))
        .await;
    assert!(answer.is_ok(), "{answer:?}");
    let wire = wire.lock().unwrap_or_else(PoisonError::into_inner);
    wire.to_vec()
}

/// What a server reads from bytes, and how the stream ends.
async fn read(wire: Bytes) -> (Vec<ReplicationMessage>, Code) {
    let reader = Reader::default();
    let request = HttpRequest::builder()
        .method("POST")
        .uri("/tidelog.v1.ReplicationService/Push")
        .header("content-type", "application/grpc")
        .body(Body::new(axum::body::Body::from(wire)))
        .expect("a request");
    let answer: std::result::Result<HttpResponse<Body>, Infallible> =
        ReplicationServiceServer::new(reader.clone())
            .oneshot(request)
            .await;
    assert!(answer.is_ok());
    let mut heard = reader.0.lock().unwrap_or_else(PoisonError::into_inner);
    let end = heard.end.take().expect("the call was made");
    (std::mem::take(&mut heard.messages), end)
}

#[derive(Default)]
struct Heard {
    messages: Vec<ReplicationMessage>,
    end: Option<Code>,
}

/// Keeps what it hears.
#[derive(Clone, Default)]
struct Reader(Arc<Mutex<Heard>>);

type Nothing = Empty<std::result::Result<ReplicationMessage, Status>>;

impl Reader {
    async fn hear(
        &self,
        request: Request<Streaming<ReplicationMessage>>,
    ) -> std::result::Result<Response<Nothing>, Status> {
        let mut received = request.into_inner();
        let mut messages = Vec::new();
        let end = loop {
            match received.message().await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break Code::Ok,
                Err(status) => break status.code(),
            }
        };
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.messages = messages;
        heard.end = Some(end);
        Ok(Response::new(stream::empty()))
    }
}

#[tonic::async_trait]
impl ReplicationService for Reader {
    type PullStream = Nothing;
    type PushStream = Nothing;

    async fn pull(
        &self,
        request: Request<Streaming<ReplicationMessage>>,
    ) -> std::result::Result<Response<Nothing>, Status> {
        self.hear(request).await
    }

    async fn push(
        &self,
        request: Request<Streaming<ReplicationMessage>>,
    ) -> std::result::Result<Response<Nothing>, Status> {
        self.hear(request).await
    }
}

/// Choices; short ones are all about one frame.
pub fn seeds() -> Vec<Vec<u8>> {
    (0..32u8)
        .map(|seed| {
            (0..(8 + usize::from(seed) * 4))
                .map(|n| (n as u8).wrapping_mul(seed.wrapping_add(37)) ^ seed)
                .collect()
        })
        .collect()
}
