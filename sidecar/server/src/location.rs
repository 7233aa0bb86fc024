//! One running location: store, log, replication, and every port, from one configuration.
//!
//! The same code runs in the sidecar (one location a process) and in `tidelog dev` (any number of them).

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use thiserror::Error;
use tidelog_config::Config;
use tidelog_engine::{Clock, LogHandle, LogPhase, LogStatus};
use tidelog_model::{Realm, mutant};
use tidelog_proto::v1;
use tidelog_replication::{Replication, ReplicationHandle};
use tidelog_store::{LogStore, StoreError};
use tidelog_tls::{Files, LoadError, Tls};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::describe::{About, Describe};
use crate::doors::{Addresses, Doors, Sockets, configured};
use crate::entrance::Times;
use crate::listen::ListenError;
use crate::recorded::RecordedWitness;
use crate::surroundings::{Network, Surroundings};
use crate::{dialler, health, http, recovered, render, serve, storage};

/// How long the log may take to finish what is in flight: its database may be silent.
const FINISH_MAX: Duration = Duration::from_secs(15);
/// How long connections may take to end after the log has stopped.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A database that is gone does not hold up a stop.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// Why a location does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// The certificates cannot be used.
    #[error("{location}: {error}")]
    Certificates {
        /// The location.
        location: String,
        /// What is wrong with them.
        error: LoadError,
    },
    /// A port or socket cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The database cannot be used.
    #[error("{location}: {error}")]
    Store {
        /// The location.
        location: String,
        /// What the store says.
        error: StoreError,
    },
}

/// What the configuration does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocationOptions {
    /// It belongs to a development network, whose edges may be cut by command.
    pub development: bool,
}

/// What became of a new configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Something is different now.
    pub changed: bool,
    /// Settings that differ and take effect at the next start only.
    pub restart_needed: Vec<String>,
}

/// What the services of a location share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) log: LogHandle,
    pub(crate) replication: ReplicationHandle,
    pub(crate) describe: Describe,
    pub(crate) owner: String,
    pub(crate) address: String,
    pub(crate) storage: String,
    pub(crate) started_at_micros: i64,
    pub(crate) stopping: CancellationToken,
    pub(crate) tls: Option<Tls>,
    pub(crate) clock: Clock,
    /// The witness, where an operator keeps it.
    pub(crate) witness: Option<Arc<RecordedWitness>>,
    pub(crate) options: LocationOptions,
    config: Arc<RwLock<Config>>,
}

impl Shared {
    /// The configuration in force.
    pub(crate) fn config(&self) -> Config {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts in force what can change while running; names the rest, which stays as it was.
    pub(crate) async fn apply(&self, new: &Config) -> Result<Applied, StartError> {
        new.validate()
            .map_err(|e| StartError::Config(e.to_string()))?;
        let old = self.config();
        if (&new.log, &new.location) != (&old.log, &old.location)
            && !mutant!("configuration-of-another-location-applied")
        {
            return Err(StartError::Config(format!(
                "this is {}/{}, the configuration is that of {}/{}; send it there",
                old.log, old.location, new.log, new.location
            )));
        }
        let restart_needed = old.restart_needed(new);
        let next = old.with_live_fields_of(new);
        let changed = old != next;
        let settings = render::replication_settings(&next)?;
        self.replication.apply(&settings);
        self.log.set_stamp(render::stamp(&next)).await;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(Applied {
            changed,
            restart_needed,
        })
    }
}

/// The certificates of the configuration, read.
fn certificates(config: &Config) -> Result<Option<Tls>, StartError> {
    let Some(tls) = &config.tls else {
        return Ok(None);
    };
    let files = Files {
        certificate: tls.certificate_file.clone(),
        key: tls.key_file.clone(),
        trust: tls.trust_directory.clone(),
    };
    let realm = Realm {
        trust_domain: tls.trust_domain.clone(),
        namespace: tls.namespace.clone(),
        log: config.log.clone(),
    };
    Tls::load(files, realm, config.location.clone())
        .map(Some)
        .map_err(|error| StartError::Certificates {
            location: config.location.to_string(),
            error,
        })
}

/// Ports before anybody comes in.
enum Bound {
    Sockets(Box<Sockets>),
    Given(Network),
}

/// A location that runs until [`RunningLocation::shut_down`].
pub struct RunningLocation {
    shared: Shared,
    addresses: Addresses,
    store: Arc<dyn LogStore>,
    health: health::Health,
    tasks: Vec<JoinHandle<()>>,
}

impl RunningLocation {
    /// Starts a location as it runs in earnest.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, LocationOptions::default()).await
    }

    /// Binds the ports, opens the database, starts log, replication and services. Returns when the ports are open; the log may still be
    /// looking at its database ([`Self::status`] tells).
    pub async fn start_with(config: Config, options: LocationOptions) -> Result<Self, StartError> {
        // Boxed: it is the largest of all futures, and would make every one that starts a location as large.
        Box::pin(Self::start_on(config, options, Surroundings::default())).await
    }

