//! The truth, kept beside the system: who really knew what, what every log really holds, and what the contract says about it.
//!
//! Nothing here is read from a vector that the system stores; vectors are what is judged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tidelog_core::{Accepted, Frame, Refusal};
use tidelog_model::{
    ApplicationVersion, Causality, ChainHash, Digest, Event, EventId, Lineage, Position,
    PositionError, StoredEvent, VectorTime, vector_time,
};
use tidelog_store::{LogState, WriteBatch};

use crate::topology::{Topology, class_of};

/// Events of one run; each is a bit.
pub const EVENTS_MAX: usize = 120;
pub type Set = u128;

/// What happened, once for each event that was ever durably stored.
struct Truth {
    id: EventId,
    event: Arc<Event>,
    /// Its writer had narrowed what it says it has seen.
    narrow: bool,
    digest: Digest,
    /// Everything that really came before it.
    past: Set,
    class: usize,
    /// Request and index.
    output: (usize, u32),
}

/// What one log holds.
#[derive(Clone, Default)]
pub struct Ledger {
    pub rows: Vec<(usize, bool)>,
    pub chain: Vec<ChainHash>,
    pub held: Set,
    /// Union of the pasts of what is held.
    pub known: Set,
    pub vector: VectorTime,
}

impl Ledger {
    fn chain_at(&self, position: u64) -> Option<ChainHash> {
        match position {
            0 => Some(ChainHash::ZERO),
            n => self.chain.get(n as usize - 1).copied(),
        }
    }
}

/// What a client asked for. The payload of its events is its number, so an event tells whose it is.
#[derive(Clone)]
pub struct Asked {
    pub site: usize,
    /// What the client had really seen, when it narrowed its context.
    pub seen: Option<Set>,
    pub request: tidelog_core::AppendRequest,
    pub retried: bool,
    pub refused: bool,
    pub unknown: bool,
    pub answered: bool,
}

/// What a reader has read of a log, in order from its start.
#[derive(Clone)]
pub struct Seen {
    pub position: Position,
    pub rows: Vec<usize>,
}

pub struct Oracle {
    topology: Arc<Topology>,
    events: Vec<Truth>,
    by_id: HashMap<EventId, usize>,
    pub ledgers: Vec<Ledger>,
    /// What logs held that a restore has taken from them.
    lost: Vec<Vec<Ledger>>,
    pub asked: Vec<Asked>,
    /// Local appends by request and index.
    outputs: HashSet<(usize, u32)>,
    /// Where the running stream of an edge is: its id, position and hash.
    streams: BTreeMap<usize, (u64, u64, ChainHash)>,
    /// Versions that targets declared, by stream.
    declared: HashMap<u64, ApplicationVersion>,
    /// No clock is further off than what is still believed.
    plausible_clocks: bool,
    restored: bool,
    /// What was ever shown to anybody outside of its store.
    shown: Set,
    /// How far each log was published by its running process.
    live: Vec<u64>,
}

impl Oracle {
    pub fn new(topology: Arc<Topology>, plausible_clocks: bool) -> Self {
        let ledgers = vec![Ledger::default(); topology.names.len()];
        let live = vec![0; topology.names.len()];
        Self {
            topology,
            events: Vec::new(),
            by_id: HashMap::new(),
            lost: vec![Vec::new(); ledgers.len()],
            ledgers,
            asked: Vec::new(),
            outputs: HashSet::new(),
            streams: BTreeMap::new(),
            declared: HashMap::new(),
            plausible_clocks,
            restored: false,
            shown: 0,
            live,
        }
    }

    pub fn is_full(&self) -> bool {
        self.events.len() + 40 > EVENTS_MAX
    }

    /// What somebody knows who has seen these events.
    pub fn closed(&self, seen: Set) -> Set {
        let bits = (0..self.events.len()).filter(|i| seen >> i & 1 == 1);
        bits.fold(seen, |all, i| all | self.events[i].past)
    }

