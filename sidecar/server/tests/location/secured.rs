//! Locations that speak TLS to each other over real sockets.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tidelog_config::Config;
use tidelog_model::{Identity, LocationName, Realm, Role};
use tidelog_pki::{Authority, Pair, Validity};
use tidelog_proto::v1;
use tidelog_proto::v1::EdgeState;
use tidelog_proto::v1::admin_service_client::AdminServiceClient;
use tidelog_proto::v1::replication_service_client::ReplicationServiceClient;
use tidelog_proto::{ApiError, ErrorReason};
use tidelog_server::RunningLocation;
use tidelog_tls::{Files, Tls};
use tonic::transport::{Channel, Endpoint};

use crate::support::{config_of, log_client, request, serving, until};

fn valid() -> Validity {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    Validity::starting(now.as_secs() as i64, Duration::from_hours(24))
}

pub fn identity(location: &str, role: Role) -> Identity {
    Realm {
        trust_domain: "tidelog".into(),
        namespace: "shop".into(),
        log: "orders".into(),
    }
    .at(&LocationName::new(location).unwrap(), role)
}

/// Everybody's authorities, and a folder for each.
pub struct World {
    root: TempDir,
    authorities: Vec<(&'static str, Authority)>,
}

impl World {
    /// Each of these locations has an authority of its own, and trusts those of all.
    pub fn new(locations: &[&'static str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let authorities: Vec<_> = locations
            .iter()
            .map(|name| (*name, Authority::generate(name, valid()).unwrap()))
            .collect();
        let files = Self { root, authorities };
        for name in locations {
            fs::create_dir_all(files.path(name, "trust")).unwrap();
            files.put(name, &files.issue(name, &identity(name, Role::Location)));
            for (other, _) in &files.authorities {
                files.trust(name, other);
            }
        }
        files
    }

    pub fn path(&self, location: &str, file: &str) -> std::path::PathBuf {
        self.root.path().join(location).join(file)
    }

    pub fn authority(&self, name: &str) -> &Authority {
        let found = self.authorities.iter().find(|(n, _)| *n == name);
        &found.unwrap().1
    }

    pub fn issue(&self, by: &str, identity: &Identity) -> Pair {
        self.authority(by).issue(identity, valid()).unwrap()
    }

    fn put(&self, location: &str, pair: &Pair) {
        fs::write(self.path(location, "tls.key"), &pair.key).unwrap();
        fs::write(self.path(location, "tls.crt"), &pair.certificate).unwrap();
    }

    fn trust(&self, location: &str, other: &str) {
        let pem = &self.authority(other).pair().certificate;
        fs::write(self.path(location, &format!("trust/{other}.crt")), pem).unwrap();
    }

    pub fn config(&self, location: &str, more: &str) -> Config {
        let at = |file| self.path(location, file).display().to_string();
        let tls = format!(
            "tls: {{certificateFile: {}, keyFile: {}, trustDirectory: {}, namespace: shop, reload: 100ms}}",
            at("tls.crt"),
            at("tls.key"),
            at("trust")
        );
        config_of(
            location,
            &format!("{tls}\nreplication: {{heartbeat: 100ms, backoffMax: 200ms}}\n{more}"),
        )
    }

    /// Somebody of a location, as the command line is.
    pub fn person(&self, location: &str, role: Role) -> Tls {
        let identity = identity(location, role);
        let pair = self.issue(location, &identity);
        let folder = self.path(location, &format!("{role:?}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("tls.crt"), &pair.certificate).unwrap();
        fs::write(folder.join("tls.key"), &pair.key).unwrap();
        let files = Files {
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
            trust: self.path(location, "trust"),
        };
        Tls::load_as(files, identity).unwrap()
    }
}

const OUT: &str = "edges: {outgoing: [{target: us, dial: Target, behind: [eu]}]}";

fn dialled(endpoint: &str) -> String {
    format!(
        "edges: {{incoming: [{{source: eu, dial: Target, endpoint: \"{endpoint}\", behind: [eu]}}]}}"
    )
}

fn endpoint(location: &RunningLocation) -> String {
    location.addresses().replication.to_string()
}

pub async fn append(location: &RunningLocation) {
    let mut client = log_client(location).await;
    client.append(request(1, 10)).await.unwrap();
}

fn streaming(status: &v1::LocationStatus) -> bool {
    status.edges[0].state() == EdgeState::Streaming
}

fn rejected(status: &v1::LocationStatus) -> bool {
    status.edges[0].state() == EdgeState::Rejected
        && status.edges[0].reason == "CertificateRejected"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_flow_between_locations_that_trust_each_other_and_through_a_rotation() {
    let files = World::new(&["eu", "us"]);
    let eu = serving(files.config("eu", OUT)).await;
    let us = serving(files.config("us", &dialled(&endpoint(&eu)))).await;
    append(&eu).await;
    until(&us, "the event", |s| s.head == 1 && streaming(s)).await;

    // Both certificates are replaced while events flow; the stream goes on, and the next connection shows the new ones.
    let before = us.location_status().edges[0].clone();
    for name in ["eu", "us"] {
        files.put(name, &files.issue(name, &identity(name, Role::Location)));
    }
    for location in [&eu, &us] {
        let status = until(location, "rotated", |s| {
            s.certificates.as_ref().unwrap().rotations == 1
        })
        .await;
        let certificates = status.certificates.unwrap();
        assert_eq!(certificates.error, "");
        assert!(certificates.identity.ends_with(&status.location));
    }
    append(&eu).await;
    let after = until(&us, "the next event", |s| s.head == 2).await;
    assert_eq!(after.edges[0].last_transition, before.last_transition);
    us.shut_down().await;
    let us = serving(files.config("us", &dialled(&endpoint(&eu)))).await;
    until(&us, "both again", |s| s.head == 2 && streaming(s)).await;
    us.shut_down().await;
    eu.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_does_not_count_is_told_on_both_sides_and_mended_while_running() {
    let files = World::new(&["eu", "us"]);
    // eu does not know us: who dials hears of it.
    fs::remove_file(files.path("eu", "trust/us.crt")).unwrap();
    let eu = serving(files.config("eu", OUT)).await;
    let us = serving(files.config("us", &dialled(&endpoint(&eu)))).await;
    let status = until(&us, "rejected there", rejected).await;
    let said = &status.edges[0].last_error;
    assert!(
        said.contains("does not accept this location's certificate"),
        "{said}"
    );
    files.trust("eu", "us");
    until(&us, "streaming", streaming).await;
    us.shut_down().await;

    // us does not know eu.
    fs::remove_file(files.path("us", "trust/eu.crt")).unwrap();
    let us = serving(files.config("us", &dialled(&endpoint(&eu)))).await;
    let status = until(&us, "rejected here", rejected).await;
    let said = &status.edges[0].last_error;
    assert!(
        said.contains("no authority may vouch for location eu"),
        "{said}"
    );
    files.trust("us", "eu");
    until(&us, "streaming", streaming).await;
    us.shut_down().await;
    eu.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_speaks_for_itself_only_and_over_an_edge_only() {
    let files = World::new(&["eu", "us", "ap"]);
    let eu = serving(files.config("eu", OUT)).await;
    // ap is known, but has no edge here.
    let more = dialled(&endpoint(&eu));
    let ap = serving(files.config("ap", &more)).await;
    let status = until(&ap, "refused", |s| s.edges[0].reason == "EdgeNotAllowed").await;
    assert_eq!(status.head, 0);
    ap.shut_down().await;

    // With the certificate of ap, calling itself us.
    let ap = files.person("ap", Role::Location);
    let channel = channel(ap, eu.addresses().replication).await.unwrap();
    let mut client = ReplicationServiceClient::new(channel);
    let open = v1::Open {
        log: "orders".to_owned(),
        source: "eu".to_owned(),
        target: "us".to_owned(),
        stream_id: 1,
        hash: vec![0; 32].into(),
        version_vector: Some(v1::VectorTime::default()),
        covered_vector: Some(v1::VectorTime::default()),
        target_lineage: vec![v1::LineageEntry {
            incarnation: 1,
            base: 0,
        }],
        ..v1::Open::default()
    };
    let open = v1::ReplicationMessage {
        message: Some(v1::replication_message::Message::Open(open)),
        ..v1::ReplicationMessage::default()
    };
    let answers = client.pull(tokio_stream::once(open)).await.unwrap();
    let refused = answers.into_inner().message().await.unwrap_err();
    let reason = ApiError::from_status(&refused).unwrap().reason;
    assert_eq!(reason, ErrorReason::LocationNotVouched, "{refused}");
    // Nor does it start with the certificate of another.
    files.put("us", &files.issue("ap", &identity("ap", Role::Location)));
    let refused = RunningLocation::start(files.config("us", &more)).await;
    let refused = refused.err().unwrap();
    assert!(
        refused.to_string().contains("/orders/ap, and this is"),
        "{refused}"
    );
    eu.shut_down().await;
}

/// A connection to eu, as somebody.
pub async fn channel(person: Tls, address: SocketAddr) -> Result<Channel, String> {
    let eu = LocationName::new("eu").unwrap();
    let connector = tower::service_fn(move |_| {
        let (person, eu) = (person.clone(), eu.clone());
        async move {
            let socket = tokio::net::TcpStream::connect(address).await?;
            let stream = person.connect(socket, &eu).await;
            let stream = stream.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect_with_connector(connector).await;
    channel.map_err(|e| format!("{e:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_port_is_for_administrators_of_the_location() {
    let files = World::new(&["eu", "us"]);
    let eu = serving(files.config("eu", OUT)).await;
    let address = eu.addresses().admin;
    let call = async |person: Tls| {
        let mut client = AdminServiceClient::new(channel(person, address).await?);
        let answer = client.get_status(v1::GetStatusRequest::default()).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|e| e.to_string())
    };
    let status = call(files.person("eu", Role::Admin)).await.unwrap();
    assert_eq!(status.status.unwrap().location, "eu");
    for (location, role) in [
        ("eu", Role::Client),
        ("eu", Role::Location),
        ("us", Role::Admin),
        ("us", Role::Location),
    ] {
        let refused = call(files.person(location, role)).await;
        assert!(refused.is_err(), "{role:?} of {location} came in");
    }
    // In plain text nobody comes in at all.
    let plain = AdminServiceClient::connect(format!("http://{address}")).await;
    if let Ok(mut client) = plain {
        let answer = client.get_status(v1::GetStatusRequest::default()).await;
        assert!(answer.is_err());
    }
    eu.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_ends_soon_or_cannot_be_replaced_is_a_warning_and_a_metric() {
    let files = World::new(&["eu", "us"]);
    let eu = serving(files.config("eu", OUT)).await;
    assert_eq!(eu.location_status().warnings, [""; 0]);
    let text = metrics(&eu).await;
    let value = |name: &str| -> i64 {
        let name = format!("tidelog_certificate_{name}_timestamp_seconds{{");
        let line = text.lines().find_map(|l| l.strip_prefix(&name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let certificates = eu.location_status().certificates.unwrap();
    let (begin, end) = (
        certificates.not_before.unwrap(),
        certificates.not_after.unwrap(),
    );
    assert_eq!(value("expiry"), end.seconds);
    // Of a day and an hour.
    assert_eq!(end.seconds - begin.seconds, 25 * 3600);
    assert_eq!(end.seconds - value("late"), 25 * 3600 / 6);

    let soon = Validity {
        not_before: valid().not_before,
        not_after: valid().not_before + 3700,
    };
    let pair = files
        .authority("eu")
        .issue(&identity("eu", Role::Location), soon)
        .unwrap();
    files.put("eu", &pair);
    let status = until(&eu, "a warning", |s| !s.warnings.is_empty()).await;
    assert!(
        status.warnings[0].starts_with("the certificate expires in "),
        "{:?}",
        status.warnings
    );
    fs::write(files.path("eu", "tls.key"), "nothing").unwrap();
    let status = until(&eu, "another", |s| s.warnings.len() == 2).await;
    assert!(
        status.warnings[1].contains("tls.key holds no private key"),
        "{:?}",
        status.warnings
    );
    // Appends do not mind.
    append(&eu).await;
    eu.shut_down().await;
}

async fn metrics(location: &RunningLocation) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = location.addresses().metrics;
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text
}
