//! A connection of one edge, whichever side dialled it.

use std::time::Duration;

use thiserror::Error;
use tidelog_model::LocationName;
use tidelog_proto::v1::ReplicationMessage;
use tidelog_proto::v1::replication_service_client::ReplicationServiceClient;
use tidelog_proto::{ApiError, ErrorReason};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use crate::carrier::CertificateRejected;
use crate::context::Shared;
use crate::listener::Breaker;
use crate::status::Direction;
use crate::wire::Said;

/// Bytes of one message: an event of 4 MiB travels alone, with vectors beside it.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// HTTP/2 windows: the credit of the target is the bound that counts, so these are not below its default.
pub(crate) const WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Pause between keepalive pings, and how long their answer may take.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(5);
/// Messages between an edge and its connection; each may be a whole frame.
pub(crate) const SENDING_MAX: usize = 2;

/// One connection, ready to carry a stream.
pub(crate) struct Connection {
    pub(crate) received: Streaming<ReplicationMessage>,
    pub(crate) sending: mpsc::Sender<ReplicationMessage>,
    /// What was read already, to find out whose connection it is.
    pub(crate) first: Option<Said>,
    pub(crate) dialled: bool,
    /// To break an accepted connection. A dialled one breaks when it is dropped.
    pub(crate) breaker: Option<Breaker>,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error("`{address}` is not an address to dial (HOST:PORT): {error}")]
    Address {
        address: String,
        error: tonic::transport::Error,
    },
    #[error("cannot reach {address}: {}", causes(.error))]
    Connect {
        address: String,
        error: tonic::transport::Error,
    },
    #[error("{address}: {why}")]
    Certificate { address: String, why: String },
    #[error("{address} does not answer within {} ms", .within.as_millis())]
    Silent { address: String, within: Duration },
    #[error("{address} refuses the call: {}", .status.message())]
    Call {
        address: String,
        status: Box<tonic::Status>,
    },
}

/// The whole chain in one line: the transport's own text only says that something went wrong.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// The reason of an edge that a peer's rules refuse, as people see it; `None` when the call failed for another reason.
pub(crate) fn rejection(status: &tonic::Status) -> Option<&'static str> {
    match ApiError::from_status(status)?.reason {
        ErrorReason::CertificateRejected | ErrorReason::LocationNotVouched => {
            Some("CertificateRejected")
        }
        ErrorReason::EdgeNotAllowed => Some("EdgeNotAllowed"),
        _ => None,
    }
}

fn endpoint(address: &str, connect_timeout: Duration) -> Result<Endpoint, tonic::transport::Error> {
    let uri = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let endpoint = Endpoint::from_shared(uri)?
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    Ok(endpoint)
}

/// Dials a peer: as a target with Pull, as a source with Push. Cancel safe: dropping it drops the connection.
pub(crate) async fn dial(
    cx: &Shared,
    direction: Direction,
    peer: &LocationName,
    address: &str,
) -> Result<Connection, DialError> {
    let within = cx.tuning.connect_timeout;
    let silent = |_| DialError::Silent {
        address: address.to_owned(),
        within,
    };
    let endpoint = endpoint(address, within).map_err(|error| DialError::Address {
        address: address.to_owned(),
        error,
    })?;
    let connecting = async {
        match &cx.dialler {
            Some(dialler) => dialler.connect(&endpoint, peer).await,
            None => endpoint.connect().await,
        }
    };
    let channel: Channel = tokio::time::timeout(within, connecting)
        .await
        .map_err(silent)?
        .map_err(|error| match CertificateRejected::among(&error) {
            Some(CertificateRejected(why)) => DialError::Certificate {
                address: address.to_owned(),
                why: why.clone(),
            },
            None => DialError::Connect {
                address: address.to_owned(),
                error,
            },
        })?;
    let mut client = ReplicationServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (sending, messages) = mpsc::channel(SENDING_MAX);
    let messages = ReceiverStream::new(messages);
    let call = async {
        match direction {
            Direction::Incoming => client.pull(messages).await,
            Direction::Outgoing => client.push(messages).await,
        }
    };
    let response = tokio::time::timeout(within, call)
        .await
        .map_err(silent)?
        .map_err(|status| DialError::Call {
            address: address.to_owned(),
            status: Box::new(status),
        })?;
    Ok(Connection {
        received: response.into_inner(),
        sending,
        first: None,
        dialled: true,
        breaker: None,
    })
}
