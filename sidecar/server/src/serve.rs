//! Serving each port until the location stops.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Response;
use futures_util::{Stream, TryStreamExt as _};
use tidelog_proto::v1::admin_service_server::AdminServiceServer;
use tidelog_proto::v1::log_service_server::LogServiceServer;
use tidelog_replication::Incoming;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::layer::util::{Identity, Stack};
use tower::util::MapResponseLayer;

use crate::gathered::Gathered;
use crate::health::Health;
use crate::location::Shared;
use crate::oversize;
use crate::service::admin::AdminApi;
use crate::service::log::LogApi;

/// Bytes of one message: a request of the largest size, with its envelope.
pub(crate) const MESSAGE_BYTES_MAX: usize = 20 * 1024 * 1024;

type Layers = Stack<MapResponseLayer<fn(Response<Body>) -> Response<Body>>, Identity>;

fn server() -> Server<Layers> {
    Server::builder()
        .layer(MapResponseLayer::new(oversize::answered as fn(_) -> _))
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .initial_stream_window_size(Some(1024 * 1024))
        .initial_connection_window_size(Some(4 * 1024 * 1024))
}

/// Connections on which answers are written together.
fn gathered<T>(
    incoming: impl Stream<Item = io::Result<T>> + Send,
) -> impl Stream<Item = io::Result<Gathered<T>>> + Send {
    incoming.map_ok(Gathered::new)
}

fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .with_keepalive(Some(Duration::from_secs(30)))
}

fn log_service(shared: &Shared) -> LogServiceServer<LogApi> {
    LogServiceServer::new(LogApi::new(shared.log.clone(), shared.describe.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

fn spawn(
    what: &'static str,
    serving: impl Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(port = what, %error, "port ended");
        }
    })
}

/// Where connections come from.
pub(crate) enum Door {
    Tcp(TcpListener),
    Given(Incoming),
    /// Connections of applications: answers are written together.
    Gathered(Incoming),
}

/// Serves a port at its door.
macro_rules! serve_at {
    ($what:literal, $door:expr, $router:expr, $stop:expr) => {
        match $door {
            Door::Tcp(listener) => spawn(
                $what,
                $router.serve_with_incoming_shutdown(
                    gathered(incoming(listener)),
                    $stop.cancelled_owned(),
                ),
            ),
            Door::Given(connections) => spawn(
                $what,
                $router.serve_with_incoming_shutdown(connections, $stop.cancelled_owned()),
            ),
            Door::Gathered(connections) => spawn(
                $what,
                $router
                    .serve_with_incoming_shutdown(gathered(connections), $stop.cancelled_owned()),
            ),
        }
    };
}

pub(crate) fn api(door: Door, shared: &Shared) -> JoinHandle<()> {
    let stop = shared.stopping.clone();
    let router = server()
        .add_service(log_service(shared))
        .add_optional_service(reflection());
    serve_at!("api", door, router, stop)
}

/// The same API at a Unix socket, whose file goes in the end.
pub(crate) fn api_socket(door: Door, path: PathBuf, shared: &Shared) -> JoinHandle<()> {
    let serving = api(door, shared);
    tokio::spawn(async move {
        let _ = serving.await;
        let _ = std::fs::remove_file(path);
    })
}

pub(crate) fn admin(door: Door, shared: &Shared) -> JoinHandle<()> {
    let stop = shared.stopping.clone();
    let service = AdminServiceServer::new(AdminApi::new(shared.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let router = server()
        .add_service(service)
        .add_optional_service(reflection());
    serve_at!("admin", door, router, stop)
}

pub(crate) fn health(listener: TcpListener, health: &Health, shared: &Shared) -> JoinHandle<()> {
    let stop = shared.stopping.clone();
    let router = server().add_service(health.service());
    spawn(
        "health",
        router.serve_with_incoming_shutdown(incoming(listener), stop.cancelled_owned()),
    )
}

pub(crate) fn replication(door: Door, shared: &Shared) -> JoinHandle<()> {
    let stop = shared.stopping.clone().cancelled_owned();
    let api = shared.replication.api();
    match door {
        Door::Tcp(listener) => spawn(
            "replication",
            tidelog_replication::serve(listener, api, stop),
        ),
        Door::Given(connections) | Door::Gathered(connections) => spawn(
            "replication",
            tidelog_replication::serve_incoming(connections, api, stop),
        ),
    }
}

pub(crate) fn http(listener: TcpListener, router: axum::Router, shared: &Shared) -> JoinHandle<()> {
    let stop = shared.stopping.clone();
    tokio::spawn(async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(port = "metrics", %error, "port ended");
        }
    })
}

/// Reflection, so that `grpcurl` needs nothing else. `None` only if the descriptors were not built in.
fn reflection() -> Option<
    tonic_reflection::server::v1::ServerReflectionServer<
        impl tonic_reflection::server::v1::ServerReflection,
    >,
> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tidelog_proto::FILE_DESCRIPTOR_SET)
        .build_v1()
        .ok()
}
