//! Fields of the two kinds, from the schema that the API server gets.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tidelog_api::{API_VERSION, object_schema};

use super::cell;

const HEAD: &str = "\
# Manifests

Two kinds, the same for `tidelog dev`, `tidelog plan` and Kubernetes. The definitions for a cluster are in [crds](../../crds), and their columns, keys and rules in CEL on a [page of their own](crds.md); this
page is written from the same schema. How links and filters behave is told in [topology and filters](../guides/topology-and-filters.md).

An unknown field of these kinds is an error that names file, line and field. Documents of other kinds, `status`, and metadata that servers write are
skipped. `tidelog dev` has no use for `storage`, `replicas`, `tls` (except `insecure`), `expose`, `template` and `deletionPolicy`, and says so once.

Bounds are inclusive. `[]` marks the items of a list, `{}` the values of a map; a text with a pattern behind it has to match that regular expression.
";

/// The page.
pub fn page() -> Result<String> {
    let mut out = HEAD.to_owned();
    for kind in ["EventLog", "ReplicationLink"] {
        let schema = object_schema(kind)?.with_context(|| format!("no schema of {kind}"))?;
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "\n## {kind}\n\n`apiVersion: {API_VERSION}`\n");
        let mut rules = Vec::new();
        own_rules("", &schema, &mut rules);
        list_rules(rules, &mut out);
        for (part, what) in [
            ("spec", "What is wanted."),
            (
                "status",
                "What the log reports in a cluster; skipped when a manifest is read.",
            ),
        ] {
            let _ = write!(
                out,
                "\n### {kind} {part}\n\n{what}\n\n| field | type | default | meaning |\n|---|---|---|---|\n"
            );
            let mut rules = Vec::new();
            fields("", &schema["properties"][part], &mut out, &mut rules);
            list_rules(rules, &mut out);
        }
    }
    Ok(out)
}

/// Rules over several fields of one section.
fn own_rules(prefix: &str, schema: &Value, rules: &mut Vec<String>) {
    let written = schema["x-kubernetes-validations"].as_array();
    for rule in written.into_iter().flatten() {
        let at = prefix.trim_end_matches('.');
        let message = rule["message"].as_str().unwrap_or_default();
        rules.push(if at.is_empty() {
            message.to_owned()
        } else {
            format!("`{at}`: {message}")
        });
    }
}

fn list_rules(rules: Vec<String>, out: &mut String) {
    if rules.is_empty() {
        return;
    }
    out.push_str("\nRules over several fields:\n\n");
    for rule in rules {
        let _ = writeln!(out, "- {rule}");
    }
}

fn fields(prefix: &str, schema: &Value, out: &mut String, rules: &mut Vec<String>) {
    own_rules(prefix, schema, rules);
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let required = |name: &str| {
        let names = schema["required"].as_array();
        names.is_some_and(|names| names.iter().any(|n| n == name))
    };
    // By name whatever order the map has.
    let mut names: Vec<&String> = properties.keys().collect();
    names.sort_unstable();
    for name in names {
        let field = &properties[name];
        let path = format!("{prefix}{name}");
        let default = match &field["default"] {
            _ if required(name) => "required".to_owned(),
            Value::Null => String::new(),
            value => format!("`{value}`"),
        };
        let meaning = cell(field["description"].as_str().unwrap_or_default());
        let _ = writeln!(
            out,
            "| `{path}` | {} | {default} | {meaning} |",
            kind(field)
        );
        fields(&format!("{path}."), field, out, rules);
        fields(&format!("{path}[]."), &field["items"], out, rules);
        fields(
            &format!("{path}{{}}."),
            &field["additionalProperties"],
            out,
            rules,
        );
    }
}

/// Type and bounds of a field.
fn kind(field: &Value) -> String {
    if let Some(values) = field["enum"].as_array() {
        let names: Vec<String> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|name| format!("`{name}`"))
            .collect();
        return names.join(", ");
    }
    let bounds = |low: &str, high: &str, unit: &str| match (&field[low], &field[high]) {
        (Value::Null, Value::Null) => String::new(),
        (low, Value::Null) => format!(", at least {low}{unit}"),
        (Value::Null, high) => format!(", at most {high}{unit}"),
        (low, high) => format!(", {low} to {high}{unit}"),
    };
    match field["type"].as_str() {
        Some("string") if field["format"] == "date-time" => "time (RFC 3339)".to_owned(),
        Some("string") => {
            // Longer ones tell a reader nothing: the definition has them.
            let pattern = field["pattern"].as_str().filter(|p| p.len() <= 80);
            let pattern = pattern.map(|pattern| format!(", `{}`", cell(pattern)));
            format!(
                "text{}{}",
                bounds("minLength", "maxLength", " characters"),
                pattern.unwrap_or_default()
            )
        }
        Some("integer") => format!("number{}", bounds("minimum", "maximum", "")),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => {
            let items = &field["items"];
            let of = if items["properties"].is_null() {
                format!(" of {}", cell(&kind(items)))
            } else {
                String::new()
            };
            format!("list{of}{}", bounds("minItems", "maxItems", " items"))
        }
        Some("object") if !field["additionalProperties"].is_null() => "map".to_owned(),
        Some("object") if field["properties"].is_null() => "anything".to_owned(),
        Some("object") => "section".to_owned(),
        _ if field["x-kubernetes-int-or-string"] == true => "number or text".to_owned(),
        _ => "anything".to_owned(),
    }
}
