//! Logs and links in few words.

use tidelog_topology::{
    Application, DialSide, Endpoint, HubDirection, Link, LinkFilter, Location, Log, OnError, Plan,
    Planner, PointDirection, Topology,
};

pub fn plan(log: &Log, links: &[Link]) -> Plan {
    Planner::new().plan(log, links)
}

/// A log `orders`; a location with `!` behind its name has no endpoint.
pub fn log(locations: &str) -> Log {
    Log {
        name: "orders".to_owned(),
        application: Application {
            name: "shop".to_owned(),
            version: "1.3".to_owned(),
        },
        locations: locations
            .split_whitespace()
            .map(|name| Location {
                name: name.trim_end_matches('!').to_owned(),
                endpoint: (!name.ends_with('!')).then(|| Endpoint {
                    host: format!("{name}.example.com"),
                    port: 7443,
                }),
                export_filter: None,
            })
            .collect(),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn link(name: &str, topology: Topology) -> Link {
    Link {
        name: name.to_owned(),
        topology,
        filters: Vec::new(),
        batch: tidelog_topology::Batch::default(),
        lag_threshold: tidelog_topology::LagThreshold::default(),
        paused: false,
    }
}

pub fn dense(name: &str, locations: &str) -> Link {
    link(
        name,
        Topology::Dense {
            locations: words(locations),
        },
    )
}

pub fn hub(name: &str, hub: &str, spokes: &str) -> Link {
    let (direction, dial) = (HubDirection::Both, DialSide::Auto);
    link(
        name,
        Topology::HubAndSpoke {
            hub: hub.to_owned(),
            spokes: words(spokes),
            direction,
            dial,
        },
    )
}

pub fn one_way(name: &str, source: &str, target: &str) -> Link {
    let direction = PointDirection::OneWay;
    link(
        name,
        Topology::PointToPoint {
            source: source.to_owned(),
            target: target.to_owned(),
            direction,
        },
    )
}

pub fn both_ways(name: &str, source: &str, target: &str) -> Link {
    let direction = PointDirection::Both;
    link(
        name,
        Topology::PointToPoint {
            source: source.to_owned(),
            target: target.to_owned(),
            direction,
        },
    )
}

/// Adds a filter; `on` is `sources -> targets`, either may be `*`.
pub fn filtered(mut link: Link, name: &str, on: &str, cel: &str) -> Link {
    let (sources, targets) = on.split_once("->").expect("sources -> targets");
    let names = |text: &str| (text.trim() != "*").then(|| words(text));
    link.filters.push(LinkFilter {
        name: name.to_owned(),
        sources: names(sources),
        targets: names(targets),
        cel: cel.to_owned(),
        on_error: OnError::Stall,
    });
    link
}

pub fn paused(mut link: Link) -> Link {
    link.paused = true;
    link
}

/// Edges as lines: who dials where, filters, who is behind.
pub fn edges(plan: &Plan) -> String {
    let mut lines: Vec<String> = plan
        .edges
        .iter()
        .map(|(id, edge)| {
            let dial = edge
                .dial
                .as_ref()
                .map_or("nobody dials".to_owned(), |dial| {
                    let at = dial
                        .endpoint
                        .as_ref()
                        .map_or("?".to_owned(), |e| format!("{}:{}", e.host, e.port));
                    format!("{:?} dials {at}", dial.by)
                });
            let filters: Vec<_> = edge
                .filters
                .iter()
                .map(|filter| filter.name.as_str())
                .collect();
            let behind: Vec<_> = edge.behind.iter().map(String::as_str).collect();
            format!(
                "{id} of {}: {dial}, filters [{}], behind [{}]{}",
                edge.link,
                filters.join(" "),
                behind.join(" "),
                if edge.paused { ", paused" } else { "" }
            )
        })
        .collect();
    for component in &plan.components {
        let locations: Vec<_> = component.locations.iter().map(String::as_str).collect();
        let filtered = if component.filtered { " filtered" } else { "" };
        lines.push(format!(
            "component {}: {} edges{filtered}",
            locations.join(" "),
            component.edges.len()
        ));
    }
    for bridge in &plan.bridges {
        let locations: Vec<_> = bridge.locations.iter().map(String::as_str).collect();
        let filtered = if bridge.filtered { " filtered" } else { "" };
        lines.push(format!(
            "bridge {}: {} edges{filtered}",
            locations.join(" "),
            bridge.edges.len()
        ));
    }
    lines.join("\n") + "\n"
}

/// Findings as lines.
pub fn findings(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for finding in &plan.findings {
        let links: Vec<_> = finding.links.iter().map(String::as_str).collect();
        let (severity, kind, subject) = (finding.severity, finding.kind, &finding.subject);
        lines.push(format!(
            "{severity:?} {kind} | {subject} | links [{}]",
            links.join(" ")
        ));
        lines.push(format!("  {}", finding.message));
        lines.extend(
            finding
                .example
                .iter()
                .map(|example| format!("  example: {example}")),
        );
    }
    lines.iter().map(|line| line.clone() + "\n").collect()
}
