//! What is built for a location, as manifests that a person can read; `UPDATE_EXPECT=1` writes them anew.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use expect_test::{ExpectFile, expect_file};
use serde_json::{Value, json};
use tidelog_api::{EventLog, Location};
use tidelog_build::{Gateway, Place, Settings, in_pod, objects, planned_endpoint, sidecar_config};
use tidelog_config::Config;
use tidelog_manifest::{Source, parse};
use tidelog_model::LocationName;
use tidelog_topology::Planner;

const SMALL: &str = include_str!("manifests/small.yaml");
const ISSUED: &str = include_str!("manifests/issued.yaml");
const LARGE: &str = include_str!("manifests/large.yaml");

fn settings() -> Settings {
    Settings {
        sidecar_image: "tidelog/sidecar:0.1.0".into(),
        postgres_image: "postgres:17".into(),
        image_pull_policy: "IfNotPresent".into(),
        image_pull_secrets: Vec::new(),
        operator_namespace: "tidelog-system".into(),
        sidecar_resources: json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}),
        postgres_resources: json!({"requests": {"cpu": "100m", "memory": "256Mi"}}),
        certificate_lifetime: Duration::from_hours(2160),
        gateway: Some(Gateway {
            namespace: "gateways".into(),
            name: "outside".into(),
        }),
    }
}

/// A configuration such as the operator renders.
fn config(text: &str, location: &str) -> (EventLog, Location, Config) {
    let manifests = parse(&[Source {
        file: "manifests.yaml".to_owned(),
        text: text.to_owned(),
    }])
    .unwrap();
    let plan = tidelog_manifest::plan_all(&manifests, Planner::new()).remove(0);
    assert!(plan.is_accepted(), "{:?}", plan.findings);
    let log = manifests.logs[0].resource.clone();
    let local = in_pod(&log);
    let name = LocationName::new(location).unwrap();
    let config = sidecar_config(&plan, &name, local, |peer| planned_endpoint(&plan, peer));
    let place = log.spec.locations.iter().find(|l| l.name == location);
    let place = place.unwrap().clone();
    (log, place, config.unwrap())
}

fn built(text: &str, location: &str) -> Vec<Value> {
    let (log, location, config) = config(text, location);
    config.validate().unwrap();
    let place = Place {
        log: &log,
        location: &location,
        config: &config,
    };
    objects(&place, &settings())
}

fn check(objects: &[Value], expected: &ExpectFile) {
    let mut text = String::new();
    for object in objects {
        writeln!(
            text,
            "---\n{}",
            serde_yaml::to_string(object).unwrap().trim_end()
        )
        .unwrap();
    }
    expected.assert_eq(&text);
}

#[test]
fn more_replicas_are_more_pods_and_another_version_is_other_pods() {
    let template = |from: &str, to: &str| {
        assert!(SMALL.contains(from), "{from}");
        let objects = built(&SMALL.replace(from, to), "eu");
        let is_it = |object: &&Value| {
            object["kind"] == "StatefulSet" && object["metadata"]["name"] == "orders-eu"
        };
        objects.iter().find(is_it).unwrap()["spec"]["template"].clone()
    };
    let before = template("kind: EventLog", "kind: EventLog");
    let spec = "\nspec:\n  application:";
    let more = template(spec, "\nspec:\n  replicas: 3\n  application:");
    assert_eq!(before, more);
    let other = template("version: \"1.3\"", "version: \"1.4\"");
    assert_ne!(before, other);
}

#[test]
fn a_small_log_with_everything_left_out() {
    check(&built(SMALL, "eu"), &expect_file!["golden/small.yaml"]);
}

#[test]
fn a_large_one_with_an_application_a_database_of_its_own_and_standbys() {
    check(&built(LARGE, "us"), &expect_file!["golden/large.yaml"]);
}

#[test]
fn one_whose_certificates_are_asked_of_cert_manager() {
    check(&built(ISSUED, "eu"), &expect_file!["golden/issued.yaml"]);
}

fn of<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    found.unwrap_or(&Value::Null)
}

