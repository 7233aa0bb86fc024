//! Whose certificates there are, who makes them, and who may vouch for whom.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidelog_api::{EventLog, IssuerRef, Location, LocationState};
use tidelog_model::{Identity, LocationName, Realm, Role};

use crate::names::labels;
use crate::{Names, Place, Settings, metadata};

/// Where the certificates of a log come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// Nowhere: it asked for plain text.
    Insecure,
    /// Somebody puts them into this Secret.
    Given(&'a str),
    /// cert-manager, by this issuer.
    Issuer(&'a IssuerRef),
    /// The operator, by an authority of its own for each location.
    Own,
}

/// Where the certificates of this log come from.
pub fn way(log: &EventLog) -> Way<'_> {
    let Some(tls) = &log.spec.tls else {
        return Way::Own;
    };
    match (&tls.secret_name, &tls.issuer_ref) {
        _ if tls.insecure => Way::Insecure,
        (Some(secret), _) => Way::Given(secret),
        (None, Some(issuer)) => Way::Issuer(issuer),
        (None, None) => Way::Own,
    }
}

/// Who somebody at a location is; `None` for a name that the schema should have refused.
pub fn identity(log: &EventLog, location: &str, role: Role) -> Option<Identity> {
    let tls = log.spec.tls.as_ref();
    let realm = Realm {
        trust_domain: tls.map_or_else(|| "tidelog".to_owned(), |tls| tls.trust_domain.clone()),
        namespace: log.metadata.namespace.clone().unwrap_or_default(),
        log: log.metadata.name.clone().unwrap_or_default(),
    };
    Some(realm.at(&LocationName::new(location).ok()?, role))
}

/// What is asked of cert-manager: a certificate for the location, one for its administrators, one for its applications.
pub(crate) fn requests(place: &Place<'_>, settings: &Settings) -> Vec<Value> {
    let Way::Issuer(issuer) = way(place.log) else {
        return Vec::new();
    };
    let names = place.names();
    let whose = [
        (names.tls(), Role::Location),
        (names.admin(), Role::Admin),
        (names.client(), Role::Client),
    ];
    let request = |(name, role): (String, Role)| {
        let identity = identity(place.log, &place.location.name, role)?;
        Some(json!({
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": metadata(place, &name, "log"),
            "spec": {
                "secretName": name,
                "secretTemplate": {"labels": labels(&names, "log")},
                "uris": [identity.to_string()],
                "duration": format!("{}s", settings.certificate_lifetime.as_secs()),
                "renewBefore": format!("{}s", settings.certificate_lifetime.as_secs() / 3),
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
                "usages": ["digital signature", "server auth", "client auth"],
                "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
            },
        }))
    };
    whose.into_iter().filter_map(request).collect()
}

/// The ConfigMap that says who may vouch for whom, with what is known of each location of the log: `LOCATION.crt`.
pub fn trust(log: &EventLog, location: &Location, known: &BTreeMap<String, String>) -> Value {
    let names = Names::new(
        log.metadata.name.as_deref().unwrap_or_default(),
        &location.name,
    );
    let active = log.spec.locations.iter();
    let active = active.filter(|l| l.state == LocationState::Active);
    let files: BTreeMap<String, &String> = active
        .filter_map(|l| Some((format!("{}.crt", l.name), known.get(&l.name)?)))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.trust(),
            "namespace": log.metadata.namespace,
            "labels": labels(&names, "log"),
        },
        "data": files,
    })
}
