//! Who is linked to whom, and what the edges let through.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidelog_model::LocationName;
use tidelog_topology::{
    Application, Batch, EdgeId, ExportFilter, LagThreshold, Link, LinkFilter, Location, Log,
    OnError, Plan, Planner, PointDirection,
};

use crate::dice::Dice;

/// A filter is a set of classes as bits; the class of an event is its type: `c0`, `c1` or `c2`.
pub const ALL: u8 = 0b111;
pub const CLASSES: usize = 3;

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
    /// Edges that have one filter, as the planner says: those of a component, and each direction of a bridge alone.
    pub groups: Vec<Vec<usize>>,
    /// For each edge the locations behind its source, as the planner says.
    behind: Vec<Arc<BTreeSet<LocationName>>>,
}

/// What kind of graph it was drawn as.
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
    /// Any directed graph with a filter here and there, as far as the planner accepts it.
    Wild,
    /// The same, as the planner refuses it: what is lost there shows what the planner is for.
    Refused,
    /// Any that was written down.
    Told,
}

impl Shape {
    /// For the counts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "graph: any, no filters",
            Self::Exports => "graph: any, export filters",
            Self::Bridges => "graph: tree with any filters",
            Self::Blocks => "graph: uniform block and bridges",
            Self::Wild => "graph: filters strewn over it, accepted",
            Self::Refused => "graph: filters strewn over it, refused",
            Self::Told => "graph: of a history",
        }
    }
}

impl Topology {
    /// One that the planner accepts.
    pub fn accepted(dice: &mut Dice) -> Self {
        let shapes = [
            Shape::Plain,
            Shape::Exports,
            Shape::Bridges,
            Shape::Blocks,
            Shape::Wild,
        ];
        let shape = shapes[dice.below(shapes.len())];
        loop {
            let mut topology = Self::draw(shape, dice);
            let plan = topology.plan(&topology.masks(), &topology.exports);
            if plan.is_accepted() {
                topology.learn(&plan);
                return topology;
            }
            // Only where filters were strewn over a graph without a plan the planner may object.
            let errors: Vec<_> = plan.errors().map(|e| e.message.clone()).collect();
            assert_eq!(shape, Shape::Wild, "refused: {errors:?}");
        }
    }

    /// One that the planner refuses for what it would lose.
    pub fn refused(dice: &mut Dice) -> Self {
        loop {
            let mut topology = Self::draw(Shape::Refused, dice);
            let plan = topology.plan(&topology.masks(), &topology.exports);
            if !plan.is_accepted() {
                topology.learn(&plan);
                return topology;
            }
        }
    }

    /// One that was written down.
    pub fn told(names: Vec<LocationName>, edges: Vec<Edge>, exports: Vec<u8>) -> Self {
        let mut topology = Self {
            shape: Shape::Told,
            names,
            edges,
            exports,
            groups: Vec::new(),
            behind: Vec::new(),
        };
        let plan = topology.plan(&topology.masks(), &topology.exports);
        topology.learn(&plan);
        topology
    }

    fn draw(shape: Shape, dice: &mut Dice) -> Self {
        let least = if shape == Shape::Blocks { 3 } else { 2 };
        let most = if dice.chance(8) { 11 } else { 5 };
        let n = least + dice.below(most + 1 - least);
        let mut topology = Self {
            shape,
            names: (0..n)
                .map(|i| LocationName::new(&"abcdefghijk"[i..=i]).expect("a letter is a name"))
                .collect(),
            edges: Vec::new(),
            exports: vec![ALL; n],
            groups: Vec::new(),
            behind: Vec::new(),
        };
        match shape {
            Shape::Plain | Shape::Exports => topology.digraph(dice),
            Shape::Bridges => topology.tree(1, dice),
            Shape::Blocks => topology.blocks(dice),
            Shape::Wild | Shape::Refused | Shape::Told => topology.wild(dice),
        }
        if shape == Shape::Exports || dice.chance(20) {
            topology.exports = (0..n).map(|_| mask(dice)).collect();
        }
        topology
    }

    fn masks(&self) -> Vec<u8> {
        self.edges.iter().map(|edge| edge.mask).collect()
    }

