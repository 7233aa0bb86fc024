//! The operator's controller in this process, with the rights that the chart gives and no others.

mod rights;

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use kube::client::ClientBuilder;
use prometheus_client::registry::Registry;
use serde_json::json;
use tidelog_build::Settings;
use tidelog_cluster_tests::ApiServer;
use tidelog_controller::{Metrics, Options, Realises};

use rights::{Refusals, Watching};
pub use rights::{account, grant, granted, release};

/// A running controller for one namespace.
pub struct Operator {
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    refusals: Refusals,
}

impl Operator {
    pub fn start(namespace: &str, location: &str) -> Self {
        Self::start_through(namespace, location, None)
    }

    /// One that reaches the API server through something else.
    pub fn start_through(namespace: &str, location: &str, address: Option<SocketAddr>) -> Self {
        let options = Options {
            location: Realises::parse(location),
            namespace: Some(namespace.to_owned()),
            settings: Settings {
                sidecar_image: "tidelog/sidecar:test".into(),
                postgres_image: "postgres:17".into(),
                image_pull_policy: "IfNotPresent".into(),
                image_pull_secrets: Vec::new(),
                operator_namespace: "tidelog-system".into(),
                sidecar_resources: json!({}),
                postgres_resources: json!({}),
                certificate_lifetime: Duration::from_hours(2160),
                gateway: None,
            },
            resync: Duration::from_mins(5),
            concurrency: 4,
        };
        grant(ApiServer::shared(), namespace);
        let (account, refusals) = (account(namespace), Refusals::default());
        let watching = Watching(refusals.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async {
                let config = granted(ApiServer::shared(), account, address).await;
                let client = ClientBuilder::try_from(config).unwrap();
                let client = client.with_layer(&watching).build();
                let stopped = async {
                    let _ = stopped.await;
                };
                let metrics = Metrics::new(&mut Registry::default());
                tidelog_controller::run(client, options, metrics, stopped).await;
            });
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
            refusals,
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok());
        }
        let refused = self.refusals.all();
        assert!(
            std::thread::panicking() || refused.is_empty(),
            "the chart does not give the right to do this: {refused:#?}"
        );
    }
}
