//! How a location reaches its database: a Secret that the operator makes for its own, and that has to be there for everybody else's.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use serde_json::json;
use tidelog_api::{EventLog, Location};
use tidelog_build::{DatabaseSecret, Names, PASSWORD_KEY, URI_KEY, database_secret, database_uri};

use crate::context::Context;
use crate::error::Error;
use crate::secret;

/// Bytes of randomness in a password.
const PASSWORD_BYTES: usize = 24;

/// Sees to it that the Secret is there. A refusal names what is missing.
pub(crate) async fn provide(
    context: &Context,
    log: &EventLog,
    location: &Location,
) -> Result<(), Error> {
    let DatabaseSecret { name, key, is_ours } = database_secret(log, location);
    if !is_ours {
        let found = secret::find(context, log, &name).await?;
        let Some(found) = found else {
            let why = format!("Secret {name} with the URI of the database does not exist");
            return Err(Error::refused("SecretNotFound", why));
        };
        let uri = secret::text(&found, &key)
            .map(str::trim)
            .unwrap_or_default();
        if !uri.starts_with("postgres://") && !uri.starts_with("postgresql://") {
            let why = format!(
                "key {key} of Secret {name} holds no URI of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE"
            );
            return Err(Error::refused("SecretInvalid", why));
        }
        return Ok(());
    }
    let namespace = log.metadata.namespace.clone().unwrap_or_default();
    let names = Names::new(
        log.metadata.name.as_deref().unwrap_or_default(),
        &location.name,
    );
    let make = async || {
        is_new(context, log, &names).await?;
        let random: [u8; PASSWORD_BYTES] = rand::random();
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let uri = database_uri(&names, &namespace, &password);
        Ok(BTreeMap::from([(PASSWORD_KEY, password), (URI_KEY, uri)]))
    };
    // Nobody owns it: the volume outlives the log, and knows this password.
    secret::keep(context, log, (&names, "postgres"), &name, ("Opaque", make)).await?;
    Ok(())
}

/// Refuses another password for a volume that knows one.
async fn is_new(context: &Context, log: &EventLog, names: &Names) -> Result<(), Error> {
    let volume = volume(names);
    let namespace = log.metadata.namespace.clone().unwrap_or_default();
    let api: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &namespace);
    let found = api.get_metadata_opt(&volume).await;
    let found = found.map_err(Error::api(format!(
        "look at PersistentVolumeClaim {volume}"
    )))?;
    if found.is_none() {
        return Ok(());
    }
    let why = format!(
        "Secret {} is gone, and PersistentVolumeClaim {volume} holds a database that knows the password which was in it: restore the Secret, or set another password in the database and make the Secret with keys {PASSWORD_KEY} and {URI_KEY}",
        names.postgres()
    );
    Err(Error::refused("PasswordLost", why))
}

/// Whether an object that is not wanted any more may go; what is of no database may at once. A database, with the name that leads to it, waits until the pods
/// that use another one are up, and its volume is taken out of what goes with it: nobody has said that the log may go.
pub(crate) async fn may_go(
    context: &Context,
    log: &EventLog,
    (kind, object): (&str, &PartialObjectMeta<DynamicObject>),
) -> Result<bool, Error> {
    let label = |key: &str| object.labels().get(key).cloned().unwrap_or_default();
    if label("app.kubernetes.io/component") != "postgres" {
        return Ok(true);
    }
    let namespace = log.metadata.namespace.clone().unwrap_or_default();
    let names = Names::new(&label("tidelog.dev/log"), &label("tidelog.dev/location"));
    let sets: Api<StatefulSet> = Api::namespaced(context.client.clone(), &namespace);
    let base = names.base();
    let users = sets.get_opt(&base).await;
    let users = users.map_err(Error::api(format!("look at StatefulSet {base}")))?;
    if users.is_some_and(|users| !is_rolled_out(&users)) {
        return Ok(false);
    }
    if kind != "StatefulSet" {
        return Ok(true);
    }
    let name = object.name_any();
    let found = sets.get_opt(&name).await;
    let found = found.map_err(Error::api(format!("look at StatefulSet {name}")))?;
    let policy = found.and_then(|set| {
        let spec = set.spec?;
        spec.persistent_volume_claim_retention_policy?.when_deleted
    });
    if policy.as_deref() == Some("Delete") {
        let retain =
            json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain"}}});
        let params = PatchParams::default();
        let patched = sets.patch(&name, &params, &Patch::Merge(retain)).await;
        patched.map_err(Error::api(format!("keep the volume of StatefulSet {name}")))?;
        context.metrics.wrote("StatefulSet");
    }
    // It is let go when Kubernetes has taken the owner away.
    let volume = volume(&names);
    let volumes: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &namespace);
    let found = volumes.get_metadata_opt(&volume).await;
    let found = found.map_err(Error::api(format!(
        "look at PersistentVolumeClaim {volume}"
    )))?;
    Ok(found.is_none_or(|volume| volume.owner_references().is_empty()))
}

/// Whether all pods of a set are those of its present template, and ready.
fn is_rolled_out(set: &StatefulSet) -> bool {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
    set.status.as_ref().is_some_and(|status| {
        status.observed_generation == set.metadata.generation
            && status.current_revision == status.update_revision
            && status.ready_replicas == wanted
    })
}

/// The volume of a managed database.
pub(crate) fn volume(names: &Names) -> String {
    format!("data-{}-0", names.postgres())
}
