//! What is installed: which objects, whether a real API server takes them, and whether they belong together.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::OnceLock;

use expect_test::expect_file;
use serde_json::{Value, json};
use tidelog_api::custom_resource_definitions;
use tidelog_cluster_tests::{ApiServer, Kubectl};

use crate::chart::{SETS, SYSTEM, documents, folder, helm, objects, only, root, title};

/// The server, with the namespaces of the sets held to the restricted standard, and the kinds of others that the chart may use.
pub fn server() -> Kubectl {
    static READY: OnceLock<()> = OnceLock::new();
    let kubectl = ApiServer::shared().kubectl();
    READY.get_or_init(|| {
        for namespace in [SYSTEM, "shop", "default"] {
            let standard = "pod-security.kubernetes.io";
            let namespace = json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": namespace, "labels": {
                    (format!("{standard}/enforce")): "restricted",
                    (format!("{standard}/warn")): "restricted",
                }},
            });
            let applied = kubectl.run_with(
                &["apply", "--server-side", "--force-conflicts", "-f", "-"],
                &namespace.to_string(),
            );
            applied.unwrap().done().unwrap();
        }
        let kinds = include_str!("prometheus-kinds.yaml");
        kubectl.apply(kinds).unwrap().done().unwrap();
        let wait = [
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "-f",
            "-",
        ];
        kubectl.run_with(&wait, kinds).unwrap().done().unwrap();
    });
    kubectl
}

/// What the server says of objects that it would take, unknown fields refused.
fn dry_run(objects: &[Value]) -> String {
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        "-",
    ];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let answer = server().run_with(&arguments, &list.to_string()).unwrap();
    assert!(answer.success, "{}", answer.errors);
    answer.errors
}

#[test]
fn each_set_of_values_gives_these_objects() {
    let mut text = String::new();
    for (name, values) in SETS {
        let mut titles: Vec<String> = objects(values).iter().map(title).collect();
        titles.sort();
        writeln!(text, "# {name}\n{}\n", titles.join("\n")).unwrap();
    }
    expect_file!["golden/objects.txt"].assert_eq(&text);
}

/// What all sets give, each object once.
fn distinct(of: impl Fn(Vec<Value>) -> Vec<Value>) -> Vec<Value> {
    let all = SETS.iter().flat_map(|(_, values)| of(objects(values)));
    let all: BTreeMap<String, Value> = all.map(|object| (object.to_string(), object)).collect();
    all.into_values().collect()
}

#[test]
fn a_real_server_takes_every_object_without_a_warning() {
    assert_eq!(dry_run(&distinct(|objects| objects)), "");
}

