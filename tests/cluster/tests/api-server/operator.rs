//! The operator's controller in this process, with the rights that the chart gives and no others.

mod rights;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use kube::client::ClientBuilder;
use prometheus_client::registry::Registry;
use serde_json::json;
use tidelog_build::{Gateway, Settings};
use tidelog_cluster_tests::ApiServer;
use tidelog_controller::{Metrics, Options, Realises, be_patient};

use rights::{Refused, Watching};

/// Short, so that a watch that has fallen silent is noticed soon.
const WATCH: Duration = Duration::from_secs(2);

/// Called with each request before it is sent.
pub type Before = Arc<dyn Fn(&str) + Send + Sync>;

/// What is between an operator and the API server.
#[derive(Clone, Default)]
pub struct Between {
    pub address: Option<SocketAddr>,
    pub before: Option<Before>,
}
pub use rights::{account, grant, grant_with, granted, release};

/// A running controller for one namespace.
pub struct Operator {
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    refused: Refused,
    said: Said,
}

impl Operator {
    pub fn start(namespace: &str, location: &str) -> Self {
        Self::start_behind(namespace, location, Between::default())
    }

    /// One with something between it and the API server.
    pub fn start_behind(namespace: &str, location: &str, between: Between) -> Self {
        Self::start_with(namespace, location, between, None)
    }

    /// One that may hang routes on this Gateway.
    pub fn start_beside(namespace: &str, location: &str, gateway: Gateway) -> Self {
        let values = format!(
            "{{watchNamespace: {namespace}, gateway: {{namespace: {}, name: {}}}}}",
            gateway.namespace, gateway.name
        );
        grant_with(ApiServer::shared(), namespace, &values);
        let options = Options {
            settings: Settings {
                gateway: Some(gateway),
                ..settings()
            },
            ..options(namespace, location)
        };
        Self::start_by(options, Between::default())
    }

    /// One of several, by a Lease.
    pub fn start_as(namespace: &str, location: &str, lease: &str) -> Self {
        Self::start_with(namespace, location, Between::default(), Some(lease))
    }

    fn start_with(namespace: &str, location: &str, between: Between, lease: Option<&str>) -> Self {
        grant(ApiServer::shared(), namespace);
        let options = Options {
            lease: lease.map(str::to_owned),
            ..options(namespace, location)
        };
        Self::start_by(options, between)
    }

    fn start_by(options: Options, between: Between) -> Self {
        let namespace = options.namespace.as_deref().unwrap();
        let (account, refused, said) = (account(namespace), Refused::default(), Said::default());
        let watching = Watching {
            refused: refused.clone(),
            before: between.before,
        };
        let log = said.clone();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO);
            let subscriber = subscriber.with_ansi(false).with_writer(move || log.clone());
            // All of it runs on this thread.
            let _guard = tracing::subscriber::set_default(subscriber.finish());
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async {
                let mut config = granted(ApiServer::shared(), account, between.address).await;
                be_patient(&mut config, WATCH);
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
            refused,
            said,
        }
    }

    /// Its log.
    pub fn said(&self) -> String {
        String::from_utf8(lock(&self.said.0).clone()).unwrap()
    }

    /// Requests that the API server answered with this status.
    pub fn refused(&self, status: u16) -> Vec<String> {
        self.refused.with(status)
    }
}

fn options(namespace: &str, location: &str) -> Options {
    Options {
        location: Realises::parse(location),
        lease: None,
        // Nobody renews a Lease here.
        gone_after: Duration::from_hours(1),
        namespace: Some(namespace.to_owned()),
        settings: settings(),
        resync: Duration::from_mins(5),
        concurrency: 4,
        watch: WATCH,
    }
}

fn settings() -> Settings {
    Settings {
        sidecar_image: "tidelog/sidecar:test".into(),
        postgres_image: "postgres:17".into(),
        image_pull_policy: "IfNotPresent".into(),
        image_pull_secrets: Vec::new(),
        operator_namespace: "tidelog-system".into(),
        sidecar_resources: json!({}),
        postgres_resources: json!({}),
        certificate_lifetime: Duration::from_hours(2160),
        gateway: None,
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It may wait for something that a test that has failed holds back.
        if std::thread::panicking() {
            return;
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok());
        }
        // One kind is only looked for in case somebody has it: the chart gives that right to those who name a Gateway.
        let mut refused = self.refused(403);
        refused.retain(|request| !request.contains("/gateway.networking.k8s.io/"));
        assert!(
            refused.is_empty(),
            "the chart does not give the right to do this: {refused:#?}"
        );
    }
}
