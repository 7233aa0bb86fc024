//! What a log needs to run.

use std::sync::Arc;
use std::time::Duration;

use tidelog_core::{Stamp, WriterLimits};
use tidelog_model::LocationName;
use tidelog_store::{LogStore, RequestRetention};

use crate::publish::ReaderOptions;
use crate::witness::WitnessKeeper;

/// Random numbers, for nonces. Never the same value twice with any practical likelihood.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Everything a log is started with.
#[derive(Clone)]
pub struct LogOptions {
    /// Name of the log.
    pub log: String,
    /// This location.
    pub location: LocationName,
    /// Where it is kept.
    pub store: Arc<dyn LogStore>,
    /// What is known about it outside of the store.
    pub witness: Arc<dyn WitnessKeeper>,
    /// What is stamped on every event.
    pub stamp: Stamp,
    /// Bounds of queue and batch.
    pub limits: WriterLimits,
    /// Limits of reading; its clock is the clock of the log.
    pub reader: ReaderOptions,
    /// Who asks for the lease, for people: host and process.
    pub owner: String,
    /// Where clients reach this process, empty when nowhere.
    pub address: String,
    /// How long the lease holds without being renewed.
    pub lease_ttl: Duration,
    /// After a raise, requests that need the table of earlier requests wait at most so long for lost events to come back.
    pub recovering_max: Duration,
    /// How long request ids are remembered.
    pub retention: RequestRetention,
    /// Random numbers.
    pub random: Random,
}
