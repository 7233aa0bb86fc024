//! Dialling other locations over TLS.

use std::io;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use tidelog_replication::{Carrier, CertificateRejected, Dialler};
use tidelog_tls::{HandshakeError, Tls};
use tower::ServiceExt as _;

/// Dials, shows this location's certificate, and insists on meeting the location that was meant.
pub(crate) fn over(tls: Tls) -> Dialler {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    Dialler::new(move |address, to| {
        let (tcp, tls) = (tcp.clone(), tls.clone());
        Box::pin(async move {
            let socket = tcp.oneshot(address).await.map_err(io::Error::other)?;
            let stream = tls.connect(socket.into_inner(), &to).await;
            stream.map(Carrier::new).map_err(told)
        })
    })
}

fn told(error: HandshakeError) -> io::Error {
    match error {
        HandshakeError::Failed(error) => error,
        HandshakeError::Rejected(_) | HandshakeError::RejectedByPeer(_) => {
            io::Error::other(CertificateRejected(error.to_string()))
        }
    }
}
