//! What the edges let through, and since when. A plan changes a filter; the edges take it over one after the other, while everything runs.
//!
//! Contract, section 8: "the change is in force when every edge of the component reports it [...] Events that both filters admit reach every
//! location throughout; events written after it is in force follow the new filter exactly; an event written before and admitted by only one
//! of the two may be at any subset of locations, for good, and KV, Await, stability and deletion promise nothing for it. Order and
//! uniqueness always hold." An edge reports a filter from the moment in which its source evaluates nothing else any more. The same holds for an
//! export filter, whose edges are those that leave its location and whose events are those that were appended there.

use std::sync::Arc;

use tidelog_core::{Admission, EdgeFilter};
use tidelog_model::StoredEvent;

use crate::topology::{ALL, CLASSES, Edge, Topology, class_of};

/// What an edge evaluates: classes as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassFilter {
    pub link: u8,
    pub export: u8,
}

impl ClassFilter {
    pub fn passes(self, class: usize, appended_here: bool) -> bool {
        let bit = 1 << class;
        self.link & bit != 0 && (!appended_here || self.export & bit != 0)
    }
}

impl EdgeFilter for ClassFilter {
    fn admit(&self, stored: &StoredEvent) -> Admission {
        if self.passes(class_of(&stored.event.event_type), stored.appended_here) {
            Admission::Pass
        } else {
            Admission::Filtered
        }
    }
}

/// What has one filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A component of the graph, or one direction of a bridge.
    Group(usize),
    /// What is appended at a location.
    Export(usize),
}

/// A change that is not in force yet.
struct Change {
    place: Place,
    /// The classes that only one of the filters admits.
    classes: u8,
}

pub struct Filters {
    topology: Arc<Topology>,
    /// The plan, by edge.
    links: Vec<u8>,
    /// The plan, by location.
    exports: Vec<u8>,
    /// What the source of each edge evaluates.
    told: Vec<ClassFilter>,
    open: Vec<Change>,
    /// By location and class: the first of the events appended there about which nothing changed since.
    certain_from: Vec<[usize; CLASSES]>,
    links_change: bool,
    ever_changed: bool,
}

impl Filters {
    /// `links_change`: whether those of links may change in this run, and not those of exports alone.
    pub fn new(topology: Arc<Topology>, links_change: bool) -> Self {
        let links: Vec<_> = topology.edges.iter().map(|edge| edge.mask).collect();
        let exports = topology.exports.clone();
        let told = |edge: &Edge| ClassFilter {
            link: edge.mask,
            export: topology.exports[edge.source],
        };
        Self {
            told: topology.edges.iter().map(told).collect(),
            open: Vec::new(),
            certain_from: vec![[0; CLASSES]; exports.len()],
            links,
            exports,
            links_change,
            ever_changed: false,
            topology,
        }
    }

    /// What the plan has for an edge.
    pub fn planned(&self, edge: usize) -> ClassFilter {
        ClassFilter {
            link: self.links[edge],
            export: self.exports[self.topology.edges[edge].source],
        }
    }

    /// What the source of an edge evaluates.
    pub fn told(&self, edge: usize) -> ClassFilter {
        self.told[edge]
    }

    /// Whether the source of an edge still evaluates another filter than the plan has.
    pub fn is_behind(&self, edge: usize) -> bool {
        self.told[edge] != self.planned(edge)
    }

    /// The plan changes.
    pub fn change(&mut self, place: Place, mask: u8) {
        let edges = self.edges(place);
        let before = match place {
            Place::Group(_) => self.links[edges[0]],
            Place::Export(location) => self.exports[location],
        };
        match place {
            Place::Group(_) => edges.iter().for_each(|edge| self.links[*edge] = mask),
            Place::Export(location) => self.exports[location] = mask,
        }
        self.ever_changed = true;
        let classes = before ^ mask;
        match self.open.iter_mut().find(|change| change.place == place) {
            Some(change) => change.classes |= classes,
            None => self.open.push(Change { place, classes }),
        }
        assert!(
            self.topology.is_accepted_with(&self.links, &self.exports),
            "the planner refuses another filter on all of {place:?}"
        );
    }

