//! What whoever installs the chart has to be allowed to do. Tests compare it with the chart.

use tidelog_access::Deed;

/// API group, plural and kind of an object of the chart, and whether it lies in a namespace.
struct Made {
    group: &'static str,
    plural: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "what the templates of the chart call it")
    )]
    kind: &'static str,
    is_namespaced: bool,
}

const fn made(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    is_namespaced: bool,
) -> Made {
    Made {
        group,
        plural,
        kind,
        is_namespaced,
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// What the chart makes with its defaults, and the kinds behind its options for alerts and dashboards.
const MADE: &[Made] = &[
    made(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        false,
    ),
    made(RBAC, "clusterroles", "ClusterRole", false),
    made(RBAC, "clusterrolebindings", "ClusterRoleBinding", false),
    made(RBAC, "roles", "Role", true),
    made(RBAC, "rolebindings", "RoleBinding", true),
    made("", "serviceaccounts", "ServiceAccount", true),
    made("", "services", "Service", true),
    made("apps", "deployments", "Deployment", true),
    made(
        "policy",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        true,
    ),
    made(
        "networking.k8s.io",
        "networkpolicies",
        "NetworkPolicy",
        true,
    ),
    // Where Helm keeps its releases.
    made("", "secrets", "Secret", true),
];

/// What the operator may do, and what only somebody who may do it himself can give: group, resources, verbs.
const GIVEN: &[(&str, &[&str], &[&str])] = &[
    (
        "tidelog.dev",
        &["eventlogs", "replicationlinks"],
        &["get", "list", "watch"],
    ),
    (
        "tidelog.dev",
        &["eventlogs/status", "replicationlinks/status"],
        &["patch"],
    ),
    ("tidelog.dev", &["eventlogs/finalizers"], &["update"]),
    (
        "",
        &["configmaps"],
        &[
            "get", "list", "watch", "create", "patch", "update", "delete",
        ],
    ),
    (
        "",
        &["services"],
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    (
        "apps",
        &["statefulsets"],
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    (
        "networking.k8s.io",
        &["networkpolicies"],
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    (
        "policy",
        &["poddisruptionbudgets"],
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    ("", &["secrets"], &["get", "create", "patch"]),
    ("", &["pods"], &["get", "list", "watch"]),
    ("", &["persistentvolumeclaims"], &["get"]),
    ("events.k8s.io", &["events"], &["create", "patch"]),
    ("coordination.k8s.io", &["leases"], &["get"]),
];

fn deed(verb: &str, group: &str, resource: &str, namespace: &str) -> Deed {
    Deed {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
    }
}

/// To make what the chart makes, in this namespace.
pub fn to_make(namespace: &str) -> Vec<Deed> {
    let of = |made: &Made| {
        let namespace = if made.is_namespaced { namespace } else { "" };
        deed("create", made.group, made.plural, namespace)
    };
    MADE.iter().map(of).collect()
}

/// With which a role can be given that one does not have.
pub fn to_escalate() -> Deed {
    deed("escalate", RBAC, "clusterroles", "")
}

/// To give the operator its role, without that.
pub fn to_give() -> Vec<Deed> {
    let mut deeds = Vec::new();
    for (group, resources, verbs) in GIVEN {
        for resource in *resources {
            deeds.extend(verbs.iter().map(|verb| deed(verb, group, resource, "")));
        }
    }
    deeds
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn templates() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/tidelog/templates")
    }

    #[test]
    fn every_kind_of_the_chart_is_asked_for() {
        // Only made where somebody wants monitoring, whose kinds need not be there, or sidecars by a label.
        let optional = [
            "ConfigMap",
            "ServiceMonitor",
            "PodMonitor",
            "PrometheusRule",
            "MutatingWebhookConfiguration",
        ];
        let mut kinds = BTreeSet::new();
        for entry in fs::read_dir(templates()).unwrap() {
            let path = entry.unwrap().path();
            if !path.is_file() {
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            for line in text.lines().filter_map(|line| line.strip_prefix("kind: ")) {
                let kind = line.split_whitespace().next().unwrap_or_default();
                if kind.starts_with(|c: char| c.is_ascii_uppercase()) {
                    kinds.insert(kind.to_owned());
                }
            }
        }
        assert!(kinds.contains("Deployment"), "{kinds:?}");
        kinds.retain(|kind| !optional.contains(&kind.as_str()));
        let asked: BTreeSet<String> = MADE.iter().map(|made| made.kind.to_owned()).collect();
        let missing: Vec<_> = kinds.difference(&asked).collect();
        assert!(
            missing.is_empty(),
            "the chart makes {missing:?}: add them to MADE"
        );
    }

    #[test]
    fn the_rules_are_those_of_the_chart() {
        let text = fs::read_to_string(templates().join("_helpers.tpl")).unwrap();
        let rules = text.split("define \"tidelog.rules\"").nth(1).unwrap();
        // What comes with an option is not needed by everybody.
        let rules = rules
            .split("{{- if")
            .next()
            .unwrap()
            .replace(['"', ' '], "");
        let list = |line: &str| -> Vec<String> {
            let inner = line.split('[').nth(1).unwrap_or_default();
            let inner = inner.split(']').next().unwrap_or_default();
            inner.split(',').map(str::to_owned).collect()
        };
        let mut found = BTreeSet::new();
        let (mut groups, mut resources) = (Vec::new(), Vec::new());
        for line in rules.lines() {
            if line.starts_with("-apiGroups:") {
                groups = list(line);
            } else if line.starts_with("resources:") {
                resources = list(line);
            } else if line.starts_with("verbs:") {
                for group in &groups {
                    for resource in &resources {
                        let verbs = list(line);
                        found.extend(verbs.iter().map(|verb| deed(verb, group, resource, "")));
                    }
                }
            }
        }
        assert_eq!(found, to_give().into_iter().collect::<BTreeSet<_>>());
    }
}
