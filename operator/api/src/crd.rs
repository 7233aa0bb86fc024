//! The custom resource definitions as files, and the schema that reading manifests offline uses.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};
use thiserror::Error;

use crate::{EventLog, ReplicationLink, schema::NAME_BYTES_MAX};

/// First lines of every generated definition.
pub const DEFINITION_HEADER: &str = "\
# Generated from operator/api by `UPDATE_EXPECT=1 cargo test -p tidelog-api`. Do not edit.
";

/// A definition could not be written down.
#[derive(Debug, Error)]
#[error("definition {name} cannot be generated")]
pub struct CrdError {
    name: String,
    source: CrdErrorSource,
}

#[derive(Debug, Error)]
enum CrdErrorSource {
    #[error("as JSON")]
    Json(#[from] serde_json::Error),
    #[error("as YAML")]
    Yaml(#[from] serde_yaml::Error),
}

/// File name and text of every definition, as checked in under `crds/`.
pub fn crds() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "eventlogs.tidelog.dev.yaml",
            include_str!("../../../crds/eventlogs.tidelog.dev.yaml"),
        ),
        (
            "replicationlinks.tidelog.dev.yaml",
            include_str!("../../../crds/replicationlinks.tidelog.dev.yaml"),
        ),
    ]
}

/// File name and text of every definition, generated anew from the types.
pub fn generate_crds() -> Result<Vec<(String, String)>, CrdError> {
    custom_resource_definitions()?
        .into_iter()
        .map(
            |(name, definition)| match serde_yaml::to_string(&definition) {
                Ok(yaml) => Ok((format!("{name}.yaml"), format!("{DEFINITION_HEADER}{yaml}"))),
                Err(source) => Err(CrdError {
                    name,
                    source: source.into(),
                }),
            },
        )
        .collect()
}

/// Name and content of every definition.
pub fn custom_resource_definitions() -> Result<Vec<(String, Value)>, CrdError> {
    [EventLog::crd(), ReplicationLink::crd()]
        .into_iter()
        .map(definition)
        .collect()
}

/// The OpenAPI schema of a kind, as the API server has it; `None` for a kind that is not Tidelog's.
pub fn object_schema(kind: &str) -> Result<Option<Value>, CrdError> {
    for (_, definition) in custom_resource_definitions()? {
        if definition["spec"]["names"]["kind"] == kind {
            return Ok(Some(
                definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone(),
            ));
        }
    }
    Ok(None)
}

fn definition(crd: CustomResourceDefinition) -> Result<(String, Value), CrdError> {
    let name = crd.metadata.name.clone().unwrap_or_default();
    match serde_json::to_value(crd) {
        Ok(mut value) => {
            tidy(&mut value);
            // The only field of metadata that a definition may bound; it also bounds the cost of the rules that read it.
            value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["metadata"] = json!({
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": NAME_BYTES_MAX, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}}
            });
            Ok((name, value))
        }
        Err(source) => Err(CrdError {
            name,
            source: source.into(),
        }),
    }
}

/// Takes out what generation adds and nobody wants: `nullable` beside an enumeration is refused or misread by API servers
/// (absent fields are simply not written by the types), bounds of integers are integers,
/// and line breaks of doc comments are not paragraphs.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for bound in ["minimum", "maximum"] {
                if let Some(whole) = map.get(bound).and_then(Value::as_f64) {
                    map.insert(bound.to_owned(), Value::from(whole as i64));
                }
            }
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text
                    .split("\n\n")
                    .map(|p| p.replace('\n', " "))
                    .collect::<Vec<_>>()
                    .join("\n\n");
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
