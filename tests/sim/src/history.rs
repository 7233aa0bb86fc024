//! A run written down: its graph and its operations by name. Unlike a seed it stays what it is when operations are added or drawn more
//! often, and a file of such runs is what the simulation has once found.
//!
//! ```text
//! # what it found
//! seed 17 graph a>b:7,b>a:5 exports 7,7
//!   3 append: a a>b
//!   9 copy a database: b b>a
//! ```
//! Within an operation the seed decides, by the number of its step.

use std::fmt;

use tidelog_model::LocationName;

use crate::step::{Chosen, OPERATIONS};
use crate::topology::{Edge, Topology};
use crate::world::World;

/// A run that was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// What it found, and when.
    pub title: String,
    /// Decides within the operations.
    pub seed: u64,
    locations: Vec<String>,
    /// Source, target and the classes that pass.
    edges: Vec<(usize, usize, u8)>,
    exports: Vec<u8>,
    steps: Vec<Chosen>,
    /// Operators keep witnesses.
    pub(crate) operated: bool,
}

impl History {
    pub(crate) fn of(seed: u64, world: &World) -> Self {
        let topology = &world.topology;
        let edges = topology.edges.iter();
        Self {
            title: String::new(),
            seed,
            locations: topology.names.iter().map(ToString::to_string).collect(),
            edges: edges.map(|e| (e.source, e.target, e.mask)).collect(),
            exports: topology.exports.clone(),
            steps: world.chosen.clone(),
            operated: world.operated,
        }
    }

    pub(crate) fn topology(&self) -> Topology {
        let names = self.locations.iter();
        let names = names.map(|name| LocationName::new(name).expect("it was parsed"));
        let edges = self.edges.iter();
        let edges = edges.map(|(source, target, mask)| Edge {
            source: *source,
            target: *target,
            mask: *mask,
        });
        Topology::told(names.collect(), edges.collect(), self.exports.clone())
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = Chosen> {
        self.steps.iter().copied()
    }

    /// Reads all histories of a text. An error names the line.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let mut histories: Vec<Self> = Vec::new();
        let mut title = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = |what: &str| format!("line {}: {what}: `{line}`", number + 1);
            if let Some(words) = line.strip_prefix('#') {
                title.push(words.trim());
            } else if line.starts_with("seed ") {
                let mut history = Self::parse_head(line).ok_or_else(|| {
                    wrong("give `seed 1 graph a>b:7,b>a:7 exports 7,7`, masks from 0 to 7")
                })?;
                history.title = std::mem::take(&mut title).join(" ");
                histories.push(history);
            } else if line.starts_with("  ") {
                let history = histories.last_mut();
                let history = history.ok_or_else(|| wrong("a step without a seed above it"))?;
                let step = history.parse_step(line).ok_or_else(|| {
                    wrong("give `  3 append: a a>b` with an operation of the simulation")
                })?;
                history.steps.push(step);
            } else if line.trim().is_empty() {
                title.clear();
            } else {
                return Err(wrong("neither a seed, nor a step, nor a remark"));
            }
        }
        Ok(histories)
    }

    fn parse_head(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [
            "seed",
            seed,
            "graph",
            graph,
            "exports",
            exports,
            ref more @ ..,
        ] = words[..]
        else {
            return None;
        };
        let operated = match more {
            [] => false,
            ["operated"] => true,
            _ => return None,
        };
        let mut locations: Vec<String> = Vec::new();
        let mut parsed = Vec::new();
        for edge in graph.split(',') {
            let (way, mask) = edge.split_once(':')?;
            let (source, target) = way.split_once('>')?;
            for name in [source, target] {
                LocationName::new(name).ok()?;
                locations.push(name.to_owned());
            }
            parsed.push((source, target, mask.parse().ok()?));
        }
        locations.sort();
        locations.dedup();
        let at = |name: &str| locations.iter().position(|l| l == name);
        let edges = parsed.into_iter();
        let edges = edges.map(|(source, target, mask)| Some((at(source)?, at(target)?, mask)));
        let edges = edges.collect::<Option<Vec<_>>>()?;
        let exports: Result<Vec<u8>, _> = exports.split(',').map(str::parse).collect();
        let exports = exports.ok().filter(|e| e.len() == locations.len())?;
        Some(Self {
            title: String::new(),
            seed: seed.parse().ok()?,
            edges,
            exports,
            steps: Vec::new(),
            operated,
            locations,
        })
    }

    fn parse_step(&self, line: &str) -> Option<Chosen> {
        let (number, rest) = line.trim().split_once(' ')?;
        let (name, place) = rest.split_once(": ")?;
        let (site, way) = place.split_once(' ')?;
        let (source, target) = way.split_once('>')?;
        let at = |name: &str| self.locations.iter().position(|l| l == name);
        let (source, target) = (at(source)?, at(target)?);
        let mut edges = self.edges.iter();
        Some(Chosen {
            number: number.parse().ok()?,
            operation: OPERATIONS.iter().position(|(n, ..)| *n == name)?,
            site: at(site)?,
            edge: edges.position(|e| (e.0, e.1) == (source, target))?,
        })
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |location: usize| &self.locations[location];
        let way = |edge: usize| {
            let (source, target, _) = self.edges[edge];
            format!("{}>{}", name(source), name(target))
        };
        let edges = (0..self.edges.len()).map(|e| format!("{}:{}", way(e), self.edges[e].2));
        let edges: Vec<_> = edges.collect();
        let exports: Vec<_> = self.exports.iter().map(ToString::to_string).collect();
        writeln!(f, "# {}", self.title)?;
        write!(f, "seed {} graph {}", self.seed, edges.join(","))?;
        let operated = if self.operated { " operated" } else { "" };
        writeln!(f, " exports {}{operated}", exports.join(","))?;
        for step in &self.steps {
            let (site, way) = (name(step.site), way(step.edge));
            let operation = OPERATIONS[step.operation].0;
            writeln!(f, "  {} {operation}: {site} {way}", step.number)?;
        }
        Ok(())
    }
}
