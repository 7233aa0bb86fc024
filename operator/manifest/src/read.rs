//! The way from files to manifests.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::document::Reader;
use crate::manifests::{Manifests, gather};
use crate::problem::{ManifestError, Place, Problem, Report};
use crate::source::{Source, sources};
use crate::yaml::documents;

/// Reads files and directories.
pub fn read(paths: &[impl AsRef<Path>]) -> Result<Manifests, ManifestError> {
    let mut report = Report::default();
    let sources = sources(paths, &mut report);
    let named: Vec<String> = paths
        .iter()
        .map(|path| path.as_ref().display().to_string())
        .collect();
    all(&sources, &named.join(", "), report)
}

/// Reads texts.
pub fn parse(sources: &[Source]) -> Result<Manifests, ManifestError> {
    let named: Vec<&str> = sources.iter().map(|source| source.file.as_str()).collect();
    all(sources, &named.join(", "), Report::default())
}

fn all(sources: &[Source], named: &str, mut report: Report) -> Result<Manifests, ManifestError> {
    let here = Place {
        file: named.to_owned(),
        ..Place::default()
    };
    let mut schemas = BTreeMap::new();
    for kind in ["EventLog", "ReplicationLink"] {
        match tidelog_api::object_schema(kind) {
            Ok(schema) => {
                schemas.insert(kind, with_envelope(schema.unwrap_or_default()));
            }
            Err(error) => report.problem(&here, "", error.to_string()),
        }
    }
    let mut reader = Reader {
        schemas: &schemas,
        report: &mut report,
        patterns: BTreeMap::new(),
        resources: crate::document::Resources::default(),
    };
    for source in sources {
        for document in documents(&source.file, &source.text, reader.report) {
            reader.document(&source.file, &document);
        }
    }
    let resources = reader.resources;
    if resources.logs.is_empty() && report.problems.is_empty() {
        report.problem(&here, "", "no EventLog was found; a manifest has apiVersion tidelog.dev/v1alpha1 and kind EventLog");
    }
    let logs = gather(resources, &mut report);
    report.notes.sort();
    report.notes.dedup();
    if report.problems.is_empty() {
        return Ok(Manifests {
            logs,
            notes: report.notes,
        });
    }
    report.problems.sort();
    report.problems.dedup();
    if report.more {
        let message = "there are more problems; they are shown when these are mended".to_owned();
        report.problems.push(Problem {
            place: here,
            field: String::new(),
            message,
        });
    }
    Err(ManifestError {
        problems: report.problems,
        notes: report.notes,
    })
}

/// The schema with the fields that every object has. `status` is gone before a document is checked.
fn with_envelope(mut schema: Value) -> Value {
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.remove("status");
        properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
        properties.insert("kind".to_owned(), json!({"type": "string"}));
        properties.insert(
            "metadata".to_owned(),
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        );
    }
    schema
}
