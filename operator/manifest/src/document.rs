//! From documents to resources: lists taken apart, other kinds left out, each Tidelog object checked and typed.

use std::collections::BTreeMap;

use regex::Regex;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidelog_api::{API_VERSION, EventLog, GROUP, ReplicationLink};

use crate::node::{Kind, Node, short};
use crate::problem::{Place, Report, did_you_mean};
use crate::rules::broken;
use crate::schema::Checker;

/// Fields of metadata that a manifest may have.
const METADATA: [&str; 4] = ["annotations", "labels", "name", "namespace"];
/// Fields of metadata that an API server adds; `kubectl get -o yaml` shows them.
const SERVER_METADATA: [&str; 11] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// A resource and where it was written.
#[derive(Debug)]
pub(crate) struct Placed<T> {
    pub place: Place,
    pub resource: T,
}

/// The resources of all files.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    pub logs: Vec<Placed<EventLog>>,
    pub links: Vec<Placed<ReplicationLink>>,
}

/// Reads documents; one for all files, because patterns and schemas are the same in all.
pub(crate) struct Reader<'a> {
    pub schemas: &'a BTreeMap<&'static str, Value>,
    pub report: &'a mut Report,
    pub patterns: BTreeMap<String, Option<Regex>>,
    pub resources: Resources,
}

