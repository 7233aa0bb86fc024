//! What a set of manifests says about each log.

use std::collections::BTreeMap;

use tidelog_api::{EventLog, ReplicationLink};
use tidelog_topology::{Link, Log, Plan, Planner};

use crate::convert;
use crate::document::{Placed, Resources};
use crate::problem::{Note, Report, did_you_mean};

/// Everything that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifests {
    /// The logs by name.
    pub logs: Vec<LogManifest>,
    /// What was skipped.
    pub notes: Vec<Note>,
}

/// One log with its links.
#[derive(Clone, Debug, PartialEq)]
pub struct LogManifest {
    /// The log as written.
    pub resource: EventLog,
    /// Its links as written, by name.
    pub link_resources: Vec<ReplicationLink>,
    /// The log as the planner wants it.
    pub log: Log,
    /// Its links as the planner wants them.
    pub links: Vec<Link>,
    /// Fields that need Kubernetes and are not realised without it, each once.
    pub not_realised: Vec<String>,
}

impl LogManifest {
    /// A log with its links, as the schema has let them in; links are in the order of their names.
    pub fn of(resource: EventLog, mut link_resources: Vec<ReplicationLink>) -> Self {
        link_resources.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        Self {
            log: convert::log(&resource),
            links: link_resources
                .iter()
                .map(|link| convert::link(link, &resource))
                .collect(),
            not_realised: convert::not_realised(&resource),
            resource,
            link_resources,
        }
    }

    /// Plans this log.
    pub fn plan(&self, planner: Planner) -> Plan {
        planner.plan(&self.log, &self.links)
    }
}

/// Plans every log.
pub fn plan_all(manifests: &Manifests, planner: Planner) -> Vec<Plan> {
    manifests.logs.iter().map(|log| log.plan(planner)).collect()
}

/// Namespace (absent: wherever it is applied) and name.
type Identity = (Option<String>, String);

fn describe((namespace, name): &Identity) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.clone(),
    }
}

/// Puts links to their logs; names that occur twice and links without a log are problems.
pub(crate) fn gather(resources: Resources, report: &mut Report) -> Vec<LogManifest> {
    let logs = unique("EventLog", resources.logs, report, |log| {
        (
            log.metadata.namespace.clone(),
            log.metadata.name.clone().unwrap_or_default(),
        )
    });
    let links = unique("ReplicationLink", resources.links, report, |link| {
        (
            link.metadata.namespace.clone(),
            link.metadata.name.clone().unwrap_or_default(),
        )
    });
    one_namespace_per_log(&logs, report);
    let mut of_log: BTreeMap<Identity, Vec<ReplicationLink>> = BTreeMap::new();
    for (identity, link) in links {
        let wanted = (
            identity.0.clone(),
            link.resource.spec.event_log_ref.name.clone(),
        );
        if logs.contains_key(&wanted) {
            of_log.entry(wanted).or_default().push(link.resource);
            continue;
        }
        let elsewhere = logs.keys().find(|(_, name)| *name == wanted.1);
        let message = match elsewhere {
            Some(elsewhere) => format!(
                "a link and its log are in the same namespace, but this link is {} and the log is {}",
                describe(&identity),
                describe(elsewhere),
            ),
            None if logs.is_empty() => {
                format!(
                    "there is no EventLog {} in these manifests",
                    describe(&wanted)
                )
            }
            None => format!(
                "there is no EventLog {} in these manifests{}; there are {}",
                describe(&wanted),
                did_you_mean(&wanted.1, logs.keys().map(|(_, name)| name.as_str())),
                logs.keys().map(describe).collect::<Vec<_>>().join(", "),
            ),
        };
        report.problem(&link.place, "spec.eventLogRef.name", message);
    }
    let mut manifests: Vec<LogManifest> = logs
        .into_iter()
        .map(|(identity, log)| {
            LogManifest::of(log.resource, of_log.remove(&identity).unwrap_or_default())
        })
        .collect();
    manifests.sort_by(|one, other| one.log.name.cmp(&other.log.name));
    manifests
}

fn unique<T>(
    kind: &str,
    resources: Vec<Placed<T>>,
    report: &mut Report,
    identity: impl Fn(&T) -> Identity,
) -> BTreeMap<Identity, Placed<T>> {
    let mut unique: BTreeMap<Identity, Placed<T>> = BTreeMap::new();
    for placed in resources {
        let identity = identity(&placed.resource);
        if let Some(first) = unique.get(&identity) {
            let message = format!(
                "{kind} {} was already written at {}; remove one",
                describe(&identity),
                first.place
            );
            report.problem(&placed.place, "metadata.name", message);
        } else {
            unique.insert(identity, placed);
        }
    }
    unique
}

/// Names of logs are names of data directories, databases and command line options, without a namespace.
fn one_namespace_per_log(logs: &BTreeMap<Identity, Placed<EventLog>>, report: &mut Report) {
    let mut first: BTreeMap<&str, &Placed<EventLog>> = BTreeMap::new();
    for ((_, name), placed) in logs {
        if let Some(other) = first.get(name.as_str()) {
            let message = format!(
                "log {name} is also in another namespace, at {}; read the manifests of one namespace at a time",
                other.place
            );
            report.problem(&placed.place, "metadata.namespace", message);
        } else {
            first.insert(name, placed);
        }
    }
}
