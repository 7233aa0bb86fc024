//! Certificates of a location: looked at now and then, made where nobody else makes them, and told to everybody who has to know its authority.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use serde_json::{Value, json};
use tidelog_api::{EventLog, Location, TrustBundle, TrustBundleKind};
use tidelog_build::{
    AUTHORITY_KEY, CERTIFICATE_KEY, Names, PRIVATE_KEY, Way, identity, labels, trust, way,
};
use tidelog_model::{Identity, LocationName, Role};
use tidelog_pki::{Authority, Pair, Validity, authorities, examine};
use tidelog_tls::{Pems, Tls};

use crate::apply::apply;
use crate::context::Context;
use crate::error::Error;
use crate::issuing;
use crate::secret::{self, Data};

/// Between two looks at what is there: nothing tells of a Secret that has changed.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// An authority counts this long. Replacing it takes everybody who trusts it, so it lives longer than what it signs.
const AUTHORITY_LIFETIME: Duration = Duration::from_hours(24 * 3650);
/// On what is told of an authority: the Secret that holds it, where the operator has made it.
const SECRET_NOTE: &str = "tidelog.dev/authority-secret";
/// Secrets with a certificate and a key.
const TLS_SECRET: &str = "kubernetes.io/tls";

/// What is known of the certificates of one location.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Its authorities, PEM.
    authority: String,
    /// With which the operator speaks to its pods.
    pub(crate) admin: Tls,
}

/// What was found at the last look, by log and location.
#[derive(Default)]
pub(crate) struct Looks(Mutex<HashMap<(String, String), Look>>);

struct Look {
    at: Instant,
    generation: Option<i64>,
    found: Arc<Known>,
}

impl Looks {
    fn recent(&self, key: &(String, String), generation: Option<i64>) -> Option<Arc<Known>> {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let look = looks.get(key)?;
        let is_recent = look.at.elapsed() < LOOK_EVERY && look.generation == generation;
        is_recent.then(|| Arc::clone(&look.found))
    }

    fn keep(&self, key: (String, String), generation: Option<i64>, found: Arc<Known>) {
        let look = Look {
            at: Instant::now(),
            generation,
            found,
        };
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.insert(key, look);
    }

    /// The last one, however old.
    fn last(&self, log: &EventLog, location: &Location) -> Option<Arc<Known>> {
        let uid = log.metadata.uid.clone().unwrap_or_default();
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let look = looks.get(&(uid, location.name.clone()))?;
        Some(Arc::clone(&look.found))
    }

    /// Forgets logs that are gone.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|(uid, _), _| is_there(uid));
    }
}

/// Sees to it that a location has its certificates. `None`: it has asked for none.
pub(crate) async fn provide(
    context: &Context,
    log: &EventLog,
    location: &Location,
) -> Result<Option<Arc<Known>>, Error> {
    let uid = log.metadata.uid.clone().unwrap_or_default();
    let key = (uid, location.name.clone());
    let generation = log.metadata.generation;
    let way = way(log);
    if way == Way::Insecure {
        return Ok(None);
    }
    let names = Names::new(
        log.metadata.name.as_deref().unwrap_or_default(),
        &location.name,
    );
    if let Some(known) = context.certificates.recent(&key, generation) {
        vouch(context, log, &names, &known).await?;
        return Ok(Some(known));
    }
    let place = Place {
        context,
        log,
        location,
        names: &names,
    };
    let known = match way {
        Way::Own => place.issue().await?,
        Way::Given(secret) => place.found(secret).await?,
        _ => place.found(&names.tls()).await?,
    };
    vouch(context, log, &names, &known).await?;
    let known = Arc::new(known);
    context
        .certificates
        .keep(key, generation, Arc::clone(&known));
    Ok(Some(known))
}

