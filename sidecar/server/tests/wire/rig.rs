//! One location on free ports, and clients that wait for nothing for ever.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use tidelog_config::Config;
use tidelog_model::{EventId, VectorTime};
use tidelog_proto::v1::admin_service_client::AdminServiceClient;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tidelog_proto::v1::subscribe_request::Start;
use tidelog_proto::v1::subscribe_response::Content;
use tidelog_proto::{ApiError, ErrorReason, v1};
use tidelog_server::RunningLocation;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status, Streaming};

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A location, and the folder of what it keeps.
pub struct Site {
    pub running: RunningLocation,
    pub config: Config,
    pub dir: tempfile::TempDir,
}

impl Site {
    /// On memory storage.
    pub async fn memory() -> Self {
        Self::with("memory: {}", |_, _| {}).await
    }

    /// On a SQLite database.
    pub async fn sqlite() -> Self {
        Self::with("sqlite: {path: DIR/data}", |_, _| {}).await
    }

    /// On a storage as YAML tells it, `DIR` being the folder of the site, with a configuration that is changed first.
    pub async fn with(storage: &str, change: impl FnOnce(&Path, &mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = storage.replace("DIR", dir.path().to_str().unwrap());
        let witness = dir.path().join("witness");
        let text = format!(
            "{{log: orders, location: eu, application: {{name: shop, version: '1.4'}}, storage: {{{storage}}}, \
             witness: {{file: {}}}, listen: {{api: '127.0.0.1:0', metrics: '127.0.0.1:0', health: '127.0.0.1:0', \
             replication: '127.0.0.1:0', admin: '127.0.0.1:0'}}}}",
            witness.display()
        );
        let mut config = Config::from_yaml(&text, "rig").unwrap();
        change(dir.path(), &mut config);
        let running = start(&config).await;
        Self {
            running,
            config,
            dir,
        }
    }

    /// Stops it and starts it again on what it kept.
    pub async fn restart(self) -> Self {
        self.stop().await.start().await
    }

    /// Stops it and keeps what it kept.
    pub async fn stop(self) -> Stopped {
        self.running.shut_down().await;
        Stopped {
            config: self.config,
            dir: self.dir,
        }
    }

    /// The calls of applications.
    pub fn api(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(channel(&self.running.addresses().api.to_string()))
    }

    /// The calls of operators.
    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(channel(&self.running.addresses().admin.to_string()))
    }

    /// Appends one event of a type.
    pub async fn append(&self, kind: &str) -> v1::AppendResponse {
        ok(self.api().append(append(kind))).await
    }

    /// A subscription that has begun.
    pub async fn follow(&self, start: Option<Start>) -> Follower {
        let request = v1::SubscribeRequest {
            start,
            ..v1::SubscribeRequest::default()
        };
        Follower(ok(self.api().subscribe(request)).await)
    }

    /// Local sequences of all events.
    pub async fn sequences(&self) -> Vec<u64> {
        let read = self.api().read(v1::ReadRequest::default()).await;
        let mut stream = read.unwrap().into_inner();
        let mut sequences = Vec::new();
        while let Some(page) = soon(stream.message()).await.unwrap() {
            sequences.extend(page.events.iter().map(|event| event.sequence));
        }
        sequences
    }
}

/// A location that does not run.
pub struct Stopped {
    pub config: Config,
    pub dir: tempfile::TempDir,
}

impl Stopped {
    /// Starts it again.
    pub async fn start(self) -> Site {
        Site {
            running: start(&self.config).await,
            config: self.config,
            dir: self.dir,
        }
    }
}

async fn start(config: &Config) -> RunningLocation {
    let running = RunningLocation::start(config.clone()).await.unwrap();
    running.wait_until_ready(PATIENCE).await.unwrap();
    running
}

/// Dials when first used: `HOST:PORT`, or a whole address.
pub fn channel(address: &str) -> Channel {
    let uri = if address.contains(':') && !address.starts_with("unix:") {
        format!("http://{address}")
    } else {
        address.to_owned()
    };
    Endpoint::from_shared(uri).unwrap().connect_lazy()
}

