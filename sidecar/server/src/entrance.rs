//! Where connections come in, at a process that may be a standby: what comes in while another one writes is led there, byte for byte.
//!
//! A connection belongs to one of two times: this process is the standby of a certain writer, or it is not. When that changes, what came in before ends, so that
//! whoever connects again finds the writer. Bytes are not looked at: what comes in with a certificate shows it to the writer itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tidelog_engine::{LogHandle, LogPhase};
use tidelog_model::LocationName;
use tidelog_replication::{Carrier, Duplex, Incoming};
use tidelog_tls::Tls;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Connections that are led elsewhere at once; more are closed, as when two processes took each other for the writer.
const LED_MAX: usize = 1024;
/// The writer answers by then, or the caller is told that it does not.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Between a change and the end of the connections of before: their last answers leave.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Who writes, as the one who stands by knows it: its host.
type Writer = Option<String>;

/// The times of a process: each ends with a change of the writer that it stands by for.
#[derive(Clone)]
pub(crate) struct Times {
    now: watch::Receiver<(Writer, CancellationToken)>,
    room: Arc<Semaphore>,
}

impl Times {
    /// Follows the log.
    pub(crate) fn follow(log: &LogHandle) -> Self {
        let mut status = log.status();
        let first = (writer(&status.borrow().phase), CancellationToken::new());
        let (times, now) = watch::channel(first);
        tokio::spawn(async move {
            while status.changed().await.is_ok() {
                let next = writer(&status.borrow_and_update().phase);
                if times.borrow().0 == next {
                    continue;
                }
                let (_, ended) = times.send_replace((next, CancellationToken::new()));
                tokio::spawn(async move {
                    tokio::time::sleep(LAST_WORDS).await;
                    ended.cancel();
                });
            }
        });
        let room = Arc::new(Semaphore::new(LED_MAX));
        Self { now, room }
    }
}

fn writer(phase: &LogPhase) -> Writer {
    let LogPhase::Standby { address, .. } = phase else {
        return None;
    };
    let (host, _) = address.rsplit_once(':')?;
    Some(host.to_owned()).filter(|host| !host.is_empty())
}

/// How the writer is reached by one who stands by.
#[derive(Clone)]
pub(crate) enum Lead {
    /// At the same port; what is said there is none of our business.
    Same(u16),
    /// At its port for clients, with the certificate of the location, where there is one.
    Clients(u16, Option<(Tls, LocationName)>),
}

/// Where connections come in.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A listener, and what becomes of what comes in while another process writes.
pub(crate) struct Entrance {
    what: &'static str,
    listener: Listener,
    led: Option<(Times, Lead)>,
}

impl Entrance {
    /// Where everything is served here.
    pub(crate) fn here(what: &'static str, listener: Listener) -> Self {
        Self {
            what,
            listener,
            led: None,
        }
    }

    /// Where others are led to the writer while there is another one.
    pub(crate) fn led(what: &'static str, listener: Listener, times: Times, lead: Lead) -> Self {
        Self {
            what,
            listener,
            led: Some((times, lead)),
        }
    }

    /// The next connection that is served here. Cancel safe.
    pub(crate) async fn accept(&self) -> io::Result<(Timed<Socket>, Option<SocketAddr>)> {
        loop {
            let (socket, from) = self.listener.accept().await?;
            let Some((times, lead)) = &self.led else {
                return Ok((Timed::forever(socket), from));
            };
            let (writer, ended) = times.now.borrow().clone();
            let Some(writer) = writer else {
                return Ok((Timed::until(socket, ended), from));
            };
            // Who takes us for the writer while we take it for that is not led in a circle.
            let is_writer = from.is_some_and(|from| writer.parse::<IpAddr>() == Ok(from.ip()));
            let Ok(place) = times.room.clone().try_acquire_owned() else {
                tracing::warn!(
                    port = self.what,
                    "more than {LED_MAX} connections for the writer; this one is closed"
                );
                continue;
            };
            if is_writer {
                continue;
            }
            let (what, lead) = (self.what, lead.clone());
            tokio::spawn(async move {
                tokio::select! {
                    outcome = lead_to(socket, &writer, lead) => if let Err(error) = outcome {
                        tracing::debug!(port = what, writer, %error, "not led to the writer");
                    },
                    () = ended.cancelled() => {}
                }
                drop(place);
            });
        }
    }

    /// All of them, for a server in plain text.
    pub(crate) fn incoming(self) -> Incoming {
        let next = futures_util::stream::unfold(self, |entrance| async {
            let accepted = entrance.accept().await;
            let carrier = accepted.map(|(socket, _)| Carrier::new(socket));
            Some((carrier, entrance))
        });
        Box::pin(next)
    }
}

async fn lead_to(socket: Socket, writer: &str, lead: Lead) -> io::Result<()> {
    let (port, tls) = match lead {
        Lead::Same(port) => (port, None),
        Lead::Clients(port, tls) => (port, tls),
    };
    join(socket, &format!("{writer}:{port}"), tls.as_ref()).await
}

/// A connection to somebody of this location; the certificate shown there is that of `tls`.
pub(crate) async fn reach(
    address: &str,
    tls: Option<&(Tls, LocationName)>,
) -> io::Result<Box<dyn Duplex>> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let Some((tls, location)) = tls else {
            return Ok(Box::new(stream) as Box<dyn Duplex>);
        };
        let stream = tls.connect(stream, location).await;
        Ok(Box::new(stream.map_err(io::Error::other)?) as Box<dyn Duplex>)
    };
    timeout(CONNECT_MAX, connecting).await?
}

/// Leads a connection there, byte for byte, until one side ends it.
pub(crate) async fn join(
    mut socket: Socket,
    address: &str,
    tls: Option<&(Tls, LocationName)>,
) -> io::Result<()> {
    let mut stream = reach(address, tls).await?;
    copy_bidirectional(&mut socket, &mut stream).await?;
    Ok(())
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (socket, from) = listener.accept().await?;
                socket.set_nodelay(true)?;
                Ok((Socket::Tcp(socket), Some(from)))
            }
            Self::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                Ok((Socket::Unix(socket), None))
            }
        }
    }
}

/// Both kinds of connection.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection that ends with its time, as if the other side had closed it.
pub(crate) struct Timed<T> {
    connection: T,
    ended: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl<T> Timed<T> {
    fn forever(connection: T) -> Self {
        Self {
            connection,
            ended: None,
        }
    }

    fn until(connection: T, ended: CancellationToken) -> Self {
        Self {
            connection,
            ended: Some(Box::pin(ended.cancelled_owned())),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(ended) = &mut self.ended
            && ended.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.connection).poll_read(cx, buf)
    }
}

macro_rules! either {
    ($self:ident, $socket:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Tcp($socket) => $call,
            Socket::Unix($socket) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, socket => Pin::new(socket).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, socket => Pin::new(socket).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => Pin::new(socket).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, socket => Pin::new(socket).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Timed<T> {
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

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}
