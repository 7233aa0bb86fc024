//! Upgrades of the chart: what is stored stays, and no pod of a log is replaced without need.

use serde_json::Value;

use crate::scene::{SYSTEM, Scene, install, until, upgrade};

/// The chart as it was, when this is dropped.
struct Back<'a>(&'a Scene);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        install(self.0.clusters, "eu");
    }
}

/// Uid of an object.
fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap().to_owned()
}

#[test]
fn an_upgrade_replaces_the_pods_of_a_log_only_for_another_image() {
    let Some(scene) = Scene::to_break("upgraded") else {
        return;
    };
    scene.two_locations("");
    scene.append("eu");
    until("it arrives", || (scene.count("us") == 1).then_some(()));
    let back = Back(&scene);
    let pod = |name: &str| scene.at("eu").get(&format!("pod/{name}"));
    let pods = || ["orders-eu-0", "orders-eu-pg-0"].map(|name| uid(&pod(name).unwrap()));
    let system = scene.clusters.kubectl("eu").in_namespace(SYSTEM);
    let deployment = || system.get("deployment/tidelog").unwrap();
    let (before, generation) = (pods(), deployment()["metadata"]["generation"].clone());

    // The operator is another one; it mends what is missing, so it has looked at everything.
    let values = ["--set", "logging.level=debug", "--set", "replicas=2"];
    upgrade(scene.clusters, "eu", &values);
    assert_ne!(deployment()["metadata"]["generation"], generation);
    let service = uid(&scene.at("eu").get("service/orders-eu-peers").unwrap());
    let delete = ["delete", "service", "orders-eu-peers"];
    scene.at("eu").run(&delete).unwrap().done().unwrap();
    until("the Service is there again", || {
        let again = scene.at("eu").get("service/orders-eu-peers").ok()?;
        (uid(&again) != service).then_some(())
    });
    scene.append("eu");
    scene.synced();
    assert_eq!(pods(), before, "pods of the log were replaced");

    // Another tag, for the same image: the sidecar is replaced, its database is not.
    let ctr = scene.clusters.programs().join("ctr");
    let image = |tag: &str| format!("docker.io/tidelog/sidecar:{tag}");
    let (old, new) = (image(env!("CARGO_PKG_VERSION")), image("next"));
    let tag = ["images", "tag", "--force", &old, &new];
    let run = ["run", "eu", ctr.to_str().unwrap(), "-n", "k8s.io"];
    let tagged = scene.clusters.kit(&[&run[..], &tag].concat());
    tagged.unwrap().done().unwrap();
    upgrade(scene.clusters, "eu", &["--set", "sidecar.image.tag=next"]);
    until("the sidecar has the other image", || {
        let pod = pod("orders-eu-0").ok()?;
        let containers = pod["spec"]["containers"].as_array()?.clone();
        let is_new =
            |container: &Value| container["image"].as_str() == Some("tidelog/sidecar:next");
        (uid(&pod) != before[0] && containers.iter().any(is_new)).then_some(())
    });
    scene.append_soon("eu");
    scene.synced();
    assert_eq!(pods()[1], before[1], "its database was replaced");
    until("everything is everywhere", || {
        (scene.count("eu") == 3 && scene.count("us") == 3).then_some(())
    });
    assert_eq!(scene.field("eu", "evlog/orders", "/status/incarnation"), 1);
    scene.same();
    drop(back);
}
