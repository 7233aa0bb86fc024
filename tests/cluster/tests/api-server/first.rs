//! What is told of a log once: what stays of it, and what was there of an earlier one.

use std::time::Duration;

use tidelog_cluster_tests::Kubectl;

use crate::definitions::namespace;
use crate::operator::Operator;
use crate::reconcile::{appears, apply, condition, log, rest, until};

/// Reasons, notes and counts of the Events of the log that are no transitions.
fn told(kubectl: &Kubectl) -> Vec<(String, String)> {
    let list = kubectl.get("events.v1.events.k8s.io").unwrap();
    let events = list["items"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut told: Vec<(String, String)> = events
        .filter(|e| {
            ["Begun", "Deleted", "Readopted"].contains(&e["reason"].as_str().unwrap_or_default())
        })
        .inspect(|e| assert!(e["series"].is_null(), "{e}"))
        .map(|e| (text(&e["reason"]), text(&e["note"])))
        .collect();
    told.sort();
    told
}

#[test]
fn what_an_earlier_log_has_left_and_what_will_stay_is_told_once() {
    let kubectl = namespace("first");
    let labels = "labels: {tidelog.dev/log: orders, tidelog.dev/location: eu}";
    let left = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: orders-eu-witness, {labels}}}\n---\n\
         apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data-orders-eu-pg-0, {labels}}}\n\
         spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {{name: orders-eu-pg, {labels}}}\nstringData: {{password: a, uri: 'postgres://a'}}\n"
    );
    apply(&kubectl, &left);
    // Times of objects are whole seconds.
    rest(Duration::from_millis(1_100));
    apply(&kubectl, &log(&["eu", "us"], ""));
    let operator = Operator::start("first", "eu");
    let all = until("both are told", || {
        let told = told(&kubectl);
        (told.len() == 2).then_some(told)
    });
    let [(begun, stays), (readopted, found)] = &all[..] else {
        unreachable!()
    };
    assert_eq!((begun.as_str(), readopted.as_str()), ("Begun", "Readopted"));
    assert!(stays.contains("uninstall.md"), "{stays}");
    for name in [
        "ConfigMap orders-eu-witness",
        "Secret orders-eu-pg",
        "PersistentVolumeClaim data-orders-eu-pg-0",
    ] {
        assert!(found.contains(name), "{found}");
    }
    // The authority was made by this operator just now.
    appears(&kubectl, "secret/orders-eu-ca");
    assert!(!found.contains("orders-eu-ca"), "{found}");
    // Neither another spec nor another operator tells it again.
    apply(&kubectl, &log(&["eu", "us"], "  replicas: 2\n"));
    appears(&kubectl, "poddisruptionbudget/orders-eu");
    drop(operator);
    let _again = Operator::start("first", "eu");
    apply(&kubectl, &log(&["eu", "us"], "  expose: NodePort\n"));
    until("it was looked at again", || {
        let seen = kubectl.get("evlog/orders").ok()?;
        (seen["status"]["observedGeneration"] == 3).then_some(())
    });
    assert_eq!(told(&kubectl), all);
    assert!(condition(&kubectl, "evlog/orders", "Ready").is_some());

    // Nothing was there of another one.
    apply(
        &kubectl,
        &log(&["eu", "us"], "").replace("name: orders}", "name: carts}"),
    );
    until("it is told", || (told(&kubectl).len() == 3).then_some(()));

    // Whoever deletes it is told what stays, and all that it owns goes: there is no finalizer that waits for anybody.
    let delete = ["delete", "evlog", "carts", "--timeout=10s"];
    kubectl.run(&delete).unwrap().done().unwrap();
    let all = until("its end is told", || {
        let told = told(&kubectl);
        (told.len() == 4).then_some(told)
    });
    let (_, stays) = all.iter().find(|(reason, _)| reason == "Deleted").unwrap();
    assert!(
        stays.starts_with("deleted: volumes, Secrets") && stays.contains("uninstall.md"),
        "{stays}"
    );
    // Nobody collects garbage here, nor does the operator make it anew.
    let left = kubectl.get("statefulset/carts-eu").unwrap();
    assert_eq!(left["metadata"]["ownerReferences"][0]["name"], "carts");
    let delete = ["delete", "statefulset", "carts-eu"];
    kubectl.run(&delete).unwrap().done().unwrap();
    rest(Duration::from_secs(2));
    assert!(kubectl.get("statefulset/carts-eu").is_err());
    kubectl.get("secret/carts-eu-ca").unwrap();
}
