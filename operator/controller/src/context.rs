//! What every visit may look at.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use kube::Client;
use kube::runtime::reflector::Store;
use tidelog_api::{EventLog, ReplicationLink};
use tidelog_manifest::LogManifest;

use crate::apply::Applied;
use crate::attending::Pulses;
use crate::certificates::Looks;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::motion::{Motion, Progress};
use crate::options::Options;
use crate::sidecars::{LogKey, Sidecars};

/// Until everything has been read.
pub(crate) const NOT_YET: Duration = Duration::from_millis(500);

/// An operator that has just begun has heard nobody yet; for so long it says nothing anew about what it would have to hear.
pub(crate) const LISTEN_FIRST: Duration = Duration::from_secs(10);

/// Shared by all visits.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) options: Options,
    pub(crate) logs: Store<EventLog>,
    pub(crate) links: Store<ReplicationLink>,
    pub(crate) sidecars: Sidecars,
    pub(crate) certificates: Looks,
    pub(crate) pulses: Pulses,
    pub(crate) metrics: Metrics,
    pub(crate) events: Events,
    begun: Instant,
    remembered: Mutex<Remembered>,
}

/// What spares writes; forgetting it costs one write each.
#[derive(Default)]
struct Remembered {
    /// What was applied last for an owner, and what the server made of it.
    applied: HashMap<String, HashMap<String, Applied>>,
    /// Generations of logs whose leftovers are gone, by uid.
    pruned: HashMap<String, i64>,
    /// When the status of a resource was written last, by uid.
    written: HashMap<String, Instant>,
    /// Visits in a row that failed, by uid.
    failures: HashMap<String, u32>,
    /// Edges that are behind.
    motion: Motion,
    /// Logs that this operator attends to, by uid, with the moment from which on it has listened to their pods; `None`: it stands by.
    attended: HashMap<String, Option<Instant>>,
    /// Locations whose writer this operator has heard, by uid of their log.
    heard: HashMap<String, HashSet<String>>,
}

impl Remembered {
    /// Whether the pods of a log may not all have been heard yet.
    fn is_listening(&self, log: &str, begun: Instant) -> bool {
        let since = self.attended.get(log).copied().flatten();
        since.unwrap_or(begun).elapsed() < LISTEN_FIRST
    }
}

impl Context {
    pub(crate) fn new(
        client: Client,
        options: Options,
        logs: Store<EventLog>,
        links: Store<ReplicationLink>,
        (sidecars, metrics): (Sidecars, Metrics),
    ) -> Self {
        Self {
            events: Events::new(client.clone()),
            client,
            options,
            logs,
            links,
            sidecars,
            certificates: Looks::default(),
            pulses: Pulses::default(),
            metrics,
            begun: Instant::now(),
            remembered: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this operator may not have heard of everybody yet.
    pub(crate) fn is_listening(&self, log: &str) -> bool {
        self.lock().is_listening(log, self.begun)
    }

    /// Remembers that a writer was heard. Whether it was heard now or may simply not have been heard yet: silence of one that was is news at once.
    pub(crate) fn may_be_told(&self, log: &str, location: &str, is_heard: bool) -> bool {
        let mut remembered = self.lock();
        let heard = remembered.heard.entry(log.to_owned()).or_default();
        if is_heard {
            heard.insert(location.to_owned());
        }
        heard.contains(location) || !remembered.is_listening(log, self.begun)
    }

    /// For how long an edge of a link has made no progress, with how far it is now if it runs and is behind.
    pub(crate) fn still(
        &self,
        link: &str,
        (source, target): (&str, &str),
        behind: Option<Progress>,
    ) -> Duration {
        let edge = (link.to_owned(), source.to_owned(), target.to_owned());
        self.lock().motion.still(edge, behind, Instant::now())
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

    /// Whether this operator attends to a log, or stands by; `None`: it has not visited that yet.
    pub(crate) fn attends_to(&self, log: &EventLog) -> Option<bool> {
        let uid = log.metadata.uid.as_ref()?;
        self.lock().attended.get(uid).map(Option::is_some)
    }

    /// It does. What somebody else has told of a log was heard by that one: this one has to listen first.
    pub(crate) fn attend(&self, uid: &str, is_told: bool) {
        let since = if is_told { Instant::now() } else { self.begun };
        let mut remembered = self.lock();
        let attended = remembered.attended.entry(uid.to_owned()).or_default();
        attended.get_or_insert(since);
    }

    /// It stands by. True when that is news.
    pub(crate) fn stand_by(&self, uid: &str) -> bool {
        let mut remembered = self.lock();
        remembered.heard.remove(uid);
        remembered.attended.insert(uid.to_owned(), None) != Some(None)
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

    /// Whether all logs and links have been read: before that, what is not known may be there.
    pub(crate) fn knows_everything(&self) -> bool {
        let (logs, links) = (self.logs.wait_until_ready(), self.links.wait_until_ready());
        logs.now_or_never().is_some() && links.now_or_never().is_some()
    }

    pub(crate) fn applied(&self, owner: &str, key: &str) -> Option<Applied> {
        self.lock().applied.get(owner)?.get(key).cloned()
    }

    pub(crate) fn set_applied(&self, owner: &str, key: String, applied: Applied) {
        let mut remembered = self.lock();
        let of_owner = remembered.applied.entry(owner.to_owned()).or_default();
        of_owner.insert(key, applied);
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

    /// Forgets everything about resources that are gone.
    pub(crate) fn tidy(&self) {
        if !self.knows_everything() {
            return;
        }
        let (logs, links) = (self.logs.state(), self.links.state());
        let uids: HashSet<&str> = logs
            .iter()
            .filter_map(|log| log.metadata.uid.as_deref())
            .chain(links.iter().filter_map(|link| link.metadata.uid.as_deref()))
            .collect();
        let mut remembered = self.lock();
        remembered
            .applied
            .retain(|uid, _| uids.contains(uid.as_str()));
        remembered
            .pruned
            .retain(|uid, _| uids.contains(uid.as_str()));
        remembered
            .written
            .retain(|uid, _| uids.contains(uid.as_str()));
        remembered
            .failures
            .retain(|uid, _| uids.contains(uid.as_str()));
        remembered
            .heard
            .retain(|uid, _| uids.contains(uid.as_str()));
        remembered
            .attended
            .retain(|uid, _| uids.contains(uid.as_str()));
        remembered.motion.retain(|uid| uids.contains(uid));
        drop(remembered);
        self.certificates.retain(|uid| uids.contains(uid));
        let keys: HashSet<LogKey> = logs.iter().map(|log| Self::key_of(log)).collect();
        self.sidecars.forget_all_but(&keys);
        self.metrics.heard(self.sidecars.count_heard());
    }
}
