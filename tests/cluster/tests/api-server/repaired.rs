//! Everything that the operator applies and that the log owns comes back within seconds when somebody deletes or edits it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidelog_build::Gateway;
use tidelog_cluster_tests::{ApiServer, Kubectl};

use crate::definitions::namespace;
use crate::operator::Operator;
use crate::reconcile::{appears, apply, link, log, rest, until};

const SECONDS: Duration = Duration::from_secs(5);
/// The kinds, as `kubectl` takes them, and what somebody may do to one that a visit has to undo.
const EDITS: &[(&str, &str)] = &[
    ("StatefulSet", r#"{"spec": {"replicas": 7}}"#),
    (
        "Service",
        r#"{"spec": {"selector": {"tidelog.dev/log": "other"}}}"#,
    ),
    (
        "ConfigMap",
        r#"{"metadata": {"labels": {"tidelog.dev/location": "mars"}}}"#,
    ),
    ("NetworkPolicy", r#"{"spec": {"policyTypes": ["Egress"]}}"#),
    ("PodDisruptionBudget", r#"{"spec": {"maxUnavailable": 2}}"#),
    ("Certificate", r#"{"spec": {"secretName": "other"}}"#),
    (
        "TLSRoute",
        r#"{"spec": {"hostnames": ["other.example.com"]}}"#,
    ),
];

/// Makes a kind known that somebody else defines.
pub fn define(definition: &str, name: &str) {
    let kubectl = ApiServer::shared().kubectl();
    apply(&kubectl, definition);
    let established = ["wait", "--for=condition=Established", "--timeout=30s", name];
    kubectl.run(&established).unwrap().done().unwrap();
}

/// Kind and name of all that the log owns.
fn owned(kubectl: &Kubectl) -> BTreeSet<(String, String)> {
    let kinds: Vec<&str> = EDITS.iter().map(|(kind, _)| *kind).collect();
    let mine = "app.kubernetes.io/managed-by=tidelog-operator";
    let arguments = ["get", &kinds.join(","), "-l", mine, "-o", "json"];
    let answer = kubectl.run(&arguments).unwrap().done().unwrap();
    let list: Value = serde_json::from_str(&answer.output).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items
        .filter(|item| item["metadata"]["ownerReferences"][0]["kind"] == json!("EventLog"))
        .map(|item| (text(&item["kind"]), text(&item["metadata"]["name"])))
        .collect()
}

/// What it should be, and was made to be.
fn meant(object: &Value) -> Value {
    let labels = object["metadata"]["labels"].clone();
    json!({"spec": object["spec"], "data": object["data"], "labels": labels})
}

/// How long it takes until an object is what it was before.
fn undone(kubectl: &Kubectl, name: &str, before: &Value, is_new: bool) -> Duration {
    let begun = Instant::now();
    loop {
        let now = kubectl.get(name).unwrap_or_default();
        let same = now["metadata"]["uid"] == before["metadata"]["uid"];
        let mut is = meant(&now);
        // Where a Service is, only its cluster says.
        for address in ["clusterIP", "clusterIPs"] {
            if is["spec"][address] != Value::Null {
                is["spec"][address] = before["spec"][address].clone();
            }
        }
        if same != is_new && is == meant(before) {
            return begun.elapsed();
        }
        assert!(
            begun.elapsed() < SECONDS,
            "{name} is not within {SECONDS:?} what it was: {is}\nand not {}",
            meant(before)
        );
        rest(Duration::from_millis(100));
    }
}

#[test]
fn what_vouches_for_a_location_is_back_within_seconds() {
    let kubectl = namespace("vouching");
    let _operator = Operator::start("vouching", "eu");
    apply(&kubectl, &log(&["eu", "us"], ""));
    for name in ["configmap/orders-eu-authority", "configmap/orders-eu-trust"] {
        let before = appears(&kubectl, name);
        kubectl.run(&["delete", name]).unwrap().done().unwrap();
        undone(&kubectl, name, &before, true);
    }
}

#[test]
fn each_kind_that_is_deleted_or_edited_is_back_within_seconds() {
    let kubectl = namespace("repaired");
    define(
        include_str!("cert-manager.yaml"),
        "crd/certificates.cert-manager.io",
    );
    define(
        include_str!("gateway.yaml"),
        "crd/tlsroutes.gateway.networking.k8s.io",
    );
    let gateway = Gateway {
        namespace: "edge".to_owned(),
        name: "public".to_owned(),
    };
    let _operator = Operator::start_beside("repaired", "eu", gateway);
    let begun = Instant::now();
    let more = "  replicas: 2\n  expose: TLSRoute\n  tls: {issuerRef: {name: authority, kind: ClusterIssuer}}\n";
    apply(&kubectl, &log(&["eu", "us"], more));
    apply(&kubectl, &link("orders", "eu, us", ""));
    let route = appears(&kubectl, "tlsroute/orders-eu-peers");
    assert_eq!(
        route["spec"]["parentRefs"][0],
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge", "name": "public"})
    );
    assert_eq!(route["spec"]["hostnames"], json!(["eu.example.com"]));
    let all = until("one of each kind", || {
        let all = owned(&kubectl);
        let kinds: BTreeSet<&str> = all.iter().map(|(kind, _)| kind.as_str()).collect();
        EDITS
            .iter()
            .all(|(kind, _)| kinds.contains(kind))
            .then_some(all)
    });
    // It looks more often while it is young: that must not be what repairs.
    rest(Duration::from_secs(15).saturating_sub(begun.elapsed()));
    assert_eq!(owned(&kubectl), all);
    for (kind, name) in &all {
        let object = format!("{kind}/{name}");
        let before = kubectl.get(&object).unwrap();
        let delete = ["delete", &object, "--wait=false"];
        kubectl.run(&delete).unwrap().done().unwrap();
        let again = undone(&kubectl, &object, &before, true);
        let before = kubectl.get(&object).unwrap();
        let (_, edit) = EDITS.iter().find(|(known, _)| known == kind).unwrap();
        let patch = ["patch", &object, "--type=merge", "-p", edit];
        kubectl.run(&patch).unwrap().done().unwrap();
        let mended = undone(&kubectl, &object, &before, false);
        println!("{object}: deleted, back after {again:.1?}; edited, back after {mended:.1?}");
    }
    // Another way to be reached, and certificates of the operator itself: what others made of it goes.
    apply(&kubectl, &log(&["eu", "us"], "  replicas: 2\n"));
    for gone in ["TLSRoute", "Certificate"] {
        until(&format!("no {gone}"), || {
            let left = owned(&kubectl);
            left.iter().all(|(kind, _)| kind != gone).then_some(())
        });
    }
}
