//! Rules of the schema, evaluated offline with the words of the API server.

use expect_test::expect;

use crate::{LINK, LOG, link_with, log_with, refused};

#[test]
fn exactly_one_of_several_is_needed() {
    expect![[r#"
        m.yaml:9:12: spec.storage: storage takes exactly one of managed, cloudNativePg, external
    "#]]
    .assert_eq(&refused(&log_with("  storage: {}\n")));
    expect![[r#"
        m.yaml:9:12: spec.storage: storage takes exactly one of managed, cloudNativePg, external
    "#]]
    .assert_eq(&refused(&log_with(
        "  storage: {managed: {}, cloudNativePg: {clusterName: x}}\n",
    )));
    expect![[r#"
        m.yaml:9:8: spec.tls: tls takes at most one of issuerRef, secretName, insecure: true
    "#]]
    .assert_eq(&refused(&log_with(
        "  tls: {secretName: s, insecure: true}\n",
    )));
    expect![[r#"
        m.yaml:15:13: spec.topology: topology takes exactly one of dense, hubAndSpoke, pointToPoint
    "#]]
    .assert_eq(&refused(&link_with("{}", "")));
    expect![[r#"
        m.yaml:15:13: spec.topology: topology takes exactly one of dense, hubAndSpoke, pointToPoint
    "#]]
    .assert_eq(&refused(&link_with(
        "{dense: {locations: [eu, us]}, pointToPoint: {source: eu, target: us}}",
        "",
    )));
}

#[test]
fn a_hub_is_no_spoke_and_source_is_not_target() {
    expect![[r#"
        m.yaml:15:27: spec.topology.hubAndSpoke: the hub is not one of its own spokes
    "#]]
    .assert_eq(&refused(&link_with(
        "{hubAndSpoke: {hub: eu, spokes: [us, eu]}}",
        "",
    )));
    expect![[r#"
        m.yaml:15:28: spec.topology.pointToPoint: source and target are two locations
    "#]]
    .assert_eq(&refused(&link_with(
        "{pointToPoint: {source: eu, target: eu}}",
        "",
    )));
}

#[test]
fn names_fit_what_they_name_in_kubernetes() {
    expect![[r#"
        m.yaml:1:1: metadata.name of an EventLog takes lower-case letters, digits and '-', begins with a letter and ends with a letter or digit
    "#]].assert_eq(&refused(&LOG.replace("name: orders", "name: 1orders")));
    expect![[r#"
        m.yaml:1:1: metadata.name and the name of a location may have 48 characters together: <log>-<location>-pg names a StatefulSet
    "#]].assert_eq(&refused(
        &LOG.replace("name: orders", &format!("name: {}", "o".repeat(50))),
    ));
}

#[test]
fn links_need_their_log_in_the_same_namespace() {
    expect![[r#"
        m.yaml:10:1: spec.eventLogRef.name: there is no EventLog order in these manifests (did you mean `orders`?); there are orders
    "#]].assert_eq(&refused(&format!(
        "{LOG}{}",
        LINK.replace("name: orders", "name: order")
    )));
    expect![[r#"
        m.yaml:10:1: spec.eventLogRef.name: a link and its log are in the same namespace, but this link is shop/core and the log is orders
    "#]].assert_eq(&refused(&format!(
        "{LOG}{}",
        LINK.replace("name: core", "name: core, namespace: shop")
    )));
    expect![[r#"
        m.yaml: no EventLog was found; a manifest has apiVersion tidelog.dev/v1alpha1 and kind EventLog
        m.yaml:2:1: spec.eventLogRef.name: there is no EventLog orders in these manifests
    "#]].assert_eq(&refused(LINK));
}

#[test]
fn names_are_there_once() {
    expect![[r#"
        m.yaml:10:1: metadata.name: EventLog orders was already written at m.yaml:1:1; remove one
        m.yaml:26:1: metadata.name: ReplicationLink core was already written at m.yaml:19:1; remove one
    "#]].assert_eq(&refused(&format!("{LOG}---\n{LOG}{LINK}{LINK}")));
    let elsewhere = LOG.replace("name: orders", "name: orders, namespace: other");
    expect![[r#"
        m.yaml:10:1: metadata.namespace: log orders is also in another namespace, at m.yaml:1:1; read the manifests of one namespace at a time
    "#]].assert_eq(&refused(&format!("{LOG}---\n{elsewhere}")));
}

/// Evaluates the transition rule with this message.
fn change(kind: &str, message: &str, old: serde_json::Value, new: serde_json::Value) -> bool {
    fn find<'a>(schema: &'a serde_json::Value, message: &str) -> Option<&'a str> {
        let rules = schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten();
        let here = rules
            .filter(|rule| {
                rule["message"]
                    .as_str()
                    .is_some_and(|text| text.starts_with(message))
            })
            .find_map(|rule| rule["rule"].as_str());
        here.or_else(|| {
            let properties = schema["properties"].as_object().into_iter().flatten();
            properties
                .map(|(_, below)| below)
                .chain(schema.get("items"))
                .find_map(|below| find(below, message))
        })
    }
    let schema = tidelog_api::object_schema(kind)
        .expect("a schema")
        .expect("a known kind");
    let rule = find(&schema, message).expect("a rule with this message");
    let mut context = cel::Context::default();
    context.add_variable("oldSelf", old).expect("a value");
    context.add_variable("self", new).expect("a value");
    let result = cel::Program::compile(rule)
        .expect("a rule")
        .execute(&context);
    result.expect("a result") == cel::Value::Bool(true)
}

#[test]
fn what_must_not_change_does_not() {
    use serde_json::json;
    let name = |old: &str, new: &str| {
        change(
            "EventLog",
            "application.name cannot be changed",
            json!(old),
            json!(new),
        )
    };
    assert!(name("shop", "shop"));
    assert!(!name("shop", "other"));
    let log = |old: &str, new: &str| {
        change(
            "ReplicationLink",
            "eventLogRef cannot be changed",
            json!({"name": old}),
            json!({"name": new}),
        )
    };
    assert!(log("orders", "orders"));
    assert!(!log("orders", "other"));
    let domain = |old: serde_json::Value, new: serde_json::Value| {
        change("EventLog", "tls.trustDomain cannot be changed", old, new)
    };
    let tls = |domain: &str, insecure: bool| json!({"tls": {"trustDomain": domain, "insecure": insecure}});
    assert!(domain(json!({}), tls("tidelog", false)));
    assert!(!domain(json!({}), tls("example.com", false)));
    assert!(!domain(tls("example.com", false), json!({})));
    assert!(domain(tls("tidelog", true), tls("example.com", false)));
}

#[test]
fn a_managed_volume_keeps_its_size_wherever_that_is_said() {
    use serde_json::{Value, json};
    let managed = |size: &str| json!({"managed": {"size": size}});
    let log = |all: Option<Value>, own: Option<Value>| {
        let mut log = json!({"locations": [{"name": "eu"}]});
        if let Some(all) = all {
            log["storage"] = all;
        }
        if let Some(own) = own {
            log["locations"][0]["storage"] = own;
        }
        log
    };
    let may = |old: &Value, new: &Value| {
        let (old, new) = (old.clone(), new.clone());
        change("EventLog", "storage.managed.size of a location", old, new)
    };
    let outside = json!({"external": {"uriSecretRef": {"name": "pg", "key": "uri"}}});
    let same = [
        log(None, None),
        log(Some(managed("10Gi")), None),
        log(None, Some(managed("10Gi"))),
        log(Some(managed("20Gi")), Some(managed("10Gi"))),
    ];
    let others = [
        log(Some(managed("20Gi")), None),
        log(None, Some(managed("20Gi"))),
        log(Some(managed("10Gi")), Some(managed("20Gi"))),
    ];
    for one in &same {
        assert!(same.iter().all(|other| may(one, other)), "{one}");
        assert!(
            others
                .iter()
                .all(|other| !may(one, other) && !may(other, one)),
            "{one}"
        );
        assert!(may(one, &log(Some(outside.clone()), None)), "{one}");
        assert!(may(&log(None, Some(outside.clone())), one), "{one}");
    }
}

#[test]
fn a_location_leaves_only_after_it_was_decommissioned_and_does_not_come_back() {
    use serde_json::json;
    let leaves = |state: &str| {
        let old = json!({"locations": [{"name": "eu", "state": "Active"}, {"name": "us", "state": state}]});
        let new = json!({"locations": [{"name": "ap"}, {"name": "eu"}]});
        change("EventLog", "a location leaves the list", old, new)
    };
    assert!(leaves("Decommissioned"));
    assert!(!leaves("Active"));
    let turns = |old: &str, new: &str| {
        let location = |state: &str| json!({"name": "us", "state": state});
        change(
            "EventLog",
            "a location that was decommissioned",
            location(old),
            location(new),
        )
    };
    assert!(turns("Active", "Decommissioned"));
    assert!(turns("Decommissioned", "Decommissioned"));
    assert!(!turns("Decommissioned", "Active"));
}
