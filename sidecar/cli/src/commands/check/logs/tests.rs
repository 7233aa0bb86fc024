use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidelog_access::kinds;

use super::super::finding::Unread;
use super::super::seen::{Named, named, neighbours};
use super::*;

/// A log of `eu` and `us` whose cluster realises `eu`.
pub fn seen(spec: Value, conditions: Value) -> SeenLog {
    let mut log = json!({
        "apiVersion": "tidelog.dev/v1alpha1",
        "kind": "EventLog",
        "metadata": {"name": "orders", "namespace": "shop", "generation": 1},
        "spec": {
            "application": {"name": "shop", "version": "1.3"},
            "locations": [
                {"name": "eu", "endpoint": {"host": "orders.eu.example.com"}},
                {"name": "us", "endpoint": {"host": "orders.us.example.com"}},
            ],
        },
        "status": {"observedGeneration": 1, "locations": [{"name": "eu"}], "conditions": conditions},
    });
    for (field, value) in spec.as_object().unwrap() {
        log["spec"][field] = value.clone();
    }
    SeenLog {
        log: serde_json::from_value(log).unwrap(),
        links: Ok(vec![]),
        sets: Ok(vec![]),
        pods: Ok(vec![]),
        named: vec![],
        vouched: BTreeMap::new(),
    }
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": "a sentence",
        "lastTransitionTime": "2026-11-22T10:00:00Z",
    })
}

fn told(judge: impl Fn(&mut Findings)) -> Vec<(Level, String, String)> {
    let mut findings = Findings::default();
    judge(&mut findings);
    let all = findings.all().iter();
    all.map(|f| (f.level, f.check.clone(), f.hint.clone()))
        .collect()
}

fn of_conditions(all: Value) -> Vec<(Level, String, String)> {
    let all: Vec<Condition> = serde_json::from_value(all).unwrap();
    told(|findings| conditions("log", (Some(1), Some(1)), &all, findings))
}

#[test]
fn what_is_as_wished_takes_one_line() {
    let lines = of_conditions(json!([
        condition("Ready", "True", "Serving"),
        condition("Stalled", "False", "Progressing"),
        condition("Reconciling", "False", "Done"),
    ]));
    assert_eq!(
        lines,
        [(
            Level::Ok,
            "log: 3 conditions as wished".to_owned(),
            String::new()
        )]
    );
}

#[test]
fn one_reason_is_told_once_at_the_bottom_of_things_with_its_hint() {
    let lines = of_conditions(json!([
        condition("Ready", "False", "SecretNotFound"),
        condition("StorageReady", "False", "SecretNotFound"),
        condition("PeersAgree", "Unknown", "StatusUnknown"),
        condition("Reconciling", "False", "Refused"),
        condition("Stalled", "True", "SecretNotFound"),
    ]));
    assert_eq!(lines.len(), 2, "{lines:?}");
    let (level, check, what) = &lines[0];
    assert_eq!(*level, Level::Fail);
    assert_eq!(check, "log: StorageReady=False SecretNotFound: a sentence");
    assert!(what.starts_with("Create the Secret"), "{what}");
    assert_eq!(lines[1].0, Level::Warn);
}

#[test]
fn what_is_meant_or_passes_is_a_warning() {
    for (type_, status, reason, level) in [
        ("Connected", "False", "Paused", Level::Warn),
        ("Synced", "False", "Lagging", Level::Warn),
        ("CertificatesReady", "False", "Insecure", Level::Warn),
        ("Reconciling", "True", "StorageUnavailable", Level::Warn),
        ("Connected", "False", "PeerUnreachable", Level::Fail),
        ("Accepted", "False", "FilteredCycle", Level::Fail),
        ("Stalled", "True", "Forbidden", Level::Fail),
        ("Available", "True", "NotLocal", Level::Warn),
        ("Connected", "True", "NotLocal", Level::Ok),
    ] {
        let lines = of_conditions(json!([condition(type_, status, reason)]));
        assert_eq!(lines[0].0, level, "{type_}={status} {reason}");
    }
    let lines = of_conditions(json!([condition("Ready", "False", "OfTomorrow")]));
    assert!(lines[0].2.contains("another version"), "{lines:?}");
}

