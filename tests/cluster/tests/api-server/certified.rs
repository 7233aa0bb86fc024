//! Certificates that somebody else makes: cert-manager, played by the test, and a person.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tidelog_cluster_tests::{ApiServer, Kubectl};
use tidelog_pki::{Authority, Pair, Validity};

use crate::definitions::namespace;
use crate::operator::Operator;
use crate::reconcile::{appears, apply, condition, link, until};
use crate::sidecars::{self, Node};
use crate::taken::look_again;

/// Who signs.
struct Issuer {
    authority: Authority,
    validity: Validity,
}

impl Issuer {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = i64::try_from(now.as_secs()).unwrap();
        let validity = Validity::starting(now, Duration::from_hours(24 * 90));
        Self {
            authority: Authority::generate("somebody else", validity).unwrap(),
            validity,
        }
    }

    /// Puts a certificate with these identities into a Secret.
    fn put(&self, kubectl: &Kubectl, secret: &str, uris: &[String]) -> Pair {
        let pair = self.authority.issue_uris(secret, uris, self.validity);
        let pair = pair.unwrap();
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret},
            "type": "kubernetes.io/tls",
            "stringData": {
                "tls.crt": pair.certificate,
                "tls.key": pair.key,
                "ca.crt": self.authority.pair().certificate,
            },
        });
        apply(kubectl, &secret.to_string());
        pair
    }

    /// Does what cert-manager does when it is asked.
    fn answer(&self, kubectl: &Kubectl, certificate: &Value) -> Pair {
        let uris = certificate["spec"]["uris"].as_array().unwrap().iter();
        let uris: Vec<String> = uris.map(|uri| uri.as_str().unwrap().to_owned()).collect();
        let secret = certificate["spec"]["secretName"].as_str().unwrap();
        let pair = self.put(kubectl, secret, &uris);
        let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let status = status.to_string();
        let name = certificate["metadata"]["name"].as_str().unwrap();
        let patch = ["patch", "certificate", name, "--subresource=status"];
        let patch = [&patch[..], &["--type=merge", "-p", &status]].concat();
        kubectl.run(&patch).unwrap().done().unwrap();
        pair
    }

    /// Vouches for the other location.
    fn vouch(&self, kubectl: &Kubectl) {
        let bundle = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "others"},
            "data": {"ca.crt": self.authority.pair().certificate},
        });
        apply(kubectl, &bundle.to_string());
    }
}

fn log(network: u8, tls: &str) -> String {
    let tls = format!("{{{tls}, trustBundles: [{{name: others, key: ca.crt, locations: [us]}}]}}");
    sidecars::log(network).replace("{insecure: true}", &tls)
}

fn waits_for(kubectl: &Kubectl, type_: &str, status: &str, reason: &str) {
    let wanted = Some((status.to_owned(), reason.to_owned()));
    until(&format!("{type_}={status}, {reason}"), || {
        (condition(kubectl, "evlog/orders", type_) == wanted).then_some(())
    });
}

fn id(role: &str) -> String {
    format!("spiffe://tidelog/tidelog/{role}")
}

