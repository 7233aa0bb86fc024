//! How the pods of a location are reached.

use serde_json::{Value, json};
use tidelog_api::Expose;

use crate::names::{ADMIN_PORT, CLIENTS_PORT, METRICS_PORT, REPLICATION_PORT, selector};
use crate::{Place, Settings, metadata};

/// The headless Service of the pods, what applications dial, and what other locations dial.
pub(crate) fn objects(place: &Place<'_>, settings: &Settings) -> Vec<Value> {
    let mut objects = vec![headless(place), clients(place)];
    let kind = match place.log.spec.expose {
        Expose::None => return objects,
        Expose::ClusterIP | Expose::TLSRoute => "ClusterIP",
        Expose::NodePort => "NodePort",
        Expose::LoadBalancer => "LoadBalancer",
    };
    objects.push(peers(place, kind));
    if place.log.spec.expose == Expose::TLSRoute {
        objects.extend(route(place, settings));
    }
    objects
}

fn headless(place: &Place<'_>) -> Value {
    let names = place.names();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(place, &names.base(), "log"),
        "spec": {
            "clusterIP": "None",
            // The operator speaks to a pod before it is ready: an empty database waits for its word.
            "publishNotReadyAddresses": true,
            "selector": selector(&names, "log"),
            "ports": [
                {"name": "metrics", "port": METRICS_PORT, "targetPort": "metrics"},
                {"name": "admin", "port": ADMIN_PORT, "targetPort": "admin"},
            ],
        },
    })
}

/// For applications elsewhere in the cluster. Whichever pod they meet leads them to the writer.
fn clients(place: &Place<'_>) -> Value {
    let names = place.names();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(place, &names.client(), "log"),
        "spec": {
            "selector": selector(&names, "log"),
            "ports": [{"name": "clients", "port": CLIENTS_PORT, "targetPort": "clients"}],
        },
    })
}

fn peers(place: &Place<'_>, kind: &str) -> Value {
    let names = place.names();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(place, &names.peers(), "log"),
        "spec": {
            "type": kind,
            "selector": selector(&names, "log"),
            "ports": [{"name": "replication", "port": REPLICATION_PORT, "targetPort": "replication"}],
        },
    })
}

/// A route by the name in the TLS handshake; without a Gateway, or without an endpoint to be reached at, there is none.
fn route(place: &Place<'_>, settings: &Settings) -> Option<Value> {
    let gateway = settings.gateway.as_ref()?;
    let endpoint = place.location.endpoint.as_ref()?;
    let names = place.names();
    Some(json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "TLSRoute",
        "metadata": metadata(place, &names.peers(), "log"),
        "spec": {
            "parentRefs": [{"namespace": gateway.namespace, "name": gateway.name}],
            "hostnames": [endpoint.host],
            "rules": [{"backendRefs": [{"name": names.peers(), "port": REPLICATION_PORT}]}],
        },
    }))
}
