//! Judges a log and its links by their conditions, and what has to be there for them. Pure.

use tidelog_api::{Condition, ConditionStatus, LocationState};
use tidelog_build::{Way, way};
use tidelog_status::{hint, is_passing};

use super::finding::{Findings, Level};
use super::seen::{SeenLog, has_bundle, vouching};
use super::{endpoint, pods};

/// From what is at the bottom of things to what only sums them up: where several conditions have one reason, the first one is told.
const ORDER: &[&str] = &[
    "Accepted",
    "ResolvedRefs",
    "StorageReady",
    "CertificatesReady",
    "EndpointReady",
    "Available",
    "Connected",
    "PeersAgree",
    "Recovered",
    "Synced",
    "Stalled",
    "Ready",
    "Reconciling",
];

/// Everything about one log.
pub fn judge(seen: &SeenLog, namespace: &str, findings: &mut Findings) {
    let log = &seen.log;
    let title = format!("EventLog {namespace}/{}", seen.name());
    let status = log.status.clone().unwrap_or_default();
    let generation = (log.metadata.generation, status.observed_generation);
    conditions(&title, generation, &status.conditions, findings);
    endpoints(seen, &title, findings);
    pods::judge(seen, namespace, findings);
    provided(seen, findings);
    trusted(seen, findings);
    match &seen.links {
        Err(unread) => findings.unread("ReplicationLinks", unread),
        Ok(links) if links.is_empty() && log.spec.locations.len() > 1 => findings.warn(
            format!("{title} has no ReplicationLink"),
            "nothing is copied between its locations: apply one, `tidelog plan -f FILES` shows what it does",
        ),
        Ok(links) => {
            for link in links {
                let name = link.metadata.name.as_deref().unwrap_or_default();
                let title = format!("ReplicationLink {namespace}/{name}");
                let status = link.status.clone().unwrap_or_default();
                let generation = (link.metadata.generation, status.observed_generation);
                conditions(&title, generation, &status.conditions, findings);
            }
        }
    }
}

/// How bad a condition is.
fn level(condition: &Condition) -> Level {
    use ConditionStatus::{False, True, Unknown};
    let Condition {
        type_,
        status,
        reason,
        ..
    } = condition;
    let wished = !matches!(type_.as_str(), "Stalled" | "Reconciling");
    match (status, wished) {
        // Of a log nobody can tell from here whether that is meant; a link is often about others.
        (True, true) if reason == "NotLocal" && type_ == "Available" => Level::Warn,
        (True, true) | (False, false) => Level::Ok,
        // What passes by itself, or is asked for.
        (_, _) if is_passing(reason) => Level::Warn,
        (True, false) if type_ == "Reconciling" => Level::Warn,
        (Unknown, _) => Level::Warn,
        (False, true) | (True, false) => Level::Fail,
    }
}

fn conditions(
    title: &str,
    (wanted, observed): (Option<i64>, Option<i64>),
    conditions: &[Condition],
    findings: &mut Findings,
) {
    if conditions.is_empty() {
        findings.fail(
            format!("{title} was never looked at"),
            "the operator of this cluster writes its status: is one running, and does it look at this namespace?",
        );
        return;
    }
    if wanted > observed {
        findings.warn(
            format!("{title} has changed, and its status is of before"),
            "look again in some seconds; if it lasts, is the operator running?",
        );
    }
    let place = |c: &&Condition| {
        ORDER
            .iter()
            .position(|t| *t == c.type_)
            .unwrap_or(ORDER.len())
    };
    let mut bad: Vec<&Condition> = conditions
        .iter()
        .filter(|c| level(c) != Level::Ok)
        .collect();
    bad.sort_by_key(place);
    if bad.is_empty() {
        findings.ok(format!(
            "{title}: {} conditions as wished",
            conditions.len()
        ));
        return;
    }
    let mut told: Vec<&str> = Vec::new();
    for condition in &bad {
        let Condition {
            type_,
            status,
            reason,
            message,
            ..
        } = condition;
        // What is the matter with it is said by the others.
        if told.contains(&reason.as_str()) || (reason == "Refused" && !told.is_empty()) {
            continue;
        }
        told.push(reason);
        let same = bad.iter().filter(|c| c.reason == *reason);
        let worst = same.map(|c| level(c)).max().unwrap_or(Level::Warn);
        let what = hint(reason).unwrap_or(
            "this program does not know that reason: is the operator of another version? The message says what is the matter",
        );
        findings.of(
            worst,
            format!("{title}: {type_}={status:?} {reason}: {message}"),
            what,
        );
    }
}

fn endpoints(seen: &SeenLog, title: &str, findings: &mut Findings) {
    let is_alone = seen.log.spec.locations.len() == 1;
    let active = seen.log.spec.locations.iter();
    let mut well = 0;
    for location in active.filter(|l| l.state == LocationState::Active) {
        let Some(endpoint) = &location.endpoint else {
            continue;
        };
        match endpoint::judge(&endpoint.host) {
            // With all locations in one cluster its own names will do.
            Some((Level::Warn, _)) if seen.here().len() == seen.log.spec.locations.len() => {
                well += 1;
            }
            Some((level, hint)) if !is_alone => findings.of(
                level,
                format!(
                    "{title}: the endpoint of {} is {:?}",
                    location.name, endpoint.host
                ),
                hint,
            ),
            _ => well += 1,
        }
    }
    if well > 0 {
        findings.ok(format!(
            "{title}: {well} endpoints are names or addresses that can be resolved"
        ));
    }
}

/// Secrets and ConfigMaps that a person has to provide.
fn provided(seen: &SeenLog, findings: &mut Findings) {
    for (named, answer) in &seen.named {
        let what = format!("{} {} ({})", named.kind.kind, named.name, named.field);
        match answer {
            Err(unread) => findings.unread(&what, unread),
            Ok(None) => findings.fail(
                format!("{what} does not exist"),
                "create it, or correct the field that names it",
            ),
            Ok(Some(keys)) => {
                let missing: Vec<&str> = named
                    .keys
                    .iter()
                    .filter(|key| !keys.contains(key))
                    .map(String::as_str)
                    .collect();
                if missing.is_empty() {
                    findings.ok(format!("{what} is there, with {}", named.keys.join(", ")));
                } else {
                    findings.fail(
                        format!("{what} has no key {}", missing.join(", ")),
                        "add the key, or name the right one",
                    );
                }
            }
        }
    }
}

/// Whether somebody vouches for each peer.
fn trusted(seen: &SeenLog, findings: &mut Findings) {
    if way(&seen.log) == Way::Insecure {
        return;
    }
    for (location, answer) in &seen.vouched {
        let (object, _) = vouching(&seen.log, location);
        match answer {
            Ok(true) => findings.ok(format!("ConfigMap {object} vouches for {location}")),
            Ok(false) if has_bundle(&seen.log, location) => {
                findings.ok(format!(
                    "a bundle of tls.trustBundles vouches for {location}"
                ));
            }
            Ok(false) => findings.fail(
                format!("nobody vouches for {location}: there is no ConfigMap {object}"),
                "`tidelog trust --context A --context B --apply` exchanges the authorities",
            ),
            Err(unread) => findings.unread(&format!("ConfigMap {object}"), unread),
        }
    }
}

#[cfg(test)]
mod tests;
