//! Manifests for tests, and beside them what they mean: which edges there are and what passes, said in Rust and not asked of the planner.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::history::{Admits, Topology};
use crate::record::Fact;

/// What an edge lets pass: the event, the source, the target.
pub type Rule = Arc<dyn Fn(&Fact, &str, &str) -> bool + Send + Sync>;

/// A log with its locations and links.
#[derive(Clone, Default)]
pub struct Manifests {
    /// Name of the log.
    pub log: String,
    /// Version of the application.
    pub version: String,
    /// Locations: name, whether it can be dialled.
    pub locations: Vec<(String, bool)>,
    /// Export filters: location, CEL, the same in Rust.
    pub exports: Vec<(String, String, Admits)>,
    /// Links.
    pub links: Vec<Link>,
}

/// A link.
#[derive(Clone)]
pub struct Link {
    name: String,
    topology: String,
    edges: Vec<(String, String)>,
    filters: Vec<Filter>,
    /// Events in a frame; 0 = the default.
    batch: u32,
}

#[derive(Clone)]
struct Filter {
    sources: Vec<String>,
    targets: Vec<String>,
    cel: String,
    rule: Rule,
}

impl Link {
    /// Every location copies from every other.
    pub fn dense(name: &str, locations: &[&str]) -> Self {
        let pairs = locations
            .iter()
            .flat_map(|source| locations.iter().map(move |target| (*source, *target)));
        Self {
            name: name.to_owned(),
            topology: format!("dense: {{locations: [{}]}}", locations.join(", ")),
            edges: owned(pairs.filter(|(source, target)| source != target)),
            filters: Vec::new(),
            batch: 0,
        }
    }

    /// Spokes around a hub; the spokes dial.
    pub fn hub_and_spoke(name: &str, hub: &str, spokes: &[&str]) -> Self {
        let pairs = spokes
            .iter()
            .flat_map(|spoke| [(hub, *spoke), (*spoke, hub)]);
        Self {
            name: name.to_owned(),
            topology: format!(
                "hubAndSpoke: {{hub: {hub}, spokes: [{}], dial: Spoke}}",
                spokes.join(", ")
            ),
            edges: owned(pairs),
            filters: Vec::new(),
            batch: 0,
        }
    }

    /// Both directions between two locations.
    pub fn both(name: &str, source: &str, target: &str) -> Self {
        Self {
            name: name.to_owned(),
            topology: format!(
                "pointToPoint: {{source: {source}, target: {target}, direction: Both}}"
            ),
            edges: owned([(source, target), (target, source)].into_iter()),
            filters: Vec::new(),
            batch: 0,
        }
    }

    /// One direction between two locations.
    pub fn one_way(name: &str, source: &str, target: &str) -> Self {
        Self {
            name: name.to_owned(),
            topology: format!(
                "pointToPoint: {{source: {source}, target: {target}, direction: OneWay}}"
            ),
            edges: owned(std::iter::once((source, target))),
            filters: Vec::new(),
            batch: 0,
        }
    }

    /// With frames of at most so many events.
    pub fn batch(mut self, events: u32) -> Self {
        self.batch = events;
        self
    }

    /// With a filter on the edges from `sources` to `targets` (all when empty), in CEL and in Rust.
    pub fn filtered(mut self, sources: &[&str], targets: &[&str], cel: &str, rule: Rule) -> Self {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        self.filters.push(Filter {
            sources: names(sources),
            targets: names(targets),
            cel: cel.to_owned(),
            rule,
        });
        self
    }
}

fn owned<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    pairs
        .map(|(source, target)| (source.to_owned(), target.to_owned()))
        .collect()
}

impl Manifests {
    /// A log whose locations can all be dialled.
    pub fn new(log: &str, locations: &[&str]) -> Self {
        Self {
            log: log.to_owned(),
            version: "1.0".to_owned(),
            locations: locations
                .iter()
                .map(|name| ((*name).to_owned(), true))
                .collect(),
            ..Self::default()
        }
    }

