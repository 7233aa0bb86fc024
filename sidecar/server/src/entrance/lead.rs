//! Leading a connection to somebody else of the location.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tidelog_model::LocationName;
use tidelog_replication::Duplex;
use tidelog_tls::Tls;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::socket::{Socket, tend};

/// The writer answers by then, or the caller is told that it does not.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Between the last word of one side and the end.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// How the writer is reached by one who stands by.
#[derive(Clone)]
pub(crate) enum Lead {
    /// At the same port; what is said there is none of our business.
    Same(u16),
    /// At its port for clients, with the certificate of the location, where there is one.
    Clients(u16, Option<(Tls, LocationName)>),
}

pub(super) async fn lead_to(socket: Socket, writer: &str, lead: Lead) -> io::Result<()> {
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
        tend(&stream)?;
        let Some((tls, location)) = tls else {
            return Ok(Box::new(stream) as Box<dyn Duplex>);
        };
        let stream = tls.connect(stream, location).await;
        Ok(Box::new(stream.map_err(io::Error::other)?) as Box<dyn Duplex>)
    };
    timeout(CONNECT_MAX, connecting).await?
}

/// Leads a connection there, byte for byte. When one side has said its last word the other one may finish, but not for ever: who is silent keeps no place.
pub(crate) async fn join(
    socket: Socket,
    address: &str,
    tls: Option<&(Tls, LocationName)>,
) -> io::Result<()> {
    let stream = reach(address, tls).await?;
    let (mut from_here, mut to_here) = split(socket);
    let (mut from_there, mut to_there) = split(stream);
    let there = pin!(pass(&mut from_here, &mut to_there));
    let back = pin!(pass(&mut from_there, &mut to_here));
    match select(there, back).await {
        Either::Left((outcome, rest)) => {
            outcome?;
            timeout(LAST_ANSWERS, rest).await?
        }
        Either::Right((outcome, rest)) => {
            outcome?;
            timeout(LAST_ANSWERS, rest).await?
        }
    }
}

async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    copy(from, to).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn who_is_silent_after_the_last_word_keeps_no_place() {
        let (here, there) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let mut client = TcpStream::connect(here.local_addr().unwrap())
            .await
            .unwrap();
        let (socket, _) = here.accept().await.unwrap();
        let to = there.local_addr().unwrap().to_string();
        let led = tokio::spawn(async move { join(Socket::Tcp(socket), &to, None).await });
        // Takes everything and never says or ends anything.
        let (silent, _) = there.accept().await.unwrap();
        client.shutdown().await.unwrap();
        let ended = timeout(LAST_ANSWERS * 3, led).await.unwrap();
        assert!(ended.unwrap().is_err());
        let read = timeout(LAST_ANSWERS, client.read(&mut [0; 1])).await;
        assert_eq!(read.unwrap().unwrap(), 0);
        drop(silent);
    }
}
