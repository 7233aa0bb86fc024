//! The gRPC service that peers dial: finds out whose connection it is and hands it to the task of its edge.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tidelog_core::{PROTOCOL_VERSION, RefusalKind};
use tidelog_model::{LocationName, mutant};
use tidelog_proto::v1::ReplicationMessage;
use tidelog_proto::v1::replication_service_server::{ReplicationService, ReplicationServiceServer};
use tidelog_proto::{ApiError, ErrorReason};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::connection::{Connection, MESSAGE_BYTES_MAX, SENDING_MAX};
use crate::listener::Breaker;
use crate::replication::Hub;
use crate::source::refusal;
use crate::status::Direction;
use crate::wire::Said;

/// A peer that says nothing after it dialled is let go after this.
const FIRST_MESSAGE_MAX: Duration = Duration::from_secs(10);
/// An edge that does not take a connection within this is busy with something that will not end soon.
const HAND_OVER_MAX: Duration = Duration::from_secs(5);

/// Who a peer is, as its certificate says. A server with mTLS puts it among the extensions of each call; then the peer may speak for
/// that location only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerLocation(pub LocationName);

/// The service. Cloning it is cheap.
#[derive(Clone)]
pub struct ReplicationApi {
    hub: Arc<Hub>,
}

type Answers = Pin<Box<dyn Stream<Item = Result<ReplicationMessage, Status>> + Send>>;

/// A call that has not yet said whose it is.
struct Call {
    received: Streaming<ReplicationMessage>,
    sending: mpsc::Sender<ReplicationMessage>,
    breaker: Option<Breaker>,
    vouched: Option<PeerLocation>,
    direction: Direction,
}

impl ReplicationApi {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// As a service of a tonic server, with the message limits that replication needs.
    pub fn into_server(self) -> ReplicationServiceServer<Self> {
        ReplicationServiceServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Answers at once, so that a peer need not have spoken first; what is wrong with the call ends the answers with a status.
    fn answer(
        &self,
        request: Request<Streaming<ReplicationMessage>>,
        direction: Direction,
    ) -> Result<Response<Answers>, Status> {
        if self.hub.cx.stopping.is_cancelled() {
            let message = "replication is stopping here; dial again later";
            return Err(ApiError::new(ErrorReason::ShuttingDown, message).into());
        }
        let breaker = request.extensions().get::<Breaker>().cloned();
        let vouched = (breaker.as_ref().and_then(Breaker::vouched_for))
            .map(|location| PeerLocation(location.clone()))
            .or_else(|| request.extensions().get::<PeerLocation>().cloned());
        let (sending, messages) = mpsc::channel(SENDING_MAX);
        let (failed, failure) = oneshot::channel::<Status>();
        let call = Call {
            received: request.into_inner(),
            sending,
            breaker,
            vouched,
            direction,
        };
        let hub = self.hub.clone();
        tokio::spawn(async move {
            let stopping = hub.cx.stopping.clone();
            let outcome = tokio::select! {
                outcome = introduce(&hub, call) => outcome,
                () = stopping.cancelled() => Ok(()),
            };
            if let Err(status) = outcome {
                // The peer may have gone already.
                let _ = failed.send(*status);
            }
        });
        let last = stream::once(failure).filter_map(|status| async { status.ok().map(Err) });
        let answers = ReceiverStream::new(messages).map(Ok).chain(last);
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Reads the first message and hands the connection to its edge.
async fn introduce(hub: &Hub, mut call: Call) -> Result<(), Box<Status>> {
    let first = match tokio::time::timeout(FIRST_MESSAGE_MAX, call.received.message()).await {
        Ok(Ok(Some(message))) => message,
        Ok(Ok(None)) => return Ok(()),
        Ok(Err(status)) => return Err(Box::new(status)),
        Err(_) => return Err(Box::new(Status::deadline_exceeded("say Open or Offer"))),
    };
    let said = Said::from_wire(first)
        .map_err(|e| boxed(ApiError::field(ErrorReason::InvalidRequest, e)))?;
    let me = &hub.cx.location;
    // Pull serves an outgoing edge of this location, Push an incoming one.
    let (log, peer, meant, stream) = match (&said, call.direction) {
        (Said::Open(open), Direction::Outgoing) => {
            (&open.log, &open.target, &open.source, open.stream)
        }
        (Said::Offer(offer), Direction::Incoming) => {
            if offer.protocol_version != PROTOCOL_VERSION
                && !mutant!("offer-of-another-protocol-taken")
            {
                let message = format!(
                    "stream protocol {} offered, {PROTOCOL_VERSION} spoken here; upgrade the older side",
                    offer.protocol_version
                );
                return refuse(&call, 0, RefusalKind::Incompatible, &message).await;
            }
            (&offer.log, &offer.source, &offer.target, 0)
        }
        _ => {
            let message = "the first message of Pull is Open, that of Push is Offer";
            return Err(boxed(ApiError::new(ErrorReason::InvalidRequest, message)));
        }
    };
    if let Some(PeerLocation(vouched)) = &call.vouched
        && vouched != peer
        && !mutant!("certificate-not-compared")
    {
        let message = format!("the certificate vouches for {vouched}, not for {peer}");
        return Err(boxed(
            ApiError::new(ErrorReason::LocationNotVouched, message).with("location", peer),
        ));
    }
    if (*log != hub.cx.log_name || meant != me) && !mutant!("meant-for-another-location") {
        let message = format!("this is {}/{me}, not {log}/{meant}", hub.cx.log_name);
        return refuse(&call, stream, RefusalKind::WrongLocation, &message).await;
    }
    let Some(edge) = hub.door(&(call.direction, peer.clone())) else {
        let message = format!("the plan of {me} has no such edge with {peer}");
        return refuse(&call, stream, RefusalKind::EdgeNotAllowed, &message).await;
    };
    if edge.cut && !mutant!("cut-peer-let-in") {
        if let Some(breaker) = &call.breaker {
            breaker.break_connection();
        }
        return Err(Box::new(Status::unavailable("cut by command")));
    }
    let connection = Connection {
        received: call.received,
        sending: call.sending,
        first: Some(said),
        dialled: false,
        breaker: call.breaker,
    };
    match edge.accept.send_timeout(connection, HAND_OVER_MAX).await {
        Ok(()) => Ok(()),
        Err(_) => Err(boxed(ApiError::new(
            ErrorReason::NotWriter,
            "the edge does not take connections now; dial again later",
        ))),
    }
}

async fn refuse(
    call: &Call,
    stream: u64,
    kind: RefusalKind,
    message: &str,
) -> Result<(), Box<Status>> {
    // There is room for the first answer; a peer that is gone need not hear it.
    let _ = call
        .sending
        .send(refusal(stream, kind, message).to_wire())
        .await;
    Ok(())
}

fn boxed(error: ApiError) -> Box<Status> {
    Box::new(error.into())
}

#[tonic::async_trait]
impl ReplicationService for ReplicationApi {
    type PullStream = Answers;
    type PushStream = Answers;

    async fn pull(
        &self,
        request: Request<Streaming<ReplicationMessage>>,
    ) -> Result<Response<Answers>, Status> {
        self.answer(request, Direction::Outgoing)
    }

    async fn push(
        &self,
        request: Request<Streaming<ReplicationMessage>>,
    ) -> Result<Response<Answers>, Status> {
        self.answer(request, Direction::Incoming)
    }
}
