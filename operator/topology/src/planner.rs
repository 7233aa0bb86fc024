//! The steps from input to plan, in order.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::{FilterCheck, FilterUses};
use crate::cycles::{Uses, filtered_cycles, local_export_filters, split};
use crate::edges::expand;
use crate::finding::{Finding, FindingKind};
use crate::graph::LinkGraph;
use crate::hashes::{EVALUATOR_VERSION, plan_id, spec_hash};
use crate::input::{Link, LinkFilter, Log, OnError};
use crate::plan::{Plan, PlannedLocation, Predicate};
use crate::redundancy::{disconnected, single_points_of_failure};

/// Plans with a given checker of filters.
pub struct Planner<'a> {
    filters: &'a dyn FilterCheck,
    every_location_reachable: bool,
}

impl<'a> Planner<'a> {
    /// A planner that compiles filters with `filters`.
    pub fn new(filters: &'a dyn FilterCheck) -> Self {
        Self {
            filters,
            every_location_reachable: false,
        }
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
        let uses = self.link_filters(&links, &mut findings);
        let export_uses = self.export_filters(log, &mut findings);
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
            if let Some(sources) = behind.get(&edge.target) {
                edge.behind = sources.get(&edge.source).cloned().unwrap_or_default();
            }
        }

        let (components, bridges) = split(graph.blocks(), &edges);
        filtered_cycles(&components, &edges, &uses, &mut findings);
        local_export_filters(log, &components, &export_uses, &mut findings);

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
            plan_id: plan_id(edges.values()),
            locations,
            edges,
            components,
            bridges,
            islands,
            findings,
        }
    }

    fn link_filters(&self, links: &[&Link], findings: &mut Vec<Finding>) -> Uses {
        let mut uses = Uses::new();
        for link in links {
            for filter in &link.filters {
                let subject = format!("link {} filter {}", link.name, filter.name);
                let found = self.checked(&subject, Some(&link.name), filter_text(filter), findings);
                if let Some(found) = found {
                    let predicate = Predicate {
                        cel: filter.cel.trim().to_owned(),
                        on_error: filter.on_error,
                        evaluator: EVALUATOR_VERSION,
                    };
                    uses.insert(predicate, found);
                }
            }
        }
        uses
    }

    fn export_filters(
        &self,
        log: &Log,
        findings: &mut Vec<Finding>,
    ) -> BTreeMap<String, FilterUses> {
        let mut uses = BTreeMap::new();
        for location in &log.locations {
            let Some(filter) = &location.export_filter else {
                continue;
            };
            let subject = format!("location {} exportFilter", location.name);
            if let Some(found) = self.checked(
                &subject,
                None,
                ("exportFilter", &filter.cel, filter.on_error),
                findings,
            ) {
                uses.insert(location.name.clone(), found);
            }
        }
        uses
    }

    fn checked(
        &self,
        subject: &str,
        link: Option<&str>,
        (name, cel, on_error): (&str, &str, OnError),
        findings: &mut Vec<Finding>,
    ) -> Option<FilterUses> {
        match self.filters.check(name, cel.trim(), on_error) {
            Ok(uses) => {
                if let Some(first) = uses.unguarded.first() {
                    findings.push(
                        Finding::new(
                            FindingKind::UnguardedKey,
                            subject,
                            format!(
                                "{} may be absent, and then {}; guard each with has(...)",
                                uses.unguarded.join(", "),
                                match on_error {
                                    OnError::Stall => "the edge stalls",
                                    OnError::Drop => "the event is left out",
                                    OnError::Pass => "the event is let through",
                                },
                            ),
                        )
                        .of_links(link)
                        .with_example(format!("has({first}) && ({})", cel.trim())),
                    );
                }
                Some(uses)
            }
            Err(why) => {
                findings
                    .push(Finding::new(FindingKind::InvalidFilter, subject, why).of_links(link));
                None
            }
        }
    }
}

fn filter_text(filter: &LinkFilter) -> (&str, &str, OnError) {
    (&filter.name, &filter.cel, filter.on_error)
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
