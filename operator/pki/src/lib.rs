//! Authorities and certificates, made when nobody else makes them: one authority per location of a log, which signs for that location alone.
//!
//! Keys are ECDSA on P-256, serial numbers random. What a certificate is good for stands in its one URI ([`Identity`]). Nothing here reads or writes anything;
//! the time is an argument, the randomness is the system's.

use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};
use thiserror::Error;
use tidelog_model::Identity;
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;

/// A certificate begins to count so long before it was made: clocks differ.
pub const BACKDATED: Duration = Duration::from_hours(1);

/// A certificate with its private key, both PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
}

impl Pair {
    /// Whether the key is that of the certificate.
    pub fn is_one(&self) -> bool {
        let Ok(key) = KeyPair::from_pem(&self.key) else {
            return false;
        };
        let pem = x509_parser::pem::parse_x509_pem(self.certificate.as_bytes());
        pem.is_ok_and(|(_, pem)| {
            pem.parse_x509()
                .is_ok_and(|parsed| parsed.public_key().raw == key.subject_public_key_info())
        })
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is nobody's business.
        f.debug_struct("Pair")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// What cannot be made or read.
#[derive(Debug, Error)]
pub enum PkiError {
    /// The library refuses.
    #[error("cannot {what}: {error}")]
    Failed {
        /// What was being done.
        what: &'static str,
        /// Why not.
        error: rcgen::Error,
    },
    /// A text is not what it should be.
    #[error("no {0} in PEM form")]
    Unreadable(&'static str),
}

/// When something counts, seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub not_before: i64,
    /// From when on it does not any more.
    pub not_after: i64,
}

impl Validity {
    /// From a little before `now` for so long.
    pub fn starting(now: i64, lasting: Duration) -> Self {
        Self {
            not_before: now - BACKDATED.as_secs() as i64,
            not_after: now + lasting.as_secs() as i64,
        }
    }

    /// Whether less than a third of it is left: time to make the next one.
    pub fn is_ending(&self, now: i64) -> bool {
        let whole = self.not_after.saturating_sub(self.not_before);
        self.not_after.saturating_sub(now) < whole / 3
    }
}

/// An authority that signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pair: Pair,
}

impl Authority {
    /// Makes a new one; the name is for people.
    pub fn generate(name: &str, validity: Validity) -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(failed("make a key"))?;
        let mut params = params(name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&key)
            .map_err(failed("sign an authority"))?;
        let pair = Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        };
        Ok(Self {
            issuer: Issuer::new(params, key),
            pair,
        })
    }

    /// The one that was made before.
    pub fn load(pair: Pair) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(&pair.key).map_err(failed("read the authority's key"))?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate, key)
            .map_err(failed("read the authority's certificate"))?;
        Ok(Self { issuer, pair })
    }

    /// Its certificate and key.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// A certificate for somebody, good as server and as client.
    pub fn issue(&self, identity: &Identity, validity: Validity) -> Result<Pair, PkiError> {
        self.issue_uris(&identity.to_string(), &[identity.to_string()], validity)
    }

    /// The same for any URIs, also for what is no identity.
    pub fn issue_uris(
        &self,
        name: &str,
        uris: &[String],
        validity: Validity,
    ) -> Result<Pair, PkiError> {
        let names = uris
            .iter()
            .map(|uri| Ia5String::try_from(uri.as_str()).map(SanType::URI))
            .collect::<Result<_, _>>()
            .map_err(failed("write an identity"))?;
        self.sign(name, names, validity)
    }

    /// A certificate for a server with this name, which no location is.
    pub fn issue_host(&self, host: &str, validity: Validity) -> Result<Pair, PkiError> {
        let name = Ia5String::try_from(host).map(SanType::DnsName);
        let name = name.map_err(failed("write a host name"))?;
        self.sign(host, vec![name], validity)
    }

    fn sign(&self, name: &str, names: Vec<SanType>, validity: Validity) -> Result<Pair, PkiError> {
        let key = KeyPair::generate().map_err(failed("make a key"))?;
        let mut params = params(name, validity)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.subject_alt_names = names;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(failed("sign a certificate"))?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// When the first certificate of a text counts, and whose it is: its first URI, or else the first name of a host.
pub fn examine(certificate: &str) -> Result<(Validity, Option<String>), PkiError> {
    let unreadable = || PkiError::Unreadable("certificate");
    let (_, pem) =
        x509_parser::pem::parse_x509_pem(certificate.as_bytes()).map_err(|_| unreadable())?;
    let parsed = pem.parse_x509().map_err(|_| unreadable())?;
    let validity = Validity {
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
    };
    let names = parsed
        .subject_alternative_name()
        .map_err(|_| unreadable())?;
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let uri = names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    let host = names.iter().find_map(|name| match name {
        GeneralName::DNSName(host) => Some((*host).to_owned()),
        _ => None,
    });
    Ok((validity, uri.or(host)))
}

/// The certificates of a bundle, those of authorities all of them; what stands between them is left out.
pub fn authorities(bundle: &str) -> Result<Vec<String>, PkiError> {
    let unreadable = || PkiError::Unreadable("certificate of an authority (CA:TRUE)");
    let blocks = pem::parse_many(bundle).map_err(|_| unreadable())?;
    let mut found = Vec::new();
    for block in blocks.iter().filter(|block| block.tag() == "CERTIFICATE") {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(block.contents()).map_err(|_| unreadable())?;
        if !certificate.is_ca() {
            return Err(unreadable());
        }
        let plain = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        found.push(pem::encode_config(block, plain));
    }
    if found.is_empty() {
        return Err(unreadable());
    }
    Ok(found)
}

fn params(name: &str, validity: Validity) -> Result<CertificateParams, PkiError> {
    let at = |seconds| {
        OffsetDateTime::from_unix_timestamp(seconds)
            .map_err(|_| PkiError::Unreadable("time that a certificate can hold"))
    };
    let mut params = CertificateParams::default();
    params.not_before = at(validity.not_before)?;
    params.not_after = at(validity.not_after)?;
    params.distinguished_name = DistinguishedName::new();
    // RFC 5280 allows 64 characters here; the name is not compared with anything.
    let short: String = name.chars().take(64).collect();
    params.distinguished_name.push(DnType::CommonName, short);
    Ok(params)
}

fn failed(what: &'static str) -> impl Fn(rcgen::Error) -> PkiError {
    move |error| PkiError::Failed { what, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn an_authority_that_was_kept_signs_as_before() {
        let validity = Validity::starting(1_800_000_000, DAY);
        let made = Authority::generate("eu of orders", validity).unwrap();
        let kept = Authority::load(made.pair().clone()).unwrap();
        let identity: Identity = "spiffe://tidelog/tidelog/shop/orders/eu".parse().unwrap();
        for authority in [made, kept] {
            let pair = authority.issue(&identity, validity).unwrap();
            let (read, uri) = examine(&pair.certificate).unwrap();
            assert_eq!(read, validity);
            assert_eq!(uri, Some(identity.to_string()));
        }
    }

    #[test]
    fn it_is_time_for_a_new_one_when_a_third_is_left() {
        let validity = Validity {
            not_before: 0,
            not_after: 900,
        };
        assert!(!validity.is_ending(600));
        assert!(validity.is_ending(601));
        assert!(validity.is_ending(10_000));
    }

    #[test]
    fn a_key_belongs_to_its_certificate_only() {
        let made = |name| Authority::generate(name, Validity::starting(0, DAY)).unwrap();
        let (one, other) = (made("eu").pair().clone(), made("us").pair().clone());
        assert!(one.is_one());
        for key in [other.key, String::new(), "nothing".to_owned()] {
            let certificate = one.certificate.clone();
            assert!(!Pair { certificate, key }.is_one());
        }
    }

    #[test]
    fn what_is_no_certificate_or_key_is_refused() {
        assert!(examine("nothing").is_err());
        let pair = Pair {
            certificate: "nothing".to_owned(),
            key: "nothing".to_owned(),
        };
        assert!(Authority::load(pair).is_err());
    }

    #[test]
    fn a_bundle_is_its_authorities_and_nothing_else() {
        let authority = |name| {
            let made = Authority::generate(name, Validity::starting(1_800_000_000, DAY));
            made.unwrap()
        };
        let (eu, us) = (authority("eu"), authority("us"));
        let (one, other) = (&eu.pair().certificate, &us.pair().certificate);
        let bundle = format!("# eu\r\n{one}\n{}\n# us\n{other}", us.pair().key);
        let found = authorities(&bundle).unwrap();
        assert_eq!(found.len(), 2);
        assert!(authorities(&found.concat()).unwrap() == found);
        assert!(!found.concat().contains("KEY"));

        let identity: Identity = "spiffe://tidelog/tidelog/shop/orders/eu".parse().unwrap();
        let leaf = eu.issue(&identity, Validity::starting(1_800_000_000, DAY));
        for wrong in [
            String::new(),
            "nothing".to_owned(),
            leaf.unwrap().certificate,
            eu.pair().key.clone(),
            one.replace("MII", "MIJ"),
        ] {
            assert!(authorities(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let authority = Authority::generate("eu", Validity::starting(0, DAY)).unwrap();
        assert!(!format!("{:?}", authority.pair()).contains("PRIVATE"));
    }
}
