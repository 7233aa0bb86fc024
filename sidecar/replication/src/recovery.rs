//! What comes back after a raise, and what a location then may count as covered.
//!
//! Lost own events return from peers by ordinary replication. Two things remain: entries of the own closed incarnations that only peers cover
//! (what filters kept back on the way, or what nobody has) are taken over once every peer was heard and every source was caught up with; and
//! a location with a filtered edge says that it may lack events for good, with the ids, because replication in the order of a
//! filtered log cannot bring everything back: what an incoming edge keeps back does not return, and what returns first may cover the rest.
//!
//! Best effort, on purpose: a peer that is heard late is not waited for twice, and an event that is still on its way between two peers when
//! both were heard may be counted as covered before it is here. Order and uniqueness do not depend on any of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidelog_core::{FrameOutcome, LogView, Work};
use tidelog_engine::{Ends, LogHandle};
use tidelog_model::{Incarnation, LocationName, Origin, VectorTime};
use tokio::sync::{Notify, watch};

use crate::context::Shared;
use crate::status::{Direction, EdgeId};

/// Ids of one origin, first and last inclusive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdRange {
    /// The origin.
    pub origin: Origin,
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}..={}", self.origin, self.first, self.last)
    }
}

/// How far recovery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveryState {
    /// There is no closed incarnation, and no peer knows of one: nothing was ever lost.
    #[default]
    NotNeeded,
    /// Peers are still to be heard, or to be caught up with.
    Running,
    /// What peers had is here.
    Recovered,
    /// Something may be lacking for good.
    Incomplete,
}

/// What is known about recovery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryStatus {
    /// How far it is.
    pub state: RecoveryState,
    /// One CamelCase word when it is not done: `PeersNotHeard`, `CatchingUp`, `FilteredEdges`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// What this location may have lost when it raised its incarnation: numbers that its own log had given out, as peers have heard of them. Not every
    /// number need be that of an own event, those of others are lost with them; nor need all of it be lacking: after a loss that was noticed late the
    /// range begins at the base of that incarnation, below which nothing can be lost. What has come back since stays listed: with a filtered
    /// edge nobody can tell whether all of it has.
    pub lost: Vec<IdRange>,
    /// Peers that were not heard, or not caught up with, since the writer began.
    pub waiting_for: Vec<LocationName>,
}

/// What was heard of peers since the writer began.
#[derive(Default)]
struct Heard {
    /// The life of the writer in which it was heard.
    epoch: u64,
    /// Peers whose vectors were heard, by edge.
    edges: BTreeSet<EdgeId>,
    caught_up: BTreeSet<EdgeId>,
    /// Entries of the own closed incarnations: what peers cover.
    covered: VectorTime,
    lost: BTreeMap<Origin, (u64, u64)>,
    taken_over: bool,
    /// The writer knows that recovery is over.
    told: bool,
}

/// Collects what peers say and carries recovery on.
pub(crate) struct Recovery {
    heard: Mutex<Heard>,
    moved: Notify,
    status: watch::Sender<RecoveryStatus>,
}

/// The edges of the settings, as far as recovery cares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Neighbours {
    pub(crate) edges: BTreeSet<EdgeId>,
    /// Whether something is filtered on one of them, or what is exported.
    pub(crate) is_filtered: bool,
}

impl Recovery {
    pub(crate) fn new() -> Self {
        Self {
            heard: Mutex::default(),
            moved: Notify::new(),
            status: watch::channel(RecoveryStatus::default()).0,
        }
    }

    pub(crate) fn status(&self) -> watch::Receiver<RecoveryStatus> {
        self.status.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was heard in the present life of the writer. What was heard in an earlier one is dropped here, and not when this module's task
    /// learns of the new life: by then a peer may have spoken already, and it speaks once.
    fn present(&self, log: &LogHandle) -> MutexGuard<'_, Heard> {
        let mut heard = self.lock();
        // Looked at under the lock, so that it never goes back.
        let epoch = *log.epoch().borrow();
        if heard.epoch != epoch {
            *heard = Heard {
                epoch,
                ..Heard::default()
            };
        }
        heard
    }

    /// A peer has said what it stores (`None`: it did not say) and covers. What it has read of the log here is stored as well, in the sense that
    /// it was there to be lost.
    pub(crate) fn heard(
        &self,
        cx: &Shared,
        edge: &EdgeId,
        stored: Option<&VectorTime>,
        covered: &VectorTime,
    ) {
        let mut heard = self.present(&cx.log);
        // Not older than the epoch: what is closed by now is counted as closed.
        let view = cx.log.reader().view();
        let mine = |vector: &VectorTime| closed_entries(vector, &view);
        let (stored, covered) = (mine(stored.unwrap_or(covered)), mine(covered));
        // A database that was emptied knows of no incarnation before its own; peers do.
        let is_whole = view.lineage.entries().len() < 2 && heard.lost.is_empty();
        if is_whole && stored.is_empty() && covered.is_empty() {
            return;
        }
        let mut news = heard.edges.insert(edge.clone());
        if !heard.covered.covers(&covered) {
            heard.covered.merge(&covered);
            heard.taken_over = false;
            news = true;
        }
        for (origin, last) in stored.iter() {
            // What was kept of an incarnation ends where the next one began, whatever has come back since.
            let kept = view.lineage.safe_until(origin.incarnation);
            if last > kept {
                let range = heard.lost.entry(origin.clone()).or_insert((kept + 1, last));
                news |= last > range.1;
                range.1 = range.1.max(last);
            }
        }
        drop(heard);
        if news {
            self.moved.notify_one();
        }
    }

