//! What the operator may do: exactly what the chart's page says, and nothing that nobody should.

use std::collections::BTreeSet;
use std::env;
use std::fs;

use serde_json::Value;

use crate::chart::{SETS, SYSTEM, folder, objects, only};

const BEGIN: &str = "<!-- rights: written by `UPDATE_EXPECT=1 cargo test -p tidelog-cluster-tests --test chart rights` -->\n";
const END: &str = "<!-- end of rights -->";

/// API group, resources and verbs of a rule, as cells of a table.
fn cells(rule: &Value) -> String {
    let words = |field: &str| {
        let words = rule[field].as_array().unwrap().iter();
        let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
        words.join(", ")
    };
    let group = match words("apiGroups") {
        core if core.is_empty() => "core".to_owned(),
        named => format!("`{named}`"),
    };
    format!("{group} | {} | {}", words("resources"), words("verbs"))
}

fn rules(role: &Value) -> Vec<String> {
    role["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(cells)
        .collect()
}

/// The rules that there are with these values, in namespaces of logs.
fn rules_with(values: &str) -> Vec<String> {
    rules(only(&objects(values), "ClusterRole"))
}

#[test]
fn the_page_says_what_the_operator_may_do() {
    let least = rules_with("{location: {name: eu}, rbac: {certManager: false}}");
    let certificates = rules_with("location: {name: eu}");
    let gateway =
        rules_with("{location: {name: eu}, rbac: {certManager: false}, gateway: {name: outside}}");
    let mut table =
        "| where | API group | resources | verbs | only with |\n|---|---|---|---|---|\n".to_owned();
    let mut add = |place: &str, rules: &[String], only_with: &str| {
        for rule in rules {
            table.push_str(&format!("| {place} | {rule} | {only_with} |\n"));
        }
    };
    let without_least = |rules: &[String]| {
        let rest = rules.iter().filter(|rule| !least.contains(rule));
        rest.cloned().collect::<Vec<_>>()
    };
    add("logs", &least, "");
    add("logs", &without_least(&certificates), "`rbac.certManager`");
    add("logs", &without_least(&gateway), "`gateway.name`");
    let election = objects("location: {name: eu}");
    add(
        "its own namespace",
        &rules(only(&election, "Role")),
        "`leaderElection.enabled`",
    );

    let file = folder().join("README.md");
    let page = fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the mark before the table");
    let (_, after) = rest.split_once(END).expect("the mark after the table");
    let expected = format!("{before}{BEGIN}{table}{END}{after}");
    if page != expected && env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, expected).unwrap();
        return;
    }
    assert_eq!(page, expected, "charts/tidelog/README.md is stale");
}

#[test]
fn nothing_is_granted_that_nobody_should_have() {
    for (name, values) in SETS {
        let objects = objects(values);
        let roles = objects
            .iter()
            .filter(|o| o["kind"] == "Role" || o["kind"] == "ClusterRole");
        for role in roles {
            for rule in role["rules"].as_array().unwrap() {
                let words = |field: &str| {
                    let words = rule[field].as_array().unwrap().iter();
                    words
                        .map(|w| w.as_str().unwrap().to_owned())
                        .collect::<BTreeSet<_>>()
                };
                let (groups, resources, verbs) =
                    (words("apiGroups"), words("resources"), words("verbs"));
                let all = [&groups, &resources, &verbs];
                assert!(
                    all.iter().all(|words| !words.contains("*")),
                    "{name}: {rule}"
                );
                assert!(
                    !groups.contains("rbac.authorization.k8s.io"),
                    "{name}: {rule}"
                );
                let least = ["get", "create", "patch"].map(str::to_owned).into();
                if resources.contains("secrets") {
                    assert!(verbs.is_subset(&least), "{name}: {rule}");
                }
                let into_pods = resources.iter().any(|r| r.starts_with("pods/"));
                assert!(!into_pods, "{name}: {rule}");
                for verb in ["escalate", "bind", "impersonate", "deletecollection"] {
                    assert!(!verbs.contains(verb), "{name}: {rule}");
                }
            }
        }
    }
}

#[test]
fn rights_are_given_to_the_operator_only() {
    for (name, values) in SETS {
        let objects = objects(values);
        let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
        let bindings = objects
            .iter()
            .filter(|o| o["kind"].as_str().unwrap().ends_with("Binding"));
        for binding in bindings {
            let subjects = binding["subjects"].as_array().unwrap();
            assert_eq!(subjects.len(), 1, "{name}");
            assert_eq!(subjects[0]["kind"], "ServiceAccount", "{name}");
            assert_eq!(subjects[0]["namespace"], SYSTEM, "{name}");
            assert_eq!(subjects[0]["name"], pod["serviceAccountName"], "{name}");
            let role = objects.iter().find(|o| {
                o["kind"] == binding["roleRef"]["kind"]
                    && o["metadata"]["name"] == binding["roleRef"]["name"]
                    && o["metadata"]["namespace"] == binding["metadata"]["namespace"]
            });
            assert!(role.is_some(), "{name}: {binding}");
        }
    }
}

#[test]
fn with_one_namespace_nothing_is_granted_elsewhere() {
    let objects = objects("{location: {name: eu}, watchNamespace: shop}");
    assert!(
        objects
            .iter()
            .all(|o| !o["kind"].as_str().unwrap().starts_with("ClusterRole"))
    );
    let role = |namespace: &str| {
        let of = |o: &&Value| o["kind"] == "Role" && o["metadata"]["namespace"] == namespace;
        objects.iter().find(of).unwrap()
    };
    assert_eq!(rules(role("shop")), rules_with("location: {name: eu}"));
    let election = objects_of_election();
    assert_eq!(rules(role(SYSTEM)), election);
}

fn objects_of_election() -> Vec<String> {
    rules(only(&objects("location: {name: eu}"), "Role"))
}
