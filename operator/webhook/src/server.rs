//! The socket of the webhook.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use json_patch::diff;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use serde_json::Value;
use thiserror::Error;
use tidelog_api::EventLog;
use tidelog_pki::PkiError;

use crate::certificate::{self, Serving};
use crate::review::{INJECT_LABEL, Refused, injected, label};

/// Between two looks at the certificate.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// And after one that failed.
const RETRY: Duration = Duration::from_secs(2);
/// Reviews under way may take this long when it ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// How the webhook is served.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The Service that leads to it; absent: the host `localhost`.
    pub service: Option<String>,
    /// Namespace of the Service and of the Secret.
    pub namespace: String,
    /// Secret of its certificate.
    pub secret: String,
    /// The MutatingWebhookConfiguration that names it.
    pub configuration: String,
    /// The location of this operator; `*` for all.
    pub location: String,
    /// Image of the sidecars.
    pub image: String,
}

impl WebhookOptions {
    /// The host for which the certificate counts.
    pub(crate) fn host(&self) -> String {
        match &self.service {
            Some(service) => format!("{service}.{}.svc", self.namespace),
            None => "localhost".to_owned(),
        }
    }
}

/// Why it is not served.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// The socket.
    #[error("cannot listen on --webhook-listen {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The API server.
    #[error("cannot {0}: {1}")]
    Api(String, Box<kube::Error>),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// What is in the Secret.
    #[error(
        "Secret {0} holds no certificate with its key and authority; delete it, and another one is made"
    )]
    Secret(String),
    /// Somebody else's.
    #[error(
        "Secret {0} belongs to something else: rename or delete it, or take another name with --webhook-service"
    )]
    Foreign(String),
    /// What TLS is spoken with.
    #[error("the certificate of the webhook cannot be used: {0}")]
    Certificate(io::Error),
}

/// A webhook that is served, until it is dropped or stopped.
pub struct Webhook {
    handle: Handle<SocketAddr>,
    address: SocketAddr,
    looking: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    client: Client,
    options: Arc<WebhookOptions>,
}

impl Webhook {
    /// Sees to the certificate, listens, and tells the API server. What cannot be done yet is tried again.
    pub async fn start(client: Client, options: WebhookOptions) -> Result<Self, WebhookError> {
        let options = Arc::new(options);
        let listener = std::net::TcpListener::bind(options.listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listener = listener.map_err(|error| WebhookError::Listen(options.listen, error))?;
        let address = listener.local_addr();
        let address = address.map_err(|error| WebhookError::Listen(options.listen, error))?;
        let serving = loop {
            match certificate::provide(&client, &options, None).await {
                Ok(serving) => break serving,
                Err(error) => tracing::warn!(%error, "the webhook is not served yet"),
            }
            tokio::time::sleep(RETRY).await;
        };
        let tls = RustlsConfig::from_pem(
            serving.pair.certificate.clone().into_bytes(),
            serving.pair.key.clone().into_bytes(),
        );
        let tls = tls.await.map_err(WebhookError::Certificate)?;
        let handle = Handle::new();
        let shared = Shared {
            client: client.clone(),
            options: Arc::clone(&options),
        };
        let app = Router::new()
            .route("/inject", post(inject))
            .with_state(shared);
        let server = axum_server::from_tcp_rustls(listener, tls.clone());
        let server = server.map_err(|error| WebhookError::Listen(options.listen, error))?;
        let server = server.handle(handle.clone());
        tokio::spawn(async move {
            if let Err(error) = server.serve(app.into_make_service()).await {
                tracing::error!(%error, "the webhook is not served any more");
            }
        });
        let looking = tokio::spawn(look(client, options, tls, serving));
        Ok(Self {
            handle,
            address,
            looking,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and lets reviews under way end.
    pub fn stop(&self) {
        self.handle.graceful_shutdown(Some(FAREWELL));
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.looking.abort();
        self.stop();
    }
}

/// Keeps certificate and configuration what they should be: somebody may delete the Secret, another replica may have replaced the certificate, an upgrade may have
/// written the configuration anew.
async fn look(
    client: Client,
    options: Arc<WebhookOptions>,
    tls: RustlsConfig,
    mut serving: Serving,
) {
    loop {
        let looked = async {
            let found = certificate::provide(&client, &options, Some(&serving)).await?;
            // First the trust, then what has to be trusted.
            certificate::tell(&client, &options, &found).await?;
            if found != serving {
                let pair = found.pair.clone();
                let (certificate, key) = (pair.certificate.into_bytes(), pair.key.into_bytes());
                let taken = tls.reload_from_pem(certificate, key).await;
                taken.map_err(WebhookError::Certificate)?;
                serving = found;
            }
            Ok::<_, WebhookError>(())
        };
        let wait = match looked.await {
            Ok(()) => LOOK_EVERY,
            Err(error) => {
                tracing::warn!(%error, "the certificate of the webhook was not looked at");
                RETRY
            }
        };
        tokio::time::sleep(wait).await;
    }
}

async fn inject(
    State(shared): State<Shared>,
    Json(review): Json<AdmissionReview<DynamicObject>>,
) -> Json<AdmissionReview<DynamicObject>> {
    let request: AdmissionRequest<DynamicObject> = match review.try_into() {
        Ok(request) => request,
        Err(error) => {
            let why = format!("no review of a pod: {error}");
            return Json(AdmissionResponse::invalid(why).into_review());
        }
    };
    let answer = AdmissionResponse::from(&request);
    let answer = match decide(&shared, &request).await {
        Ok(Some(patch)) => match answer.with_patch(patch) {
            Ok(answer) => answer,
            Err(error) => AdmissionResponse::invalid(error.to_string()),
        },
        Ok(None) => answer,
        Err(why) => {
            tracing::info!(namespace = request.namespace, why, "a pod is refused");
            answer.deny(why)
        }
    };
    Json(answer.into_review())
}

/// What changes in a pod; `None` where nothing was asked for.
async fn decide(
    shared: &Shared,
    request: &AdmissionRequest<DynamicObject>,
) -> Result<Option<json_patch::Patch>, String> {
    let Some(pod) = &request.object else {
        return Ok(None);
    };
    let pod: Value = serde_json::to_value(pod).map_err(|error| error.to_string())?;
    // A pod of a log has its sidecar, and no other one is to take its place.
    let is_of_log = label(&pod, "app.kubernetes.io/managed-by") == Some("tidelog-operator");
    let Some(name) = label(&pod, INJECT_LABEL).filter(|_| !is_of_log) else {
        return Ok(None);
    };
    let namespace = request.namespace.clone().unwrap_or_default();
    let api: Api<EventLog> = Api::namespaced(shared.client.clone(), &namespace);
    let found = api.get_opt(name).await;
    let found = found.map_err(|error| format!("cannot look at EventLog {name}: {error}"))?;
    let log = found.ok_or_else(|| {
        let log = name.to_owned();
        Refused::NoLog { log, namespace }.to_string()
    })?;
    let (location, image) = (&shared.options.location, &shared.options.image);
    let spec = injected(&pod, &log, (location, image)).map_err(|refused| refused.to_string())?;
    let mut after = pod.clone();
    after["spec"] = spec.into();
    Ok(Some(diff(&pod, &after)))
}
