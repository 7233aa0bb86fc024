//! Certificates and passwords are replaced under calls.

use std::time::Instant;

use crate::callers::{Caller, restarts};
use crate::scene::{Scene, until};

#[test]
fn certificates_are_replaced_while_it_runs() {
    let scene = Scene::beside_others("rotation");
    scene.two_locations("");
    let rotations = |location: &str| scene.rotations(location);
    let connected = || {
        let link = scene.at("eu").get("rlink/orders").unwrap();
        let mut conditions = link["status"]["conditions"].as_array().unwrap().iter();
        conditions.find(|c| c["type"] == "Connected").cloned()
    };
    // Whoever looks after the database changes its password: what is connected stays connected.
    change_password(&scene);
    // Both call a sidecar of their own, which calls the log over mutual TLS, and which follows the log.
    let callers = ["eu", "us"].map(|location| Caller::start(&scene, location));
    let before = ["eu", "us"].map(rotations);
    let since = connected();
    let begun = Instant::now();
    for location in ["eu", "us"] {
        for secret in ["orders-LOCATION-tls", "orders-LOCATION-client"] {
            let secret = secret.replace("LOCATION", location);
            let delete = ["delete", "secret", &secret];
            scene.at(location).run(&delete).unwrap().done().unwrap();
        }
    }
    until("the certificates are others", || {
        let all = ["eu", "us"].map(rotations);
        (all[0] > before[0] && all[1] > before[1]).then_some(())
    });
    println!(
        "figure: deleted certificates were replaced in the running processes after {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    let mut appended = 0;
    for (caller, location) in callers.into_iter().zip(["eu", "us"]) {
        let calls = caller.stop();
        assert!(calls.failures.is_empty(), "{location}: {calls:?}");
        appended += calls.acknowledged;
        assert_eq!(restarts(&scene, location, "caller"), 0);
        assert_eq!(
            restarts(&scene, location, &format!("orders-{location}-0")),
            0
        );
    }
    assert_eq!(connected(), since, "a connection between them was lost");
    // What is connected anew has the new password.
    psql(
        &scene,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tidelog' AND pid <> pg_backend_pid()",
    );
    scene.append_soon("eu");
    appended += 1;
    assert_eq!(restarts(&scene, "eu", "orders-eu-0"), 0);
    scene.synced();
    until("everything is everywhere", || {
        (scene.count("eu") == appended && scene.count("us") == appended).then_some(())
    });
}

/// Asks the database of `eu`, over the socket in its pod.
fn psql(scene: &Scene, statement: &str) {
    let client = [
        "exec",
        "orders-eu-pg-0",
        "--",
        "psql",
        "-U",
        "tidelog",
        "-c",
    ];
    let asked = scene.at("eu").run(&[&client[..], &[statement]].concat());
    asked.unwrap().done().unwrap();
}

/// Changes the password of the database of `eu`, there and in its Secret.
fn change_password(scene: &Scene) {
    let eu = scene.at("eu");
    let read = |key: &str| {
        let key = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
        let found = eu.run(&["get", "secret", "orders-eu-pg", "-o", &key]);
        found.unwrap().done().unwrap().output
    };
    let (before, after) = (read("password"), "anotherone");
    let uri = read("uri").replace(&before, after);
    assert!(uri.contains(after), "the URI has no password");
    psql(scene, &format!("ALTER ROLE tidelog PASSWORD '{after}'"));
    let patch = serde_json::json!({"stringData": {"password": after, "uri": uri}});
    let patch = ["patch", "secret", "orders-eu-pg", "-p", &patch.to_string()];
    eu.run(&patch).unwrap().done().unwrap();
}
