//! Manifests that change while the network runs.

use serde_json::Value;

use crate::support::{Network, eventually, signal, text};

fn edge(network: &Network, source: &str, target: &str) -> Value {
    let status = network.json(&["status", "--location", target]);
    let edges = status["locations"][0]["edges"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    edges
        .into_iter()
        .find(|edge| edge["source"] == source && edge["target"] == target)
        .unwrap_or_default()
}

#[test]
fn links_and_filters_are_followed() {
    let shop = Network::of_copied_example("shop", 5);
    let dev = shop.start(&[]);
    shop.all_edges("Streaming", 10);
    shop.edit(
        "links.yaml",
        "event.metadata.store == target",
        "event.metadata.shop == target",
    );
    dev.says("the new plan is in force at orders/ap, orders/eu, orders/store-17");
    no_warnings(&shop);
    shop.edit(
        "links.yaml",
        "has(event.metadata.store)",
        "has(event.metadata.shop)",
    );
    shop.edit("links.yaml", "direction: Both", "direction: Both # changed");
    eventually("the new filter lets the event through", || {
        shop.append("eu", "ForTheShop", &["--metadata", "shop=store-23"]);
        if shop.ids("store-23").is_empty() {
            Err("nothing yet".to_owned())
        } else {
            Ok(())
        }
    });
    assert_eq!(shop.ids("store-17"), Vec::<String>::new());
    shop.edit(
        "links.yaml",
        "  topology:\n    dense:",
        "  paused: true\n  topology:\n    dense:",
    );
    shop.all_edges("Paused", 6);
    shop.edit("links.yaml", "  paused: true\n", "");
    shop.all_edges("Streaming", 10);
}

/// After a change all locations come to run the same plan, and say so.
fn no_warnings(network: &Network) {
    eventually("no location warns", || {
        let status = network.run(&["status"]);
        match text(&status.stderr) {
            "" => Ok(()),
            warnings => Err(warnings.to_owned()),
        }
    });
}

#[test]
fn a_plan_is_in_force_when_every_edge_goes_by_it() {
    let two = Network::of_copied_example("two-locations", 2);
    let eu = two.start(&["--only", "eu"]);
    let us = two.start(&["--only", "us"]);
    two.all_edges("Streaming", 2);
    // It has learned where the other one listens.
    eu.says("the new plan is in force at orders/eu");
    let filter_of = || {
        let edge = edge(&two, "us", "eu");
        (edge["filterHash"].clone(), edge["filterAgrees"].clone())
    };
    let (before, agreed) = filter_of();
    assert_eq!(agreed, true);
    // The source of one edge does not come to read the new manifests.
    signal(us.pid(), "STOP");
    two.edit(
        "manifests.yaml",
        "direction: Both}",
        "direction: Both}\n  filters:\n  - {name: some, cel: \"event.type == 'A'\"}",
    );
    eu.says("the new plan was given to orders/eu and is not in force yet; waiting for us->eu");
    let times = || eu.everything().matches("the new plan is in force").count();
    assert_eq!(times(), 1, "{}", eu.everything());
    let (still, agreed) = filter_of();
    assert_eq!((still, agreed), (before.clone(), Value::Null));
    signal(us.pid(), "CONT");
    eventually("the plan is in force at eu too", || match times() {
        2 => Ok(()),
        times => Err(format!("{times} times: {}", eu.everything())),
    });
    us.says("the new plan is in force at orders/us");
    let (now, agreed) = filter_of();
    assert!(now != before && agreed == true, "{now} {agreed}");
    no_warnings(&two);
}

#[test]
fn a_new_location_joins() {
    let two = Network::of_copied_example("two-locations", 3);
    let dev = two.start(&[]);
    two.append("eu", "Before", &[]);
    two.edit(
        "manifests.yaml",
        "  - {name: us, endpoint: {host: orders.us.example.com}}",
        "  - {name: us, endpoint: {host: orders.us.example.com}}\n  - {name: ap}",
    );
    dev.says("orders/ap was added and runs");
    two.edit(
        "manifests.yaml",
        "    pointToPoint: {source: eu, target: us, direction: Both}",
        "    dense: {locations: [eu, us, ap]}",
    );
    assert_eq!(two.holds("ap", 1), ["eu#1/1"]);
    two.edit(
        "manifests.yaml",
        "dense: {locations: [eu, us, ap]}",
        "dense: {locations: [eu, us]}",
    );
    eventually("the edge is gone", || match edge(&two, "eu", "ap") {
        Value::Null => Ok(()),
        edge => Err(edge.to_string()),
    });
    two.edit("manifests.yaml", "\n  - {name: ap}", "");
    dev.says("orders/ap is not in the manifests any more; restart needed to stop it");
}

#[test]
fn a_refused_plan_and_broken_files_change_nothing() {
    let shop = Network::of_copied_example("shop", 5);
    let dev = shop.start(&[]);
    shop.all_edges("Streaming", 10);
    shop.edit(
        "links.yaml",
        "      locations: [eu, us, ap]\n",
        "      locations: [eu, us, ap]\n  filters:\n  - {name: some, sources: [eu], targets: [us], cel: event.type != 'x'}\n",
    );
    dev.says("plan of orders refused, keeping the old one");
    dev.says("FilteredCycle");
    shop.edit(
        "links.yaml",
        "  filters:\n  - {name: some",
        "  filtres:\n  - {name: some",
    );
    dev.says("keeping the old plan");
    dev.says("did you mean `filters`?");
    shop.append("us", "StillFlowing", &[]);
    shop.holds("eu", 1);
}

#[test]
fn what_cannot_change_while_running_says_so() {
    let two = Network::of_copied_example("two-locations", 2);
    let dev = two.start(&[]);
    two.edit("manifests.yaml", "version: \"1.0\"", "version: \"1.1\"");
    dev.says("application.version was changed: restart needed (orders/eu, orders/us)");
    let version = || {
        let status = two.json(&["status", "--location", "eu"]);
        status["locations"][0]["applicationVersion"].clone()
    };
    assert_eq!(version(), "1.0");
    // What can change goes on changing, under the version of before.
    two.edit("manifests.yaml", "direction: Both", "direction: OneWay");
    dev.says("the new plan is in force at orders/eu, orders/us");
    two.append("eu", "Before", &[]);
    dev.stop();
    let dev = two.start(&[]);
    assert_eq!(version(), "1.1");
    two.append("eu", "After", &[]);
    assert_eq!(two.holds("us", 2).len(), 2);
    let events = two.ok(&["read", "--location", "us", "-o", "json"]);
    let stamps: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["applicationVersion"].clone())
        .collect();
    assert_eq!(stamps, ["1.0", "1.1"]);
    let said = dev.stop();
    assert!(!said.contains("restart needed"), "{said}");
}

#[test]
fn a_refused_plan_starts_nothing() {
    let network = Network::of_example("filtered-cycle", 3);
    let output = network.dev(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains("FilteredCycle") && complaint.contains("nothing was started"),
        "{complaint}"
    );
    assert!(!network.data_dir().exists());
}
