//! From links to edges: shapes expanded, filters attached, dialling sides chosen.

use std::collections::{BTreeMap, BTreeSet};
use tidelog_model::mutant;

use crate::filters::predicate;
use crate::finding::{Finding, FindingKind, list};
use crate::hashes::FilterHash;
use crate::input::{
    DialSide, Endpoint, HubDirection, Link, LinkFilter, Log, PointDirection, Topology,
};
use crate::plan::{Dial, Edge, EdgeFilter, EdgeId, Predicate, Side};

/// An edge of a shape, before the log is looked at.
struct Draft {
    id: EdgeId,
    /// The side that has to dial, when the link says so.
    dialler: Option<Side>,
}

/// The edges of all links, those that the log can have; the rest is in the findings.
pub(crate) fn expand(
    log: &Log,
    links: &[&Link],
    every_location_reachable: bool,
    findings: &mut Vec<Finding>,
) -> BTreeMap<EdgeId, Edge> {
    let endpoints: BTreeMap<&str, Option<&Endpoint>> = log
        .locations
        .iter()
        .map(|l| (l.name.as_str(), l.endpoint.as_ref()))
        .collect();
    let mut edges: BTreeMap<EdgeId, Edge> = BTreeMap::new();
    for link in links {
        let mut drafts = drafts(link, findings);
        unknown_locations(log, link, &drafts, &endpoints, findings);
        check_filters(log, link, &drafts, &endpoints, findings);
        drafts.retain(|draft| {
            endpoints.contains_key(draft.id.source.as_str())
                && endpoints.contains_key(draft.id.target.as_str())
        });
        let mut unreachable = Vec::new();
        let mut taken: BTreeMap<String, BTreeSet<EdgeId>> = BTreeMap::new();
        for draft in drafts {
            if let Some(first) = edges.get(&draft.id)
                && !mutant!("parallel-links")
            {
                taken
                    .entry(first.link.clone())
                    .or_default()
                    .insert(draft.id);
                continue;
            }
            let dial = dial(&draft, &endpoints, every_location_reachable);
            if dial.is_none() {
                unreachable.push(draft.id.clone());
            }
            let edge = edge(link, &draft.id, dial);
            edges.insert(draft.id, edge);
        }
        findings.extend(
            taken
                .into_iter()
                .map(|(first, ids)| duplicate(&first, link, &ids)),
        );
        if !unreachable.is_empty() {
            findings.push(no_endpoint(link, &unreachable));
        }
    }
    edges
}

fn drafts(link: &Link, findings: &mut Vec<Finding>) -> Vec<Draft> {
    let mut invalid = |message: String| {
        findings.push(
            Finding::new(
                FindingKind::InvalidTopology,
                format!("link {}", link.name),
                message,
            )
            .of_links([link.name.as_str()]),
        );
    };
    let pairs: BTreeMap<EdgeId, Option<Side>> = match &link.topology {
        Topology::Dense { locations } => {
            let locations: BTreeSet<&String> = locations.iter().collect();
            if locations.len() < 2 {
                invalid("dense needs two or more different locations".to_owned());
            }
            locations
                .iter()
                .flat_map(|source| locations.iter().map(move |target| (source, target)))
                .filter(|(source, target)| source != target)
                .map(|(source, target)| (EdgeId::new(*source, *target), None))
                .collect()
        }
        Topology::HubAndSpoke {
            hub,
            spokes,
            direction,
            dial,
        } => {
            if spokes.is_empty() {
                invalid("hubAndSpoke needs one or more spokes".to_owned());
            }
            if spokes.contains(hub) {
                invalid(format!(
                    "the hub {hub} is not one of its own spokes; take it out of spokes"
                ));
            }
            let spoke_dials = |side| (*dial == DialSide::Spoke).then_some(side);
            let mut pairs = BTreeMap::new();
            for spoke in spokes.iter().filter(|spoke| *spoke != hub) {
                if *direction != HubDirection::SpokesToHub {
                    pairs.insert(EdgeId::new(hub, spoke), spoke_dials(Side::Target));
                }
                if *direction != HubDirection::HubToSpokes {
                    pairs.insert(EdgeId::new(spoke, hub), spoke_dials(Side::Source));
                }
            }
            pairs
        }
        Topology::PointToPoint {
            source,
            target,
            direction,
        } => {
            if source == target {
                invalid(format!(
                    "source and target are two locations, here both are {source}"
                ));
                return Vec::new();
            }
            let there = EdgeId::new(source, target);
            let back = (*direction == PointDirection::Both).then(|| there.reversed());
            std::iter::once(there)
                .chain(back)
                .map(|id| (id, None))
                .collect()
        }
    };
    pairs
        .into_iter()
        .map(|(id, dialler)| Draft { id, dialler })
        .collect()
}

