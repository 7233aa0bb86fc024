//! What stands around a spec.

use expect_test::expect;

use crate::{LOG, accepted, refused};

#[test]
fn other_kinds_status_and_server_metadata_are_skipped_with_a_note_each() {
    let text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\n---\n\
         apiVersion: v1\nkind: Secret\n---\n# nothing\n---\n{}status: {{head: 7, whatever: true}}\n",
        LOG.replace(
            "{name: orders}",
            "{name: orders, labels: {a: b}, uid: x, resourceVersion: '7', managedFields: [], creationTimestamp: null}"
        )
    );
    let notes: Vec<String> = accepted(&text)
        .notes
        .iter()
        .map(ToString::to_string)
        .collect();
    expect![[r#"
        m.yaml:1:1: apps/v1 Deployment web is skipped
        m.yaml:5:1: v1 Secret is skipped
        m.yaml:12:11: server metadata of EventLog orders is skipped (uid, resourceVersion, managedFields, creationTimestamp)
        m.yaml:18:1: status of EventLog orders is skipped"#]].assert_eq(&notes.join("\n"));
}

#[test]
fn kinds_and_versions_that_were_meant_to_be_ours_are_refused() {
    expect![[r#"
        m.yaml:2:7: kind: "Eventlog" is not a kind of tidelog.dev (did you mean `EventLog`?); there are EventLog and ReplicationLink
    "#]].assert_eq(&refused(
        "apiVersion: tidelog.dev/v1alpha1\nkind: Eventlog\nmetadata: {name: x}\n",
    ));
    expect![[r#"
        m.yaml:1:13: apiVersion: "tidelog.dev/v1" is not known; the only version is tidelog.dev/v1alpha1
    "#]].assert_eq(&refused(
        "apiVersion: tidelog.dev/v1\nkind: EventLog\nmetadata: {name: x}\n",
    ));
    expect![[r#"
        m.yaml:1:13: apiVersion: EventLog has apiVersion tidelog.dev/v1alpha1, "v1alpha1" was given
    "#]]
    .assert_eq(&refused(
        "apiVersion: v1alpha1\nkind: EventLog\nmetadata: {name: x}\n",
    ));
    expect![[r#"
        m.yaml:1:13: apiVersion: EventLog has apiVersion tidelog.dev/v1alpha1, "tidelog.io/v1alpha1" was given
    "#]].assert_eq(&refused(
        "apiVersion: tidelog.io/v1alpha1\nkind: EventLog\nmetadata: {name: x}\n",
    ));
}

#[test]
fn documents_that_are_no_manifests_are_refused() {
    expect![[r#"
        m.yaml:1:1: a manifest is a mapping with apiVersion and kind, a list was given
    "#]]
    .assert_eq(&refused("- a\n"));
    expect![[r#"
        m.yaml:1:1: kind: is required, for instance EventLog
    "#]]
    .assert_eq(&refused("hello: world\n"));
    expect![[r#"
        m.yaml:1:1: apiVersion: is required, for instance tidelog.dev/v1alpha1
    "#]]
    .assert_eq(&refused("kind: EventLog\n"));
    expect![[r#"
        m.yaml: no EventLog was found; a manifest has apiVersion tidelog.dev/v1alpha1 and kind EventLog
    "#]].assert_eq(&refused("# nothing\n"));
}

#[test]
fn metadata_is_checked_too() {
    let text = LOG.replace(
        "{name: orders}",
        "{name: Orders!, namespce: x, namespace: 7, labels: {a: true}, annotations: [x]}",
    );
    expect![[r#"
        m.yaml:3:18: metadata.name: "Orders!" is not a name: lower-case letters, digits and '-', at most 63 characters, beginning and ending with a letter or digit
        m.yaml:3:27: metadata.namespce: unknown field (did you mean `namespace`?); allowed here: annotations, labels, name, namespace
        m.yaml:3:51: metadata.namespace: a text is needed, the number 7 was given; write it in quotes
        m.yaml:3:66: metadata.labels.a: a text is needed, the boolean true was given; write it in quotes
        m.yaml:3:86: metadata.annotations: a mapping is needed, a list was given
    "#]].assert_eq(&refused(&text));
    expect![[r#"
        m.yaml:1:1: metadata.name: is required
        m.yaml:3:11: metadata: a mapping is needed, the text "orders" was given
    "#]]
    .assert_eq(&refused(&LOG.replace("{name: orders}", "orders")));
}
