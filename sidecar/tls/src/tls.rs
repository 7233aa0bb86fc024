//! What is in force, and both ends of a handshake.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ServerConfig, version};
use thiserror::Error;
use tidelog_model::{Identity, LocationName, Realm, Role};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::begun::Begun;
use crate::files::{Files, LoadError, Material, Pems, nameless, read, understand};
use crate::verifier::Verifier;
use crate::vouch::{Guest, Rejected, identity_of};

/// The application protocol: HTTP/2.
const ALPN: &[u8] = b"h2";

/// What a location's certificates are worth, as of the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// When the own certificate begins to count, seconds since the Unix epoch.
    pub not_before: i64,
    /// From when on it does not count any more.
    pub not_after: i64,
    /// How often what is in force has changed since the start.
    pub rotations: u64,
    /// Why the newest files are not in force.
    pub error: Option<LoadError>,
}

/// Why two sides did not come together.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The other side's certificate does not count here.
    #[error("{0}")]
    Rejected(Rejected),
    /// The own certificate does not count there.
    #[error(
        "the other side does not accept this location's certificate ({0}): does its trust bundle for this location hold the authority that signed it?"
    )]
    RejectedByPeer(String),
    /// Anything else.
    #[error("no TLS: {0}")]
    Failed(io::Error),
}

/// Certificates of one location, in force. Cloning it is cheap; all clones see a rotation.
#[derive(Debug, Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Where to look again; nowhere for what was given.
    files: Option<Files>,
    owner: Identity,
    provider: Arc<CryptoProvider>,
    material: RwLock<Arc<Material>>,
    certificates: watch::Sender<Certificates>,
}

impl Tls {
    /// Reads the files of a location of a log.
    pub fn load(files: Files, realm: Realm, location: LocationName) -> Result<Self, LoadError> {
        Self::load_as(files, realm.at(&location, Role::Location))
    }

    /// Reads the files of somebody in another role: an administrator, an application's sidecar.
    pub fn load_as(files: Files, owner: Identity) -> Result<Self, LoadError> {
        let pems = read(&files)?;
        Self::new(Some(files), pems, owner)
    }

    /// What is not in files; there is nothing to be read again.
    pub fn of(pems: Pems, owner: Identity) -> Result<Self, LoadError> {
        Self::new(None, pems, owner)
    }

