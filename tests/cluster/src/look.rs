//! A look at an object, several times a second while a test waits: over a connection that stays, for a process each would keep a processor busy.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// Longer than any answer of a server that is well.
const PATIENCE: Duration = Duration::from_secs(30);
/// Kinds in a namespace that tests look at: as `kubectl` takes them, group, version and kind.
const KINDS: &[(&str, &str, &str, &str)] = &[
    ("certificate", "cert-manager.io", "v1", "Certificate"),
    ("configmap", "", "v1", "ConfigMap"),
    ("evlog", "tidelog.dev", "v1alpha1", "EventLog"),
    ("networkpolicy", "networking.k8s.io", "v1", "NetworkPolicy"),
    ("pod", "", "v1", "Pod"),
    ("poddisruptionbudget", "policy", "v1", "PodDisruptionBudget"),
    ("rlink", "tidelog.dev", "v1alpha1", "ReplicationLink"),
    ("secret", "", "v1", "Secret"),
    ("service", "", "v1", "Service"),
    ("statefulset", "apps", "v1", "StatefulSet"),
    ("tlsroute", "gateway.networking.k8s.io", "v1", "TLSRoute"),
];

/// An object as JSON; `None` for a kind that only `kubectl` knows here.
pub(crate) fn get(kubeconfig: &Path, namespace: &str, object: &str) -> Option<Result<Value>> {
    let (kind, name) = object.split_once('/')?;
    let kind = kind.to_lowercase();
    let (_, group, version, kind) = KINDS.iter().find(|(known, ..)| *known == kind)?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let (kubeconfig, namespace) = (kubeconfig.to_owned(), namespace.to_owned());
    let (name, asked) = (name.to_owned(), object.to_owned());
    // A test may be inside of a runtime of its own: it waits as for a process.
    let (answer, answered) = mpsc::channel();
    let looking = async move {
        let found = async {
            let client = client(kubeconfig).await?;
            let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource);
            let found = api.get(&name).await;
            Ok(serde_json::to_value(
                found.with_context(|| format!("get {asked}"))?,
            )?)
        };
        let _ = answer.send(found.await);
    };
    runtime().spawn(looking);
    Some(answered.recv().context("the look has ended").flatten())
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        #[expect(clippy::expect_used, reason = "nothing can be tested without")]
        runtime.expect("a runtime")
    })
}

/// The client of a file, made once.
async fn client(kubeconfig: PathBuf) -> Result<Client> {
    static CLIENTS: Mutex<Option<HashMap<PathBuf, Client>>> = Mutex::new(None);
    let known = || CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = known().get_or_insert_default().get(&kubeconfig) {
        return Ok(client.clone());
    }
    let file = Kubeconfig::read_from(&kubeconfig)?;
    let chosen = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(file, &chosen).await?;
    config.connect_timeout = Some(PATIENCE);
    config.read_timeout = Some(PATIENCE);
    let client = Client::try_from(config)?;
    known()
        .get_or_insert_default()
        .insert(kubeconfig, client.clone());
    Ok(client)
}
