//! The database of `managed` storage: one PostgreSQL with a volume, for trials and small sites.

use serde_json::{Value, json};
use tidelog_api::{DeletionPolicy, ManagedStorage};

use crate::names::selector;
use crate::{Place, Settings, labels, metadata, network_policy};

/// User and group of `postgres` in the image.
const USER: i64 = 999;
const DATA: &str = "/var/lib/postgresql/data";

pub(crate) fn objects(
    place: &Place<'_>,
    managed: &ManagedStorage,
    settings: &Settings,
) -> Vec<Value> {
    vec![
        service(place),
        network_policy::postgres(place),
        stateful_set(place, managed, settings),
    ]
}

fn service(place: &Place<'_>) -> Value {
    let names = place.names();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(place, &names.postgres(), "postgres"),
        "spec": {
            "clusterIP": "None",
            "selector": selector(&names, "postgres"),
            "ports": [{"name": "postgres", "port": 5432, "targetPort": "postgres"}],
        },
    })
}

fn stateful_set(place: &Place<'_>, managed: &ManagedStorage, settings: &Settings) -> Value {
    let names = place.names();
    let when_deleted = match place.log.spec.deletion_policy {
        DeletionPolicy::Retain => "Retain",
        DeletionPolicy::Delete => "Delete",
    };
    let ready = json!({"exec": {"command": ["pg_isready", "-U", "tidelog", "-d", "tidelog", "-h", "127.0.0.1"]}});
    let probe = |period: u32, failures: u32| {
        let mut probe = ready.clone();
        probe["periodSeconds"] = period.into();
        probe["timeoutSeconds"] = 5.into();
        probe["failureThreshold"] = failures.into();
        probe
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(place, &names.postgres(), "postgres"),
        "spec": {
            "replicas": 1,
            "serviceName": names.postgres(),
            "selector": {"matchLabels": selector(&names, "postgres")},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": when_deleted, "whenScaled": "Retain"},
            "volumeClaimTemplates": [{
                "metadata": {"name": "data", "labels": labels(&names, "postgres")},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": managed.size}},
                },
            }],
            "template": {
                "metadata": {"labels": labels(&names, "postgres")},
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": USER,
                        "runAsGroup": USER,
                        "fsGroup": USER,
                        "fsGroupChangePolicy": "OnRootMismatch",
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "imagePullSecrets": settings.pull_secrets(),
                    // The image names SIGINT as its stop signal: sessions end at once, and a checkpoint is written.
                    "terminationGracePeriodSeconds": 60,
                    "containers": [{
                        "name": "postgres",
                        "image": settings.postgres_image,
                        "imagePullPolicy": settings.image_pull_policy,
                        "env": [
                            {"name": "POSTGRES_USER", "value": "tidelog"},
                            {"name": "POSTGRES_DB", "value": "tidelog"},
                            {"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": names.postgres(), "key": "password"}}},
                            {"name": "POSTGRES_INITDB_ARGS", "value": "--auth-host=scram-sha-256 --data-checksums"},
                            // The root of a volume may hold `lost+found`.
                            {"name": "PGDATA", "value": format!("{DATA}/pgdata")},
                        ],
                        "ports": [{"name": "postgres", "containerPort": 5432}],
                        "startupProbe": probe(2, 150),
                        "readinessProbe": probe(5, 3),
                        "livenessProbe": probe(10, 6),
                        "resources": settings.postgres_resources,
                        "securityContext": crate::stateful_set::restricted(),
                        "volumeMounts": [
                            {"name": "data", "mountPath": DATA},
                            {"name": "run", "mountPath": "/var/run/postgresql"},
                            {"name": "tmp", "mountPath": "/tmp"},
                        ],
                    }],
                    "volumes": [
                        {"name": "run", "emptyDir": {}},
                        {"name": "tmp", "emptyDir": {}},
                    ],
                },
            },
        },
    })
}
