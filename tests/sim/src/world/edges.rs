//! Edges: what their ends say to each other, and what the network makes of it.

use std::sync::Arc;

use tidelog_core::{SourceEffect, SourceInput, TargetEffect, TargetInput, Work};

use super::{FiltersChange, Message, World};
use crate::filters::Place;
use crate::run::More;
use crate::site::{Lookup, Waiting};
use crate::topology::mask;

impl World {
    /// Whoever drives an edge notices that a writer at one of its ends is no more.
    pub fn close(&mut self, edge: usize) -> bool {
        let due = self.links[edge].close_due;
        if due {
            self.disconnect(edge);
        }
        due
    }

    pub fn connect(&mut self, edge: usize) -> bool {
        let e = self.topology.edges[edge];
        let link = &self.links[edge];
        let ready = self.serving(e.source) && self.serving(e.target) && !self.works_for(edge);
        let still = link.stalls >= super::STALLS_MAX;
        if link.up || link.paused || link.removed || still || !ready {
            return false;
        }
        let link = &mut self.links[edge];
        link.up = true;
        link.connection += 1;
        let stream = self.dice.id();
        // The epoch before the view, so that it is never newer than what is declared.
        if let Some(process) = &mut self.sites[e.target].process
            && let Some(end) = process.targets.get_mut(&edge)
            && end.epoch != process.epoch
        {
            end.epoch = process.epoch;
            end.machine.writer_changed();
        }
        self.show_view(e.target, edge);
        self.target_input(edge, TargetInput::Connected(stream));
        true
    }

    pub fn pause(&mut self, edge: usize) -> bool {
        let paused = self.links[edge].paused;
        self.links[edge].paused = !paused;
        if !paused {
            self.disconnect(edge);
        }
        true
    }

    /// The plan has another filter: on a component, on one direction of a bridge, or on what a location exports.
    pub fn change_filter(&mut self, site: usize, edge: usize) -> bool {
        let place = match self.filters_change {
            FiltersChange::Never => return false,
            FiltersChange::All if self.dice.chance(70) => {
                let mut groups = self.topology.groups.iter();
                let group = groups.position(|group| group.contains(&edge));
                Place::Group(group.expect("every edge is in a component or a bridge"))
            }
            FiltersChange::All | FiltersChange::Exports => Place::Export(site),
        };
        let mask = mask(&mut self.dice);
        self.trace
            .say(|| format!("  {place:?} lets through {mask:03b}"));
        self.oracle.filters.change(place, mask);
        true
    }

    /// The source of an edge takes the filter of the plan over: its stream ends, and the other end learns of that later.
    pub fn tell_filter(&mut self, edge: usize) -> bool {
        let behind = (0..self.links.len()).filter(|e| self.oracle.filters.is_behind(*e));
        let edge = self.prefer(edge, behind.collect());
        let (site, filters) = (self.topology.edges[edge].source, &mut self.oracle.filters);
        if !filters.is_behind(edge) || self.links[edge].removed {
            return false;
        }
        let Some(process) = &mut self.sites[site].process else {
            return false;
        };
        filters.tell(edge);
        let told = filters.told(edge);
        self.trace.say(|| format!("  edge {edge}: {told:?}"));
        let view = Arc::clone(&process.view);
        let config = self.source_config(edge);
        let process = self.sites[site].process.as_mut();
        if let Some(end) = process.and_then(|p| p.sources.get_mut(&edge)) {
            end.lookup = None;
            end.machine.reconfigure(config);
            end.machine.handle(SourceInput::View(view), self.now);
        }
        self.links[edge].close_due |= self.links[edge].up;
        true
    }

    /// Changes that every edge has reported are in force from now on.
    pub fn settle_filters(&mut self) {
        let (oracle, links) = (&mut self.oracle, &self.links);
        let written = oracle.written();
        let missing = usize::from(oracle.more == Some(More::FiltersEarly));
        let removed = |edge: usize| links[edge].removed;
        for _ in 0..oracle.filters.settle(written, missing, removed) {
            self.counts.add("a filter is in force");
        }
    }

