//! The filtered-cycle rule: in a component of three or more locations every edge admits the same events.

use std::collections::{BTreeMap, BTreeSet};
use tidelog_model::mutant;

use crate::example::{LostEvent, Search, lost_event};
use crate::filters::{Filters, predicate};
use crate::finding::{Finding, FindingKind, list};
use crate::input::Log;
use crate::plan::{Bridge, Component, Edge, EdgeId, Predicate};

/// Sorts the biconnected components of a graph into components and bridges.
pub(crate) fn split(
    blocks: Vec<BTreeSet<(String, String)>>,
    edges: &BTreeMap<EdgeId, Edge>,
) -> (Vec<Component>, Vec<Bridge>) {
    let (mut components, mut bridges) = (Vec::new(), Vec::new());
    for block in blocks {
        let locations: BTreeSet<String> = block
            .iter()
            .flat_map(|(a, b)| [a.clone(), b.clone()])
            .collect();
        let ids: BTreeSet<EdgeId> = block
            .iter()
            .flat_map(|(a, b)| [EdgeId::new(a, b), EdgeId::new(b, a)])
            .filter(|id| edges.contains_key(id))
            .collect();
        let filtered = ids.iter().any(|id| !edges[id].filters.is_empty());
        if locations.len() > 2 + usize::from(mutant!("triangles-are-bridges")) {
            components.push(Component {
                locations,
                edges: ids,
                filtered,
            });
        } else {
            bridges.push(Bridge {
                locations,
                edges: ids,
                filtered,
            });
        }
    }
    components.sort();
    bridges.sort();
    (components, bridges)
}

/// One finding per component whose edges do not admit the same events.
pub(crate) fn filtered_cycles(
    components: &[Component],
    edges: &BTreeMap<EdgeId, Edge>,
    compiled: &Filters,
    findings: &mut Vec<Finding>,
) {
    for component in components {
        let members: Vec<&Edge> = component.edges.iter().map(|id| &edges[id]).collect();
        let mut groups: BTreeMap<Vec<&Predicate>, Vec<&Edge>> = BTreeMap::new();
        for edge in &members {
            if mutant!("directions-may-differ") && edge.source > edge.target {
                continue;
            }
            groups
                .entry(edge.predicates().collect())
                .or_default()
                .push(edge);
        }
        let local: BTreeSet<&str> = members
            .iter()
            .flat_map(|edge| &edge.filters)
            .filter(|filter| compiled.is_local(&filter.predicate))
            .map(|filter| filter.name.as_str())
            .collect();
        let what = if groups.len() > 1 && !mutant!("filters-of-a-cycle-may-differ") {
            let groups = groups
                .iter()
                .map(|(predicates, edges)| describe(predicates, edges));
            format!(
                "their edges do not admit the same events: {}",
                groups.collect::<Vec<_>>().join("; ")
            )
        } else if !local.is_empty() && !mutant!("target-in-a-uniform-text") {
            format!(
                "filter {} reads `source` or `target`, so it admits different events on different edges",
                list(local)
            )
        } else {
            continue;
        };
        let example = match lost_event(&members, compiled) {
            Search::Found(lost) => sentence(&lost),
            Search::Nothing => "no event is lost while the edges run only this way; an edge in the other direction could change \
                     that, so the rule does not look at directions"
                .to_owned(),
            Search::GaveUp => "not shown: too many paths lead through these one-way edges to find in short time two that \
                     differ"
                .to_owned(),
        };
        findings.push(
            Finding::new(
                FindingKind::FilteredCycle,
                format!("component {}", component.locations.iter().cloned().collect::<Vec<_>>().join(", ")),
                format!(
                    "these locations are linked in a cycle, and {what}. Put the same filters on every edge between \
                     them, or filter events where they are appended (exportFilter), or take links away until the \
                     filtered edge is the only way between its two sides"
                ),
            )
            .of_links(members.iter().map(|edge| edge.link.as_str()))
            .with_example(example),
        );
    }
}

fn describe(predicates: &[&Predicate], edges: &[&Edge]) -> String {
    let ids = list(edges.iter().map(|edge| edge.id()));
    if predicates.is_empty() {
        return format!("no filter on {ids}");
    }
    let filters: Vec<String> = edges[0]
        .filters
        .iter()
        .map(|filter| {
            let on_error = filter.predicate.on_error;
            format!("{} `{}` ({})", filter.name, filter.predicate.cel, on_error)
        })
        .collect();
    format!("{} on {ids}", filters.join(" and "))
}

fn sentence(lost: &LostEvent) -> String {
    let LostEvent {
        origin,
        target,
        predicate,
        local_to,
        slow,
        fast,
    } = lost;
    let elsewhere = match local_to {
        Some(edge) => format!("refuses on {edge} and admits elsewhere"),
        None => "refuses".to_owned(),
    };
    format!(
        "event 1, which `{predicate}` {elsewhere}, is appended at {origin}, then event 2, which it admits. Event 2 takes \
         {fast} while event 1 is still on its way by {slow}. {target} stores event 2, whose context says that event 1 \
         came before it, takes event 1 for a duplicate when it arrives and drops it: event 1 is lost at {target}",
        fast = fast.join(" -> "),
        slow = slow.join(" -> "),
    )
}

/// An export filter that reads `target` is a link filter in disguise, and has the same place: bridges.
pub(crate) fn local_export_filters(
    log: &Log,
    components: &[Component],
    compiled: &Filters,
    findings: &mut Vec<Finding>,
) {
    for location in &log.locations {
        let Some(filter) = &location.export_filter else {
            continue;
        };
        if !compiled
            .uses(&predicate(&filter.cel, filter.on_error))
            .target
        {
            continue;
        }
        let component = components
            .iter()
            .find(|c| c.locations.contains(&location.name));
        if let Some(component) = component
            && !mutant!("export-filter-may-read-target")
        {
            findings.push(Finding::new(
                FindingKind::FilteredCycle,
                format!("location {}", location.name),
                format!(
                    "its export filter reads `target`, and {} are linked in a cycle: an event that may go to one of them \
                     and not to another is overtaken by its effects and lost. Leave `target` out of the filter",
                    list(&component.locations),
                ),
            ));
        }
    }
}
