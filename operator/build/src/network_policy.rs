//! Who may open connections to the pods.

use serde_json::{Value, json};

use crate::names::{ADMIN_PORT, CLIENTS_PORT, METRICS_PORT, REPLICATION_PORT, selector};
use crate::{Place, Settings, metadata};

/// Other locations, applications and scrapers from anywhere, administration from the operator's namespace. The API listens inside the pod only; probes come from the
/// node, which policies let through.
pub(crate) fn sidecars(place: &Place<'_>, settings: &Settings) -> Value {
    let names = place.names();
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(place, &names.base(), "log"),
        "spec": {
            "podSelector": {"matchLabels": selector(&names, "log")},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [
                    {"protocol": "TCP", "port": REPLICATION_PORT},
                    {"protocol": "TCP", "port": METRICS_PORT},
                    {"protocol": "TCP", "port": CLIENTS_PORT},
                ]},
                {
                    "from": [{"namespaceSelector": {"matchLabels": {
                        "kubernetes.io/metadata.name": settings.operator_namespace,
                    }}}],
                    "ports": [{"protocol": "TCP", "port": ADMIN_PORT}],
                },
            ],
        },
    })
}

/// The database is for the pods of its location alone.
pub(crate) fn postgres(place: &Place<'_>) -> Value {
    let names = place.names();
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(place, &names.postgres(), "postgres"),
        "spec": {
            "podSelector": {"matchLabels": selector(&names, "postgres")},
            "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [{"podSelector": {"matchLabels": selector(&names, "log")}}],
                "ports": [{"protocol": "TCP", "port": 5432}],
            }],
        },
    })
}