/// A request with one event.
pub fn append(kind: &str) -> v1::AppendRequest {
    v1::AppendRequest {
        events: vec![event(kind)],
        ..v1::AppendRequest::default()
    }
}

/// An event of a type, of aggregate `a`.
pub fn event(kind: &str) -> v1::NewEvent {
    v1::NewEvent {
        r#type: kind.to_owned(),
        aggregate_id: "a".to_owned(),
        ..v1::NewEvent::default()
    }
}

/// A vector by its text.
pub fn vector(text: &str) -> v1::VectorTime {
    (&text.parse::<VectorTime>().unwrap()).into()
}

/// The text of ids.
pub fn texts(ids: &[v1::EventId]) -> Vec<String> {
    ids.iter()
        .map(|id| EventId::try_from(id.clone()).unwrap().to_string())
        .collect()
}

pub fn position(incarnation: u32, sequence: u64) -> v1::Position {
    v1::Position {
        incarnation,
        sequence,
    }
}

/// Waits, but not for ever.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

/// The answer of a call that must succeed.
pub async fn ok<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> T {
    soon(call).await.unwrap().into_inner()
}

/// The error of a call that must fail for this reason, under the status that belongs to it.
pub async fn refused<T>(
    reason: ErrorReason,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> ApiError {
    match soon(call).await {
        Ok(_) => panic!("answered instead of {}", reason.as_str()),
        Err(status) => because(reason, &status),
    }
}

/// The error of a stream whose call or first message must fail for this reason.
pub async fn refused_stream<T>(
    reason: ErrorReason,
    call: impl Future<Output = Result<Response<Streaming<T>>, Status>>,
) -> ApiError {
    match soon(call).await {
        Ok(stream) => match soon(stream.into_inner().message()).await {
            Ok(_) => panic!("answered instead of {}", reason.as_str()),
            Err(status) => because(reason, &status),
        },
        Err(status) => because(reason, &status),
    }
}

/// Reads a status that must have this reason.
pub fn because(reason: ErrorReason, status: &Status) -> ApiError {
    let error = ApiError::from_status(status).unwrap_or_else(|| panic!("no reason: {status:?}"));
    assert_eq!(error.reason, reason, "{status:?}");
    assert_eq!(status.code(), reason.code(), "{status:?}");
    error
}

/// Fields of the violations of an error.
pub fn fields(error: &ApiError) -> Vec<&str> {
    let violations = error.field_violations.iter();
    violations.map(|v| v.field.as_str()).collect()
}

/// Somebody who follows a log.
pub struct Follower(Streaming<v1::SubscribeResponse>);

impl Follower {
    async fn next(&mut self) -> (Content, v1::Position) {
        let message = self.0.message().await.unwrap().expect("not the end");
        (message.content.unwrap(), message.position.unwrap())
    }

    /// Sequences of the next events, heartbeats passed over.
    pub async fn events(&mut self) -> Vec<u64> {
        let events = async {
            loop {
                match self.next().await.0 {
                    Content::Events(batch) => {
                        return batch.events.iter().map(|e| e.sequence).collect();
                    }
                    Content::CaughtUp(_) => panic!("caught up instead of events"),
                    Content::Heartbeat(_) => {}
                }
            }
        };
        soon(events).await
    }

    /// Sequences of all events up to `caught_up`, and the position said with it.
    pub async fn replay(&mut self) -> (Vec<u64>, v1::Position) {
        let mut sequences = Vec::new();
        let replay = async {
            loop {
                match self.next().await {
                    (Content::Events(batch), _) => {
                        sequences.extend(batch.events.iter().map(|e| e.sequence));
                    }
                    (Content::CaughtUp(_), position) => return position,
                    (Content::Heartbeat(_), _) => {}
                }
            }
        };
        let position = soon(replay).await;
        (sequences, position)
    }

    /// How it ends, whatever comes before.
    pub async fn end(mut self) -> Status {
        let end = async {
            loop {
                match self.0.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("it ended without a word"),
                    Err(status) => return status,
                }
            }
        };
        soon(end).await
    }
}
