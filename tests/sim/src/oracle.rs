//! The truth, kept beside the system: who really knew what, what every log really holds, and what the contract says about it.
//!
//! Nothing here is read from a vector that the system stores; vectors are what is judged.

mod claims;
mod late;
mod rest;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tidelog_core::{Accepted, Frame, Refusal};
use tidelog_model::{
    ApplicationVersion, ChainHash, Digest, Event, EventId, Incarnation, Lineage, Position,
    PositionError, StoredEvent, VectorTime,
};
use tidelog_store::{VoidedId, WriteBatch};

use crate::filters::Filters;
use crate::run::More;
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
    /// Where it was appended.
    home: usize,
    /// Request and index.
    output: (usize, u32),
}

/// What one log holds.
#[derive(Clone, Default)]
pub struct Ledger {
    /// Events, and whether they were appended here.
    pub rows: Vec<(usize, bool)>,
    pub chain: Vec<ChainHash>,
    pub held: Set,
    /// Union of the pasts of what is held.
    pub known: Set,
    pub vector: VectorTime,
    /// What was taken back after a loss that was noticed late; an older copy knows nothing of it.
    voided: HashSet<VoidedId>,
    /// Its positions have another meaning elsewhere: rows were lost in this incarnation, and nobody noticed. A copy takes that along.
    ambiguous: bool,
}

impl Ledger {
    fn push(&mut self, number: usize, appended_here: bool, truth: &Truth) {
        self.held |= 1 << number;
        self.vector.merge(&truth.event.vector_time());
        self.rows.push((number, appended_here));
        let last = self.chain.last().copied().unwrap_or_default();
        self.chain.push(last.next(&truth.id, &truth.digest));
    }

    /// Whether another log goes on where this one ends.
    pub fn begins(&self, other: &Self) -> bool {
        self.rows.len() < other.rows.len() && other.rows.starts_with(&self.rows)
    }

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
    pub filters: Filters,
    /// What is asked for beyond the contract.
    pub more: Option<More>,
    events: Vec<Truth>,
    by_id: HashMap<EventId, usize>,
    /// The same with the content: an id in doubt may have two.
    contents: HashMap<(EventId, Digest), usize>,
    doubt: late::Doubt,
    pub ledgers: Vec<Ledger>,
    /// What a location has lost whose links are filtered.
    lost_beside_filters: Set,
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
    pub live: Vec<u64>,
}

