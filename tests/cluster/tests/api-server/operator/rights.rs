//! The chart's roles on an API server, and what was asked for beyond them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tidelog_cluster_tests::ApiServer;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::Before;

/// The release that looks at a namespace; it is in one of its own, so that rights for the one are none for the other.
pub fn release(namespace: &str) -> (String, String) {
    (
        format!("tidelog-{namespace}"),
        format!("{namespace}-system"),
    )
}

/// Who the operator of that release is.
pub fn account(namespace: &str) -> String {
    let (release, system) = release(namespace);
    format!("system:serviceaccount:{system}:{release}")
}

/// Gives the operator of a namespace what the chart gives it.
pub fn grant(server: &ApiServer, namespace: &str) {
    grant_with(
        server,
        namespace,
        &format!("{{watchNamespace: {namespace}}}"),
    );
}

/// The same with some values of the chart.
pub fn grant_with(server: &ApiServer, namespace: &str, values: &str) {
    let (release, system) = release(namespace);
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/tidelog");
    let arguments = [
        "template",
        &release,
        chart.to_str().unwrap(),
        "--namespace",
        &system,
        "--set",
        "location.name=eu,webhook.enabled=true",
        "--values",
        "-",
    ];
    let rendered = server.helm().unwrap().run_with(&arguments, values);
    let rendered = rendered.unwrap().done().unwrap().output;
    let documents = serde_yaml::Deserializer::from_str(&rendered);
    let documents = documents.map(|document| Value::deserialize(document).unwrap());
    let is_right = |object: &Value| {
        let kind = object["kind"].as_str().unwrap_or_default();
        kind == "ServiceAccount" || kind.contains("Role")
    };
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": system},
    })];
    objects.extend(documents.filter(is_right));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let applied = server.kubectl().apply(&list.to_string());
    applied.unwrap().done().unwrap();
}

/// A client that may do what an account may.
pub async fn granted(
    server: &ApiServer,
    account: String,
    address: Option<SocketAddr>,
) -> kube::Config {
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).unwrap();
    let chosen = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &chosen);
    let mut config = config.await.unwrap();
    config.auth_info.impersonate = Some(account);
    if let Some(address) = address {
        config.cluster_url = format!("https://{address}").parse().unwrap();
    }
    config
}

/// What the API server has refused.
#[derive(Debug, Clone, Default)]
pub struct Refused(Arc<Mutex<BTreeSet<(u16, String)>>>);

impl Refused {
    /// All requests that were answered with this status.
    pub fn with(&self, status: u16) -> Vec<String> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let with = refused.iter().filter(|(was, _)| *was == status);
        with.map(|(_, request)| request.clone()).collect()
    }

    fn add(&self, status: u16, request: String) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert((status, request));
    }
}

/// Watches a client for refusals: some of them the operator takes without a word.
pub struct Watching {
    pub refused: Refused,
    pub before: Option<Before>,
}

impl<S> Layer<S> for Watching {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched {
            inner,
            refused: self.refused.clone(),
            before: self.before.clone(),
        }
    }
}

/// A client that is watched.
pub struct Watched<S> {
    inner: S,
    refused: Refused,
    before: Option<Before>,
}

impl<S, A, B> Service<Request<A>> for Watched<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let name = format!("{} {}", request.method(), request.uri().path());
        if let Some(before) = &self.before {
            before(&name);
        }
        let (answering, refused) = (self.inner.call(request), self.refused.clone());
        Box::pin(async move {
            let answer = answering.await;
            if let Ok(answer) = &answer
                && answer.status().is_client_error()
            {
                refused.add(answer.status().as_u16(), name);
            }
            answer
        })
    }
}
