//! What the memory store holds. Every method is one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tidelog_model::{
    ChainHash, EventId, HybridTime, Lineage, LocationName, StoredEvent, VectorTime, mutant,
};

use crate::batch::{Fence, Guard, Raise, VoidedId, WriteBatch};
use crate::error::{AlteredEvent, CommitError, StoreError};
use crate::query::{
    CauseKey, CheckAnswers, CheckQuery, ConditionQuery, IdRow, Page, ReadQuery, RequestRetention,
};
use crate::state::{Consumer, EdgeKey, Lease, LeaseOutcome, LogState, Progress, StoredLease};

#[derive(Debug, Clone)]
struct HeldLease {
    owner: String,
    address: String,
    nonce: u64,
    expires_micros: i64,
}

/// `log[n - 1]` is the event with sequence `n`; the indexes hold sequences in rising order.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    lineage: Lineage,
    hash: ChainHash,
    version_vector: VectorTime,
    covered_vector: VectorTime,
    clock: HybridTime,
    stored_at_micros: i64,
    progress: BTreeMap<LocationName, Progress>,
    voided: Vec<VoidedId>,
    paused: BTreeSet<EdgeKey>,
    lease: Option<HeldLease>,
    log: Vec<StoredEvent>,
    checkpoints: BTreeMap<u64, ChainHash>,
    by_id: HashMap<EventId, u64>,
    by_key: HashMap<String, Vec<u64>>,
    by_cause: HashMap<CauseKey, Vec<u64>>,
    /// The lowest sequence by request id and index, and the same by sequence.
    requests: HashMap<Arc<str>, BTreeMap<u32, u64>>,
    requests_by_sequence: BTreeMap<u64, Arc<str>>,
    pub(super) consumers: BTreeMap<String, Consumer>,
}

impl Contents {
    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn at(&self, sequence: u64) -> &StoredEvent {
        &self.log[sequence as usize - 1]
    }

    pub(super) fn state(&self, now: i64) -> LogState {
        LogState {
            lineage: self.lineage.clone(),
            head: self.head(),
            hash: self.hash,
            version_vector: self.version_vector.clone(),
            covered_vector: self.covered_vector.clone(),
            clock: self.clock,
            stored_at_micros: self.stored_at_micros,
            progress: self.progress.clone(),
            voided: self.voided.clone(),
            paused: self.paused.clone(),
            lease: self.lease.as_ref().map(|held| held.as_stored(now)),
        }
    }

    pub(super) fn acquire_lease(&mut self, lease: &Lease, now: i64) -> LeaseOutcome {
        if let Some(held) = &self.lease
            && held.owner != lease.owner
            && held.expires_micros > now
            && !mutant!("memory-lease-taken-while-held")
        {
            return LeaseOutcome::Held(held.as_stored(now));
        }
        self.lease = Some(HeldLease {
            owner: lease.owner.clone(),
            address: lease.address.clone(),
            nonce: lease.nonce,
            expires_micros: after(now, lease.ttl),
        });
        LeaseOutcome::Acquired(Box::new(self.state(now)))
    }

    pub(super) fn renew_lease(&mut self, lease: &Lease, now: i64) -> bool {
        match &mut self.lease {
            Some(held) if held.nonce == lease.nonce => {
                held.expires_micros = after(now, lease.ttl);
                true
            }
            _ => false,
        }
    }

    pub(super) fn release_lease(&mut self, nonce: u64, now: i64) {
        if let Some(held) = &mut self.lease
            && held.nonce == nonce
        {
            held.expires_micros = now;
        }
    }

    fn holds(&self, fence: &Fence) -> bool {
        let incarnation = self.lineage.current().map(|e| e.incarnation);
        (incarnation.unwrap_or_default() == fence.incarnation
            || mutant!("memory-guard-without-incarnation"))
            && self
                .lease
                .as_ref()
                .is_some_and(|l| l.nonce == fence.nonce || mutant!("memory-guard-without-nonce"))
    }

    fn check_guard(&self, guard: &Guard) -> Result<(), CommitError> {
        let same_head = self.head() == guard.head || mutant!("memory-guard-without-head");
        let held = self.holds(&guard.fence()) && same_head;
        held.then_some(()).ok_or(CommitError::Fenced)
    }

    pub(super) fn put_consumer(&mut self, fence: &Fence, consumer: &Consumer) -> bool {
        let held = self.holds(fence);
        if held {
            self.consumers
                .insert(consumer.name.clone(), consumer.clone());
        }
        held
    }

    pub(super) fn commit(&mut self, batch: &WriteBatch) -> Result<(), CommitError> {
        batch.check_numbering()?;
        self.check_guard(&batch.guard)?;
        self.check_identities(self.head(), &batch.events)?;
        self.add(&batch.events, batch.hash);
        self.version_vector = batch.version_vector.clone();
        self.covered_vector = batch.covered_vector.clone();
        self.clock = batch.clock;
        self.stored_at_micros = batch.stored_at_micros;
        if let Some((source, progress)) = &batch.progress {
            self.progress.insert(source.clone(), progress.clone());
        }
        Ok(())
    }

