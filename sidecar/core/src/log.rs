//! The log core: what one batch turns the log into.
//!
//! [`LogCore::plan`] is a function of the state, the requests, what the store said about them, and the time. It changes nothing:
//! the next state is adopted when the store has committed the batch, and thrown away when it has not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tidelog_model::{
    ApplicationVersion, ChainHash, Digest, Event, EventId, HlcClock, LimitError, Lineage,
    LocationName, NewEvent, Origin, StoredEvent, VectorTime, canonical, caps, mutant,
};
use tidelog_store::{
    CauseKey, CheckAnswers, CheckQuery, ConditionQuery, Guard, LogState, Progress, VoidedId,
    WriteBatch,
};

use crate::append::{Accepted, AppendRequest, Refusal, accepted, token};
use crate::frame::{EdgeContext, Frame, FrameOutcome};
use crate::view::LogView;

/// What does not change while a writer lives.
#[derive(Debug, Clone)]
pub struct Identity {
    /// This location.
    pub location: LocationName,
    /// The nonce of the writer's lease.
    pub nonce: u64,
}

/// What is stamped on every event and may be changed by configuration.
#[derive(Debug, Clone, Default)]
pub struct Stamp {
    /// Version of the application that writes here.
    pub application_version: ApplicationVersion,
    /// The filters in force.
    pub plan_id: u64,
}

/// The log as the last commit left it, in the writer's memory.
#[derive(Debug, Clone)]
pub struct LogCore {
    pub(crate) identity: Identity,
    pub(crate) origin: Origin,
    pub(crate) lineage: Arc<Lineage>,
    pub(crate) head: u64,
    pub(crate) hash: ChainHash,
    pub(crate) version_vector: VectorTime,
    pub(crate) covered_vector: VectorTime,
    pub(crate) clock: HlcClock,
    pub(crate) stored_at_micros: i64,
    pub(crate) progress: Arc<BTreeMap<LocationName, Progress>>,
    pub(crate) voided: Arc<Vec<VoidedId>>,
    pub(crate) voided_set: Arc<BTreeSet<VoidedId>>,
    pub(crate) recovering: bool,
    pub(crate) clock_ahead: u64,
}

/// An event that is in the log (or in the batch) already, with its local sequence.
type Held = (u64, Arc<Event>);

/// A frame with what is needed to judge it.
#[derive(Debug, Clone)]
pub struct FrameWork {
    /// The frame.
    pub frame: Frame,
    /// Its edge.
    pub edge: EdgeContext,
}

/// One planned batch.
#[derive(Debug)]
pub struct Plan {
    /// What to commit; `None` when nothing changes.
    pub batch: Option<WriteBatch>,
    /// The state after the commit.
    pub next: LogCore,
    /// One outcome per request, valid once the batch is committed (refusals hold at once).
    pub outcomes: Vec<Result<Accepted, Refusal>>,
    /// The outcome of the frame, if there was one.
    pub frame: Option<FrameOutcome>,
}

impl LogCore {
    /// The core of a stored state. The state must have an incarnation.
    pub fn new(identity: Identity, state: &LogState) -> Self {
        let origin = Origin::new(identity.location.clone(), state.incarnation());
        Self {
            identity,
            origin,
            lineage: Arc::new(state.lineage.clone()),
            head: state.head,
            hash: state.hash,
            version_vector: state.version_vector.clone(),
            covered_vector: state.covered_vector.clone(),
            clock: HlcClock::starting_at(state.clock),
            stored_at_micros: state.stored_at_micros,
            progress: Arc::new(state.progress.clone()),
            voided: Arc::new(state.voided.clone()),
            voided_set: Arc::new(state.voided.iter().cloned().collect()),
            recovering: false,
            clock_ahead: 0,
        }
    }

    /// While true, requests that need the table of earlier requests are refused.
    pub fn set_recovering(&mut self, recovering: bool) {
        self.recovering = recovering;
    }

    /// Events received so far whose time was too far ahead to be believed.
    pub fn clock_ahead(&self) -> u64 {
        self.clock_ahead
    }

    /// The writer under which this core writes, after its lease was taken anew.
    pub fn set_nonce(&mut self, nonce: u64) {
        self.identity.nonce = nonce;
    }

    /// What the outside may know.
    pub fn view(&self) -> LogView {
        LogView {
            location: self.identity.location.clone(),
            lineage: self.lineage.clone(),
            head: self.head,
            hash: self.hash,
            version_vector: Arc::new(self.version_vector.clone()),
            covered_vector: Arc::new(self.covered_vector.clone()),
            stored_at_micros: self.stored_at_micros,
            progress: self.progress.clone(),
            voided: self.voided.clone(),
            nonce: self.identity.nonce,
        }
    }

