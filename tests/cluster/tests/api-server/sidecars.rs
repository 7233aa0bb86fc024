//! The operator and real sidecars: what they have to record, what they are told, and what is reported of them. Each pod is an object on the API server and a
//! sidecar on a loopback address of its own; the test is the kubelet.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidelog_cluster_tests::Kubectl;
use tidelog_config::{Config, Tls};
use tidelog_pki::Pair;
use tidelog_proto::v1;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tidelog_server::surroundings::Surroundings;
use tidelog_server::{LocationOptions, RunningLocation};
use tidelog_store::{InstanceId, LogStore, MemoryStore};
use tokio::runtime::Runtime;

use crate::definitions::namespace;
use crate::operator::Operator;
use crate::reconcile::{appears, apply, condition, link, rest, until};

/// The address of a location on this machine; each test has a network of its own.
fn address(network: u8, location: &str) -> String {
    let host = if location == "eu" { 1 } else { 2 };
    format!("127.0.{network}.{host}")
}

pub fn log(network: u8) -> String {
    let location = |name| {
        let host = address(network, name);
        format!("{{name: {name}, endpoint: {{host: {host}}}}}")
    };
    let (eu, us) = (location("eu"), location("us"));
    format!(
        "apiVersion: tidelog.dev/v1alpha1\nkind: EventLog\nmetadata: {{name: orders}}\nspec:\n  application: {{name: shop, version: '1.3'}}\n  tls: {{insecure: true}}\n  locations: [{eu}, {us}]\n"
    )
}

fn now_micros() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_micros()).unwrap()
}

/// What a node has: folders of pods, and databases that outlive them.
pub struct Node<'a> {
    kubectl: &'a Kubectl,
    network: u8,
    runtime: Runtime,
    folder: TempDir,
    databases: HashMap<String, Arc<MemoryStore>>,
    certificates: HashMap<String, Pair>,
    pods: u32,
}

/// A pod that runs.
pub struct Pod {
    name: String,
    sidecar: RunningLocation,
}

impl Pod {
    /// What runs in it.
    pub fn sidecar(&self) -> &RunningLocation {
        &self.sidecar
    }
}

impl<'a> Node<'a> {
    pub fn new(kubectl: &'a Kubectl, network: u8) -> Self {
        // The admission of pods asks for it; without a controller manager nobody creates it.
        let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\n";
        apply(kubectl, account);
        Self {
            kubectl,
            network,
            runtime: Runtime::new().unwrap(),
            folder: tempfile::tempdir().unwrap(),
            databases: HashMap::new(),
            certificates: HashMap::new(),
            pods: 0,
        }
    }

    /// Gives the pods of a location a certificate.
    pub fn certify(&mut self, location: &str, pair: Pair) {
        self.certificates.insert(location.to_owned(), pair);
    }

    /// What is mounted of certificates and of trust in others.
    fn mount_certificates(&self, location: &str, own: &Path, tls: &mut Tls) {
        let pair = &self.certificates[location];
        tls.certificate_file = own.join("tls.crt");
        tls.key_file = own.join("tls.key");
        tls.trust_directory = own.join("trust");
        fs::write(&tls.certificate_file, &pair.certificate).unwrap();
        fs::write(&tls.key_file, &pair.key).unwrap();
        fs::create_dir_all(&tls.trust_directory).unwrap();
        let trust = appears(self.kubectl, &format!("configmap/orders-{location}-trust"));
        for (name, text) in trust["data"].as_object().unwrap() {
            fs::write(tls.trust_directory.join(name), text.as_str().unwrap()).unwrap();
        }
    }

    fn mounted(&self, location: &str) -> PathBuf {
        self.folder.path().join(format!("{location}-witness.json"))
    }

