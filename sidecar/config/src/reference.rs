//! The reference of all fields, from the same types that parse them.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::config::Config;
use crate::env::VARIABLES;

/// One field of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldReference {
    /// Its path, such as `edges.outgoing[].target`.
    pub path: String,
    /// Its type or the values it may have.
    pub kind: String,
    /// Its default, or that it is required, or nothing.
    pub default: String,
    /// What it means.
    pub meaning: String,
}

/// All fields, sections before what they hold, by name within a section.
pub fn fields() -> Vec<FieldReference> {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Config>();
    let mut found = Vec::new();
    collect("", schema.as_value(), &mut found);
    found
}

/// The reference as Markdown.
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration of a sidecar\n\n\
         `tidelog-sidecar --config FILE` reads one YAML document. Defaults are overridden by the file, the file by variables of the \
         environment, and these by flags. An unknown field is an error.\n\n\
         A duration is a number with a unit (`5s`, `100ms`, `1m 30s`); a size is a number of bytes or one with `Ki`, `Mi` or `Gi` (`4Mi`).\n\n\
         ## Fields\n\n\
         | field | type | default | meaning |\n|---|---|---|---|\n",
    );
    for field in fields() {
        let FieldReference {
            path,
            kind,
            default,
            meaning,
        } = field;
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "| `{path}` | {kind} | {default} | {meaning} |");
    }
    text.push_str("\n## Variables of the environment\n\n| variable | sets |\n|---|---|\n");
    for variable in &VARIABLES {
        let _ = writeln!(text, "| `{}` | `{}` |", variable.name, variable.field);
    }
    text
}

fn collect(prefix: &str, schema: &Value, found: &mut Vec<FieldReference>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let required = |name: &str| {
        let names = schema["required"].as_array();
        names.is_some_and(|names| names.iter().any(|n| n == name))
    };
    // By name whatever order the map has, which another crate of the build can change.
    let mut names: Vec<&String> = properties.keys().collect();
    names.sort_unstable();
    for name in names {
        let property = &properties[name];
        let inner = without_null(property);
        let path = format!("{prefix}{name}");
        found.push(FieldReference {
            kind: kind(inner),
            default: default(property, inner, required(name)),
            meaning: meaning(property),
            path: path.clone(),
        });
        collect(&format!("{path}."), inner, found);
        collect(&format!("{path}[]."), without_null(&inner["items"]), found);
    }
}

/// The schema of an optional field without the alternative `null`.
fn without_null(schema: &Value) -> &Value {
    let alternatives = schema["anyOf"].as_array();
    alternatives
        .and_then(|all| all.iter().find(|a| a["type"] != "null"))
        .unwrap_or(schema)
}

fn kind(schema: &Value) -> String {
    if let Some(title) = schema["title"].as_str() {
        return title.to_owned();
    }
    let constants = |values: &[Value], of: fn(&Value) -> &Value| {
        let names = values.iter().filter_map(|v| of(v).as_str());
        names
            .map(|n| format!("`{n}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(values) = schema["enum"].as_array() {
        return constants(values, |v| v);
    }
    if let Some(values) = schema["oneOf"].as_array() {
        return constants(values, |v| &v["const"]);
    }
    let name = match &schema["type"] {
        Value::Array(types) => types.iter().find(|t| *t != "null").and_then(Value::as_str),
        one => one.as_str(),
    };
    match name {
        Some("string") => "text",
        Some("integer") => "number",
        Some("boolean") => "true or false",
        Some("array") => "list",
        _ => "section",
    }
    .to_owned()
}

fn default(property: &Value, inner: &Value, required: bool) -> String {
    if required {
        return "required".into();
    }
    match &property["default"] {
        // Of a section each field tells its own.
        Value::Null | Value::Object(_) => String::new(),
        Value::Array(items) if items.is_empty() => "empty".into(),
        Value::String(text) if text.is_empty() => "empty".into(),
        Value::String(text) => format!("`{text}`"),
        other if inner["properties"].is_null() => format!("`{other}`"),
        _ => String::new(),
    }
}

fn meaning(property: &Value) -> String {
    let text = property["description"].as_str().unwrap_or_default();
    text.replace('\n', " ").replace('|', "\\|")
}
