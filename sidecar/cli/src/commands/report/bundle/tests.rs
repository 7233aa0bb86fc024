use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use k8s_openapi::ByteString;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn packed(bundle: &mut Bundle) -> Vec<u8> {
    bundle.settle();
    let mut archive = Vec::new();
    let about = json!({"program": "test"});
    bundle.write("report", &about, 0, &mut archive).unwrap();
    archive
}

fn unpacked(archive: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(path, text);
    }
    files
}

#[test]
fn the_manifest_lists_what_is_there_and_what_is_not() {
    let mut bundle = Bundle::default();
    bundle.text("eu/a.log".into(), "password=hunter2\n");
    bundle.unread("eu/pods.yaml", &"may not list pods");
    let files = unpacked(&packed(&mut bundle));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["report/eu/a.log", "report/manifest.json"]);
    let manifest: Value = serde_json::from_str(&files["report/manifest.json"]).unwrap();
    assert_eq!(manifest["files"][0]["path"], "eu/a.log");
    assert_eq!(manifest["unread"][0]["why"], "may not list pods");
    assert_eq!(
        manifest["redacted"]["values that are named like secrets"],
        1
    );
}

#[test]
fn files_and_all_of_them_together_are_bounded() {
    let mut bundle = Bundle::default();
    let large = "x".repeat(FILE_BYTES_MAX + 1);
    for at in 0..=BUNDLE_BYTES_MAX / FILE_BYTES_MAX {
        // As `text` does it, without looking for secrets in all of that.
        bundle.file(format!("{at}.log"), large.clone());
    }
    assert_eq!(bundle.bytes, BUNDLE_BYTES_MAX);
    assert_eq!(
        bundle.left_out,
        [format!("{}.log", BUNDLE_BYTES_MAX / FILE_BYTES_MAX)]
    );
    assert_eq!(
        bundle.shortened.len(),
        BUNDLE_BYTES_MAX / FILE_BYTES_MAX + 1
    );
}

#[test]
fn a_context_is_one_part_of_a_path() {
    for (name, path) in [
        ("eu", "eu"),
        ("arn:aws:eks/eu", "arn_aws_eks_eu"),
        ("../../etc", "_.._etc"),
        ("..", "_"),
        ("", "_"),
    ] {
        assert_eq!(part(name), path);
    }
}

fn encoded(text: &str) -> String {
    let encoded = serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap();
    encoded.as_str().unwrap().to_owned()
}

/// A pod of an application beside the sidecar, with a secret in every place where people put them.
fn pod(secret: &str) -> Value {
    let container = json!({
        "name": "app", "image": "shop:1",
        "command": ["run", secret], "args": [format!("--key={secret}")],
        "env": [{"name": "HARMLESS", "value": secret}],
        "livenessProbe": {"httpGet": {"path": "/", "httpHeaders": [{"name": "X", "value": secret}]}},
        "lifecycle": {"postStart": {"exec": {"command": [secret]}}},
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "orders-eu-0", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": format!("{{\"x\":\"{secret}\"}}"),
            "example.com/key": secret,
        }},
        "spec": {
            "containers": [container], "initContainers": [container],
            "volumes": [{"name": "v", "csi": {"driver": "d", "volumeAttributes": {"x": secret}}}],
        },
        "status": {"containerStatuses": [{
            "name": "app",
            "state": {"terminated": {"message": secret}},
            "lastState": {"terminated": {"message": secret}},
        }]},
    })
}

fn log(secret: &str) -> Value {
    json!({
        "apiVersion": "tidelog.dev/v1alpha1", "kind": "EventLog",
        "metadata": {"name": "orders", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": format!("{{\"x\":\"{secret}\"}}"),
        }},
        "spec": {"template": {"metadata": {"annotations": {"a": secret}}, "spec": pod(secret)["spec"]}},
        "status": {"conditions": [{"message": format!("cannot reach postgres://u:{secret}@db/orders")}]},
    })
}

/// Lines as programs write them.
fn lines(secret: &str, quoted: &str) -> String {
    [
        format!("cannot connect to postgres://tidelog:{secret}@db.example.com:5432/orders"),
        format!("ERROR password={secret}"),
        format!("{{\"level\":\"info\",\"apiKey\":{quoted},\"port\":1}}"),
        format!("curl -H 'Authorization: Bearer {secret}'"),
        format!("event eu#1/3 payload: {{\"card\": {quoted}}} stored"),
        format!("event eu#1/4 metadata={{\"card\": {quoted}}}"),
        format!("GET /?access_key={secret} 200"),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----"),
    ]
    .join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Planted in every place at once, none is in the archive: neither by its place nor by its words.
    #[test]
    fn a_planted_secret_is_never_in_the_archive(
        // A mark that stands nowhere else, and signs that passwords have.
        secret in "zq[A-Za-z0-9_.~!$*+,;:@-]{8,24}qz",
        learned in "zw[ -~]{8,24}wz",
        order in any::<bool>(),
    ) {
        let mut bundle = Bundle::default();
        let quoted = serde_json::to_string(&secret).unwrap();
        let mention = format!("login with {learned} failed\n");
        if order {
            bundle.redactor.learn_encoded(&encoded(&learned));
        }
        bundle.text("operator.log".into(), &mention);
        if !order {
            bundle.redactor.learn_encoded(&encoded(&learned));
        }
        bundle.objects("pods.yaml".into(), &[pod(&secret), pod(&learned)], &["tidelog"]);
        bundle.objects("eventlogs.yaml".into(), &[log(&secret)], &["tidelog"]);
        bundle.text("tidelog.log".into(), &lines(&secret, &quoted));
        let held = json!({"kind": "Secret", "metadata": {"name": "pg"}, "data": {"uri": encoded(&secret)}});
        bundle.objects("secrets.yaml".into(), &[held], &[]);
        let event = json!({
            "kind": "Event", "reason": "Unhealthy", "message": secret,
            "involvedObject": {"fieldPath": "spec.containers{app}"},
        });
        bundle.objects("events.yaml".into(), &[event], &["tidelog"]);
        bundle.unread("status", &format!("no answer from postgres://u:{secret}@db"));
        bundle.json("status.json".into(), &json!({"message": format!("token: {secret}")}));
        for (path, text) in unpacked(&packed(&mut bundle)) {
            prop_assert!(!text.contains(&secret), "{path}: {text}");
            prop_assert!(!text.contains(&learned), "{path}: {text}");
            prop_assert!(!text.contains(&encoded(&secret)), "{path}: {text}");
        }
    }
}
