//! Reads what the judgements need. What cannot be read is part of the answer.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join, join_all};
use serde_json::Value;
use tidelog_access::{Cluster, Deed, kinds};
use tidelog_api::{EventLog, GROUP};
use tidelog_build::{Way, way};

use super::finding::{Answer, Unread};
use super::rights;
use super::seen::{Named, Seen, SeenLog, named, neighbours, vouching};

/// Found on every Deployment of an operator that the chart has made.
pub const OPERATORS: &str = "app.kubernetes.io/name=tidelog-operator";

/// Where the pages of Tidelog install the chart.
const USUAL_NAMESPACE: &str = "tidelog-system";

/// What is read of a cluster.
pub async fn look(cluster: &Cluster, log: Option<&str>) -> Seen {
    let (definitions, operators) = join(definitions(cluster), operators(cluster)).await;
    let logs = match cluster.logs(log).await {
        Ok(logs) => Ok(join_all(logs.into_iter().map(|log| look_at(cluster, log))).await),
        Err(error) => Err(Unread::from(error)),
    };
    Seen {
        name: cluster.name().to_owned(),
        namespace: cluster.namespace().to_owned(),
        version: cluster.version().await.map_err(Unread::from),
        definitions,
        operators,
        logs,
    }
}

/// The definitions of Tidelog's kinds.
pub async fn definitions(cluster: &Cluster) -> Answer<Vec<Value>> {
    let all = cluster.list_everywhere(kinds::DEFINITIONS, "").await?;
    let ours = all.into_iter().filter(|d| d["spec"]["group"] == GROUP);
    Ok(ours.collect())
}

/// Operators in all namespaces.
pub async fn operators(cluster: &Cluster) -> Answer<Vec<Value>> {
    let everywhere = cluster.list_everywhere(kinds::DEPLOYMENTS, OPERATORS).await;
    let refused = match everywhere {
        Err(error) if error.is_forbidden() => error,
        other => return Ok(other?),
    };
    // Whoever may not look everywhere may look where it usually is. Nothing found there says nothing of the rest.
    let mut found = Vec::new();
    for namespace in BTreeSet::from([cluster.namespace(), USUAL_NAMESPACE]) {
        let there = cluster.in_namespace(namespace);
        let listed = there.list(kinds::DEPLOYMENTS, OPERATORS).await;
        found.extend(listed.unwrap_or_default());
    }
    if found.is_empty() {
        return Err(refused.into());
    }
    Ok(found)
}

async fn look_at(cluster: &Cluster, log: EventLog) -> SeenLog {
    let labels = format!(
        "app.kubernetes.io/component=log,tidelog.dev/log={}",
        log.metadata.name.as_deref().unwrap_or_default()
    );
    let links = cluster.links(&log).await.map_err(Unread::from);
    let sets = cluster.list(kinds::STATEFUL_SETS, &labels).await;
    let pods = cluster.list(kinds::PODS, &labels).await;
    let mut seen = SeenLog {
        log,
        links,
        sets: sets.map_err(Unread::from),
        pods: pods.map_err(Unread::from),
        named: Vec::new(),
        vouched: BTreeMap::new(),
    };
    let wanted = named(&seen.log, &seen.here());
    let looked = wanted.into_iter().map(|named| async move {
        let keys = keys(cluster, &named).await;
        (named, keys)
    });
    let looked: Vec<_> = join_all(looked).await;
    let peers = match &seen.links {
        Ok(links) if way(&seen.log) != Way::Insecure => neighbours(&seen.log, links, &seen.here()),
        _ => BTreeSet::new(),
    };
    let asked = peers.into_iter().map(|peer| {
        let (name, key) = vouching(&seen.log, &peer);
        async move {
            let found = cluster.object(kinds::CONFIG_MAPS, &name).await;
            let is_there = found.map(|map| map.is_some_and(|map| map["data"][key].is_string()));
            (peer, is_there.map_err(Unread::from))
        }
    });
    let vouched: BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
    seen.named = looked;
    seen.vouched = vouched;
    seen
}

/// The keys of an object, and nothing of what they hold.
async fn keys(cluster: &Cluster, named: &Named) -> Answer<Option<Vec<String>>> {
    let found = cluster.object(named.kind, &named.name).await?;
    Ok(found.map(|object| {
        let keys = |field: &str| {
            let map = object[field].as_object();
            let keys = map.map(|map| map.keys().cloned().collect::<Vec<String>>());
            keys.unwrap_or_default()
        };
        [keys("data"), keys("binaryData")].concat()
    }))
}

/// What the person may not do of what an install takes.
pub async fn missing_rights(cluster: &Cluster) -> Answer<Vec<Deed>> {
    let mut missing = not_allowed(cluster, rights::to_make(cluster.namespace())).await?;
    // Whoever may give any role need not have its rights.
    let may_escalate = not_allowed(cluster, vec![rights::to_escalate()])
        .await?
        .is_empty();
    if !may_escalate {
        missing.extend(not_allowed(cluster, rights::to_give()).await?);
    }
    Ok(missing)
}

async fn not_allowed(cluster: &Cluster, deeds: Vec<Deed>) -> Answer<Vec<Deed>> {
    let asked = join_all(deeds.iter().map(|deed| cluster.may(deed))).await;
    let mut missing = Vec::new();
    for (deed, answer) in deeds.into_iter().zip(asked) {
        if !answer? {
            missing.push(deed);
        }
    }
    Ok(missing)
}
