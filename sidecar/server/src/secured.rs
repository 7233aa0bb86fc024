//! Accepting over TLS: handshakes beside each other, bounded in number and time, and told when they fail.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidelog_model::{Identity, Role};
use tidelog_replication::{Carrier, Incoming};
use tidelog_tls::{HandshakeError, Tls};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::entrance::{Entrance, Socket, Timed};

/// Handshakes at once; more wait in the queue of the socket.
const HANDSHAKES_MAX: usize = 256;
/// A handshake that is not done by then is given up.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// After an error of the socket itself, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Who may come in at a port.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Guests {
    /// Other locations.
    Peers,
    /// This location's own people.
    Own(&'static [Role]),
}

/// Connections of those who may come in. Ends with the stream.
pub(crate) fn secured(
    what: &'static str,
    entrance: Entrance,
    tls: Tls,
    guests: Guests,
) -> Incoming {
    let (accepted, connections) = mpsc::channel(1);
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        loop {
            let socket = tokio::select! {
                socket = entrance.accept() => socket,
                () = accepted.closed() => return,
            };
            let (socket, from) = match socket {
                // Only TCP is secured.
                Ok((socket, Some(from))) => (socket, from),
                Ok((_, None)) => continue,
                Err(error) => {
                    tracing::warn!(port = what, %error, "cannot accept connections, trying again");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = room.clone().acquire_owned().await else {
                return;
            };
            let (tls, accepted) = (tls.clone(), accepted.clone());
            tokio::spawn(async move {
                let handshake = shake(&tls, socket, from, guests);
                let outcome = tokio::time::timeout(HANDSHAKE_MAX, handshake).await;
                drop(place);
                match outcome {
                    Ok(Ok(carrier)) => {
                        let _ = accepted.send(Ok(carrier)).await;
                    }
                    // Whoever only looks whether the port is open, and goes.
                    Ok(Err(HandshakeError::Failed(error)))
                        if error.kind() == io::ErrorKind::UnexpectedEof => {}
                    Ok(Err(error)) => tracing::warn!(port = what, %from, %error, "refused"),
                    Err(_) => tracing::debug!(port = what, %from, "no handshake in time"),
                }
            });
        }
    });
    Box::pin(ReceiverStream::new(connections))
}

async fn shake(
    tls: &Tls,
    socket: Timed<Socket>,
    from: SocketAddr,
    guests: Guests,
) -> Result<Carrier, HandshakeError> {
    let (stream, Identity { location, .. }) = match guests {
        Guests::Peers => tls.accept_peer(socket).await?,
        Guests::Own(roles) => tls.accept_own(socket, roles).await?,
    };
    Ok(Carrier::vouched(stream, from, location))
}
