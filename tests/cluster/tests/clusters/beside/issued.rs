//! Certificates by cert-manager.

use std::time::Instant;

use crate::callers::restarts;
use crate::scene::{Scene, tell, until};

/// An authority of its own in each cluster, in the way of cert-manager's own pages: one that signs itself issues another one.
const ISSUER: &str = r"
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: itself}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: authority}
spec:
  isCA: true
  commonName: authority of this cluster
  secretName: authority
  privateKey: {algorithm: ECDSA, size: 256}
  issuerRef: {name: itself, kind: Issuer}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: authority}
spec: {ca: {secretName: authority}}
";

#[test]
fn what_cert_manager_issues_secures_a_log_and_is_replaced_while_it_runs() {
    // It is brought into the clusters of the kit.
    if !Scene::may_break("issued") {
        return;
    }
    let scene = Scene::beside_others("issued");
    scene.apply(&scene.manifests("  tls: {issuerRef: {name: authority, kind: Issuer}}\n"));
    // Nobody is there who could issue anything.
    let (reason, message) = scene.wait("eu", "evlog/orders", "CertificatesReady", "False");
    assert!(
        ["KindNotFound", "Issuing", "SecretNotFound"].contains(&reason.as_str()),
        "{reason}: {message}"
    );
    for location in ["eu", "us"] {
        let brought = scene.clusters.kit(&["cert-manager", location]);
        brought.unwrap().done().unwrap();
    }
    let begun = Instant::now();
    scene.apply(ISSUER);
    scene.trusted();
    scene.synced();
    tell(&format!(
        "figure: synced {:.0} s after cert-manager was given an authority",
        begun.elapsed().as_secs_f64()
    ));
    for location in ["eu", "us"] {
        let (_, message) = scene.wait(location, "evlog/orders", "CertificatesReady", "True");
        tell(&format!("{location}: {message}"));
        // The operator has made none.
        let own = scene
            .at(location)
            .get(&format!("secret/orders-{location}-ca"));
        assert!(own.is_err());
    }
    scene.append("eu");
    until("it arrives", || (scene.count("us") == 1).then_some(()));

    // Replaced: for a Secret that is gone cert-manager issues another certificate.
    let serial = || scene.rotations("us");
    let before = serial();
    let uid = scene.field("us", "secret/orders-us-tls", "/metadata/uid");
    let delete = ["delete", "secret", "orders-us-tls"];
    scene.at("us").run(&delete).unwrap().done().unwrap();
    until("it is issued again", || {
        let secret = scene.at("us").get("secret/orders-us-tls").ok()?;
        (secret["metadata"]["uid"] != uid).then_some(())
    });
    until("it is in force", || (serial() > before).then_some(()));
    scene.append("us");
    scene.synced();
    until("it arrives", || (scene.count("eu") == 2).then_some(()));
    assert_eq!(restarts(&scene, "us", "orders-us-0"), 0);
    scene.same();
}