/// A pod as the Deployment makes it.
fn pod(objects: &[Value]) -> Value {
    let mut pod = only(objects, "Deployment")["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("one");
    pod["metadata"]["namespace"] = json!(SYSTEM);
    pod
}

#[test]
fn pods_keep_to_the_restricted_standard() {
    let pods = distinct(|objects| vec![pod(&objects)]);
    assert!(pods.len() > 5, "{pods:?}");
    assert_eq!(dry_run(&pods), "");
}

#[test]
fn the_standard_is_enforced_by_this_server() {
    let mut pod = pod(&objects("location: {name: eu}"));
    pod["spec"]["containers"][0]["securityContext"] = json!({});
    let arguments = ["apply", "--dry-run=server", "-f", "-"];
    let kubectl = server().in_namespace(SYSTEM);
    let answer = kubectl.run_with(&arguments, &pod.to_string()).unwrap();
    assert!(
        !answer.success && answer.errors.contains("restricted"),
        "{answer:?}"
    );
}

#[test]
fn every_object_is_labelled_and_only_the_test_is_somebody_else() {
    for (name, values) in SETS {
        for object in objects(values) {
            let labels = &object["metadata"]["labels"];
            let is_test = object["metadata"]["annotations"]["helm.sh/hook"] == "test";
            let who = if is_test {
                "tidelog-test"
            } else {
                "tidelog-operator"
            };
            assert_eq!(
                labels["app.kubernetes.io/name"],
                who,
                "{name}: {}",
                title(&object)
            );
            assert_eq!(labels["app.kubernetes.io/instance"], "tidelog", "{name}");
            if !is_test {
                assert_eq!(labels["app.kubernetes.io/version"], "0.1.0", "{name}");
                assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{name}");
                assert_eq!(labels["helm.sh/chart"], "tidelog-0.1.0", "{name}");
            }
        }
    }
}

#[test]
fn what_selects_pods_selects_those_of_the_operator() {
    for (name, values) in SETS {
        let objects = objects(values);
        let deployment = only(&objects, "Deployment");
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        let test = objects.iter().find(|o| o["kind"] == "Pod");
        let mut selectors = BTreeMap::new();
        for object in &objects {
            let selector = match object["kind"].as_str().unwrap() {
                "Deployment" | "PodDisruptionBudget" => &object["spec"]["selector"]["matchLabels"],
                "NetworkPolicy" => &object["spec"]["podSelector"]["matchLabels"],
                "Service" => &object["spec"]["selector"],
                _ => continue,
            };
            selectors.insert(title(object), selector.as_object().unwrap().clone());
        }
        assert!(selectors.len() >= 2, "{name}: {selectors:?}");
        for (object, selector) in selectors {
            assert!(!selector.is_empty(), "{name}: {object}");
            let selects =
                |labels: &Value| selector.iter().all(|(key, value)| labels[key] == *value);
            assert!(selects(labels), "{name}: {object}: {selector:?}");
            let selects_test = test.is_some_and(|pod| selects(&pod["metadata"]["labels"]));
            assert!(
                !selects_test,
                "{name}: {object} selects the pod of the test"
            );
        }
    }
}

#[test]
fn ports_and_accounts_that_are_named_are_there() {
    for (name, values) in SETS {
        let objects = objects(values);
        let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let port = &container["ports"][0];
        let service = &only(&objects, "Service")["spec"]["ports"][0];
        assert_eq!(service["targetPort"], port["name"], "{name}");
        for probe in ["livenessProbe", "readinessProbe"] {
            assert_eq!(container[probe]["httpGet"]["port"], port["name"], "{name}");
        }
        for policy in objects.iter().filter(|o| o["kind"] == "NetworkPolicy") {
            let open = &policy["spec"]["ingress"][0]["ports"][0]["port"];
            assert_eq!(*open, port["containerPort"], "{name}");
        }
        for monitor in objects.iter().filter(|o| o["kind"] == "ServiceMonitor") {
            if monitor["metadata"]["name"] == "tidelog-operator" {
                assert_eq!(
                    monitor["spec"]["endpoints"][0]["port"], service["name"],
                    "{name}"
                );
            }
        }
        let account = pod["serviceAccountName"].as_str().unwrap();
        let made = objects.iter().find(|o| o["kind"] == "ServiceAccount");
        match made {
            Some(made) => assert_eq!(made["metadata"]["name"], account, "{name}"),
            None => assert_eq!(account, "given", "{name}"),
        }
    }
}

#[test]
fn images_are_named_in_full() {
    let (_, pinned) = SETS
        .iter()
        .find(|(name, _)| *name == "pinned images")
        .unwrap();
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    for (values, operator, sidecar) in [
        (
            "location: {name: eu}",
            "tidelog/operator:0.1.0".to_owned(),
            "tidelog/sidecar:0.1.0".to_owned(),
        ),
        (
            *pinned,
            format!("tidelog/operator:0.1.0@{digest}"),
            format!("tidelog/sidecar:0.1.0@{digest}"),
        ),
    ] {
        let objects = objects(values);
        let container = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], operator);
        let arguments = container["args"].as_array().unwrap();
        let image = format!("--sidecar-image={sidecar}");
        assert!(arguments.contains(&json!(image)), "{arguments:?}");
        assert_eq!(
            only(&objects, "Pod")["spec"]["initContainers"][0]["image"],
            sidecar
        );
    }
}

