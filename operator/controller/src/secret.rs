//! Secrets: by name and nothing else. Nobody lists or watches them here, so that the operator may not either.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tidelog_api::EventLog;
use tidelog_build::{Names, labels};

use crate::FIELD_MANAGER;
use crate::context::Context;
use crate::error::Error;
use crate::whose;

/// What a Secret holds.
pub(crate) type Data = BTreeMap<String, Vec<u8>>;

fn api(context: &Context, log: &EventLog) -> Api<Secret> {
    let namespace = log.metadata.namespace.clone().unwrap_or_default();
    Api::namespaced(context.client.clone(), &namespace)
}

/// What a Secret in the namespace of a log holds; `None`: there is none.
pub(crate) async fn find(
    context: &Context,
    log: &EventLog,
    name: &str,
) -> Result<Option<Data>, Error> {
    let found = api(context, log).get_opt(name).await;
    let found = found.map_err(Error::api(format!("look at Secret {name}")))?;
    Ok(found.map(|secret| data(secret.data)))
}

/// A Secret of a location.
pub(crate) struct Own {
    uid: Option<String>,
    pub(crate) data: Data,
}

/// The one under a name of a location, where nobody else may have put anything.
pub(crate) async fn own(
    context: &Context,
    log: &EventLog,
    names: &Names,
    name: &str,
) -> Result<Option<Own>, Error> {
    let found = api(context, log).get_opt(name).await;
    let found = found.map_err(Error::api(format!("look at Secret {name}")))?;
    let Some(secret) = found else {
        return Ok(None);
    };
    whose::check("Secret", &secret.metadata, names)?;
    if whose::is_leaving(&secret.metadata, log) {
        return Err(Error::Leaving(format!("Secret {name}")));
    }
    Ok(Some(Own {
        uid: secret.metadata.uid,
        data: data(secret.data),
    }))
}

fn data(of: Option<BTreeMap<String, ByteString>>) -> Data {
    let entries = of.unwrap_or_default().into_iter();
    entries
        .map(|(key, ByteString(bytes))| (key, bytes))
        .collect()
}

/// Text under a key.
pub(crate) fn text<'a>(data: &'a Data, key: &str) -> Option<&'a str> {
    std::str::from_utf8(data.get(key)?).ok()
}

/// What there is, or else what `make` makes, which nobody owns: whoever applies the log again finds it. Never writes over what is there.
pub(crate) async fn keep(
    context: &Context,
    log: &EventLog,
    (names, component): (&Names, &str),
    name: &str,
    (kind, make): (
        &str,
        impl AsyncFnOnce() -> Result<BTreeMap<&'static str, String>, Error>,
    ),
) -> Result<Data, Error> {
    if let Some(found) = own(context, log, names, name).await? {
        return Ok(found.data);
    }
    let secret = object(log, (names, component), name, kind, &make().await?);
    create(context, log, name, secret).await?;
    let found = own(context, log, names, name).await?;
    Ok(found.ok_or(Error::Incomplete("what was just made"))?.data)
}

/// Makes a Secret where there is none. Where somebody else was faster theirs counts.
async fn create(context: &Context, log: &EventLog, name: &str, secret: Value) -> Result<(), Error> {
    let Ok(secret) = serde_json::from_value::<Secret>(secret) else {
        return Err(Error::Incomplete("the fields of a Secret"));
    };
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match api(context, log).create(&params, &secret).await {
        Ok(_) => {
            context.metrics.wrote("Secret");
            tracing::info!(secret = name, "made");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(Error::api(format!("make Secret {name}"))(error)),
    }
}

/// Writes a Secret that goes with its log, in the place of the one that was found.
pub(crate) async fn put(
    context: &Context,
    log: &EventLog,
    (names, component): (&Names, &str),
    (name, found): (&str, Option<&Own>),
    (kind, content): (&str, &BTreeMap<&'static str, String>),
) -> Result<(), Error> {
    let owner = kube::Resource::controller_owner_ref(log, &()).ok_or(Error::Incomplete("a uid"))?;
    let mut secret = object(log, (names, component), name, kind, content);
    secret["metadata"]["ownerReferences"] = json!([owner]);
    let Some(found) = found else {
        return create(context, log, name, secret).await;
    };
    // That one and no other.
    secret["metadata"]["uid"] = json!(found.uid);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = api(context, log)
        .patch(name, &params, &Patch::Apply(&secret))
        .await;
    context.metrics.wrote("Secret");
    written
        .map(|_| ())
        .map_err(Error::api(format!("write Secret {name}")))
}

fn object(
    log: &EventLog,
    (names, component): (&Names, &str),
    name: &str,
    kind: &str,
    content: &BTreeMap<&'static str, String>,
) -> Value {
    let content: BTreeMap<&str, ByteString> = content
        .iter()
        .map(|(key, value)| (*key, ByteString(value.clone().into_bytes())))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": log.metadata.namespace,
            "labels": labels(names, component),
        },
        "type": kind,
        "data": content,
    })
}