    /// A source was caught up with.
    pub(crate) fn caught_up(&self, cx: &Shared, edge: &EdgeId) {
        let mut heard = self.present(&cx.log);
        if !heard.caught_up.contains(edge) {
            heard.caught_up.insert(edge.clone());
            drop(heard);
            self.moved.notify_one();
        }
    }

    /// Carries recovery on until the log ends.
    pub(crate) async fn run(&self, log: LogHandle, mut neighbours: watch::Receiver<Neighbours>) {
        let (mut epoch, mut status) = (log.epoch(), log.status());
        loop {
            let around = neighbours.borrow_and_update().clone();
            if log.serving() {
                self.step(&log, &around).await;
            }
            tokio::select! {
                () = self.moved.notified() => {},
                changed = neighbours.changed() => if changed.is_err() { return },
                // A location without peers is done as soon as it serves.
                changed = status.changed() => if changed.is_err() { return },
                changed = epoch.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // What was heard before belongs to another life of this log.
                    drop(self.present(&log));
                }
            }
        }
    }

    async fn step(&self, log: &LogHandle, around: &Neighbours) {
        let (epoch, view, waiting_for, take_over) = {
            let heard = self.present(log);
            let view = log.reader().view();
            let waiting_for: Vec<LocationName> = around
                .edges
                .iter()
                .filter(|edge| match edge.0 {
                    Direction::Incoming => !heard.caught_up.contains(*edge),
                    Direction::Outgoing => !heard.edges.contains(*edge),
                })
                .map(|(_, peer)| peer.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            let more = !view.covered_vector.covers(&heard.covered);
            let ready = waiting_for.is_empty() && more && !heard.taken_over;
            let take_over = ready.then(|| heard.covered.clone());
            (heard.epoch, view, waiting_for, take_over)
        };
        if let Some(vector) = take_over {
            tracing::info!(location = %view.location, entries = %vector, "taking over what peers cover of closed incarnations");
            let outcome = log.work(epoch, Work::TakeOver(vector)).await;
            let mut heard = self.lock();
            heard.taken_over |=
                heard.epoch == epoch && matches!(outcome, FrameOutcome::Applied { .. });
        }
        let status = self.judge(&view, around, waiting_for);
        if status.state == RecoveryState::Recovered {
            // Each life of the writer has to be told, also when this task has thought so for long.
            if self.tell(epoch) {
                log.recovered(epoch).await;
            }
            // Every peer was heard: what is not covered now is nowhere, and nobody needs to wait for it.
            log.set_ends(ends(&log.reader().view())).await;
        }
        self.status.send_if_modified(|held| {
            let changed = *held != status;
            *held = status;
            changed
        });
    }

    /// True once in each life of the writer.
    fn tell(&self, epoch: u64) -> bool {
        let mut heard = self.lock();
        heard.epoch == epoch && !std::mem::replace(&mut heard.told, true)
    }

    fn judge(
        &self,
        view: &LogView,
        around: &Neighbours,
        waiting_for: Vec<LocationName>,
    ) -> RecoveryStatus {
        let heard = self.lock();
        if view.lineage.entries().len() < 2 && heard.lost.is_empty() {
            return RecoveryStatus::default();
        }
        let lost: Vec<IdRange> = heard
            .lost
            .iter()
            .map(|(origin, (first, last))| IdRange {
                origin: origin.clone(),
                first: *first,
                last: *last,
            })
            .collect();
        let names = |names: &[LocationName]| {
            let names: Vec<&str> = names.iter().map(LocationName::as_str).collect();
            names.join(", ")
        };
        let (state, reason, message) = if !lost.is_empty() && around.is_filtered {
            let ranges: Vec<String> = lost.iter().map(ToString::to_string).collect();
            let message = format!(
                "{} were lost here, and events of others that were stored between them; an edge of this location is filtered, so not all of it may have come back",
                ranges.join(", ")
            );
            (RecoveryState::Incomplete, "FilteredEdges", message)
        } else if !waiting_for.is_empty() {
            let reason = if lost.is_empty() {
                "PeersNotHeard"
            } else {
                "CatchingUp"
            };
            let message = format!("waiting for {}", names(&waiting_for));
            (RecoveryState::Running, reason, message)
        } else {
            (RecoveryState::Recovered, "", String::new())
        };
        RecoveryStatus {
            state,
            reason,
            message,
            lost,
            waiting_for,
        }
    }
}

/// What is left of this location's incarnations before the one in force.
fn ends(view: &LogView) -> Ends {
    let current = view.current().incarnation;
    let closed = view.lineage.entries().iter().map(|e| e.incarnation);
    closed
        .filter(|incarnation| *incarnation < current)
        .map(|incarnation| Origin {
            location: view.location.clone(),
            incarnation,
        })
        .map(|origin| {
            let end = view.covered_vector.get(&origin);
            (origin, end)
        })
        .collect()
}

/// The entries of this location's incarnations before the one in force.
fn closed_entries(vector: &VectorTime, view: &LogView) -> VectorTime {
    let current: Incarnation = view.current().incarnation;
    vector.filtered(|origin| origin.location == view.location && origin.incarnation < current)
}
