//! The steps for an EventLog.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod as PodObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use kube::runtime::controller::Action;
use serde_json::Value;
use tidelog_api::{EventLog, Location};
use tidelog_build::{
    ADMIN_PORT, CONFIG_KEY, Names, Place, Settings, in_pod, objects, planned_endpoint, selector,
    sidecar_config,
};
use tidelog_model::LocationName;
use tidelog_proto::v1;
use tidelog_status::{DRIFT_EVERY, LocationHere, LogSeen, is_log_worth_a_write, log_status};
use tidelog_topology::{Plan, Planner};

use crate::apply::{apply, exists, hash_of, write_status};
use crate::context::{Context, NOT_YET};
use crate::error::Error;
use crate::prune::prune;
use crate::seen;
use crate::sidecars::{Heard, LogKey, Pod, in_time};
use crate::witness::keep;

/// Visits a log.
pub(crate) async fn reconcile(log: Arc<EventLog>, context: Arc<Context>) -> Result<Action, Error> {
    let uid = log.uid().ok_or(Error::Incomplete("a uid"))?;
    // 1. What is being deleted goes by itself: everything that is to go has an owner. And before all links are known nothing is planned without them.
    if log.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if !context.knows_everything() {
        return Ok(Action::requeue(NOT_YET));
    }
    // 2. The plan, by all links of the log.
    let manifest = context.manifest(&log);
    let plan = manifest.plan(Planner::new());
    // 3. What the locations of this cluster need is made so. What cannot be done for one is told of it, and the rest is done all the same.
    let here = context.options.location.of(&log);
    let mut troubles = Troubles::default();
    let mut wanted = Vec::new();
    for location in &here {
        let objects = needed(&log, location, &plan, &context.options.settings)?;
        for object in &objects {
            match make(&context, &log, &plan, object).await {
                Ok(true) => tracing::info!(object = crate::apply::key(object), "applied"),
                Ok(false) => {}
                Err(error) => troubles.add(&location.name, error),
            }
        }
        wanted.extend(objects);
    }
    // 4. What an earlier spec needed goes.
    let generation = log.metadata.generation.unwrap_or_default();
    if context.is_to_be_pruned(&uid, generation) {
        match prune(&context, &log, &names_of(&wanted)).await {
            Ok(()) => context.set_pruned(&uid, generation),
            Err(error) => troubles.last = Some(error),
        }
    }
    // 5. Its pods are heard; what they have to record is recorded, and what is in force for them is told.
    let key = Context::key_of(&log);
    let names: Vec<&str> = here.iter().map(|location| location.name.as_str()).collect();
    context.sidecars.keep_only(&key, &names);
    // All that has to be recorded first: somebody waits for it.
    for location in &here {
        if let Err(error) = attend(&context, &log, &key, location).await {
            troubles.last = Some(error);
        }
    }
    for location in here.iter().filter(|_| plan.is_accepted()) {
        let heard = context.sidecars.heard(&key, &location.name);
        configure(&context, &log, &location.name, &wanted, &heard).await;
    }
    // 6. What is there is told.
    report(&context, &log, &plan, &here, &troubles).await?;
    if let Some(error) = troubles.last {
        return Err(error);
    }
    context.succeeded(&uid);
    // Numbers that drift are told now and then.
    let soon = if here.is_empty() {
        context.options.resync
    } else {
        DRIFT_EVERY
    };
    Ok(Action::requeue(soon))
}

/// What could not be done.
#[derive(Default)]
struct Troubles {
    /// What the API server refuses, by location: a word and a sentence.
    refused: BTreeMap<String, (String, String)>,
    /// Why the visit is to be made again.
    last: Option<Error>,
}

impl Troubles {
    fn add(&mut self, location: &str, error: Error) {
        if let Some(reason) = error.refusal() {
            let refused = (reason.to_owned(), error.to_string());
            self.refused.entry(location.to_owned()).or_insert(refused);
        }
        self.last = Some(error);
    }
}

/// Makes an object what it should be. Where the links contradict each other the configuration for the next start stays what it is.
async fn make(
    context: &Context,
    log: &EventLog,
    plan: &Plan,
    object: &Value,
) -> Result<bool, Error> {
    let is_configuration = object["data"][CONFIG_KEY].is_string();
    if is_configuration && !plan.is_accepted() && exists(context, log, object).await? {
        return Ok(false);
    }
    apply(context, log, object).await
}

/// Listens to the pods of a location, and keeps their witness.
async fn attend(
    context: &Context,
    log: &EventLog,
    key: &LogKey,
    location: &Location,
) -> Result<(), Error> {
    let pods = pods(context, log, &location.name).await?;
    context.sidecars.attend(key, &location.name, &pods);
    let heard = context.sidecars.heard(key, &location.name);
    keep(context, log, &location.name, &heard).await
}

