use serde_json::json;

use super::*;

fn text(text: &str) -> String {
    Redactor::default().text(text)
}

#[test]
fn every_rule_compiles() {
    assert_eq!(COMPILED.len(), RULES.len());
}

#[test]
fn what_is_secret_by_its_form_goes_and_the_rest_of_the_line_stays() {
    for (before, after) in [
        (
            "cannot connect to postgres://tidelog:hu/nt@er2@db:5432/orders at all",
            "cannot connect to postgres://<redacted>@db:5432/orders at all",
        ),
        (
            "level=info password=hunter2 next=1",
            "level=info password=<redacted> next=1",
        ),
        (
            r#"{"level":"info","dbPassword":"hun\"ter2","port":5432}"#,
            r#"{"level":"info","dbPassword":<redacted>,"port":5432}"#,
        ),
        (
            "Authorization: Bearer abcdef123456",
            "Authorization: <redacted>",
        ),
        (
            "sent bearer abcdef123456 there",
            "sent bearer <redacted> there",
        ),
        (
            "saw eyJhbGciOiJI.eyJzdWIi.c2lnbmF0 here",
            "saw <redacted> here",
        ),
        (
            "appended payload={\"total\": 10} here",
            "appended payload=<redacted>",
        ),
        (
            "key: -----BEGIN EC PRIVATE KEY-----\nMIIB\n-----END EC PRIVATE KEY----- done",
            "key: <redacted> done",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIB", "<redacted>"),
    ] {
        assert_eq!(text(before), after);
    }
}

#[test]
fn what_is_harmless_stays() {
    for line in [
        "2026-11-22T10:00:00Z INFO event eu#9/3 stored at 3",
        "edge eu->us: connection refused (os error 111)",
        "tidelog_edge_lag_events{source=\"eu\",target=\"us\"} 12",
        "ConfigMap orders-eu-config applied",
        "-----BEGIN CERTIFICATE-----",
    ] {
        assert_eq!(text(line), line);
    }
}

#[test]
fn what_was_learned_from_a_secret_is_found_anywhere() {
    let mut redactor = Redactor::default();
    redactor.learn("postgres://tidelog:open-sesame@db/orders\n");
    redactor.learn("short");
    let seen = redactor.text("login failed: open-sesame is wrong, short stays");
    assert_eq!(seen, "login failed: <redacted> is wrong, short stays");
    assert_eq!(redactor.counts()["values of Secrets"], 1);
}

#[test]
fn a_pod_keeps_its_shape_and_loses_what_belongs_to_the_application() {
    let pod = json!({
        "kind": "Pod",
        "metadata": {
            "name": "orders-eu-0",
            "managedFields": [{"manager": "kubelet"}],
            "annotations": {
                LAST_APPLIED: "everything",
                "vault.example.com/role": "s3cr3t",
                "cni.projectcalico.org/podIP": "10.0.0.1",
                "deployment.kubernetes.io/revision": "3",
            },
        },
        "spec": {
            "containers": [{
                "name": "app", "image": "shop:1", "args": ["--password", "s3cr3t"],
                "env": [{"name": "A", "value": "s3cr3t"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "x", "value": "s3cr3t"}]}},
            }],
            "initContainers": [{
                "name": "tidelog", "image": "tidelog/sidecar:1", "args": ["--config", "/etc/tidelog"],
                "env": [{"name": "TIDELOG_LISTEN_ADVERTISED", "value": "$(POD_IP):7445"}],
            }],
            "volumes": [{"name": "v", "csi": {"driver": "d", "volumeAttributes": {"secretToken": "s3cr3t"}}}],
        },
        "status": {"containerStatuses": [{"name": "app", "lastState": {"terminated": {"exitCode": 1, "message": "s3cr3t"}}}]},
    });
    let mut redactor = Redactor::default();
    let seen = redactor.object(&pod, &["tidelog"]);
    assert!(!seen.to_string().contains("s3cr3t"), "{seen}");
    assert!(!seen.to_string().contains("everything"), "{seen}");
    let app = &seen["spec"]["containers"][0];
    assert_eq!(app["image"], "shop:1");
    assert_eq!(app["env"][1]["valueFrom"]["secretKeyRef"]["name"], "s");
    let sidecar = &seen["spec"]["initContainers"][0];
    assert_eq!(sidecar["args"][1], "/etc/tidelog");
    assert_eq!(sidecar["env"][0]["value"], "$(POD_IP):7445");
    assert_eq!(seen["metadata"]["managedFields"], Value::Null);
    assert_eq!(
        seen["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "3"
    );
    let exit = &seen["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(exit["exitCode"], 1);
    assert_eq!(redactor.counts()["annotations"], 3);
}

#[test]
fn of_secrets_and_config_maps_the_keys_stay() {
    let secret =
        json!({"kind": "Secret", "data": {"uri": "cG9zdGdyZXM="}, "metadata": {"name": "pg"}});
    let seen = Redactor::default().object(&secret, &[]);
    assert_eq!(seen["data"], json!({"uri": REDACTED}));
    assert_eq!(seen["metadata"]["name"], "pg");
}

#[test]
fn an_event_that_quotes_an_application_loses_its_words() {
    let event = |path: &str, reason: &str| {
        let event = json!({
            "kind": "Event", "reason": reason, "message": "probe said s3cr3t",
            "involvedObject": {"fieldPath": path},
        });
        Redactor::default().object(&event, &["tidelog"])["message"].clone()
    };
    assert_eq!(event("spec.containers{app}", "Unhealthy"), REDACTED);
    assert_eq!(
        event("spec.initContainers{tidelog}", "Unhealthy"),
        "probe said s3cr3t"
    );
    assert_eq!(event("spec.containers{app}", "Pulled"), "probe said s3cr3t");
}
