//! A concrete way to lose an event in a component whose edges admit different events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::filters::Filters;
use crate::plan::{Edge, EdgeId, Predicate};

/// Event 1 is refused somewhere on the fast path and admitted all along the slow one; event 2 is admitted everywhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LostEvent {
    pub origin: String,
    pub target: String,
    pub predicate: String,
    /// The edge that refuses event 1, when the same expression admits it on other edges.
    pub local_to: Option<EdgeId>,
    pub slow: Vec<String>,
    pub fast: Vec<String>,
}

/// What the search for an example ended with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Search {
    Found(LostEvent),
    /// No two directed paths of the component differ: certain.
    Nothing,
    /// No example among the paths tried. Whether a path without repetition leads over a given edge is NP-complete in a directed
    /// graph, so in a large component with edges that run one way only the search is bounded.
    GaveUp,
}

/// Extensions of a path that one search tries before it gives up; a component of ten locations needs some hundred.
const BUDGET: usize = 20_000;

/// An example as short as is easily found.
///
/// For each filter and each edge that carries it: event 1 needs a path around all edges that refuse it, event 2 takes a path
/// over this edge. Where both end, event 2 can be first.
pub(crate) fn lost_event(edges: &[&Edge], compiled: &Filters) -> Search {
    let locations: BTreeSet<&str> = edges
        .iter()
        .flat_map(|edge| [edge.source.as_str(), edge.target.as_str()])
        .collect();
    let every_way = Ways::new(edges.iter().copied());
    let mut best: Option<LostEvent> = None;
    let mut budget = BUDGET;
    'edges: for refusing in edges {
        for predicate in refusing.predicates() {
            let local = compiled.is_local(predicate);
            let refused = |edge: &Edge| {
                if local {
                    edge.id() == refusing.id()
                } else {
                    carries(edge, predicate)
                }
            };
            let admitting = Ways::new(edges.iter().copied().filter(|edge| !refused(edge)));
            // The two ends of the edge itself first: that is the example that explains most.
            let near = (refusing.source.as_str(), refusing.target.as_str());
            let all = locations
                .iter()
                .flat_map(|o| locations.iter().map(move |t| (*o, *t)));
            for (origin, target) in std::iter::once(near).chain(all) {
                if origin == target {
                    continue;
                }
                let Some(slow) = admitting.path(origin, target, &[]) else {
                    continue;
                };
                let Some(fast) = every_way.path_over(origin, refusing, target, &mut budget) else {
                    continue;
                };
                let shorter = best
                    .as_ref()
                    .is_none_or(|best| slow.len() + fast.len() < best.slow.len() + best.fast.len());
                if shorter {
                    best = Some(LostEvent {
                        origin: origin.to_owned(),
                        target: target.to_owned(),
                        predicate: predicate.cel.clone(),
                        local_to: local.then(|| refusing.id()),
                        slow,
                        fast,
                    });
                }
                if (origin, target) == near {
                    break;
                }
            }
            if best
                .as_ref()
                .is_some_and(|best| best.fast.len() == 2 && best.slow.len() == 3)
            {
                break 'edges; // Nothing is shorter than one edge against two.
            }
        }
    }
    match best {
        Some(best) => Search::Found(best),
        None if budget == 0 => Search::GaveUp,
        None => Search::Nothing,
    }
}

fn carries(edge: &Edge, predicate: &Predicate) -> bool {
    edge.predicates().any(|other| other == predicate)
}

/// Directed edges by source.
struct Ways<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

impl<'a> Ways<'a> {
    fn new(edges: impl Iterator<Item = &'a Edge>) -> Self {
        let mut ways: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for edge in edges {
            ways.entry(&edge.source).or_default().insert(&edge.target);
        }
        Self(ways)
    }

    /// A path from `from` to `to` that takes `edge` and touches no location twice: a shortest way to the edge and a shortest rest
    /// where these two do not meet, else the first that an exhaustive search finds. Each of its steps takes one from `budget`.
    fn path_over(
        &self,
        from: &str,
        edge: &Edge,
        to: &str,
        budget: &mut usize,
    ) -> Option<Vec<String>> {
        let mut path = self.path(from, &edge.source, &[])?;
        self.path(&edge.target, to, &[])?;
        if let Some(rest) = self.path(&edge.target, to, &path) {
            path.extend(rest);
            return Some(path);
        }
        let mut path = vec![from.to_owned()];
        self.extend(&mut path, edge, to, budget).then_some(path)
    }

    /// Lengthens `path` until it ends at `to` by way of `edge`; leaves it as it was when there is no way.
    fn extend(&self, path: &mut Vec<String>, edge: &Edge, to: &str, budget: &mut usize) -> bool {
        let Some(at) = path.last().cloned() else {
            return false;
        };
        if at == edge.source {
            return match self.path(&edge.target, to, path) {
                Some(rest) => {
                    path.extend(rest);
                    true
                }
                None => false,
            };
        }
        for &next in self.0.get(at.as_str()).into_iter().flatten() {
            // The way to the edge may take neither its end nor the end of the path.
            if next == edge.target || next == to || path.iter().any(|location| location == next) {
                continue;
            }
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            path.push(next.to_owned());
            if self.extend(path, edge, to, budget) {
                return true;
            }
            path.pop();
        }
        false
    }

    /// A shortest path, both ends included, that touches none of `around`.
    fn path(&self, from: &str, to: &str, around: &[String]) -> Option<Vec<String>> {
        if around.iter().any(|location| location == from) {
            return None;
        }
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            if at == to {
                let mut path = vec![at.to_owned()];
                let mut at = at;
                while at != from {
                    at = came_from.get(at)?;
                    path.push(at.to_owned());
                }
                path.reverse();
                return Some(path);
            }
            for &next in self.0.get(at).into_iter().flatten() {
                if next != from
                    && !came_from.contains_key(next)
                    && around.iter().all(|location| location != next)
                {
                    came_from.insert(next, at);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}