/// Everybody who is to trust this location needs its authority, and nothing else of the Secret. Made so on each visit: somebody may have deleted it.
async fn vouch(
    context: &Context,
    log: &EventLog,
    names: &Names,
    known: &Known,
) -> Result<(), Error> {
    let mut vouching = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.vouching(),
            "namespace": log.metadata.namespace,
            "labels": labels(names, "authority"),
        },
        "data": {AUTHORITY_KEY: known.authority},
    });
    if way(log) == Way::Own {
        vouching["metadata"]["annotations"] = json!({SECRET_NOTE: names.authority()});
    }
    apply(context, log, &vouching).await?;
    Ok(())
}

/// What is still good while something has to be mended: what was found last, or what does not need the authority's key.
pub(crate) async fn left(
    context: &Context,
    log: &EventLog,
    location: &Location,
) -> Option<Arc<Known>> {
    if way(log) == Way::Insecure {
        return None;
    }
    if let Some(last) = context.certificates.last(log, location) {
        return Some(last);
    }
    let name = log.metadata.name.as_deref().unwrap_or_default();
    let names = Names::new(name, &location.name);
    let (told, own) = (names.vouching(), names.admin());
    let authority = config_map(context, log, &told, AUTHORITY_KEY)
        .await
        .ok()??;
    let admin = secret::own(context, log, &names, &own).await.ok()??;
    let admin = pair(&admin.data)?;
    let place = Place {
        context,
        log,
        location,
        names: &names,
    };
    place.known(&authority, admin).ok().map(Arc::new)
}

/// A location whose certificates are looked at.
struct Place<'a> {
    context: &'a Context,
    log: &'a EventLog,
    location: &'a Location,
    names: &'a Names,
}