    /// What must still be true when the next batch is written.
    pub fn guard(&self) -> Guard {
        Guard {
            incarnation: self.origin.incarnation,
            nonce: self.identity.nonce,
            head: self.head,
        }
    }

    /// What the store has to be asked before these requests can be decided.
    pub fn questions<'a>(requests: impl Iterator<Item = &'a AppendRequest>) -> CheckQuery {
        let mut query = CheckQuery::default();
        for request in requests {
            if !request.request_id.is_empty() {
                query.requests.push(request.request_id.clone());
            }
            query
                .causes
                .extend(request.events.iter().filter_map(cause_key));
            if let Some(condition) = &request.condition {
                query.conditions.push(ConditionQuery {
                    keys: condition.keys.clone(),
                    types: condition.types.clone(),
                    after: condition.after.sequence,
                });
            }
        }
        query
    }

    /// Whether the store has to be asked before this request can be decided.
    pub(crate) fn asks(request: &AppendRequest) -> bool {
        !request.request_id.is_empty()
            || request.condition.is_some()
            || request.events.iter().any(|e| e.caused_by.is_some())
    }

    /// Decides requests in order, then at most one frame. `answers` are those to [`Self::questions`] of the same requests.
    pub fn plan(
        &self,
        stamp: &Stamp,
        requests: &[&AppendRequest],
        answers: &CheckAnswers,
        frame: Option<&FrameWork>,
        now_micros: i64,
    ) -> Plan {
        let mut draft = Draft::new(self, stamp, now_micros);
        let mut answers = AnswerCursor::new(answers);
        let outcomes = requests
            .iter()
            .map(|r| draft.decide(r, &mut answers))
            .collect();
        draft.finish(outcomes, frame, self)
    }
}

fn cause_key(event: &NewEvent) -> Option<CauseKey> {
    let cause = event.caused_by.clone()?;
    Some(CauseKey {
        emitter_id: event.emitter_id.clone(),
        cause,
    })
}

/// Hands out the store's answers in the order of the questions.
struct AnswerCursor<'a> {
    answers: &'a CheckAnswers,
    request: usize,
    cause: usize,
    condition: usize,
}

impl<'a> AnswerCursor<'a> {
    fn new(answers: &'a CheckAnswers) -> Self {
        Self {
            answers,
            request: 0,
            cause: 0,
            condition: 0,
        }
    }

    fn next_request(&mut self) -> &'a [StoredEvent] {
        self.request += 1;
        self.answers
            .requests
            .get(self.request - 1)
            .map_or(&[], Vec::as_slice)
    }
    fn next_cause(&mut self) -> Option<&'a StoredEvent> {
        self.cause += 1;
        self.answers
            .causes
            .get(self.cause - 1)
            .and_then(Option::as_ref)
    }
    fn next_condition(&mut self) -> Option<u64> {
        self.condition += 1;
        self.answers
            .conditions
            .get(self.condition - 1)
            .copied()
            .flatten()
    }
}

/// A batch in the making, on a copy of the core.
pub(crate) struct Draft {
    pub(crate) core: LogCore,
    guard: Guard,
    stamp: Stamp,
    pub(crate) now_micros: i64,
    pub(crate) events: Vec<StoredEvent>,
    pub(crate) moved: Option<(LocationName, Progress)>,
    /// Requests of this batch by id, as ranges into `events`.
    requests: HashMap<String, Vec<Held>>,
    causes: HashMap<CauseKey, Held>,
}

impl Draft {
    pub(crate) fn new(core: &LogCore, stamp: &Stamp, now_micros: i64) -> Self {
        let mut core = core.clone();
        let guard = core.guard();
        // `stored_at` is a local monotone time: a clock that steps back stands still here.
        core.stored_at_micros = core.stored_at_micros.max(now_micros);
        if mutant!("stored-at-steps-back") {
            core.stored_at_micros = now_micros;
        }
        Self {
            core,
            guard,
            stamp: stamp.clone(),
            now_micros,
            events: Vec::new(),
            moved: None,
            requests: HashMap::new(),
            causes: HashMap::new(),
        }
    }

    /// Decides a request of which the store need not be asked, at a time that may be later than that of the draft.
    pub(crate) fn decide_plain(
        &mut self,
        request: &AppendRequest,
        now_micros: i64,
    ) -> Result<Accepted, Refusal> {
        self.now_micros = now_micros;
        self.core.stored_at_micros = self.core.stored_at_micros.max(now_micros);
        let none = CheckAnswers::default();
        self.decide(request, &mut AnswerCursor::new(&none))
    }