#[test]
fn what_cert_manager_issues_is_used_and_what_is_asked_of_it_is_kept() {
    let kubectl = namespace("issued");
    let issuer = Issuer::new();
    issuer.vouch(&kubectl);
    let operator = Operator::start("issued", "eu");
    let tls = "issuerRef: {name: authority, kind: ClusterIssuer}";
    apply(&kubectl, &log(33, tls));
    apply(&kubectl, &link("orders", "eu, us", ""));
    // Nobody has installed it.
    waits_for(&kubectl, "Stalled", "True", "KindNotFound");
    waits_for(&kubectl, "CertificatesReady", "False", "KindNotFound");
    drop(operator);
    apply(
        &ApiServer::shared().kubectl(),
        include_str!("cert-manager.yaml"),
    );
    let established = ["wait", "--for=condition=Established", "--timeout=30s"];
    let crd = ["crd/certificates.cert-manager.io"];
    let waited = kubectl.run(&[&established[..], &crd].concat());
    waited.unwrap().done().unwrap();

    let _operator = Operator::start("issued", "eu");
    waits_for(&kubectl, "CertificatesReady", "False", "Issuing");
    waits_for(&kubectl, "Reconciling", "True", "Issuing");
    waits_for(&kubectl, "Stalled", "False", "Progressing");
    let mut node = Node::new(&kubectl, 33);
    for (name, whose) in [
        ("orders-eu-tls", "issued/orders/eu"),
        ("orders-eu-admin", "issued/orders/eu/admin"),
        ("orders-eu-client", "issued/orders/eu/client"),
    ] {
        let certificate = appears(&kubectl, &format!("certificate/{name}"));
        let spec = &certificate["spec"];
        assert_eq!(spec["uris"], json!([id(whose)]));
        assert_eq!(spec["secretName"], name);
        assert_eq!(
            spec["issuerRef"],
            json!({"name": "authority", "kind": "ClusterIssuer", "group": "cert-manager.io"})
        );
        let pair = issuer.answer(&kubectl, &certificate);
        if name == "orders-eu-tls" {
            node.certify("eu", pair);
        }
    }
    waits_for(&kubectl, "Stalled", "False", "Progressing");
    let eu = node.start("eu");
    waits_for(&kubectl, "CertificatesReady", "True", "Valid");

    // Somebody deletes one, somebody changes one.
    // More than once: visits that are made anyhow are half a minute apart.
    for _ in 0..3 {
        let before = appears(&kubectl, "certificate/orders-eu-tls");
        let delete = ["delete", "certificate", "orders-eu-tls"];
        kubectl.run(&delete).unwrap().done().unwrap();
        until("it is asked for again", || {
            let again = kubectl.get("certificate/orders-eu-tls").ok()?;
            (again["metadata"]["uid"] != before["metadata"]["uid"]).then_some(())
        });
    }
    let other = r#"{"spec":{"uris":["spiffe://elsewhere"]}}"#;
    let patch = ["patch", "certificate", "orders-eu-admin", "--type=merge"];
    let patch = [&patch[..], &["-p", other]].concat();
    kubectl.run(&patch).unwrap().done().unwrap();
    until("it is as it was", || {
        let again = kubectl.get("certificate/orders-eu-admin").ok()?;
        (again["spec"]["uris"] == json!([id("issued/orders/eu/admin")])).then_some(())
    });
    node.stop(eu);
}

#[test]
fn a_given_secret_is_used_once_it_is_right_and_never_written() {
    let kubectl = namespace("given");
    let issuer = Issuer::new();
    issuer.vouch(&kubectl);
    let _operator = Operator::start("given", "eu");
    apply(&kubectl, &log(35, "secretName: mine"));
    apply(&kubectl, &link("orders", "eu, us", ""));
    waits_for(&kubectl, "CertificatesReady", "False", "SecretNotFound");
    let empty = ["create", "secret", "generic", "mine", "--from-literal=a=b"];
    kubectl.run(&empty).unwrap().done().unwrap();
    look_again(&kubectl);
    waits_for(&kubectl, "CertificatesReady", "False", "SecretInvalid");
    let delete = ["delete", "secret", "mine"];
    kubectl.run(&delete).unwrap().done().unwrap();
    let mut node = Node::new(&kubectl, 35);
    let pair = issuer.put(&kubectl, "mine", &[id("given/orders/eu")]);
    node.certify("eu", pair);
    // That of the operator is missing, and then somebody else's.
    look_again(&kubectl);
    waits_for(&kubectl, "CertificatesReady", "False", "SecretNotFound");
    let admin = |of: &str| issuer.put(&kubectl, "orders-eu-admin", &[id(of)]);
    admin("given/orders/us/admin");
    look_again(&kubectl);
    waits_for(&kubectl, "CertificatesReady", "False", "SecretInvalid");
    admin("given/orders/eu/admin");
    let versions = || {
        let of = |name: &str| kubectl.get(name).unwrap()["metadata"]["resourceVersion"].clone();
        ["secret/mine", "secret/orders-eu-admin"].map(of)
    };
    let before = versions();
    look_again(&kubectl);
    waits_for(&kubectl, "Stalled", "False", "Progressing");
    let eu = node.start("eu");
    waits_for(&kubectl, "CertificatesReady", "True", "Valid");
    assert_eq!(versions(), before);
    // Its authority is told to whoever asks, and nothing else of it.
    let told = appears(&kubectl, "configmap/orders-eu-authority");
    let authority = told["data"]["ca.crt"].as_str().unwrap().trim();
    assert_eq!(authority, issuer.authority.pair().certificate.trim());
    assert!(kubectl.get("secret/orders-eu-ca").is_err());
    node.stop(eu);
}
