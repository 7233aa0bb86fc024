//! Replication of one log at one location: starts the edges, changes them live, and takes commands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tidelog_engine::LogHandle;
use tidelog_model::LocationName;
use tidelog_store::{EdgeKey, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::carrier::Dialler;
use crate::connection::Connection;
use crate::context::{Common, Control, EdgeSpec, Shared, Signals};
use crate::edge::EdgeTask;
use crate::options::{IncomingEdge, ReplicationOptions, ReplicationSettings};
use crate::recovery::{Neighbours, Recovery, RecoveryStatus};
use crate::service::ReplicationApi;
use crate::status::{Board, Direction, EdgeId, EdgeStatus, Known, status_of};

/// A command that cannot be carried out.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Not an edge of this location.
    #[error("{location} has no edge {edge}; its edges are {known}")]
    UnknownEdge {
        /// This location.
        location: LocationName,
        /// What was asked for.
        edge: EdgeKey,
        /// What there is.
        known: String,
    },
    /// The command could not be stored.
    #[error("cannot remember the command: {0}")]
    Store(#[from] StoreError),
}

/// Starts replication.
pub struct Replication;

/// Everything that runs. The service and the handle share it.
pub(crate) struct Hub {
    pub(crate) cx: Arc<Shared>,
    edges: Mutex<BTreeMap<EdgeId, Running>>,
    neighbours: watch::Sender<Neighbours>,
    /// Edges paused by command, as stored.
    paused: Mutex<Vec<EdgeKey>>,
    recovery: Mutex<Option<JoinHandle<()>>>,
}

struct Running {
    control: watch::Sender<Control>,
    accept: mpsc::Sender<Connection>,
    task: JoinHandle<()>,
}

/// Where accepted connections of an edge go.
pub(crate) struct Door {
    pub(crate) accept: mpsc::Sender<Connection>,
    pub(crate) cut: bool,
}

impl Replication {
    /// Starts the edges of the settings and returns. What was paused by command before stays paused.
    pub async fn start(
        options: ReplicationOptions,
        log: LogHandle,
    ) -> Result<ReplicationHandle, StoreError> {
        Self::start_over(options, log, None).await
    }

    /// The same, with something else than TCP to dial through.
    pub async fn start_over(
        options: ReplicationOptions,
        log: LogHandle,
        dialler: Option<Dialler>,
    ) -> Result<ReplicationHandle, StoreError> {
        let paused = log.store().state().await?.paused.into_iter().collect();
        let cx = Arc::new(Shared {
            log_name: options.log,
            location: options.location,
            log,
            tuning: options.tuning,
            dialler,
            clock: options.clock,
            random: options.random,
            board: Board::new(),
            recovery: Recovery::new(),
            stopping: CancellationToken::new(),
        });
        let (neighbours, around) = watch::channel(Neighbours::default());
        let hub = Arc::new(Hub {
            cx: cx.clone(),
            edges: Mutex::default(),
            neighbours,
            paused: Mutex::new(paused),
            recovery: Mutex::default(),
        });
        hub.apply(&options.settings);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = cx.recovery.run(cx.log.clone(), around) => {},
                () = cx.stopping.cancelled() => {},
            }
        });
        *lock(&hub.recovery) = Some(task);
        Ok(ReplicationHandle { hub })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(crate) fn door(&self, id: &EdgeId) -> Option<Door> {
        let edges = lock(&self.edges);
        let running = edges.get(id)?;
        Some(Door {
            accept: running.accept.clone(),
            cut: running.control.borrow().cut,
        })
    }

    fn edge_key(&self, id: &EdgeId) -> EdgeKey {
        let (source, target) = match id.0 {
            Direction::Incoming => (id.1.clone(), self.cx.location.clone()),
            Direction::Outgoing => (self.cx.location.clone(), id.1.clone()),
        };
        EdgeKey { source, target }
    }

    fn edge_id(&self, edge: &EdgeKey) -> EdgeId {
        if edge.target == self.cx.location {
            (Direction::Incoming, edge.source.clone())
        } else {
            (Direction::Outgoing, edge.target.clone())
        }
    }

    /// Brings the running edges in line with the settings. Edges that stay as they are go on undisturbed.
    fn apply(&self, settings: &ReplicationSettings) {
        let common = Arc::new(Common {
            spec_hash: settings.spec_hash.clone(),
            application_name: settings.application_name.clone(),
            application_version: settings.application_version.clone(),
        });
        let mut wanted: BTreeMap<EdgeId, EdgeSpec> = BTreeMap::new();
        for edge in &settings.incoming {
            let id = (Direction::Incoming, edge.source.clone());
            wanted.insert(id, EdgeSpec::Incoming(edge.clone()));
        }
        for edge in &settings.outgoing {
            let id = (Direction::Outgoing, edge.target.clone());
            let spec = EdgeSpec::Outgoing(edge.clone(), settings.export_filter.clone());
            wanted.insert(id, spec);
        }
        let is_filtered = !settings.export_filter.0.is_empty()
            || settings.outgoing.iter().any(|e| !e.filters.0.is_empty())
            || settings.incoming.iter().any(IncomingEdge::is_filtered);
        let active = wanted
            .iter()
            .filter(|(_, spec)| !spec.paused())
            .map(|(id, _)| id.clone())
            .collect();
        let mut edges = lock(&self.edges);
        // Dropping its control ends the task of an edge.
        edges.retain(|id, _| wanted.contains_key(id));
        for (id, spec) in wanted {
            match edges.get(&id) {
                Some(running) => {
                    running
                        .control
                        .send_if_modified(|control| change(control, spec, &common));
                }
                None => {
                    let running = self.spawn(&id, spec, &common);
                    edges.extend(running.map(|running| (id, running)));
                }
            }
        }
        drop(edges);
        self.neighbours.send_replace(Neighbours {
            edges: active,
            is_filtered,
        });
    }

    fn spawn(&self, id: &EdgeId, spec: EdgeSpec, common: &Arc<Common>) -> Option<Running> {
        let paused_by_command = lock(&self.paused).contains(&self.edge_key(id));
        let (control, control_seen) = watch::channel(Control {
            spec: Arc::new(spec),
            common: common.clone(),
            revision: 0,
            paused_by_command,
            cut: false,
            kick: 0,
        });
        let (accept, accepted) = mpsc::channel(1);
        let mut epoch = self.cx.log.epoch();
        epoch.mark_unchanged();
        let signals = Signals {
            control: control_seen,
            accepted,
            epoch,
            stopping: self.cx.stopping.clone(),
        };
        let task = EdgeTask::new(self.cx.clone(), id.clone(), signals)?;
        Some(Running {
            control,
            accept,
            task: tokio::spawn(task.run()),
        })
    }

    fn command(
        &self,
        edge: &EdgeKey,
        change: impl FnOnce(&mut Control),
    ) -> Result<(), ControlError> {
        let edges = lock(&self.edges);
        match edges.get(&self.edge_id(edge)) {
            Some(running) if self.edge_key(&self.edge_id(edge)) == *edge => {
                running.control.send_modify(change);
                Ok(())
            }
            _ => {
                let known: Vec<String> = edges
                    .keys()
                    .map(|id| self.edge_key(id).to_string())
                    .collect();
                Err(ControlError::UnknownEdge {
                    location: self.cx.location.clone(),
                    edge: edge.clone(),
                    known: known.join(", "),
                })
            }
        }
    }

    fn status(&self, known: &BTreeMap<EdgeId, Known>, now_micros: i64) -> Vec<EdgeStatus> {
        let bound = self.cx.heard_bound_micros();
        known
            .iter()
            .map(|(id, known)| status_of(id, known, &self.cx.location, now_micros, bound))
            .collect()
    }
}