impl Reader<'_> {
    /// One document, or one item of a list.
    pub(crate) fn document(&mut self, file: &str, node: &Node) {
        let place = |at: (usize, usize)| Place {
            file: file.to_owned(),
            line: at.0,
            column: at.1,
        };
        let here = place(node.at);
        if !matches!(node.kind, Kind::Map(_)) {
            let message = format!(
                "a manifest is a mapping with apiVersion and kind, {} was given",
                node.what()
            );
            return self.report.problem(&here, "", message);
        }
        let kind = node.get("kind").and_then(Node::text);
        let Some(kind) = kind else {
            return self
                .report
                .problem(&here, "kind", "is required, for instance EventLog");
        };
        let Some(version) = node.get("apiVersion").and_then(Node::text) else {
            return self.report.problem(
                &here,
                "apiVersion",
                format!("is required, for instance {API_VERSION}"),
            );
        };
        if kind.ends_with("List") && node.get("items").is_some() {
            if let Some(Kind::List(items)) = node.get("items").map(|items| &items.kind) {
                for item in items {
                    self.document(file, item);
                }
            } else {
                self.report.problem(&here, "items", "a list is needed");
            }
            return;
        }
        let name = node
            .get("metadata")
            .and_then(|metadata| metadata.get("name"))
            .and_then(Node::text);
        if version.split('/').next() != Some(GROUP) {
            let group = version.split_once('/').map(|(group, _)| group);
            let meant =
                group.is_none_or(|group| !did_you_mean(group, std::iter::once(GROUP)).is_empty());
            if meant && self.schemas.contains_key(kind) {
                let at = node.get("apiVersion").map_or(node.at, |node| node.at);
                let message = format!(
                    "{kind} has apiVersion {API_VERSION}, \"{}\" was given",
                    short(version)
                );
                return self.report.problem(&place(at), "apiVersion", message);
            }
            let name = name
                .map(|name| format!(" {}", short(name)))
                .unwrap_or_default();
            return self.report.note(
                &here,
                format!("{} {}{name} is skipped", short(version), short(kind)),
            );
        }
        if version != API_VERSION {
            let at = node.get("apiVersion").map_or(node.at, |node| node.at);
            let message = format!(
                "\"{}\" is not known; the only version is {API_VERSION}",
                short(version)
            );
            return self.report.problem(&place(at), "apiVersion", message);
        }
        let schemas = self.schemas;
        let Some(schema) = schemas.get(kind) else {
            let at = node.get("kind").map_or(node.at, |node| node.at);
            let message = format!(
                "\"{}\" is not a kind of {GROUP}{}; there are {}",
                short(kind),
                did_you_mean(kind, schemas.keys().copied()),
                schemas.keys().copied().collect::<Vec<_>>().join(" and ")
            );
            return self.report.problem(&place(at), "kind", message);
        };
        let before = self.report.problems.len();
        let kept = self.envelope(file, node, kind, name);
        let mut checker = Checker {
            file,
            report: &mut *self.report,
            patterns: std::mem::take(&mut self.patterns),
        };
        checker.check(&kept, schema, "");
        self.patterns = checker.patterns;
        if self.report.problems.len() > before {
            return; // Rules and types would say the same again in other words.
        }
        let mut rules = Vec::new();
        broken(&kept, schema, "", &mut rules);
        for rule in &rules {
            self.report
                .problem(&place(rule.at), rule.field.as_str(), rule.message.as_str());
        }
        if !rules.is_empty() {
            return;
        }
        match kind {
            "EventLog" => {
                let typed = typed(&kept, here, self.report);
                self.resources.logs.extend(typed);
            }
            _ => {
                let typed = typed(&kept, here, self.report);
                self.resources.links.extend(typed);
            }
        }
    }

    /// The document without what a server adds, and without metadata that is checked here, because the schema of metadata is
    /// the API server's own.
    fn envelope(&mut self, file: &str, node: &Node, kind: &str, name: Option<&str>) -> Node {
        let place = |at: (usize, usize)| Place {
            file: file.to_owned(),
            line: at.0,
            column: at.1,
        };
        let subject = format!(
            "{kind} {}",
            name.map_or_else(|| "without name".to_owned(), short)
        );
        let mut kept = Vec::new();
        for (key, value) in node.entries() {
            match key.name.as_str() {
                "status" => self
                    .report
                    .note(&place(key.at), format!("status of {subject} is skipped")),
                "metadata" => {
                    let metadata = self.metadata(file, value, &subject);
                    kept.push((key.clone(), metadata));
                }
                _ => kept.push((key.clone(), value.clone())),
            }
        }
        if name.is_none()
            && node
                .get("metadata")
                .and_then(|metadata| metadata.get("name"))
                .is_none()
        {
            self.report
                .problem(&place(node.at), "metadata.name", "is required");
        }
        Node::new(node.at, Kind::Map(kept))
    }

    fn metadata(&mut self, file: &str, node: &Node, subject: &str) -> Node {
        let place = |at: (usize, usize)| Place {
            file: file.to_owned(),
            line: at.0,
            column: at.1,
        };
        let mut kept = Vec::new();
        let mut skipped = Vec::new();
        for (key, value) in node.entries() {
            let field = format!("metadata.{}", key.name);
            let problem = |message: String, report: &mut Report| {
                report.problem(&place(value.at), &*field, message);
            };
            match key.name.as_str() {
                "labels" | "annotations" => {
                    for (label, value) in value.entries() {
                        if value.text().is_none() {
                            let message = format!(
                                "a text is needed, {} was given; write it in quotes",
                                value.what()
                            );
                            self.report.problem(
                                &place(value.at),
                                format!("{field}.{}", label.name),
                                message,
                            );
                        }
                    }
                    if !matches!(value.kind, Kind::Map(_) | Kind::Null) {
                        problem(
                            format!("a mapping is needed, {} was given", value.what()),
                            self.report,
                        );
                    }
                    if matches!(value.kind, Kind::Map(_)) {
                        kept.push((key.clone(), value.clone()));
                    }
                }
                "name" | "namespace" => {
                    if value.text().is_none() {
                        let message = format!(
                            "a text is needed, {} was given; write it in quotes",
                            value.what()
                        );
                        problem(message, self.report);
                    } else if value.text().is_some_and(|text| !is_label(text)) {
                        let message = format!(
                            "\"{}\" is not a name: lower-case letters, digits and '-', at most 63 characters, beginning \
                             and ending with a letter or digit",
                            short(value.text().unwrap_or_default())
                        );
                        problem(message, self.report);
                    }
                    kept.push((key.clone(), value.clone()));
                }
                server if SERVER_METADATA.contains(&server) => skipped.push(server),
                other => {
                    let message = format!(
                        "unknown field{}; allowed here: {}",
                        did_you_mean(other, METADATA.into_iter()),
                        METADATA.join(", ")
                    );
                    self.report.problem(&place(key.at), &*field, message);
                }
            }
        }
        if !skipped.is_empty() {
            let message = format!(
                "server metadata of {subject} is skipped ({})",
                skipped.join(", ")
            );
            self.report.note(&place(node.at), message);
        }
        match &node.kind {
            Kind::Map(_) => Node::new(node.at, Kind::Map(kept)),
            _ => node.clone(),
        }
    }
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.starts_with(inner)
        && text.ends_with(inner)
        && text.chars().all(|c| inner(c) || c == '-')
}

fn typed<T: DeserializeOwned>(node: &Node, place: Place, report: &mut Report) -> Option<Placed<T>> {
    match serde_json::from_value(node.to_json()) {
        Ok(resource) => Some(Placed { place, resource }),
        Err(error) => {
            report.problem(&place, "", error.to_string());
            None
        }
    }
}
