//! The steps for an EventLog.

use std::collections::BTreeSet;
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
    ADMIN_PORT, CONFIG_KEY, Names, Place, in_pod, objects, planned_endpoint, selector,
    sidecar_config,
};
use tidelog_model::LocationName;
use tidelog_proto::v1;
use tidelog_status::{DRIFT_EVERY, LocationHere, LogSeen, is_log_worth_a_write, log_status};
use tidelog_topology::{Plan, Planner};

use crate::apply::{apply, hash_of, write_status};
use crate::context::Context;
use crate::error::Error;
use crate::prune::prune;
use crate::seen;
use crate::sidecars::{Heard, Pod};
use crate::witness::keep;

/// Visits a log.
pub(crate) async fn reconcile(log: Arc<EventLog>, context: Arc<Context>) -> Result<Action, Error> {
    let uid = log.uid().ok_or(Error::Incomplete("a uid"))?;
    // 1. What is being deleted goes by itself: everything that is to go has an owner.
    if log.metadata.deletion_timestamp.is_some() {
        let prefix = format!(
            "{}/{}-",
            log.namespace().unwrap_or_default(),
            log.name_any()
        );
        context.forget(&uid, &prefix);
        context.sidecars.forget(&Context::key_of(&log));
        return Ok(Action::await_change());
    }
    // 2. The plan, by all links of the log.
    let manifest = context.manifest(&log);
    let plan = manifest.plan(Planner::new());
    // 3. What the locations of this cluster need.
    let here = context.options.location.of(&log);
    let mut wanted = Vec::new();
    for location in &here {
        wanted.extend(needed(&context, &log, location, &plan)?);
    }
    // 4. It is made so.
    for object in &wanted {
        if apply(&context, &log, object).await? {
            tracing::info!(object = crate::apply::key(object), "applied");
        }
    }
    // 5. What an earlier spec needed goes.
    let generation = log.metadata.generation.unwrap_or_default();
    if context.is_to_be_pruned(&uid, generation) {
        prune(&context, &log, &names_of(&wanted)).await?;
        context.set_pruned(&uid, generation);
    }
    // 6. Its pods are heard; what they have to record is recorded, and what is in force for them is told.
    let key = Context::key_of(&log);
    for location in &here {
        let pods = pods(&context, &log, &location.name).await?;
        context.sidecars.attend(&key, &location.name, &pods);
        let heard = context.sidecars.heard(&key, &location.name);
        keep(&context, &log, &location.name, &heard).await?;
        if plan.is_accepted() {
            configure(&context, &log, &location.name, &wanted, &heard).await;
        }
    }
    // 7. What is there is told.
    report(&context, &log, &plan, &here).await?;
    context.succeeded(&uid);
    // Numbers that drift are told now and then.
    let soon = if here.is_empty() {
        context.options.resync
    } else {
        DRIFT_EVERY
    };
    Ok(Action::requeue(soon))
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
        match pod.client.clone().apply_config(request).await {
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

/// The objects of one location. Where the links contradict each other the configuration for the next start stays what it is, and a location that has none
/// yet begins without edges.
fn needed(
    context: &Context,
    log: &EventLog,
    location: &Location,
    plan: &Plan,
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
    let mut wanted = objects(&place, &context.options.settings);
    let config_map = Names::new(&log.name_any(), &location.name).config();
    let kept = format!(
        "{}/{config_map} ConfigMap",
        log.namespace().unwrap_or_default()
    );
    if !plan_is_new(context, &plan, &kept) {
        wanted.retain(|object| crate::apply::key(object) != kept);
    }
    Ok(wanted)
}

/// Whether the configuration is to be written: not over one that was written by a plan that could run.
fn plan_is_new(context: &Context, plan: &Plan, config_map: &str) -> bool {
    plan.is_accepted() || context.applied(config_map).is_none()
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
) -> Result<(), Error> {
    let mut seen = Vec::new();
    for location in here {
        seen.push(look(context, log, location).await?);
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
