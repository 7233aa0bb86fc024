//! Checks a node against a structural schema: fields, types, bounds, patterns, keys of list maps.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

use crate::node::{At, Kind, Node, short};
use crate::problem::{Place, Report, did_you_mean};

/// Checks below one document, collecting every problem.
pub(crate) struct Checker<'a> {
    pub file: &'a str,
    pub report: &'a mut Report,
    pub patterns: BTreeMap<String, Option<Regex>>,
}

impl Checker<'_> {
    fn problem(&mut self, at: At, field: &str, message: impl Into<String>) {
        let place = Place {
            file: self.file.to_owned(),
            line: at.0,
            column: at.1,
        };
        self.report.problem(&place, field, message);
    }

    /// Checks a value; `field` is its path.
    pub(crate) fn check(&mut self, node: &Node, schema: &Value, field: &str) {
        match (schema["type"].as_str().unwrap_or_default(), &node.kind) {
            ("object", Kind::Map(_)) => self.object(node, schema, field),
            ("array", Kind::List(items)) => self.list(node, items, schema, field),
            ("string", Kind::Text(text)) => self.text(node.at, text, schema, field),
            ("integer", Kind::Int(number, _)) => self.integer(node.at, *number, schema, field),
            ("boolean", Kind::Bool(..)) => {}
            // The API server puts the default where a null stands.
            (_, Kind::Null) if schema.get("default").is_some() => {}
            (expected, _) => self.wrong_type(node, expected, field),
        }
    }

    fn wrong_type(&mut self, node: &Node, expected: &str, field: &str) {
        let allowed = match expected {
            "object" => "a mapping",
            "array" => "a list",
            "string" => "a text",
            "integer" => "a whole number",
            "boolean" => "true or false",
            other => other,
        };
        let hint = match (&node.kind, expected) {
            (Kind::Bool(_, raw) | Kind::Int(_, raw) | Kind::Number(raw), "string") => {
                format!("; write it in quotes: \"{raw}\"")
            }
            (Kind::Text(text), "integer") if text.parse::<i64>().is_ok() => {
                "; write it without quotes".to_owned()
            }
            (Kind::Text(_), "array") => "; write it in brackets or with a dash".to_owned(),
            (Kind::Null, _) => "; give it a value or remove the field".to_owned(),
            _ => String::new(),
        };
        self.problem(
            node.at,
            field,
            format!("{allowed} is needed, {} was given{hint}", node.what()),
        );
    }

    fn object(&mut self, node: &Node, schema: &Value, field: &str) {
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            return;
        }
        let Some(properties) = schema["properties"].as_object() else {
            return;
        };
        for (key, value) in node.entries() {
            if let Some(property) = properties.get(&key.name) {
                self.check(value, property, &join(field, &key.name));
            } else {
                let message = format!(
                    "unknown field{}; allowed here: {}",
                    did_you_mean(&key.name, properties.keys().map(String::as_str)),
                    properties.keys().cloned().collect::<Vec<_>>().join(", ")
                );
                self.problem(key.at, &join(field, &key.name), message);
            }
        }
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if node.get(name).is_none() {
                self.problem(node.at, &join(field, name), "is required");
            }
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &Value, field: &str) {
        self.bounds(
            node.at,
            items.len() as i64,
            (schema, "minItems", "maxItems"),
            "entries",
            field,
        );
        for (index, item) in items.iter().enumerate() {
            self.check(item, &schema["items"], &format!("{field}[{index}]"));
        }
        let keys: Vec<&str> = match schema["x-kubernetes-list-type"].as_str() {
            Some("map") => schema["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect(),
            Some("set") => Vec::new(),
            _ => return,
        };
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let identity = if keys.is_empty() {
                item.to_json().to_string()
            } else {
                let part = |key: &&str| {
                    let default = &schema["items"]["properties"][*key]["default"];
                    item.get(key)
                        .map_or_else(|| default.clone(), Node::to_json)
                        .to_string()
                };
                keys.iter().map(part).collect::<Vec<_>>().join(", ")
            };
            if !seen.insert(identity.clone()) {
                let what = if keys.is_empty() {
                    String::new()
                } else {
                    format!("{} ", keys.join(", "))
                };
                self.problem(
                    item.at,
                    &format!("{field}[{index}]"),
                    format!("{what}{identity} occurs twice in this list"),
                );
            }
        }
    }

    fn text(&mut self, at: At, text: &str, schema: &Value, field: &str) {
        if let Some(allowed) = schema["enum"].as_array() {
            let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
            if !allowed.contains(&text) {
                let hint = did_you_mean(text, allowed.iter().copied());
                let message = format!(
                    "\"{}\" is not allowed{hint}; allowed: {}",
                    short(text),
                    allowed.join(", ")
                );
                self.problem(at, field, message);
            }
            return;
        }
        let characters = text.chars().count() as i64;
        if !self.bounds(
            at,
            characters,
            (schema, "minLength", "maxLength"),
            "characters",
            field,
        ) {
            return;
        }
        if let Some(pattern) = schema["pattern"].as_str() {
            let compiled = self
                .patterns
                .entry(pattern.to_owned())
                .or_insert_with(|| Regex::new(pattern).ok());
            if compiled
                .as_ref()
                .is_some_and(|compiled| !compiled.is_match(text))
            {
                self.problem(
                    at,
                    field,
                    format!(
                        "\"{}\" is not {}",
                        short(text),
                        tidelog_api::pattern_in_words(pattern)
                    ),
                );
            }
        }
    }

    fn integer(&mut self, at: At, number: i64, schema: &Value, field: &str) {
        let (least, most) = match schema["format"].as_str() {
            Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        let least = schema["minimum"].as_i64().unwrap_or(least);
        let most = schema["maximum"].as_i64().unwrap_or(most);
        if number < least || number > most {
            self.problem(
                at,
                field,
                format!("{number} is not between {least} and {most}"),
            );
        }
    }

    fn bounds(
        &mut self,
        at: At,
        count: i64,
        (schema, least, most): (&Value, &str, &str),
        what: &str,
        field: &str,
    ) -> bool {
        let least = schema[least].as_i64().unwrap_or(0);
        let most = schema[most].as_i64().unwrap_or(i64::MAX);
        let message = if count < least {
            format!("needs at least {least} {what}, has {count}")
        } else if count > most {
            format!("may have {most} {what}, has {count}")
        } else {
            return true;
        };
        self.problem(at, field, message);
        false
    }
}

/// `field.name`.
pub(crate) fn join(field: &str, name: &str) -> String {
    if field.is_empty() {
        name.to_owned()
    } else {
        format!("{field}.{name}")
    }
}