    pub fn bit(&self, id: &EventId) -> Set {
        1 << self.by_id[id]
    }

    /// True when a copy of this log holds nothing but what was shown. (What a copy alone has ever seen is nobody's loss, and its id is free.)
    pub fn all_shown(&self, site: usize) -> bool {
        self.ledgers[site].held & !self.shown == 0
    }

    pub fn restore(&mut self, site: usize, ledger: Ledger) {
        self.restored = true;
        let never_seen = self.ledgers[site].held & !ledger.held & !self.shown;
        self.by_id.retain(|_, i| never_seen >> *i & 1 == 0);
        for (i, truth) in self.events.iter().enumerate() {
            if never_seen >> i & 1 == 1 {
                self.outputs.remove(&truth.output);
            }
        }
        let lost = std::mem::replace(&mut self.ledgers[site], ledger);
        self.lost[site].push(lost);
    }

    /// A writer goes on from what its store holds.
    pub fn continued(&mut self, site: usize) {
        self.shown |= self.ledgers[site].held;
        self.live[site] = self.ledgers[site].rows.len() as u64;
    }

    /// A batch is durably in a store.
    pub fn committed(&mut self, site: usize, batch: &WriteBatch, version: &ApplicationVersion) {
        let mut earlier = None;
        for stored in &batch.events {
            assert!(
                stored.event.application_version <= *version,
                "O9: {} came to a location of an older version",
                stored.event.id
            );
            self.store(site, stored, &mut earlier);
        }
        let ledger = &self.ledgers[site];
        assert_eq!(
            batch.version_vector, ledger.vector,
            "I5: the version vector is not the merge of what is stored"
        );
        assert!(
            batch.covered_vector.covers(&batch.version_vector),
            "I5: KV {} below VV {}",
            batch.covered_vector,
            batch.version_vector
        );
        let last = ledger.chain.last().copied().unwrap_or_default();
        assert_eq!(batch.hash, last, "the chain is broken");
        // P, and the same for what is covered: whoever claims it holds whatever can ever get here.
        self.claim_is_true(site, &batch.version_vector, "I11: VV");
        self.claim_is_true(site, &batch.covered_vector, "I5: KV");
        if let Some((source, progress)) = &batch.progress {
            let source = self.site(source.as_str());
            self.progress_is_true(source, site, progress.position, progress.hash);
        }
    }

    fn site(&self, name: &str) -> usize {
        let names = &self.topology.names;
        let found = names.iter().position(|n| n.as_str() == name);
        found.expect("sources are locations")
    }

    fn store(&mut self, site: usize, stored: &StoredEvent, earlier: &mut Option<(usize, Set)>) {
        let event = &stored.event;
        let ledger = &self.ledgers[site];
        assert_eq!(
            stored.sequence,
            ledger.rows.len() as u64 + 1,
            "I5: numbers have a gap"
        );
        let index = if stored.appended_here {
            assert!(
                ledger.vector.covers(&event.context),
                "I12: {} has seen {}, the log {}",
                event.id,
                event.context,
                ledger.vector
            );
            self.remember(site, stored, earlier)
        } else {
            *self
                .by_id
                .get(&event.id)
                .expect("a received event was appended somewhere")
        };
        let truth = &self.events[index];
        assert_eq!(
            truth.digest, stored.digest,
            "I9: two contents of {}",
            truth.id
        );
        let ledger = &mut self.ledgers[site];
        assert_eq!(ledger.held >> index & 1, 0, "I2: {} stored twice", truth.id);
        assert_eq!(
            ledger.known >> index & 1,
            0,
            "I3: {} stored after an effect of it",
            truth.id
        );
        ledger.held |= 1 << index;
        ledger.known |= truth.past;
        ledger.vector.merge(&event.vector_time());
        ledger.rows.push((index, stored.appended_here));
        let last = ledger.chain.last().copied().unwrap_or_default();
        ledger.chain.push(last.next(&event.id, &stored.digest));
    }

