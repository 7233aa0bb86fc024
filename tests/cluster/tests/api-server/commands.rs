//! `tidelog check` and `tidelog report` against a real API server: what they read is what it has, and nothing secret leaves it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tidelog_cluster_tests::{ApiServer, Kubectl};
use tidelog_harness::process;

use crate::definitions::namespace;
use crate::operator::Operator;
use crate::reconcile::{appears, apply, condition, link, until};

/// The `tidelog` of the build that this test belongs to.
fn program() -> PathBuf {
    match std::env::var_os("TIDELOG_CLI") {
        Some(named) => named.into(),
        None => process::tidelog().unwrap().to_owned(),
    }
}

fn tidelog(kubeconfig: &Path, arguments: &[&str]) -> Output {
    Command::new(program())
        .args(arguments)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .output()
        .unwrap()
}

/// The lines of a check, as JSON.
fn checks(kubeconfig: &Path, arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
    let output = tidelog(kubeconfig, &[arguments, &["-o", "json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).expect(&said);
    (
        report["checks"].as_array().unwrap().clone(),
        output.status.code(),
    )
}

/// The level of the first line in which this stands.
#[expect(clippy::panic, reason = "ends the test")]
fn level(checks: &[Value], what: &str) -> String {
    let found = checks
        .iter()
        .find(|c| c["check"].as_str().unwrap().contains(what));
    let found = found.unwrap_or_else(|| panic!("no check says {what:?}: {checks:#?}"));
    found["level"].as_str().unwrap().to_owned()
}

const LOG: &str = "\
apiVersion: tidelog.dev/v1alpha1
kind: EventLog
metadata: {name: orders, annotations: {example.com/token: planted-in-an-annotation}}
spec:
  application: {name: shop, version: '1.3'}
  locations: [{name: eu, endpoint: {host: orders.eu.example.com}}, {name: us, endpoint: {host: orders.us.example.com}}]
  storage: {external: {uriSecretRef: {name: orders-pg, key: uri}}}
  template:
    spec: {containers: [{name: app, image: shop, args: [planted-in-an-argument], env: [{name: A, value: planted-in-a-variable}]}]}
";

const SECRET: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: orders-pg}
stringData: {uri: 'postgres://tidelog:planted-in-a-secret@db.example.com/orders'}
";

fn ready(kubectl: &Kubectl) {
    apply(kubectl, LOG);
    apply(kubectl, &link("orders", "eu, us", ""));
}

#[test]
fn a_check_finds_what_is_missing_and_sees_it_mended() {
    let kubectl = namespace("checked");
    let kubeconfig = ApiServer::shared().kubeconfig();
    let _operator = Operator::start("checked", "eu");
    ready(&kubectl);
    until("its Secret is missed", || {
        let storage = condition(&kubectl, "evlog/orders", "StorageReady")?;
        (storage.1 == "SecretNotFound").then_some(())
    });
    let (found, code) = checks(&kubeconfig, &["check", "-n", "checked"]);
    assert_eq!(code, Some(1));
    for (what, expected) in [
        ("the API server answers", "ok"),
        (
            "eventlogs.tidelog.dev is defined as this program knows it",
            "ok",
        ),
        (
            "replicationlinks.tidelog.dev is defined as this program knows it",
            "ok",
        ),
        // It runs in this process and not by a Deployment.
        ("no operator looks at namespace checked", "fail"),
        ("StorageReady=False SecretNotFound", "fail"),
        ("Secret orders-pg (storage of eu) does not exist", "fail"),
        ("nobody vouches for us", "fail"),
        ("0 of 1 pods of orders-eu are ready", "fail"),
        ("2 endpoints are names or addresses", "ok"),
    ] {
        assert_eq!(level(&found, what), expected, "{what}");
    }
    let is_silent = |c: &&Value| c["level"] != "ok" && c["hint"].as_str().is_none_or(str::is_empty);
    assert_eq!(found.iter().find(is_silent), None, "a hint for each");

    apply(&kubectl, SECRET);
    until("it is found", || {
        let (found, _) = checks(&kubeconfig, &["check", "-n", "checked"]);
        let is_told = |c: &Value| c["check"].as_str().unwrap().contains("SecretNotFound");
        (!found.iter().any(is_told)).then_some(())
    });
    let (found, _) = checks(&kubeconfig, &["check", "-n", "checked"]);
    assert_eq!(
        level(&found, "Secret orders-pg (storage of eu) is there"),
        "ok"
    );
}

#[test]
fn before_an_install_rights_are_asked_of_the_server() {
    let kubectl = namespace("before");
    let kubeconfig = ApiServer::shared().kubeconfig();
    let (found, code) = checks(&kubeconfig, &["check", "--pre", "-n", "before"]);
    assert_eq!(code, Some(0), "{found:#?}");
    assert_eq!(
        level(&found, "you may install the chart in namespace before"),
        "ok"
    );
    assert_eq!(level(&found, "there is no default storage class"), "warn");

    // Somebody who may read pods and nothing else.
    let lowly = lowly(&kubectl, "before");
    let (found, code) = checks(&lowly, &["check", "--pre", "-n", "before"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        level(&found, "you lack: create customresourcedefinitions"),
        "fail"
    );
    assert_eq!(level(&found, "may not list storageclasses"), "warn");
    let (found, code) = checks(&lowly, &["check", "-n", "before"]);
    assert_eq!(code, Some(1), "nothing of a log was seen: {found:?}");
    assert_eq!(level(&found, "may not list the EventLogs"), "fail");
}

/// The kubeconfig of a person who may read pods of a namespace.
fn lowly(kubectl: &Kubectl, namespace: &str) -> PathBuf {
    let rights = format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: lowly}}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: lowly}}\nrules: [{{apiGroups: [''], resources: [pods], verbs: [get, list]}}]\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: lowly}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: lowly}}\nsubjects: [{{kind: ServiceAccount, name: lowly, namespace: {namespace}}}]\n"
    );
    apply(kubectl, &rights);
    let token = kubectl
        .run(&["create", "token", "lowly"])
        .unwrap()
        .done()
        .unwrap();
    let view = ["config", "view", "--raw", "--flatten", "-o", "json"];
    let view = kubectl.run(&view).unwrap().done().unwrap().output;
    let mut config: Value = serde_json::from_str(&view).unwrap();
    for user in config["users"].as_array_mut().unwrap() {
        user["user"] = json!({"token": token.output.trim()});
    }
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let file = file.keep().unwrap();
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

