//! What breaks: pods, databases, nodes, the operator, a volume that comes back older than it was.

use std::time::Duration;

use crate::callers::restarts;
use crate::scene::{SYSTEM, Scene, rest, until};

#[test]
fn a_database_that_is_killed_is_told_of_and_comes_back() {
    let Some(scene) = Scene::to_break("database") else {
        return;
    };
    scene.two_locations("");
    scene.append("eu");
    // No node takes it for a while.
    let kubectl = |arguments: &[&str]| scene.at("eu").run(arguments).unwrap().done().unwrap();
    kubectl(&["cordon", "node-eu"]);
    kubectl(&[
        "delete",
        "pod",
        "orders-eu-pg-0",
        "--grace-period=0",
        "--force",
    ]);
    let (reason, message) = scene.wait("eu", "evlog/orders", "StorageReady", "False");
    assert_eq!(reason, "StorageUnavailable", "{message}");
    let whose = ["append", "--location", "eu", "--timeout", "5s"];
    let event = ["--type", "Refused", "--data", "{}"];
    assert!(!scene.tidelog_works(&[&whose[..], &event].concat()));
    scene.append("us");
    kubectl(&["uncordon", "node-eu"]);
    scene.append_soon("eu");
    scene.wait("eu", "evlog/orders", "StorageReady", "True");
    scene.synced();
    until("everything is everywhere", || {
        (scene.count("eu") == 3 && scene.count("us") == 3).then_some(())
    });
    scene.same();
}

#[test]
fn the_operator_may_be_away() {
    let scene = Scene::new("away");
    scene.two_locations("");
    let system = scene.clusters.kubectl("eu").in_namespace(SYSTEM);
    let scale = |to: &str| {
        let arguments = ["scale", "deployment/tidelog", &format!("--replicas={to}")];
        system.run(&arguments).unwrap().done().unwrap();
    };
    scale("0");
    scene.append("eu");
    scene
        .at("eu")
        .run(&["delete", "pod", "orders-eu-0"])
        .unwrap()
        .done()
        .unwrap();
    scene.append_soon("eu");
    // Nobody could record that it goes on, so it has begun another incarnation; nothing is lost by that.
    assert_eq!(scene.count("eu"), 2);
    scale("1");
    scene.synced();
    until("it arrives", || (scene.count("us") == 2).then_some(()));
    scene.same();
}

#[test]
fn a_node_that_loses_power_comes_back_and_an_older_volume_is_noticed() {
    let Some(scene) = Scene::to_break("restored") else {
        return;
    };
    scene.two_locations("");
    scene.append("eu");
    until("it arrives", || (scene.count("us") == 1).then_some(()));
    let kit = |arguments: &[&str]| {
        scene.clusters.kit(arguments).unwrap().done().unwrap();
    };
    kit(&["down", "eu"]);
    kit(&["copy-volumes", "eu"]);
    kit(&["up", "eu", "1"]);
    scene.append_soon("eu");
    scene.synced();
    until("it arrives", || (scene.count("us") == 2).then_some(()));
    let before = scene.field("eu", "evlog/orders", "/status/incarnation");

    kit(&["down", "eu"]);
    kit(&["restore-volumes", "eu"]);
    kit(&["up", "eu", "1"]);
    let raised = until("the incarnation has risen", || {
        let now = scene.field("eu", "evlog/orders", "/status/incarnation");
        (now.as_i64() > before.as_i64()).then_some(now)
    });
    println!("incarnation {raised} after {before}");
    scene.synced();
    let (reason, message) = scene.wait("eu", "evlog/orders", "Recovered", "True");
    assert_eq!(reason, "PulledBack", "{message}");
    // What the older copy had lost is back.
    until("lost events are back", || {
        (scene.count("eu") == 2).then_some(())
    });
    scene.append_soon("eu");
    until("it arrives", || (scene.count("us") == 3).then_some(()));
    let events = scene.at("eu").run(&["get", "events"]).unwrap().output;
    assert!(events.contains("IncarnationRaised"), "{events}");
    scene.same();
}

