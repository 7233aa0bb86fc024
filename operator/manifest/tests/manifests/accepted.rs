//! What manifests become.

use expect_test::expect;
use tidelog_manifest::parse;

use crate::{LINK, LOG, accepted, link_with, log_with, one};

#[test]
fn a_log_and_its_link_become_planner_input() {
    let text = "\
apiVersion: tidelog.dev/v1alpha1
kind: EventLog
metadata: {name: orders, namespace: shop}
spec:
  application: {name: shop, version: \"1.3\"}
  locations:
  - {name: eu, endpoint: {host: orders.eu.example.com}}
  - name: us
    endpoint: {host: orders.us.example.com, port: 443}
    exportFilter: {cel: \"!has(event.metadata.residency)\", onError: Drop}
  - {name: store-17}
---
apiVersion: tidelog.dev/v1alpha1
kind: ReplicationLink
metadata: {name: orders-stores, namespace: shop}
spec:
  eventLogRef: {name: orders}
  topology:
    hubAndSpoke: {hub: eu, spokes: [store-17], direction: HubToSpokes, dial: Spoke}
  filters:
  - {name: own, sources: [eu], cel: 'true'}
  batch: {maxEvents: 10, maxBytes: 2Mi}
  lagThreshold: {events: 5}
  paused: true
";
    let manifests = accepted(text);
    let log = &manifests.logs[0];
    expect![[r#"
        Log {
            name: "orders",
            application: Application {
                name: "shop",
                version: "1.3",
            },
            locations: [
                Location {
                    name: "eu",
                    endpoint: Some(
                        Endpoint {
                            host: "orders.eu.example.com",
                            port: 7443,
                        },
                    ),
                    export_filter: None,
                },
                Location {
                    name: "us",
                    endpoint: Some(
                        Endpoint {
                            host: "orders.us.example.com",
                            port: 443,
                        },
                    ),
                    export_filter: Some(
                        ExportFilter {
                            cel: "!has(event.metadata.residency)",
                            on_error: Drop,
                        },
                    ),
                },
                Location {
                    name: "store-17",
                    endpoint: None,
                    export_filter: None,
                },
            ],
        }
        [
            Link {
                name: "orders-stores",
                topology: HubAndSpoke {
                    hub: "eu",
                    spokes: [
                        "store-17",
                    ],
                    direction: HubToSpokes,
                    dial: Spoke,
                },
                filters: [
                    LinkFilter {
                        name: "own",
                        sources: Some(
                            [
                                "eu",
                            ],
                        ),
                        targets: None,
                        cel: "true",
                        on_error: Stall,
                    },
                ],
                batch: Batch {
                    max_events: 10,
                    max_bytes: 2097152,
                },
                lag_threshold: LagThreshold {
                    events: 5,
                    seconds: 60,
                },
                paused: true,
            },
        ]"#]]
    .assert_eq(&format!("{:#?}\n{:#?}", log.log, log.links));
    assert_eq!(manifests.notes, []);
    assert_eq!(log.link_resources[0].spec.batch.max_bytes, "2Mi");
}

#[test]
fn what_needs_kubernetes_is_named_once() {
    let manifests = accepted(&log_with(
        "  storage: {managed: {size: 20Gi}}
  replicas: 2
  tls: {insecure: true}
  expose: LoadBalancer
  template: {spec: {containers: [{name: app, image: shop, anything: goes}]}}
  deletionPolicy: Delete
",
    ));
    assert_eq!(
        manifests.logs[0].not_realised,
        [
            "deletionPolicy",
            "expose",
            "replicas",
            "storage",
            "template",
            "tls"
        ]
    );
    assert_eq!(accepted(LOG).logs[0].not_realised, [] as [&str; 0]);
    let per_location = LOG.replace(
        "{name: us}",
        "{name: us, storage: {cloudNativePg: {clusterName: pg}}}",
    );
    assert_eq!(accepted(&per_location).logs[0].not_realised, ["storage"]);
}

#[test]
fn a_paused_log_pauses_its_links_and_locations_that_left_are_left_out() {
    let manifests = accepted(&format!(
        "{}{LINK}",
        log_with("  - {name: old, state: Decommissioned}\n  paused: true\n")
    ));
    assert!(manifests.logs[0].links[0].paused);
    assert_eq!(manifests.logs[0].log.locations.len(), 2);
}

#[test]
fn lists_are_taken_apart_and_json_is_yaml() {
    let text = r#"{
	"apiVersion": "v1",
	"kind": "List",
	"items": [
		{"apiVersion": "tidelog.dev/v1alpha1", "kind": "EventLogList", "items": [
			{"apiVersion": "tidelog.dev/v1alpha1", "kind": "EventLog", "metadata": {"name": "orders"},
			 "spec": {"application": {"name": "shop", "version": "1"}, "locations": [{"name": "eu"}, {"name": "us", "endpoint": {"host": "us", "port": 1}}]}}
		]},
		{"apiVersion": "tidelog.dev/v1alpha1", "kind": "ReplicationLink", "metadata": {"name": "l"},
		 "spec": {"eventLogRef": {"name": "orders"}, "topology": {"pointToPoint": {"source": "eu", "target": "us"}}}}
	]
}"#;
    let manifests = accepted(text);
    assert_eq!(manifests.logs[0].log.locations.len(), 2);
    assert_eq!(manifests.logs[0].links.len(), 1);
}

#[test]
fn anchors_aliases_and_merges_are_resolved() {
    let text = "\
apiVersion: tidelog.dev/v1alpha1
kind: EventLog
metadata: {name: orders}
spec:
  application: {name: shop, version: '1'}
  locations:
  - &base {name: eu, endpoint: &here {host: example.com, port: 1}}
  - {<<: *base, name: us}
  - {name: ap, endpoint: *here}
";
    let locations = accepted(text).logs.remove(0).log.locations;
    let names: Vec<_> = locations.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["eu", "us", "ap"]);
    assert!(
        locations
            .iter()
            .all(|l| l.endpoint == locations[0].endpoint && l.endpoint.is_some())
    );
}

#[test]
fn several_logs_keep_their_links_apart() {
    let other = LOG.replace("orders", "notes");
    let link = LINK
        .replace("core", "notes-core")
        .replace("name: orders", "name: notes");
    let manifests = accepted(&format!("{LOG}{LINK}---\n{other}{link}"));
    let names: Vec<_> = manifests
        .logs
        .iter()
        .map(|l| (l.log.name.as_str(), l.links[0].name.as_str()))
        .collect();
    assert_eq!(names, [("notes", "notes-core"), ("orders", "core")]);
}

#[test]
fn the_order_of_files_does_not_matter() {
    let mut sources = one(LINK);
    sources.extend(one(LOG));
    assert_eq!(parse(&sources).unwrap().logs[0].links.len(), 1);
}

#[test]
fn defaults_are_those_of_the_schema() {
    let manifests = accepted(&link_with("{pointToPoint: {source: eu, target: us}}", ""));
    let log = &manifests.logs[0];
    expect![[r#"
        [
          {
            "apiVersion": "tidelog.dev/v1alpha1",
            "kind": "EventLog",
            "metadata": {
              "name": "orders"
            },
            "spec": {
              "application": {
                "name": "shop",
                "version": "1.3"
              },
              "locations": [
                {
                  "name": "eu",
                  "endpoint": {
                    "host": "eu.example.com",
                    "port": 7443
                  },
                  "state": "Active"
                },
                {
                  "name": "us",
                  "state": "Active"
                }
              ],
              "replicas": 1,
              "expose": "ClusterIP",
              "deletionPolicy": "Retain",
              "paused": false
            }
          },
          [
            {
              "apiVersion": "tidelog.dev/v1alpha1",
              "kind": "ReplicationLink",
              "metadata": {
                "name": "core"
              },
              "spec": {
                "eventLogRef": {
                  "name": "orders"
                },
                "topology": {
                  "pointToPoint": {
                    "source": "eu",
                    "target": "us",
                    "direction": "OneWay"
                  }
                },
                "batch": {
                  "maxEvents": 1000,
                  "maxBytes": "4Mi"
                },
                "lagThreshold": {
                  "events": 1000,
                  "seconds": 60
                },
                "paused": false
              }
            }
          ]
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&(&log.resource, &log.link_resources)).unwrap());
}
