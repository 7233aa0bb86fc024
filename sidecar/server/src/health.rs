//! gRPC health: `startup`, `live`, `ready`. Peers and lag have no part in readiness.

use tidelog_engine::{LogHandle, LogPhase};
use tidelog_model::mutant;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::server::HealthReporter;

/// The health of a location.
#[derive(Clone)]
pub(crate) struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// Not serving until the log says otherwise.
    pub(crate) async fn new() -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
        };
        health.set("live", ServingStatus::Serving).await;
        for service in ["", "startup", "ready"] {
            health.set(service, ServingStatus::NotServing).await;
        }
        health
    }

    pub(crate) fn service(&self) -> HealthServer<impl HealthService> {
        HealthServer::new(tonic_health::server::HealthService::from_health_reporter(
            self.reporter.clone(),
        ))
    }

    /// Follows the log until the location stops. A standby is ready while it reaches the writer, as `reached` says.
    pub(crate) async fn follow(
        self,
        log: LogHandle,
        mut reached: watch::Receiver<bool>,
        stopping: CancellationToken,
    ) {
        let mut status = log.status();
        loop {
            let phase = status.borrow_and_update().phase.clone();
            let reaches = *reached.borrow_and_update();
            let ready = match phase {
                LogPhase::Serving => true,
                LogPhase::Standby { .. } => reaches,
                _ => false,
            };
            let serving = if ready {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            if matches!(phase, LogPhase::Serving | LogPhase::Standby { .. }) {
                self.set("startup", ServingStatus::Serving).await;
            }
            self.set("ready", serving).await;
            self.set("", serving).await;
            tokio::select! {
                changed = status.changed() => if changed.is_err() { return },
                // Where nobody looks there is nothing to wait for.
                Ok(()) = reached.changed() => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// Takes the location out of service before it stops.
    pub(crate) async fn not_serving(&self) {
        for service in ["", "ready"] {
            self.set(service, ServingStatus::NotServing).await;
        }
    }

    /// Ends the streams of those who watch: they would hold their connections open.
    pub(crate) async fn end_watches(&self) {
        let mut reporter = self.reporter.clone();
        for service in ["", "startup", "live", "ready"] {
            if mutant!("watches-outlive-a-stop") {
                continue;
            }
            reporter.clear_service_status(service).await;
        }
    }

    async fn set(&self, service: &str, status: ServingStatus) {
        self.reporter.set_service_status(service, status).await;
    }
}
