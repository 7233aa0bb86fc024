//! Losses that are noticed late: an older copy came back together with its witness, so that nothing at the location tells.
//!
//! Contract, section 7, "Peers check afterwards (best effort [...])": then "stop, raise, and in one transaction void the own rows above the last
//! proven position and append them again under the new incarnation [...]; the voided ids with digests are published with the raise, never
//! stored again, and a location that holds one stalls with `IDENTITY_REUSED` for a person. Order and uniqueness of what followed a suspect id are
//! not guaranteed; nothing is silent where the digest is seen". So everything is judged as ever but for what had seen a suspect id, and for
//! what that has seen: it may have come first, and then the vector covers what is still to come.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use tidelog_model::{Digest, EventId, Incarnation, StoredEvent};
use tidelog_store::{Raise, VoidedId};

use super::{Ledger, Oracle, Set, Truth, request_of};
use crate::topology::class_of;

/// What is in doubt.
pub struct Doubt {
    /// Incarnations in which a location has lost ids and goes on, should it be in one of them: also again, when a raise is lost as well.
    sites: Vec<BTreeSet<Incarnation>>,
    /// Ids that may have got two contents.
    suspects: HashSet<EventId>,
    /// What is suspect, or had seen something that is.
    pub(super) events: Set,
    /// What had been seen by those.
    pub(super) seen: Set,
    ever: bool,
    /// The incarnation that each location is in.
    current: Vec<Incarnation>,
    /// How many rows each location has had in an incarnation: what peers may have read of it.
    longest: Vec<BTreeMap<Incarnation, usize>>,
    /// Those that raised for another reason before the loss was proven: the base of that raise may be above where the histories have parted.
    parted: Vec<bool>,
}

impl Doubt {
    pub fn new(sites: usize) -> Self {
        Self {
            sites: vec![BTreeSet::new(); sites],
            suspects: HashSet::new(),
            events: 0,
            seen: 0,
            ever: false,
            current: vec![Incarnation(1); sites],
            longest: vec![BTreeMap::new(); sites],
            parted: vec![false; sites],
        }
    }

    /// Whether an id may be used for two events.
    pub(super) fn is_suspect(&self, id: &EventId) -> bool {
        self.suspects.contains(id)
    }

    pub(super) fn holds(&self, number: usize) -> bool {
        self.events >> number & 1 == 1
    }

    /// A copy of this incarnation is about to take the place of so many rows. A raise may tell of it; an even older copy that is put back with its witness
    /// knows nothing of that raise.
    pub(super) fn replaced(&mut self, site: usize, rows: usize, by: Incarnation) {
        let incarnation = std::mem::replace(&mut self.current[site], by);
        let longest = self.longest[site].entry(incarnation).or_default();
        *longest = rows.max(*longest);
    }

    /// Whether a location that goes on from so many rows gives positions a second meaning. A late raise can be lost again, before the witness knew of
    /// it, together with the proof.
    pub(super) fn is_ambiguous(&self, site: usize, rows: usize) -> bool {
        let longest = self.longest[site].get(&self.current[site]);
        self.ever && longest.is_some_and(|longest| rows < *longest)
    }

    /// A new event was written.
    pub(super) fn written(&mut self, site: usize, number: usize, past: Set) {
        if self.sites[site].contains(&self.current[site]) || past & self.events != 0 {
            self.events |= 1 << number;
            self.seen |= past;
        }
    }
}

impl Ledger {
    /// What was taken back is never stored again.
    pub(super) fn never_again(&self, id: &EventId, digest: Digest) {
        let stored = VoidedId {
            id: id.clone(),
            digest,
        };
        assert!(
            !self.voided.contains(&stored),
            "{id} was taken back here and is stored again"
        );
    }
}

impl Oracle {
    /// Whether edges may stall for a person.
    pub fn may_stall(&self) -> bool {
        self.doubt.ever
    }

    /// Whether a copy lacks an event of its own location that another one holds.
    pub fn is_missed(&self, site: usize, copy: &Ledger) -> bool {
        let others = self.ledgers.iter().enumerate();
        let others = others.filter(|(other, _)| *other != site);
        let held = others.fold(0, |held, (_, ledger)| held | ledger.held);
        let missing = held & self.ledgers[site].held & !copy.held;
        let own =
            |(number, truth): (usize, &Truth)| missing >> number & 1 == 1 && truth.home == site;
        self.events.iter().enumerate().any(own)
    }

    /// An older copy came back, and the location is about to go on as if nothing had happened.
    pub fn lose_unnoticed(&mut self, site: usize, ledger: Ledger, incarnation: Incarnation) {
        // Also what was lost before, and is about to be written a second time.
        let gone = self.shown & !ledger.held;
        let rows = ledger.rows.len();
        self.restore(site, ledger, incarnation);
        self.doubt.ever = true;
        self.ledgers[site].ambiguous |= self.doubt.is_ambiguous(site, rows);
        for (number, truth) in self.events.iter().enumerate() {
            let again = truth.home == site && truth.id.origin.incarnation >= incarnation;
            if gone >> number & 1 == 1 && again {
                self.doubt.suspects.insert(truth.id.clone());
                self.doubt.events |= 1 << number;
                self.doubt.sites[site].insert(incarnation);
            }
        }
        self.spread();
    }

