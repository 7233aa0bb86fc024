//! Who comes in, who does not and what is said about it, with real handshakes over a pipe.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tidelog_model::{Identity, LocationName, Realm, Role};
use tidelog_pki::{Authority, Pair, Validity};
use tidelog_tls::{Files, HandshakeError, LoadError, Rejected, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex};

const DAY: Duration = Duration::from_hours(24);

fn now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64
}

fn valid() -> Validity {
    Validity::starting(now(), DAY)
}

fn at(name: &str) -> LocationName {
    LocationName::new(name).unwrap()
}

fn realm() -> Realm {
    Realm {
        trust_domain: "tidelog".into(),
        namespace: "shop".into(),
        log: "orders".into(),
    }
}

fn authority(name: &str) -> Authority {
    Authority::generate(name, valid()).unwrap()
}

/// Files of one location, and who it trusts for whom.
struct Place {
    folder: TempDir,
    files: Files,
}

impl Place {
    fn new(pair: &Pair, trusts: &[(&Authority, &[&str])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("trust")).unwrap();
        for (authority, locations) in trusts {
            for location in *locations {
                let file = path(&format!("trust/{location}.crt"));
                fs::write(file, &authority.pair().certificate).unwrap();
            }
        }
        let files = Files {
            certificate: path("tls.crt"),
            key: path("tls.key"),
            trust: path("trust"),
        };
        let place = Self { folder, files };
        place.put(pair);
        place
    }

    fn put(&self, pair: &Pair) {
        fs::write(&self.files.certificate, &pair.certificate).unwrap();
        fs::write(&self.files.key, &pair.key).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self, location: &str) -> Tls {
        Tls::load(self.files.clone(), realm(), at(location)).unwrap()
    }

    fn load_as(&self, identity: &Identity) -> Tls {
        Tls::load_as(self.files.clone(), identity.clone()).unwrap()
    }
}

/// Two locations that trust each other's authority.
struct Two {
    eu: Authority,
    us: Authority,
}

impl Two {
    fn new() -> Self {
        Self {
            eu: authority("eu"),
            us: authority("us"),
        }
    }

    fn trust(&self) -> [(&Authority, &'static [&'static str]); 2] {
        [(&self.eu, &["eu"]), (&self.us, &["us"])]
    }

    fn location(&self, name: &str) -> (Place, Tls) {
        let signer = if name == "eu" { &self.eu } else { &self.us };
        let pair = signer
            .issue(&realm().at(&at(name), Role::Location), valid())
            .unwrap();
        let place = Place::new(&pair, &self.trust());
        let tls = place.load(name);
        (place, tls)
    }

    /// Whoever shows this, signed by the authority of us.
    fn shows(&self, uris: &[&str], validity: Validity) -> Place {
        let uris: Vec<String> = uris.iter().map(|u| (*u).to_owned()).collect();
        let pair = self.us.issue_uris("us", &uris, validity).unwrap();
        Place::new(&pair, &self.trust())
    }
}

/// Dials from one to the other; what each side says about it.
async fn meet(
    dials: &Tls,
    accepts: &Tls,
    expected: &str,
) -> (Result<(), HandshakeError>, Result<Identity, HandshakeError>) {
    let (near, far) = duplex(64 * 1024);
    let accepting = async {
        let (stream, identity) = accepts.accept_peer(far).await?;
        greet(stream).await;
        Ok(identity)
    };
    let expected = at(expected);
    let dialling = async {
        let mut stream = dials.connect(near, &expected).await?;
        assert_eq!(stream.read_u8().await.unwrap(), b'!');
        Ok(())
    };
    tokio::join!(dialling, accepting)
}

/// As HTTP/2 does: the side that was dialled speaks first.
async fn greet<S: AsyncWrite + Unpin>(mut stream: S) -> S {
    stream.write_all(b"!").await.unwrap();
    stream.flush().await.unwrap();
    stream
}

fn rejected<T: std::fmt::Debug>(outcome: Result<T, HandshakeError>) -> Rejected {
    match outcome {
        Err(HandshakeError::Rejected(rejected)) => rejected,
        other => panic!("not rejected: {other:?}"),
    }
}