    pub(super) fn raise(&mut self, raise: &Raise) -> Result<(), CommitError> {
        raise.check_numbering()?;
        self.check_guard(&raise.guard)?;
        let mut lineage = self.lineage.clone();
        if lineage.push(raise.entry).is_err() {
            return Err(raise.does_not_rise(raise.guard.incarnation).into());
        }
        if let Some(rewrite) = &raise.rewrite {
            self.check_identities(rewrite.after, &rewrite.events)?;
            self.cut(rewrite.after);
            self.add(&rewrite.events, rewrite.hash);
            self.hash = rewrite.hash;
            self.version_vector = rewrite.version_vector.clone();
            self.covered_vector = rewrite.covered_vector.clone();
            for progress in self.progress.values_mut() {
                if mutant!("memory-rewrite-keeps-progress") {
                    break;
                }
                progress.position = 0;
                progress.hash = ChainHash::ZERO;
            }
            for voided in &rewrite.voided {
                if !self.voided.contains(voided) {
                    self.voided.push(voided.clone());
                }
            }
            if let Some(last) = rewrite.events.last() {
                self.stored_at_micros = self.stored_at_micros.max(last.stored_at_micros);
            }
        }
        self.lineage = lineage;
        Ok(())
    }

    /// No id may be stored at or below `base` or occur twice among the new events.
    fn check_identities(&self, base: u64, events: &[StoredEvent]) -> Result<(), CommitError> {
        let mut fresh = HashSet::with_capacity(events.len());
        for event in events {
            let id = &event.event.id;
            let held = self.by_id.get(id).is_some_and(|at| *at <= base) || !fresh.insert(id);
            if held && !mutant!("memory-stores-an-id-twice") {
                return Err(CommitError::DuplicateIdentity);
            }
        }
        Ok(())
    }

    fn add(&mut self, events: &[StoredEvent], hash: ChainHash) {
        for stored in events {
            let sequence = stored.sequence;
            let event = &stored.event;
            self.by_id.insert(event.id.clone(), sequence);
            for key in keys_of(stored) {
                self.by_key
                    .entry(key.to_owned())
                    .or_default()
                    .push(sequence);
            }
            if let Some(cause) = cause_of(stored) {
                self.by_cause.entry(cause).or_default().push(sequence);
            }
            if !event.request_id.is_empty() {
                let id: Arc<str> = Arc::from(event.request_id.as_str());
                let held = self.requests.entry(Arc::clone(&id)).or_default();
                if let std::collections::btree_map::Entry::Vacant(free) =
                    held.entry(event.request_index)
                {
                    free.insert(sequence);
                    self.requests_by_sequence.insert(sequence, id);
                }
            }
            self.log.push(stored.clone());
        }
        if !events.is_empty() {
            self.checkpoints.insert(self.head(), hash);
            self.hash = hash;
        }
    }

    /// Forgets everything above a base.
    fn cut(&mut self, base: u64) {
        self.log.truncate(base as usize);
        self.checkpoints.split_off(&(base + 1));
        self.by_id.retain(|_, at| *at <= base);
        let keep = |sequences: &mut Vec<u64>| {
            sequences.truncate(sequences.partition_point(|s| *s <= base));
            !sequences.is_empty()
        };
        self.by_key.retain(|_, sequences| keep(sequences));
        self.by_cause.retain(|_, sequences| keep(sequences));
        for (sequence, id) in self.requests_by_sequence.split_off(&(base + 1)) {
            self.forget_request(&id, sequence);
        }
    }

    fn forget_request(&mut self, id: &Arc<str>, sequence: u64) {
        if let Some(held) = self.requests.get_mut(id) {
            held.retain(|_, at| *at != sequence);
            if held.is_empty() {
                self.requests.remove(id);
            }
        }
    }

    pub(super) fn read(&self, query: &ReadQuery) -> Result<Page, StoreError> {
        let scan_max = query.scan_max.max(1) as u64;
        let end = query
            .to
            .min(self.head())
            .min(query.after.saturating_add(scan_max));
        let mut page = Page {
            events: Vec::new(),
            scanned_to: query.after,
        };
        let mut bytes = 0usize;
        for sequence in query.after.saturating_add(1)..=end {
            let stored = self.at(sequence);
            if query.selector.matches(&stored.event) {
                let size = stored.event.payload.len();
                bytes = bytes.saturating_add(size);
                if !page.events.is_empty() && bytes > query.bytes_max {
                    return Ok(page);
                }
                page.events.push(sound(stored)?);
                if page.events.len() >= query.events_max {
                    page.scanned_to = sequence;
                    return Ok(page);
                }
            }
            page.scanned_to = sequence;
        }
        Ok(page)
    }

