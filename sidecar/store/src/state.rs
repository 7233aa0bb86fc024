//! What a store knows about its log besides the events.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use tidelog_model::{
    ChainHash, Digest, HybridTime, Incarnation, Lineage, LocationName, Position, VectorTime,
    canonical,
};

use crate::batch::VoidedId;

/// One consistent snapshot of everything but the events, as the last committed batch left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// Incarnations of this location with their bases. Empty: the log was never served.
    pub lineage: Lineage,
    /// Last local sequence, 0 when empty.
    pub head: u64,
    /// Hash chain at the head.
    pub hash: ChainHash,
    /// Version vector: merge of the vector times of what is stored. Decides duplicates.
    pub version_vector: VectorTime,
    /// Covered vector: what is stored or was excluded by filters on the way. `covered_vector >= version_vector`.
    pub covered_vector: VectorTime,
    /// High water of the hybrid clock.
    pub clock: HybridTime,
    /// High water of `stored_at`, microseconds since the Unix epoch.
    pub stored_at_micros: i64,
    /// How far each source was taken over.
    pub progress: BTreeMap<LocationName, Progress>,
    /// Ids whose content was taken back by a late raise; never stored again.
    pub voided: Vec<VoidedId>,
    /// Edges paused by command.
    pub paused: BTreeSet<EdgeKey>,
    /// Whoever holds (or held) the writer's lease.
    pub lease: Option<StoredLease>,
}

impl LogState {
    /// The state of a log that was never served.
    pub fn empty() -> Self {
        Self {
            lineage: Lineage::default(),
            head: 0,
            hash: ChainHash::ZERO,
            version_vector: VectorTime::new(),
            covered_vector: VectorTime::new(),
            clock: HybridTime::default(),
            stored_at_micros: 0,
            progress: BTreeMap::new(),
            voided: Vec::new(),
            paused: BTreeSet::new(),
            lease: None,
        }
    }

    /// The incarnation in force, 0 before the first raise.
    pub fn incarnation(&self) -> Incarnation {
        self.lineage
            .current()
            .map_or(Incarnation(0), |e| e.incarnation)
    }
}

/// What protects head, hash and vectors where a store keeps them: no digest of an event covers them, and they decide what is taken for held.
pub fn head_sum(
    head: u64,
    hash: &ChainHash,
    version_vector: &VectorTime,
    covered_vector: &VectorTime,
) -> Digest {
    let version = canonical::encode_vector(version_vector);
    let length = (version.len() as u64).to_be_bytes();
    let covered = canonical::encode_vector(covered_vector);
    Digest::of(
        &[
            &head.to_be_bytes(),
            &hash.0[..],
            &length,
            &version,
            &covered,
        ]
        .concat(),
    )
}

/// How far one source was taken over: held is every event of its positions `1..=position` that the edge admits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Last position of the source's log that was covered.
    pub position: u64,
    /// The source's hash chain at that position.
    pub hash: ChainHash,
    /// The source's lineage when that was stored.
    pub lineage: Lineage,
}

/// One direction of a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeKey {
    /// Where events come from.
    pub source: LocationName,
    /// Where they go to.
    pub target: LocationName,
}

impl fmt::Display for EdgeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.source, self.target)
    }
}

/// A request for the writer's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who asks: host and process, for people.
    pub owner: String,
    /// Where clients can reach it, empty when nowhere.
    pub address: String,
    /// Random and never used twice: it fences every earlier writer.
    pub nonce: u64,
    /// How long it holds without being renewed, by the database's clock.
    pub ttl: Duration,
}

/// The lease as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLease {
    /// Who holds it.
    pub owner: String,
    /// Where clients can reach it.
    pub address: String,
    /// Its nonce.
    pub nonce: u64,
    /// Time left by the database's clock; zero when it has run out.
    pub remaining: Duration,
}

/// The answer to a request for the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// Granted; the state was read in the same transaction, after every earlier writer was fenced.
    Acquired(Box<LogState>),
    /// Somebody else holds it.
    Held(StoredLease),
}

/// Which running database this is. Two equal values mean: the same database, never restored, never restarted in between, so what
/// was committed is still there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceId {
    /// Identity of the data (PostgreSQL: system identifier).
    pub system: String,
    /// Branch of its history (PostgreSQL: timeline).
    pub timeline: String,
    /// When this instance of the server was started. `None` when the store has no server that outlives the process: then nothing is proven.
    pub started: Option<String>,
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            self.system,
            self.timeline,
            self.started.as_deref().unwrap_or("-")
        )
    }
}

/// A durable named reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// Everything up to and including has been acknowledged.
    pub position: Position,
    /// When that was stored, microseconds since the Unix epoch.
    pub updated_at_micros: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_a_head_depends_on_all_of_its_parts() {
        let (one, two): (VectorTime, VectorTime) =
            ("eu#1:1".parse().unwrap(), "eu#1:1,us#1:2".parse().unwrap());
        let sums = [
            head_sum(1, &ChainHash::ZERO, &one, &two),
            head_sum(2, &ChainHash::ZERO, &one, &two),
            head_sum(1, &ChainHash([1; 32]), &one, &two),
            head_sum(1, &ChainHash::ZERO, &two, &one),
            head_sum(1, &ChainHash::ZERO, &one, &one),
            head_sum(1, &ChainHash::ZERO, &two, &two),
            head_sum(1, &ChainHash::ZERO, &VectorTime::new(), &two),
        ];
        let different: BTreeSet<_> = sums.iter().map(|sum| sum.0).collect();
        assert_eq!(different.len(), sums.len());
    }
}