#[test]
fn a_log_that_nobody_has_looked_at_and_one_that_has_changed() {
    let none = told(|f| conditions("log", (Some(1), None), &[], f));
    assert_eq!(none[0].0, Level::Fail);
    let well: Vec<Condition> =
        serde_json::from_value(json!([condition("Ready", "True", "Serving")])).unwrap();
    let old = told(|f| conditions("log", (Some(2), Some(1)), &well, f));
    assert_eq!(old[0].0, Level::Warn);
}

#[test]
fn what_a_person_has_to_provide_is_looked_for() {
    let spec = json!({
        "storage": {"external": {"uriSecretRef": {"name": "orders-pg", "key": "uri"}}},
        "tls": {"secretName": "orders-cert", "trustBundles": [{"name": "peers", "key": "us.crt", "locations": ["us"]}]},
    });
    let mut seen = seen(spec, json!([]));
    let wanted = named(&seen.log, &seen.here());
    let names: Vec<&str> = wanted.iter().map(|named| named.name.as_str()).collect();
    assert_eq!(
        names,
        ["orders-pg", "orders-cert", "orders-eu-admin", "peers"]
    );
    let answers: [Answer; 4] = [
        Ok(None),
        Ok(Some(vec!["tls.crt".into()])),
        Err(Unread {
            forbidden: true,
            why: "may not".into(),
        }),
        Ok(Some(vec!["us.crt".into()])),
    ];
    seen.named = wanted.into_iter().zip(answers).collect();
    let lines = told(|f| provided(&seen, f));
    let levels: Vec<Level> = lines.iter().map(|(level, _, _)| *level).collect();
    assert_eq!(levels, [Level::Fail, Level::Fail, Level::Warn, Level::Ok]);
    assert!(lines[1].1.ends_with("has no key tls.key"), "{}", lines[1].1);
}

type Answer = super::super::finding::Answer<Option<Vec<String>>>;

#[test]
fn peers_are_those_with_an_edge_and_a_bundle_vouches_as_well() {
    let spec =
        json!({"tls": {"trustBundles": [{"name": "peers", "key": "ca", "locations": ["us"]}]}});
    let mut seen = seen(spec, json!([]));
    let link = json!({
        "apiVersion": "tidelog.dev/v1alpha1", "kind": "ReplicationLink", "metadata": {"name": "core"},
        "spec": {"eventLogRef": {"name": "orders"}, "topology": {"dense": {"locations": ["eu", "us", "gone"]}}},
    });
    let links = vec![serde_json::from_value(link).unwrap()];
    let peers = neighbours(&seen.log, &links, &seen.here());
    assert_eq!(peers.into_iter().collect::<Vec<_>>(), ["us"]);
    seen.vouched = BTreeMap::from([("ap".to_owned(), Ok(false)), ("us".to_owned(), Ok(false))]);
    let levels: Vec<Level> = told(|f| trusted(&seen, f))
        .into_iter()
        .map(|l| l.0)
        .collect();
    assert_eq!(levels, [Level::Fail, Level::Ok]);
}

#[test]
fn a_named_object_says_what_it_is() {
    let named = Named {
        kind: kinds::SECRETS,
        name: "orders-pg".into(),
        keys: vec!["uri".into()],
        field: "storage of eu".into(),
    };
    let mut seen = seen(json!({}), json!([]));
    seen.named = vec![(named, Ok(None))];
    let lines = told(|f| provided(&seen, f));
    assert_eq!(
        lines[0].1,
        "Secret orders-pg (storage of eu) does not exist"
    );
}

#[test]
fn an_endpoint_that_leads_nowhere_fails() {
    let spec = json!({"locations": [
        {"name": "eu", "endpoint": {"host": "localhost"}},
        {"name": "us", "endpoint": {"host": "orders.us.example.com"}},
    ]});
    let lines = told(|f| endpoints(&seen(spec.clone(), json!([])), "log", f));
    assert_eq!(lines[0].0, Level::Fail);
    assert_eq!(lines[1].0, Level::Ok);
}