    /// The same on other surroundings than those of this machine.
    pub async fn start_on(
        config: Config,
        options: LocationOptions,
        mut on: Surroundings,
    ) -> Result<Self, StartError> {
        config
            .validate()
            .map_err(|e| StartError::Config(e.to_string()))?;
        let settings = render::replication_settings(&config)?;
        let failed = |error| StartError::Store {
            location: config.location.to_string(),
            error,
        };
        let tls = certificates(&config)?;
        let reload = config.tls.as_ref().map(|t| t.reload.get());
        // Before anything else: a busy port is an error of the start.
        let (bound, addresses, dialler) = match on.network.take() {
            Some(network) => {
                let dialler = network.dialler.clone();
                (Bound::Given(network), configured(&config), Some(dialler))
            }
            None => {
                let sockets = Sockets::bind(&config).await?;
                let addresses = sockets.addresses(&config);
                let dialler = tls.clone().map(dialler::over);
                (Bound::Sockets(Box::new(sockets)), addresses, dialler)
            }
        };
        let advertised = config.listen.advertised.as_ref();
        let address = advertised.map_or_else(|| addresses.api.to_string(), ToString::to_string);
        let store = match on.store.take() {
            Some(store) => store,
            None => storage::open(&config).await.map_err(failed)?,
        };
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let run = (on.random)() as u32;
        let owner = render::owner(&config.location, &host, std::process::id(), run);
        let witness = render::recorded_witness(&config, &on);
        if let Some(witness) = &witness {
            on.witness.get_or_insert(witness.clone());
        }
        let log = LogHandle::start(render::log_options(
            &config,
            &on,
            store.clone(),
            &owner,
            &address,
        ));
        let times = advertised.map(|own| Times::follow(&log, own));
        let doors = match bound {
            Bound::Given(network) => Doors::given(network),
            Bound::Sockets(sockets) => Doors::new(*sockets, tls.as_ref(), &config, times.as_ref()),
        };
        let replication_options = render::replication_options(&config, &on, settings);
        let replication = Replication::start_over(replication_options, log.clone(), dialler)
            .await
            .map_err(failed)?;
        let (recovered_tx, recovered_rx) = watch::channel(v1::Recovered::default());
        let about = About {
            log: config.log.clone(),
            location: config.location.to_string(),
            application_name: config.application.name.clone(),
            application_version: config.application.version.clone(),
        };
        let describe = Describe::new(about, &config, recovered_rx, log.clone());
        let shared = Shared {
            log: log.clone(),
            replication: replication.clone(),
            describe: describe.clone(),
            owner,
            address,
            storage: storage::describe(&config),
            started_at_micros: (on.clock)(),
            stopping: CancellationToken::new(),
            tls: tls.clone(),
            clock: on.clock.clone(),
            witness,
            options,
            config: Arc::new(RwLock::new(config)),
        };
        let health = health::Health::new().await;
        let reached = times.map_or_else(|| watch::channel(true).1, |times| times.reached());
        let mut tasks = vec![
            tokio::spawn(recovered::follow(shared.clone(), recovered_tx)),
            tokio::spawn(health.clone().follow(
                log.clone(),
                reached.clone(),
                shared.stopping.clone(),
            )),
            serve::admin(doors.admin, &shared),
            serve::replication(doors.replication, &shared),
            serve::api(doors.api, &shared),
        ];
        if let Some(clients) = doors.clients {
            tasks.push(serve::api(clients, &shared));
        }
        if let Some((metrics, probe)) = doors.probes {
            let state = http::HttpState {
                describe,
                log,
                replication,
                tls: tls.clone(),
                reached,
            };
            tasks.push(serve::health(probe, &health, &shared));
            tasks.push(serve::http(metrics, http::router(state), &shared));
        }
        if let Some((tls, every)) = tls.zip(reload) {
            let stopping = shared.stopping.clone();
            tasks.push(tokio::spawn(async move {
                tokio::select! {
                    () = tls.follow(every) => {}
                    () = stopping.cancelled() => {}
                }
            }));
        }
        if let Some((door, path)) = doors.socket {
            tasks.push(serve::api_socket(door, path, &shared));
        }
        Ok(Self {
            shared,
            addresses,
            store,
            health,
            tasks,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What its log is doing.
    pub fn status(&self) -> watch::Receiver<LogStatus> {
        self.shared.log.status()
    }

    /// Its log.
    pub fn log(&self) -> &LogHandle {
        &self.shared.log
    }

    /// Its replication.
    pub fn replication(&self) -> &ReplicationHandle {
        &self.shared.replication
    }

    /// The whole status, as `AdminService` tells it.
    pub fn location_status(&self) -> v1::LocationStatus {
        crate::status::location(&self.shared)
    }

    /// Puts a new configuration in force as far as it can change while running.
    pub async fn apply(&self, config: &Config) -> Result<Applied, StartError> {
        self.shared.apply(config).await
    }

    /// Waits until appends are accepted or this process is a standby; `Err` says what it is doing instead after `limit`.
    pub async fn wait_until_ready(&self, limit: Duration) -> Result<(), String> {
        let mut status = self.status();
        let ready = status.wait_for(|s| {
            matches!(
                s.phase,
                LogPhase::Serving | LogPhase::Standby { .. } | LogPhase::Stopped
            )
        });
        let waited = tokio::time::timeout(limit, ready).await.map(|_| ());
        let phase = self.shared.log.status().borrow().phase.clone();
        match (waited, phase) {
            (Ok(()), LogPhase::Serving | LogPhase::Standby { .. }) => Ok(()),
            (_, LogPhase::Failing(why)) => Err(why),
            (_, phase) => Err(format!("still {phase:?}")),
        }
    }

    /// Stops in order: not serving, streams closed, appends finished, clean stop recorded, connections drained, database let go.
    pub async fn shut_down(self) {
        self.health.not_serving().await;
        let finished = async {
            self.shared.replication.shut_down().await;
            self.shared.log.shut_down().await;
        };
        if tokio::time::timeout(FINISH_MAX, finished).await.is_err() {
            tracing::warn!(
                "what is in flight did not end in time; the next start proves what was committed"
            );
        }
        self.shared.stopping.cancel();
        self.health.end_watches().await;
        let drained = async {
            for task in self.tasks {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
            tracing::warn!("connections did not end in time; leaving them");
        }
        if tokio::time::timeout(CLOSE_MAX, self.store.close())
            .await
            .is_err()
        {
            tracing::warn!("the database does not answer; leaving it");
        }
    }
}
