//! Which authorities each cluster has to know of the others.
//!
//! A location's own authority is in a ConfigMap that its operator writes; the same ConfigMap, put into another cluster by a person, makes that cluster trust
//! the location, and for nothing but this location. Nothing secret leaves a cluster.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use serde_json::{Value, json};
use tidelog_api::{EventLog, LocationState};
use tidelog_build::{AUTHORITY_KEY, Names, Way, labels, way};
use tidelog_pki::authorities;

use crate::cluster::{AccessError, Cluster};

/// What a cluster has to be given.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Its context.
    pub cluster: usize,
    /// The log.
    pub log: String,
    /// The location that is to be trusted.
    pub location: String,
    /// Whether exactly that is there already.
    pub is_there: bool,
    /// The ConfigMap.
    pub object: Value,
}

/// What an exchange comes to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exchange {
    /// What is to be applied where.
    pub given: Vec<Given>,
    /// What cannot be exchanged, and why.
    pub missing: Vec<String>,
}

/// Works out what each cluster has to know of the others.
pub async fn exchange(clusters: &[Cluster], log: Option<&str>) -> Result<Exchange, AccessError> {
    let mut exchange = Exchange::default();
    // Of each log: which clusters have it, and who vouches for each of its locations.
    let mut holders: BTreeMap<String, Vec<(usize, EventLog)>> = BTreeMap::new();
    for (at, cluster) in clusters.iter().enumerate() {
        for log in cluster.logs(log).await? {
            holders.entry(log.name_any()).or_default().push((at, log));
        }
    }
    if holders.is_empty() {
        let names: Vec<&str> = clusters.iter().map(Cluster::name).collect();
        let what = log.map_or("any log".to_owned(), |name| format!("log {name}"));
        exchange
            .missing
            .push(format!("none of {} has {what}", names.join(", ")));
    }
    for (name, holders) in holders {
        if holders.iter().any(|(_, log)| way(log) == Way::Insecure) {
            exchange
                .missing
                .push(format!("{name} is insecure: it has no authorities"));
            continue;
        }
        let mut claims: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
        for (at, log) in &holders {
            for location in log
                .spec
                .locations
                .iter()
                .filter(|l| l.state == LocationState::Active)
            {
                if let Some(authority) = own(&clusters[*at], &name, &location.name).await? {
                    let claims = claims.entry(location.name.clone()).or_default();
                    claims.push((*at, authority));
                }
            }
        }
        let mut homes: BTreeMap<String, (usize, String)> = BTreeMap::new();
        let mut have_some: BTreeSet<usize> = BTreeSet::new();
        for (location, claims) in claims {
            have_some.extend(claims.iter().map(|(at, _)| *at));
            match <[(usize, String); 1]>::try_from(claims) {
                Ok([home]) => {
                    homes.insert(location, home);
                }
                // Whichever were trusted, the other one would write under the same name.
                Err(claims) => {
                    let names = claims.iter().map(|(at, _)| clusters[*at].name());
                    exchange.missing.push(format!(
                        "{} all realise location {location} of {name}: give each cluster a location.name of its own in the chart",
                        names.collect::<Vec<_>>().join(", ")
                    ));
                }
            }
        }
        for (at, log) in &holders {
            let cluster = &clusters[*at];
            for (location, (home, authority)) in &homes {
                if home == at || !log.spec.locations.iter().any(|l| l.name == *location) {
                    continue;
                }
                let names = Names::new(&name, location);
                let there = cluster.config_map(&names.vouching()).await?;
                let there = there.and_then(|map| map.data?.remove(AUTHORITY_KEY));
                exchange.given.push(Given {
                    cluster: *at,
                    log: name.clone(),
                    location: location.clone(),
                    is_there: there.as_ref() == Some(authority),
                    object: object(&names, cluster.namespace(), authority),
                });
            }
        }
        let silent = holders.iter().filter(|(at, _)| !have_some.contains(at));
        for (at, _) in silent {
            exchange.missing.push(format!(
                "{}: no location of {name} has an authority there yet; is its operator running?",
                clusters[*at].name()
            ));
        }
    }
    Ok(exchange)
}

/// The authority of a location in the cluster where its operator has made it; what a person has put there is nobody's own.
async fn own(cluster: &Cluster, log: &str, location: &str) -> Result<Option<String>, AccessError> {
    let name = Names::new(log, location).vouching();
    let Some(map) = cluster.config_map(&name).await? else {
        return Ok(None);
    };
    if map.owner_references().is_empty() {
        return Ok(None);
    }
    let text = map.data.and_then(|mut data| data.remove(AUTHORITY_KEY));
    let text = text.unwrap_or_default();
    let found = authorities(&text).map_err(|error| AccessError::Missing {
        cluster: cluster.name().to_owned(),
        what: format!("ConfigMap {name}: {error}"),
    })?;
    Ok(Some(found.concat()))
}

fn object(names: &Names, namespace: &str, authority: &str) -> Value {
    let mut labels = labels(names, "authority");
    // The operator prunes what is its own.
    labels["app.kubernetes.io/managed-by"] = "tidelog".into();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.vouching(),
            "namespace": namespace,
            "labels": labels,
        },
        "data": {AUTHORITY_KEY: authority},
    })
}
