//! Watches, and who is visited when.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, future};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt as _};
use tidelog_api::{EventLog, ReplicationLink};

use crate::context::Context;
use crate::error::Error;
use crate::options::Options;
use crate::{event_log, replication_link};

/// Changes come in swarms: one visit for all of a moment.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Runs until `stop` is done; visits under way are ended in order.
pub async fn run(
    client: Client,
    options: Options,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let everything = watcher::Config::default();
    // Not what others have in these namespaces.
    let mine = everything
        .clone()
        .labels("app.kubernetes.io/managed-by=tidelog-operator");
    let config = Config::default()
        .debounce(DEBOUNCE)
        .concurrency(options.concurrency);
    let stop = stop.shared();

    let logs = Controller::new(api::<EventLog>(&client, &options), everything.clone());
    let links = Controller::new(
        api::<ReplicationLink>(&client, &options),
        everything.clone(),
    );
    let context = Context::new(client.clone(), options.clone(), logs.store(), links.store());
    let context = Arc::new(context);

    let logs = logs
        .with_config(config.clone())
        .owns(api::<StatefulSet>(&client, &options), mine.clone())
        .owns(api::<Service>(&client, &options), mine.clone())
        .owns(api::<ConfigMap>(&client, &options), mine.clone())
        .owns(api::<NetworkPolicy>(&client, &options), mine.clone())
        .owns(api::<PodDisruptionBudget>(&client, &options), mine)
        .watches(
            api::<ReplicationLink>(&client, &options),
            everything.clone(),
            |link: ReplicationLink| {
                let name = &link.spec.event_log_ref.name;
                let log = ObjectRef::<EventLog>::new(name);
                Some(log.within(&link.namespace().unwrap_or_default()))
            },
        )
        .graceful_shutdown_on(stop.clone())
        .run(event_log::reconcile, again, context.clone())
        .for_each(|visit| {
            told(visit.err());
            future::ready(())
        });
    // A link that changes may make another one of its log contradict it.
    let (of_log, of_link) = (context.clone(), context.clone());
    let links = links
        .with_config(config)
        .watches(
            api::<EventLog>(&client, &options),
            everything.clone(),
            move |log: EventLog| links_of(&of_log, log.namespace(), &log.name_any()),
        )
        .watches(
            api::<ReplicationLink>(&client, &options),
            everything,
            move |link: ReplicationLink| {
                links_of(&of_link, link.namespace(), &link.spec.event_log_ref.name)
            },
        )
        .graceful_shutdown_on(stop)
        .run(replication_link::reconcile, again, context)
        .for_each(|visit| {
            told(visit.err());
            future::ready(())
        });
    future::join(logs, links).await;
}

fn api<K>(client: &Client, options: &Options) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    match &options.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// All links of a log.
fn links_of(
    context: &Context,
    namespace: Option<String>,
    log: &str,
) -> Vec<ObjectRef<ReplicationLink>> {
    let links = context.links.state().into_iter();
    let mine = links
        .filter(|link| link.metadata.namespace == namespace && link.spec.event_log_ref.name == log);
    mine.map(|link| ObjectRef::from_obj(&*link)).collect()
}

/// A visit that failed is made again, later and later.
fn again<K: kube::Resource<DynamicType = ()>>(
    resource: Arc<K>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    let uid = resource.meta().uid.clone().unwrap_or_default();
    let failures = context.failed(&uid);
    let wait = Duration::from_millis(500) * 2u32.pow(failures.min(8));
    let name = resource.name_any();
    tracing::warn!(kind = %K::kind(&()), name, %error, failures, ?wait, "not done yet");
    Action::requeue(wait)
}

/// What went wrong with the watches themselves; visits tell for themselves.
fn told<E: std::fmt::Display>(error: Option<E>) {
    if let Some(error) = error {
        tracing::debug!(%error, "a visit or a watch ended early");
    }
}
