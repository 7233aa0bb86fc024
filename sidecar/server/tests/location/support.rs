//! Locations in this process, on memory stores and ports of their own.

use std::time::Duration;

use tidelog_config::Config;
use tidelog_proto::v1;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tidelog_server::RunningLocation;
use tonic::transport::Channel;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The configuration of `orders/eu` in memory, on free ports, with more of it.
pub fn config(more: &str) -> Config {
    config_of("eu", more)
}

/// The same of any location.
pub fn config_of(location: &str, more: &str) -> Config {
    let text = format!(
        r#"
log: orders
location: {location}
storage: {{memory: {{}}}}
application: {{name: shop, version: "1.0"}}
listen:
  api: 127.0.0.1:0
  metrics: 127.0.0.1:0
  health: 127.0.0.1:0
  replication: 127.0.0.1:0
  admin: 127.0.0.1:0
{more}"#
    );
    Config::from_yaml(&text, "test").unwrap()
}

/// A location that accepts appends.
pub async fn serving(config: Config) -> RunningLocation {
    let location = RunningLocation::start(config).await.unwrap();
    location.wait_until_ready(PATIENCE).await.unwrap();
    location
}

/// A client of its application API.
pub async fn log_client(location: &RunningLocation) -> LogServiceClient<Channel> {
    let address = format!("http://{}", location.addresses().api);
    LogServiceClient::connect(address).await.unwrap()
}

/// A request with so many events of so many bytes.
pub fn request(events: usize, payload_bytes: usize) -> v1::AppendRequest {
    let event = v1::NewEvent {
        r#type: "Placed".to_owned(),
        payload: vec![b'x'; payload_bytes].into(),
        ..v1::NewEvent::default()
    };
    v1::AppendRequest {
        events: vec![event; events],
        ..v1::AppendRequest::default()
    }
}

/// Waits until something is true of what a location says of itself.
pub async fn until(
    location: &RunningLocation,
    what: &str,
    holds: impl Fn(&v1::LocationStatus) -> bool,
) -> v1::LocationStatus {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let status = location.location_status();
        if holds(&status) {
            return status;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "never: {what}: {status:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
