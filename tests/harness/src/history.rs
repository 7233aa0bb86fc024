//! A finished run, ready to be judged: the journal, what every location shows at the end, and who may get what from whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::journal::Pages;
use crate::record::{Dump, Fact, Id};

/// Whether an edge lets an event pass; written anew in Rust for each test, the product's filters are not asked.
pub type Admits = Arc<dyn Fn(&Fact) -> bool + Send + Sync>;

/// One direction of a link.
#[derive(Clone)]
pub struct Edge {
    /// Events flow from here.
    pub source: String,
    /// Events flow to here.
    pub target: String,
    /// What passes.
    pub admits: Admits,
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source, self.target)
    }
}

/// Who may get what from whom.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// The edges in force at the end.
    pub edges: Vec<Edge>,
    /// Edges that were in force at some time: what they let pass was allowed to.
    pub former: Vec<Edge>,
    /// Tags of events for which a change of filters or links leaves open where they are.
    pub excused: BTreeSet<String>,
}

impl Topology {
    /// Adds an edge that lets everything pass.
    pub fn edge(&mut self, source: &str, target: &str) -> &mut Self {
        self.filtered(source, target, Arc::new(|_| true))
    }

    /// Adds an edge that lets some events pass.
    pub fn filtered(&mut self, source: &str, target: &str, admits: Admits) -> &mut Self {
        self.edges.push(Edge {
            source: source.to_owned(),
            target: target.to_owned(),
            admits,
        });
        self
    }

    /// Where an event belongs when these hold it: the closure along the edges that admit it.
    pub fn reach<'a>(
        edges: &[&'a Edge],
        from: &BTreeSet<&'a str>,
        fact: &Fact,
    ) -> BTreeSet<&'a str> {
        let mut reached = from.clone();
        let mut queue: VecDeque<&str> = from.iter().copied().collect();
        while let Some(here) = queue.pop_front() {
            for edge in edges.iter().filter(|edge| edge.source == here) {
                if (edge.admits)(fact) && reached.insert(&edge.target) {
                    queue.push_back(&edge.target);
                }
            }
        }
        reached
    }

    /// What is missing where, if the locations hold these events: location, event, who holds it.
    pub fn missing(
        &self,
        held: &BTreeMap<String, BTreeMap<&Id, &Fact>>,
    ) -> Vec<(String, Fact, String)> {
        let edges: Vec<&Edge> = self.edges.iter().collect();
        let mut holders: BTreeMap<&Id, (BTreeSet<&str>, &Fact)> = BTreeMap::new();
        for (location, facts) in held {
            for (&id, &fact) in facts {
                holders
                    .entry(id)
                    .or_insert_with(|| (BTreeSet::new(), fact))
                    .0
                    .insert(location);
            }
        }
        let mut missing = Vec::new();
        for (at, fact) in holders.values() {
            if at.len() == held.len() || self.excused.contains(&fact.tag) {
                continue;
            }
            for location in Self::reach(&edges, at, fact) {
                if held.contains_key(location) && !at.contains(location) {
                    let holders: Vec<&str> = at.iter().copied().collect();
                    missing.push((location.to_owned(), (*fact).clone(), holders.join(", ")));
                }
            }
        }
        missing
    }
}

/// A finished run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What was written down.
    pub pages: Pages,
    /// What each location shows at the end, after quiescence.
    pub dumps: BTreeMap<String, Dump>,
    /// Who may get what from whom.
    pub topology: Topology,
}
