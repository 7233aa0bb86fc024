//! The pods of a location: the sidecar, and the application's containers where the log has a template.

use serde_json::{Map, Value, json};

use crate::names::{
    ADMIN_PORT, CLIENTS_PORT, CONFIG_KEY, CONTAINER, HEALTH_PORT, METRICS_PORT, REPLICATION_PORT,
    URI_KEY, paths, selector,
};
use crate::storage::{DatabaseSecret, database_secret};
use crate::{Place, Settings, labels, metadata};

/// User and group of the sidecar's image.
const USER: i64 = 65532;
/// The version of the application, on the pods that declare it.
const VERSION_NOTE: &str = "tidelog.dev/application-version";
/// Finishing appends, telling peers, recording the stop.
const GRACE_SECONDS: u32 = 30;

pub(crate) fn sidecars(place: &Place<'_>, settings: &Settings) -> Value {
    let names = place.names();
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(place, &names.base(), "log"),
        "spec": {
            "replicas": place.log.spec.replicas,
            "serviceName": names.base(),
            // The lease in the database decides who writes: nobody has to wait for another one.
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": selector(&names, "log")},
            "template": pod(place, settings),
        },
    })
}

/// What the `restricted` Pod Security Standard asks of a container.
pub(crate) fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

/// The pod: what the log's template says, and ours in front of it. What both say is ours, labels and annotations aside.
fn pod(place: &Place<'_>, settings: &Settings) -> Value {
    let names = place.names();
    let template = place.log.spec.template.clone().unwrap_or_default();
    let said = |field: &str| template.get(field).cloned().unwrap_or(Value::Null);
    let (said_metadata, mut spec) = (said("metadata"), object(said("spec")));
    let theirs = list(spec.remove("containers"));
    let mut before = list(spec.remove("initContainers"));
    let mut volumes = volumes(place);
    volumes.extend(list(spec.remove("volumes")));
    let mut sidecar = container(place, settings);
    let containers = if theirs.is_empty() {
        vec![sidecar]
    } else {
        // First in line, and it goes on when the others have begun: their first append finds it ready.
        sidecar["restartPolicy"] = "Always".into();
        before.insert(0, sidecar);
        theirs
    };
    for (field, value) in [
        ("automountServiceAccountToken", json!(false)),
        ("enableServiceLinks", json!(false)),
        ("containers", json!(containers)),
        ("volumes", json!(volumes)),
        ("terminationGracePeriodSeconds", json!(grace(&spec))),
    ] {
        spec.insert(field.to_owned(), value);
    }
    if !before.is_empty() {
        spec.insert("initContainers".to_owned(), json!(before));
    }
    spec.entry("securityContext").or_insert_with(|| {
        json!({
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        })
    });
    spec.entry("imagePullSecrets")
        .or_insert_with(|| json!(settings.pull_secrets()));
    // Also of a single one: a template that changed with `replicas` would replace the pods that run.
    spec.entry("topologySpreadConstraints").or_insert_with(|| {
        json!([{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(&names, "log")},
        }])
    });
    let mut all_labels = object(said_metadata["labels"].clone());
    all_labels.extend(object(labels(&names, "log")));
    // A process says it of itself from its start on: with another version the pods are replaced, one after the other.
    let mut notes = object(said_metadata["annotations"].clone());
    let version = json!(place.log.spec.application.version);
    notes.insert(VERSION_NOTE.to_owned(), version);
    let metadata = json!({"labels": all_labels, "annotations": notes});
    json!({"metadata": metadata, "spec": spec})
}

/// The longer of theirs and ours.
fn grace(spec: &Map<String, Value>) -> u64 {
    let said = spec.get("terminationGracePeriodSeconds");
    let said = said.and_then(Value::as_u64).unwrap_or_default();
    said.max(GRACE_SECONDS.into())
}

fn container(place: &Place<'_>, settings: &Settings) -> Value {
    // `live` and `ready` say nothing of peers or lag: a cut network must not restart or unlist a pod.
    let probe = |service: &str, period: u32, failures: u32| {
        json!({
            "grpc": {"port": HEALTH_PORT, "service": service},
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        })
    };
    json!({
        "name": CONTAINER,
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": ["--config", format!("{}/{CONFIG_KEY}", paths::CONFIG)],
        "ports": [
            {"name": "metrics", "containerPort": METRICS_PORT},
            {"name": "health", "containerPort": HEALTH_PORT},
            {"name": "replication", "containerPort": REPLICATION_PORT},
            {"name": "admin", "containerPort": ADMIN_PORT},
            {"name": "clients", "containerPort": CLIENTS_PORT},
        ],
        // Where the others of this location find it while it writes.
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "TIDELOG_LISTEN_ADVERTISED", "value": format!("$(POD_IP):{CLIENTS_PORT}")},
        ],
        "startupProbe": probe("startup", 1, 600),
        "readinessProbe": probe("ready", 2, 2),
        "livenessProbe": probe("live", 10, 3),
        "resources": settings.sidecar_resources,
        "securityContext": restricted(),
        "volumeMounts": mounts(place),
    })
}

fn mounts(place: &Place<'_>) -> Vec<Value> {
    let mut mounts = vec![
        json!({"name": "tidelog-config", "mountPath": paths::CONFIG, "readOnly": true}),
        json!({"name": "tidelog-witness", "mountPath": paths::WITNESS, "readOnly": true}),
        json!({"name": "tidelog-storage", "mountPath": paths::STORAGE, "readOnly": true}),
        json!({"name": "tidelog-state", "mountPath": paths::STATE}),
        json!({"name": "tidelog-run", "mountPath": paths::RUN}),
    ];
    if place.config.tls.is_some() {
        mounts.extend([
            json!({"name": "tidelog-tls", "mountPath": paths::TLS, "readOnly": true}),
            json!({"name": "tidelog-trust", "mountPath": paths::TRUST, "readOnly": true}),
        ]);
    }
    mounts
}

fn volumes(place: &Place<'_>) -> Vec<Value> {
    let names = place.names();
    let DatabaseSecret { name, key, .. } = database_secret(place.log, place.location);
    let mut volumes = vec![
        json!({"name": "tidelog-config", "configMap": {"name": names.config()}}),
        // There is none before the first start: the operator's word tells whether that is so.
        json!({"name": "tidelog-witness", "configMap": {"name": names.witness(), "optional": true}}),
        json!({"name": "tidelog-storage", "secret": {
            "secretName": name,
            "items": [{"key": key, "path": URI_KEY}],
            "defaultMode": 0o440,
        }}),
        // In memory: what a machine that lost its power finds on its disk is older than what was acknowledged, and would prove too much.
        json!({"name": "tidelog-state", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}),
        json!({"name": "tidelog-run", "emptyDir": {"medium": "Memory"}}),
    ];
    if place.config.tls.is_some() {
        let secret = place.log.spec.tls.as_ref();
        let secret = secret.and_then(|tls| tls.secret_name.clone());
        volumes.extend([
            json!({"name": "tidelog-tls", "secret": {
                "secretName": secret.unwrap_or_else(|| names.tls()),
                "defaultMode": 0o440,
            }}),
            json!({"name": "tidelog-trust", "configMap": {"name": names.trust()}}),
        ]);
    }
    volumes
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}