fn unknown_locations(
    log: &Log,
    link: &Link,
    drafts: &[Draft],
    known: &BTreeMap<&str, Option<&Endpoint>>,
    findings: &mut Vec<Finding>,
) {
    let named: BTreeSet<&str> = drafts
        .iter()
        .flat_map(|draft| [draft.id.source.as_str(), draft.id.target.as_str()])
        .filter(|name| !known.contains_key(name))
        .collect();
    if !named.is_empty() {
        findings.push(unknown(log, link, "", &named));
    }
}

fn unknown(log: &Log, link: &Link, part: &str, named: &BTreeSet<&str>) -> Finding {
    Finding::new(
        FindingKind::UnknownLocation,
        format!("link {}{part}", link.name),
        format!(
            "{} {} not a location of log {}, which has {}; add it to the EventLog or correct the link",
            list(named),
            if named.len() == 1 { "is" } else { "are" },
            log.name,
            list(log.locations.iter().map(|location| &location.name)),
        ),
    )
    .of_links([link.name.as_str()])
}

fn check_filters(
    log: &Log,
    link: &Link,
    drafts: &[Draft],
    known: &BTreeMap<&str, Option<&Endpoint>>,
    findings: &mut Vec<Finding>,
) {
    for filter in &link.filters {
        let part = format!(" filter {}", filter.name);
        let named: BTreeSet<&str> = filter
            .sources
            .iter()
            .chain(&filter.targets)
            .flatten()
            .map(String::as_str)
            .filter(|name| !known.contains_key(name))
            .collect();
        if !named.is_empty() {
            findings.push(unknown(log, link, &part, &named));
        } else if !drafts.iter().any(|draft| applies(filter, &draft.id)) {
            findings.push(
                Finding::new(
                    FindingKind::UnusedFilter,
                    format!("link {}{part}", link.name),
                    "no edge of this link starts at one of its sources and ends at one of its targets, so it filters nothing",
                )
                .of_links([link.name.as_str()]),
            );
        }
    }
}

fn applies(filter: &LinkFilter, edge: &EdgeId) -> bool {
    let named = |names: &Option<Vec<String>>, name: &String| {
        names.as_ref().is_none_or(|names| names.contains(name))
    };
    named(&filter.sources, &edge.source) && named(&filter.targets, &edge.target)
}

/// A dialling side that the link prescribes is not replaced by the other one: it was written because the other one cannot.
fn dial(
    draft: &Draft,
    endpoints: &BTreeMap<&str, Option<&Endpoint>>,
    every_location_reachable: bool,
) -> Option<Dial> {
    let endpoint_of = |name: &str| endpoints.get(name).copied().flatten().cloned();
    let to_source = endpoint_of(&draft.id.source);
    let to_target = endpoint_of(&draft.id.target);
    let by = match draft.dialler {
        Some(side) => side,
        None if to_source.is_none() && to_target.is_some() => Side::Source,
        None => Side::Target,
    };
    let endpoint = match by {
        Side::Target => to_source,
        Side::Source => to_target,
    };
    (endpoint.is_some() || every_location_reachable).then_some(Dial { by, endpoint })
}

fn edge(link: &Link, id: &EdgeId, dial: Option<Dial>) -> Edge {
    let mut filters: BTreeMap<Predicate, String> = BTreeMap::new();
    for filter in link.filters.iter().filter(|filter| applies(filter, id)) {
        let predicate = predicate(&filter.cel, filter.on_error);
        // Of two filters that say the same the first by name gives the name.
        filters
            .entry(predicate)
            .and_modify(|name| {
                if filter.name < *name {
                    name.clone_from(&filter.name);
                }
            })
            .or_insert_with(|| filter.name.clone());
    }
    Edge {
        source: id.source.clone(),
        target: id.target.clone(),
        link: link.name.clone(),
        dial,
        filter_hash: FilterHash(0), // known when the filters are compiled
        filters: filters
            .into_iter()
            .map(|(predicate, name)| EdgeFilter { name, predicate })
            .collect(),
        paused: link.paused,
        behind: BTreeSet::new(),
        batch: link.batch,
        lag_threshold: link.lag_threshold,
    }
}

fn duplicate(first: &str, second: &Link, ids: &BTreeSet<EdgeId>) -> Finding {
    Finding::new(
        FindingKind::DuplicateEdge,
        format!("link {}", second.name),
        format!(
            "{} {} already part of link {first}; between two locations there is at most one edge per direction, \
             two with different filters would lose events; take the locations out of one of the links",
            list(ids),
            if ids.len() == 1 { "is" } else { "are" },
        ),
    )
    .of_links([first, second.name.as_str()])
}

fn no_endpoint(link: &Link, ids: &[EdgeId]) -> Finding {
    let way_out = match &link.topology {
        Topology::HubAndSpoke {
            hub,
            dial: DialSide::Spoke,
            ..
        } => {
            format!("the spokes dial, so give {hub} an endpoint")
        }
        _ => "give one of the two locations of each an endpoint".to_owned(),
    };
    Finding::new(
        FindingKind::NoEndpoint,
        format!("link {}", link.name),
        format!("nobody can open the connection of {}; {way_out}", list(ids)),
    )
    .of_links([link.name.as_str()])
}
