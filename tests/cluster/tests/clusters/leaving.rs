//! Deleting: volumes stay, what is applied again is found again, and nothing hangs.

use std::time::Instant;

use crate::scene::{SYSTEM, Scene, install, until, upgrade};

#[test]
fn nothing_hangs_when_the_operator_leaves_first() {
    let scene = Scene::new("uninstalled");
    scene.two_locations("");
    let begun = Instant::now();
    let uninstall = [
        "uninstall",
        "tidelog",
        "--namespace",
        SYSTEM,
        "--wait",
        "--timeout",
        "60s",
    ];
    scene
        .clusters
        .helm("eu", &uninstall)
        .unwrap()
        .done()
        .unwrap();
    println!(
        "figure: helm uninstall took {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    // The log goes on.
    scene.append("eu");
    until("it arrives", || (scene.count("us") == 1).then_some(()));
    let begun = Instant::now();
    let kubectl = scene.clusters.kubectl("eu");
    let delete = ["delete", "namespace", &scene.namespace, "--timeout=90s"];
    kubectl.run(&delete).unwrap().done().unwrap();
    println!(
        "figure: deleting the namespace took {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    install(scene.clusters, "eu");
}

/// The operator of `us` as another one of `eu`, until this is dropped.
struct SecondEu<'a>(&'a Scene);

impl Drop for SecondEu<'_> {
    fn drop(&mut self) {
        let all = ["delete", "evlog,rlink", "--all", "--timeout=60s"];
        let _ = self.0.at("us").run(&all);
        install(self.0.clusters, "us");
    }
}

#[test]
fn a_location_that_two_clusters_realise_is_trusted_in_neither_way() {
    let scene = Scene::new("claimed");
    let second = SecondEu(&scene);
    upgrade(scene.clusters, "us", &["--set", "location.name=eu"]);
    scene.apply(&scene.manifests(""));
    for cluster in ["eu", "us"] {
        until("an authority", || {
            let authority = scene.at(cluster).get("configmap/orders-eu-authority");
            authority.ok().map(drop)
        });
    }
    let whose = ["--namespace", &scene.namespace];
    for command in [&["trust", "--apply"][..], &["check"]] {
        let answer = scene.clusters.tidelog(&[&whose, command].concat()).unwrap();
        let said = format!("{}{}", answer.output, answer.errors);
        assert!(!answer.success, "{said}");
        assert!(said.contains("realise location eu"), "{said}");
        assert!(said.contains("location.name of its own"), "{said}");
    }
    drop(second);
}
