//! What a person asks the command line about two clusters that run.

use std::env;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::scene::Scene;

/// In the payload of an event.
pub const PLANTED: &str = "4000-0012-3456-7899";

/// The row of a location in the lag matrix: its name, and how far each is behind it.
pub fn lags(scene: &Scene, location: &str) -> Vec<String> {
    let matrix = scene.tidelog(&["status"]);
    let mut lines = matrix.lines();
    let row = lines.rfind(|line| line.trim_start().starts_with(location));
    let row = row.unwrap_or_else(|| panic!("no row of {location}: {matrix}"));
    row.split_whitespace().map(str::to_owned).collect()
}

/// Everybody is up to date, by all tools.
pub fn agree(scene: &Scene) {
    // Who is how far behind whom.
    assert_eq!(lags(scene, "eu"), ["eu", "-", "0"]);
    assert_eq!(lags(scene, "us"), ["us", "0", "-"]);
    let matrix = scene.tidelog(&["status"]);
    let plugin = scene.directory().join("kubectl-tidelog");
    symlink(env::var_os("TIDELOG_CLI").unwrap(), &plugin).unwrap();
    let programs = scene.clusters.programs();
    let path = [scene.directory(), programs, Path::new("/usr/bin")];
    let said = Command::new(programs.join("kubectl"))
        .env("PATH", env::join_paths(path).unwrap())
        .args([
            "tidelog",
            "status",
            "--context",
            scene.clusters.context("eu"),
        ])
        .args(["--context", scene.clusters.context("us"), "--kubeconfig"])
        .arg(scene.clusters.kubeconfig())
        .args(["-n", &scene.namespace])
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(String::from_utf8(said.stdout).unwrap(), matrix);

    // What a helper gets.
    let file = scene.directory().join("report.tar.gz");
    let file = file.to_str().unwrap();
    scene.tidelog(&["report", "--file", file]);
    let listed = Command::new("tar").args(["-tzf", file]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for location in ["eu", "us"] {
        let context = scene.clusters.context(location);
        let pod = format!("orders-{location}-0");
        let told = { listed.lines() }.filter(|line| line.contains(context) && line.contains(&pod));
        let told: Vec<&str> = told.collect();
        for what in ["log", "status", "metrics"] {
            let is_there = told.iter().any(|line| line.contains(what));
            assert!(is_there, "no {what} of {pod}: {listed}");
        }
    }
    let unpack = ["-xzOf", file, "--wildcards", "*manifest.json"];
    let manifest = Command::new("tar").args(unpack).output().unwrap();
    let manifest: Value = serde_json::from_slice(&manifest.stdout).unwrap();
    assert!(manifest.is_object(), "{manifest}");
    // Nothing of what applications have written, and nothing that opens a door.
    let all = Command::new("tar").args(["-xzOf", file]).output().unwrap();
    let all = String::from_utf8_lossy(&all.stdout);
    let key = "go-template={{index .data \"password\" | base64decode}}";
    let password = scene
        .at("eu")
        .run(&["get", "secret", "orders-eu-pg", "-o", key]);
    let password = password.unwrap().done().unwrap().output;
    assert!(!password.is_empty());
    let stored = scene.tidelog(&["read", "--location", "eu", "-o", "json"]);
    assert!(stored.contains(PLANTED), "{stored}");
    for secret in [PLANTED, "PRIVATE KEY", &password] {
        assert!(!all.contains(secret), "the report has {secret}");
    }
}

/// How often each reason was published about an object.
pub fn told(scene: &Scene, location: &str, object: &str, reason: &str) -> i64 {
    let events = scene.at(location).run(&["get", "events", "-o", "json"]);
    let events: Value = serde_json::from_str(&events.unwrap().done().unwrap().output).unwrap();
    let is_it = |event: &&Value| {
        let about = &event["involvedObject"];
        let about = format!(
            "{}/{}",
            about["kind"].as_str().unwrap(),
            about["name"].as_str().unwrap()
        );
        about == object && event["reason"] == reason
    };
    let times = |event: &Value| {
        let series = event["series"]["count"].as_i64();
        series.or(event["count"].as_i64()).unwrap_or(1).max(1)
    };
    let events = events["items"].as_array().unwrap().iter();
    events.filter(is_it).map(times).sum()
}