#[tokio::test]
async fn two_locations_that_trust_each_other_come_together() {
    let two = Two::new();
    let (_eu, eu) = two.location("eu");
    let (_us, us) = two.location("us");
    let (dialled, accepted) = meet(&us, &eu, "eu").await;
    dialled.unwrap();
    let expected = "spiffe://tidelog/tidelog/shop/orders/us";
    assert_eq!(accepted.unwrap().to_string(), expected);
}

#[tokio::test]
async fn an_authority_vouches_for_its_own_locations_only() {
    let two = Two::new();
    let (_us, us) = two.location("us");
    // Signed by the authority of us, for eu.
    let forged = two
        .us
        .issue(&realm().at(&at("eu"), Role::Location), valid())
        .unwrap();
    let forger = Place::new(&forged, &two.trust());
    let (dialled, accepted) = meet(&forger.load("eu"), &us, "us").await;
    assert!(matches!(rejected(accepted), Rejected::Chain { .. }));
    assert!(
        matches!(dialled, Err(HandshakeError::RejectedByPeer(_))),
        "{dialled:?}"
    );
    // As the side that is dialled it is not believed either.
    let (dialled, _) = meet(&us, &forger.load("eu"), "eu").await;
    assert!(matches!(rejected(dialled), Rejected::Chain { .. }));
}

#[tokio::test]
async fn a_location_that_nobody_may_vouch_for_stays_outside_and_the_way_in_is_said() {
    let two = Two::new();
    let (_us, us) = two.location("us");
    let ap = two
        .us
        .issue(&realm().at(&at("ap"), Role::Location), valid())
        .unwrap();
    let ap = Place::new(&ap, &two.trust());
    let (_, accepted) = meet(&ap.load("ap"), &us, "us").await;
    let why = rejected(accepted);
    assert_eq!(why, Rejected::NotVouched(at("ap")));
    assert!(why.to_string().contains("tls.trustBundles[].locations"));
}

#[tokio::test]
async fn who_dials_meets_whom_it_meant() {
    let two = Two::new();
    let (_eu, eu) = two.location("eu");
    let (_us, us) = two.location("us");
    // An address that leads to another location than the one that was meant.
    let (dialled, _) = meet(&eu, &us, "ap").await;
    let Rejected::NotExpected { found, expected } = rejected(dialled) else {
        panic!("another reason");
    };
    assert!(found.ends_with("/us") && expected.ends_with("ap"));
}

/// Shows its certificate to anybody, whoever that is.
mod careless {
    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
    use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
    use tokio::io::{AsyncReadExt as _, DuplexStream};
    use tokio_rustls::TlsConnector;

    #[derive(Debug)]
    struct Anybody;

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }

    /// Shakes hands and waits for the first word.
    pub async fn visit(stream: DuplexStream, place: Option<&super::Place>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody));
        let config = match place {
            None => config.with_no_client_auth(),
            Some(place) => config
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_file(&place.files.certificate).unwrap()],
                    PrivateKeyDer::from_pem_file(&place.files.key).unwrap(),
                )
                .unwrap(),
        };
        let name = ServerName::try_from("anybody").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        if let Ok(mut stream) = connector.connect(name, stream).await {
            let _ = stream.read_u8().await;
        }
    }
}

/// What is said to whoever shows a certificate.
async fn visited(host: &Tls, place: Option<&Place>) -> Result<Identity, HandshakeError> {
    let (near, far) = duplex(64 * 1024);
    let ((), accepted) = tokio::join!(careless::visit(near, place), async {
        host.accept_peer(far).await.map(|(_, identity)| identity)
    });
    accepted
}

#[tokio::test]
async fn another_log_namespace_domain_or_role_is_not_a_peer() {
    let two = Two::new();
    let (_eu, eu) = two.location("eu");
    for (uri, kind) in [
        ("spiffe://tidelog/tidelog/shop/audit/us", "realm"),
        ("spiffe://tidelog/tidelog/test/orders/us", "realm"),
        ("spiffe://example/tidelog/shop/orders/us", "realm"),
        ("spiffe://tidelog/tidelog/shop/orders/us/admin", "guest"),
        ("spiffe://tidelog/tidelog/shop/orders/us/client", "guest"),
        ("spiffe://tidelog/tidelog/shop/orders/eu", "guest"),
    ] {
        let place = two.shows(&[uri], valid());
        match (rejected(visited(&eu, Some(&place)).await), kind) {
            (Rejected::Realm { .. }, "realm") | (Rejected::NotExpected { .. }, "guest") => {}
            (other, _) => panic!("{uri}: {other}"),
        }
    }
}