/// The pods of a location that can be asked: also those that are about to end, for they have a stop to record.
async fn pods(context: &Context, log: &EventLog, location: &str) -> Result<Vec<Pod>, Error> {
    let namespace = log.namespace().unwrap_or_default();
    let names = Names::new(&log.name_any(), location);
    let api: Api<PodObject> = Api::namespaced(context.client.clone(), &namespace);
    let selector = selector(&names, "log");
    let selector: Vec<String> = selector
        .as_object()
        .into_iter()
        .flatten()
        .map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default()))
        .collect();
    let found = api
        .list(&ListParams::default().labels(&selector.join(",")))
        .await;
    let found = found.map_err(Error::api(format!("list the pods of {}", names.base())))?;
    let pod = |pod: PodObject| {
        // The address of a pod that has ended may be another one's by now.
        let phase = pod.status.as_ref()?.phase.clone().unwrap_or_default();
        if phase == "Succeeded" || phase == "Failed" {
            return None;
        }
        let ip = pod
            .status
            .as_ref()?
            .pod_ip
            .clone()
            .filter(|ip| !ip.is_empty())?;
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
    };
    Ok(found.into_iter().filter_map(pod).collect())
}

/// Tells running sidecars what is in force: their configuration for the next start is that of now.
async fn configure(
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

/// The objects of one location. One whose links contradict each other from the beginning begins without edges.
fn needed(
    log: &EventLog,
    location: &Location,
    plan: &Plan,
    settings: &Settings,
) -> Result<Vec<Value>, Error> {
    let mut plan = plan.clone();
    if !plan.is_accepted() {
        plan.edges.clear();
    }
    let Ok(name) = LocationName::new(&location.name) else {
        return Err(Error::Incomplete("a valid name of its location"));
    };
    let endpoint_of = |peer: &LocationName| planned_endpoint(&plan, peer);
    let config = sidecar_config(&plan, &name, in_pod(log), endpoint_of)?;
    let place = Place {
        log,
        location,
        config: &config,
    };
    Ok(objects(&place, settings))
}

fn names_of(objects: &[Value]) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    objects
        .iter()
        .map(|object| (text(&object["kind"]), text(&object["metadata"]["name"])))
        .collect()
}

async fn report(
    context: &Context,
    log: &EventLog,
    plan: &Plan,
    here: &[&Location],
    troubles: &Troubles,
) -> Result<(), Error> {
    let mut seen = Vec::new();
    for location in here {
        let mut found = look(context, log, location).await?;
        found.refused = troubles.refused.get(&location.name).cloned();
        seen.push(found);
    }
    let insecure = log.spec.tls.as_ref().is_some_and(|tls| tls.insecure);
    let spec_hash = plan.spec_hash.to_string();
    let seen = LogSeen {
        generation: log.metadata.generation,
        operator: context.options.location.as_str(),
        spec_hash: &spec_hash,
        here: &seen,
        insecure,
    };
    let before = log.status.clone().unwrap_or_default();
    let now = Time(Timestamp::now());
    let status = log_status(&seen, &before.conditions, &now);
    let uid = log.uid().unwrap_or_default();
    let since = context
        .written_at(&uid)
        .map_or(Duration::MAX, |at| at.elapsed());
    if is_log_worth_a_write(&before, &status, since) {
        write_status(context, log, &status).await?;
        context.set_written(&uid);
    }
    Ok(())
}

/// What is seen of a location: its pods from outside, and what they say.
async fn look(
    context: &Context,
    log: &EventLog,
    location: &Location,
) -> Result<LocationHere, Error> {
    let namespace = log.namespace().unwrap_or_default();
    let name = Names::new(&log.name_any(), &location.name).base();
    let api: Api<StatefulSet> = Api::namespaced(context.client.clone(), &namespace);
    let set = api.get_opt(&name).await;
    let set = set.map_err(Error::api(format!(
        "look at StatefulSet {namespace}/{name}"
    )))?;
    let ready = set
        .and_then(|set| set.status)
        .and_then(|status| status.ready_replicas)
        .unwrap_or_default();
    let heard = context
        .sidecars
        .heard(&Context::key_of(log), &location.name);
    let now = Timestamp::now();
    Ok(LocationHere {
        name: location.name.clone(),
        refused: None,
        seen: heard.iter().find_map(|heard| seen::writer(heard, now)),
        pods: (ready, log.spec.replicas),
        endpoint: location
            .endpoint
            .as_ref()
            .map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port)),
    })
}
