//! Links that change.

use std::time::{Duration, Instant};

use crate::scene::{Scene, rest, until};

#[test]
fn a_link_that_changes_is_in_force_without_a_restart() {
    let scene = Scene::beside_others("steered");
    scene.two_locations("");
    let pod = scene.field("eu", "pod/orders-eu-0", "/metadata/uid");
    let patch = r#"{"spec": {"paused": true}}"#;
    let begun = Instant::now();
    for location in ["eu", "us"] {
        let arguments = ["patch", "rlink", "orders", "--type=merge", "-p", patch];
        scene.at(location).run(&arguments).unwrap().done().unwrap();
    }
    until("it is paused", || {
        let (_, reason, _) = scene.condition("eu", "rlink/orders", "Connected")?;
        (reason == "Paused").then_some(())
    });
    println!(
        "figure: a link was paused in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    let patch = patch.replace("true", "false");
    for location in ["eu", "us"] {
        let arguments = ["patch", "rlink", "orders", "--type=merge", "-p", &patch];
        scene.at(location).run(&arguments).unwrap().done().unwrap();
    }
    scene.synced();

    // One cluster has another spec: the other one is told who.
    let say = |patch: &str| {
        let arguments = ["patch", "evlog", "orders", "--type=json", "-p", patch];
        scene.at("us").run(&arguments).unwrap().done().unwrap();
    };
    let filter = r#"{"path": "/spec/locations/1/exportFilter", "value": {"cel": "event.type != 'Audited'"}, "op": "#;
    say(&format!("[{filter}\"add\"}}]"));
    let (reason, message) = scene.wait("eu", "evlog/orders", "PeersAgree", "False");
    assert_eq!(reason, "OtherSpec", "{message}");
    assert!(message.contains("us"), "{message}");
    say(&format!("[{filter}\"remove\"}}]"));
    scene.wait("eu", "evlog/orders", "PeersAgree", "True");
    scene.synced();
    only_what_a_filter_lets_through_is_copied(&scene);
    assert_eq!(scene.field("eu", "pod/orders-eu-0", "/metadata/uid"), pod);
    assert_eq!(
        scene.field(
            "eu",
            "pod/orders-eu-0",
            "/status/containerStatuses/0/restartCount"
        ),
        0
    );
}

fn only_what_a_filter_lets_through_is_copied(scene: &Scene) {
    let filter =
        r#"{"spec": {"filters": [{"name": "no-audits", "cel": "event.type != 'Audited'"}]}}"#;
    for location in ["eu", "us"] {
        let patch = ["patch", "rlink", "orders", "--type=merge", "-p", filter];
        scene.at(location).run(&patch).unwrap().done().unwrap();
    }
    // By then it is in force.
    rest(Duration::from_secs(5));
    scene.wait("eu", "evlog/orders", "PeersAgree", "True");
    scene.synced();
    for type_ in ["Audited", "Placed", "Audited"] {
        let append = ["append", "--location", "eu", "--type", type_];
        scene.tidelog(&[&append[..], &["--data", "{}"]].concat());
    }
    until("what passes arrives", || {
        (scene.count("us") == 1).then_some(())
    });
    until("what does not is counted", || {
        let link = scene.at("us").get("rlink/orders").ok()?;
        let edges = link["status"]["edges"].as_array()?;
        let edge = edges.iter().find(|e| e["source"] == "eu")?;
        (edge["filteredTotal"] == 2).then_some(())
    });
    scene.synced();
    assert_eq!((scene.count("eu"), scene.count("us")), (3, 1));
    let said = scene.tidelog(&["diff", "eu", "us"]);
    assert!(said.contains("filter"), "{said}");
}
