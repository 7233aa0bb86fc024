//! What every visit may look at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kube::Client;
use kube::runtime::reflector::Store;
use tidelog_api::{EventLog, ReplicationLink};
use tidelog_manifest::LogManifest;

use crate::apply::Applied;
use crate::options::Options;
use crate::sidecars::{LogKey, Sidecars};

/// Shared by all visits.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) options: Options,
    pub(crate) logs: Store<EventLog>,
    pub(crate) links: Store<ReplicationLink>,
    pub(crate) sidecars: Sidecars,
    remembered: Mutex<Remembered>,
}

/// What spares writes; forgetting it costs one write each.
#[derive(Default)]
struct Remembered {
    /// What was applied last, and what the server made of it.
    applied: HashMap<String, Applied>,
    /// Generations of logs whose leftovers are gone, by uid.
    pruned: HashMap<String, i64>,
    /// When the status of a resource was written last, by uid.
    written: HashMap<String, Instant>,
    /// Visits in a row that failed, by uid.
    failures: HashMap<String, u32>,
}

impl Context {
    pub(crate) fn new(
        client: Client,
        options: Options,
        logs: Store<EventLog>,
        links: Store<ReplicationLink>,
        sidecars: Sidecars,
    ) -> Self {
        Self {
            client,
            options,
            logs,
            links,
            sidecars,
            remembered: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A log with its links, as they are known now.
    pub(crate) fn manifest(&self, log: &EventLog) -> LogManifest {
        let is_mine = |link: &Arc<ReplicationLink>| {
            link.metadata.namespace == log.metadata.namespace
                && link.metadata.deletion_timestamp.is_none()
                && Some(&link.spec.event_log_ref.name) == log.metadata.name.as_ref()
        };
        let links = self.links.state().into_iter().filter(is_mine);
        LogManifest::of(log.clone(), links.map(|link| (*link).clone()).collect())
    }

    /// Which log it is.
    pub(crate) fn key_of(log: &EventLog) -> LogKey {
        LogKey {
            namespace: log.metadata.namespace.clone().unwrap_or_default(),
            name: log.metadata.name.clone().unwrap_or_default(),
        }
    }

    /// The log of a link.
    pub(crate) fn log_of(&self, link: &ReplicationLink) -> Option<Arc<EventLog>> {
        self.logs.find(|log| {
            log.metadata.namespace == link.metadata.namespace
                && log.metadata.deletion_timestamp.is_none()
                && log.metadata.name.as_ref() == Some(&link.spec.event_log_ref.name)
        })
    }

    pub(crate) fn applied(&self, key: &str) -> Option<Applied> {
        self.lock().applied.get(key).cloned()
    }

    pub(crate) fn set_applied(&self, key: String, applied: Applied) {
        self.lock().applied.insert(key, applied);
    }

    /// True once for each generation of a log.
    pub(crate) fn is_to_be_pruned(&self, uid: &str, generation: i64) -> bool {
        self.lock().pruned.get(uid) != Some(&generation)
    }

    pub(crate) fn set_pruned(&self, uid: &str, generation: i64) {
        self.lock().pruned.insert(uid.to_owned(), generation);
    }

    pub(crate) fn written_at(&self, uid: &str) -> Option<Instant> {
        self.lock().written.get(uid).copied()
    }

    pub(crate) fn set_written(&self, uid: &str) {
        self.lock().written.insert(uid.to_owned(), Instant::now());
    }

    /// Counts a visit that failed; how many in a row.
    pub(crate) fn failed(&self, uid: &str) -> u32 {
        let mut remembered = self.lock();
        let failures = remembered.failures.entry(uid.to_owned()).or_default();
        *failures += 1;
        *failures
    }

    pub(crate) fn succeeded(&self, uid: &str) {
        self.lock().failures.remove(uid);
    }

    /// A resource is gone, and everything that was remembered of it.
    pub(crate) fn forget(&self, uid: &str, prefix: &str) {
        let mut remembered = self.lock();
        remembered.pruned.remove(uid);
        remembered.written.remove(uid);
        remembered.failures.remove(uid);
        remembered.applied.retain(|key, _| !key.starts_with(prefix));
    }
}
