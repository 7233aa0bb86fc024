//! What people see: columns, short names, categories, selectors, `kubectl explain`.

use tidelog_cluster_tests::Kubectl;

use crate::definitions::namespace;

const LOG: &str = "\
apiVersion: tidelog.dev/v1alpha1
kind: EventLog
metadata: {name: orders}
spec:
  application: {name: shop, version: '1.3'}
  locations: [{name: eu, endpoint: {host: orders.eu.example.com}}, {name: us}]
";

fn link(name: &str, log: &str) -> String {
    format!(
        "\
apiVersion: tidelog.dev/v1alpha1
kind: ReplicationLink
metadata: {{name: {name}}}
spec:
  eventLogRef: {{name: {log}}}
  topology: {{dense: {{locations: [eu, us]}}}}
"
    )
}

fn said(kubectl: &Kubectl, arguments: &[&str]) -> String {
    let answer = kubectl.run(arguments).unwrap().done().unwrap();
    answer.output
}

#[test]
fn lists_have_their_columns_short_names_and_category() {
    let kubectl = namespace("columns");
    kubectl.apply(LOG).unwrap().done().unwrap();
    kubectl
        .apply(&link("core", "orders"))
        .unwrap()
        .done()
        .unwrap();
    let columns = |arguments: &[&str]| {
        let text = said(&kubectl, arguments);
        let header = text.lines().next().unwrap_or_default().to_owned();
        header
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        columns(&["get", "evlog"]),
        "NAME LOCATION READY REASON HEAD AGE"
    );
    assert_eq!(
        columns(&["get", "evlog", "-o", "wide"]),
        "NAME LOCATION READY REASON HEAD AGE STORAGE"
    );
    assert_eq!(
        columns(&["get", "rlink"]),
        "NAME LOG TOPOLOGY EDGES READY SYNCED MAXLAG AGE"
    );
    let both = said(&kubectl, &["get", "tidelog", "-o", "name"]);
    assert_eq!(
        both,
        "eventlog.tidelog.dev/orders\nreplicationlink.tidelog.dev/core\n"
    );
}

#[test]
fn links_are_selected_by_their_log() {
    let kubectl = namespace("selected");
    for (name, log) in [("one", "orders"), ("two", "orders"), ("three", "audit")] {
        kubectl.apply(&link(name, log)).unwrap().done().unwrap();
    }
    let selector = "--field-selector=spec.eventLogRef.name=orders";
    assert_eq!(
        said(&kubectl, &["get", "rlink", selector, "-o", "name"]),
        "replicationlink.tidelog.dev/one\nreplicationlink.tidelog.dev/two\n"
    );
}

#[test]
fn defaults_are_written_by_the_server() {
    let kubectl = namespace("defaults");
    kubectl.apply(LOG).unwrap().done().unwrap();
    kubectl
        .apply(&link("core", "orders"))
        .unwrap()
        .done()
        .unwrap();
    let log = kubectl.get("evlog/orders").unwrap();
    assert_eq!(log["spec"]["replicas"], 1);
    assert_eq!(log["spec"]["expose"], "ClusterIP");
    assert_eq!(log["spec"]["deletionPolicy"], "Retain");
    assert_eq!(log["spec"]["locations"][0]["endpoint"]["port"], 7443);
    assert_eq!(log["spec"]["locations"][0]["state"], "Active");
    let link = kubectl.get("rlink/core").unwrap();
    assert_eq!(link["spec"]["batch"]["maxEvents"], 1000);
    assert_eq!(link["spec"]["lagThreshold"]["seconds"], 60);
    assert_eq!(link["spec"]["paused"], false);
}

#[test]
fn two_managers_may_own_different_locations_of_one_list() {
    let kubectl = namespace("managers");
    kubectl.apply(LOG).unwrap().done().unwrap();
    let of = |location: &str| {
        format!(
            "{{\"apiVersion\":\"tidelog.dev/v1alpha1\",\"kind\":\"EventLog\",\"metadata\":{{\"name\":\"orders\"}},\"status\":{{\"locations\":[{{\"name\":\"{location}\",\"ready\":true}}]}}}}"
        )
    };
    for location in ["eu", "us"] {
        let manager = format!("--field-manager=operator-{location}");
        let applied = kubectl
            .run_with(
                &[
                    "apply",
                    "--server-side",
                    "--subresource=status",
                    &manager,
                    "-f",
                    "-",
                ],
                &of(location),
            )
            .unwrap();
        applied.done().unwrap();
    }
    let log = kubectl.get("evlog/orders").unwrap();
    assert_eq!(
        log["status"]["locations"].as_array().unwrap().len(),
        2,
        "{log}"
    );
}

#[test]
fn explain_reads_like_documentation() {
    let kubectl = namespace("explained");
    for (path, sentence) in [
        ("evlog", "An event log that exists at several locations"),
        ("evlog.spec.locations", "never reused"),
        ("evlog.spec.storage", "exactly one of managed"),
        ("evlog.spec.expose", "this location dials out"),
        ("rlink.spec.topology", "exactly one of dense"),
        ("rlink.spec.filters.onError", "Stall stops the edge"),
        ("rlink.status.edges.lagSeconds", "absent when unknown"),
    ] {
        // Lines are broken anywhere.
        let text = said(&kubectl, &["explain", path]);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(sentence), "{path}: {text}");
    }
}
