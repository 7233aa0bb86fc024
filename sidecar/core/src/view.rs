//! What the outside may know of a log: one immutable snapshot per commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_model::{
    ChainHash, Incarnation, Lineage, LineageEntry, LocationName, Origin, VectorTime,
};
use tidelog_store::{Fence, LogState, Progress, VoidedId};

/// A log as its writer last committed it. Readers, sources and targets never look beyond `head`, whatever the database already
/// shows: what a commit of unknown outcome left behind is nobody's to see until the writer has resolved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogView {
    /// This location.
    pub location: LocationName,
    /// Its incarnations.
    pub lineage: Arc<Lineage>,
    /// Last local sequence.
    pub head: u64,
    /// Hash chain at the head.
    pub hash: ChainHash,
    /// Version vector at the head.
    pub version_vector: Arc<VectorTime>,
    /// Covered vector at the head, from the same transaction.
    pub covered_vector: Arc<VectorTime>,
    /// `stored_at` of the last batch, microseconds since the Unix epoch.
    pub stored_at_micros: i64,
    /// How far each source was taken over.
    pub progress: Arc<BTreeMap<LocationName, Progress>>,
    /// Ids whose content was taken back.
    pub voided: Arc<Vec<VoidedId>>,
    /// The nonce under which it was written (0 when nobody has ever held the lease).
    pub nonce: u64,
}

impl LogView {
    /// The view of a stored state.
    pub fn of(location: LocationName, state: &LogState) -> Self {
        Self {
            location,
            lineage: Arc::new(state.lineage.clone()),
            head: state.head,
            hash: state.hash,
            version_vector: Arc::new(state.version_vector.clone()),
            covered_vector: Arc::new(state.covered_vector.clone()),
            stored_at_micros: state.stored_at_micros,
            progress: Arc::new(state.progress.clone()),
            voided: Arc::new(state.voided.clone()),
            nonce: state.lease.as_ref().map_or(0, |lease| lease.nonce),
        }
    }

    /// What is stored by what this view shows counts as long as this fence holds.
    pub fn fence(&self) -> Fence {
        Fence {
            incarnation: self.current().incarnation,
            nonce: self.nonce,
        }
    }

    /// The incarnation in force with its base (0 with base 0 before the first raise).
    pub fn current(&self) -> LineageEntry {
        self.lineage.current().unwrap_or(LineageEntry {
            incarnation: Incarnation(0),
            base: 0,
        })
    }

    /// The origin of what is appended here now.
    pub fn origin(&self) -> Origin {
        Origin::new(self.location.clone(), self.current().incarnation)
    }
}
