//! Whether a certificate counts, and whose it is.

use std::collections::BTreeMap;

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use thiserror::Error;
use tidelog_model::{Identity, LocationName, Realm, Role, mutant};
use webpki::{EndEntityCert, KeyUsage};

/// Characters of what a stranger calls himself that are told.
const SHOWN_CHARS_MAX: usize = 200;

/// Why a certificate does not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejected {
    /// It is no certificate.
    #[error("not a certificate: {0}")]
    Unreadable(String),
    /// It does not say whose it is in exactly one URI.
    #[error(
        "the certificate names {0}, which is no identity of a location (exactly one URI spiffe://TRUST_DOMAIN/tidelog/NAMESPACE/LOG/LOCATION)"
    )]
    Identity(String),
    /// It is for another log, namespace or trust domain.
    #[error("the certificate is that of {found}, and this is log {}/{} in trust domain {}", .realm.namespace, .realm.log, .realm.trust_domain)]
    Realm {
        /// Whose it is.
        found: String,
        /// What is expected.
        realm: Realm,
    },
    /// It is for another location or role than may come here.
    #[error("the certificate is that of {found}; expected is {expected}")]
    NotExpected {
        /// Whose it is.
        found: String,
        /// Who may come.
        expected: String,
    },
    /// Nobody may vouch for the location.
    #[error("no authority may vouch for location {0}: name it in tls.trustBundles[].locations")]
    NotVouched(LocationName),
    /// Those who may vouch for it did not sign it, or it has expired.
    #[error("the certificate of {found} is not accepted: {why}")]
    Chain {
        /// Whose it says it is.
        found: String,
        /// What is wrong.
        why: String,
    },
}

/// Who may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Guest {
    /// Any location but the own one.
    Peer,
    /// This location.
    Location(LocationName),
    /// One of these roles at the own location.
    Own(LocationName, Vec<Role>),
}

/// Whose certificate it is; believed only after [`vouched`].
pub(crate) fn identity_of(der: &CertificateDer<'_>) -> Result<Identity, Rejected> {
    let certificate =
        EndEntityCert::try_from(der).map_err(|e| Rejected::Unreadable(e.to_string()))?;
    let names: Vec<&str> = certificate.valid_uri_names().collect();
    match names[..] {
        [name] => name.parse().map_err(|_| Rejected::Identity(shown(name))),
        [] => Err(Rejected::Identity("no URI".to_owned())),
        _ => Err(Rejected::Identity(format!("{} URIs", names.len()))),
    }
}

/// What a stranger has written, so that it can stand in a log.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{short:?}")
}

/// Checks a certificate against everything that it has to be.
pub(crate) fn vouched(
    (der, between): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    anchors: &BTreeMap<LocationName, Vec<TrustAnchor<'static>>>,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    (realm, own, guest): (&Realm, &LocationName, &Guest),
    usage: KeyUsage,
    now: UnixTime,
) -> Result<Identity, Rejected> {
    let found = identity_of(der)?;
    if found.realm != *realm && !mutant!("certificate-of-another-log") {
        return Err(Rejected::Realm {
            found: found.to_string(),
            realm: realm.clone(),
        });
    }
    expected(&found, own, guest)?;
    let mut trusted = anchors.get(&found.location).cloned();
    if mutant!("any-authority-vouches") {
        trusted = Some(anchors.values().flatten().cloned().collect());
    }
    let Some(trusted) = trusted else {
        return Err(Rejected::NotVouched(found.location));
    };
    let certificate =
        EndEntityCert::try_from(der).map_err(|e| Rejected::Unreadable(e.to_string()))?;
    let verified =
        certificate.verify_for_usage(algorithms, &trusted, between, now, usage, None, None);
    match verified {
        Ok(_) => Ok(found),
        Err(error) => Err(Rejected::Chain {
            found: found.to_string(),
            why: match error {
                webpki::Error::UnknownIssuer => {
                    "the authorities that may vouch for its location did not sign it".to_owned()
                }
                other => other.to_string(),
            },
        }),
    }
}

fn expected(found: &Identity, own: &LocationName, guest: &Guest) -> Result<(), Rejected> {
    let (good, expected) = match guest {
        Guest::Peer => (
            found.role == Role::Location && found.location != *own,
            "another location".to_owned(),
        ),
        Guest::Location(location) => (
            found.role == Role::Location && found.location == *location,
            format!("location {location}"),
        ),
        Guest::Own(location, roles) => (
            roles.contains(&found.role) && found.location == *location,
            format!("{roles:?} of location {location}"),
        ),
    };
    if good || mutant!("any-guest-let-in") {
        return Ok(());
    }
    Err(Rejected::NotExpected {
        found: found.to_string(),
        expected,
    })
}
