//! What is read of a cluster before anything is judged. Plain data, so that every judgement can be tried without a cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidelog_access::Kind;
use tidelog_api::{EventLog, LocationState, ReplicationLink, TrustBundleKind};
use tidelog_build::{
    AUTHORITY_KEY, CERTIFICATE_KEY, Names, PRIVATE_KEY, Way, database_secret, way,
};

use super::finding::Answer;

/// What is read of a cluster.
#[derive(Debug)]
pub struct Seen {
    /// Its context.
    pub name: String,
    /// The namespace that is looked at.
    pub namespace: String,
    /// Of the API server.
    pub version: Answer<String>,
    /// The definitions of Tidelog's kinds.
    pub definitions: Answer<Vec<Value>>,
    /// Deployments of operators, in all namespaces.
    pub operators: Answer<Vec<Value>>,
    /// The logs of the namespace.
    pub logs: Answer<Vec<SeenLog>>,
}

/// What is read of a log.
#[derive(Debug)]
pub struct SeenLog {
    /// As it is there.
    pub log: EventLog,
    /// Its links.
    pub links: Answer<Vec<ReplicationLink>>,
    /// The StatefulSets of all its locations here.
    pub sets: Answer<Vec<Value>>,
    /// The pods of all its locations here.
    pub pods: Answer<Vec<Value>>,
    /// Secrets and ConfigMaps that a person has to provide, and the keys that are there; `None` without the object.
    pub named: Vec<(Named, Answer<Option<Vec<String>>>)>,
    /// Locations of other clusters for which somebody vouches here, of those that were looked for.
    pub vouched: BTreeMap<String, Answer<bool>>,
}

impl SeenLog {
    /// Its name.
    pub fn name(&self) -> &str {
        self.log.metadata.name.as_deref().unwrap_or_default()
    }

    /// The locations that this cluster says it realises.
    pub fn here(&self) -> BTreeSet<&str> {
        let status = self.log.status.as_ref();
        let locations = status.into_iter().flat_map(|status| &status.locations);
        locations.map(|location| location.name.as_str()).collect()
    }
}

/// An object that the spec names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Secret or ConfigMap.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The keys that it has to have.
    pub keys: Vec<String>,
    /// The field that names it.
    pub field: String,
}

/// What a person has to provide for the locations that are realised here.
pub fn named(log: &EventLog, here: &BTreeSet<&str>) -> Vec<Named> {
    use tidelog_access::kinds::{CONFIG_MAPS, SECRETS};
    let mut all = Vec::new();
    let text = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    let of_log = log.metadata.name.as_deref().unwrap_or_default();
    for location in log
        .spec
        .locations
        .iter()
        .filter(|l| here.contains(l.name.as_str()))
    {
        let database = database_secret(log, location);
        if !database.is_ours {
            all.push(Named {
                kind: SECRETS,
                name: database.name,
                keys: vec![database.key],
                field: format!("storage of {}", location.name),
            });
        }
        if let Way::Given(secret) = way(log) {
            let given = [
                (secret.to_owned(), "tls.secretName"),
                (
                    Names::new(of_log, &location.name).admin(),
                    "tls.secretName, for operator and command line",
                ),
            ];
            for (name, field) in given {
                all.push(Named {
                    kind: SECRETS,
                    name,
                    keys: text(&[CERTIFICATE_KEY, PRIVATE_KEY]),
                    field: field.to_owned(),
                });
            }
        }
    }
    if way(log) != Way::Insecure {
        for bundle in log.spec.tls.iter().flat_map(|tls| &tls.trust_bundles) {
            all.push(Named {
                kind: match bundle.kind {
                    TrustBundleKind::ConfigMap => CONFIG_MAPS,
                    TrustBundleKind::Secret => SECRETS,
                },
                name: bundle.name.clone(),
                keys: vec![bundle.key.clone()],
                field: "tls.trustBundles".to_owned(),
            });
        }
    }
    let mut known = Vec::new();
    all.retain(|named| {
        let is_new = !known.contains(named);
        known.push(named.clone());
        is_new
    });
    all
}

/// Locations that have an edge with one that is realised here, and are not here themselves.
pub fn neighbours(
    log: &EventLog,
    links: &[ReplicationLink],
    here: &BTreeSet<&str>,
) -> BTreeSet<String> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for topology in links.iter().map(|link| &link.spec.topology) {
        if let Some(dense) = &topology.dense {
            for one in &dense.locations {
                pairs.extend(
                    dense
                        .locations
                        .iter()
                        .map(|other| (one.as_str(), other.as_str())),
                );
            }
        }
        if let Some(star) = &topology.hub_and_spoke {
            pairs.extend(
                star.spokes
                    .iter()
                    .map(|spoke| (star.hub.as_str(), spoke.as_str())),
            );
        }
        if let Some(line) = &topology.point_to_point {
            pairs.push((&line.source, &line.target));
        }
    }
    let is_active = |name: &str| {
        let mut locations = log.spec.locations.iter();
        locations.any(|l| l.name == name && l.state == LocationState::Active)
    };
    let both = pairs.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]);
    both.filter(|(one, other)| here.contains(one) && !here.contains(other) && is_active(other))
        .map(|(_, other)| other.to_owned())
        .collect()
}

/// Whether a bundle of the spec may vouch for a location.
pub fn has_bundle(log: &EventLog, location: &str) -> bool {
    let mut bundles = log.spec.tls.iter().flat_map(|tls| &tls.trust_bundles);
    bundles.any(|bundle| bundle.locations.iter().any(|name| name == location))
}

/// Where the authority of a location is looked for.
pub fn vouching(log: &EventLog, location: &str) -> (String, &'static str) {
    let of_log = log.metadata.name.as_deref().unwrap_or_default();
    (Names::new(of_log, location).vouching(), AUTHORITY_KEY)
}
