//! What is in the hashes and what is not.

use expect_test::expect;
use tidelog_topology::{Endpoint, ExportFilter, Link, Log, OnError, Plan};

use crate::fixtures::{dense, filtered, hub, log, paused, plan};

fn base() -> (Log, Vec<Link>) {
    let stores = filtered(
        hub("stores", "eu", "s1 s2"),
        "own",
        "eu -> *",
        "target == 's1'",
    );
    (
        log("eu us ap s1! s2!"),
        vec![dense("core", "eu us ap"), stores],
    )
}

fn planned(change: impl FnOnce(&mut Log, &mut Vec<Link>)) -> Plan {
    let (mut log, mut links) = base();
    change(&mut log, &mut links);
    plan(&log, &links)
}

#[test]
fn what_locations_need_not_agree_on_is_not_in_the_spec_hash() {
    let same = planned(|_, _| {}).spec_hash;
    assert_eq!(
        same,
        planned(|log, _| log.application.version = "2.0".into()).spec_hash
    );
    assert_eq!(same, planned(|log, _| log.locations.reverse()).spec_hash);
    assert_eq!(same, planned(|_, links| links.reverse()).spec_hash);
    assert_eq!(
        same,
        planned(|_, links| links[0] = dense("core", "ap us eu")).spec_hash
    );
    assert_eq!(
        same,
        planned(|_, links| links[0] = dense("renamed", "eu us ap")).spec_hash
    );
    assert_eq!(
        same,
        planned(|_, links| links[0] = paused(dense("core", "eu us ap"))).spec_hash
    );
    assert_eq!(
        same,
        planned(|_, links| links[0].batch.max_events = 7).spec_hash
    );
    assert_eq!(
        same,
        planned(|_, links| links[1].filters[0].name = "other".into()).spec_hash
    );
}

#[test]
fn what_locations_must_agree_on_is_in_the_spec_hash() {
    let filter = || {
        Some(ExportFilter {
            cel: "true".into(),
            on_error: OnError::Stall,
        })
    };
    let plans = [
        planned(|_, _| {}),
        planned(|log, _| log.name = "other".into()),
        planned(|log, _| log.application.name = "other".into()),
        planned(|log, _| log.locations[0].endpoint = None),
        planned(|log, _| {
            log.locations[0].endpoint = Some(Endpoint {
                host: "h".into(),
                port: 1,
            });
        }),
        planned(|log, _| log.locations[0].export_filter = filter()),
        planned(|log, _| drop(log.locations.pop())),
        planned(|_, links| drop(links.pop())),
        planned(|_, links| links[0] = dense("core", "eu us")),
        planned(|_, links| links[1].filters[0].cel = "target == 's2'".into()),
        planned(|_, links| links[1].filters[0].on_error = OnError::Drop),
        planned(|_, links| links[1].filters[0].targets = Some(vec!["s1".into()])),
        planned(|_, links| links[1].filters[0].sources = None),
    ];
    for (at, plan) in plans.iter().enumerate() {
        for (other_at, other) in plans.iter().enumerate().skip(at + 1) {
            assert_ne!(plan.spec_hash, other.spec_hash, "{at} {other_at}");
        }
    }
}

#[test]
fn the_plan_id_changes_with_filters_and_with_nothing_else() {
    let same = planned(|_, _| {}).plan_id;
    assert_eq!(same, planned(|log, _| log.name = "other".into()).plan_id);
    assert_eq!(same, planned(|_, links| drop(links.remove(0))).plan_id);
    assert_eq!(
        same,
        planned(|_, links| links[1].filters[0].name = "other".into()).plan_id
    );
    let filter = ExportFilter {
        cel: "true".into(),
        on_error: OnError::Stall,
    };
    assert_ne!(
        same,
        planned(|log, _| log.locations[0].export_filter = Some(filter)).plan_id
    );
    assert_ne!(
        same,
        planned(|_, links| links[1].filters[0].cel.push('0')).plan_id
    );
    assert_ne!(
        same,
        planned(|_, links| links[1].filters[0].on_error = OnError::Pass).plan_id
    );
    assert_ne!(
        same,
        planned(|_, links| links[1].filters[0].targets = Some(vec!["s1".into()])).plan_id
    );
    assert_ne!(same, planned(|_, links| links[1].filters.clear()).plan_id);
}

#[test]
fn edges_with_the_same_predicates_have_the_same_filter_hash() {
    let plan = planned(|_, _| {});
    let hash = |source: &str, target: &str| {
        plan.edges
            .values()
            .find(|e| e.source == source && e.target == target)
            .unwrap()
            .filter_hash
    };
    assert_eq!(hash("eu", "s1"), hash("eu", "s2"));
    assert_eq!(hash("s1", "eu"), hash("eu", "us"));
    assert_ne!(hash("eu", "s1"), hash("s1", "eu"));
}

#[test]
fn hashes_are_the_same_on_every_machine_and_in_every_release() {
    let plan = planned(|_, _| {});
    let hashes = format!("{} {}", plan.spec_hash, plan.plan_id);
    expect!["bca79bd12ce758352f479eae8d5630940df8a9ec68d0009d5202cdb18ee74072 bc8e81cf3ebc701d"]
        .assert_eq(&hashes);
}
