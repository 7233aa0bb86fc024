//! What a log owned by an earlier spec and does not need any more: the budget of a second replica, the Service of another `expose`, the pods of a location that
//! has left.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use tidelog_api::{EventLog, LocationState};

use crate::context::Context;
use crate::database;
use crate::error::Error;

/// Every kind that is applied.
const KINDS: [(&str, &str, &str); 7] = [
    ("", "v1", "ConfigMap"),
    ("", "v1", "Service"),
    ("apps", "v1", "StatefulSet"),
    ("cert-manager.io", "v1", "Certificate"),
    ("gateway.networking.k8s.io", "v1", "TLSRoute"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("policy", "v1", "PodDisruptionBudget"),
];

/// Groups that not every cluster has, and that not every operator may use.
const OF_OTHERS: [&str; 2] = ["cert-manager.io", "gateway.networking.k8s.io"];

/// Deletes what this log owns and what is not among `wanted`, which holds kind and name. False: something has to wait.
pub(crate) async fn prune(
    context: &Context,
    log: &EventLog,
    wanted: &BTreeSet<(String, String)>,
) -> Result<bool, Error> {
    let mut is_done = true;
    for (group, version, kind) in KINDS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        for object in owned(context, log, &resource).await? {
            let name = object.name_any();
            if wanted.contains(&(kind.to_owned(), name.clone()))
                || is_elsewhere(context, log, &object)
            {
                continue;
            }
            // A database is in use for longer than it is wanted, and with it a volume could go.
            if !database::may_go(context, log, (kind, &object)).await? {
                is_done = false;
                continue;
            }
            delete(context, log, &resource, &object).await?;
        }
    }
    Ok(is_done)
}

/// What a log owns of a kind.
async fn owned(
    context: &Context,
    log: &EventLog,
    resource: &ApiResource,
) -> Result<Vec<PartialObjectMeta<DynamicObject>>, Error> {
    let namespace = log.namespace().unwrap_or_default();
    let mine = format!(
        "app.kubernetes.io/managed-by=tidelog-operator,tidelog.dev/log={}",
        log.name_any()
    );
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, resource);
    let found = api
        .list_metadata(&ListParams::default().labels(&mine))
        .await;
    // A cluster without this kind has none of them; nor has one where the operator may not look because its chart was told not to use them.
    if let Err(kube::Error::Api(status)) = &found
        && OF_OTHERS.contains(&resource.group.as_str())
        && (status.code == 404 || status.code == 403)
    {
        return Ok(Vec::new());
    }
    let kind = &resource.kind;
    let found = found.map_err(Error::api(format!("list each {kind} in {namespace}")))?;
    let is_owned = |object: &PartialObjectMeta<DynamicObject>| {
        let mut owners = object.owner_references().iter();
        owners.any(|owner| Some(&owner.uid) == log.metadata.uid.as_ref())
    };
    Ok(found.into_iter().filter(is_owned).collect())
}

/// Of a location of the log that another operator realises, or that this one is not to realise any more: nobody has said that it may go.
fn is_elsewhere(
    context: &Context,
    log: &EventLog,
    object: &PartialObjectMeta<DynamicObject>,
) -> bool {
    let Some(location) = object.labels().get("tidelog.dev/location") else {
        return false;
    };
    let here = context.options.location.of(log);
    let is_here = here.iter().any(|l| l.name == *location);
    let mut locations = log.spec.locations.iter();
    !is_here && locations.any(|l| l.state == LocationState::Active && l.name == *location)
}

async fn delete(
    context: &Context,
    log: &EventLog,
    resource: &ApiResource,
    object: &PartialObjectMeta<DynamicObject>,
) -> Result<(), Error> {
    let (namespace, name) = (log.namespace().unwrap_or_default(), object.name_any());
    let kind = &resource.kind;
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, resource);
    let params = DeleteParams::background().preconditions(Preconditions {
        uid: object.uid(),
        resource_version: None,
    });
    match api.delete(&name, &params).await {
        Ok(_) => {
            context.metrics.wrote(kind);
            tracing::info!(namespace, name, kind, "deleted: it is not wanted any more");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::api(format!("delete {kind} {namespace}/{name}"))(
            error,
        )),
    }
}
