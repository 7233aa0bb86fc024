//! The simulated network, as the product's and as that of its clients.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::stream;
use hyper_util::rt::TokioIo;
use tidelog_replication::{Carrier, Dialler, Incoming};
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use turmoil::net::{TcpListener, TcpStream};

/// The port of `LogService`, the same at each location.
pub const API: u16 = 7440;
/// The port of `ReplicationService`.
pub const REPLICATION: u16 = 7443;
/// The port of `AdminService`.
pub const ADMIN: u16 = 7444;

/// Connections to a port of this host.
pub async fn listen(port: u16) -> io::Result<Incoming> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    Ok(Box::pin(stream::unfold(
        listener,
        async |listener| match listener.accept().await {
            Ok((connection, _)) => Some((Ok(Carrier::new(connection)), listener)),
            Err(error) => Some((Err(error), listener)),
        },
    )))
}

async fn dial(address: Uri) -> io::Result<Carrier> {
    let (Some(host), Some(port)) = (address.host(), address.port_u16()) else {
        let text = format!("`{address}` has no host or no port");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    Ok(Carrier::new(TcpStream::connect((host, port)).await?))
}

/// How locations reach each other.
pub fn dialler() -> Dialler {
    Dialler::new(|address, _| Box::pin(dial(address)))
}

/// How clients reach a location: dialled when first used, and again after every loss of the connection.
pub fn channel(host: &str, port: u16) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{host}:{port}"))?
        .connect_timeout(Duration::from_secs(1))
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_timeout(Duration::from_secs(1))
        .keep_alive_while_idle(true);
    Ok(
        endpoint.connect_with_connector_lazy(tower::service_fn(async |address| {
            dial(address).await.map(TokioIo::new)
        })),
    )
}