    pub(super) fn check(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError> {
        let requests = query.requests.iter().map(|id| {
            let held = self.requests.get(id.as_str()).into_iter().flatten();
            held.map(|(_, at)| sound(self.at(*at))).collect()
        });
        let causes = query.causes.iter().map(|cause| {
            let first = self.by_cause.get(cause).and_then(|found| found.first());
            first.map(|at| sound(self.at(*at))).transpose()
        });
        Ok(CheckAnswers {
            requests: requests.collect::<Result<_, StoreError>>()?,
            causes: causes.collect::<Result<_, StoreError>>()?,
            conditions: query.conditions.iter().map(|c| self.highest(c)).collect(),
        })
    }

    fn highest(&self, condition: &ConditionQuery) -> Option<u64> {
        let types = &condition.types;
        let matches = |sequence: &&u64| {
            types.is_empty() || types.contains(&self.at(**sequence).event.event_type)
        };
        condition
            .keys
            .iter()
            .filter_map(|key| self.by_key.get(key))
            .filter_map(|found| found.iter().rev().find(matches))
            .max()
            .copied()
            .filter(|highest| *highest > condition.after)
    }

    fn row(&self, sequence: u64) -> IdRow {
        let stored = self.at(sequence);
        IdRow {
            sequence,
            id: stored.event.id.clone(),
            digest: stored.digest,
        }
    }

    pub(super) fn ids(&self, after: u64, limit: usize) -> Vec<IdRow> {
        let end = self.head().min(after.saturating_add(limit as u64));
        (after.saturating_add(1)..=end)
            .map(|n| self.row(n))
            .collect()
    }

    pub(super) fn find(&self, ids: &[EventId]) -> Vec<Option<IdRow>> {
        ids.iter()
            .map(|id| self.by_id.get(id).map(|at| self.row(*at)))
            .collect()
    }

    pub(super) fn checkpoint(&self, sequence: u64) -> (u64, ChainHash) {
        let last = self.checkpoints.range(..=sequence).next_back();
        last.map_or((0, ChainHash::ZERO), |(at, hash)| (*at, *hash))
    }

    pub(super) fn position_before(&self, stored_at_micros: i64) -> u64 {
        self.log
            .partition_point(|e| e.stored_at_micros < stored_at_micros) as u64
    }

    pub(super) fn prune_requests(&mut self, now: i64, retention: RequestRetention) -> u64 {
        let keep = i64::try_from(retention.keep.as_micros()).unwrap_or(i64::MAX);
        let oldest_kept = now.saturating_sub(keep);
        let newest_first = self.requests_by_sequence.iter().rev();
        let mut doomed: Vec<u64> = Vec::new();
        let mut surviving: HashSet<Arc<str>> = HashSet::new();
        for (rank, (sequence, id)) in (1u64..).zip(newest_first) {
            let too_old = self.at(*sequence).stored_at_micros <= oldest_kept;
            let keep = rank <= retention.newest_max && (rank <= retention.newest_min || !too_old);
            if keep {
                surviving.insert(Arc::clone(id));
            } else if !surviving.contains(id) {
                doomed.push(*sequence);
            }
        }
        for sequence in &doomed {
            if let Some(id) = self.requests_by_sequence.remove(sequence) {
                self.forget_request(&id, *sequence);
            }
        }
        doomed.len() as u64
    }

    pub(super) fn set_paused(&mut self, edge: &EdgeKey, paused: bool) {
        if paused {
            self.paused.insert(edge.clone());
        } else {
            self.paused.remove(edge);
        }
    }
}

impl HeldLease {
    fn as_stored(&self, now: i64) -> StoredLease {
        let micros = self.expires_micros.saturating_sub(now).max(0);
        StoredLease {
            owner: self.owner.clone(),
            address: self.address.clone(),
            nonce: self.nonce,
            remaining: Duration::from_micros(micros.unsigned_abs()),
        }
    }
}

fn after(now: i64, ttl: Duration) -> i64 {
    now.saturating_add(i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX))
}

/// The aggregate and the destinations, each once.
fn keys_of(stored: &StoredEvent) -> BTreeSet<&str> {
    let destinations = stored.event.destinations.iter().map(String::as_str);
    destinations
        .chain([stored.event.aggregate_id.as_str()])
        .collect()
}

fn cause_of(stored: &StoredEvent) -> Option<CauseKey> {
    let event = &stored.event;
    event.caused_by.clone().map(|cause| CauseKey {
        emitter_id: event.emitter_id.clone(),
        cause,
    })
}

/// An event that may be given back: its content still has its digest.
fn sound(stored: &StoredEvent) -> Result<StoredEvent, StoreError> {
    AlteredEvent::check(stored.sequence, &stored.event, stored.digest)?;
    Ok(stored.clone())
}
