//! An older copy that comes back with its witness, and what peers then make of it: questions for proof, and answers.

use tidelog_core::{FrameEvent, Input, ProvenHead, SourceInput, StopReason, TargetInput, Witness};
use tidelog_model::{EventId, canonical};
use tidelog_store::{LogStore, VoidedId};

use super::{Message, World};
use crate::site::{Remembered, now};

impl World {
    /// Database and witness go back together: both are there, both agree, and something is missing.
    pub fn lose_unnoticed(&mut self, site: usize) -> bool {
        let here = &self.sites[site];
        if !self.loses_unnoticed || here.server || here.backups.is_empty() || self.unnoticed == 2 {
            return false;
        }
        let copies = here.backups.iter().enumerate();
        let missed = copies.filter(|(_, (_, copy))| self.oracle.is_missed(site, copy));
        let missed: Vec<_> = missed.map(|(number, _)| number).collect();
        // Mostly a copy without something that others hold, so that there is something to notice.
        let number = match missed.len() {
            0 if self.dice.chance(90) => return false,
            0 => self.dice.below(self.sites[site].backups.len()),
            some => missed[self.dice.below(some)],
        };
        self.crash(site);
        self.unnoticed += 1;
        // Two raises within a second could not be told apart without what the witness knew.
        self.now += 2_000_000;
        let here = &mut self.sites[site];
        here.zombie = None;
        here.standby = None;
        let Some(ledger) = here.restore(number, true) else {
            return false;
        };
        let state = here.state();
        here.witness = Some(Witness {
            incarnation: state.incarnation(),
            instance: None,
            clean_stop: None,
            committed: Some(ProvenHead {
                sequence: state.head,
                hash: state.hash,
            }),
            writer: None,
        });
        self.oracle
            .lose_unnoticed(site, ledger, state.incarnation());
        self.forget_readings(site);
        self.start_with(site, Remembered::default())
    }

    /// Nothing tells a reader of a loss of which nobody knows, and of what was written in one incarnation in two ways.
    pub(super) fn forget_readings(&mut self, site: usize) {
        for session in &mut self.sessions {
            session.readings.remove(&site);
        }
    }

    /// A peer's question has come to a target: the event asked for, or the nearest later one of its origin.
    pub(super) fn prove(&mut self, edge: usize, stream: u64, wanted: &EventId) {
        let target = self.topology.edges[edge].target;
        let rows = self.sites[target].read();
        let mut rows = rows.into_iter().filter(|stored| {
            let id = &stored.event.id;
            id.origin == wanted.origin && id.sequence >= wanted.sequence
        });
        let event = rows.next().map(|stored| FrameEvent {
            bytes: canonical::encode(&stored.event).len(),
            event: stored.event,
            digest: stored.digest,
        });
        self.links[edge]
            .messages
            .push(Message::Shown(stream, event));
    }

    pub(super) fn shown(&mut self, edge: usize, stream: u64, event: Option<FrameEvent>) {
        let source = self.topology.edges[edge].source;
        let process = self.sites[source].process.as_ref();
        let end = process.and_then(|p| p.sources.get(&edge));
        if end.is_some_and(|end| end.stream == stream) {
            self.show_view(source, edge);
            self.source_input(edge, SourceInput::Proof(event));
        }
    }

    /// A source was shown an event of its own that it does not hold.
    pub(super) fn loss_proven(&mut self, edge: usize, event: Box<FrameEvent>) {
        let site = self.topology.edges[edge].source;
        self.oracle.proven(site, &event.event.id);
        self.disconnect(edge);
        let process = self.sites[site].process.as_ref();
        // Whoever reports has judged by what was shown then.
        if process.is_some_and(|p| p.serving && p.writer.core().is_missing(&event)) {
            self.counts.add("a loss is noticed late");
            self.writer_input(site, Input::Stop(StopReason::LossProven(event)));
        }
    }

    /// Which of the ids that its source has taken back a target holds.
    pub(super) fn find_voided(&mut self, edge: usize, voided: &[VoidedId]) {
        let target = self.topology.edges[edge].target;
        let ids: Vec<EventId> = voided.iter().map(|v| v.id.clone()).collect();
        let rows = now(self.sites[target].store.find(&ids)).expect("memory can be read");
        let mut held = voided.iter().zip(rows);
        let held = held.find(|(v, row)| row.as_ref().is_some_and(|row| row.digest == v.digest));
        let held = held.map(|(voided, _)| voided.id.clone());
        if held.is_some() {
            self.counts.add("a target holds what was taken back");
        }
        self.target_input(edge, TargetInput::Voided(held));
    }

    /// An edge ends its stream and says why: until somebody acts, when it does so again and again.
    pub(super) fn stalls(&mut self, edge: usize) {
        assert!(
            self.oracle.may_stall(),
            "an edge is wedged: {:?}",
            self.reason(edge)
        );
        if !self.hostile {
            self.links[edge].stalls += 1;
            // Claims are looked into once an hour.
            self.now += 3_600_000_001;
        }
    }

    /// Why an edge does not run, as its target shows it.
    fn reason(&self, edge: usize) -> Option<(String, String)> {
        let target = self.topology.edges[edge].target;
        let process = self.sites[target].process.as_ref();
        let status = process.map(|p| p.targets[&edge].machine.status());
        status.map(|s| (s.reason.clone(), s.message.clone()))
    }

    /// Whether an edge has given up: then it shows a reason.
    pub fn stands_still(&self, edge: usize) -> bool {
        let still = self.links[edge].stalls >= super::STALLS_MAX;
        assert!(
            !still
                || self
                    .reason(edge)
                    .is_some_and(|(reason, _)| !reason.is_empty()),
            "O13: an edge stands still and does not say why"
        );
        still
    }
}