#[tokio::test]
async fn what_has_expired_or_does_not_count_yet_stays_outside() {
    let two = Two::new();
    let (_eu, eu) = two.location("eu");
    let us = "spiffe://tidelog/tidelog/shop/orders/us";
    let old = Validity {
        not_before: now() - 7200,
        not_after: now() - 60,
    };
    let early = Validity {
        not_before: now() + 600,
        not_after: now() + 7200,
    };
    for (validity, word) in [(old, "Expired"), (early, "NotValidYet")] {
        let place = two.shows(&[us], validity);
        let (_, accepted) = meet(&place.load("us"), &eu, "eu").await;
        let why = rejected(accepted).to_string();
        assert!(why.contains(word), "{why}");
    }
}

#[tokio::test]
async fn own_people_come_in_by_their_role() {
    let two = Two::new();
    let (_eu, eu) = two.location("eu");
    let person = |role| {
        let identity = realm().at(&at("eu"), role);
        let pair = two.eu.issue(&identity, valid()).unwrap();
        let place = Place::new(&pair, &two.trust());
        place.load_as(&identity)
    };
    for (role, roles, good) in [
        (Role::Admin, &[Role::Admin][..], true),
        (Role::Client, &[Role::Admin], false),
        (Role::Client, &[Role::Client, Role::Location], true),
        (Role::Location, &[Role::Client, Role::Location], true),
        (Role::Location, &[Role::Admin], false),
    ] {
        let (near, far) = duplex(64 * 1024);
        let person = person(role);
        let meant = at("eu");
        let (connected, accepted) = tokio::join!(person.connect(near, &meant), async {
            let (stream, _) = eu.accept_own(far, roles).await?;
            Ok::<_, HandshakeError>(greet(stream).await)
        });
        assert_eq!(accepted.is_ok(), good, "{role:?} among {roles:?}");
        assert_eq!(connected.is_ok(), good, "{role:?} among {roles:?}");
    }
    // An administrator of us is nobody here.
    let identity = realm().at(&at("us"), Role::Admin);
    let pair = two.us.issue(&identity, valid()).unwrap();
    let stranger = Place::new(&pair, &two.trust()).load_as(&identity);
    let (near, far) = duplex(64 * 1024);
    let meant = at("eu");
    let (_, accepted) = tokio::join!(
        stranger.connect(near, &meant),
        eu.accept_own(far, &[Role::Admin])
    );
    assert!(matches!(rejected(accepted), Rejected::NotExpected { .. }));
}

#[tokio::test]
async fn a_rotation_takes_effect_for_the_next_connection_and_leaves_the_open_one_alone() {
    let two = Two::new();
    let (host, eu) = two.location("eu");
    let (place, us) = two.location("us");
    let (near, far) = duplex(64 * 1024);
    let meant = at("eu");
    let (near, mut far) = tokio::join!(us.connect(near, &meant), async {
        greet(eu.accept_peer(far).await.unwrap().0).await
    });
    let mut near = near.unwrap();

    // A new authority of us, told to eu by a file that holds both; then a new certificate.
    let next = authority("us, the next");
    let both = format!("{}{}", two.us.pair().certificate, next.pair().certificate);
    let identity = realm().at(&at("us"), Role::Location);
    let pair = next.issue(&identity, valid()).unwrap();
    place.put(&pair);
    assert_eq!(us.reload(), Ok(true));
    let (_, accepted) = meet(&us, &eu, "eu").await;
    assert!(
        matches!(rejected(accepted), Rejected::Chain { .. }),
        "eu does not know the next one"
    );
    fs::write(host.path("trust/us.crt"), both).unwrap();
    assert_eq!(eu.reload(), Ok(true));
    assert_eq!(eu.reload(), Ok(false), "nothing is new");
    let (dialled, accepted) = meet(&us, &eu, "eu").await;
    dialled.unwrap();
    accepted.unwrap();
    assert_eq!(us.certificates().borrow().rotations, 1);

    near.write_all(b"still here").await.unwrap();
    near.flush().await.unwrap();
    let mut read = [0; 10];
    far.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"still here");
}

