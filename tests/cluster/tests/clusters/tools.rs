//! What a person asks the command line about two clusters that run.

use std::env;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::scene::Scene;

/// Everybody is up to date, by all tools.
pub fn agree(scene: &Scene) {
    // Who is how far behind whom.
    let matrix = scene.tidelog(&["status"]);
    let row = |location: &str| {
        let mut lines = matrix.lines();
        let row = lines.rfind(|line| line.trim_start().starts_with(location));
        let row = row.unwrap_or_else(|| panic!("no row of {location}: {matrix}"));
        row.split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(row("eu"), ["eu", "-", "0"], "{matrix}");
    assert_eq!(row("us"), ["us", "0", "-"], "{matrix}");
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