impl Oracle {
    pub fn new(filters: Filters, topology: Arc<Topology>, plausible_clocks: bool) -> Self {
        let ledgers = vec![Ledger::default(); topology.names.len()];
        let live = vec![0; topology.names.len()];
        Self {
            topology,
            filters,
            more: None,
            lost_beside_filters: 0,
            events: Vec::new(),
            by_id: HashMap::new(),
            contents: HashMap::new(),
            doubt: late::Doubt::new(ledgers.len()),
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

    /// How many events were ever written.
    pub fn written(&self) -> usize {
        self.events.len()
    }

    /// What somebody knows who has seen these events.
    pub fn closed(&self, seen: Set) -> Set {
        let bits = (0..self.events.len()).filter(|i| seen >> i & 1 == 1);
        bits.fold(seen, |all, i| all | self.events[i].past)
    }

    pub fn bit(&self, stored: &StoredEvent) -> Set {
        1 << self.contents[&(stored.event.id.clone(), stored.digest)]
    }

    /// True when a copy of this log holds nothing but what was shown. (What a copy alone has ever seen is nobody's loss, and its id is free.)
    pub fn all_shown(&self, site: usize) -> bool {
        self.ledgers[site].held & !self.shown == 0
    }

    pub fn restore(&mut self, site: usize, mut ledger: Ledger, incarnation: Incarnation) {
        let rows = self.ledgers[site].rows.len();
        self.doubt.replaced(site, rows, incarnation);
        self.relearn(&mut ledger);
        self.restored = true;
        let gone = self.ledgers[site].held & !ledger.held;
        if !self.filters.survives_a_loss(site) {
            self.lost_beside_filters |= gone;
        }
        let never_seen = gone & !self.shown;
        self.by_id.retain(|_, i| never_seen >> *i & 1 == 0);
        self.contents.retain(|_, i| never_seen >> *i & 1 == 0);
        for (i, truth) in self.events.iter().enumerate() {
            if never_seen >> i & 1 == 1 {
                self.outputs.remove(&truth.output);
            }
        }
        let lost = std::mem::replace(&mut self.ledgers[site], ledger);
        self.lost[site].push(lost);
    }

    /// From now on two logs go on under one name: a request may be in both.
    pub fn cloned(&mut self) {
        self.restored = true;
    }

    /// A writer goes on from what its store holds.
    pub fn continued(&mut self, site: usize) {
        self.shown |= self.ledgers[site].held;
        let rows = self.ledgers[site].rows.len();
        self.live[site] = rows as u64;
        self.ledgers[site].ambiguous |= self.doubt.is_ambiguous(site, rows);
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
            let content = (event.id.clone(), stored.digest);
            let found = self.contents.get(&content).copied();
            found.expect("I9: what is received was appended somewhere, with this content")
        };
        let truth = &self.events[index];
        assert_eq!(
            truth.digest, stored.digest,
            "I9: two contents of {}",
            truth.id
        );
        self.ledgers[site].never_again(&truth.id, truth.digest);
        let ledger = &mut self.ledgers[site];
        let doubtful = self.doubt.holds(index);
        assert!(
            ledger.held >> index & 1 == 0 || doubtful,
            "I2: {} stored twice",
            truth.id
        );
        assert!(
            ledger.known >> index & 1 == 0 || doubtful,
            "I3: {} stored after an effect of it",
            truth.id
        );
        if !doubtful {
            ledger.known |= truth.past;
        }
        ledger.push(index, stored.appended_here, truth);
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
        let mut past = asked.seen.unwrap_or_else(|| {
            if self.may_stall() {
                // What is in doubt is not part of what the order depends on.
                self.closed(ledger.held)
            } else {
                ledger.held | ledger.known
            }
        });
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
                past >> i & 1 == 0 || event.context.covers_id(&other.id) || self.doubt.holds(i),
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
                !self.plausible_clocks
                    || past >> i & 1 == 0
                    || other.event.time < event.time
                    || self.doubt.holds(i),
                "HLC: {} has seen {} and is not later",
                event.id,
                other.id
            );
        }
        let index = self.events.len();
        let clash = self.by_id.insert(event.id.clone(), index);
        assert!(
            clash.is_none() || self.doubt.is_suspect(&event.id),
            "I9: {} is used for two events",
            event.id
        );
        let content = (event.id.clone(), stored.digest);
        self.contents.insert(content, index);
        self.doubt.written(site, index, past);
        self.events.push(Truth {
            id: event.id.clone(),
            event: Arc::clone(event),
            narrow: asked.seen.is_some(),
            digest: stored.digest,
            past,
            class: class_of(&event.event_type),
            home: site,
            output,
        });
        *earlier = Some((number, past | 1 << index));
        index
    }

    pub fn answered(&mut self, site: usize, number: usize, answer: &Result<Accepted, Refusal>) {
        let ledger = &self.ledgers[site];
        let asked = &mut self.asked[number];
        asked.answered = true;
        match answer {
            Ok(accepted) => {
                assert_eq!(accepted.ids.len(), asked.request.events.len());
                // What was found before a fail-over may be told after it, by a writer that has not noticed: it was acknowledged long ago.
                let earlier = self.lost[site].iter().filter(|_| accepted.replayed);
                let held = earlier.fold(ledger.held, |held, lost| held | lost.held);
                for (index, id) in (0..).zip(&accepted.ids) {
                    // An id in doubt may have been used twice: what this request was answered is the one that holds its events.
                    let written =
                        |truth: &Truth| truth.id == *id && truth.output == (number, index);
                    let mut stored = (0..self.events.len()).filter(|n| written(&self.events[*n]));
                    let here = stored.any(|n| held >> n & 1 == 1);
                    assert!(here, "I1: {id} answered, not stored");
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
        let filter = self.filters.told(edge);
        let ledger = &self.ledgers[self.topology.edges[edge].source];
        for received in &frame.events {
            let index = self.contents[&(received.event.id.clone(), received.digest)];
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
}

/// The request that an event belongs to.
pub fn request_of(payload: &[u8]) -> usize {
    let text = std::str::from_utf8(payload).expect("payloads are text");
    let number = text.split(' ').next().and_then(|n| n.parse().ok());
    number.expect("payloads begin with the number of their request")
}
