//! Bytes as the messages of a call, framed well or badly, to every service of a real location over a real socket.

mod site;

use std::pin::Pin;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use axum::body::HttpBody as _;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use prost::Message as _;
use tidelog_proto::v1::{self, replication_message::Message};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower::ServiceExt as _;

use crate::{sample, sealed};
use site::Method;
pub use site::{CONFIG, Site};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// A stream that says nothing for so long waits for more, and is left.
const QUIET: Duration = Duration::from_millis(4);
/// Parts of the answer of one call that are looked at.
const PARTS_MAX: usize = 16;

/// A call is answered with a result or an error of gRPC, whatever its bytes; nothing panics, and what others append is taken.
pub fn raw(data: &[u8]) {
    site::with(|site| {
        let mut u = Unstructured::new(data);
        if let Ok(call) = Call::draw(&mut u, site) {
            site.runtime.block_on(call.make(site));
        }
        site.append();
    });
}

/// One call.
struct Call {
    method: usize,
    /// Messages, and how each is framed.
    parts: Vec<(Vec<u8>, u8)>,
    /// The caller says that nothing more comes.
    ends: bool,
    /// The caller goes away without waiting for the answer.
    leaves: bool,
    timeout: &'static str,
    encoding: Option<&'static str>,
}

impl Call {
    fn draw(u: &mut Unstructured<'_>, site: &Site) -> Result<Self> {
        let method = u.choose_index(site.methods.len())?;
        let flags: u8 = u.arbitrary()?;
        let encoding = match u.int_in_range(0..=15)? {
            0 => Some("gzip"),
            1 => Some("x"),
            _ => None,
        };
        let mut parts = Vec::new();
        for more in (0..u.int_in_range(1..=4)?).rev() {
            let length = if more == 0 {
                u.len()
            } else {
                usize::from(u.arbitrary::<u16>()?).min(u.len())
            };
            let framing = u.int_in_range(0..=15)?;
            let message = u.bytes(length.min(u.len()))?;
            parts.push((message.to_vec(), framing));
        }
        Ok(Self {
            method,
            parts,
            ends: flags & 3 != 0,
            leaves: flags & 0b1_1100 == 0,
            timeout: ["20m", "100m", "5S", "0n"][usize::from(flags >> 5 & 3)],
            encoding,
        })
    }

    async fn make(self, site: &Site) {
        let method = &site.methods[self.method];
        let mut parts = Vec::new();
        for (message, framing) in &self.parts {
            parts.push(method.framed(message, *framing).await);
        }
        let ends = self.ends || !method.client_streaming;
        let parts = stream::iter(parts.into_iter().map(Ok::<_, std::io::Error>));
        let body = if ends {
            axum::body::Body::from_stream(parts)
        } else {
            axum::body::Body::from_stream(parts.chain(stream::pending()))
        };
        let mut request = Request::builder()
            .method("POST")
            .uri(format!("http://{}{}", method.authority, method.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", self.timeout);
        if let Some(encoding) = self.encoding {
            request = request.header("grpc-encoding", encoding);
        }
        let request = request.body(Body::new(body)).expect("a request");
        let answer = method.channel.clone().oneshot(request);
        if self.leaves {
            let _ = tokio::time::timeout(Duration::from_micros(300), answer).await;
            return;
        }
        let waits = !ends || method.server_streaming;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(response)) => read(&method.path, response, waits).await,
            // A message that does not end where its head says ends the connection of the caller, not the server.
            Ok(Err(_)) => {}
            Err(_) => unreachable!("{}: no answer within {PATIENCE:?}", method.path),
        }
    }
}

impl Method {
    /// A part of the body. What locations say to each other is sealed, unless it is no message at all: a peer knows how.
    async fn framed(&self, message: &[u8], framing: u8) -> Bytes {
        if framing > 5
            && self.path.contains("Replication")
            && let Ok(said) = v1::ReplicationMessage::decode(message)
        {
            return sealed::written(vec![said]).await.into();
        }
        framed(message, framing)
    }
}