    /// Starts a pod of a location as its StatefulSet describes it.
    pub fn start(&mut self, location: &str) -> Pod {
        let ip = address(self.network, location);
        let set = appears(self.kubectl, &format!("statefulset/orders-{location}"));
        self.pods += 1;
        let name = format!("orders-{location}-{}", self.pods);
        let mut pod = set["spec"]["template"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!(name);
        apply(self.kubectl, &pod.to_string());

        // What is mounted: the configuration as it is, and the witness, if there is one by now.
        let config = until("a configuration with its edges", || {
            let map = self
                .kubectl
                .get(&format!("configmap/orders-{location}-config"));
            let text = map.ok()?["data"]["sidecar.yaml"].as_str()?.to_owned();
            text.contains("incoming").then_some(text)
        });
        let mut config = Config::from_yaml(&config, "sidecar.yaml").unwrap();
        if let Some(record) = self.witness(location) {
            fs::write(self.mounted(location), record).unwrap();
        }
        let own = self.folder.path().join(&name);
        fs::create_dir_all(&own).unwrap();
        if let Some(witness) = &mut config.witness {
            witness.file = self.mounted(location);
            if let Some(operator) = &mut witness.operator {
                operator.folder.clone_from(&own);
            }
        }
        if let Some(tls) = &mut config.tls {
            self.mount_certificates(location, &own, tls);
        }
        let at = |port: u16| -> SocketAddr { format!("{ip}:{port}").parse().unwrap() };
        config.listen.socket = None;
        config.listen.api = at(7440);
        config.listen.metrics = at(7441);
        config.listen.health = at(7442);
        let database = self
            .databases
            .entry(location.to_owned())
            .or_insert_with(|| {
                let store = MemoryStore::new(Arc::new(now_micros));
                Arc::new(store.with_instance(InstanceId {
                    system: "memory".to_owned(),
                    timeline: "1".to_owned(),
                    started: Some("once".to_owned()),
                }))
            });
        config.listen.replication = at(7443);
        config.listen.admin = at(7444);
        config.listen.clients = Some(at(7445));
        let on = Surroundings {
            store: Some(database.clone() as Arc<dyn LogStore>),
            ..Surroundings::default()
        };
        let starting = RunningLocation::start_on(config, LocationOptions::default(), on);
        let sidecar = self.runtime.block_on(Box::pin(starting)).unwrap();
        self.tell(
            &name,
            json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}),
        );
        Pod { name, sidecar }
    }

    /// What a kubelet tells of a pod.
    fn tell(&self, pod: &str, status: Value) {
        let patch = json!({"status": status}).to_string();
        let arguments = [
            "patch",
            "pod",
            pod,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        self.kubectl.run(&arguments).unwrap().done().unwrap();
    }

    /// Ends a pod in order.
    pub fn stop(&self, pod: Pod) {
        self.runtime.block_on(pod.sidecar.shut_down());
        let arguments = ["delete", "pod", &pod.name, "--force", "--grace-period=0"];
        self.kubectl.run(&arguments).unwrap().done().unwrap();
    }

    /// What is recorded of a location.
    pub fn witness(&self, location: &str) -> Option<String> {
        let map = self
            .kubectl
            .get(&format!("configmap/orders-{location}-witness"));
        Some(map.ok()?["data"]["witness.json"].as_str()?.to_owned())
    }

    pub fn append(&self, location: &str) {
        let ip = address(self.network, location);
        self.runtime.block_on(async {
            let client = LogServiceClient::connect(format!("http://{ip}:7440"));
            let event = v1::NewEvent {
                r#type: "Placed".to_owned(),
                ..v1::NewEvent::default()
            };
            let request = v1::AppendRequest {
                events: vec![event],
                ..v1::AppendRequest::default()
            };
            client.await.unwrap().append(request).await.unwrap();
        });
    }
}

/// A condition that is there.
type Said = Option<(String, String)>;

fn is(said: &Said, status: &str, reason: &str) -> bool {
    let said = said
        .as_ref()
        .map(|(status, reason)| (status.as_str(), reason.as_str()));
    said == Some((status, reason))
}

