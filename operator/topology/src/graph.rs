//! The undirected graph of links: who hangs together with whom, and through whom.
//!
//! Everything here follows from one question, "what is still connected when this location is gone?". It is asked once per
//! location, which is quick enough for the at most 128 that a log has, and short enough to be seen to be right.

use std::collections::{BTreeMap, BTreeSet};
use tidelog_model::mutant;

use petgraph::unionfind::UnionFind;

/// An undirected graph over named locations. Two edges between the same locations are one here.
#[derive(Debug)]
pub(crate) struct LinkGraph {
    names: Vec<String>,
    index: BTreeMap<String, usize>,
    pairs: Vec<(usize, usize)>,
}

impl LinkGraph {
    pub(crate) fn new<'a>(
        locations: impl IntoIterator<Item = &'a str>,
        edges: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let names: Vec<String> = locations
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let index: BTreeMap<String, usize> = names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.clone(), at))
            .collect();
        let pairs: BTreeSet<(usize, usize)> = edges
            .into_iter()
            .filter_map(|(a, b)| {
                let (a, b) = (*index.get(a)?, *index.get(b)?);
                (a != b).then_some((a.min(b), a.max(b)))
            })
            .collect();
        Self {
            names,
            index,
            pairs: pairs.into_iter().collect(),
        }
    }

    /// Labels of connected components, the edges of `without` left out; equal labels, connected.
    fn labels(&self, without: Option<usize>) -> Vec<usize> {
        let mut sets = UnionFind::new(self.names.len());
        for &(a, b) in &self.pairs {
            if Some(a) != without && Some(b) != without {
                sets.union(a, b);
            }
        }
        sets.into_labeling()
    }

    /// The connected sets of locations.
    pub(crate) fn islands(&self) -> Vec<BTreeSet<String>> {
        self.grouped(&self.labels(None), None)
    }

    /// The connected sets of what remains of a location's island without it.
    pub(crate) fn parts_without(&self, location: &str) -> Vec<BTreeSet<String>> {
        let Some(&gone) = self.index.get(location) else {
            return Vec::new();
        };
        let together = self.labels(None);
        let without = (!mutant!("behind-includes-the-other-side")).then_some(gone);
        let mut parts = self.grouped(&self.labels(without), Some(gone));
        parts.retain(|part| {
            part.iter()
                .any(|name| together[self.index[name]] == together[gone])
        });
        parts
    }

    fn grouped(&self, labels: &[usize], without: Option<usize>) -> Vec<BTreeSet<String>> {
        let mut sets: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for (at, name) in self.names.iter().enumerate() {
            if Some(at) != without {
                sets.entry(labels[at]).or_default().insert(name.clone());
            }
        }
        let mut sets: Vec<_> = sets.into_values().collect();
        sets.sort();
        sets
    }

    /// For each location: who lies behind each of its neighbours, that is, is connected with it without this location.
    pub(crate) fn behind(&self, target: &str) -> BTreeMap<String, BTreeSet<String>> {
        let parts = self.parts_without(target);
        let Some(&gone) = self.index.get(target) else {
            return BTreeMap::new();
        };
        self.neighbours(gone)
            .filter_map(|neighbour| {
                let name = &self.names[neighbour];
                let part = parts.iter().find(|part| part.contains(name))?;
                Some((name.clone(), part.clone()))
            })
            .collect()
    }

    fn neighbours(&self, of: usize) -> impl Iterator<Item = usize> {
        self.pairs.iter().filter_map(move |&(a, b)| {
            if a == of {
                Some(b)
            } else if b == of {
                Some(a)
            } else {
                None
            }
        })
    }

    /// The biconnected components, each as its pairs of locations. Two pairs that share a location are in one component iff
    /// their other ends are still connected without it; the rest is the transitive closure.
    pub(crate) fn blocks(&self) -> Vec<BTreeSet<(String, String)>> {
        let mut same = UnionFind::new(self.pairs.len());
        for shared in 0..self.names.len() {
            let labels = self.labels(Some(shared));
            let mut first: BTreeMap<usize, usize> = BTreeMap::new();
            for (pair, &(a, b)) in self.pairs.iter().enumerate() {
                let other = if a == shared {
                    b
                } else if b == shared {
                    a
                } else {
                    continue;
                };
                let representative = *first.entry(labels[other]).or_insert(pair);
                if mutant!("cycles-of-several-links-unseen") && first.len() > 1 {
                    continue;
                }
                same.union(representative, pair);
            }
        }
        let mut blocks: BTreeMap<usize, BTreeSet<(String, String)>> = BTreeMap::new();
        for (pair, label) in same.into_labeling().into_iter().enumerate() {
            let (a, b) = self.pairs[pair];
            blocks
                .entry(label)
                .or_default()
                .insert((self.names[a].clone(), self.names[b].clone()));
        }
        let mut blocks: Vec<_> = blocks.into_values().collect();
        blocks.sort();
        blocks
    }
}

#[cfg(test)]
mod tests;
