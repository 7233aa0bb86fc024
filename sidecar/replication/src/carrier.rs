//! What carries bytes between locations: TCP, or whatever else a process is given instead.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tidelog_model::LocationName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::codegen::http::Uri;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint};

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// One connection, of whatever kind.
pub struct Carrier {
    connection: Box<dyn Duplex>,
    from: Option<SocketAddr>,
    vouched: Option<LocationName>,
}

impl Carrier {
    /// Takes over a connection.
    pub fn new(connection: impl Duplex) -> Self {
        Self {
            connection: Box::new(connection),
            from: None,
            vouched: None,
        }
    }

    /// Takes over a connection whose other side has shown that it is at a location; it may speak for that one only.
    pub fn vouched(connection: impl Duplex, from: SocketAddr, location: LocationName) -> Self {
        Self {
            connection: Box::new(connection),
            from: Some(from),
            vouched: Some(location),
        }
    }

    /// Where it comes from, where that is known.
    pub(crate) fn from(&self) -> Option<SocketAddr> {
        self.from
    }

    /// For whom it may speak; `None`: nobody has looked.
    pub(crate) fn vouched_for(&self) -> Option<LocationName> {
        self.vouched.clone()
    }
}

impl AsyncRead for Carrier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buf)
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

impl Connected for Carrier {
    type ConnectInfo = Option<SocketAddr>;
    fn connect_info(&self) -> Self::ConnectInfo {
        self.from
    }
}

/// What a [`Dialler`] says (inside of its [`io::Error`]) when one side does not accept the other's certificate: trying again alone will not help.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct CertificateRejected(pub String);

impl CertificateRejected {
    /// Finds it among the causes of an error.
    pub(crate) fn among<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(found) = cause.downcast_ref() {
                return Some(found);
            }
            // The source of an `io::Error` is that of its content, which would pass over the content itself.
            let content = cause
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            next = match content {
                Some(content) => Some(content),
                None => cause.source(),
            };
        }
        None
    }
}

/// Connections as they are accepted.
pub type Incoming = Pin<Box<dyn Stream<Item = io::Result<Carrier>> + Send>>;

type Dial = dyn Fn(Uri, LocationName) -> BoxFuture<'static, io::Result<Carrier>> + Send + Sync;

/// Opens connections to other locations, in place of TCP.
#[derive(Clone)]
pub struct Dialler(Arc<Dial>);

impl Dialler {
    /// A dialler; it is given the address as `http://HOST:PORT` and the location that is meant.
    pub fn new(
        dial: impl Fn(Uri, LocationName) -> BoxFuture<'static, io::Result<Carrier>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(dial))
    }

    /// A channel over one connection. Cancel safe: dropping it drops the connection.
    pub async fn connect(
        &self,
        endpoint: &Endpoint,
        to: &LocationName,
    ) -> Result<Channel, tonic::transport::Error> {
        let dial = self.0.clone();
        let to = to.clone();
        let connector = tower::service_fn(move |address| {
            let dialling = dial(address, to.clone());
            async move { dialling.await.map(TokioIo::new) }
        });
        endpoint.connect_with_connector(connector).await
    }
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialler").finish_non_exhaustive()
    }
}