    /// With locations that nobody can dial.
    pub fn behind_nat(mut self, locations: &[&str]) -> Self {
        self.locations
            .extend(locations.iter().map(|name| ((*name).to_owned(), false)));
        self
    }

    /// With a link.
    pub fn link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }

    /// With an export filter, in CEL and in Rust.
    pub fn export(mut self, location: &str, cel: &str, admits: Admits) -> Self {
        self.exports
            .push((location.to_owned(), cel.to_owned(), admits));
        self
    }

    /// Names of all locations.
    pub fn names(&self) -> Vec<&str> {
        self.locations
            .iter()
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// As files say it.
    pub fn yaml(&self) -> String {
        let mut out = format!(
            "apiVersion: tidelog.dev/v1alpha1\nkind: EventLog\nmetadata: {{name: {}}}\nspec:\n  application: {{name: tests, version: \"{}\"}}\n  locations:\n",
            self.log, self.version
        );
        for (name, reachable) in &self.locations {
            let _ = writeln!(out, "  - name: {name}");
            if *reachable {
                let _ = writeln!(out, "    endpoint: {{host: {name}.example.com}}");
            }
            for (_, cel, _) in self
                .exports
                .iter()
                .filter(|(location, ..)| location == name)
            {
                let _ = writeln!(out, "    exportFilter: {{cel: {}}}", quoted(cel));
            }
        }
        for link in &self.links {
            let _ = write!(
                out,
                "---\napiVersion: tidelog.dev/v1alpha1\nkind: ReplicationLink\nmetadata: {{name: {}}}\nspec:\n  eventLogRef: {{name: {}}}\n  topology: {{{}}}\n",
                link.name, self.log, link.topology
            );
            if link.batch > 0 {
                let _ = writeln!(out, "  batch: {{maxEvents: {}}}", link.batch);
            }
            if !link.filters.is_empty() {
                out.push_str("  filters:\n");
            }
            for (number, filter) in link.filters.iter().enumerate() {
                let _ = write!(out, "  - {{name: f{number}, cel: {}", quoted(&filter.cel));
                for (key, names) in [("sources", &filter.sources), ("targets", &filter.targets)] {
                    if !names.is_empty() {
                        let _ = write!(out, ", {key}: [{}]", names.join(", "));
                    }
                }
                out.push_str("}\n");
            }
        }
        out
    }

    /// What they mean.
    pub fn topology(&self) -> Topology {
        let mut topology = Topology::default();
        for link in &self.links {
            for (source, target) in &link.edges {
                let meant =
                    |names: &Vec<String>, name: &String| names.is_empty() || names.contains(name);
                let rules: Vec<Rule> = link
                    .filters
                    .iter()
                    .filter(|f| meant(&f.sources, source) && meant(&f.targets, target))
                    .map(|f| Arc::clone(&f.rule))
                    .collect();
                let exports: Vec<Admits> = self
                    .exports
                    .iter()
                    .filter(|(location, ..)| location == source)
                    .map(|(_, _, admits)| Arc::clone(admits))
                    .collect();
                let (from, to) = (source.clone(), target.clone());
                let admits = move |fact: &Fact| {
                    rules.iter().all(|rule| rule(fact, &from, &to))
                        && (fact.id.location != from || exports.iter().all(|admits| admits(fact)))
                };
                topology.filtered(source, target, Arc::new(admits));
            }
        }
        topology
    }

    /// The other end of every edge at a location, with the edge: source, target.
    pub fn edges_at(&self, location: &str) -> BTreeSet<(String, String)> {
        let edges = self.links.iter().flat_map(|link| &link.edges);
        edges
            .filter(|(source, target)| source == location || target == location)
            .cloned()
            .collect()
    }
}

fn quoted(cel: &str) -> String {
    format!("\"{}\"", cel.replace('\\', "\\\\").replace('"', "\\\""))
}
