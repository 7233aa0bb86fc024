//! What breaks: pods, databases, nodes, the operator, a volume that comes back older than it was.

use std::time::{Duration, Instant};

use crate::callers::{Caller, restarts};
use crate::scene::{SYSTEM, Scene, rest, until};

#[test]
fn the_writer_moves_when_its_pod_goes_and_nothing_is_lost() {
    let Some(scene) = Scene::to_break("failover") else {
        return;
    };
    scene.two_locations("  replicas: 2\n");
    // The pod that comes after a deleted one has its name.
    let writer = || {
        let writer = scene.field("eu", "evlog/orders", "/status/writer");
        let text = |field: &str| writer[field].as_str().map(str::to_owned);
        Some((text("pod")?, text("since")?))
    };
    let both = || scene.field("eu", "statefulset/orders-eu", "/status/readyReplicas") == 2;
    until("both are ready", || both().then_some(()));
    let caller = Caller::start(&scene, "eu");
    let first = until("a writer", writer);
    let begun = Instant::now();
    scene
        .at("eu")
        .run(&["delete", "pod", &first.0, "--wait=false"])
        .unwrap()
        .done()
        .unwrap();
    let next = until("another writer", || writer().filter(|next| *next != first));
    println!(
        "figure: the writer moved from {} to {} in {:.1} s",
        first.0,
        next.0,
        begun.elapsed().as_secs_f64()
    );
    until("both are ready again", || both().then_some(()));
    let calls = caller.stop();
    println!(
        "figure: {} appends through the fail-over, {} attempts made again, the longest took {:.1} s",
        calls.acknowledged,
        calls.failures.len(),
        calls.longest.as_secs_f64()
    );
    // A failure is one to retry, nothing else, for as long as nobody writes; and each event is there once.
    let to_retry = |said: &String| {
        ["Retry", "transport error", "UNAVAILABLE"]
            .iter()
            .any(|word| said.contains(word))
    };
    assert!(calls.failures.iter().all(to_retry), "{calls:?}");
    assert!(calls.longest < Duration::from_secs(15), "{calls:?}");
    let appended = calls.acknowledged;
    scene.synced();
    until("what was appended is everywhere", || {
        (scene.count("us") == appended).then_some(())
    });
    assert_eq!(scene.count("eu"), appended);
    let restarts = "/status/initContainerStatuses/0/restartCount";
    assert_eq!(scene.field("eu", "pod/caller", restarts), 0);
    assert_eq!(scene.field("eu", "evlog/orders", "/status/incarnation"), 1);
    scene.same();

    // A writer that stands still loses its lease, and adds nothing when it goes on.
    let frozen = until("a writer", writer);
    signal(&scene, &frozen.0, "STOP");
    let begun = Instant::now();
    until("another writer", || {
        writer().filter(|next| next.0 != frozen.0)
    });
    println!(
        "figure: the writer moved from a process that stands still in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    scene.append_soon("eu");
    signal(&scene, &frozen.0, "CONT");
    scene.append_soon("eu");
    until("what was appended is everywhere", || {
        (scene.count("us") == appended + 2).then_some(())
    });
    assert_eq!(scene.count("eu"), appended + 2);
    assert_eq!(scene.field("eu", "evlog/orders", "/status/incarnation"), 1);
    scene.same();
}

/// Sends a signal to the sidecar of a pod at eu.
fn signal(scene: &Scene, pod: &str, signal: &str) {
    let script = format!(
        "for p in $(pgrep -x tidelog-sidecar); do if grep -qz '^HOSTNAME={pod}$' /proc/$p/environ; then kill -{signal} $p; done=1; fi; done; test -n \"$done\""
    );
    let run = ["run", "eu", "sh", "-c", &script];
    scene.clusters.kit(&run).unwrap().done().unwrap();
}

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
fn certificates_are_replaced_while_it_runs() {
    let scene = Scene::new("rotation");
    scene.two_locations("");
    let rotations = |location: &str| {
        let pod = format!("orders-{location}-0:7441");
        let path = format!(
            "/api/v1/namespaces/{}/pods/{pod}/proxy/metrics",
            scene.namespace
        );
        let get = ["get", "--raw", &path];
        let metrics = scene.at(location).run(&get).unwrap().done().unwrap().output;
        let mut lines = metrics.lines();
        let line = lines.find(|l| l.starts_with("tidelog_certificate_rotations_total"));
        line.and_then(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .unwrap_or_default()
    };
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
fn a_volume_that_is_lost_is_filled_again_by_the_others() {
    let scene = Scene::new("emptied");
    scene.two_locations("");
    scene.append("us");
    until("it arrives", || (scene.count("eu") == 1).then_some(()));
    let us = scene.at("us");
    let volume = || {
        us.get("pvc/data-orders-us-pg-0").ok()?["metadata"]["uid"]
            .as_str()
            .map(str::to_owned)
    };
    let before = volume().unwrap();
    for lost in ["pvc/data-orders-us-pg-0", "pod/orders-us-pg-0"] {
        us.run(&["delete", lost, "--wait=false"])
            .unwrap()
            .done()
            .unwrap();
    }
    until("there is another volume", || {
        (volume()? != before).then_some(())
    });
    until("the incarnation has risen", || {
        let now = scene.field("us", "evlog/orders", "/status/incarnation");
        (now.as_i64()? > 1).then_some(())
    });
    let (reason, message) = scene.wait("us", "evlog/orders", "Recovered", "True");
    assert_eq!(reason, "PulledBack", "{message}");
    scene.append_soon("us");
    scene.synced();
    until("everything is everywhere", || {
        (scene.count("eu") == 2 && scene.count("us") == 2).then_some(())
    });
    let events = us.run(&["get", "events"]).unwrap().output;
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
