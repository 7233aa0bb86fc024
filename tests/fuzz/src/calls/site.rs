//! The location that is called: in memory, on free ports, with an edge in each direction whose peers dial.

use std::sync::{Mutex, PoisonError};

use prost::Message as _;
use prost_types::FileDescriptorSet;
use tempfile::TempDir;
use tidelog_config::Config;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tidelog_proto::{ApiError, v1};
use tidelog_server::RunningLocation;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use super::PATIENCE;

/// What is called is begun anew after so many calls: its log is in memory.
const CALLS_MAX: u32 = 20_000;

/// A configuration that can be put in force at the location.
pub const CONFIG: &str = "{log: orders, location: eu, application: {name: shop, version: '1.4'}, storage: {memory: {}}, \
     listen: {api: '127.0.0.1:0', metrics: '127.0.0.1:0', health: '127.0.0.1:0', replication: '127.0.0.1:0', admin: '127.0.0.1:0'}, \
     peers: [{name: us}, {name: ap}], edges: {incoming: [{source: us, dial: Source, behind: [us]}], \
     outgoing: [{target: ap, dial: Target, behind: [eu, us]}]}}";

/// A method of a service.
pub struct Method {
    /// As in the path of a request.
    pub path: String,
    /// Host and port of its service.
    pub authority: String,
    /// A connection to its service.
    pub channel: Channel,
    /// Whether the caller sends a stream.
    pub client_streaming: bool,
    /// Whether the answer is a stream.
    pub server_streaming: bool,
}

/// A running location.
pub struct Site {
    /// Of the calls; the location has its own threads in it.
    pub runtime: Runtime,
    /// All methods.
    pub methods: Vec<Method>,
    running: RunningLocation,
    api: LogServiceClient<Channel>,
    calls: u32,
    last: u64,
    _folder: TempDir,
}

static SITE: Mutex<Option<Site>> = Mutex::new(None);

/// Does something with the location, which is started for the first call. After a failure the next call begins with another one.
pub fn with(work: impl FnOnce(&mut Site)) {
    let mut slot = SITE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut site = slot.take().unwrap_or_else(Site::start);
    work(&mut site);
    site.calls += 1;
    if site.calls < CALLS_MAX {
        *slot = Some(site);
    } else {
        site.stop();
    }
}

/// The methods of all services: name of the service, path, and which sides are streams.
pub fn methods() -> Vec<(String, String, bool, bool)> {
    let files = FileDescriptorSet::decode(tidelog_proto::FILE_DESCRIPTOR_SET);
    let files = files.expect("descriptors that were built in");
    let mut methods = Vec::new();
    for file in &files.file {
        for service in &file.service {
            for method in &service.method {
                methods.push((
                    service.name().to_owned(),
                    format!("/{}.{}/{}", file.package(), service.name(), method.name()),
                    method.client_streaming(),
                    method.server_streaming(),
                ));
            }
        }
    }
    methods
}

impl Site {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config::from_yaml(CONFIG, "fuzz").expect("a configuration");
        let running = runtime.block_on(async {
            let running = RunningLocation::start(config).await.expect("free ports");
            let ready = running.wait_until_ready(PATIENCE).await;
            ready.expect("a location in memory serves at once");
            running
        });
        let addresses = running.addresses().clone();
        let dial = |address: &str| {
            let endpoint = Endpoint::from_shared(format!("http://{address}"));
            endpoint.expect("an address").connect_lazy()
        };
        let inside = runtime.enter();
        let (api, admin, replication) = (
            addresses.api.to_string(),
            addresses.admin.to_string(),
            addresses.replication.to_string(),
        );
        let methods = methods()
            .into_iter()
            .map(|(service, path, client_streaming, server_streaming)| {
                let authority = match service.as_str() {
                    "LogService" => &api,
                    "AdminService" => &admin,
                    _ => &replication,
                };
                Method {
                    path,
                    authority: authority.clone(),
                    channel: dial(authority),
                    client_streaming,
                    server_streaming,
                }
            })
            .collect();
        let client = LogServiceClient::new(dial(&api));
        drop(inside);
        Self {
            runtime,
            methods,
            running,
            api: client,
            calls: 0,
            last: 0,
            _folder: folder,
        }
    }

    /// Another client appends: it is taken, and numbered after everything before.
    pub fn append(&mut self) {
        let request = v1::AppendRequest {
            events: vec![v1::NewEvent {
                r#type: "Own".into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let Self { runtime, api, .. } = self;
        let sequence = runtime.block_on(async {
            let begun = Instant::now();
            loop {
                let answer = tokio::time::timeout(PATIENCE, api.append(request.clone())).await;
                let status = match answer.expect("an append is answered") {
                    Ok(accepted) => return accepted.into_inner().last_sequence,
                    Err(status) => status,
                };
                // A writer that was told of a loss begins anew, and says to come back.
                let again = ApiError::from_status(&status).is_some_and(|e| e.retry_after.is_some());
                assert!(
                    again && begun.elapsed() < PATIENCE,
                    "an append of another client is refused: {status:?}"
                );
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        assert!(sequence > self.last, "{sequence} after {}", self.last);
        self.last = sequence;
    }

    fn stop(self) {
        let Self {
            runtime, running, ..
        } = self;
        runtime.block_on(running.shut_down());
    }
}
