//! The witness of a location, kept in a ConfigMap: one chain of records, each written only on top of the one that it follows.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{Api, PostParams};
use serde_json::json;
use tidelog_api::EventLog;
use tidelog_build::{Names, WITNESS_KEY, labels};
use tidelog_model::WitnessRecord;
use tidelog_proto::v1;

use crate::FIELD_MANAGER;
use crate::apply::hash_of;
use crate::context::Context;
use crate::error::Error;
use crate::sidecars::{Heard, in_time};
use crate::whose;

/// What is recorded of a location.
struct Recorded {
    /// The object, if there is one.
    object: Option<ConfigMap>,
    /// Its text; empty where nothing is recorded.
    text: String,
    record: Option<WitnessRecord>,
}

/// Records what the pods of a location wish for, if it may be, and tells them what is there.
pub(crate) async fn keep(
    context: &Context,
    log: &EventLog,
    location: &str,
    pods: &[Heard],
) -> Result<(), Error> {
    if pods.iter().all(|pod| pod.status.witness.is_none()) {
        return Ok(());
    }
    let names = Names::new(&log.name_any(), location);
    let namespace = log.namespace().unwrap_or_default();
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let mut there = read(&api, &names).await?;
    let mut untold = None;
    for pod in pods {
        let Some(witness) = &pod.status.witness else {
            continue;
        };
        // Who is not the writer any more may still show what it had wished for.
        let is_standby = pod.status.state() == v1::LocationState::Standby;
        let wish = WitnessRecord::read(&witness.record).unwrap_or_default();
        let wish = wish.filter(|_| !is_standby);
        if let Some(wish) = &wish
            && there.record.as_ref().map(|r| r.name) != Some(wish.name)
            && wish.may_replace(there.record.as_ref())
        {
            match write(&api, &names, &there, &witness.record).await {
                Ok(()) => {
                    context.metrics.wrote("witness");
                    tracing::info!(
                        namespace,
                        location,
                        revision = wish.name.revision,
                        pod = pod.pod.name,
                        "recorded at the witness"
                    );
                }
                // Somebody else was faster: another operator, or a person.
                Err(Error::Api { source, .. }) if is_conflict(&source) => {}
                Err(error) => return Err(error),
            }
            there = read(&api, &names).await?;
        }
        // Again after each wish: it waits for the word.
        let fingerprint = hash_of(&(&witness.record, &there.text));
        if wish.is_some() && context.sidecars.is_news(&pod.pod, "witness", fingerprint) {
            let words = v1::GrantIncarnationRequest {
                log: log.name_any(),
                witness_record: Some(there.text.clone()),
                ..v1::GrantIncarnationRequest::default()
            };
            let mut client = pod.client.clone();
            match in_time(client.grant_incarnation(words)).await {
                Ok(_) => context.sidecars.set_told(&pod.pod, "witness", fingerprint),
                // It waits for the word: the visit is made again at once.
                Err(status) => {
                    let (pod, why) = (pod.pod.name.clone(), status.message().to_owned());
                    untold = Some(Error::Sidecar { pod, why });
                }
            }
        }
    }
    untold.map_or(Ok(()), Err)
}

fn is_conflict(error: &kube::Error) -> bool {
    // 409 is that of a version, and that of a name that is taken.
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// What is there now, from the API server itself: what a cache says may be over.
async fn read(api: &Api<ConfigMap>, names: &Names) -> Result<Recorded, Error> {
    let name = names.witness();
    let object = api.get_opt(&name).await;
    let object = object.map_err(Error::api(format!("look at ConfigMap {name}")))?;
    if let Some(object) = &object {
        whose::check("ConfigMap", &object.metadata, names)?;
    }
    let data = object.as_ref().and_then(|object| object.data.as_ref());
    let text = data.and_then(|data| data.get(WITNESS_KEY)).cloned();
    let text = match (&object, text) {
        (Some(_), Some(text)) if !text.trim().is_empty() => text,
        // Somebody has emptied it: not the same as that there never was one.
        (Some(_), _) => "{}".to_owned(),
        (None, _) => String::new(),
    };
    let record = WitnessRecord::read(&text).unwrap_or(Some(WitnessRecord::UNREADABLE));
    Ok(Recorded {
        object,
        text,
        record,
    })
}

/// Writes a record in the place of what was read; a conflict when that is not there any more.
async fn write(
    api: &Api<ConfigMap>,
    names: &Names,
    there: &Recorded,
    record: &str,
) -> Result<(), Error> {
    let name = names.witness();
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let what = format!("record at ConfigMap {name}");
    // As the sidecar wrote it: a newer one may say more than is understood here.
    let data = [(WITNESS_KEY.to_owned(), record.to_owned())];
    let marked = || {
        let mut marks = labels(names, "witness");
        // Restored together with the volume it would prove what it is there to disprove.
        marks["velero.io/exclude-from-backup"] = json!("true");
        serde_json::from_value(marks).ok()
    };
    if let Some(object) = &there.object {
        // With the version that was read.
        let mut object = object.clone();
        object.data = Some(data.into());
        object.metadata.managed_fields = None;
        object.metadata.labels = marked();
        let written = api.replace(&name, &params, &object).await;
        return written.map(|_| ()).map_err(Error::api(what));
    }
    // No owner: it outlives the log, and whoever applies the log again finds it.
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name);
    object.metadata.labels = marked();
    object.metadata.annotations = serde_json::from_value(json!({
        "tidelog.dev/about": "what this location has acknowledged, outside of its database; without it the location begins a new incarnation",
    }))
    .ok();
    object.data = Some(data.into());
    let written = api.create(&params, &object).await;
    written.map(|_| ()).map_err(Error::api(what))
}
