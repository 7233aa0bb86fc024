//! Fields and types: place, path, and what is allowed.

use expect_test::expect;

use crate::{link_with, log_with, refused};

#[test]
fn unknown_fields_are_named_with_what_is_allowed_and_what_was_meant() {
    expect![[r#"
        m.yaml:9:16: spec.locations[2].endpont: unknown field (did you mean `endpoint`?); allowed here: endpoint, exportFilter, name, state, storage
        m.yaml:10:3: spec.replica: unknown field (did you mean `replicas`?); allowed here: application, deletionPolicy, expose, locations, paused, replicas, storage, template, tls
        m.yaml:11:3: spec.zzz: unknown field; allowed here: application, deletionPolicy, expose, locations, paused, replicas, storage, template, tls
    "#]].assert_eq(&refused(&log_with(
        "  - {name: ap, endpont: {host: x}}\n  replica: 2\n  zzz: 1\n",
    )));
    expect![[r#"
        m.yaml:15:14: spec.topology.dens: unknown field (did you mean `dense`?); allowed here: dense, hubAndSpoke, pointToPoint
        m.yaml:17:28: spec.filters[0].onerror: unknown field (did you mean `onError`?); allowed here: cel, name, onError, sources, targets
    "#]].assert_eq(&refused(&link_with(
        "{dens: {locations: [eu, us]}}",
        "  filters:\n  - {name: f, cel: 'true', onerror: Stall}\n",
    )));
}

#[test]
fn wrong_types_say_what_is_needed_and_how_to_write_it() {
    let text = "\
apiVersion: tidelog.dev/v1alpha1
kind: EventLog
metadata: {name: orders}
spec:
  application: {name: [shop], version: 1.3}
  locations:
  - {name: no, endpoint: {host: eu.example.com, port: '7443'}}
  - {name: us, endpoint:}
  - ap
  - {name: 017}
  paused: maybe
  replicas: many
  storage: 20Gi
";
    expect![[r#"
        m.yaml:5:23: spec.application.name: a text is needed, a list was given
        m.yaml:5:40: spec.application.version: a text is needed, the number 1.3 was given; write it in quotes: "1.3"
        m.yaml:7:12: spec.locations[0].name: a text is needed, the boolean no was given; write it in quotes: "no"
        m.yaml:7:55: spec.locations[0].endpoint.port: a whole number is needed, the text "7443" was given; write it without quotes
        m.yaml:8:24: spec.locations[1].endpoint: a mapping is needed, nothing was given; give it a value or remove the field
        m.yaml:9:5: spec.locations[2]: a mapping is needed, the text "ap" was given
        m.yaml:10:12: spec.locations[3].name: a text is needed, the number 017 was given; write it in quotes: "017"
        m.yaml:11:11: spec.paused: true or false is needed, the text "maybe" was given
        m.yaml:12:13: spec.replicas: a whole number is needed, the text "many" was given
        m.yaml:13:12: spec.storage: a mapping is needed, the text "20Gi" was given
    "#]].assert_eq(&refused(text));
    expect![[r#"
        m.yaml:15:33: spec.topology.dense.locations: a list is needed, the text "eu" was given; write it in brackets or with a dash
        m.yaml:16:11: spec.paused: true or false is needed, the number 1 was given
    "#]].assert_eq(&refused(&link_with(
        "{dense: {locations: eu}}",
        "  paused: 1\n",
    )));
}

#[test]
fn bounds_patterns_and_enumerations_hold() {
    let long = "x".repeat(70);
    let text = log_with(&format!(
        "  - {{name: EU_1}}
  - {{name: {long}}}
  - {{name: ''}}
  - {{name: ap, endpoint: {{host: 'https://eu/', port: 70000}}, state: Gone}}
  replicas: 99999999999
  expose: Clusterip
  storage: {{managed: {{size: lots}}}}
"
    ));
    expect![[r#"
        m.yaml:9:12: spec.locations[2].name: "EU_1" is not a name: lower-case letters, digits and '-', beginning with a letter, ending with a letter or digit
        m.yaml:10:12: spec.locations[3].name: may have 63 characters, has 70
        m.yaml:11:12: spec.locations[4].name: needs at least 1 characters, has 0
        m.yaml:12:33: spec.locations[5].endpoint.host: "https://eu/" is not a host name or an IP address, without scheme, port or path
        m.yaml:12:54: spec.locations[5].endpoint.port: 70000 is not between 1 and 65535
        m.yaml:12:69: spec.locations[5].state: "Gone" is not allowed; allowed: Active, Decommissioned
        m.yaml:13:13: spec.replicas: 99999999999 is not between 1 and 5
        m.yaml:14:11: spec.expose: "Clusterip" is not allowed (did you mean `ClusterIP`?); allowed: None, ClusterIP, NodePort, LoadBalancer, TLSRoute
        m.yaml:15:29: spec.storage.managed.size: "lots" is not a size: a whole number with a unit such as Ki, Mi or Gi
    "#]].assert_eq(&refused(&text));
    expect![[r#"
        m.yaml:15:33: spec.topology.dense.locations: needs at least 2 entries, has 1
        m.yaml:16:22: spec.batch.maxEvents: 0 is not between 1 and 100000
    "#]]
    .assert_eq(&refused(&link_with(
        "{dense: {locations: [eu]}}",
        "  batch: {maxEvents: 0}\n",
    )));
}

#[test]
fn required_fields_are_required() {
    expect![[r#"
        m.yaml:4:7: spec.application: is required
        m.yaml:4:20: spec.locations[0].name: is required
    "#]].assert_eq(&refused(
        "apiVersion: tidelog.dev/v1alpha1\nkind: EventLog\nmetadata: {name: orders}\nspec: {locations: [{}]}\n",
    ));
    expect![[r#"
        m.yaml:1:1: metadata.name: is required
        m.yaml:1:1: spec: is required
    "#]]
    .assert_eq(&refused(
        "apiVersion: tidelog.dev/v1alpha1\nkind: EventLog\nmetadata: {}\n",
    ));
}

#[test]
fn keys_of_list_maps_and_entries_of_sets_are_unique() {
    expect![[r#"
        m.yaml:9:5: spec.locations[2]: name "eu" occurs twice in this list
    "#]]
    .assert_eq(&refused(&log_with("  - {name: eu}\n")));
    expect![[r#"
        m.yaml:15:50: spec.topology.hubAndSpoke.spokes[1]: "us" occurs twice in this list
        m.yaml:18:5: spec.filters[1]: name "f" occurs twice in this list
    "#]]
    .assert_eq(&refused(&link_with(
        "{hubAndSpoke: {hub: eu, spokes: [us, us]}}",
        "  filters:\n  - {name: f, cel: 'true'}\n  - {name: f, cel: 'false'}\n",
    )));
}

#[test]
fn problems_of_all_documents_are_collected() {
    let text =
        link_with("{dense: {location: [eu, us]}}", "").replace("version: '1.3'", "version: new");
    expect![[r#"
        m.yaml:5:38: spec.application.version: "new" is not a version: whole numbers with dots between them, such as 1.3
        m.yaml:15:21: spec.topology.dense.locations: is required
        m.yaml:15:22: spec.topology.dense.location: unknown field (did you mean `locations`?); allowed here: locations
    "#]].assert_eq(&refused(&text));
}