    /// Applies at most one frame, after all requests, and closes the draft. `published` is the log before the batch: all that anybody else
    /// can have seen of it.
    pub(crate) fn finish(
        mut self,
        outcomes: Vec<Result<Accepted, Refusal>>,
        frame: Option<&FrameWork>,
        published: &LogCore,
    ) -> Plan {
        let frame = frame.map(|work| self.apply(work, published));
        let changed =
            !self.events.is_empty() || matches!(frame, Some(FrameOutcome::Applied { .. }));
        let progress = self.moved.take();
        let batch = changed.then(|| WriteBatch {
            guard: self.guard,
            events: self.events,
            hash: self.core.hash,
            version_vector: self.core.version_vector.clone(),
            covered_vector: self.core.covered_vector.clone(),
            clock: self.core.clock.last(),
            stored_at_micros: self.core.stored_at_micros,
            progress,
        });
        Plan {
            batch,
            next: self.core,
            outcomes,
            frame,
        }
    }

    fn decide(
        &mut self,
        request: &AppendRequest,
        answers: &mut AnswerCursor<'_>,
    ) -> Result<Accepted, Refusal> {
        // Take this request's answers first, whatever becomes of it: the next request's follow them.
        let held: Vec<Held> = if request.request_id.is_empty() {
            Vec::new()
        } else {
            let stored = answers.next_request();
            match self.requests.get(&request.request_id) {
                Some(in_batch) if !mutant!("requests-of-a-batch-apart") => in_batch.clone(),
                _ => stored
                    .iter()
                    .map(|s| (s.sequence, s.event.clone()))
                    .collect(),
            }
        };
        let causes: Vec<Option<Held>> = request
            .events
            .iter()
            .map(|event| {
                let key = cause_key(event)?;
                let stored = answers.next_cause().map(|s| (s.sequence, s.event.clone()));
                let in_batch = self
                    .causes
                    .get(&key)
                    .filter(|_| !mutant!("causes-of-a-batch-apart"));
                stored.or_else(|| in_batch.cloned())
            })
            .collect();
        let condition_found = request
            .condition
            .as_ref()
            .and_then(|_| answers.next_condition());

        request.check()?;
        if self.core.recovering
            && !mutant!("recovering-ignored")
            && (!request.request_id.is_empty()
                || request.events.iter().any(|e| e.caused_by.is_some()))
        {
            return Err(Refusal::Recovering);
        }
        let known = Self::known(request, &held, &causes)?;
        if known.iter().all(Option::is_some)
            || (mutant!("part-of-a-request-is-all") && !held.is_empty())
        {
            let events: Vec<_> = known.into_iter().flatten().collect();
            let token = token(&events);
            return Ok(accepted(&events, token, true));
        }
        if let Some(context) = &request.context
            && !self.core.version_vector.covers(context)
            && !mutant!("context-unchecked")
        {
            let missing = self.core.version_vector.missing(context);
            return Err(Refusal::ContextAhead { missing });
        }
        // A request of which a part is held was accepted once: its condition has been decided, and its own events would fail it now.
        if held.is_empty() || mutant!("condition-decided-again") {
            self.check_condition(request, condition_found)?;
        }
        self.append(request, &known)
    }

    /// For each event of the request what is held of it already, under its request id or its cause.
    fn known(
        request: &AppendRequest,
        held: &[Held],
        causes: &[Option<Held>],
    ) -> Result<Vec<Option<Held>>, Refusal> {
        let reused = || Refusal::RequestIdReused {
            request_id: request.request_id.clone(),
        };
        let mut known: Vec<Option<Held>> = vec![None; request.events.len()];
        for (sequence, event) in held {
            let index = event.request_index as usize;
            let same = event.request_count as usize == request.events.len()
                && request
                    .events
                    .get(index)
                    .is_some_and(|new| event.has_content_of(new));
            if !same && !mutant!("request-content-unchecked") {
                return Err(reused());
            }
            known[index] = Some((*sequence, event.clone()));
        }
        for (slot, cause) in known.iter_mut().zip(causes) {
            if slot.is_none() {
                slot.clone_from(cause);
            }
        }
        Ok(known)
    }

    fn check_condition(&self, request: &AppendRequest, found: Option<u64>) -> Result<(), Refusal> {
        let Some(condition) = &request.condition else {
            return Ok(());
        };
        // Judged against what is published: a client cannot have read a position of this very batch.
        let published = self.core.head - self.events.len() as u64;
        let valid = self.core.lineage.check(condition.after, published);
        if !mutant!("condition-without-incarnation") {
            valid?;
        }
        let after = condition.after.sequence;
        let in_batch = self
            .events
            .iter()
            .rev()
            .filter(|_| !mutant!("condition-blind-to-its-batch"))
            .find(|s| s.sequence > after && condition.matches(&s.event))
            .map(|s| s.sequence);
        match in_batch.or(found) {
            Some(found) => Err(Refusal::ConditionFailed { found, after }),
            None => Ok(()),
        }
    }

