//! Judges what several clusters say of the same logs. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_access::trust::Exchange;
use tidelog_build::{Way, way};

use super::finding::{Answer, Findings};
use super::seen::{Seen, SeenLog, has_bundle};

/// Whether the clusters agree.
pub fn judge(all: &[Seen], findings: &mut Findings) {
    let mut holders: BTreeMap<&str, Vec<(&Seen, &SeenLog)>> = BTreeMap::new();
    for seen in all {
        for log in seen.logs.iter().flatten() {
            holders.entry(log.name()).or_default().push((seen, log));
        }
    }
    for (name, holders) in holders {
        for seen in all.iter().filter(|seen| seen.logs.is_ok()) {
            if !holders.iter().any(|(holder, _)| holder.name == seen.name) {
                findings.warn(
                    format!("log {name} is not in {} (namespace {})", seen.name, seen.namespace),
                    "the same manifests belong into every cluster: apply them there, or name its namespace with -n",
                );
            }
        }
        if holders.len() > 1 {
            specs(name, &holders, findings);
            homes(name, &holders, findings);
        }
    }
}

/// The same spec, by the hash that each operator writes.
fn specs(name: &str, holders: &[(&Seen, &SeenLog)], findings: &mut Findings) {
    let mut by_hash: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (seen, log) in holders {
        let hash = log.log.status.as_ref().and_then(|s| s.spec_hash.as_deref());
        by_hash
            .entry(hash.unwrap_or_default())
            .or_default()
            .push(&seen.name);
    }
    let silent = by_hash.remove("").unwrap_or_default();
    if !silent.is_empty() {
        findings.warn(
            format!(
                "log {name}: the spec in force in {} is not known",
                silent.join(", ")
            ),
            "the operator there has not written it yet",
        );
    }
    let groups: Vec<String> = by_hash
        .iter()
        .map(|(hash, names)| {
            format!(
                "{} has {}",
                names.join(", "),
                hash.get(..12).unwrap_or(hash)
            )
        })
        .collect();
    match groups.len() {
        0 => {}
        1 if silent.is_empty() => findings.ok(format!("log {name}: all have the same spec")),
        1 => {}
        _ => findings.fail(
            format!("log {name} has several specs: {}", groups.join("; ")),
            "apply the same EventLog and ReplicationLinks in every cluster; replication goes on meanwhile",
        ),
    }
}

/// Each location in one cluster.
fn homes(name: &str, holders: &[(&Seen, &SeenLog)], findings: &mut Findings) {
    let mut homes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (seen, log) in holders {
        for location in log.here() {
            homes.entry(location).or_default().insert(&seen.name);
        }
    }
    for (location, clusters) in homes {
        if clusters.len() > 1 {
            let clusters: Vec<&str> = clusters.into_iter().collect();
            findings.fail(
                format!("log {name}: {} realise location {location}", clusters.join(" and ")),
                "two databases must not write under one name: give each cluster a location.name of its own in the chart",
            );
        }
    }
}

/// Whether the clusters trust each other, by what would have to be exchanged.
pub fn trust(all: &[Seen], exchange: &Answer<Exchange>, findings: &mut Findings) {
    let exchange = match exchange {
        Ok(exchange) => exchange,
        Err(unread) => return findings.unread("trust between the clusters", unread),
    };
    for given in &exchange.given {
        let Some(seen) = all.get(given.cluster) else {
            continue;
        };
        let logs = seen.logs.iter().flatten();
        let log = logs.into_iter().find(|log| log.name() == given.log);
        let by_bundle = log.is_some_and(|log| has_bundle(&log.log, &given.location));
        let what = format!("{} of {}", given.location, given.log);
        if given.is_there {
            findings.ok(format!(
                "{} trusts {what} by its present authority",
                seen.name
            ));
        } else if by_bundle {
            findings.ok(format!(
                "{} trusts {what} by a bundle of the spec",
                seen.name
            ));
        } else {
            let names: Vec<String> = all
                .iter()
                .map(|s| format!("--context {}", s.name))
                .collect();
            findings.fail(
                format!(
                    "{} does not know the present authority of {what}",
                    seen.name
                ),
                format!("`tidelog trust {} --apply`", names.join(" ")),
            );
        }
    }
    // What is insecure by its own word has nothing to exchange, and its condition says so.
    let is_insecure = |name: &str| {
        let logs = all.iter().flat_map(|seen| seen.logs.iter().flatten());
        logs.into_iter()
            .any(|log| log.name() == name && way(&log.log) == Way::Insecure)
    };
    for missing in &exchange.missing {
        let name = missing.split(' ').next().unwrap_or_default();
        if !is_insecure(name) {
            findings.warn(
                missing.clone(),
                "trust is exchanged when the operators there have made their authorities",
            );
        }
    }
}

#[cfg(test)]
mod tests;
