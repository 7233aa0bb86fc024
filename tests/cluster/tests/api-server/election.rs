//! Several processes of the operator, of which one works.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidelog_cluster_tests::{ApiServer, Kubectl};
use tidelog_harness::process;
use tidelog_harness::proxy::{Flow, Rules, Treatment};

use crate::definitions::namespace;
use crate::operator::{account, grant};
use crate::reconcile::{appears, apply, log, until, within};
use crate::watched::proxy;

/// A lease counts 15 s, and is taken some seconds later; the machine may be busy.
const A_LEASE: Duration = Duration::from_mins(1);

/// One process; it ends with its test.
pub struct Process {
    pub child: Child,
    folder: TempDir,
}

impl Process {
    fn start(namespace: &str, name: &str, address: Option<SocketAddr>) -> Self {
        Self::start_for((namespace, "eu"), name, address)
    }

    /// One for this location of a namespace.
    pub fn start_for(
        (namespace, location): (&str, &str),
        name: &str,
        address: Option<SocketAddr>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = fs::read_to_string(ApiServer::shared().kubeconfig()).unwrap();
        let mut kubeconfig: Value = serde_yaml::from_str(&kubeconfig).unwrap();
        kubeconfig["users"][0]["user"]["as"] = json!(account(namespace));
        if let Some(address) = address {
            let server = json!(format!("https://{address}"));
            kubeconfig["clusters"][0]["cluster"]["server"] = server;
        }
        let file = folder.path().join("kubeconfig");
        fs::write(&file, kubeconfig.to_string()).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(process::operator().unwrap())
            .args(["--location", location, "--listen=127.0.0.1:0"])
            .args(["--namespace", namespace, "--identity", name])
            .args(["--operator-namespace", &format!("{namespace}-system")])
            .arg("--kubeconfig")
            .arg(file)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn has_worked(&self) -> bool {
        self.said().contains(": elected")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.said());
        }
    }
}

fn holder(kubectl: &Kubectl) -> Option<String> {
    let lease = kubectl.get("lease/tidelog-operator.eu.elected").ok()?;
    Some(lease["spec"]["holderIdentity"].as_str()?.to_owned())
}

#[test]
fn one_of_several_works_and_ends_when_it_cannot_renew_its_lease() {
    let kubectl = namespace("elected");
    grant(ApiServer::shared(), "elected");
    let system = ApiServer::shared().kubectl();
    let system = system.in_namespace("elected-system");
    let is_held_by = |name: &str| {
        within(A_LEASE, &format!("{name} is elected"), || {
            (holder(&system)? == name).then_some(())
        });
    };
    let is_kept = || {
        let before = appears(&kubectl, "service/orders-eu-peers");
        let delete = ["delete", "service", "orders-eu-peers"];
        kubectl.run(&delete).unwrap().done().unwrap();
        within(A_LEASE, "the Service is there again", || {
            let again = kubectl.get("service/orders-eu-peers").ok()?;
            (again["metadata"]["uid"] != before["metadata"]["uid"]).then_some(())
        });
    };
    let proxy = proxy();
    let mut first = Process::start("elected", "first", Some(proxy.address()));
    is_held_by("first");
    let mut second = Process::start("elected", "second", None);
    until("it waits", || {
        second
            .said()
            .contains("waiting to be elected")
            .then_some(())
    });
    apply(&kubectl, &log(&["eu", "us"], ""));
    is_kept();
    assert!(!second.has_worked(), "{}", second.said());

    // Nothing is answered any more, and nothing is refused either.
    proxy.set(Rules::both(Treatment {
        flow: Flow::Stall,
        ..Treatment::default()
    }));
    let ended = within(A_LEASE, "the first one has ended", || {
        first.child.try_wait().unwrap()
    });
    assert!(!ended.success());
    assert!(
        first.said().contains("could not be renewed"),
        "{}",
        first.said()
    );
    is_held_by("second");
    is_kept();

    // One that dies says nothing.
    let third = Process::start("elected", "third", None);
    until("it waits", || {
        third.said().contains("waiting to be elected").then_some(())
    });
    assert!(!third.has_worked(), "{}", third.said());
    second.child.kill().unwrap();
    is_held_by("third");
    is_kept();
}