/// Takes new settings of an edge over. Returns whether anything changed.
fn change(control: &mut Control, spec: EdgeSpec, common: &Arc<Common>) -> bool {
    let restart = *control.spec != spec
        || control.common.application_name != common.application_name
        || control.common.application_version != common.application_version;
    if !restart && control.common == *common {
        return false;
    }
    control.spec = Arc::new(spec);
    control.common = common.clone();
    control.revision += u64::from(restart);
    true
}

/// Running replication. Cloning it is cheap; it goes on until [`Self::shut_down`].
#[derive(Clone)]
pub struct ReplicationHandle {
    hub: Arc<Hub>,
}

impl ReplicationHandle {
    /// The service that peers dial.
    pub fn api(&self) -> ReplicationApi {
        ReplicationApi::new(self.hub.clone())
    }

    /// Brings the running edges in line with new settings: added, removed, paused, filters, versions. Only edges that change restart their
    /// stream.
    pub fn apply(&self, settings: &ReplicationSettings) {
        self.hub.apply(settings);
    }

    /// Pauses an edge by command, or takes the pause back. It is stored with the log and holds beside a pause of the plan.
    pub async fn pause(&self, edge: &EdgeKey, paused: bool) -> Result<(), ControlError> {
        self.hub.command(edge, |_| {})?;
        self.hub.cx.log.store().set_paused(edge, paused).await?;
        {
            let mut held = lock(&self.hub.paused);
            held.retain(|held| held != edge);
            if paused {
                held.push(edge.clone());
            }
        }
        self.hub.command(edge, |control| {
            control.paused_by_command = paused;
            control.kick += 1;
        })
    }