    /// The writer has not answered for all that streams of the edge gave it: the next one starts at what it will have left.
    fn works_for(&self, edge: usize) -> bool {
        let target = self.topology.edges[edge].target;
        let process = self.sites[target].process.as_ref();
        process.is_some_and(|p| p.waiting.values().any(|w| w.is_for(edge)))
    }

    pub fn disconnect(&mut self, edge: usize) -> bool {
        let link = &mut self.links[edge];
        if !std::mem::take(&mut link.up) {
            return false;
        }
        link.close_due = false;
        link.connection += 1;
        let lost = std::mem::take(&mut link.messages);
        if self.hostile {
            let (held, counts) = (&mut link.held, &mut self.counts);
            for message in lost {
                if self.dice.chance(20) {
                    counts.add("fault: message held over a connection");
                    held.push(message);
                } else {
                    counts.add("fault: message lost with a connection");
                }
            }
        }
        let e = self.topology.edges[edge];
        if let Some(process) = &mut self.sites[e.source].process
            && let Some(end) = process.sources.get_mut(&edge)
        {
            end.lookup = None;
            end.machine.disconnected();
        }
        self.target_input(edge, TargetInput::Disconnected("simulated".into()));
        true
    }

    pub fn source_input(&mut self, edge: usize, input: SourceInput) {
        let site = self.topology.edges[edge].source;
        let time = self.time_at(site);
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        let Some(end) = process.sources.get_mut(&edge) else {
            return;
        };
        let effects = end.machine.handle(input, time);
        for effect in effects {
            self.source_effect(edge, effect);
        }
    }

    fn source_effect(&mut self, edge: usize, effect: SourceEffect) {
        let site = self.topology.edges[edge].source;
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        let Some(end) = process.sources.get_mut(&edge) else {
            return;
        };
        match effect {
            SourceEffect::NeedHash(position) => end.lookup = Some(Lookup::Hash(position)),
            SourceEffect::Read { after, to } => end.lookup = Some(Lookup::Read { after, to }),
            SourceEffect::Opened(opened) => {
                self.oracle
                    .opened(edge, opened.stream, opened.position, opened.hash);
                self.links[edge].messages.push(Message::Opened(opened));
            }
            SourceEffect::Refused(refused) => {
                self.links[edge].messages.push(Message::Refused(refused));
            }
            SourceEffect::Frame(frame) => {
                self.oracle.sent(edge, &frame);
                self.links[edge].messages.push(Message::Frame(frame));
            }
            SourceEffect::Close(_) => {
                self.disconnect(edge);
            }
            SourceEffect::AskProof(question) => {
                self.oracle.proven(site, &question);
                let stream = end.stream;
                self.links[edge]
                    .messages
                    .push(Message::Wanted(stream, question));
            }
            SourceEffect::LossProven(event) => self.loss_proven(edge, event),
        }
    }

    pub fn look(&mut self, edge: usize) -> bool {
        let site = self.topology.edges[edge].source;
        let there = self.sites[site].generation;
        let Some(process) = &mut self.sites[site].process else {
            return false;
        };
        let elsewhere = process.leased_in != there;
        let end = process.sources.get_mut(&edge);
        let Some(lookup) = end.and_then(|end| end.lookup.take()) else {
            return false;
        };
        if elsewhere {
            // A store reads nothing from another database than the one in which the lease was taken; whoever drives an edge begins anew.
            return self.disconnect(edge);
        }
        let input = self.sites[site].look(&lookup, &mut self.dice);
        self.source_input(edge, input);
        true
    }

    pub fn target_input(&mut self, edge: usize, input: TargetInput) {
        let site = self.topology.edges[edge].target;
        let time = self.time_at(site);
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        let Some(end) = process.targets.get_mut(&edge) else {
            return;
        };
        let effects = end.machine.handle(input, time);
        for effect in effects {
            self.target_effect(edge, effect);
        }
    }