    /// Builds the missing events of a request. Nothing of it stays behind when one of them is refused.
    fn append(
        &mut self,
        request: &AppendRequest,
        known: &[Option<Held>],
    ) -> Result<Accepted, Refusal> {
        let entries = self.core.version_vector.len()
            + usize::from(self.core.version_vector.get(&self.core.origin) == 0);
        if entries > caps::VECTOR_ENTRIES_MAX && !mutant!("full-vector-ignored") {
            return Err(Refusal::VectorFull { entries });
        }
        let mut clock = self.core.clock;
        let mut hash = self.core.hash;
        // What the writer of the next event has seen: its context, and the events before it in the request.
        let mut seen = request
            .context
            .clone()
            .unwrap_or_else(|| self.core.version_vector.clone());
        if mutant!("context-of-own-events-only") {
            seen = seen.filtered(|origin| *origin == self.core.origin);
        }
        let mut sequence = self.core.head;
        let mut built = Vec::with_capacity(request.events.len());
        let mut all = Vec::with_capacity(request.events.len());
        for (index, (new, known)) in request.events.iter().zip(known).enumerate() {
            if let Some((at, event)) = known {
                seen.merge(&event.vector_time());
                all.push((*at, event.clone()));
                continue;
            }
            sequence += 1;
            let event = self.envelope(
                request,
                index,
                new,
                sequence,
                &seen,
                clock.tick(self.now_micros),
            );
            let invalid = |error| Refusal::Invalid {
                error,
                index: Some(index),
            };
            event.check().map_err(invalid)?;
            let bytes = canonical::encode(&event);
            if bytes.len() > caps::EVENT_BYTES_MAX {
                return Err(invalid(LimitError::TooLong {
                    field: "event".into(),
                    actual: bytes.len(),
                    limit: caps::EVENT_BYTES_MAX,
                }));
            }
            let digest = Digest::of(&bytes);
            if !mutant!("chain-misses-own-events") {
                hash = hash.next(&event.id, &digest);
            }
            if !mutant!("request-unseen-by-itself") {
                seen.raise(&event.id.origin, sequence);
            }
            let event = Arc::new(event);
            all.push((sequence, event.clone()));
            built.push(StoredEvent {
                sequence,
                stored_at_micros: self.core.stored_at_micros,
                appended_here: true,
                digest,
                event,
            });
        }
        if !mutant!("clock-forgets-its-ticks") {
            self.core.clock = clock;
        }
        self.core.hash = hash;
        self.core.head = sequence;
        if !mutant!("vv-misses-own-events") {
            self.core.version_vector.raise(&self.core.origin, sequence);
        }
        if !mutant!("kv-misses-own-events") {
            self.core.covered_vector.raise(&self.core.origin, sequence);
        }
        for stored in &built {
            if let Some(cause) = &stored.event.caused_by {
                let key = CauseKey {
                    emitter_id: stored.event.emitter_id.clone(),
                    cause: cause.clone(),
                };
                self.causes
                    .entry(key)
                    .or_insert_with(|| (stored.sequence, stored.event.clone()));
            }
        }
        if !request.request_id.is_empty() {
            // What was found by its cause keeps the request id under which it was appended.
            let own = all
                .iter()
                .filter(|(_, e)| e.request_id == request.request_id);
            self.requests
                .insert(request.request_id.clone(), own.cloned().collect());
        }
        self.events.append(&mut built);
        // At least one event is new, and the last new one has seen all that came before it: by now `seen` is the merge of them all.
        Ok(accepted(&all, seen, false))
    }

    fn envelope(
        &self,
        request: &AppendRequest,
        index: usize,
        new: &NewEvent,
        sequence: u64,
        seen: &VectorTime,
        time: tidelog_model::HybridTime,
    ) -> Event {
        let keyed = !request.request_id.is_empty();
        Event {
            id: EventId::new(self.core.origin.clone(), sequence),
            context: seen.clone(),
            time,
            event_type: new.event_type.clone(),
            schema_version: new.schema_version,
            content_type: new.content_type.clone(),
            payload: new.payload.clone(),
            emitter_id: new.emitter_id.clone(),
            aggregate_id: new.aggregate_id.clone(),
            destinations: new.destinations.clone(),
            metadata: new.metadata.clone(),
            caused_by: new.caused_by.clone(),
            delivery_id: new.delivery_id.clone(),
            request_id: request.request_id.clone(),
            request_index: if keyed { index as u32 } else { 0 },
            request_count: if keyed {
                request.events.len() as u32
            } else {
                0
            },
            application_version: self.stamp.application_version.clone(),
            plan_id: self.stamp.plan_id,
        }
    }
}
