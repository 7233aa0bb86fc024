//! What a log owned by an earlier spec and does not need any more: the budget of a second replica, the Service of another `expose`, the pods of a location that
//! has left.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::GroupVersionKind;
use tidelog_api::{EventLog, LocationState};

use crate::context::Context;
use crate::error::Error;

/// Every kind that is applied.
const KINDS: [(&str, &str, &str); 7] = [
    ("", "v1", "ConfigMap"),
    ("", "v1", "Service"),
    ("apps", "v1", "StatefulSet"),
    ("cert-manager.io", "v1", "Certificate"),
    ("gateway.networking.k8s.io", "v1alpha3", "TLSRoute"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("policy", "v1", "PodDisruptionBudget"),
];

/// Groups that not every cluster has, and that not every operator may use.
const OF_OTHERS: [&str; 2] = ["cert-manager.io", "gateway.networking.k8s.io"];

/// Deletes what this log owns and what is not among `wanted`, which holds kind and name.
pub(crate) async fn prune(
    context: &Context,
    log: &EventLog,
    wanted: &BTreeSet<(String, String)>,
) -> Result<(), Error> {
    let namespace = log.namespace().unwrap_or_default();
    let here = context.options.location.of(log);
    let is_here = |name: &str| here.iter().any(|location| location.name == name);
    let mine = format!(
        "app.kubernetes.io/managed-by=tidelog-operator,tidelog.dev/log={}",
        log.name_any()
    );
    for (group, version, kind) in KINDS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> =
            Api::namespaced_with(context.client.clone(), &namespace, &resource);
        let found = api
            .list_metadata(&ListParams::default().labels(&mine))
            .await;
        // A cluster without this kind has none of them; nor has one where the operator may not look because its chart was told not to use them.
        if let Err(kube::Error::Api(status)) = &found
            && OF_OTHERS.contains(&group)
            && (status.code == 404 || status.code == 403)
        {
            continue;
        }
        let found = found.map_err(Error::api(format!("list each {kind} in {namespace}")))?;
        for object in found {
            let name = object.name_any();
            let owned = object
                .owner_references()
                .iter()
                .any(|o| Some(&o.uid) == log.metadata.uid.as_ref());
            // A location of the log that another operator realises, or that this one is not to realise any more: nobody has said that it may go.
            let location = object.labels().get("tidelog.dev/location");
            let elsewhere = log.spec.locations.iter().any(|l| {
                l.state == LocationState::Active && Some(&l.name) == location && !is_here(&l.name)
            });
            if elsewhere || !owned || wanted.contains(&(kind.to_owned(), name.clone())) {
                continue;
            }
            let params = DeleteParams::background().preconditions(Preconditions {
                uid: object.uid(),
                resource_version: None,
            });
            match api.delete(&name, &params).await {
                Ok(_) => {
                    context.metrics.wrote(kind);
                    tracing::info!(namespace, name, kind, "deleted: it is not wanted any more");
                }
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    return Err(Error::api(format!("delete {kind} {namespace}/{name}"))(
                        error,
                    ));
                }
            }
        }
    }
    Ok(())
}