#[test]
fn a_drained_node_and_an_api_server_that_is_away_lose_nothing() {
    let Some(scene) = Scene::to_break("drained") else {
        return;
    };
    scene.two_locations("");
    scene.append("eu");
    let address = scene.field("eu", "pod/orders-eu-0", "/status/podIP");
    let metrics = format!("http://{}:7441/metrics", address.as_str().unwrap());
    // On the node, without the API server.
    let head = || {
        let run = ["run", "eu", "curl", "-s", "-m", "5", &metrics];
        let text = scene.clusters.kit(&run).ok()?.output;
        let is_head =
            |line: &&str| line.starts_with("tidelog_head{") || line.starts_with("tidelog_head ");
        let line = text.lines().find(is_head)?.to_owned();
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    let kit = |arguments: &[&str]| {
        scene.clusters.kit(arguments).unwrap().done().unwrap();
    };
    until("the head is told", || (head() == Some(1.0)).then_some(()));
    kit(&["stop", "eu", "kube-apiserver"]);
    scene.append_by("us");
    until("it is copied without an API server", || {
        (head() == Some(2.0)).then_some(())
    });
    rest(Duration::from_secs(20));
    kit(&["start", "eu", "kube-apiserver"]);
    until("the API server answers", || {
        let answer = scene.at("eu").run(&["get", "--raw", "/readyz"]).ok()?;
        answer.success.then_some(())
    });
    scene.append_soon("eu");
    scene.synced();

    let node = [
        "drain",
        "node-eu",
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--force",
        "--timeout=90s",
    ];
    scene.at("eu").run(&node).unwrap().done().unwrap();
    // The operator has gone as well: its node is the only one.
    until("its pod waits for a node", || {
        let phase = scene.at("eu").get("pod/orders-eu-0").ok()?["status"]["phase"].clone();
        (phase == "Pending").then_some(())
    });
    scene.append_by("us");
    let back = ["uncordon", "node-eu"];
    scene.at("eu").run(&back).unwrap().done().unwrap();
    scene.append_soon("eu");
    scene.synced();
    until("everything is everywhere", || {
        (scene.count("eu") == 5 && scene.count("us") == 5).then_some(())
    });
    scene.same();
}

#[test]
fn a_cluster_that_stands_still_and_a_kubelet_that_is_away_lose_nothing() {
    let Some(scene) = Scene::to_break("still") else {
        return;
    };
    scene.two_locations("");
    let kit = |arguments: &[&str]| {
        scene.clusters.kit(arguments).unwrap().done().unwrap();
    };
    scene.append("us");
    until("it arrives", || (scene.count("eu") == 1).then_some(()));
    kit(&["freeze", "us"]);
    let (reason, message) = scene.wait("eu", "rlink/orders", "Connected", "False");
    println!("{reason}: {message}");
    assert!(message.contains("with us"), "{reason}: {message}");
    scene.append_by("eu");
    // Longer than a lease.
    rest(Duration::from_secs(20));
    kit(&["thaw", "us"]);
    scene.append_soon("us");
    scene.synced();
    until("everything is everywhere", || {
        (scene.count("eu") == 3 && scene.count("us") == 3).then_some(())
    });
    assert_eq!(scene.field("us", "evlog/orders", "/status/incarnation"), 1);

    kit(&["stop", "us", "kubelet"]);
    let ready = || {
        let node = scene.at("us").get("node/node-us").ok()?;
        let mut conditions = node["status"]["conditions"].as_array()?.iter();
        Some(conditions.find(|c| c["type"] == "Ready")?["status"].clone())
    };
    until("the node is given up", || {
        (ready()? != "True").then_some(())
    });
    // Its pods go on: what is appended here is copied there, and nothing is told otherwise.
    scene.append_by("eu");
    let (synced, ..) = scene.condition("eu", "rlink/orders", "Connected").unwrap();
    assert_eq!(synced, "True");
    kit(&["start", "us", "kubelet"]);
    until("the node is back", || (ready()? == "True").then_some(()));
    scene.synced();
    until("everything is everywhere", || {
        let at = |location| scene.count_if_reached(location);
        (at("eu")? == 4 && at("us")? == 4).then_some(())
    });
    assert_eq!(restarts(&scene, "us", "orders-us-0"), 0);
    scene.same();
}