    /// A new event: what its writer had really seen.
    fn remember(
        &mut self,
        site: usize,
        stored: &StoredEvent,
        earlier: &mut Option<(usize, Set)>,
    ) -> usize {
        let event = &stored.event;
        let number = request_of(&event.payload);
        let asked = &self.asked[number];
        assert!(
            !asked.refused,
            "I7: request {number} was refused and is in the log"
        );
        assert_eq!(asked.site, site, "a request went astray");
        let ledger = &self.ledgers[site];
        let mut past = asked.seen.unwrap_or(ledger.held | ledger.known);
        if let Some((_, siblings)) = earlier.filter(|(r, _)| *r == number) {
            past |= siblings;
        }
        let output = (number, event.metadata["index"].parse().expect("a number"));
        let first = self.outputs.insert(output);
        // A restore takes the memory of requests as well; what is held is never appended again.
        let held = ledger.rows.iter().map(|(i, _)| self.events[*i].output);
        assert!(
            (first || self.restored) && !held.into_iter().any(|h| h == output),
            "request {number} is in the log twice"
        );
        for (i, other) in self.events.iter().enumerate() {
            assert!(
                past >> i & 1 == 0 || event.context.covers_id(&other.id),
                "{} has seen {}, its context {} does not say so",
                event.id,
                other.id,
                event.context
            );
        }
        let mut own = ledger.rows.iter().rev().filter(|(_, here)| *here);
        let before = own.next().map(|(i, _)| self.events[*i].event.time);
        assert!(
            before.is_none_or(|before| before < event.time),
            "HLC: {} at {} runs back behind {before:?}",
            event.id,
            event.time
        );
        for (i, other) in self.events.iter().enumerate() {
            assert!(
                !self.plausible_clocks || past >> i & 1 == 0 || other.event.time < event.time,
                "HLC: {} has seen {} and is not later",
                event.id,
                other.id
            );
        }
        let index = self.events.len();
        let clash = self.by_id.insert(event.id.clone(), index);
        assert!(clash.is_none(), "I9: {} is used for two events", event.id);
        self.events.push(Truth {
            id: event.id.clone(),
            event: Arc::clone(event),
            narrow: asked.seen.is_some(),
            digest: stored.digest,
            past,
            class: class_of(&event.event_type),
            output,
        });
        *earlier = Some((number, past | 1 << index));
        index
    }

    /// Everything at or below the vector that can ever get here is here: from its origin, or from whoever else holds it. What a restore has
    /// taken from everybody cannot.
    fn claim_is_true(&self, site: usize, vector: &VectorTime, what: &str) {
        let held = self.ledgers[site].held;
        for (i, truth) in self.events.iter().enumerate() {
            if held >> i & 1 == 0 && vector.covers_id(&truth.id) {
                let ledgers = self.ledgers.iter().enumerate();
                let holders = ledgers.filter(|(_, ledger)| ledger.held >> i & 1 == 1);
                let exports = |holder: &usize| {
                    let row = self.ledgers[*holder].rows.iter().find(|(at, _)| *at == i);
                    row.is_some_and(|(_, appended_here)| {
                        !appended_here || self.topology.exports(*holder, truth.class)
                    })
                };
                let holders: Vec<_> = holders.map(|(h, _)| h).filter(exports).collect();
                let reached = self.topology.reach(&holders, truth.class);
                assert!(
                    !reached[site],
                    "{what} {vector} of {} claims {}, which it does not hold",
                    self.topology.names[site], truth.id
                );
            }
        }
    }

