//! Serving the replication service on a socket whose connections can be broken one by one.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tidelog_model::{LocationName, mutant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::carrier::{Duplex, Incoming};
use crate::connection::{KEEPALIVE, WINDOW_BYTES};
use crate::service::ReplicationApi;

/// Breaks one accepted connection. The service finds it among the extensions of a call; a server of its own puts it there as the
/// [`Connected::ConnectInfo`] of its connections.
#[derive(Debug, Clone)]
pub struct Breaker {
    token: CancellationToken,
    peer: Option<SocketAddr>,
    vouched: Option<LocationName>,
}

impl Breaker {
    /// A breaker of a connection from an address.
    pub fn new(peer: Option<SocketAddr>) -> Self {
        Self {
            token: CancellationToken::new(),
            peer,
            vouched: None,
        }
    }

    /// Breaks the connection: both of its ends see an error.
    pub fn break_connection(&self) {
        self.token.cancel();
    }

    /// For whom the other side may speak; `None`: nobody has looked at a certificate.
    pub(crate) fn vouched_for(&self) -> Option<&LocationName> {
        self.vouched.as_ref()
    }

    /// Where the connection comes from.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
}

/// A connection that its [`Breaker`] can break.
pub struct Breakable<T> {
    inner: T,
    breaker: Breaker,
    broken: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<T> Breakable<T> {
    /// Wraps a connection.
    pub fn new(inner: T, breaker: Breaker) -> Self {
        let broken = Box::pin(breaker.token.clone().cancelled_owned());
        Self {
            inner,
            breaker,
            broken,
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.broken.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "cut by command",
            )),
            Poll::Pending => Ok(()),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Breakable<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Breakable<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

impl<T> Connected for Breakable<T> {
    type ConnectInfo = Breaker;
    fn connect_info(&self) -> Breaker {
        self.breaker.clone()
    }
}

/// A server with the settings that replication needs: keepalive, and windows as large as what a target grants. For servers that add
/// TLS or other services; [`serve`] uses it too.
pub fn server_builder() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(64)
}

/// Serves in clear until `stop` is ready; then every connection is broken.
pub async fn serve(
    listener: TcpListener,
    api: ReplicationApi,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let all = CancellationToken::new();
    let parent = all.clone();
    let incoming = TcpListenerStream::new(listener)
        .map(move |accepted| accepted.map(|socket| accept(socket, &parent)));
    serve_all(incoming, all, api, stop).await
}

/// The same over connections that come from elsewhere.
pub async fn serve_incoming(
    incoming: Incoming,
    api: ReplicationApi,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let all = CancellationToken::new();
    let parent = all.clone();
    let incoming = incoming.map(move |accepted| {
        accepted.map(|carrier| {
            let breaker = Breaker {
                token: parent.child_token(),
                peer: carrier.from(),
                vouched: carrier
                    .vouched_for()
                    .filter(|_| !mutant!("certificate-of-a-connection-forgotten")),
            };
            Breakable::new(carrier, breaker)
        })
    });
    serve_all(incoming, all, api, stop).await
}

async fn serve_all<T: Duplex>(
    incoming: impl Stream<Item = io::Result<Breakable<T>>>,
    all: CancellationToken,
    api: ReplicationApi,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let stopping = async {
        stop.await;
        // Streams last as long as their connections: nobody else would end them.
        all.cancel();
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    server_builder()
        .add_service(api.into_server())
        .serve_with_incoming_shutdown(incoming, stopping)
        .await
}

fn accept(socket: TcpStream, parent: &CancellationToken) -> Breakable<TcpStream> {
    // Without it a small frame waits for the acknowledgement of the one before.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let breaker = Breaker {
        token: parent.child_token(),
        peer: socket.peer_addr().ok(),
        vouched: None,
    };
    Breakable::new(socket, breaker)
}