    fn target_effect(&mut self, edge: usize, effect: TargetEffect) {
        let e = self.topology.edges[edge];
        let connection = self.links[edge].connection;
        let Some(process) = &mut self.sites[e.target].process else {
            return;
        };
        let epoch = process.targets[&edge].epoch;
        match effect {
            TargetEffect::Open(open) => {
                self.oracle.opens(open.stream, &open.application_version);
                self.links[edge].messages.push(Message::Open(open));
            }
            TargetEffect::Credit(credit) => self.links[edge].messages.push(Message::Credit(credit)),
            TargetEffect::Apply(work) => {
                let ticket = process.ticket(Waiting::Frame { edge, connection });
                process.inbox.push_back((epoch, ticket, Work::Frame(work)));
            }
            TargetEffect::GoBack(progress) => {
                let ticket = process.ticket(Waiting::GoBack { edge, connection });
                let source = self.topology.names[e.source].clone();
                let work = Work::GoBack(source, progress);
                process.inbox.push_back((epoch, ticket, work));
            }
            TargetEffect::FindVoided(voided) => self.find_voided(edge, &voided),
            TargetEffect::Close(_, _) => {
                let status = process.targets[&edge].machine.status();
                let reason = status.reason.as_str();
                if !matches!(
                    reason,
                    "" | "SourceReset" | "StorageUnavailable" | "NotReady" | "NoProgress"
                ) {
                    self.stalls(edge);
                }
                self.disconnect(edge);
            }
        }
    }

    /// Brings one message to its end. Hostile networks choose any, lose, double, and bring what they held back of earlier connections.
    pub fn deliver(&mut self, edge: usize) -> bool {
        let link = &mut self.links[edge];
        if self.hostile && !link.held.is_empty() && self.dice.chance(10) {
            let number = self.dice.below(link.held.len());
            let message = link.held.swap_remove(number);
            self.counts
                .add("fault: message of an earlier time delivered");
            self.hand_over(edge, message);
            return true;
        }
        if link.messages.is_empty() {
            return false;
        }
        let number = if self.hostile && self.dice.chance(15) {
            self.dice.below(link.messages.len())
        } else {
            0
        };
        let message = link.messages.remove(number);
        if number > 0 {
            self.counts.add("fault: message delivered out of order");
        }
        if self.hostile {
            if self.dice.chance(3) {
                self.counts.add("fault: message lost");
                return true;
            }
            if self.dice.chance(5) {
                self.counts.add("fault: message doubled");
                link.held.push(message.clone());
            }
        }
        self.hand_over(edge, message);
        true
    }

    fn hand_over(&mut self, edge: usize, message: Message) {
        self.delivered += 1;
        self.trace.add((edge, message.kind()));
        self.trace.say(|| message.to_string());
        match message {
            Message::Open(open) => {
                // What a peer claims is judged by the log as it is now.
                self.show_view(self.topology.edges[edge].source, edge);
                let source = self.topology.edges[edge].source;
                let process = self.sites[source].process.as_mut();
                if let Some(end) = process.and_then(|p| p.sources.get_mut(&edge)) {
                    end.stream = open.stream;
                }
                self.source_input(edge, SourceInput::Open(open));
            }
            Message::Credit(credit) => self.source_input(edge, SourceInput::Credit(credit)),
            Message::Opened(opened) => self.target_input(edge, TargetInput::Opened(opened)),
            Message::Refused(refused) => self.target_input(edge, TargetInput::Refused(refused)),
            Message::Frame(frame) => self.target_input(edge, TargetInput::Frame(frame)),
            Message::Wanted(stream, id) => self.prove(edge, stream, &id),
            Message::Shown(stream, event) => self.shown(edge, stream, event),
        }
    }
}