    /// Q: progress on a source means that everything up to there which the edge admits is held, also when the source has lost it since.
    fn progress_is_true(&self, source: usize, target: usize, position: u64, hash: ChainHash) {
        let histories = self.lost[source].iter().chain([&self.ledgers[source]]);
        let from = histories.rev().find(|h| h.chain_at(position) == Some(hash));
        let from = from
            .expect("I5: progress beyond all that its source has ever held, or with another hash");
        let edge = self.topology.edges.iter();
        let edge = edge
            .copied()
            .find(|e| e.source == source && e.target == target)
            .expect("frames come along edges");
        let filter = self.topology.filter(edge);
        for (index, appended_here) in &from.rows[..position as usize] {
            let truth = &self.events[*index];
            if filter.passes(truth.class, *appended_here) {
                assert_eq!(
                    self.ledgers[target].held >> index & 1,
                    1,
                    "I11: progress {position}, but {} is missing",
                    truth.id
                );
            }
        }
    }

    pub fn answered(&mut self, site: usize, number: usize, answer: &Result<Accepted, Refusal>) {
        let ledger = &self.ledgers[site];
        let asked = &mut self.asked[number];
        asked.answered = true;
        match answer {
            Ok(accepted) => {
                assert_eq!(accepted.ids.len(), asked.request.events.len());
                // What was found before a fail-over may be told after it, by a writer that has not noticed: it was acknowledged long ago.
                let earlier = self.lost[site].last().filter(|_| accepted.replayed);
                let held = ledger.held | earlier.map_or(0, |lost| lost.held);
                for id in &accepted.ids {
                    let index = self.by_id.get(id).expect("I7: answered, but never stored");
                    assert_eq!(held >> index & 1, 1, "I1: {id} answered, not stored");
                }
            }
            Err(Refusal::OutcomeUnknown(_)) => asked.unknown = true,
            Err(_) if asked.retried || asked.unknown => {}
            Err(refusal) => {
                let stored = self.outputs.iter().any(|(n, _)| *n == number);
                assert!(!stored, "I7: stored, but answered {refusal}");
                asked.refused = true;
            }
        }
    }

    /// The live order is the order of the log.
    pub fn published(&mut self, site: usize, events: &[StoredEvent]) {
        for stored in events {
            self.live[site] += 1;
            assert_eq!(
                stored.sequence, self.live[site],
                "I6: published with a gap or in another order"
            );
            let (index, _) = self.ledgers[site].rows[stored.sequence as usize - 1];
            self.shown |= 1 << index;
            assert_eq!(
                self.events[index].id, stored.event.id,
                "I6: what is published is not what is stored"
            );
        }
    }

    /// A target opens a stream and says which version of the application it serves.
    pub fn opens(&mut self, stream: u64, version: &ApplicationVersion) {
        self.declared.insert(stream, version.clone());
    }

    pub fn opened(&mut self, edge: usize, stream: u64, position: u64, hash: ChainHash) {
        self.streams.insert(edge, (stream, position, hash));
    }

    /// A frame leaves its source.
    pub fn sent(&mut self, edge: usize, frame: &Frame) {
        let expected = self.streams.get(&edge).copied();
        assert_eq!(
            expected,
            Some((frame.stream, frame.from, frame.hash_from)),
            "I13: frame ({}, {}] does not continue its stream",
            frame.from,
            frame.to
        );
        self.streams
            .insert(edge, (frame.stream, frame.to, frame.hash_to));
        let e = self.topology.edges[edge];
        let filter = self.topology.filter(e);
        let ledger = &self.ledgers[e.source];
        for received in &frame.events {
            let index = self.by_id[&received.event.id];
            let row = ledger.rows.iter().find(|(i, _)| *i == index);
            let (_, appended_here) = row.expect("what is sent is stored");
            assert!(
                received.event.application_version <= self.declared[&frame.stream],
                "O9: {} is newer than what its target declared",
                received.event.id
            );
            assert!(
                filter.passes(self.events[index].class, *appended_here),
                "I10: {} left its source",
                received.event.id
            );
        }
    }