    /// An edge takes over what the plan has.
    pub fn tell(&mut self, edge: usize) {
        self.told[edge] = self.planned(edge);
    }

    /// Which changes are in force by now. `written` events were written so far; edges that are not in the plan report nothing.
    /// `missing`: how many edges may be behind.
    pub fn settle(
        &mut self,
        written: usize,
        missing: usize,
        removed: impl Fn(usize) -> bool,
    ) -> usize {
        let mut open = std::mem::take(&mut self.open);
        let before = open.len();
        open.retain(|change| {
            let waits = |edge: &usize| !removed(*edge) && self.is_behind(*edge);
            let edges = self.edges(change.place);
            let in_force = edges.iter().filter(|edge| waits(edge)).count() <= missing;
            if in_force {
                self.certain_from_now(change, written);
            }
            !in_force
        });
        self.open = open;
        before - self.open.len()
    }

    fn certain_from_now(&mut self, change: &Change, written: usize) {
        let locations = match change.place {
            Place::Group(_) => 0..self.exports.len(),
            Place::Export(location) => location..location + 1,
        };
        for location in locations {
            for class in (0..CLASSES).filter(|class| change.classes >> class & 1 == 1) {
                self.certain_from[location][class] = written;
            }
        }
    }

    /// Whether the filters say where an event has to be: nothing has changed for it since it was written.
    pub fn is_certain(&self, location: usize, class: usize, number: usize) -> bool {
        let undecided = |change: &Change| {
            let concerned = match change.place {
                Place::Group(_) => true,
                Place::Export(at) => at == location,
            };
            concerned && change.classes >> class & 1 == 1
        };
        number >= self.certain_from[location][class] && !self.open.iter().any(undecided)
    }

    fn edges(&self, place: Place) -> Vec<usize> {
        match place {
            Place::Group(group) => self.topology.groups[group].clone(),
            Place::Export(location) => {
                let leaving = self.topology.edges.iter().enumerate();
                let leaving = leaving.filter(|(_, edge)| edge.source == location);
                leaving.map(|(number, _)| number).collect()
            }
        }
    }

    /// Whether a location that lost something gets back what ordinary replication brings (contract, section 7: "If an outgoing edge of the
    /// location is filtered, ordinary replication is not enough"). The same is true of an incoming one: it lets through an own event without
    /// those before it, and these are then dropped when they come back along another edge. What an export filter keeps back nobody else has.
    pub fn survives_a_loss(&self, location: usize) -> bool {
        let mut edges = self.topology.edges.iter().zip(&self.links);
        let elsewhere = |edge: &Edge| edge.source != location && edge.target != location;
        !self.links_change && edges.all(|(edge, link)| elsewhere(edge) || *link == ALL)
    }

    /// Nothing was ever kept back from anybody.
    pub fn none(&self) -> bool {
        let all = |masks: &[u8]| masks.iter().all(|mask| *mask == ALL);
        !self.ever_changed && all(&self.links) && all(&self.exports)
    }

    /// Whether a location lets events of this class out that were appended there.
    pub fn exports(&self, location: usize, class: usize) -> bool {
        self.exports[location] & 1 << class != 0
    }

    /// Whether an event of this class reaches a location from one of those that let it out.
    pub fn reaches(&self, holders: u16, class: usize, location: usize) -> bool {
        let (mut reached, wanted, bit) = (holders, 1 << location, 1 << class);
        loop {
            let before = reached;
            for (edge, link) in self.topology.edges.iter().zip(&self.links) {
                if reached >> edge.source & 1 == 1 && link & bit != 0 {
                    reached |= 1 << edge.target;
                }
            }
            if reached & wanted != 0 || reached == before {
                return reached & wanted != 0;
            }
        }
    }
}