impl Place<'_> {
    fn identity(&self, role: Role) -> Result<Identity, Error> {
        identity(self.log, &self.location.name, role)
            .ok_or(Error::Incomplete("a valid name of its location"))
    }

    /// Makes what is missing or about to end.
    async fn issue(&self) -> Result<Known, Error> {
        let now = Timestamp::now().as_second();
        let authority = self.authority(now).await?;
        let certificate = &authority.pair().certificate;
        let mut admin = None;
        for (name, role) in [
            (self.names.tls(), Role::Location),
            (self.names.admin(), Role::Admin),
            (self.names.client(), Role::Client),
        ] {
            let identity = self.identity(role)?;
            let found = secret::own(self.context, self.log, self.names, &name).await?;
            let there = found.as_ref().map(|found| &found.data);
            let mut pair = there.and_then(|data| usable(data, certificate, &identity, now));
            if pair.is_none() {
                let lifetime = self.context.options.settings.certificate_lifetime;
                let made = authority.issue(&identity, Validity::starting(now, lifetime))?;
                let content = BTreeMap::from([
                    (CERTIFICATE_KEY, made.certificate.clone()),
                    (PRIVATE_KEY, made.key.clone()),
                    (AUTHORITY_KEY, certificate.clone()),
                ]);
                let content = (TLS_SECRET, &content);
                let place = (name.as_str(), found.as_ref());
                secret::put(self.context, self.log, (self.names, "log"), place, content).await?;
                tracing::info!(secret = name, %identity, "issued");
                pair = Some(made);
            }
            if role == Role::Admin {
                admin = pair;
            }
        }
        let admin = admin.ok_or(Error::Incomplete("a certificate for its operator"))?;
        self.known(certificate, admin)
    }

    /// The authority of the location; it stays when the log goes, for peers trust it.
    async fn authority(&self, now: i64) -> Result<Authority, Error> {
        let name = self.names.authority();
        let make = async || {
            self.is_new().await?;
            let title = format!("{} of {}", self.location.name, self.names.log);
            let made = Authority::generate(&title, Validity::starting(now, AUTHORITY_LIFETIME))?;
            let Pair { certificate, key } = made.pair().clone();
            Ok(BTreeMap::from([
                (CERTIFICATE_KEY, certificate),
                (PRIVATE_KEY, key),
            ]))
        };
        let whose = (self.names, "authority");
        let found = secret::keep(self.context, self.log, whose, &name, (TLS_SECRET, make)).await?;
        let pair = pair(&found).and_then(|pair| Authority::load(pair).ok());
        // Peers trust what was there: a new one is a person's decision.
        pair.ok_or_else(|| {
            let why = format!(
                "Secret {name} holds no authority (tls.crt, tls.key); restore it, or delete it and exchange trust again"
            );
            Error::refused("SecretInvalid", why)
        })
    }

    /// Refuses another authority for peers that trust one. What was signed counts on; what is to be told is read from there.
    async fn is_new(&self) -> Result<(), Error> {
        let (name, told) = (self.names.authority(), self.names.vouching());
        let namespace = self.log.metadata.namespace.clone().unwrap_or_default();
        let api: Api<ConfigMap> = Api::namespaced(self.context.client.clone(), &namespace);
        let found = api.get_opt(&told).await;
        let found = found.map_err(Error::api(format!("look at ConfigMap {told}")))?;
        let annotations = found.and_then(|map| map.metadata.annotations);
        if annotations.is_none_or(|notes| notes.get(SECRET_NOTE) != Some(&name)) {
            return Ok(());
        }
        let why = format!(
            "Secret {name} with the authority of {} is gone, and peers trust it: restore the Secret, or delete ConfigMap {told} to have another authority made, and exchange trust again: tidelog trust",
            self.location.name
        );
        Err(Error::refused("AuthorityLost", why))
    }

    /// Why a Secret is missing that somebody else makes.
    async fn not_yet(&self, name: &str, missing: Error) -> Error {
        let tls = self.log.spec.tls.as_ref();
        if tls.is_none_or(|tls| tls.issuer_ref.is_none()) {
            return missing;
        }
        issuing::why(self.context, self.log, name).await
    }

    /// What somebody else has made.
    async fn found(&self, location: &str) -> Result<Known, Error> {
        let missing = |name: &str, what: &str| {
            Error::refused("SecretNotFound", format!("Secret {name} {what}"))
        };
        let own = secret::find(self.context, self.log, location).await?;
        let Some(own) = own else {
            let what = "with the certificate of the location does not exist";
            return Err(self.not_yet(location, missing(location, what)).await);
        };
        let authority = secret::text(&own, AUTHORITY_KEY).and_then(|pem| authorities(pem).ok());
        let authority = authority.ok_or_else(|| {
            let why = format!(
                "key {AUTHORITY_KEY} of Secret {location} holds no authority that has signed its certificate"
            );
            Error::refused("SecretInvalid", why)
        })?;
        if pair(&own).is_none() {
            let why =
                format!("Secret {location} holds no certificate with its key (tls.crt, tls.key)");
            return Err(Error::refused("SecretInvalid", why));
        }
        let name = self.names.admin();
        let found = secret::find(self.context, self.log, &name).await?;
        let admin = self.identity(Role::Admin)?;
        let Some(found) = found else {
            let what = format!("with the certificate of {admin} does not exist");
            return Err(self.not_yet(&name, missing(&name, &what)).await);
        };
        let admin = pair(&found).ok_or_else(|| {
            let why = format!("Secret {name} holds no certificate with its key (tls.crt, tls.key)");
            Error::refused("SecretInvalid", why)
        })?;
        self.known(&authority.concat(), admin)
    }

    fn known(&self, authority: &str, admin: Pair) -> Result<Known, Error> {
        let location = LocationName::new(&self.location.name)
            .map_err(|_| Error::Incomplete("a valid name of its location"))?;
        let pems = Pems {
            certificate: admin.certificate.into_bytes(),
            key: admin.key.into_bytes(),
            trust: BTreeMap::from([(location, authority.to_owned().into_bytes())]),
        };
        let admin = Tls::of(pems, self.identity(Role::Admin)?).map_err(|error| {
            let why = format!("Secret {}: {error}", self.names.admin());
            Error::refused("SecretInvalid", why)
        })?;
        Ok(Known {
            authority: authority.to_owned(),
            admin,
        })
    }
}

fn pair(data: &Data) -> Option<Pair> {
    Some(Pair {
        certificate: secret::text(data, CERTIFICATE_KEY)?.to_owned(),
        key: secret::text(data, PRIVATE_KEY)?.to_owned(),
    })
}

