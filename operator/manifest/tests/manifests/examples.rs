//! The examples are what their names promise.

use std::path::PathBuf;

use tidelog_manifest::{LogManifest, Manifests, plan_all, read};
use tidelog_topology::{FindingKind, Plan, Planner};

fn example(name: &str) -> (Manifests, Vec<Plan>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name);
    let manifests = read(&[path]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(manifests.notes, [], "{name}");
    // Where the others reach a location is a matter of clusters; a development network finds them by itself.
    let clusters_only = |log: &LogManifest| log.not_realised.iter().all(|field| field == "expose");
    assert!(manifests.logs.iter().all(clusters_only), "{name}");
    let plans = plan_all(&manifests, Planner::new());
    (manifests, plans)
}

fn kinds(plan: &Plan) -> Vec<FindingKind> {
    plan.findings.iter().map(|finding| finding.kind).collect()
}

fn edges(plan: &Plan) -> Vec<String> {
    plan.edges.keys().map(ToString::to_string).collect()
}

#[test]
fn shop_has_a_dense_middle_and_stores_behind_filters() {
    let (_, plans) = example("shop");
    let [plan] = plans.as_slice() else {
        panic!("one log")
    };
    assert_eq!(plan.log, "orders");
    assert_eq!(
        (plan.edges.len(), plan.components.len(), plan.bridges.len()),
        (10, 1, 2)
    );
    assert_eq!(kinds(plan), [FindingKind::SinglePointOfFailure]);
    let filtered: Vec<String> = plan
        .edges
        .values()
        .filter(|e| !e.filters.is_empty())
        .map(|e| e.id().to_string())
        .collect();
    assert_eq!(filtered, ["eu->store-17", "eu->store-23"]);
}

#[test]
fn three_logs_share_locations_and_nothing_else() {
    let (_, plans) = example("three-logs");
    let all: Vec<(&str, Vec<String>)> = plans
        .iter()
        .map(|plan| (plan.log.as_str(), edges(plan)))
        .collect();
    let m = ["a->b", "a->c", "b->a", "b->c", "c->a", "c->b"]
        .map(str::to_owned)
        .to_vec();
    let n = ["a->c", "c->a"].map(str::to_owned).to_vec();
    let o = ["a->b", "b->a"].map(str::to_owned).to_vec();
    assert_eq!(all, [("m", m), ("n", n), ("o", o)]);
    assert!(plans.iter().all(|plan| plan.findings.is_empty()));
}

#[test]
fn major_minor_has_eleven_locations_and_twenty_two_edges() {
    let (_, plans) = example("major-minor");
    let [plan] = plans.as_slice() else {
        panic!("one log")
    };
    assert_eq!((plan.locations.len(), plan.edges.len()), (11, 22));
    assert_eq!(
        (
            plan.components.len(),
            plan.bridges.len(),
            plan.islands.len()
        ),
        (1, 8, 1)
    );
    assert_eq!(kinds(plan), [FindingKind::SinglePointOfFailure]);
    let filtered: Vec<String> = plan
        .edges
        .values()
        .filter(|e| !e.filters.is_empty())
        .map(|e| e.id().to_string())
        .collect();
    assert_eq!(filtered, ["a->a3"]);
}

#[test]
fn filtered_cycle_is_refused_with_an_example_of_a_lost_event() {
    let (_, plans) = example("filtered-cycle");
    let [plan] = plans.as_slice() else {
        panic!("one log")
    };
    assert!(!plan.is_accepted());
    assert_eq!(kinds(plan), [FindingKind::FilteredCycle]);
    let example = plan.findings[0].example.as_ref().unwrap();
    assert!(example.contains("event 1 is lost at us"), "{example}");
}

#[test]
fn two_locations_copy_from_each_other() {
    let (_, plans) = example("two-locations");
    let [plan] = plans.as_slice() else {
        panic!("one log")
    };
    assert_eq!(edges(plan), ["eu->us", "us->eu"]);
    assert!(plan.findings.is_empty());
}

#[test]
fn one_cluster_has_two_locations_that_reach_each_other_by_their_services() {
    let (manifests, plans) = example("one-cluster");
    let [plan] = plans.as_slice() else {
        panic!("one log")
    };
    assert_eq!(edges(plan), ["eu->us", "us->eu"]);
    assert!(plan.findings.is_empty());
    let log = &manifests.logs[0].resource;
    let namespace = log.metadata.namespace.as_deref().unwrap();
    for location in &log.spec.locations {
        let endpoint = location.endpoint.as_ref().unwrap();
        let service = format!("orders-{}-peers.{namespace}.svc", location.name);
        assert_eq!((&endpoint.host, endpoint.port), (&service, 7443));
    }
}
