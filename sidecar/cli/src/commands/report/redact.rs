//! Takes out of objects and texts what nobody but their owner should see. Pure.
//!
//! Two nets. By form: what is known to hold secrets is not passed on but built anew from the fields that are harmless (containers), or by name only
//! (annotations, Secrets). By words: passwords in URIs, tokens, keys and payloads are looked for in every text, and so is every value that was learned from
//! a Secret. In doubt it takes out too much.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use k8s_openapi::ByteString;
use regex::{Captures, Regex};
use serde_json::{Map, Value};

/// What stands where something was.
pub const REDACTED: &str = "<redacted>";
/// Shorter values of Secrets are words that stand everywhere.
const LEARNED_CHARS_MIN: usize = 6;

/// Fields of a container that hold nothing of what an application keeps to itself.
const HARMLESS: &[&str] = &[
    "name",
    "image",
    "imagePullPolicy",
    "ports",
    "resources",
    "restartPolicy",
    "securityContext",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "volumeMounts",
    "volumeDevices",
];
/// Of containers of Tidelog also these.
const OURS_TOO: &[&str] = &["args", "livenessProbe", "readinessProbe", "startupProbe"];
/// Owners of annotations that tell of the cluster.
const KNOWN_ANNOTATIONS: &[&str] = &["kubernetes.io", "k8s.io", "tidelog.dev", "helm.sh"];
/// Holds the whole object as somebody applied it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Events about containers in these words quote nothing of what is in them.
const PLAIN_EVENTS: &[&str] = &[
    "BackOff", "Created", "Killing", "Pulled", "Pulling", "Started",
];

/// Something to look for in texts, what it is called, and what it becomes.
struct Rule {
    what: &'static str,
    pattern: &'static str,
    becomes: &'static str,
}

/// In this order: what is quoted is found before what is not.
const RULES: &[Rule] = &[
    Rule {
        what: "private keys",
        pattern: r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
        becomes: "<redacted>",
    },
    Rule {
        what: "payloads and metadata of events",
        pattern: r#"(?i)\b((?:payload|metadata)\\?["']?\s*[:=]\s*)\S.*"#,
        becomes: "$1<redacted>",
    },
    Rule {
        what: "users and passwords in URIs",
        pattern: r#"([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>]*@"#,
        becomes: "$1<redacted>@",
    },
    Rule {
        what: "tokens",
        pattern: r#"(?i)\b(bearer|basic)\s+[^\s"']+"#,
        becomes: "$1 <redacted>",
    },
    Rule {
        what: "tokens",
        pattern: r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_.-]*",
        becomes: "<redacted>",
    },
    Rule {
        what: "values that are named like secrets",
        pattern: r#"(?i)([\w.-]*(?:passw|pwd|secret|token|credential|authorization|api[_-]?key|private[_-]?key|access[_-]?key|cookie)[\w.-]*\\?["']?\s*[:=]\s*)(?:\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|(?:bearer\s+|basic\s+)?\S+)"#,
        becomes: "$1<redacted>",
    },
];

static COMPILED: LazyLock<Vec<(Regex, &'static Rule)>> = LazyLock::new(|| {
    let compiled = RULES
        .iter()
        .filter_map(|rule| Some((Regex::new(rule.pattern).ok()?, rule)));
    compiled.collect()
});

/// Takes things out and remembers how many of which kind.
#[derive(Debug, Default)]
pub struct Redactor {
    learned: BTreeSet<String>,
    counts: BTreeMap<&'static str, u64>,
}

impl Redactor {
    /// A value that must not be seen anywhere.
    pub fn learn(&mut self, value: &str) {
        let value = value.trim();
        for part in std::iter::once(value).chain(value.lines()) {
            if part.len() >= LEARNED_CHARS_MIN && !part.starts_with("-----") {
                self.learned.insert(part.to_owned());
            }
        }
        // The password of a URI is printed without the rest of it.
        if let Ok(uri) = url::Url::parse(value)
            && let Some(password) = uri.password()
            && password.len() >= LEARNED_CHARS_MIN
        {
            self.learned.insert(password.to_owned());
        }
    }

    /// The same as a Secret holds it; also that form must not be seen.
    pub fn learn_encoded(&mut self, value: &str) {
        if value.len() >= LEARNED_CHARS_MIN {
            self.learned.insert(value.to_owned());
        }
        if let Some(plain) = decoded(value) {
            self.learn(&plain);
        }
    }

