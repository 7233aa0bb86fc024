//! What is there already: nothing of somebody else is written over, and what cannot be made again is not made again.

use std::time::Duration;

use serde_json::{Value, json};
use tidelog_cluster_tests::Kubectl;

use crate::definitions::namespace;
use crate::operator::Operator;
use crate::reconcile::{appears, apply, condition, log, rest, until};

fn run(kubectl: &Kubectl, arguments: &[&str]) {
    kubectl.run(arguments).unwrap().done().unwrap();
}

/// Makes the operator look again.
pub fn look_again(kubectl: &Kubectl) {
    let now = format!("looked={:?}", std::time::Instant::now());
    let now = now.replace(|c: char| !c.is_ascii_alphanumeric() && c != '=', "");
    run(kubectl, &["annotate", "evlog/orders", &now, "--overwrite"]);
}

fn waits_for(kubectl: &Kubectl, type_: &str, status: &str, reason: &str) {
    let wanted = Some((status.to_owned(), reason.to_owned()));
    until(&format!("{type_}={status}, {reason}"), || {
        (condition(kubectl, "evlog/orders", type_) == wanted).then_some(())
    });
}

#[test]
fn names_that_are_taken_are_told_and_what_is_there_stays_as_it_is() {
    let kubectl = namespace("taken");
    let kept = "--from-literal=kept=yes";
    for name in ["orders-eu-config", "orders-eu-witness"] {
        run(&kubectl, &["create", "configmap", name, kept]);
    }
    for name in ["orders-eu-tls", "orders-eu-ca", "orders-eu-pg"] {
        run(&kubectl, &["create", "secret", "generic", name, kept]);
    }
    let _operator = Operator::start("taken", "eu");
    apply(&kubectl, &log(&["eu", "us"], ""));
    for type_ in ["Stalled", "StorageReady", "CertificatesReady"] {
        let status = if type_ == "Stalled" { "True" } else { "False" };
        waits_for(&kubectl, type_, status, "NameTaken");
    }
    // What is free is made.
    appears(&kubectl, "statefulset/orders-eu");
    let config = kubectl.get("configmap/orders-eu-config").unwrap();
    assert_eq!(config["data"], json!({"kept": "yes"}));
    for name in ["orders-eu-tls", "orders-eu-ca", "orders-eu-pg"] {
        let secret = kubectl.get(&format!("secret/{name}")).unwrap();
        assert_eq!(secret["data"], json!({"kept": "eWVz"}), "{name}");
    }
    // A person says whose it is, or takes it away.
    let whose = ["tidelog.dev/log=orders", "tidelog.dev/location=eu"];
    let label = ["label", "configmap", "orders-eu-config"];
    run(&kubectl, &[&label[..], &whose].concat());
    for name in ["orders-eu-tls", "orders-eu-ca", "orders-eu-pg"] {
        run(&kubectl, &["delete", "secret", name]);
    }
    look_again(&kubectl);
    waits_for(&kubectl, "Stalled", "False", "Progressing");
    let config = kubectl.get("configmap/orders-eu-config").unwrap();
    assert!(config["data"]["sidecar.yaml"].is_string());
    let pair = appears(&kubectl, "secret/orders-eu-tls");
    assert!(pair["data"]["tls.crt"].is_string());
}

