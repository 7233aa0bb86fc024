//! The steps from input to plan, in order.

use std::collections::{BTreeMap, BTreeSet};
use tidelog_model::mutant;

use crate::cycles::{filtered_cycles, local_export_filters, split};
use crate::edges::expand;
use crate::filters::Filters;
use crate::finding::{Finding, FindingKind};
use crate::graph::LinkGraph;
use crate::hashes::{FilterHash, PlanId, spec_hash};
use crate::input::{Link, Log};
use crate::plan::{Plan, PlannedLocation};
use crate::redundancy::{disconnected, single_points_of_failure};

/// Turns a log and its links into a plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planner {
    every_location_reachable: bool,
}

impl Planner {
    /// A planner that trusts in the endpoints that are written.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whoever runs the plan knows an address for every location, whatever the manifests say; who dials stays the same.
    #[must_use]
    pub fn with_every_location_reachable(mut self) -> Self {
        self.every_location_reachable = true;
        self
    }

    /// Plans one log:
    /// 1. names that occur twice; 2. filters, each expression once; 3. edges of all links; 4. the undirected graph and what
    ///    lies behind each source; 5. components, bridges and the filtered-cycle rule; 6. redundancy; 7. hashes.
    pub fn plan(&self, log: &Log, links: &[Link]) -> Plan {
        let mut findings = Vec::new();
        let links = distinct(log, links, &mut findings);
        let compiled = Filters::compile(log, &links, &mut findings);
        let mut edges = expand(log, &links, self.every_location_reachable, &mut findings);

        let graph = LinkGraph::new(
            log.locations.iter().map(|location| location.name.as_str()),
            edges
                .values()
                .map(|edge| (edge.source.as_str(), edge.target.as_str())),
        );
        let behind: BTreeMap<String, _> = edges
            .values()
            .map(|edge| edge.target.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|target| (target.clone(), graph.behind(&target)))
            .collect();
        for edge in edges.values_mut() {
            edge.filter_hash = FilterHash(compiled.of_edge(edge).hash());
            if let Some(sources) = behind.get(&edge.target) {
                edge.behind = sources.get(&edge.source).cloned().unwrap_or_default();
                if mutant!("behind-is-the-source-alone") {
                    edge.behind.retain(|name| *name == edge.source);
                }
            }
        }

        let (components, bridges) = split(graph.blocks(), &edges);
        filtered_cycles(&components, &edges, &compiled, &mut findings);
        local_export_filters(log, &components, &compiled, &mut findings);

        let islands = graph.islands();
        disconnected(&log.name, &islands, &mut findings);
        let locations: BTreeMap<String, PlannedLocation> = log
            .locations
            .iter()
            .rev() // of two with one name the first stays
            .map(|location| {
                let planned = PlannedLocation {
                    endpoint: location.endpoint.clone(),
                    export_filter: location.export_filter.clone(),
                };
                (location.name.clone(), planned)
            })
            .collect();
        single_points_of_failure(&log.name, &graph, locations.keys(), &mut findings);

        findings.sort();
        let owned: Vec<Link> = links.into_iter().cloned().collect();
        Plan {
            log: log.name.clone(),
            application: log.application.clone(),
            spec_hash: spec_hash(log, &owned),
            plan_id: PlanId(tidelog_filter::plan_id(
                compiled.canonical(log, edges.values()),
            )),
            locations,
            edges,
            components,
            bridges,
            islands,
            findings,
        }
    }
}

/// The links sorted by name, each name once.
fn distinct<'a>(log: &Log, links: &'a [Link], findings: &mut Vec<Finding>) -> Vec<&'a Link> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> = log
        .locations
        .iter()
        .map(|location| location.name.as_str())
        .filter(|name| !seen.insert(*name))
        .collect();
    for name in twice {
        findings.push(Finding::new(
            FindingKind::DuplicateLocation,
            format!("location {name}"),
            format!(
                "log {} lists it more than once; a name is a key of every clock",
                log.name
            ),
        ));
    }
    let mut by_name: BTreeMap<&str, &Link> = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for link in links {
        if by_name.contains_key(link.name.as_str()) {
            twice.insert(link.name.as_str());
        } else {
            by_name.insert(&link.name, link);
        }
    }
    for name in twice {
        findings.push(
            Finding::new(
                FindingKind::DuplicateLink,
                format!("link {name}"),
                format!(
                    "log {} has more than one link of this name; rename or remove one",
                    log.name
                ),
            )
            .of_links([name]),
        );
    }
    by_name.into_values().collect()
}
