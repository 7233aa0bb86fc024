//! Connections to a location.

use std::time::Duration;

use tidelog_proto::v1::admin_service_client::AdminServiceClient;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::context::Target;
use crate::failure::Failure;

/// A client of the application API.
pub type LogClient = LogServiceClient<Channel>;
/// A client of the admin API.
pub type AdminClient = AdminServiceClient<Channel>;

/// An answer is at most a page of events, of which one may be as large as events can be.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// A machine that answers at all does so by then.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// A connection without a sign of life is given up, so that `tail` does not hang on a machine that is gone.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the application API.
pub async fn log(target: &Target, timeout: Duration) -> Result<LogClient, Failure> {
    Ok(log_over(connect(target, timeout).await?))
}

/// The application API over a connection that stands.
pub fn log_over(channel: Channel) -> LogClient {
    LogServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Connects to the admin API.
pub async fn admin(target: &Target, timeout: Duration) -> Result<AdminClient, Failure> {
    Ok(admin_over(connect(target, timeout).await?))
}

/// The admin API over a connection that stands.
pub fn admin_over(channel: Channel) -> AdminClient {
    AdminServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

async fn connect(target: &Target, timeout: Duration) -> Result<Channel, Failure> {
    let Target { title, address, .. } = target;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| {
        Failure::usage(format!("{address} is not an address: {error}"))
            .hint("write it as HOST:PORT")
    })?;
    endpoint
        .connect_timeout(timeout.min(CONNECT_TIMEOUT_MAX))
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .connect()
        .await
        .map_err(|error| {
            Failure::failed(format!(
                "cannot connect to {title} at {address}: {}",
                root(&error)
            ))
            .hint("`tidelog status` shows which locations run")
        })
}

/// The innermost reason; the layers above it only repeat that it did not work.
fn root(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