#[test]
fn sidecars_are_scraped_by_the_service_that_the_operator_makes() {
    let built = fs::read_to_string(root().join("operator/build/tests/golden/small.yaml")).unwrap();
    let built = documents(&built);
    let objects = objects("{location: {name: eu}, metrics: {serviceMonitor: {enabled: true}}}");
    let monitor = objects
        .iter()
        .find(|o| o["metadata"]["name"] == "tidelog-logs")
        .unwrap();
    let wanted = monitor["spec"]["selector"]["matchLabels"]
        .as_object()
        .unwrap();
    let labels = |service: &Value| service["metadata"]["labels"].clone();
    let found = built.iter().filter(|o| o["kind"] == "Service");
    let mut found = found.filter(|o| wanted.iter().all(|(key, value)| labels(o)[key] == *value));
    let port = &monitor["spec"]["endpoints"][0]["port"];
    let with_port = found.find(|service| {
        let ports = service["spec"]["ports"].as_array().unwrap();
        ports.iter().any(|p| p["name"] == *port)
    });
    let service = with_port.expect("a Service with these labels and this port");
    for label in monitor["spec"]["targetLabels"].as_array().unwrap() {
        assert!(
            labels(service)[label.as_str().unwrap()].is_string(),
            "{label}"
        );
    }
}

#[test]
fn definitions_are_those_that_the_types_generate() {
    let installed = objects("location: {name: eu}");
    for (name, generated) in custom_resource_definitions().unwrap() {
        let of_chart = installed
            .iter()
            .find(|o| o["metadata"]["name"] == name.as_str());
        assert_eq!(of_chart.unwrap()["spec"], generated["spec"], "{name}");
    }
    let files = fs::read_dir(folder().join("files/crds")).unwrap().count();
    assert_eq!(files, custom_resource_definitions().unwrap().len());
}

#[test]
fn the_chart_is_as_new_as_the_programs() {
    let chart: Value =
        serde_yaml::from_str(&fs::read_to_string(folder().join("Chart.yaml")).unwrap()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        (chart["version"].as_str(), chart["appVersion"].as_str()),
        (Some(version), Some(version))
    );
}

/// What `helm install` says afterwards, with this location.
fn notes(location: &str) -> String {
    let (folder, set) = (folder(), format!("location.name={location}"));
    let folder = folder.to_str().unwrap();
    let install = ["install", "tidelog", folder, "--dry-run=client"];
    let install = [&install[..], &["--namespace", SYSTEM, "--set", &set]].concat();
    let said = helm().run(&install).unwrap().done().unwrap().output;
    let (_, notes) = said.split_once("NOTES:").unwrap();
    notes.to_owned()
}

#[test]
fn the_notes_name_examples_that_are_there_and_of_one_cluster_where_it_has_all_locations() {
    for (location, example) in [
        ("eu", "examples/two-locations/"),
        ("*", "examples/one-cluster/"),
    ] {
        let notes = notes(location);
        let named: Vec<&str> = notes
            .split_whitespace()
            .filter(|word| word.starts_with("examples/"))
            .collect();
        assert_eq!(named, [example], "{notes}");
        let manifests = fs::read_to_string(root().join(example).join("manifests.yaml")).unwrap();
        // What the notes wait for is what the example has.
        for object in documents(&manifests) {
            let name = object["metadata"]["name"].as_str().unwrap();
            assert_eq!(name, "orders", "{notes}");
            if let Some(namespace) = object["metadata"]["namespace"].as_str() {
                assert!(
                    notes.contains(&format!("--namespace {namespace}")),
                    "{notes}"
                );
            }
        }
    }
}
