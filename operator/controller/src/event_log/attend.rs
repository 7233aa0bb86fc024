//! What the pods of a location have to record, and what they are told.

use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use serde_json::Value;
use tidelog_api::{EventLog, Location};
use tidelog_build::{ADMIN_PORT, CONFIG_KEY, CONTAINER, Names, label_selector};
use tidelog_proto::v1;

use crate::apply::hash_of;
use crate::context::Context;
use crate::error::Error;
use crate::sidecars::{Approach, Heard, LogKey, Pod, in_time};
use crate::witness::keep;

/// Listens to the pods of a location, and keeps their witness. What one that has ended said last, if none of them is ready.
pub(super) async fn attend(
    context: &Context,
    log: &EventLog,
    key: &LogKey,
    location: &Location,
    approach: Approach,
) -> Result<Option<(String, String)>, Error> {
    let found = pods(context, log, &location.name).await?;
    let last_word = found.iter().find_map(last_word);
    let pods: Vec<Pod> = found.into_iter().filter_map(reached).collect();
    context
        .sidecars
        .attend(key, &location.name, &pods, approach);
    let heard = context.sidecars.heard(key, &location.name);
    keep(context, log, &location.name, &heard).await?;
    Ok(last_word)
}

/// The pods of a location.
async fn pods(context: &Context, log: &EventLog, location: &str) -> Result<Vec<PodObject>, Error> {
    let namespace = log.namespace().unwrap_or_default();
    let names = Names::new(&log.name_any(), location);
    let api: Api<PodObject> = Api::namespaced(context.client.clone(), &namespace);
    let selector = label_selector(&names, "log");
    let found = api.list(&ListParams::default().labels(&selector)).await;
    let found = found.map_err(Error::api(format!("list the pods of {}", names.base())))?;
    Ok(found.items)
}

/// A pod that can be asked: also one that is about to end, for it has a stop to record.
fn reached(pod: PodObject) -> Option<Pod> {
    // The address of a pod that has ended may be another one's by now.
    let status = pod.status.as_ref()?;
    let phase = status.phase.clone().unwrap_or_default();
    if phase == "Succeeded" || phase == "Failed" {
        return None;
    }
    let ip = status.pod_ip.clone().filter(|ip| !ip.is_empty())?;
    let host = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip
    };
    Some(Pod {
        uid: pod.uid()?,
        name: pod.name_any(),
        address: format!("{host}:{ADMIN_PORT}"),
    })
}

/// What the sidecar of a pod said when it ended last, unless it is ready again: a word for programs, if it gave one, and a sentence.
fn last_word(pod: &PodObject) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    // Beside an application it is a native sidecar.
    let all = [&status.container_statuses, &status.init_container_statuses];
    let mut all = all.into_iter().flatten().flatten();
    let sidecar = all.find(|container| container.name == CONTAINER && !container.ready)?;
    let ended = [&sidecar.state, &sidecar.last_state];
    let mut ended = ended
        .into_iter()
        .flatten()
        .filter_map(|s| s.terminated.as_ref());
    let said = ended
        .find(|end| end.exit_code != 0)?
        .message
        .as_deref()?
        .trim();
    if said.is_empty() {
        return None;
    }
    let word = ["StorageUnavailable"].into_iter().find_map(|word| {
        let sentence = said.strip_prefix(word)?.strip_prefix(": ")?;
        Some((word.to_owned(), sentence.to_owned()))
    });
    Some(word.unwrap_or_else(|| (String::new(), said.to_owned())))
}

/// Tells running sidecars what is in force: their configuration for the next start is that of now.
pub(super) async fn configure(
    context: &Context,
    log: &EventLog,
    location: &str,
    wanted: &[Value],
    pods: &[Heard],
) {
    let name = Names::new(&log.name_any(), location).config();
    let config = wanted.iter().find(|object| {
        object["kind"] == "ConfigMap" && object["metadata"]["name"] == name.as_str()
    });
    let Some(text) = config.and_then(|object| object["data"][CONFIG_KEY].as_str()) else {
        return;
    };
    for pod in pods {
        let started = pod.status.started_at.as_ref().map(|t| (t.seconds, t.nanos));
        let fingerprint = hash_of(&(text, started));
        if !context
            .sidecars
            .is_news(&pod.pod, "configuration", fingerprint)
        {
            continue;
        }
        let request = v1::ApplyConfigRequest {
            log: log.name_any(),
            config_yaml: text.to_owned(),
        };
        let mut client = pod.client.clone();
        match in_time(client.apply_config(request)).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                if answer.changed || !answer.restart_needed.is_empty() {
                    tracing::info!(pod = pod.pod.name, restart_needed = ?answer.restart_needed, "has another configuration");
                }
                context
                    .sidecars
                    .set_told(&pod.pod, "configuration", fingerprint);
            }
            Err(status) => {
                tracing::warn!(
                    pod = pod.pod.name,
                    error = status.message(),
                    "does not take its configuration"
                );
            }
        }
    }
}