    fn new(files: Option<Files>, pems: Pems, owner: Identity) -> Result<Self, LoadError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let names = files.clone().unwrap_or_else(nameless);
        let material = understand(&names, &owner, pems, &provider)?;
        let (certificates, _) = watch::channel(Certificates {
            not_before: material.not_before,
            not_after: material.not_after,
            rotations: 0,
            error: None,
        });
        Ok(Self {
            inner: Arc::new(Inner {
                files,
                owner,
                provider,
                material: RwLock::new(Arc::new(material)),
                certificates,
            }),
        })
    }

    /// What the certificates are worth; changes with a rotation.
    pub fn certificates(&self) -> watch::Receiver<Certificates> {
        self.inner.certificates.subscribe()
    }

    /// Whose certificates these are.
    pub fn owner(&self) -> &Identity {
        &self.inner.owner
    }

    /// Reads the files again. `true`: something else is in force now. What cannot be used leaves in force what was, and is told.
    pub fn reload(&self) -> Result<bool, LoadError> {
        let outcome = self.try_reload();
        self.inner.certificates.send_if_modified(|now| {
            let error = outcome.as_ref().err().cloned();
            let rotated = matches!(outcome, Ok(true));
            let changed = rotated || now.error != error;
            if rotated {
                let material = self.material();
                now.not_before = material.not_before;
                now.not_after = material.not_after;
                now.rotations += 1;
            }
            now.error = error;
            changed
        });
        outcome
    }

    fn try_reload(&self) -> Result<bool, LoadError> {
        let inner = &self.inner;
        let Some(files) = &inner.files else {
            return Ok(false);
        };
        let raw = read(files)?;
        if raw == self.material().raw {
            return Ok(false);
        }
        let material = understand(files, &inner.owner, raw, &inner.provider)?;
        *inner
            .material
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(material);
        Ok(true)
    }

    /// Looks at the files again and again; runs until it is dropped.
    pub async fn follow(&self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let tls = self.clone();
            // A file system may hang.
            let Ok(outcome) = tokio::task::spawn_blocking(move || {
                let before = tls.certificates().borrow().error.clone();
                (before, tls.reload())
            })
            .await
            else {
                continue;
            };
            match outcome {
                (_, Ok(true)) => {
                    let until = self.inner.certificates.borrow().not_after;
                    tracing::info!(identity = %self.inner.owner, valid_until = until, "certificates were rotated");
                }
                (before, Err(error)) if before.as_ref() != Some(&error) => {
                    tracing::warn!(%error, "new certificates cannot be used, going on with the old ones");
                }
                _ => {}
            }
        }
    }

    /// Takes over a connection from another location. Cancel safe: dropping it drops the connection.
    pub async fn accept_peer<S>(
        &self,
        stream: S,
    ) -> Result<(server::TlsStream<S>, Identity), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.accept(stream, Guest::Peer).await
    }

    /// Takes over a connection from somebody of the own location, in one of these roles.
    pub async fn accept_own<S>(
        &self,
        stream: S,
        roles: &[Role],
    ) -> Result<(server::TlsStream<S>, Identity), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let guest = Guest::Own(self.inner.owner.location.clone(), roles.to_vec());
        self.accept(stream, guest).await
    }

    async fn accept<S>(
        &self,
        stream: S,
        guest: Guest,
    ) -> Result<(server::TlsStream<S>, Identity), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.server_config(guest).map_err(no_config)?;
        let stream = TlsAcceptor::from(Arc::new(config))
            .accept(stream)
            .await
            .map_err(HandshakeError::from_io)?;
        let certificates = stream.get_ref().1.peer_certificates();
        let identity = certificates
            .and_then(<[_]>::first)
            .ok_or_else(|| HandshakeError::Rejected(Rejected::Identity("nobody".to_owned())))
            .and_then(|der| identity_of(der).map_err(HandshakeError::Rejected))?;
        Ok((stream, identity))
    }

    /// Speaks to a location; it has to be that one. Returns when the other side has spoken: in TLS 1.3 only its first word tells that it has accepted
    /// the certificate. So what is spoken has to let the side that is dialled begin, as HTTP/2 does. Cancel safe: dropping it drops the connection.
    pub async fn connect<S>(
        &self,
        stream: S,
        to: &LocationName,
    ) -> Result<Begun<client::TlsStream<S>>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.client_config(to).map_err(no_config)?;
        // Not compared with anything: the identity is in the URI.
        let name = ServerName::try_from("location.tidelog.internal")
            .map_err(|e| HandshakeError::Failed(io::Error::other(e)))?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(HandshakeError::from_io)?;
        Begun::new(stream).await.map_err(HandshakeError::from_io)
    }

    fn material(&self) -> Arc<Material> {
        self.inner
            .material
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn verifier(&self, material: Arc<Material>, guest: Guest) -> Arc<Verifier> {
        Arc::new(Verifier {
            material,
            realm: self.inner.owner.realm.clone(),
            own: self.inner.owner.location.clone(),
            guest,
            algorithms: self.inner.provider.signature_verification_algorithms,
        })
    }

    fn server_config(&self, guest: Guest) -> Result<ServerConfig, rustls::Error> {
        let material = self.material();
        let own = SingleCertAndKey::from(material.certified.clone());
        let mut config = ServerConfig::builder_with_provider(self.inner.provider.clone())
            .with_protocol_versions(&[&version::TLS13])?
            .with_client_cert_verifier(self.verifier(material, guest))
            .with_cert_resolver(Arc::new(own));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // No resumption: whoever comes back shows the certificate again, so what is not trusted any more does not come in.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn client_config(&self, to: &LocationName) -> Result<ClientConfig, rustls::Error> {
        let material = self.material();
        let own = SingleCertAndKey::from(material.certified.clone());
        let guest = Guest::Location(to.clone());
        let mut config = ClientConfig::builder_with_provider(self.inner.provider.clone())
            .with_protocol_versions(&[&version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(material, guest))
            .with_client_cert_resolver(Arc::new(own));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn no_config(error: rustls::Error) -> HandshakeError {
    HandshakeError::Failed(io::Error::other(error))
}

impl HandshakeError {
    /// What an error of a connection means.
    fn from_io(error: io::Error) -> Self {
        let Some(cause) = error
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<rustls::Error>())
        else {
            return Self::Failed(error);
        };
        match cause {
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
                match other.0.downcast_ref::<Rejected>() {
                    Some(rejected) => Self::Rejected(rejected.clone()),
                    None => Self::Failed(error),
                }
            }
            rustls::Error::AlertReceived(alert) => Self::RejectedByPeer(format!("{alert:?}")),
            rustls::Error::NoCertificatesPresented => {
                Self::Rejected(Rejected::Identity("nobody: it shows none".to_owned()))
            }
            _ => Self::Failed(error),
        }
    }
}
