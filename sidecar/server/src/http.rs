//! The HTTP port: `/metrics`, `/livez`, `/readyz`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tidelog_engine::{LogHandle, LogPhase};
use tidelog_replication::ReplicationHandle;
use tidelog_tls::Tls;
use tokio::sync::watch;

use crate::describe::Describe;
use crate::metrics::LocationMetrics;

/// What the HTTP port speaks about.
#[derive(Clone)]
pub(crate) struct HttpState {
    pub(crate) describe: Describe,
    pub(crate) log: LogHandle,
    pub(crate) replication: ReplicationHandle,
    pub(crate) tls: Option<Tls>,
    /// Whether a standby reaches the writer.
    pub(crate) reached: watch::Receiver<bool>,
}

pub(crate) fn router(state: HttpState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(state)
}

async fn metrics(State(state): State<HttpState>) -> impl IntoResponse {
    let about = state.describe.about();
    let metrics = LocationMetrics {
        log_name: about.log,
        location: about.location,
        log: state.log,
        replication: state.replication,
        certificates: state.tls.map(|tls| tls.certificates().borrow().clone()),
    };
    match metrics.scrape() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Ready means: can serve applications. Peers and lag have no part in it.
async fn ready(State(state): State<HttpState>) -> impl IntoResponse {
    let phase = state.log.status().borrow().phase.clone();
    match phase {
        LogPhase::Serving => (StatusCode::OK, "ok\n".to_owned()),
        LogPhase::Standby { owner, .. } if !*state.reached.borrow() => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("standby of {owner}, which cannot be reached\n"),
        ),
        LogPhase::Standby { owner, .. } => (StatusCode::OK, format!("standby of {owner}\n")),
        LogPhase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
        LogPhase::Failing(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        LogPhase::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped\n".to_owned()),
    }
}
