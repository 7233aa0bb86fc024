//! Is everything still there? If it cannot be shown: a new incarnation, and what was appended in doubt is taken back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tidelog_core::{
    FrameEvent, Identity, LogCore, Recall, StartDecision, decide_start, next_incarnation,
    plan_late_raise, proven_until,
};
use tidelog_model::{Incarnation, LineageEntry, Selector, VectorTime, mutant};
use tidelog_store::{InstanceId, LogState, Raise, ReadQuery, StoreError};
use tokio::time::Instant;

use super::{StartError, Supervisor};
use crate::witness::Recorded;

/// A number drawn from the clock is at most this far ahead of it; one farther ahead follows another one that is known.
const DRAWN_AHEAD: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Another writer may have raised late, and written anew what was proven here.
    async fn check_proven(&mut self) -> Result<(), StoreError> {
        if let Some((proven, _)) = &self.proven {
            let found = self.options.store.hash_at(proven.sequence).await?;
            if found.is_some_and(|hash| hash != proven.hash) {
                self.proven = None;
            }
        }
        Ok(())
    }

    pub(super) async fn prove_or_raise(
        &mut self,
        nonce: u64,
        state: LogState,
        instance: &InstanceId,
    ) -> Result<(LogState, bool), StartError> {
        let store = self.options.store.clone();
        let witness = self.options.witness.load()?;
        let known = witness.as_ref().map_or(Incarnation(0), |w| w.incarnation);
        self.check_proven().await?;
        let (memory, loss) = (self.legacy.memory, self.legacy.loss.clone());
        if let Some(loss) = &loss {
            if self.lacks(&state, loss).await? {
                return Ok((self.raise_late(nonce, state, known, loss).await?, true));
            }
            tracing::info!(log = %self.options.log, location = %self.options.location, event = %loss.event.id, "what seemed lost is here: another writer had written it");
        }
        let hash_at = match memory.position() {
            Some(position) => store.hash_at(position).await?,
            None => None,
        };
        let served = self.status.borrow().incarnation;
        match memory.recall(&state, served, hash_at, witness.as_ref()) {
            Recall::Nothing => {}
            Recall::Unchanged => return Ok((state, false)),
            Recall::Lost(reason) => {
                let entry = LineageEntry {
                    incarnation: self.above(known.max(state.incarnation()).max(served)),
                    base: state.head,
                };
                let state = self.raise(nonce, &state, entry, None, &reason, witness.is_some());
                return Ok((state.await?, true));
            }
        }
        let witnessed = witness
            .as_ref()
            .and_then(|w| w.committed)
            .map(|h| h.sequence);
        let hash_at_witnessed = match witnessed {
            Some(sequence) if sequence <= state.head => store.hash_at(sequence).await?,
            _ => None,
        };
        match decide_start(
            &state,
            witness.as_ref(),
            instance,
            hash_at_witnessed,
            self.now(),
        ) {
            StartDecision::Continue(proof) => {
                tracing::info!(log = %self.options.log, location = %self.options.location, ?proof, head = state.head, "continues");
                Ok((state, false))
            }
            StartDecision::First(entry) => {
                let witness = self.options.witness.clone();
                if self.keeping_the_lease(nonce, witness.is_new()).await? {
                    let state = self
                        .raise(nonce, &state, entry, None, "the first start", true)
                        .await?;
                    return Ok((state, false));
                }
                let entry = LineageEntry {
                    incarnation: self.above(known),
                    base: state.head,
                };
                let reason = "the database is empty, and nobody could tell whether this location has existed before";
                let state = self.raise(nonce, &state, entry, None, reason, false);
                Ok((state.await?, true))
            }
            StartDecision::Raise {
                mut entry, reason, ..
            } => {
                entry.incarnation = entry.incarnation.max(self.above(known));
                let witnessed = witness.is_some();
                let state = self.raise(nonce, &state, entry, None, &reason, witnessed);
                Ok((state.await?, true))
            }
        }
    }

    /// An incarnation above every known one, those that peers have named included.
    fn above(&self, known: Incarnation) -> Incarnation {
        let now = self.now();
        let named = self.named.load(Ordering::Relaxed);
        // Incarnations are close to the time of their raise. What lies far beyond it would leave no room for those to come.
        let day = i64::from(named) * 1_000_000 - now <= 86_400_000_000;
        let named = if day && !mutant!("named-incarnations-forgotten") {
            named
        } else {
            0
        };
        next_incarnation(known.max(Incarnation(named)), now)
    }

    /// How long until no other start can draw this number from the clock.
    fn until(&self, incarnation: Incarnation) -> Duration {
        let wait = i64::from(incarnation.0) * 1_000_000 - self.now();
        Duration::from_micros(wait.max(0).unsigned_abs())
    }

    /// Whether an event that was taken for the proof of a loss proves it still: another writer may have been the one who wrote it, or may have
    /// raised meanwhile.
    async fn lacks(&self, state: &LogState, event: &FrameEvent) -> Result<bool, StoreError> {
        let id = &event.event.id;
        if id.origin.incarnation < state.incarnation() {
            return Ok(false);
        }
        let rows = self.options.store.find(std::slice::from_ref(id)).await?;
        let held = rows.into_iter().flatten().next();
        Ok(held.is_none_or(|row| row.digest != event.digest) && !mutant!("no-late-raise"))
    }

    /// The witness does not know who is about to serve, and may hold what an earlier writer left at its clean stop: a copy of the database from then
    /// would be taken for complete, and so would the memory of a writer that stood still. In an incarnation of its own this one writes nothing that
    /// either of them could write.
    pub(super) async fn raise_unrecorded(
        &mut self,
        nonce: u64,
        state: &LogState,
    ) -> Result<LogState, StartError> {
        let entry = LineageEntry {
            incarnation: self.above(state.incarnation()),
            base: state.head,
        };
        let reason = "nobody has confirmed that the witness knows of this start";
        self.raise(nonce, state, entry, None, reason, false).await
    }

    /// Fixes a new incarnation at the witness, then in the database; a late one the other way round.
    async fn raise(
        &mut self,
        nonce: u64,
        state: &LogState,
        entry: LineageEntry,
        late: Option<Raise>,
        reason: &str,
        witnessed: bool,
    ) -> Result<LogState, StartError> {
        let pause = self.back_off();
        self.keeping_the_lease(nonce, tokio::time::sleep(pause))
            .await?;
        self.publisher.suspend();
        // What proves a loss is forgotten with this process. A witness that knew of the new incarnation would make the next one raise without
        // taking anything back: a late raise only makes sure that the number was drawn by what is recorded now.
        let is_late = late.is_some();
        let witness = self.options.witness.clone();
        let mut recorded = Recorded::Yes;
        if !mutant!("raise-unknown-to-the-witness") {
            let fixed = if is_late {
                state.incarnation()
            } else {
                entry.incarnation
            };
            let telling = witness.raise(fixed);
            recorded = self.keeping_the_lease(nonce, telling).await??;
        }
        let guard = tidelog_store::Guard {
            incarnation: state.incarnation(),
            nonce,
            head: state.head,
        };
        let raise = late.unwrap_or(Raise {
            guard,
            entry,
            rewrite: None,
        });
        // A witness may be lost within the second in which a number was drawn from the clock. A late raise appends at once.
        let wait = self.until(entry.incarnation);
        if wait <= DRAWN_AHEAD && !mutant!("raise-in-the-second-it-was-drawn") {
            self.keeping_the_lease(nonce, tokio::time::sleep(wait))
                .await?;
        }
        self.options.store.raise(&raise).await?;
        if is_late {
            let telling = witness.raise(entry.incarnation);
            recorded = self.keeping_the_lease(nonce, telling).await??;
        }
        if !witnessed || recorded == Recorded::NotYet {
            // Nothing outside of the database has fixed the number: wait until no second start can draw it.
            let wait = tokio::time::sleep(self.until(entry.incarnation));
            self.keeping_the_lease(nonce, wait).await?;
        }
        if entry.base == 0 && entry.incarnation == Incarnation(1) {
            tracing::info!(log = %self.options.log, location = %self.options.location, "first start of this location");
        } else {
            tracing::warn!(
                log = %self.options.log, location = %self.options.location,
                incarnation = entry.incarnation.0, base = entry.base, reason, "raised the incarnation"
            );
        }
        self.status
            .send_modify(|s| s.raised = Some((entry, reason.to_owned())));
        Ok(self.options.store.state().await?)
    }

    /// A loss noticed late: what was appended above the last proven position is taken back and appended again.
    async fn raise_late(
        &mut self,
        nonce: u64,
        state: LogState,
        known: Incarnation,
        loss: &FrameEvent,
    ) -> Result<LogState, StartError> {
        let id = &loss.event.id;
        let known = known.max(state.incarnation()).max(id.origin.incarnation);
        let incarnation = self.above(known);
        let started = self.proven.as_ref().map(|(head, _)| head.sequence);
        let proven = proven_until(&state, started, id);
        let store = self.options.store.clone();
        let hash = store.hash_at(proven).await?.unwrap_or_default();
        let vector = self.vector_at(proven).await?;
        let above = self.rows_above(proven, state.head).await?;
        let identity = Identity {
            location: self.options.location.clone(),
            nonce,
        };
        let core = LogCore::new(identity, &state);
        let raise = plan_late_raise(&core, incarnation, proven, &above, vector, hash);
        let reason = format!("{id} came back from a peer and is not in this log");
        let state = self
            .raise(nonce, &state, raise.entry, Some(raise), &reason, true)
            .await?;
        self.proven = None;
        Ok(state)
    }

    /// The version vector as it was at a position: known where continuity was last proven, otherwise merged anew.
    async fn vector_at(&self, position: u64) -> Result<VectorTime, StoreError> {
        if let Some((head, vector)) = &self.proven
            && head.sequence == position
        {
            return Ok(vector.clone());
        }
        let mut vector = VectorTime::new();
        let mut at = 0;
        while at < position {
            let page = self.page(at, position).await?;
            for stored in &page.events {
                vector.merge(&stored.event.vector_time());
            }
            if page.scanned_to == at {
                break;
            }
            at = page.scanned_to;
        }
        Ok(vector)
    }

    async fn rows_above(
        &self,
        position: u64,
        head: u64,
    ) -> Result<Vec<tidelog_model::StoredEvent>, StoreError> {
        let mut rows = Vec::new();
        let mut at = position;
        while at < head {
            let page = self.page(at, head).await?;
            if page.scanned_to == at {
                break;
            }
            at = page.scanned_to;
            rows.extend(page.events);
        }
        Ok(rows)
    }

    async fn page(&self, after: u64, to: u64) -> Result<tidelog_store::Page, StoreError> {
        let query = ReadQuery {
            after,
            to,
            events_max: 1_000,
            bytes_max: 8 * 1024 * 1024,
            scan_max: 1_000,
            selector: Selector::default(),
        };
        self.options.store.read(&query).await
    }

    /// Raises in quick succession wait longer and longer: something is wrong that raising does not mend.
    fn back_off(&mut self) -> Duration {
        let since = self.last_raise.replace(Instant::now());
        let minutes = since.map_or(0, |since| since.elapsed().as_secs() / 60);
        let recent = self
            .raises
            .saturating_sub(u32::try_from(minutes).unwrap_or(u32::MAX));
        self.raises = recent + 1;
        match recent {
            0 => Duration::ZERO,
            recent => Duration::from_secs(1 << recent.min(6)),
        }
    }
}
