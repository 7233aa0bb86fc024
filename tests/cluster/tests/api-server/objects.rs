//! What the operator builds for a location is what a real API server takes, in a namespace that wants the `restricted` Pod Security Standard.

use tidelog_cluster_tests::ApiServer;

use crate::definitions::namespace;

const SMALL: &str = include_str!("../../../../operator/build/tests/golden/small.yaml");
const LARGE: &str = include_str!("../../../../operator/build/tests/golden/large.yaml");

/// Applies objects as the operator does; what the server says besides.
fn applied(name: &str, objects: &str) -> String {
    let kubectl = namespace(name);
    let labels = [
        "pod-security.kubernetes.io/enforce=restricted",
        "pod-security.kubernetes.io/warn=restricted",
    ];
    let label = [&["label", "namespace", name][..], &labels].concat();
    let cluster = ApiServer::shared().kubectl();
    cluster.run(&label).unwrap().done().unwrap();
    let objects = objects.replace("namespace: shop\n", &format!("namespace: {name}\n"));
    let arguments = [
        "apply",
        "--server-side",
        "--validate=strict",
        "--field-manager=tidelog-operator",
        "-f",
        "-",
    ];
    let answer = kubectl.run_with(&arguments, &objects).unwrap();
    assert!(answer.success, "{}", answer.errors);
    answer.errors
}

/// Without the kinds that the server does not know.
fn known(objects: &str) -> String {
    let documents = objects.split("---\n");
    let known = documents.filter(|d| !d.contains("kind: TLSRoute"));
    known.collect::<Vec<_>>().join("---\n")
}

#[test]
fn a_small_log_is_taken_without_a_warning() {
    assert_eq!(applied("small", SMALL), "");
}

#[test]
fn a_large_one_is_taken_and_warned_of_for_the_containers_of_the_application_only() {
    let said = applied("large", &known(LARGE));
    assert!(said.contains("app"), "{said}");
    assert!(!said.contains("tidelog"), "{said}");
}

#[test]
fn what_is_applied_again_changes_nothing() {
    let version = |kubectl: &tidelog_cluster_tests::Kubectl| {
        let set = kubectl.get("statefulset/orders-eu").unwrap();
        set["metadata"]["resourceVersion"].clone()
    };
    applied("again", SMALL);
    let kubectl = ApiServer::shared().kubectl().in_namespace("again");
    let before = version(&kubectl);
    let objects = SMALL.replace("namespace: shop\n", "namespace: again\n");
    let arguments = [
        "apply",
        "--server-side",
        "--field-manager=tidelog-operator",
        "-f",
        "-",
    ];
    kubectl
        .run_with(&arguments, &objects)
        .unwrap()
        .done()
        .unwrap();
    assert_eq!(version(&kubectl), before);
}
