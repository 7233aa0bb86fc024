//! What the operator may do: the rules as they stand in the chart, each with the reason for it.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use regex::Regex;

use super::cell;
use crate::root;

const HEAD: &str = "\
# Rights of the operator

Every rule that the chart gives to the service account of the operator (`rbac.create`), and what it is for. With `watchNamespace` the first table is a Role in that namespace, otherwise a ClusterRole. The pods of a location have no
token of a service account, and no rights at all. What a person needs for `--context` of the command line is in [security](../guides/kubernetes/security.md#who-may-read-what).

`list` and `watch` of Secrets is not among them: the operator reads the Secrets that a log names, and its own, by name.
";

/// Where rules are, what the table is called, and what it has to say first.
const PLACES: [(&str, &str, &str); 3] = [
    ("_helpers.tpl", "In the namespaces of logs", ""),
    (
        "rbac.yaml",
        "In its own namespace",
        "With `leaderElection.enabled`.",
    ),
    (
        "webhook.yaml",
        "For the webhook",
        "With `webhook.enabled`; the configuration in the whole cluster, the Secret in the operator's namespace.",
    ),
];

/// File, resources, and why.
const REASONS: [(&str, &str, &str); 17] = [
    (
        "_helpers.tpl",
        "eventlogs, replicationlinks",
        "What is asked for.",
    ),
    (
        "_helpers.tpl",
        "eventlogs/status, replicationlinks/status",
        "Conditions, head, lag. Nothing else of a manifest is ever written.",
    ),
    (
        "_helpers.tpl",
        "eventlogs/finalizers",
        "Where the admission plugin OwnerReferencesPermissionEnforcement is on, whoever names an owner needs it. No finalizer is ever set.",
    ),
    (
        "_helpers.tpl",
        "configmaps",
        "Configuration, trust, authority and witness of a location. `update`: the witness is replaced only in the version that was read.",
    ),
    (
        "_helpers.tpl",
        "services",
        "The Services of pods, applications, other locations and a managed database.",
    ),
    (
        "_helpers.tpl",
        "statefulsets",
        "The pods of a location, and a managed database.",
    ),
    ("_helpers.tpl", "networkpolicies", "Who reaches them."),
    (
        "_helpers.tpl",
        "poddisruptionbudgets",
        "With `replicas` above 1: one pod at a time is away on purpose.",
    ),
    (
        "_helpers.tpl",
        "secrets",
        "By name: certificates, authority and database password of a location, and the Secrets that its manifest names. It can neither list nor watch nor delete them.",
    ),
    (
        "_helpers.tpl",
        "persistentvolumeclaims",
        "Whether the volume of a managed database is there before its password is made: a second password would lock it out.",
    ),
    (
        "_helpers.tpl",
        "pods",
        "Where the sidecars are, to ask them how they are.",
    ),
    (
        "_helpers.tpl",
        "leases",
        "Whether another operator that attends to a log of this cluster is still there. Its own it only renews where it runs.",
    ),
    (
        "_helpers.tpl",
        "events",
        "To tell what has become otherwise.",
    ),
    (
        "_helpers.tpl",
        "certificates",
        "With `rbac.certManager`: what `tls.issuerRef` asks of cert-manager.",
    ),
    (
        "_helpers.tpl",
        "tlsroutes",
        "With `gateway.name`: what `expose: TLSRoute` asks of the Gateway API.",
    ),
    (
        "rbac.yaml",
        "leases",
        "One of several replicas works: the one that holds the Lease.",
    ),
    (
        "webhook.yaml",
        "mutatingwebhookconfigurations",
        "To write the authority of its certificate (`caBundle`) into the one configuration of this release.",
    ),
];

/// The same for the Secret of the webhook, which has two rules.
const WEBHOOK_SECRETS: [&str; 2] = [
    "The certificate that the webhook is served with, kept for all replicas.",
    "To make it: a rule with a name does not let anybody create.",
];

struct Rule {
    groups: String,
    resources: String,
    names: String,
    verbs: String,
}

/// The page. A rule without a reason, or a reason without a rule, is an error.
pub fn page() -> Result<String> {
    let mut out = HEAD.to_owned();
    let mut used = Vec::new();
    for (file, title, first) in PLACES {
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "\n## {title}\n");
        if !first.is_empty() {
            let _ = write!(out, "\n{first}\n");
        }
        out.push_str("\n| API group | resources | verbs | why |\n|---|---|---|---|\n");
        let mut secrets = WEBHOOK_SECRETS.iter();
        for rule in rules(file)? {
            let known = REASONS
                .iter()
                .find(|(of, resources, _)| *of == file && *resources == rule.resources);
            let why = if file == "webhook.yaml" && rule.resources == "secrets" {
                secrets.next().copied()
            } else {
                used.extend(known);
                known.map(|(_, _, why)| *why)
            };
            let why = why.with_context(|| {
                format!(
                    "charts/tidelog/templates/{file}: {} has no reason in tests/docs/src/reference/rbac.rs",
                    rule.resources
                )
            })?;
            let named = if rule.names.is_empty() {
                ""
            } else {
                ", one by its name"
            };
            let _ = writeln!(
                out,
                "| {} | {}{named} | {} | {} |",
                if rule.groups == "\"\"" {
                    "(core)".to_owned()
                } else {
                    format!("`{}`", rule.groups)
                },
                rule.resources,
                rule.verbs,
                cell(why)
            );
        }
        ensure!(
            file != "webhook.yaml" || secrets.next().is_none(),
            "reasons for rules about Secrets that webhook.yaml does not have"
        );
    }
    let idle: Vec<_> = REASONS.iter().filter(|row| !used.contains(row)).collect();
    ensure!(idle.is_empty(), "reasons without a rule: {idle:?}");
    Ok(out)
}

/// The rules of a template, as they are written there: on three or four lines each.
fn rules(file: &str) -> Result<Vec<Rule>> {
    let path = root().join("charts/tidelog/templates").join(file);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let rule = Regex::new(
        r"- apiGroups: \[(.*)\]\n\s*resources: \[(.*)\]\n(?:\s*resourceNames: \[(.*)\]\n)?\s*verbs: \[(.*)\]",
    )?;
    let found: Vec<Rule> = rule
        .captures_iter(&text)
        .map(|found| Rule {
            groups: found[1].to_owned(),
            resources: found[2].to_owned(),
            names: found
                .get(3)
                .map(|names| names.as_str().to_owned())
                .unwrap_or_default(),
            verbs: found[4].to_owned(),
        })
        .collect();
    // What is written otherwise would be passed over.
    let verbs = text.matches("verbs:").count();
    ensure!(
        found.len() == verbs && verbs > 0,
        "{}: {verbs} rules, {} of them understood",
        path.display(),
        found.len()
    );
    Ok(found)
}