/// A message with its head, which is right most of the time.
fn framed(message: &[u8], framing: u8) -> Bytes {
    let length = message.len() as u32;
    let (compressed, length) = match framing {
        0 => (1, length),
        1 => (0, length.wrapping_add(1)),
        2 => (0, length.saturating_sub(1)),
        3 => (0, u32::MAX),
        4 => (0x80, length),
        5 => return Bytes::copy_from_slice(message),
        _ => (0, length),
    };
    let mut bytes = BytesMut::with_capacity(message.len() + 5);
    bytes.put_u8(compressed);
    bytes.put_u32(length);
    bytes.put_slice(message);
    bytes.freeze()
}

async fn read(path: &str, response: Response<Body>, waits: bool) {
    assert!(response.status().is_success(), "{path}: {response:?}");
    if response.headers().contains_key("grpc-status") {
        return status(path, response.headers());
    }
    let mut body = response.into_body();
    for _ in 0..PARTS_MAX {
        let part = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let limit = if waits { QUIET } else { PATIENCE };
        match tokio::time::timeout(limit, part).await {
            Ok(Some(Ok(frame))) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return status(path, &trailers);
                }
            }
            // The connection was ended over it.
            Ok(Some(Err(_))) => return,
            Ok(None) => unreachable!("{path}: the answer ends without a status"),
            Err(_) if waits => return,
            Err(_) => unreachable!("{path}: the answer does not end within {PATIENCE:?}"),
        }
    }
}

fn status(path: &str, headers: &HeaderMap) {
    let code = headers.get("grpc-status").and_then(|v| v.to_str().ok());
    let code = code.and_then(|text| text.parse::<u8>().ok());
    assert!(
        code.is_some_and(|code| code <= 16),
        "{path}: status {code:?}"
    );
}

/// For every method a call with a message that it takes.
pub fn seeds() -> Vec<Vec<u8>> {
    let event = v1::NewEvent {
        r#type: "OrderPlaced".into(),
        aggregate_id: "order-1".into(),
        payload: Bytes::from_static(b"{}"),
        ..Default::default()
    };
    let append = v1::AppendRequest {
        events: vec![event.clone(), event],
        request_id: "r".into(),
        ..Default::default()
    };
    let vector = sample::plain("us#1/3", "us#1:2").context;
    let subscribe = v1::SubscribeRequest {
        select: Some(v1::Selector {
            keys: vec!["order-1".into()],
            cel: "event.type == 'A'".into(),
            ..Default::default()
        }),
        min_version: Some((&vector).into()),
        ..Default::default()
    };
    let open = v1::Open {
        stream_id: 7,
        log: "orders".into(),
        target: "ap".into(),
        source: "eu".into(),
        hash: vec![0; 32].into(),
        version_vector: Some(v1::VectorTime::default()),
        covered_vector: Some(v1::VectorTime::default()),
        protocol_version: 1,
        canonical_version: 1,
        application_name: "shop".into(),
        credit_bytes: u64::MAX,
        ..Default::default()
    };
    let offer = v1::Offer {
        log: "orders".into(),
        source: "us".into(),
        target: "eu".into(),
        protocol_version: 1,
    };
    let said = |message: Message| v1::ReplicationMessage::from(message).encode_to_vec();
    let config = v1::ApplyConfigRequest {
        config_yaml: CONFIG.into(),
        ..Default::default()
    };
    let bodies = [
        Vec::new(),
        append.encode_to_vec(),
        subscribe.encode_to_vec(),
        said(Message::Open(open)),
        said(Message::Offer(offer)),
        config.encode_to_vec(),
    ];
    // The choices of `draw`, in its order: method, flags, encoding, number of messages, framing.
    (0..site::methods().len() as u8)
        .flat_map(|method| {
            bodies.iter().map(move |body| {
                let choices = vec![method, 0x3f, 9, 0, 9];
                [choices, body.clone()].concat()
            })
        })
        .collect()
}