#[test]
fn a_report_has_what_is_there_and_nothing_secret_and_says_what_it_could_not_read() {
    let kubectl = namespace("reported");
    let kubeconfig = ApiServer::shared().kubeconfig();
    let _operator = Operator::start("reported", "eu");
    apply(&kubectl, SECRET);
    ready(&kubectl);
    appears(&kubectl, "statefulset/orders-eu");
    until("a status", || condition(&kubectl, "evlog/orders", "Ready"));
    let folder = tempfile::tempdir().unwrap();
    let report = |kubeconfig: &Path, name: &str| {
        let file = folder.path().join(name);
        let to = file.to_str().unwrap();
        let output = tidelog(kubeconfig, &["report", "-n", "reported", "--file", to]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let unpacked = Command::new("tar").args(["-xzOf", to]).output().unwrap();
        String::from_utf8(unpacked.stdout).unwrap()
    };
    let text = report(&kubeconfig, "all.tar.gz");
    assert!(!text.contains("planted-in-"), "{text}");
    for there in [
        "eventlogs.yaml",
        "replicationlinks.yaml",
        "statefulsets.yaml",
        "orders-eu",
        "secrets-by-name.json",
        "orders-pg",
    ] {
        assert!(text.contains(there), "{there}");
    }
    // What is there is not written over.
    let file = folder.path().join("all.tar.gz");
    let again = tidelog(
        &kubeconfig,
        &["report", "-n", "reported", "--file", file.to_str().unwrap()],
    );
    assert_eq!(again.status.code(), Some(1));

    let text = report(&lowly(&kubectl, "reported"), "lowly.tar.gz");
    assert!(text.contains("may not list eventlogs"), "{text}");
}
