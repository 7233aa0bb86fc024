//! Server-side apply that writes only what differs: each write wakes everybody who watches, and costs the API server.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tidelog_api::EventLog;
use tidelog_build::Names;

use crate::FIELD_MANAGER;
use crate::context::Context;
use crate::error::Error;
use crate::whose;

/// What was applied, and what the server made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    wanted: u64,
    uid: Option<String>,
    version: Option<String>,
}

/// Kind and name of an object, for people and as a key.
pub(crate) fn key(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or("?");
    format!(
        "{}/{} {}",
        text("/metadata/namespace"),
        text("/metadata/name"),
        text("/kind")
    )
}

/// The resource that holds objects like this one.
pub(crate) fn resource_of(object: &Value) -> ApiResource {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion")
        .split_once('/')
        .unwrap_or(("", text("apiVersion")));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")))
}

/// Makes an object of a log what it should be. True when that took a write.
///
/// What is compared first is the version of the object as it is now with the one that the last apply has left: whoever has changed anything since, or
/// deleted it, has changed that.
pub(crate) async fn apply(
    context: &Context,
    log: &EventLog,
    object: &Value,
) -> Result<bool, Error> {
    let mut object = object.clone();
    let owner = kube::Resource::controller_owner_ref(log, &()).ok_or(Error::Incomplete("a uid"))?;
    object["metadata"]["ownerReferences"] = json!([owner]);
    let key = key(&object);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = log.namespace().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &resource_of(&object));
    let wanted = hash_of(&object.to_string());
    let uid = log.uid().unwrap_or_default();
    let now = api.get_metadata_opt(name).await;
    let now = now.map_err(Error::api(format!("look at {key}")))?;
    if let Some(now) = now {
        let seen = (
            now.metadata.uid.clone(),
            now.metadata.resource_version.clone(),
        );
        if let Some(last) = context.applied(&uid, &key)
            && last.wanted == wanted
            && seen == (last.uid, last.version)
        {
            return Ok(false);
        }
        may_be_written(log, &object, &now.metadata)?;
    }
    // Nobody else owns these fields: what somebody has set by hand is set back.
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch(name, &params, &Patch::Apply(&object)).await;
    let applied = applied.map_err(Error::api(format!("apply {key}")))?;
    context
        .metrics
        .wrote(object["kind"].as_str().unwrap_or_default());
    let before = context.applied(&uid, &key);
    let after = Applied {
        wanted,
        uid: applied.metadata.uid,
        version: applied.metadata.resource_version,
    };
    let changed = before.as_ref() != Some(&after);
    context.set_applied(&uid, key, after);
    Ok(changed)
}

/// Refuses what is somebody else's, by its owner or else by its labels.
fn may_be_written(log: &EventLog, wanted: &Value, found: &ObjectMeta) -> Result<(), Error> {
    if whose::is_owned(found, log) {
        return Ok(());
    }
    let label = |key: &str| {
        let labels = &wanted["metadata"]["labels"];
        labels[key].as_str().unwrap_or_default().to_owned()
    };
    let names = Names::new(&label("tidelog.dev/log"), &label("tidelog.dev/location"));
    let kind = wanted["kind"].as_str().unwrap_or_default();
    whose::check(kind, found, &names)?;
    if whose::is_leaving(found, log) {
        return Err(Error::Leaving(key(wanted)));
    }
    Ok(())
}

/// Whether an object is there.
pub(crate) async fn exists(
    context: &Context,
    log: &EventLog,
    object: &Value,
) -> Result<bool, Error> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = log.namespace().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &resource_of(object));
    let found = api.get_metadata_opt(name).await;
    let found = found.map_err(Error::api(format!("look at {}", key(object))))?;
    Ok(found.is_some())
}

/// A number for a value, for as long as this process runs.
pub(crate) fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Writes a status under the field manager.
pub(crate) async fn write_status<K>(
    context: &Context,
    resource: &K,
    status: &impl serde::Serialize,
) -> Result<(), Error>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let name = resource.name_any();
    let namespace = resource.namespace().unwrap_or_default();
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "uid": resource.meta().uid},
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = api
        .patch_status(&name, &params, &Patch::Apply(&patch))
        .await;
    written.map_err(Error::api(format!(
        "write the status of {} {namespace}/{name}",
        K::kind(&())
    )))?;
    context.metrics.wrote("status");
    Ok(())
}
