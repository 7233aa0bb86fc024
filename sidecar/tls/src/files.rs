//! Certificate, key and bundles as files, all PEM.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tidelog_model::{Identity, LocationName};

use crate::vouch::{Rejected, identity_of};

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How what is in no file is called in errors.
pub(crate) fn nameless() -> Files {
    Files {
        certificate: "tls.crt".into(),
        key: "tls.key".into(),
        trust: PathBuf::new(),
    }
}

/// Files in the trust directory: as many as a log can have locations, with room for those to come.
const TRUST_FILES_MAX: usize = 1024;

/// What is said of a text that is no PEM.
const UNREADABLE: &str = "it cannot be read (line breaks missing?); nothing of it is shown";

/// What the name of a file in the trust directory ends with.
const TRUST_SUFFIX: &str = ".crt";

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The location's certificate, those in between after it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// A directory with a file `LOCATION.crt` for each location that is known: the authorities that may vouch for it. Other names are ignored.
    pub trust: PathBuf,
}

/// The same without files: for somebody who has them from elsewhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pems {
    /// The certificate, those in between after it.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// For each location that is known the authorities that may vouch for it.
    pub trust: BTreeMap<LocationName, Vec<u8>>,
}

impl fmt::Debug for Pems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is nobody's business.
        f.debug_struct("Pems").finish_non_exhaustive()
    }
}

/// Files that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read {}: {why}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        why: String,
    },
    /// It does not hold what it should.
    #[error("{} holds no {expected} in PEM form: {why}", .file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Certificate and key do not belong together.
    #[error("{} is not the key of {}", .key.display(), .certificate.display())]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The certificate is for somebody else.
    #[error("{} is for {found}, and this is {expected}", .certificate.display())]
    Stranger {
        /// The certificate.
        certificate: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
}

/// What the files hold, checked.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) certified: Arc<CertifiedKey>,
    /// Who may vouch for a location.
    pub(crate) anchors: BTreeMap<LocationName, Vec<TrustAnchor<'static>>>,
    /// When the certificate begins and ceases to count, seconds since the Unix epoch.
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    /// All that was read, to see whether something changed.
    pub(crate) raw: Pems,
}

/// Reads them.
pub(crate) fn read(files: &Files) -> Result<Pems, LoadError> {
    Ok(Pems {
        certificate: read_one(&files.certificate)?,
        key: read_one(&files.key)?,
        trust: read_trust(&files.trust)?,
    })
}

fn read_trust(directory: &Path) -> Result<BTreeMap<LocationName, Vec<u8>>, LoadError> {
    let failed = |why: String| LoadError::Read {
        file: directory.to_owned(),
        why,
    };
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(|e| failed(e.to_string()))? {
        let name = entry.map_err(|e| failed(e.to_string()))?.file_name();
        let name = name.to_string_lossy();
        let Some(location) = name
            .strip_suffix(TRUST_SUFFIX)
            .and_then(|stem| LocationName::new(stem).ok())
        else {
            continue;
        };
        if found.len() == TRUST_FILES_MAX {
            return Err(failed(format!("it has more than {TRUST_FILES_MAX} files")));
        }
        found.insert(location, read_one(&directory.join(name.as_ref()))?);
    }
    Ok(found)
}

fn read_one(file: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |why: String| LoadError::Read {
        file: file.to_owned(),
        why,
    };
    // A pipe would be waited for, and a device never ends.
    if !fs::metadata(file)
        .map_err(|e| failed(e.to_string()))?
        .is_file()
    {
        return Err(failed("it is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|open| open.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|e| failed(e.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// Makes sense of them, for `owner`.
pub(crate) fn understand(
    files: &Files,
    owner: &Identity,
    raw: Pems,
    provider: &CryptoProvider,
) -> Result<Material, LoadError> {
    let chain = certificates(&files.certificate, &raw.certificate)?;
    // What the parser says may quote the file.
    let key = PrivateKeyDer::from_pem_slice(&raw.key)
        .map_err(|_| content(&files.key, "private key", UNREADABLE))
        .and_then(|der| {
            provider
                .key_provider
                .load_private_key(der)
                .map_err(|e| content(&files.key, "private key of a kind that is known", e))
        })?;
    let (not_before, not_after) = validity(&chain[0])
        .ok_or_else(|| content(&files.certificate, "certificate", "it has no validity"))?;
    let found = identity_of(&chain[0]).map_err(|e| match e {
        Rejected::Identity(found) => LoadError::Stranger {
            certificate: files.certificate.clone(),
            found,
            expected: owner.to_string(),
        },
        other => content(&files.certificate, "certificate", other),
    })?;
    if found != *owner {
        return Err(LoadError::Stranger {
            certificate: files.certificate.clone(),
            found: found.to_string(),
            expected: owner.to_string(),
        });
    }
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| LoadError::Mismatch {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
    })?;
    let anchors = raw
        .trust
        .iter()
        .map(|(location, pem)| {
            let file = files.trust.join(format!("{location}{TRUST_SUFFIX}"));
            Ok((location.clone(), anchors(&file, pem)?))
        })
        .collect::<Result<_, _>>()?;
    Ok(Material {
        certified: Arc::new(certified),
        anchors,
        not_before,
        not_after,
        raw,
    })
}

fn content(file: &Path, expected: &'static str, why: impl ToString) -> LoadError {
    LoadError::Content {
        file: file.to_owned(),
        expected,
        why: why.to_string(),
    }
}

/// All certificates of a file, at least one.
fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        // The key may have been put here by mistake: nothing of the file is shown.
        .map_err(|_| content(file, "certificate", UNREADABLE))?;
    if found.is_empty() {
        return Err(content(file, "certificate", "there is none"));
    }
    Ok(found)
}

fn anchors(file: &Path, pem: &[u8]) -> Result<Vec<TrustAnchor<'static>>, LoadError> {
    certificates(file, pem)?
        .iter()
        .map(|der| {
            // A chain that was pasted whole would make an authority of its last link.
            if !is_authority(der) {
                let why = "one of its certificates is not that of an authority (CA:TRUE)";
                return Err(content(file, "certificate of an authority", why));
            }
            webpki::anchor_from_trusted_cert(der)
                .map(|anchor| anchor.to_owned())
                .map_err(|e| content(file, "certificate of an authority", e))
        })
        .collect()
}

fn is_authority(der: &CertificateDer<'_>) -> bool {
    x509_parser::parse_x509_certificate(der).is_ok_and(|(_, certificate)| certificate.is_ca())
}

fn validity(der: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let validity = certificate.validity();
    Some((
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    ))
}
