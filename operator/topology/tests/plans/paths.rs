//! The filtered-cycle rule against a model that knows nothing of components: it walks all paths and looks at which classes of
//! events each of them admits.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidelog_topology::{EdgeId, FindingKind, Link, Plan};

use crate::fixtures::{both_ways, filtered, log, one_way, plan};

/// Filter `i` admits the classes whose bit `i` is set; filters are independent of each other.
const FILTERS: usize = 3;
type Classes = u8;

fn admitted(filters: &BTreeSet<usize>) -> Classes {
    (0..1u8 << FILTERS)
        .filter(|class| filters.iter().all(|filter| class & (1 << filter) != 0))
        .fold(0, |set, class| set | (1 << class))
}

fn name(at: usize) -> String {
    format!("l{at}")
}

/// A pair of locations, whether it is linked both ways, the filters in each direction.
type Pair = ((usize, usize), bool, BTreeSet<usize>, BTreeSet<usize>);

fn network(one_way_too: bool) -> impl Strategy<Value = (usize, Vec<Pair>)> {
    // Few filters, mostly none, so that accepted networks with cycles are not rare.
    let filters = || {
        prop_oneof![
            4 => Just(BTreeSet::new()),
            2 => Just(BTreeSet::from([0])),
            1 => prop::collection::btree_set(0..FILTERS, 0..=FILTERS),
        ]
    };
    (2usize..6).prop_flat_map(move |size| {
        let all: Vec<(usize, usize)> = (0..size)
            .flat_map(|a| (a + 1..size).map(move |b| (a, b)))
            .collect();
        let most = all.len().min(7);
        prop::sample::subsequence(all, 1..=most).prop_flat_map(move |pairs| {
            let kinds = pairs.len();
            (
                Just(size),
                Just(pairs),
                prop::collection::vec((any::<bool>(), any::<bool>(), filters(), filters()), kinds),
                any::<bool>(),
            )
                .prop_map(move |(size, pairs, kinds, same)| {
                    let pairs = pairs
                        .into_iter()
                        .zip(&kinds)
                        .map(|((a, b), (both, turned, there, back))| {
                            let ends = if *turned { (b, a) } else { (a, b) };
                            let both = *both || !one_way_too;
                            // Half of the networks have one filter everywhere.
                            if same {
                                (ends, both, kinds[0].2.clone(), kinds[0].2.clone())
                            } else {
                                (ends, both, there.clone(), back.clone())
                            }
                        })
                        .collect();
                    (size, pairs)
                })
        })
    })
}

fn planned(size: usize, pairs: &[Pair]) -> Plan {
    let names: Vec<String> = (0..size).map(name).collect();
    let links: Vec<Link> = pairs
        .iter()
        .map(|((a, b), both, there, back)| {
            let (source, target) = (name(*a), name(*b));
            let link_name = format!("{source}-{target}");
            let mut link = if *both {
                both_ways(&link_name, &source, &target)
            } else {
                one_way(&link_name, &source, &target)
            };
            for (direction, filters) in [
                (format!("{source} -> {target}"), there),
                (format!("{target} -> {source}"), back),
            ] {
                for filter in filters {
                    let cel = format!("event.schema_version == {filter}");
                    link = filtered(
                        link,
                        &format!("f{filter}-{}", direction.len()),
                        &direction,
                        &cel,
                    );
                }
            }
            link
        })
        .collect();
    plan(&log(&names.join(" ")), &links)
}

/// Directed edges with what they admit, straight from the input.
fn model(pairs: &[Pair]) -> BTreeMap<(usize, usize), BTreeSet<usize>> {
    let mut edges = BTreeMap::new();
    for ((a, b), both, there, back) in pairs {
        edges.insert((*a, *b), there.clone());
        if *both {
            edges.insert((*b, *a), back.clone());
        }
    }
    edges
}

/// What each path without repetition from `at` to each location admits.
fn paths(
    edges: &BTreeMap<(usize, usize), BTreeSet<usize>>,
    visited: &mut Vec<usize>,
    classes: Classes,
    found: &mut BTreeMap<usize, BTreeSet<Classes>>,
) {
    let at = *visited.last().expect("a path starts somewhere");
    for ((source, target), filters) in edges {
        if *source == at && !visited.contains(target) {
            let classes = classes & admitted(filters);
            found.entry(*target).or_default().insert(classes);
            visited.push(*target);
            paths(edges, visited, classes, found);
            visited.pop();
        }
    }
}

fn all_paths_agree(size: usize, edges: &BTreeMap<(usize, usize), BTreeSet<usize>>) -> bool {
    (0..size).all(|origin| {
        let mut found = BTreeMap::new();
        paths(edges, &mut vec![origin], Classes::MAX, &mut found);
        found.values().all(|classes| classes.len() == 1)
    })
}

/// Whether two linked pairs lie on one undirected cycle.
fn on_one_cycle(
    pairs: &BTreeSet<(usize, usize)>,
    first: (usize, usize),
    second: (usize, usize),
) -> bool {
    fn walk(
        pairs: &BTreeSet<(usize, usize)>,
        (first, second): ((usize, usize), (usize, usize)),
        visited: &mut Vec<usize>,
        over_second: bool,
    ) -> bool {
        let at = *visited.last().expect("a path starts somewhere");
        if at == first.1 {
            return over_second;
        }
        pairs.iter().filter(|&&pair| pair != first).any(|&pair| {
            let next = match pair {
                (a, b) if a == at => b,
                (a, b) if b == at => a,
                _ => return false,
            };
            if visited.contains(&next) {
                return false;
            }
            visited.push(next);
            let found = walk(
                pairs,
                (first, second),
                visited,
                over_second || pair == second,
            );
            visited.pop();
            found
        })
    }
    walk(pairs, (first, second), &mut vec![first.0], false)
}

