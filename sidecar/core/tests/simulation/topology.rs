//! Who is linked to whom, and what the edges let through.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidelog_core::{Admission, EdgeFilter};
use tidelog_model::{LocationName, StoredEvent};

use crate::dice::Dice;

/// A filter is a set of classes as bits; the class of an event is its type: `c0`, `c1` or `c2`.
pub const ALL: u8 = 0b111;

pub fn class_of(event_type: &str) -> usize {
    event_type[1..].parse().expect("types are c0 to c2")
}

#[derive(Debug, Clone, Copy)]
pub struct Edge {
    pub source: usize,
    pub target: usize,
    pub mask: u8,
}

#[derive(Debug)]
pub struct Topology {
    pub shape: Shape,
    pub names: Vec<LocationName>,
    pub edges: Vec<Edge>,
    /// What of its own appends a location exports.
    pub exports: Vec<u8>,
}

/// What is known to be safe, and what may happen there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any directed graph without filters.
    Plain,
    /// Any directed graph, each location with an export filter.
    Exports,
    /// A tree whose edges have any filters, another one in each direction.
    Bridges,
    /// A triangle with one filter on all its edges, and bridges.
    Blocks,
}

impl Shape {
    /// Older copies beside filtered links need more than ordinary replication; with export filters alone they do not.
    pub fn survives_restores(self) -> bool {
        matches!(self, Self::Plain | Self::Exports)
    }
}

impl Topology {
    pub fn random(dice: &mut Dice) -> Self {
        let shape = [Shape::Plain, Shape::Exports, Shape::Bridges, Shape::Blocks][dice.below(4)];
        let least = if shape == Shape::Blocks { 3 } else { 2 };
        let n = least + dice.below(6 - least);
        let mut topology = Self {
            shape,
            names: (0..n)
                .map(|i| LocationName::new(&"abcde"[i..=i]).expect("a letter is a name"))
                .collect(),
            edges: Vec::new(),
            exports: vec![ALL; n],
        };
        match shape {
            Shape::Plain | Shape::Exports => topology.digraph(dice),
            Shape::Bridges => topology.tree(1, dice),
            Shape::Blocks => topology.blocks(dice),
        }
        if shape == Shape::Exports {
            topology.exports = (0..n).map(|_| mask(dice)).collect();
        }
        topology
    }

    fn digraph(&mut self, dice: &mut Dice) {
        let n = self.names.len();
        for i in 0..n {
            for j in 0..i {
                // The first earlier location is always linked, so that there is something to see.
                match dice.below(10) {
                    0..=4 => self.link(i, j, ALL, ALL),
                    5 => self.one_way(i, j, ALL),
                    6 => self.one_way(j, i, ALL),
                    _ if j == 0 => self.link(i, j, ALL, ALL),
                    _ => {}
                }
            }
        }
    }

    fn tree(&mut self, from: usize, dice: &mut Dice) {
        for i in from..self.names.len() {
            let parent = dice.below(i);
            match dice.below(6) {
                0 => self.one_way(parent, i, mask(dice)),
                1 => self.one_way(i, parent, mask(dice)),
                _ => {
                    let (there, back) = (mask(dice), mask(dice));
                    self.link(parent, i, there, back);
                }
            }
        }
    }

    fn blocks(&mut self, dice: &mut Dice) {
        let uniform = mask(dice);
        for (i, j) in [(1, 0), (2, 0), (2, 1)] {
            if dice.chance(20) {
                self.one_way(i, j, uniform);
            } else {
                self.link(i, j, uniform, uniform);
            }
        }
        self.tree(3, dice);
    }

    fn link(&mut self, a: usize, b: usize, there: u8, back: u8) {
        self.one_way(a, b, there);
        self.one_way(b, a, back);
    }

    fn one_way(&mut self, source: usize, target: usize, mask: u8) {
        self.edges.push(Edge {
            source,
            target,
            mask,
        });
    }

    /// Locations behind the source, seen from the target: its component of the undirected graph without the target.
    pub fn behind(&self, edge: Edge) -> BTreeSet<LocationName> {
        let mut found = vec![edge.source];
        let mut next = 0;
        while let Some(&at) = found.get(next) {
            next += 1;
            for e in &self.edges {
                for (from, to) in [(e.source, e.target), (e.target, e.source)] {
                    if from == at && to != edge.target && !found.contains(&to) {
                        found.push(to);
                    }
                }
            }
        }
        found.into_iter().map(|i| self.names[i].clone()).collect()
    }

    pub fn filter(&self, edge: Edge) -> Arc<ClassFilter> {
        Arc::new(ClassFilter {
            mask: edge.mask,
            export: self.exports[edge.source],
        })
    }

    /// Whether a location lets events of this class out that were appended there.
    pub fn exports(&self, location: usize, class: usize) -> bool {
        self.exports[location] & 1 << class != 0
    }

    /// For each location whether an event of this class reaches it from one of those that let it out.
    pub fn reach(&self, holders: &[usize], class: usize) -> Vec<bool> {
        let mut reached = vec![false; self.names.len()];
        for holder in holders {
            reached[*holder] = true;
        }
        let bit = 1 << class;
        let mut grew = true;
        while grew {
            grew = false;
            for e in &self.edges {
                if reached[e.source] && !reached[e.target] && e.mask & bit != 0 {
                    reached[e.target] = true;
                    grew = true;
                }
            }
        }
        reached
    }
}

fn mask(dice: &mut Dice) -> u8 {
    if dice.chance(25) {
        ALL
    } else {
        dice.below(usize::from(ALL) + 1) as u8
    }
}

pub struct ClassFilter {
    mask: u8,
    export: u8,
}

impl ClassFilter {
    pub fn passes(&self, class: usize, appended_here: bool) -> bool {
        let bit = 1 << class;
        self.mask & bit != 0 && (!appended_here || self.export & bit != 0)
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
