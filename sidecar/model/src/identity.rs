//! Who holds a certificate: `spiffe://TRUST_DOMAIN/tidelog/NAMESPACE/LOG/LOCATION`, with `/admin` or `/client` after it for those that are no
//! location themselves. The form of the name is that of SPIFFE-ID, sections 2.1 and 2.2.

use std::fmt;
use std::str::FromStr;

use crate::id::{LocationName, ParseError};

/// Bytes of an identity, as SPIFFE bounds it.
pub const IDENTITY_BYTES_MAX: usize = 2048;

const EXPECTED: &str = "an identity, spiffe://TRUST_DOMAIN/tidelog/NAMESPACE/LOG/LOCATION with /admin or /client or nothing after it";

/// What its holder may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It is the location: it replicates, and speaks for its own location only.
    Location,
    /// It reads and changes how the location runs: operator and command line.
    Admin,
    /// It reads and appends: an application's sidecar.
    Client,
}

/// Everything that names a location of a log, apart from the location.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Realm {
    /// Trust domain: lower-case letters, digits, `.`, `-` and `_`.
    pub trust_domain: String,
    /// Namespace of the log.
    pub namespace: String,
    /// Name of the log.
    pub log: String,
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Of which log.
    pub realm: Realm,
    /// At which location.
    pub location: LocationName,
    /// In which role.
    pub role: Role,
}

impl Realm {
    /// Somebody at a location of this log.
    pub fn at(&self, location: &LocationName, role: Role) -> Identity {
        Identity {
            realm: self.clone(),
            location: location.clone(),
            role,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Realm {
            trust_domain,
            namespace,
            log,
        } = &self.realm;
        write!(
            f,
            "spiffe://{trust_domain}/tidelog/{namespace}/{log}/{}",
            self.location
        )?;
        f.write_str(match self.role {
            Role::Location => "",
            Role::Admin => "/admin",
            Role::Client => "/client",
        })
    }
}

impl FromStr for Identity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new(text, EXPECTED);
        if text.len() > IDENTITY_BYTES_MAX {
            return Err(wrong());
        }
        let path = text.strip_prefix("spiffe://").ok_or_else(wrong)?;
        let parts: Vec<&str> = path.split('/').collect();
        let (domain, namespace, log, location, role) = match parts[..] {
            [domain, "tidelog", namespace, log, location] => {
                (domain, namespace, log, location, Role::Location)
            }
            [domain, "tidelog", namespace, log, location, "admin"] => {
                (domain, namespace, log, location, Role::Admin)
            }
            [domain, "tidelog", namespace, log, location, "client"] => {
                (domain, namespace, log, location, Role::Client)
            }
            _ => return Err(wrong()),
        };
        let plain = |part: &str, also: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || also.contains(c))
        };
        if !plain(domain, ".-_") || !plain(namespace, "-") || !plain(log, "-") {
            return Err(wrong());
        }
        Ok(Self {
            realm: Realm {
                trust_domain: domain.to_owned(),
                namespace: namespace.to_owned(),
                log: log.to_owned(),
            },
            location: LocationName::new(location).map_err(|_| wrong())?,
            role,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "spiffe://tidelog/tidelog/shop/orders/eu",
            "spiffe://example.com/tidelog/shop/orders/store-17/admin",
            "spiffe://a_b/tidelog/shop/orders/eu/client",
        ] {
            let identity: Identity = text.parse().unwrap();
            assert_eq!(identity.to_string(), text);
        }
    }

    #[test]
    fn nothing_else_is_an_identity() {
        for text in [
            "",
            "spiffe://",
            "https://tidelog/tidelog/shop/orders/eu",
            "spiffe://tidelog/other/shop/orders/eu",
            "spiffe://tidelog/tidelog/shop/orders",
            "spiffe://tidelog/tidelog/shop/orders/eu/",
            "spiffe://tidelog/tidelog/shop/orders/eu/root",
            "spiffe://tidelog/tidelog/shop/orders/eu/admin/x",
            "spiffe://tidelog/tidelog//orders/eu",
            "spiffe://tidelog/tidelog/shop/Orders/eu",
            "spiffe://tidelog:443/tidelog/shop/orders/eu",
            "spiffe://user@tidelog/tidelog/shop/orders/eu",
            "spiffe://tidelog/tidelog/shop/orders/eu?x",
            "SPIFFE://tidelog/tidelog/shop/orders/eu",
        ] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
        let long = format!("spiffe://{}/tidelog/shop/orders/eu", "a".repeat(2048));
        assert!(long.parse::<Identity>().is_err());
    }
}
