//! What the two definitions say beside their fields: names, columns, keys of lists, rules in CEL.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;
use tidelog_api::custom_resource_definitions;

use super::cell;

const HEAD: &str = "\
# Custom resource definitions

What `kubectl apply` and the API server know of the two kinds, beside their fields: those, with type, default, bounds and meaning, are in [manifests](manifests.md). The definitions are the files in [crds](../../crds);
`tidelog crds` prints them, and the chart installs them (`crds.enabled`).

Both kinds are namespaced, in the category `tidelog` (`kubectl get tidelog`), and have the subresource `status`: nobody who may write a manifest writes a status by it.

Lists with a key are merged by it: two who apply different items of one list do not take each other's away. The rules are evaluated by the API server when an object is written; `tidelog plan` and `tidelog dev` evaluate
them too, those aside that compare with the object before (`oldSelf`). Rules over several objects, such as an unknown location, are those of the [planner](edge-states.md#findings-of-a-plan).
";

/// The page.
pub fn page() -> Result<String> {
    let mut out = HEAD.to_owned();
    for (_, definition) in custom_resource_definitions()? {
        let spec = &definition["spec"];
        let names = &spec["names"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| {
            let items = value.as_array().into_iter().flatten();
            items.map(text).collect::<Vec<_>>().join(", ")
        };
        let version = &spec["versions"][0];
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            out,
            "\n## {}\n\n{}\n\n| | |\n|---|---|\n| resource | `{}.{}` |\n| short name | `{}` |\n| scope | {} |\n| version | `{}` |\n",
            text(&names["kind"]),
            text(&version["schema"]["openAPIV3Schema"]["description"]),
            text(&names["plural"]),
            text(&spec["group"]),
            list(&names["shortNames"]),
            text(&spec["scope"]),
            text(&version["name"]),
        );
        let selectable = version["selectableFields"].as_array().into_iter().flatten();
        for field in selectable {
            let _ = writeln!(
                out,
                "| field selector | `{}` |",
                text(&field["jsonPath"]).trim_start_matches('.')
            );
        }
        out.push_str("\n### Columns\n\n| column | type | from |\n|---|---|---|\n");
        let columns = version["additionalPrinterColumns"].as_array();
        for column in columns.into_iter().flatten() {
            let wide = if column["priority"].as_i64().unwrap_or_default() > 0 {
                ", with `-o wide`"
            } else {
                ""
            };
            let _ = writeln!(
                out,
                "| {}{wide} | {} | `{}` |",
                text(&column["name"]),
                text(&column["type"]),
                cell(&text(&column["jsonPath"]))
            );
        }
        let (mut keys, mut rules) = (String::new(), String::new());
        walk(
            "",
            &version["schema"]["openAPIV3Schema"],
            &mut keys,
            &mut rules,
        );
        let _ = write!(
            out,
            "\n### Lists with a key\n\n| list | key |\n|---|---|\n{keys}\n### Rules\n\n| of | rule | message |\n|---|---|---|\n{rules}"
        );
    }
    Ok(out)
}

fn walk(path: &str, schema: &Value, keys: &mut String, rules: &mut String) {
    let at = if path.is_empty() { "the object" } else { path };
    if let Some(fields) = schema["x-kubernetes-list-map-keys"].as_array() {
        let fields: Vec<String> = fields
            .iter()
            .filter_map(Value::as_str)
            .map(|field| format!("`{field}`"))
            .collect();
        let _ = writeln!(keys, "| `{at}` | {} |", fields.join(", "));
    }
    let written = schema["x-kubernetes-validations"].as_array();
    for rule in written.into_iter().flatten() {
        let at = if path.is_empty() {
            at.to_owned()
        } else {
            format!("`{at}`")
        };
        let _ = writeln!(
            rules,
            "| {at} | `{}` | {} |",
            cell(rule["rule"].as_str().unwrap_or_default()),
            // Otherwise a viewer takes `<log>` for a tag.
            cell(rule["message"].as_str().unwrap_or_default()).replace('<', "&lt;")
        );
    }
    if let Some(properties) = schema["properties"].as_object() {
        // By name whatever order the map has.
        let mut names: Vec<&String> = properties.keys().collect();
        names.sort_unstable();
        for name in names {
            let inner = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            walk(&inner, &properties[name], keys, rules);
        }
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], keys, rules);
    }
    if schema["additionalProperties"].is_object() {
        walk(
            &format!("{path}{{}}"),
            &schema["additionalProperties"],
            keys,
            rules,
        );
    }
}