/// The components that differ, by the textbook: edges on one cycle whose filters are not the same.
fn differing(pairs: &[Pair]) -> BTreeSet<(usize, usize)> {
    let edges = model(pairs);
    let undirected: BTreeSet<(usize, usize)> = pairs
        .iter()
        .map(|((a, b), ..)| (*a.min(b), *a.max(b)))
        .collect();
    let filters_of = |(a, b): (usize, usize)| -> BTreeSet<&BTreeSet<usize>> {
        [edges.get(&(a, b)), edges.get(&(b, a))]
            .into_iter()
            .flatten()
            .collect()
    };
    let mut found = BTreeSet::new();
    for &first in &undirected {
        for &second in &undirected {
            if first == second || !on_one_cycle(&undirected, first, second) {
                continue;
            }
            let mut all = filters_of(first);
            all.extend(filters_of(second));
            if all.len() > 1 {
                found.extend([first, second]);
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn in_an_accepted_plan_all_paths_between_two_locations_admit_the_same_events(
        (size, pairs) in network(true)
    ) {
        let plan = planned(size, &pairs);
        prop_assert_eq!(plan.edges.len(), model(&pairs).len());
        if plan.is_accepted() {
            prop_assert!(all_paths_agree(size, &model(&pairs)), "{:?}", pairs);
        }
    }

    #[test]
    fn where_all_links_run_both_ways_a_plan_is_refused_only_if_two_paths_differ((size, pairs) in network(false)) {
        let plan = planned(size, &pairs);
        prop_assert_eq!(plan.is_accepted(), all_paths_agree(size, &model(&pairs)), "{:?}", pairs);
    }

    #[test]
    fn a_component_is_refused_exactly_where_edges_on_one_cycle_differ((size, pairs) in network(true)) {
        let plan = planned(size, &pairs);
        let differing = differing(&pairs);
        let refused: BTreeSet<String> = plan
            .errors()
            .inspect(|finding| assert_eq!(finding.kind, FindingKind::FilteredCycle))
            .map(|finding| finding.subject.clone())
            .collect();
        for component in &plan.components {
            let locations: Vec<&str> = component.locations.iter().map(String::as_str).collect();
            let expected = differing.iter().any(|&(a, b)| {
                [EdgeId::new(name(a), name(b)), EdgeId::new(name(b), name(a))]
                    .iter()
                    .any(|id| component.edges.contains(id))
            });
            let subject = format!("component {}", locations.join(", "));
            prop_assert_eq!(refused.contains(&subject), expected, "{} {:?}", subject, pairs);
        }
        prop_assert_eq!(refused.is_empty(), differing.is_empty());
    }

    #[test]
    fn the_example_of_a_refusal_is_a_real_one((size, pairs) in network(true)) {
        let edges = model(&pairs);
        for finding in planned(size, &pairs).errors() {
            let example = finding.example.as_ref().expect("every refusal has an example");
            let Some((fast, slow)) = ways(example) else {
                // It says that no event is lost yet: then no two paths inside this component differ.
                let inside: BTreeMap<_, _> = edges
                    .iter()
                    .filter(|((a, b), _)| {
                        [*a, *b].iter().all(|at| finding.subject.contains(&name(*at)))
                    })
                    .map(|(ends, filters)| (*ends, filters.clone()))
                    .collect();
                prop_assert!(all_paths_agree(size, &inside), "{} {:?}", example, pairs);
                continue;
            };
            for way in [&fast, &slow] {
                let once: BTreeSet<&usize> = way.iter().collect();
                prop_assert_eq!(once.len(), way.len(), "no location twice: {}", example);
            }
            let along = |way: &[usize]| {
                way.windows(2).try_fold(Classes::MAX, |classes, step| {
                    Some(classes & admitted(edges.get(&(step[0], step[1]))?))
                })
            };
            let (fast, slow) = (along(&fast).expect("edges exist"), along(&slow).expect("edges exist"));
            prop_assert_ne!(slow & !fast, 0, "an event that only the slow way admits: {}", example);
            prop_assert_ne!(slow & fast, 0, "an event that both ways admit: {}", example);
        }
    }
}

/// The fast and the slow way that an example speaks of.
fn ways(example: &str) -> Option<(Vec<usize>, Vec<usize>)> {
    let after = |mark: &str| -> Option<Vec<usize>> {
        let rest = &example[example.find(mark)? + mark.len()..];
        let mut words = Vec::new();
        let mut rest = rest;
        loop {
            let stop = rest
                .find(|c: char| !c.is_alphanumeric())
                .unwrap_or(rest.len());
            words.push(rest[1..stop].parse().ok()?);
            match rest[stop..].strip_prefix(" -> ") {
                Some(next) => rest = next,
                None => return Some(words),
            }
        }
    };
    Some((after("Event 2 takes ")?, after("on its way by ")?))
}