    /// A reader goes on from where it was. What it has read is still what the log begins with, or it is told so.
    pub fn read_on(&self, site: usize, seen: Option<&Seen>, lineage: &Lineage, head: u64) -> Seen {
        let rows = &self.ledgers[site].rows;
        if let Some(seen) = seen {
            let safe = match lineage.check(seen.position, head) {
                Ok(()) => seen.position.sequence,
                Err(PositionError::IncarnationChanged { last_safe, .. }) => last_safe.sequence,
                Err(error) => unreachable!("O14: {error}"),
            };
            for (at, index) in seen.rows.iter().take(safe as usize).enumerate() {
                assert_eq!(
                    rows.get(at).map(|(i, _)| i),
                    Some(index),
                    "O14: position {} is valid, and what was read at {} is not there",
                    seen.position,
                    at + 1
                );
            }
        }
        let incarnation = lineage.current().map(|e| e.incarnation);
        Seen {
            position: Position::new(incarnation.expect("it serves"), head),
            rows: rows[..head as usize].iter().map(|(i, _)| *i).collect(),
        }
    }

    /// O6: two events compare as their writers would have told it. Of what was read on purpose only in part, an order may be said where there
    /// is none, never the other way round.
    fn compare_all(&self) {
        let plain =
            (0..self.ledgers.len()).all(|site| (0..3).all(|c| self.topology.exports(site, c)));
        let exact = plain
            && !self.restored
            && self.topology.survives_restores()
            && self.events.iter().all(|truth| !truth.narrow);
        for (i, x) in self.events.iter().enumerate() {
            for (j, y) in self.events.iter().enumerate().filter(|(j, _)| *j != i) {
                let told = vector_time::compare(&x.event, &y.event);
                let before = y.past >> i & 1 == 1;
                assert!(
                    !before || told == Causality::Before,
                    "O6: {} was seen by the writer of {}, and compares {told:?}",
                    x.id,
                    y.id
                );
                let after = x.past >> j & 1 == 1;
                assert!(
                    !exact || before || after || told == Causality::Concurrent,
                    "O6: {} and {} are concurrent, and compare {told:?}",
                    x.id,
                    y.id
                );
            }
        }
    }

    /// When nothing moves any more: the whole state, not a sum of it.
    pub fn at_rest(&self, states: &[LogState]) {
        self.compare_all();
        for (site, state) in states.iter().enumerate() {
            let ledger = &self.ledgers[site];
            assert_eq!(state.head, ledger.rows.len() as u64);
            assert_eq!(state.version_vector, ledger.vector);
            assert_eq!(state.hash, ledger.chain_at(state.head).expect("the head"));
        }
        for (number, e) in self.topology.edges.iter().enumerate() {
            let (source, target) = (&states[e.source], &states[e.target]);
            let names = &self.topology.names;
            let way = format!("{}->{}", names[e.source], names[e.target]);
            let progress = target.progress.get(&names[e.source]);
            let (position, hash) = progress.map_or((0, ChainHash::ZERO), |p| (p.position, p.hash));
            assert_eq!(
                (position, hash),
                (source.head, source.hash),
                "{way} is not at the source's head"
            );
            // I4, edge by edge, which is closure along paths.
            let filter = self.topology.filter(*e);
            for (index, appended_here) in &self.ledgers[e.source].rows {
                let truth = &self.events[*index];
                let admitted = filter.passes(truth.class, *appended_here);
                assert!(
                    !admitted || self.ledgers[e.target].held >> index & 1 == 1,
                    "I4: {} never came along {way}",
                    truth.id
                );
            }
            let behind = self.topology.behind(number);
            let news = source
                .covered_vector
                .filtered(|o| behind.contains(&o.location));
            assert!(
                target.covered_vector.covers(&news),
                "{way}: KV {} was never told {news}",
                target.covered_vector
            );
        }
    }
}

/// The request that an event belongs to.
pub fn request_of(payload: &[u8]) -> usize {
    let text = std::str::from_utf8(payload).expect("payloads are text");
    let number = text.split(' ').next().and_then(|n| n.parse().ok());
    number.expect("payloads begin with the number of their request")
}
