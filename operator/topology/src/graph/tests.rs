//! The graph against definitions that are slower and simpler.

use std::collections::BTreeSet;

use petgraph::algo::articulation_points::articulation_points;
use petgraph::algo::bridges;
use petgraph::graph::UnGraph;
use proptest::prelude::*;

use super::LinkGraph;

type Pairs = BTreeSet<(usize, usize)>;

fn name(at: usize) -> String {
    format!("l{at}")
}

fn graph(size: usize, pairs: &Pairs) -> LinkGraph {
    let names: Vec<String> = (0..size).map(name).collect();
    LinkGraph::new(
        names.iter().map(String::as_str),
        pairs
            .iter()
            .map(|&(a, b)| (names[a].as_str(), names[b].as_str())),
    )
}

fn reachable(size: usize, pairs: &Pairs, from: usize, without: Option<usize>) -> BTreeSet<usize> {
    let mut seen = BTreeSet::from([from]);
    for _ in 0..size {
        for &(a, b) in pairs {
            if Some(a) == without || Some(b) == without {
                continue;
            }
            if seen.contains(&a) || seen.contains(&b) {
                seen.extend([a, b]);
            }
        }
    }
    seen
}

/// Whether two pairs lie on one cycle that visits no location twice: the textbook definition of "same component".
fn on_one_cycle(pairs: &Pairs, first: (usize, usize), second: (usize, usize)) -> bool {
    fn walk(
        pairs: &Pairs,
        at: usize,
        end: usize,
        visited: &mut Vec<usize>,
        used_second: bool,
        first: (usize, usize),
        second: (usize, usize),
    ) -> bool {
        if at == end {
            return used_second;
        }
        for &pair in pairs {
            let next = if pair.0 == at {
                pair.1
            } else if pair.1 == at {
                pair.0
            } else {
                continue;
            };
            if pair == first || visited.contains(&next) {
                continue;
            }
            visited.push(next);
            if walk(
                pairs,
                next,
                end,
                visited,
                used_second || pair == second,
                first,
                second,
            ) {
                return true;
            }
            visited.pop();
        }
        false
    }
    walk(
        pairs,
        first.0,
        first.1,
        &mut vec![first.0],
        false,
        first,
        second,
    )
}

fn small_graph() -> impl Strategy<Value = (usize, Pairs)> {
    (2usize..7).prop_flat_map(|size| {
        let pair = (0..size, 0..size).prop_filter_map("two locations", |(a, b)| {
            (a != b).then(|| (a.min(b), a.max(b)))
        });
        (Just(size), prop::collection::btree_set(pair, 0..12))
    })
}

proptest! {
    #[test]
    fn two_pairs_share_a_block_iff_they_lie_on_one_cycle((size, pairs) in small_graph()) {
        let blocks = graph(size, &pairs).blocks();
        let block_of = |pair: (usize, usize)| {
            let pair = (name(pair.0), name(pair.1));
            blocks.iter().position(|block| block.contains(&pair)).unwrap()
        };
        for &first in &pairs {
            for &second in pairs.iter().filter(|&&second| second != first) {
                prop_assert_eq!(
                    block_of(first) == block_of(second),
                    on_one_cycle(&pairs, first, second),
                    "{:?} {:?}", first, second
                );
            }
        }
    }

    #[test]
    fn parts_and_behind_are_what_remains_reachable((size, pairs) in small_graph()) {
        let graph = graph(size, &pairs);
        for gone in 0..size {
            let behind = graph.behind(&name(gone));
            for other in (0..size).filter(|&other| other != gone) {
                let linked = pairs.contains(&(gone.min(other), gone.max(other)));
                let expected = linked.then(|| {
                    reachable(size, &pairs, other, Some(gone)).into_iter().map(name).collect::<BTreeSet<_>>()
                });
                prop_assert_eq!(behind.get(&name(other)).cloned(), expected);
            }
            let neighbours_apart: BTreeSet<BTreeSet<usize>> = (0..size)
                .filter(|&other| pairs.contains(&(gone.min(other), gone.max(other))))
                .map(|other| reachable(size, &pairs, other, Some(gone)))
                .collect();
            prop_assert_eq!(graph.parts_without(&name(gone)).len(), neighbours_apart.len());
        }
    }

    #[test]
    fn blocks_agree_with_articulation_points_and_bridges_of_petgraph((size, pairs) in small_graph()) {
        let mut reference = UnGraph::<(), ()>::new_undirected();
        let nodes: Vec<_> = (0..size).map(|_| reference.add_node(())).collect();
        for &(a, b) in &pairs {
            reference.add_edge(nodes[a], nodes[b], ());
        }
        let graph = graph(size, &pairs);
        let blocks = graph.blocks();

        let expected: BTreeSet<String> =
            articulation_points(&reference).into_iter().map(|node| name(node.index())).collect();
        let found: BTreeSet<String> = (0..size)
            .map(name)
            .filter(|l| blocks.iter().filter(|block| block.iter().any(|(a, b)| a == l || b == l)).count() > 1)
            .collect();
        prop_assert_eq!(&found, &expected);
        let parting: BTreeSet<String> =
            (0..size).map(name).filter(|l| graph.parts_without(l).len() > 1).collect();
        prop_assert_eq!(&parting, &expected);
        prop_assert_eq!(
            blocks.iter().filter(|block| block.len() == 1).count(),
            bridges(&reference).count()
        );
    }
}
