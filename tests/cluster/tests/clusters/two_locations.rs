//! What a person sees first: two clusters, one log.

use std::time::{Duration, Instant};

use crate::scene::{Scene, rest, tell, until};
use crate::tools;

#[test]
fn two_clusters_share_a_log_are_cut_and_heal() {
    let Some(scene) = Scene::to_break("shop") else {
        return;
    };
    let begun = Instant::now();
    scene.apply(&scene.manifests(""));
    scene.append_soon("eu");
    println!(
        "figure: first append accepted {:.1} s after kubectl apply",
        begun.elapsed().as_secs_f64()
    );
    scene.trusted();
    scene.synced();
    println!(
        "figure: synced {:.1} s after kubectl apply",
        begun.elapsed().as_secs_f64()
    );
    let listed = scene
        .at("eu")
        .run(&["get", "evlog,rlink"])
        .unwrap()
        .done()
        .unwrap()
        .output;
    assert!(
        listed.contains("2/2") && listed.contains("0 ev / 0 s"),
        "{listed}"
    );
    let (status, reason, message) = scene
        .condition("us", "evlog/orders", "CertificatesReady")
        .unwrap();
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("True", "Valid"),
        "{message}"
    );
    until("it arrives", || (scene.count("us") == 1).then_some(()));
    quiet_minute(&scene);

    // Cut: both keep accepting, and say who is missing.
    scene
        .clusters
        .kit(&["cut", "eu", "us"])
        .unwrap()
        .done()
        .unwrap();
    let event = ["--type", "Paid", "--data"];
    let data = format!(r#"{{"card": "{}"}}"#, tools::PLANTED);
    scene.tidelog(&[&["append", "--location", "eu"], &event[..], &[&data]].concat());
    scene.append("us");
    for (here, there) in [("eu", "us"), ("us", "eu")] {
        let (reason, message) = scene.wait(here, "rlink/orders", "Connected", "False");
        assert!(message.contains(&format!("with {there}")), "{message}");
        until("the reason", || {
            let (_, reason, _) = scene.condition(here, "rlink/orders", "Connected")?;
            (reason == "PeerUnreachable").then_some(())
        });
        println!("{here}: {reason}: {message}");
        let (status, ..) = scene.condition(here, "rlink/orders", "Synced").unwrap();
        assert_ne!(status, "True");
        until("the lag grows or is unknown", || {
            let lag = scene.field(here, "rlink/orders", "/status/maxLag");
            let lag = lag.as_str()?;
            (lag.starts_with('?') || !lag.starts_with("0 ")).then_some(())
        });
        let (status, ..) = scene.condition(here, "evlog/orders", "Ready").unwrap();
        assert_eq!(status, "True");
        edges_while_cut(&scene, here);
    }
    // The one that answers may be trying again just now.
    let unknown = ["unreachable", "unknown"];
    for (location, column) in [("eu", 2), ("us", 1)] {
        let lags = tools::lags(&scene, location);
        assert!(unknown.contains(&lags[column].as_str()), "{lags:?}");
    }
    let said = scene.tidelog(&["diff", "eu", "us"]);
    assert!(said.contains("not copied yet"), "{said}");
    scene.clusters.kit(&["heal"]).unwrap().done().unwrap();
    scene.synced();
    until("the same events", || {
        (scene.count("eu") == 3 && scene.count("us") == 3).then_some(())
    });
    scene.same();
    for location in ["eu", "us"] {
        let cut = tools::told(
            &scene,
            location,
            "ReplicationLink/orders",
            "PeerUnreachable",
        );
        tell(&format!(
            "figure: {location} published PeerUnreachable {cut} times over one cut"
        ));
        if !(1..=3).contains(&cut) {
            let all = scene.at(location).run(&["get", "events", "-o", "wide"]);
            panic!("{cut} Events about one cut: {}", all.unwrap().output);
        }
    }
    tools::agree(&scene);
}

/// What the status says of an edge whose peer is away, and that no pod becomes unready for it.
fn edges_while_cut(scene: &Scene, here: &str) {
    until("each edge says what is wrong", || {
        let edges = scene.field(here, "rlink/orders", "/status/edges");
        let edges = edges.as_array()?;
        let wrong = |edge: &serde_json::Value| {
            ["Unreachable", "Connecting"].contains(&edge["state"].as_str().unwrap_or_default())
                && edge["lastError"]
                    .as_str()
                    .is_some_and(|error| !error.is_empty())
        };
        (edges.len() == 2 && edges.iter().all(wrong)).then_some(())
    });
    let ready = scene.field(here, &format!("pod/orders-{here}-0"), "/status/conditions");
    let ready = ready.as_array().unwrap().iter();
    let ready: Vec<_> = ready.filter(|c| c["type"] == "Ready").collect();
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0]["status"], "True", "{ready:?}");
}

/// With real sidecars and nothing that changes, nobody writes anything about logs.
fn quiet_minute(scene: &Scene) {
    let written = || {
        let metrics = scene.at("eu").run(&["get", "--raw", "/metrics"]).unwrap();
        let metrics = metrics.done().unwrap().output;
        let ours = |line: &&str| {
            let kind = |kind: &&str| line.contains(&format!("resource=\"{kind}\""));
            let verb = |verb: &&str| line.contains(&format!("verb=\"{verb}\""));
            line.starts_with("apiserver_request_total{")
                && WRITES.iter().any(verb)
                && KINDS.iter().any(kind)
        };
        let of = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        metrics.lines().filter(ours).filter_map(of).sum::<f64>() as u64
    };
    // What the start has set off is over.
    let before = until("nothing was written for ten seconds", || {
        let before = written();
        rest(Duration::from_secs(10));
        (written() == before).then_some(before)
    });
    assert_ne!(before, 0, "nothing is counted");
    rest(Duration::from_mins(1));
    let after = written();
    let count = after - before;
    tell(&format!(
        "figure: {count} writes to the API server about logs in a quiet minute"
    ));
    assert_eq!(count, 0);
}

const WRITES: &[&str] = &[
    "POST",
    "PUT",
    "PATCH",
    "APPLY",
    "DELETE",
    "DELETECOLLECTION",
];
/// All that an operator writes but leases.
const KINDS: &[&str] = &[
    "eventlogs",
    "replicationlinks",
    "statefulsets",
    "services",
    "configmaps",
    "secrets",
    "networkpolicies",
    "poddisruptionbudgets",
    "persistentvolumeclaims",
    "events",
];
