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
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::codegen::http::Uri;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint};

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// One connection, of whatever kind.
pub struct Carrier(Box<dyn Duplex>);

impl Carrier {
    /// Takes over a connection.
    pub fn new(connection: impl Duplex) -> Self {
        Self(Box::new(connection))
    }
}

impl AsyncRead for Carrier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Connected for Carrier {
    type ConnectInfo = Option<SocketAddr>;
    fn connect_info(&self) -> Self::ConnectInfo {
        None
    }
}

/// Connections as they are accepted.
pub type Incoming = Pin<Box<dyn Stream<Item = io::Result<Carrier>> + Send>>;

type Dial = dyn Fn(Uri) -> BoxFuture<'static, io::Result<Carrier>> + Send + Sync;

/// Opens connections to other locations, in place of TCP.
#[derive(Clone)]
pub struct Dialler(Arc<Dial>);

impl Dialler {
    /// A dialler; it is given the address as `http://HOST:PORT`.
    pub fn new(
        dial: impl Fn(Uri) -> BoxFuture<'static, io::Result<Carrier>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(dial))
    }

    /// A channel over one connection. Cancel safe: dropping it drops the connection.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, tonic::transport::Error> {
        let dial = self.0.clone();
        let connector = tower::service_fn(move |address| {
            let dialling = dial(address);
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
