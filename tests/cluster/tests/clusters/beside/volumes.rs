//! Logs and volumes that are deleted.

use crate::scene::{Scene, until};

#[test]
fn a_log_that_is_deleted_and_applied_again_is_the_same_log() {
    let scene = Scene::beside_others("deleted");
    scene.two_locations("");
    scene.append("eu");
    until("it arrives", || (scene.count("us") == 1).then_some(()));
    scene
        .at("eu")
        .run(&["delete", "evlog,rlink", "orders", "--timeout=60s"])
        .unwrap()
        .done()
        .unwrap();
    until("its pods are gone", || {
        scene.at("eu").get("pod/orders-eu-0").is_err().then_some(())
    });
    for kept in [
        "pvc/data-orders-eu-pg-0",
        "secret/orders-eu-ca",
        "secret/orders-eu-pg",
        "configmap/orders-eu-witness",
    ] {
        scene.at("eu").get(kept).unwrap();
    }
    scene
        .at("eu")
        .apply(&scene.manifests(""))
        .unwrap()
        .done()
        .unwrap();
    // Without exchanging trust again.
    scene.synced();
    assert_eq!(scene.count("eu"), 1);
    scene.append("eu");
    scene.same();

    // Whoever asks for it loses the volume too, and here alone.
    let patch = [
        "patch",
        "evlog",
        "orders",
        "--type=merge",
        "-p",
        r#"{"spec": {"deletionPolicy": "Delete"}}"#,
    ];
    let eu = scene.at("eu");
    eu.run(&patch).unwrap().done().unwrap();
    until("the StatefulSet has it", || {
        let set = eu.get("statefulset/orders-eu-pg").ok()?;
        let policy = &set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"];
        (policy == "Delete").then_some(())
    });
    let owned = || {
        let claim = eu.get("pvc/data-orders-eu-pg-0").ok()?;
        claim["metadata"]["ownerReferences"]
            .is_array()
            .then_some(())
    };
    until("the volume is owned", owned);
    eu.run(&["delete", "evlog,rlink", "orders", "--timeout=60s"])
        .unwrap()
        .done()
        .unwrap();
    until("the volume is gone", || {
        eu.get("pvc/data-orders-eu-pg-0").is_err().then_some(())
    });
    eu.get("secret/orders-eu-ca").unwrap();
    eu.get("configmap/orders-eu-witness").unwrap();
    assert_eq!(
        scene.at("us").get("pvc/data-orders-us-pg-0").unwrap()["kind"],
        "PersistentVolumeClaim"
    );
}

#[test]
fn a_volume_that_is_lost_is_filled_again_by_the_others() {
    let scene = Scene::beside_others("emptied");
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
