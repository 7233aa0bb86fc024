//! The other role of the program: beside an application, in a pod of its own. Listens where the application expects its log, and leads what comes in to the
//! location's pods, which lead it to their writer. Bytes are not looked at: errors, retries and deadlines are those of the application's own client.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use thiserror::Error;
use tidelog_model::{Identity, LocationName, Role};
use tidelog_tls::{LoadError, Pems, Tls};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::entrance::{Listener, join, reach};
use crate::listen::{self, ListenError};

/// Connections of applications at once; more wait in the queue of the socket.
const CONNECTIONS_MAX: usize = 1024;
/// Between two looks whether the log can be reached.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After an error of the socket itself, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// What is forwarded, from where to where.
#[derive(Debug, Clone)]
pub struct ForwardOptions {
    /// Who the application is: a client of the location.
    pub identity: Identity,
    /// The location's pods, HOST:PORT.
    pub to: String,
    /// A folder with `tls.crt`, `tls.key` and `ca.crt`; absent means plain text.
    pub certificates: Option<PathBuf>,
    /// How often that folder is looked at.
    pub reload: Duration,
    /// Where the application finds its log.
    pub api: SocketAddr,
    /// The same on a Unix socket.
    pub socket: Option<PathBuf>,
    /// Health for the kubelet.
    pub health: SocketAddr,
}

/// Why it does not start.
#[derive(Debug, Error)]
pub enum ForwardError {
    /// A port or socket cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificates cannot be read.
    #[error("cannot read {}: {error}", .file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Certificates(#[from] LoadError),
}

/// It runs until [`Forwarder::shut_down`].
pub struct Forwarder {
    stopping: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    socket: Option<PathBuf>,
    /// Where it listens.
    pub api: SocketAddr,
    /// Where it tells how it is.
    pub health: SocketAddr,
}

/// The way to the location's pods.
struct Way {
    to: String,
    tls: Option<RwLock<(Pems, Tls)>>,
    identity: Identity,
}

impl Way {
    fn tls(&self) -> Option<(Tls, LocationName)> {
        let tls = self.tls.as_ref()?;
        let tls = tls.read().unwrap_or_else(PoisonError::into_inner).1.clone();
        Some((tls, self.identity.location.clone()))
    }

    /// Takes over what is new in the folder; what cannot be used leaves in force what was.
    fn look(&self, folder: &Path) {
        let Some(tls) = &self.tls else {
            return;
        };
        let found = read(folder, &self.identity.location);
        let outcome = found.and_then(|pems| {
            let before = tls.read().unwrap_or_else(PoisonError::into_inner).0 == pems;
            if before {
                return Ok(());
            }
            let next = Tls::of(pems.clone(), self.identity.clone())?;
            *tls.write().unwrap_or_else(PoisonError::into_inner) = (pems, next);
            tracing::info!("certificates were rotated");
            Ok(())
        });
        if let Err(error) = outcome {
            tracing::warn!(%error, "new certificates cannot be used, going on with the old ones");
        }
    }
}

fn read(folder: &Path, location: &LocationName) -> Result<Pems, ForwardError> {
    let one = |name: &str| {
        let file = folder.join(name);
        std::fs::read(&file).map_err(|error| ForwardError::Read { file, error })
    };
    Ok(Pems {
        certificate: one("tls.crt")?,
        key: one("tls.key")?,
        trust: BTreeMap::from([(location.clone(), one("ca.crt")?)]),
    })
}

impl Forwarder {
    /// Binds the ports and begins.
    pub async fn start(options: ForwardOptions) -> Result<Self, ForwardError> {
        let ForwardOptions {
            identity,
            to,
            certificates,
            reload,
            ..
        } = options.clone();
        debug_assert!(identity.role == Role::Client);
        let name = identity.location.as_str();
        let api = listen::tcp("api", name, options.api).await?;
        let health = listen::tcp("health", name, options.health).await?;
        let socket = match &options.socket {
            Some(path) => listen::unix(path).await?,
            None => None,
        };
        let bound = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let (at_api, at_health) = (bound(&api, options.api), bound(&health, options.health));
        let tls = match &certificates {
            None => None,
            Some(folder) => {
                let pems = read(folder, &identity.location)?;
                let tls = Tls::of(pems.clone(), identity.clone())?;
                Some(RwLock::new((pems, tls)))
            }
        };
        let way = Arc::new(Way { to, tls, identity });
        let stopping = CancellationToken::new();
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let reporter = HealthReporter::new();
        let mut tasks = vec![
            serve_health(health, reporter.clone(), stopping.clone()),
            tokio::spawn(until(stopping.clone(), tell(way.clone(), reporter))),
            tokio::spawn(until(
                stopping.clone(),
                forward(Listener::Tcp(api), way.clone(), room.clone()),
            )),
        ];
        if let Some(listener) = socket {
            let forwarding = forward(Listener::Unix(listener), way.clone(), room);
            tasks.push(tokio::spawn(until(stopping.clone(), forwarding)));
        }
        if let Some(folder) = certificates {
            let looking = async move {
                loop {
                    sleep(reload).await;
                    way.look(&folder);
                }
            };
            tasks.push(tokio::spawn(until(stopping.clone(), looking)));
        }
        Ok(Self {
            stopping,
            tasks,
            socket: options.socket,
            api: at_api,
            health: at_health,
        })
    }

    /// Ends. Connections go with it: beside an application it is ended after the application.
    pub async fn shut_down(self) {
        self.stopping.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
        if let Some(path) = self.socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn until(stopping: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = stopping.cancelled() => {}
    }
}

async fn forward(listener: Listener, way: Arc<Way>, room: Arc<Semaphore>) {
    loop {
        let Ok(place) = room.clone().acquire_owned().await else {
            return;
        };
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections, trying again");
                sleep(PAUSE).await;
                continue;
            }
        };
        let way = way.clone();
        tokio::spawn(async move {
            let tls = way.tls();
            if let Err(error) = join(socket, &way.to, tls.as_ref()).await {
                tracing::debug!(to = way.to, %error, "a connection ended");
            }
            drop(place);
        });
    }
}

/// Ready is who reaches the location's pods; an application need not be told so by its first append.
async fn tell(way: Arc<Way>, reporter: HealthReporter) {
    let mut was_reached = None;
    reporter
        .set_service_status("live", ServingStatus::Serving)
        .await;
    loop {
        let tls = way.tls();
        let reached = reach(&way.to, tls.as_ref()).await;
        let is_reached = reached.is_ok();
        if was_reached != Some(is_reached) {
            match &reached {
                Ok(_) => tracing::info!(to = way.to, "the log is reached"),
                Err(error) => tracing::warn!(to = way.to, %error, "the log cannot be reached"),
            }
            was_reached = Some(is_reached);
        }
        let status = if is_reached {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        if is_reached {
            reporter
                .set_service_status("startup", ServingStatus::Serving)
                .await;
        }
        for service in ["", "ready"] {
            reporter.set_service_status(service, status).await;
        }
        drop(reached);
        sleep(LOOK_EVERY).await;
    }
}

fn serve_health(
    listener: TcpListener,
    reporter: HealthReporter,
    stopping: CancellationToken,
) -> JoinHandle<()> {
    let service = tonic_health::server::HealthService::from_health_reporter(reporter);
    let service = tonic_health::pb::health_server::HealthServer::new(service);
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(async move {
        // Whoever watches would hold it open.
        tokio::select! {
            served = server.serve_with_incoming(incoming) => if let Err(error) = served {
                tracing::error!(port = "health", %error, "port ended");
            },
            () = stopping.cancelled() => {}
        }
    })
}
