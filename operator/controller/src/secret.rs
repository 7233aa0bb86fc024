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

/// What there is, or else this, which nobody owns: whoever applies the log again finds it. Never writes over what is there.
pub(crate) async fn keep(
    context: &Context,
    log: &EventLog,
    (names, component): (&Names, &str),
    name: &str,
    (kind, make): (
        &str,
        impl FnOnce() -> Result<BTreeMap<&'static str, String>, Error>,
    ),
) -> Result<Data, Error> {
    if let Some(found) = find(context, log, name).await? {
        return Ok(found);
    }
    let secret = object(log, (names, component), name, kind, &make()?);
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
        }
        // Somebody else was faster: theirs counts.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(Error::api(format!("make Secret {name}"))(error)),
    }
    let found = find(context, log, name).await?;
    found.ok_or(Error::Incomplete("what was just made"))
}

/// Writes a Secret that goes with its log.
pub(crate) async fn put(
    context: &Context,
    log: &EventLog,
    (names, component): (&Names, &str),
    name: &str,
    (kind, content): (&str, &BTreeMap<&'static str, String>),
) -> Result<(), Error> {
    let owner = kube::Resource::controller_owner_ref(log, &()).ok_or(Error::Incomplete("a uid"))?;
    let mut secret = object(log, (names, component), name, kind, content);
    secret["metadata"]["ownerReferences"] = json!([owner]);
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
