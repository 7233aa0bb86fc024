//! Certificates of this location.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Span;

/// Certificates for the ports `replication` and `admin`, and for dialling other locations. The files are read again while running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// The certificate of this location, PEM, those in between after it. Its one URI is
    /// `spiffe://TRUST_DOMAIN/tidelog/NAMESPACE/LOG/LOCATION`.
    pub certificate_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// A folder with a file `LOCATION.crt` for each known location, this one included: the authorities that may vouch for it, PEM.
    pub trust_directory: PathBuf,
    /// Trust domain of all identities of this log.
    #[serde(default = "trust_domain")]
    pub trust_domain: String,
    /// Namespace of the log.
    pub namespace: String,
    /// The files are looked at this often, 100 ms to 1 h.
    #[serde(default = "reload")]
    pub reload: Span,
}

fn trust_domain() -> String {
    "tidelog".to_owned()
}

fn reload() -> Span {
    Span::secs(10)
}