#[test]
fn two_locations_with_the_same_names_do_not_take_turns() {
    let kubectl = namespace("twins");
    let _operator = Operator::start("twins", "*");
    apply(&kubectl, &log(&["eu-west", "us"], ""));
    let first = appears(&kubectl, "statefulset/orders-eu-west");
    let second = log(&["west", "east"], "").replace("name: orders", "name: orders-eu");
    apply(&kubectl, &second);
    until("the second one says so", || {
        let stalled = condition(&kubectl, "evlog/orders-eu", "Stalled");
        (stalled == Some(("True".to_owned(), "NameTaken".to_owned()))).then_some(())
    });
    appears(&kubectl, "statefulset/orders-eu-east");
    let still = kubectl.get("statefulset/orders-eu-west").unwrap();
    assert_eq!(still["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(still["metadata"]["labels"]["tidelog.dev/log"], "orders");
}

#[test]
fn a_lost_authority_is_not_made_again_while_peers_trust_it() {
    let kubectl = namespace("authority");
    let operator = Operator::start("authority", "eu");
    apply(&kubectl, &log(&["eu", "us"], ""));
    let told = appears(&kubectl, "configmap/orders-eu-authority");
    let authority = appears(&kubectl, "secret/orders-eu-ca");
    run(&kubectl, &["delete", "secret", "orders-eu-ca"]);
    // Nothing is remembered by the next one.
    drop(operator);
    let _operator = Operator::start("authority", "eu");
    waits_for(&kubectl, "CertificatesReady", "False", "AuthorityLost");
    waits_for(&kubectl, "Stalled", "True", "AuthorityLost");
    assert!(kubectl.get("secret/orders-eu-ca").is_err());
    let still = kubectl.get("configmap/orders-eu-authority").unwrap();
    assert_eq!(still["data"], told["data"]);
    // The one that was restored is the old one.
    let mut restored = authority;
    restored["metadata"] = json!({
        "name": "orders-eu-ca",
        "namespace": "authority",
        "labels": restored["metadata"]["labels"],
    });
    apply(&kubectl, &restored.to_string());
    look_again(&kubectl);
    waits_for(&kubectl, "Stalled", "False", "Progressing");
    let still = kubectl.get("configmap/orders-eu-authority").unwrap();
    assert_eq!(still["data"], told["data"]);
}

/// A volume that the controller of StatefulSets would have made; there is none here.
fn volume(kubectl: &Kubectl, owner: Option<&Value>) {
    let owners: Vec<Value> = owner
        .iter()
        .map(|set| {
            json!({
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "name": set["metadata"]["name"],
                "uid": set["metadata"]["uid"],
            })
        })
        .collect();
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-orders-eu-pg-0", "ownerReferences": owners},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    apply(kubectl, &claim.to_string());
}

#[test]
fn a_volume_gets_no_other_password() {
    let kubectl = namespace("password");
    let _operator = Operator::start("password", "eu");
    apply(&kubectl, &log(&["eu", "us"], ""));
    appears(&kubectl, "secret/orders-eu-pg");
    volume(&kubectl, None);
    run(&kubectl, &["delete", "secret", "orders-eu-pg"]);
    look_again(&kubectl);
    waits_for(&kubectl, "StorageReady", "False", "PasswordLost");
    assert!(kubectl.get("secret/orders-eu-pg").is_err());
    // Without the volume there is nothing that would know the old one.
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    let claim = "data-orders-eu-pg-0";
    run(&kubectl, &["patch", "pvc", claim, "-p", patch]);
    run(&kubectl, &["delete", "pvc", claim, "--ignore-not-found"]);
    look_again(&kubectl);
    appears(&kubectl, "secret/orders-eu-pg");
}

#[test]
fn a_database_goes_when_another_one_is_in_use_and_its_volume_stays() {
    let kubectl = namespace("moving");
    let _operator = Operator::start("moving", "eu");
    apply(&kubectl, &log(&["eu", "us"], "  deletionPolicy: Delete\n"));
    let database = appears(&kubectl, "statefulset/orders-eu-pg");
    appears(&kubectl, "statefulset/orders-eu");
    volume(&kubectl, Some(&database));
    let uri = "--from-literal=uri=postgres://a:b@elsewhere/c";
    run(&kubectl, &["create", "secret", "generic", "elsewhere", uri]);
    let external = "  deletionPolicy: Delete\n  storage: {external: {uriSecretRef: {name: elsewhere, key: uri}}}\n";
    apply(&kubectl, &log(&["eu", "us"], external));
    until("its pods are to use the other one", || {
        let set = kubectl.get("statefulset/orders-eu").ok()?;
        let volumes = set["spec"]["template"]["spec"]["volumes"].to_string();
        volumes.contains("elsewhere").then_some(())
    });
    look_again(&kubectl);
    rest(Duration::from_secs(2));
    let policy = || {
        let set = kubectl.get("statefulset/orders-eu-pg").ok()?;
        let policy = &set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"];
        policy.as_str().map(str::to_owned)
    };
    assert_eq!(policy().unwrap(), "Delete", "its users are still there");
    assert!(
        kubectl.get("service/orders-eu-pg").is_ok(),
        "they still need its name"
    );
    // As the controller of StatefulSets would say it.
    let set = kubectl.get("statefulset/orders-eu").unwrap();
    let rolled_out = json!({"status": {
        "observedGeneration": set["metadata"]["generation"],
        "replicas": 1, "readyReplicas": 1, "currentRevision": "b", "updateRevision": "b",
    }});
    let status = ["--subresource=status", "--type=merge", "-p"];
    let patch = ["patch", "statefulset", "orders-eu"];
    let rolled_out = rolled_out.to_string();
    run(&kubectl, &[&patch[..], &status, &[&rolled_out]].concat());
    until("its volume is to stay", || {
        look_again(&kubectl);
        policy().filter(|policy| policy == "Retain")
    });
    assert!(kubectl.get("statefulset/orders-eu-pg").is_ok());
    let patch = r#"{"metadata":{"ownerReferences":null}}"#;
    run(
        &kubectl,
        &["patch", "pvc", "data-orders-eu-pg-0", "-p", patch],
    );
    until("it goes", || {
        look_again(&kubectl);
        kubectl
            .get("statefulset/orders-eu-pg")
            .is_err()
            .then_some(())
    });
    assert!(kubectl.get("pvc/data-orders-eu-pg-0").is_ok());
    assert!(kubectl.get("service/orders-eu-pg").is_err());
}