#[test]
fn two_locations_come_to_serve_are_steered_while_they_run_and_tell_how_they_are() {
    let kubectl = namespace("sidecars");
    let operator = Operator::start("sidecars", "*");
    let mut node = Node::new(&kubectl, 31);
    apply(&kubectl, &log(31));
    apply(&kubectl, &link("orders", "eu, us", ""));
    let (eu, us) = (node.start("eu"), node.start("us"));

    // Each is granted its first incarnation, is recorded, serves, and copies from the other.
    let log_says = |type_: &str| condition(&kubectl, "evlog/orders", type_);
    let link_says = |type_: &str| condition(&kubectl, "rlink/orders", type_);
    until("the log is ready", || {
        is(&log_says("Ready"), "True", "Serving").then_some(())
    });
    until("the link is synced", || {
        is(&link_says("Synced"), "True", "CaughtUp").then_some(())
    });
    assert!(
        is(&link_says("Connected"), "True", "Connected"),
        "{:?}",
        link_says("Connected")
    );
    assert!(
        is(&log_says("StorageReady"), "True", "Connected"),
        "{:?}",
        log_says("StorageReady")
    );
    assert!(
        is(&log_says("Recovered"), "True", "NeverLost"),
        "{:?}",
        log_says("Recovered")
    );
    assert!(
        is(&log_says("PeersAgree"), "True", "SameSpec"),
        "{:?}",
        log_says("PeersAgree")
    );
    assert!(
        is(&log_says("CertificatesReady"), "False", "Insecure"),
        "{:?}",
        log_says("CertificatesReady")
    );
    let object = kubectl.get("rlink/orders").unwrap();
    assert_eq!(object["status"]["edgesConnected"], json!("2/2"));
    let recorded = node.witness("eu").unwrap();
    assert!(recorded.contains("\"incarnation\":1,"), "{recorded}");

    // The next operator has heard nobody when it begins; it says nothing before it has.
    drop(operator);
    let _operator = Operator::start("sidecars", "*");
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        let now = (log_says("Ready"), link_says("Synced"));
        assert!(is(&now.0, "True", "Serving"), "{now:?}");
        assert!(is(&now.1, "True", "CaughtUp"), "{now:?}");
        rest(Duration::from_millis(50));
    }

    // A link that changes is in force at once, in the same processes; what was appended before has arrived, and is told of.
    node.append("eu");
    until("it has arrived", || {
        (us.sidecar.location_status().head == 1).then_some(())
    });
    let begun = std::time::Instant::now();
    apply(&kubectl, &link("orders", "eu, us", "  paused: true\n"));
    until("the link is paused", || {
        is(&link_says("Connected"), "False", "Paused").then_some(())
    });
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let object = kubectl.get("rlink/orders").unwrap();
    let edges = object["status"]["edges"].as_array().unwrap();
    let to_us = edges.iter().find(|e| e["target"] == "us").unwrap();
    assert_eq!(to_us["progress"], json!(1), "{to_us}");
    apply(&kubectl, &link("orders", "eu, us", ""));
    until("it runs again", || {
        is(&link_says("Connected"), "True", "Connected").then_some(())
    });

    // A pod that ends in order: its stop is recorded, the other location notices, and nothing is claimed of what is not heard.
    node.stop(eu);
    let stopped = node.witness("eu").unwrap();
    assert!(stopped.contains("cleanStop"), "{stopped}");
    until("nobody has heard of eu", || {
        is(&log_says("Ready"), "Unknown", "StatusUnknown").then_some(())
    });

    // Another pod goes on in the same incarnation.
    let eu = node.start("eu");
    until("the log is ready again", || {
        is(&log_says("Ready"), "True", "Serving").then_some(())
    });
    assert_eq!(eu.sidecar.location_status().incarnation, 1);
    until("the link is synced again", || {
        is(&link_says("Synced"), "True", "CaughtUp").then_some(())
    });
    node.stop(eu);
    node.stop(us);
}

#[test]
fn a_database_that_was_restored_raises_and_a_witness_that_was_taken_away_is_no_new_location() {
    let kubectl = namespace("restored");
    let _operator = Operator::start("restored", "eu");
    let mut node = Node::new(&kubectl, 32);
    apply(&kubectl, &log(32));
    apply(&kubectl, &link("orders", "eu, us", ""));
    let eu = node.start("eu");
    let log_says = |type_: &str| condition(&kubectl, "evlog/orders", type_);
    let ready = || is(&log_says("Ready"), "True", "Serving").then_some(());
    until("the log is ready", ready);
    let copy = node.databases["eu"].snapshot();
    node.append("eu");
    node.stop(eu);

    // An older copy, on another server.
    let store = MemoryStore::restore(copy, Arc::new(now_micros));
    let other = InstanceId {
        system: "memory".to_owned(),
        timeline: "2".to_owned(),
        started: Some("again".to_owned()),
    };
    node.databases
        .insert("eu".to_owned(), Arc::new(store.with_instance(other)));
    let eu = node.start("eu");
    until("it serves", ready);
    let raised = eu.sidecar.location_status().incarnation;
    assert!(raised > 1_700_000_000);
    let recovered = until("it says so", || {
        log_says("Recovered").filter(|(status, _)| status == "False")
    });
    assert_eq!(recovered.1, "PeersNotHeard");
    assert!(node.witness("eu").unwrap().contains(&raised.to_string()));
    node.stop(eu);

    // An empty database where the witness knows the location is no new one.
    node.databases.remove("eu");
    let eu = node.start("eu");
    until("it serves", ready);
    assert!(eu.sidecar.location_status().incarnation > raised);
    node.stop(eu);
}
