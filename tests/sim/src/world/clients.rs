//! Clients: what they append, try again and read.

use bytes::Bytes;
use tidelog_core::{AppendRequest, Input};
use tidelog_model::{Condition, NewEvent, Position};

use super::World;
use crate::oracle::Asked;
use crate::site::Waiting;

impl World {
    fn new_event(&mut self, number: usize, index: usize) -> NewEvent {
        let padding = if self.dice.chance(5) {
            2_000
        } else {
            self.dice.below(30)
        };
        NewEvent {
            event_type: format!("c{}", self.dice.below(3)),
            payload: Bytes::from(format!("{number} {}", "x".repeat(padding))),
            aggregate_id: format!("k{}", self.dice.below(3)),
            metadata: [("index".to_owned(), index.to_string())].into(),
            ..NewEvent::default()
        }
    }

    pub fn append(&mut self, site: usize) -> bool {
        if self.oracle.is_full() || self.sites[site].process.is_none() {
            return false;
        }
        let number = self.oracle.asked.len();
        let events = (0..=self.dice.below(3))
            .map(|i| self.new_event(number, i))
            .collect();
        let session = self
            .dice
            .chance(40)
            .then(|| self.dice.below(self.sessions.len()));
        let session = session.map(|s| self.sessions[s].clone());
        let head = self.sites[site].process.as_ref().map_or(0, |p| p.view.head);
        let condition = self.dice.chance(20).then(|| Condition {
            keys: vec!["k0".into()],
            types: Vec::new(),
            after: Position::new(tidelog_model::Incarnation(0), head),
        });
        let request = AppendRequest {
            events,
            request_id: if self.dice.chance(40) {
                format!("r{number}")
            } else {
                String::new()
            },
            context: session.as_ref().map(|s| s.context.clone()),
            condition,
        };
        self.oracle.asked.push(Asked {
            site,
            seen: session.map(|s| s.seen),
            request,
            retried: false,
            refused: false,
            unknown: false,
            answered: false,
        });
        self.ask(number);
        true
    }

    fn ask(&mut self, number: usize) {
        let asked = &self.oracle.asked[number];
        let (site, request) = (asked.site, asked.request.clone());
        if let Some(process) = &mut self.sites[site].process {
            let ticket = process.ticket(Waiting::Request(number));
            self.writer_input(site, Input::Append(ticket, request));
        }
    }

    /// Tries again what was asked under a request id and is not known to be refused.
    pub fn retry(&mut self) -> bool {
        if self.oracle.asked.is_empty() || self.oracle.is_full() {
            return false;
        }
        let number = self.dice.below(self.oracle.asked.len());
        let asked = &mut self.oracle.asked[number];
        if asked.refused || asked.request.request_id.is_empty() {
            return false;
        }
        asked.retried = true;
        self.ask(number);
        true
    }

    /// A session reads some of what is published somewhere, in order from the start or a single event.
    pub fn read(&mut self, site: usize) -> bool {
        let here = &self.sites[site];
        let process = here.process.as_ref();
        if process.is_none_or(|p| p.leased_in != here.generation) {
            return false;
        }
        let rows = here.read();
        if rows.is_empty() {
            return false;
        }
        let number = self.dice.below(self.sessions.len());
        let last = self.dice.below(rows.len());
        let first = if self.dice.chance(50) { 0 } else { last };
        for stored in &rows[first..=last] {
            let seen = self.oracle.closed(self.oracle.bit(stored));
            let session = &mut self.sessions[number];
            session.context.merge(&stored.event.vector_time());
            session.seen |= seen;
        }
        true
    }

    /// A session goes on reading a log where it was, however long ago.
    pub fn read_on(&mut self, site: usize) -> bool {
        let number = self.dice.below(self.sessions.len());
        let here = &self.sites[site];
        let Some(process) = &here.process else {
            return false;
        };
        if !process.serving || process.leased_in != here.generation {
            return false;
        }
        let seen = self.sessions[number].readings.get(&site);
        let (lineage, head) = (&process.view.lineage, process.view.head);
        let seen = self.oracle.read_on(site, seen, lineage, head);
        self.sessions[number].readings.insert(site, seen);
        true
    }
}