    /// A location goes on as before a writer of which nobody knew: what that one wrote is gone together with the one place that knew of it. No id is used
    /// for two events, since that writer had an incarnation of its own; but what it wrote is noticed late.
    pub fn lose_unrecorded(&mut self, site: usize, after: Incarnation) {
        self.doubt.ever = true;
        let held = self.ledgers[site].held;
        for (number, truth) in self.events.iter().enumerate() {
            let lost = truth.home == site && truth.id.origin.incarnation > after;
            if lost && held >> number & 1 == 0 {
                self.doubt.events |= 1 << number;
            }
        }
        self.doubt.sites[site].insert(after);
        self.spread();
    }

    /// Doubt goes to everything that had seen something in doubt.
    fn spread(&mut self) {
        for (number, truth) in self.events.iter().enumerate() {
            if truth.past & self.doubt.events != 0 {
                self.doubt.events |= 1 << number;
            }
            if self.doubt.holds(number) {
                self.doubt.seen |= truth.past;
            }
        }
        for site in 0..self.ledgers.len() {
            let mut ledger = std::mem::take(&mut self.ledgers[site]);
            self.relearn(&mut ledger);
            self.ledgers[site] = ledger;
        }
    }

    /// What the order of a log depends on: what was seen by everything in it that is beyond doubt.
    pub(super) fn relearn(&self, ledger: &mut Ledger) {
        let sure = ledger.rows.iter().filter(|(i, _)| !self.doubt.holds(*i));
        ledger.known = sure.fold(0, |known, (i, _)| known | self.events[*i].past);
    }

    /// A writer was told that it has lost something.
    pub fn proven(&self, site: usize, event: &EventId) {
        assert!(
            self.doubt.ever,
            "{} raises for {event}, and nothing was lost unnoticed",
            self.topology.names[site]
        );
    }

    /// A location has raised; from now on its ids are its own. A late raise goes back to where both histories are the same for sure, another
    /// one does not know of a second history.
    pub fn raised(&mut self, site: usize, late: bool, to: Incarnation) {
        self.doubt.replaced(site, self.ledgers[site].rows.len(), to);
        let ambiguous = std::mem::take(&mut self.ledgers[site].ambiguous);
        self.doubt.parted[site] |= ambiguous && !late;
    }

    /// What a target goes past because it took the base of such a raise for shared.
    pub(super) fn is_passed_over(&mut self, source: usize, number: usize) -> bool {
        if self.doubt.parted[source] {
            self.doubt.seen |= 1 << number;
        }
        self.doubt.parted[source]
    }

    /// What was above the base is written anew.
    pub fn rewritten(&mut self, site: usize, raise: &Raise) {
        let rewrite = raise.rewrite.as_ref().expect("a late raise rewrites");
        let before = self.ledgers[site].clone();
        let proven = rewrite.after as usize;
        let mut ledger = Ledger::default();
        for (number, here) in &before.rows[..proven] {
            ledger.push(*number, *here, &self.events[*number]);
        }
        ledger.voided.clone_from(&before.voided);
        ledger.voided.extend(rewrite.voided.iter().cloned());
        self.restored = true;
        for stored in &rewrite.events {
            let content = (stored.event.id.clone(), stored.digest);
            let number = match self.contents.get(&content) {
                Some(number) => *number,
                None => self.reborn(site, stored, &before),
            };
            ledger.push(number, stored.appended_here, &self.events[number]);
        }
        // What was taken back may be of an incarnation before the one that was lost unnoticed, where a fail-over has brought that back: it is in doubt
        // as well, and so is what had seen it.
        self.spread();
        self.relearn(&mut ledger);
        assert_eq!(
            rewrite.version_vector, ledger.vector,
            "I5: VV of a late raise"
        );
        let last = ledger.chain.last().copied().unwrap_or_default();
        assert_eq!(rewrite.hash, last, "the chain of a late raise");
        assert!(
            rewrite.covered_vector.covers(&rewrite.version_vector),
            "I5: KV of a late raise"
        );
        self.ledgers[site] = ledger;
        self.lost[site].push(before);
    }

    /// An own event under its new name.
    fn reborn(&mut self, site: usize, stored: &StoredEvent, before: &Ledger) -> usize {
        let event = &stored.event;
        let index = event.metadata["index"].parse().expect("a number");
        let output = (request_of(&event.payload), index);
        let mut rows = before.rows.iter();
        let old = rows.find(|(i, here)| *here && self.events[*i].output == output);
        let old = old
            .expect("only what was appended here is appended again")
            .0;
        let number = self.events.len();
        assert!(
            self.by_id.insert(event.id.clone(), number).is_none(),
            "I9: {} is used for two events",
            event.id
        );
        self.contents
            .insert((event.id.clone(), stored.digest), number);
        let past = self.events[old].past;
        self.events.push(Truth {
            id: event.id.clone(),
            event: Arc::clone(event),
            narrow: self.events[old].narrow,
            digest: stored.digest,
            past,
            class: class_of(&event.event_type),
            home: site,
            output,
        });
        self.doubt.events |= 1 << number | 1 << old;
        self.doubt.seen |= past;
        number
    }

    /// "A location that holds one stalls": what was taken back at a source is not behind a running stream.
    pub(super) fn holds_what_was_voided(&self, source: usize, target: usize) -> Option<&EventId> {
        let rows = self.ledgers[target]
            .rows
            .iter()
            .map(|(i, _)| &self.events[*i]);
        let mut taken_back = rows.filter(|truth| {
            let id = VoidedId {
                id: truth.id.clone(),
                digest: truth.digest,
            };
            self.ledgers[source].voided.contains(&id)
        });
        taken_back.next().map(|truth| &truth.id)
    }
}