#[tokio::test]
async fn files_that_do_not_fit_together_leave_in_force_what_was() {
    let two = Two::new();
    let (_eu, eu) = two.location("eu");
    let (place, us) = two.location("us");
    let identity = realm().at(&at("us"), Role::Location);
    let next = two.us.issue(&identity, valid()).unwrap();
    // In the middle of a rotation: the certificate is new, the key is old.
    fs::write(place.path("tls.crt"), &next.certificate).unwrap();
    assert!(matches!(us.reload(), Err(LoadError::Mismatch { .. })));
    assert!(us.certificates().borrow().error.is_some());
    let (dialled, accepted) = meet(&us, &eu, "eu").await;
    dialled.unwrap();
    accepted.unwrap();
    fs::write(place.path("tls.key"), &next.key).unwrap();
    assert_eq!(us.reload(), Ok(true));
    assert_eq!(us.certificates().borrow().error, None);
}

#[test]
fn wrong_files_are_told_with_their_names() {
    let two = Two::new();
    let (place, _) = two.location("us");
    let why = |text: &str| {
        let error = Tls::load(place.files.clone(), realm(), at("us")).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    };
    let crt = place.path("tls.crt");
    let good = fs::read(&crt).unwrap();
    fs::write(&crt, "nothing").unwrap();
    why("tls.crt holds no certificate in PEM form");
    fs::remove_file(&crt).unwrap();
    why("cannot read");
    fs::write(&crt, vec![b'x'; 2 << 20]).unwrap();
    why("more than 1048576");
    fs::write(&crt, &good).unwrap();
    fs::write(place.path("trust/eu.crt"), "").unwrap();
    why("eu.crt holds no certificate");
    fs::write(place.path("tls.key"), "").unwrap();
    why("tls.key holds no private key");
    let two_names = two.shows(
        &[
            "spiffe://tidelog/tidelog/shop/orders/us",
            "spiffe://tidelog/tidelog/shop/orders/eu",
        ],
        valid(),
    );
    let error = Tls::load(two_names.files.clone(), realm(), at("us")).unwrap_err();
    assert!(error.to_string().contains("2 URIs"), "{error}");
    let other = Tls::load(place_of(&two, "eu").files.clone(), realm(), at("us")).unwrap_err();
    assert!(matches!(other, LoadError::Stranger { .. }), "{other}");
}

#[test]
fn a_key_without_line_breaks_is_refused_and_never_shown() {
    let two = Two::new();
    let (place, us) = two.location("us");
    let key = fs::read_to_string(place.path("tls.key")).unwrap();
    let one_line = key.replace('\n', "");
    let secret: Vec<String> = one_line.bytes().map(|b| b.to_string()).collect();
    for file in ["tls.key", "tls.crt", "trust/eu.crt"] {
        let before = fs::read(place.path(file)).unwrap();
        fs::write(place.path(file), &one_line).unwrap();
        let error = us.reload().unwrap_err().to_string();
        assert!(!error.contains(&one_line[40..60]), "{error}");
        assert!(!error.contains(&secret[40..50].join(", ")), "{error}");
        fs::write(place.path(file), before).unwrap();
    }
    let shown = format!("{us:?}");
    assert!(!shown.contains(&one_line[40..60]) && !shown.contains(&secret[40..50].join(", ")));
}

#[test]
fn only_an_authority_may_vouch() {
    let two = Two::new();
    let (place, us) = two.location("us");
    let chain = format!(
        "{}{}",
        fs::read_to_string(place.path("tls.crt")).unwrap(),
        two.us.pair().certificate
    );
    fs::write(place.path("trust/us.crt"), chain).unwrap();
    let error = us.reload().unwrap_err().to_string();
    assert!(
        error.contains("us.crt") && error.contains("CA:TRUE"),
        "{error}"
    );
}

fn place_of(two: &Two, name: &str) -> Place {
    two.location(name).0
}

#[tokio::test]
async fn nobody_comes_in_without_a_certificate_or_without_tls() {
    let two = Two::new();
    let (_eu, eu) = two.location("eu");
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let accepted = eu.accept_peer(far).await;
    assert!(
        matches!(accepted, Err(HandshakeError::Failed(_))),
        "{:?}",
        accepted.err()
    );
    let why = rejected(visited(&eu, None).await);
    assert!(why.to_string().contains("shows none"), "{why}");
}