    /// Breaks the connection of an edge and refuses new ones until it is healed. Not stored: for development networks.
    pub fn cut(&self, edge: &EdgeKey) -> Result<(), ControlError> {
        self.hub.command(edge, |control| control.cut = true)
    }

    /// Takes a cut back.
    pub fn heal(&self, edge: &EdgeKey) -> Result<(), ControlError> {
        self.hub.command(edge, |control| {
            control.cut = false;
            control.kick += 1;
        })
    }

    /// The edges that are cut.
    pub fn cut_edges(&self) -> Vec<EdgeKey> {
        let edges = lock(&self.hub.edges);
        let cut = edges.iter().filter(|(_, e)| e.control.borrow().cut);
        cut.map(|(id, _)| self.hub.edge_key(id)).collect()
    }

    /// Edges that are paused by command.
    pub fn paused_edges(&self) -> Vec<EdgeKey> {
        lock(&self.hub.paused).iter().cloned().collect()
    }

    /// Every edge as of now, sources first by name.
    pub fn status(&self) -> Vec<EdgeStatus> {
        let known = self.hub.cx.board.known();
        self.hub.status(&known, self.hub.cx.now())
    }

    /// Follows the status.
    pub fn watch(&self) -> StatusWatch {
        StatusWatch {
            known: self.hub.cx.board.subscribe(),
            hub: self.hub.clone(),
        }
    }

    /// What is known about recovery after a raise.
    pub fn recovery(&self) -> watch::Receiver<RecoveryStatus> {
        self.hub.cx.recovery.status()
    }

    /// Ends all streams and waits until their tasks have ended.
    pub async fn shut_down(&self) {
        self.hub.cx.stopping.cancel();
        let running = std::mem::take(&mut *lock(&self.hub.edges));
        for (_, running) in running {
            let _ = running.task.await;
        }
        let recovery = lock(&self.hub.recovery).take();
        if let Some(task) = recovery {
            let _ = task.await;
        }
    }
}

/// Follows the status of all edges. Changes that come faster than they are taken are seen as one.
pub struct StatusWatch {
    hub: Arc<Hub>,
    known: watch::Receiver<BTreeMap<EdgeId, Known>>,
}

impl StatusWatch {
    /// The next status that differs from the last one taken; `None` when replication has ended. Cancel safe.
    pub async fn changed(&mut self) -> Option<Vec<EdgeStatus>> {
        if self.hub.cx.stopping.is_cancelled() {
            return None;
        }
        tokio::select! {
            changed = self.known.changed() => changed.ok()?,
            () = self.hub.cx.stopping.cancelled() => return None,
        }
        let known = self.known.borrow_and_update().clone();
        Some(self.hub.status(&known, self.hub.cx.now()))
    }
}
