//! The definitions under `crds/` are what the types say, and obey the rules of API servers.

use expect_test::expect_file;
use serde_json::Value;
use tidelog_api::{crds, custom_resource_definitions, generate_crds};

#[test]
fn checked_in_definitions_are_what_the_types_generate() {
    let generated = generate_crds().unwrap();
    assert_eq!(
        generated
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        crds().iter().map(|(name, _)| *name).collect::<Vec<_>>(),
    );
    // `UPDATE_EXPECT=1 cargo test -p tidelog-api` writes the files anew.
    expect_file!["../../../crds/eventlogs.tidelog.dev.yaml"].assert_eq(&generated[0].1);
    expect_file!["../../../crds/replicationlinks.tidelog.dev.yaml"].assert_eq(&generated[1].1);
}

#[test]
fn the_chart_brings_the_same_definitions() {
    // Copies, because a package of Helm holds only what is in its own folder.
    let generated = generate_crds().unwrap();
    expect_file!["../../../charts/tidelog/files/crds/eventlogs.tidelog.dev.yaml"]
        .assert_eq(&generated[0].1);
    expect_file!["../../../charts/tidelog/files/crds/replicationlinks.tidelog.dev.yaml"]
        .assert_eq(&generated[1].1);
}

#[test]
fn definitions_stay_below_a_hundred_kilobytes() {
    for (name, yaml) in generate_crds().unwrap() {
        assert!(yaml.len() < 100_000, "{name} has {} bytes", yaml.len());
    }
}

/// Calls `visit` with the path and content of every schema below `schema`.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            walk(&format!("{path}.{name}"), property, visit);
        }
    }
    if let Some(items) = schema.get("items") {
        walk(&format!("{path}[]"), items, visit);
    }
}

fn each_schema(mut visit: impl FnMut(&str, &Value)) {
    for (name, definition) in custom_resource_definitions().expect("definitions are generated") {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            walk(
                &format!("{name} {part}"),
                &schema["properties"][part],
                &mut visit,
            );
        }
    }
}

#[test]
fn every_string_and_every_list_has_a_maximum() {
    each_schema(|path, schema| match schema["type"].as_str() {
        Some("string") => assert!(
            schema.get("maxLength").is_some() || schema.get("enum").is_some(),
            "{path} has no maximum: {schema}"
        ),
        Some("array") => {
            assert!(
                schema.get("maxItems").is_some(),
                "{path} has no maximum: {schema}"
            );
            assert!(
                schema.get("x-kubernetes-list-type").is_some(),
                "{path} has no list type"
            );
        }
        Some("object") => assert!(
            schema.get("properties").is_some()
                || schema.get("x-kubernetes-preserve-unknown-fields").is_some(),
            "{path} is an open map: {schema}"
        ),
        Some("boolean" | "integer") => {}
        other => panic!("{path} has type {other:?}: {schema}"),
    });
}

#[test]
fn integers_are_signed_and_there_are_no_floats() {
    each_schema(|path, schema| {
        assert_ne!(schema["type"], "number", "{path}");
        if schema["type"] == "integer" {
            assert!(
                ["int32", "int64"].contains(&schema["format"].as_str().unwrap()),
                "{path}: {schema}"
            );
        }
    });
}

#[test]
fn schemas_are_structural_and_enums_are_never_optional_without_default() {
    each_schema(|path, schema| {
        for word in [
            "nullable",
            "oneOf",
            "anyOf",
            "allOf",
            "not",
            "$ref",
            "additionalProperties",
        ] {
            assert!(schema.get(word).is_none(), "{path} has {word}: {schema}");
        }
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(
                property.get("description").is_some(),
                "{path}.{name} has no description"
            );
            if property.get("enum").is_some() {
                assert!(
                    property.get("default").is_some()
                        || required.contains(&Value::from(name.as_str())),
                    "{path}.{name} is an optional enum without a default"
                );
            }
        }
        // A key of a list map is required or defaulted, else the API server refuses the definition.
        for key in schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let items = &schema["items"];
            let key_name = key.as_str().unwrap();
            assert!(
                items["required"]
                    .as_array()
                    .is_some_and(|keys| keys.contains(key))
                    || items["properties"][key_name].get("default").is_some(),
                "{path}: key {key_name}"
            );
        }
    });
}

#[test]
fn names_columns_and_selectable_fields_are_those_of_the_design() {
    let definitions = custom_resource_definitions().unwrap();
    let of = |index: usize| {
        let spec = &definitions[index].1["spec"];
        let version = &spec["versions"][0];
        let columns = version["additionalPrinterColumns"].as_array().unwrap();
        (
            spec["names"]["shortNames"][0].as_str().unwrap().to_owned(),
            spec["names"]["categories"][0].as_str().unwrap().to_owned(),
            columns
                .iter()
                .map(|c| c["name"].as_str().unwrap())
                .collect::<Vec<_>>()
                .join(" "),
            version["selectableFields"].to_string(),
        )
    };
    assert_eq!(
        of(0),
        (
            "evlog".into(),
            "tidelog".into(),
            "Location Ready Reason Head Age Storage".into(),
            "null".into()
        )
    );
    assert_eq!(
        of(1),
        (
            "rlink".into(),
            "tidelog".into(),
            "Log Topology Edges Ready Synced MaxLag Age".into(),
            r#"[{"jsonPath":".spec.eventLogRef.name"}]"#.into()
        )
    );
}