#[test]
fn without_tls_no_certificate_is_mounted() {
    let text = SMALL.replace("  locations:", "  tls: {insecure: true}\n  locations:");
    let objects = built(&text, "eu");
    let pods = of(&objects, "StatefulSet", "orders-eu").to_string();
    assert!(!pods.contains("tidelog-tls") && !pods.contains("tidelog-trust"));
}

#[test]
fn every_pod_keeps_to_the_restricted_standard() {
    for objects in [built(SMALL, "eu"), built(LARGE, "us")] {
        for set in objects.iter().filter(|o| o["kind"] == "StatefulSet") {
            let pod = &set["spec"]["template"]["spec"];
            assert_eq!(pod["automountServiceAccountToken"], false);
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            let ours = ["tidelog", "postgres"];
            let containers = ["containers", "initContainers"];
            let containers = containers
                .iter()
                .flat_map(|f| pod[f].as_array().into_iter().flatten());
            let mut seen = 0;
            for container in containers.filter(|c| ours.contains(&c["name"].as_str().unwrap())) {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false);
                assert_eq!(context["readOnlyRootFilesystem"], true);
                assert_eq!(context["capabilities"]["drop"][0], "ALL");
                assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
                assert!(container["resources"]["requests"].is_object());
                assert!(container["startupProbe"].is_object());
                seen += 1;
            }
            assert_eq!(seen, 1);
        }
    }
}

#[test]
fn names_and_the_labels_that_are_made_of_them_are_never_too_long() {
    // 46 and two: as long as the schema allows.
    let log = "a23456789-123456789-123456789-123456789-123456";
    let text = SMALL.replace("name: orders", &format!("name: {log}"));
    for object in built(&text, "eu") {
        let name = object["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 63, "{name}");
        if object["kind"] == "StatefulSet" {
            // The controller puts `<name>-<hash>` on the pods.
            assert!(name.len() + 11 <= 63, "{name}");
        }
    }
}

/// Paths below which two values differ.
fn differences(path: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                differences(&format!("{path}/{key}"), &one[key], &other[key], found);
            }
        }
        _ if one != other => found.push(path.to_owned()),
        _ => {}
    }
}

#[test]
fn the_policy_of_deletion_is_about_the_volume_of_a_managed_database_and_nothing_else() {
    let text = SMALL.replace("  locations:", "  deletionPolicy: Delete\n  locations:");
    assert_ne!(text, SMALL);
    let (retain, delete) = (built(SMALL, "eu"), built(&text, "eu"));
    assert_eq!(retain.len(), delete.len());
    let mut found = Vec::new();
    for (one, other) in retain.iter().zip(&delete) {
        let path = format!("{} {}", one["kind"], one["metadata"]["name"]).replace('"', "");
        differences(&path, one, other, &mut found);
    }
    let policy = "StatefulSet orders-eu-pg/spec/persistentVolumeClaimRetentionPolicy/whenDeleted";
    assert_eq!(found, [policy]);
    // And that is what people are told.
    let definition = include_str!("../../../crds/eventlogs.tidelog.dev.yaml");
    let (_, told) = definition.split_once("deletionPolicy:").unwrap();
    let told: String = told
        .split("enum:")
        .next()
        .unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(told.contains("volumes of managed databases"), "{told}");
    assert!(
        told.contains("Witness, CA Secret and the passwords of databases stay in either case"),
        "{told}"
    );
}

#[test]
fn a_location_of_the_example_for_one_cluster_is_offered_where_the_others_look_for_it() {
    let text = include_str!("../../../examples/one-cluster/manifests.yaml");
    for name in ["eu", "us"] {
        let (_, location, _) = config(text, name);
        let endpoint = location.endpoint.unwrap();
        let service = endpoint.host.strip_suffix(".default.svc").unwrap();
        let objects = built(text, name);
        let service = of(&objects, "Service", service);
        assert_eq!(service["metadata"]["namespace"], "default", "{name}");
        assert_eq!(service["spec"]["ports"][0]["port"], endpoint.port, "{name}");
    }
}