/// What is there, if it goes on to be what it should.
fn usable(data: &Data, authority: &str, identity: &Identity, now: i64) -> Option<Pair> {
    let pair = pair(data).filter(Pair::is_one)?;
    let (validity, uri) = examine(&pair.certificate).ok()?;
    let is_ours = secret::text(data, AUTHORITY_KEY)? == authority;
    let is_good = is_ours && uri? == identity.to_string() && !validity.is_ending(now);
    is_good.then_some(pair)
}

/// What may be said of trust in others.
#[derive(Debug, Default, Clone)]
pub(crate) struct Trusting {
    /// Locations of the log that nobody here vouches for.
    pub(crate) unknown: Vec<String>,
    /// A bundle that cannot be used.
    pub(crate) wrong: Option<String>,
}

/// Writes who may vouch for whom, with what is known of each location of the log.
pub(crate) async fn exchange(
    context: &Context,
    log: &EventLog,
    here: &BTreeMap<String, Arc<Known>>,
) -> Result<Trusting, Error> {
    let mut trusting = Trusting::default();
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |locations: &[String], bundle: &str, from: &str| match authorities(bundle) {
        Ok(found) => {
            for location in locations {
                let entry = known.entry(location.clone()).or_default();
                entry.extend(
                    found
                        .iter()
                        .filter(|pem| !entry.contains(pem))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
            }
            None
        }
        Err(error) => Some(format!("{from}: {error}")),
    };
    for location in &log.spec.locations {
        let name = [location.name.clone()];
        if let Some(own) = here.get(&location.name) {
            add(&name, &own.authority, "the own authority");
            continue;
        }
        let object = Names::new(
            log.metadata.name.as_deref().unwrap_or_default(),
            &location.name,
        );
        let object = object.vouching();
        if let Some(bundle) = config_map(context, log, &object, AUTHORITY_KEY).await? {
            let wrong = add(&name, &bundle, &format!("ConfigMap {object}"));
            trusting.wrong = trusting.wrong.or(wrong);
        }
    }
    let bundles = log.spec.tls.iter().flat_map(|tls| &tls.trust_bundles);
    for bundle in bundles {
        let TrustBundle {
            name,
            key,
            locations,
            kind,
        } = bundle;
        let (found, what) = match kind {
            TrustBundleKind::ConfigMap => (
                config_map(context, log, name, key).await?,
                format!("ConfigMap {name}"),
            ),
            TrustBundleKind::Secret => {
                let found = secret::find(context, log, name).await?;
                let found = found.and_then(|data| secret::text(&data, key).map(str::to_owned));
                (found, format!("Secret {name}"))
            }
        };
        let wrong = match found {
            None => Some(format!(
                "{what} with key {key}, a trust bundle, does not exist"
            )),
            // Nobody else vouches for a location that is here.
            Some(text) => {
                let others: Vec<String> = locations
                    .iter()
                    .filter(|l| !here.contains_key(*l))
                    .cloned()
                    .collect();
                add(&others, &text, &format!("{what}, key {key}"))
            }
        };
        trusting.wrong = trusting.wrong.or(wrong);
    }
    let known: BTreeMap<String, String> = known
        .into_iter()
        .map(|(location, pems)| (location, pems.concat()))
        .collect();
    for location in log
        .spec
        .locations
        .iter()
        .filter(|l| here.contains_key(&l.name))
    {
        let object: Value = trust(log, location, &known);
        apply(context, log, &object).await?;
    }
    let all = log.spec.locations.iter().map(|l| l.name.clone());
    trusting.unknown = all.filter(|name| !known.contains_key(name)).collect();
    Ok(trusting)
}

async fn config_map(
    context: &Context,
    log: &EventLog,
    name: &str,
    key: &str,
) -> Result<Option<String>, Error> {
    let namespace = log.metadata.namespace.clone().unwrap_or_default();
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let found = api.get_opt(name).await;
    let found = found.map_err(Error::api(format!("look at ConfigMap {name}")))?;
    Ok(found.and_then(|map| map.data?.remove(key)))
}