    /// Whether the planner accepts other filters on the same graph.
    pub fn is_accepted_with(&self, links: &[u8], exports: &[u8]) -> bool {
        self.plan(links, exports).is_accepted()
    }

    /// What the planner of the product makes of it.
    fn plan(&self, masks: &[u8], exports: &[u8]) -> Plan {
        let location = |(i, name): (usize, &LocationName)| Location {
            name: name.to_string(),
            endpoint: None,
            export_filter: expression(exports[i]).map(|cel| ExportFilter {
                cel,
                on_error: OnError::Drop,
            }),
        };
        let log = Log {
            name: "log".into(),
            application: Application {
                name: "simulation".into(),
                version: "1".into(),
            },
            locations: self.names.iter().enumerate().map(location).collect(),
        };
        let link = |(i, edge): (usize, &Edge)| Link {
            name: format!("link-{i}"),
            topology: tidelog_topology::Topology::PointToPoint {
                source: self.names[edge.source].to_string(),
                target: self.names[edge.target].to_string(),
                direction: PointDirection::OneWay,
            },
            filters: expression(masks[i])
                .map(|cel| LinkFilter {
                    name: "classes".into(),
                    sources: None,
                    targets: None,
                    cel,
                    on_error: OnError::Drop,
                })
                .into_iter()
                .collect(),
            batch: Batch::default(),
            lag_threshold: LagThreshold::default(),
            paused: false,
        };
        let links: Vec<_> = self.edges.iter().enumerate().map(link).collect();
        Planner::new()
            .with_every_location_reachable()
            .plan(&log, &links)
    }

    fn learn(&mut self, plan: &Plan) {
        let number = |id: &EdgeId| {
            let is = |e: &Edge| {
                self.names[e.source].as_str() == id.source
                    && self.names[e.target].as_str() == id.target
            };
            let found = self.edges.iter().position(is);
            found.expect("the plan has these edges only")
        };
        let components = plan.components.iter().map(|c| c.edges.iter().map(number));
        let components = components.map(Iterator::collect);
        let bridges = plan.bridges.iter().flat_map(|b| b.edges.iter());
        let bridges = bridges.map(|id| vec![number(id)]);
        self.groups = components.chain(bridges).collect();
        let name = |text: &String| LocationName::new(text).expect("names came from here");
        let behind = |edge: &Edge| {
            let (source, target) = (&self.names[edge.source], &self.names[edge.target]);
            let planned = plan
                .edges
                .values()
                .find(|e| e.source == source.as_str() && e.target == target.as_str());
            let planned = planned.expect("the plan has each edge");
            let behind: BTreeSet<_> = planned.behind.iter().map(name).collect();
            assert_eq!(behind, self.component_behind(*edge), "behind {edge:?}");
            Arc::new(behind)
        };
        self.behind = self.edges.iter().map(behind).collect();
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

    /// Filters strewn over any graph: often one for all, so that the planner may accept it.
    fn wild(&mut self, dice: &mut Dice) {
        self.digraph(dice);
        let often = mask(dice);
        for edge in &mut self.edges {
            edge.mask = match dice.below(10) {
                0..=5 => often,
                6..=8 => ALL,
                _ => mask(dice),
            };
        }
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

    /// Locations behind the source of an edge, as the planner wrote them into it.
    pub fn behind(&self, edge: usize) -> Arc<BTreeSet<LocationName>> {
        Arc::clone(&self.behind[edge])
    }

    /// The same by the words of the contract: its component of the undirected graph without the target.
    fn component_behind(&self, edge: Edge) -> BTreeSet<LocationName> {
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
}

/// The classes of a mask as the planner reads them; nothing when all pass.
fn expression(mask: u8) -> Option<String> {
    let classes = (0..3).filter(|class| mask >> class & 1 == 1);
    let classes: Vec<_> = classes
        .map(|class| format!("event.type == 'c{class}'"))
        .collect();
    match classes.len() {
        0 => Some("false".into()),
        3 => None,
        _ => Some(classes.join(" || ")),
    }
}

pub fn mask(dice: &mut Dice) -> u8 {
    if dice.chance(25) {
        ALL
    } else {
        dice.below(usize::from(ALL) + 1) as u8
    }
}