    /// How much was taken out, by kind.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    fn count(&mut self, what: &'static str) -> Value {
        *self.counts.entry(what).or_default() += 1;
        REDACTED.into()
    }

    /// A text without the values that were learned by now.
    pub fn unlearned(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        // The longest first: one may be part of another.
        let mut learned: Vec<&String> = self.learned.iter().collect();
        learned.sort_by_key(|value| std::cmp::Reverse(value.len()));
        for value in learned {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), REDACTED);
                *self.counts.entry("values of Secrets").or_default() += 1;
            }
        }
        text
    }

    /// A text, line by line where it matters.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = self.unlearned(text);
        for (pattern, rule) in COMPILED.iter() {
            let mut found = 0;
            let replaced = pattern.replace_all(&text, |captures: &Captures<'_>| {
                found += 1;
                let mut becomes = String::new();
                captures.expand(rule.becomes, &mut becomes);
                becomes
            });
            text = replaced.into_owned();
            if found > 0 {
                *self.counts.entry(rule.what).or_default() += found;
            }
        }
        text
    }

    /// An object of Kubernetes, or a part of one. `ours` are the containers that Tidelog puts there itself.
    pub fn object(&mut self, value: &Value, ours: &[&str]) -> Value {
        let kind = value["kind"].as_str().unwrap_or_default();
        let mut object = match value {
            Value::Object(map) => map.clone(),
            other => return self.part(other, ours),
        };
        if matches!(kind, "Secret" | "ConfigMap") {
            for field in ["data", "stringData", "binaryData"] {
                if let Some(Value::Object(data)) = object.get_mut(field) {
                    for held in data.values_mut() {
                        *held = self.count("data of Secrets and ConfigMaps");
                    }
                }
            }
        }
        if kind == "Event" && quotes_a_container(value, ours) {
            for field in ["message", "note"] {
                if object.contains_key(field) {
                    let redacted = self.count("Events that quote containers of an application");
                    object.insert(field.to_owned(), redacted);
                }
            }
        }
        self.part(&Value::Object(object), ours)
    }

    fn part(&mut self, value: &Value, ours: &[&str]) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(items) => items.iter().map(|item| self.part(item, ours)).collect(),
            Value::Object(map) => self.map(map, ours).into(),
            other => other.clone(),
        }
    }

    fn map(&mut self, map: &Map<String, Value>, ours: &[&str]) -> Map<String, Value> {
        let mut kept = Map::new();
        for (key, value) in map {
            let value = match (key.as_str(), value) {
                // Who wrote which field says nothing that the fields do not.
                ("managedFields", _) => continue,
                ("annotations", Value::Object(annotations)) => self.annotations(annotations, ours),
                ("containers" | "initContainers" | "ephemeralContainers", Value::Array(all)) => {
                    all.iter().map(|one| self.container(one, ours)).collect()
                }
                (
                    "containerStatuses" | "initContainerStatuses" | "ephemeralContainerStatuses",
                    Value::Array(all),
                ) => all
                    .iter()
                    .map(|one| self.container_status(one, ours))
                    .collect(),
                // Drivers of volumes take what they like, passwords included.
                ("volumeAttributes" | "options" | "parameters", Value::Object(inner)) => {
                    self.keys_only(inner, "options of volume drivers").into()
                }
                (_, value) => self.part(value, ours),
            };
            // A name may be a secret by somebody's mistake.
            kept.insert(self.text(key), value);
        }
        kept
    }

    fn keys_only(&mut self, map: &Map<String, Value>, what: &'static str) -> Map<String, Value> {
        map.keys()
            .map(|key| (key.clone(), self.count(what)))
            .collect()
    }

    fn annotations(&mut self, all: &Map<String, Value>, ours: &[&str]) -> Value {
        let mut kept = Map::new();
        for (key, value) in all {
            let domain = key.split_once('/').map_or("", |(domain, _)| domain);
            let is_known = KNOWN_ANNOTATIONS
                .iter()
                .any(|known| domain == *known || domain.ends_with(&format!(".{known}")));
            let value = if is_known && key != LAST_APPLIED {
                self.part(value, ours)
            } else {
                self.count("annotations")
            };
            kept.insert(key.clone(), value);
        }
        kept.into()
    }

    /// Built anew from what is harmless.
    fn container(&mut self, container: &Value, ours: &[&str]) -> Value {
        let is_ours = is_ours(container, ours);
        let mut kept = Map::new();
        for (key, value) in container.as_object().into_iter().flatten() {
            let is_kept =
                HARMLESS.contains(&key.as_str()) || (is_ours && OURS_TOO.contains(&key.as_str()));
            let value = match key.as_str() {
                _ if is_kept => self.part(value, ours),
                "env" => self.environment(value, is_ours),
                // Names of Secrets and ConfigMaps.
                "envFrom" => self.part(value, ours),
                _ => self.count("commands, probes and hooks of containers"),
            };
            kept.insert(key.clone(), value);
        }
        kept.into()
    }

    /// Where a value comes from stays, the value goes.
    fn environment(&mut self, env: &Value, is_ours: bool) -> Value {
        let one = |entry: &Value| {
            let mut entry = entry.clone();
            let name = entry["name"].as_str().unwrap_or_default();
            let is_known = is_ours && name.starts_with("TIDELOG_");
            if let Some(value) = entry.get_mut("value") {
                *value = match value.as_str() {
                    Some(text) if is_known => self.text(text).into(),
                    _ => self.count("values of environment variables"),
                };
            }
            entry
        };
        env.as_array().into_iter().flatten().map(one).collect()
    }

    /// What an application wrote as its last words is its own.
    fn container_status(&mut self, status: &Value, ours: &[&str]) -> Value {
        let mut status = status.clone();
        if !is_ours(&status, ours) {
            for pointer in ["/state/terminated/message", "/lastState/terminated/message"] {
                if let Some(message) = status.pointer_mut(pointer) {
                    *message = self.count("last words of containers");
                }
            }
        }
        self.part(&status, ours)
    }
}

/// Base64 of a text.
fn decoded(value: &str) -> Option<String> {
    let held: ByteString = serde_json::from_value(value.into()).ok()?;
    String::from_utf8(held.0).ok()
}

fn is_ours(container: &Value, ours: &[&str]) -> bool {
    container["name"]
        .as_str()
        .is_some_and(|name| ours.contains(&name))
}

/// Probes and hooks quote what a container answers.
fn quotes_a_container(event: &Value, ours: &[&str]) -> bool {
    let about = [&event["involvedObject"], &event["regarding"]];
    let field = about
        .into_iter()
        .find_map(|object| object["fieldPath"].as_str());
    let container = field.and_then(|path| Some(path.split_once('{')?.1.trim_end_matches('}')));
    let reason = event["reason"].as_str().unwrap_or_default();
    container.is_some_and(|name| !ours.contains(&name)) && !PLAIN_EVENTS.contains(&reason)
}

#[cfg(test)]
mod tests;
