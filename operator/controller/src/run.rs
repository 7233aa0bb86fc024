//! Watches, and who is visited when.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, future, stream};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, WatchStreamExt as _, reflector, watcher};
use kube::{Api, Client, ResourceExt as _};
use tidelog_api::{EventLog, ReplicationLink};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::context::Context;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::sidecars::{LogKey, Sidecars};
use crate::watches::{self, objects, objects_once_there};
use crate::{event_log, replication_link};

/// Between looks at what is not watched.
const LOOK_AT_SECRETS: Duration = Duration::from_secs(30);

/// Between looks for what is gone.
const TIDY_EVERY: Duration = Duration::from_secs(30);

/// Runs until `stop` is done; visits under way are ended in order.
pub async fn run(
    client: Client,
    options: Options,
    metrics: Metrics,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let everything = watcher::Config::default().timeout(whole_seconds(options.watch));
    // Not what others have in these namespaces.
    let mine = everything
        .clone()
        .labels("app.kubernetes.io/managed-by=tidelog-operator");
    let pods = everything.clone().labels("tidelog.dev/log");
    let authorities = everything
        .clone()
        .labels("app.kubernetes.io/component=authority");
    // Without debounce, which each new change would put off: what comes during a visit makes one more.
    let config = Config::default().concurrency(options.concurrency);
    let of_others = |group: &str, kind: &str| {
        let known = GroupVersionKind::gvk(group, "v1", kind);
        let known = ApiResource::from_gvk(&known);
        (dynamic(&client, &options, &known), known)
    };
    let (certificates, certificate) = of_others("cert-manager.io", "Certificate");
    let (routes, route) = of_others("gateway.networking.k8s.io", "TLSRoute");
    let stop = stop.shared();

    let (of_logs, of_links) = (api::<EventLog>, api::<ReplicationLink>);
    let (known, writer) = reflector::store();
    let events = watches::events(of_logs(&client, &options), everything.clone());
    let (gone, deleted) = mpsc::unbounded_channel();
    let events = events.inspect(move |event| {
        if let Ok(watcher::Event::Delete(log)) = event {
            let _ = gone.send(log.clone());
        }
    });
    let logs = Controller::for_stream(events.reflect(writer).applied_objects(), known);
    let (known, writer) = reflector::store();
    let events = watches::events(of_links(&client, &options), everything.clone());
    let links = Controller::for_stream(events.reflect(writer).applied_objects(), known);
    let (sidecars, visits) = Sidecars::new();
    let context = Context::new(
        client.clone(),
        options.clone(),
        logs.store(),
        links.store(),
        (sidecars, metrics),
    );
    let context = Arc::new(context);
    // What a sidecar says concerns its log and the links of that.
    let (to_logs, logs_asked) = mpsc::unbounded_channel();
    let (to_links, links_asked) = mpsc::unbounded_channel();
    let tidying = tokio::spawn(tidy(context.clone()));
    let parting = tokio::spawn(event_log::part(deleted, context.clone()));
    let asking = tokio::spawn(ask(visits, to_logs, to_links, context.clone()));

    let logs = logs
        .with_config(config.clone())
        .owns_stream(objects(
            named::<StatefulSet>(&client, &options),
            mine.clone(),
        ))
        .owns_stream(objects(named::<Service>(&client, &options), mine.clone()))
        .owns_stream(objects(named::<ConfigMap>(&client, &options), mine.clone()))
        .owns_stream(objects(
            named::<NetworkPolicy>(&client, &options),
            mine.clone(),
        ))
        .owns_stream(objects(
            named::<PodDisruptionBudget>(&client, &options),
            mine.clone(),
        ))
        .owns_stream_with(
            objects_once_there(certificates, "Certificate", mine.clone()),
            certificate,
        )
        // Whoever names no Gateway has none, and no right to look.
        .owns_stream_with(
            match options.settings.gateway {
                Some(_) => objects_once_there(routes, "TLSRoute", mine).left_stream(),
                None => stream::pending().right_stream(),
            },
            route,
        )
        .watches_stream(
            objects(of_links(&client, &options), everything.clone()),
            |link: ReplicationLink| {
                let name = &link.spec.event_log_ref.name;
                let log = ObjectRef::<EventLog>::new(name);
                Some(log.within(&link.namespace().unwrap_or_default()))
            },
        )
        .watches_stream(objects(named::<Pod>(&client, &options), pods), by_label)
        // Authorities of other clusters, put here by a person.
        .watches_stream(
            objects(named::<ConfigMap>(&client, &options), authorities),
            by_label,
        )
        .reconcile_on(UnboundedReceiverStream::new(logs_asked))
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
        .watches_stream(
            objects(of_logs(&client, &options), everything.clone()),
            move |log: EventLog| links_of(&of_log, log.namespace(), &log.name_any()),
        )
        .watches_stream(
            objects(of_links(&client, &options), everything),
            move |link: ReplicationLink| {
                links_of(&of_link, link.namespace(), &link.spec.event_log_ref.name)
            },
        )
        .reconcile_on(UnboundedReceiverStream::new(links_asked))
        .graceful_shutdown_on(stop)
        .run(replication_link::reconcile, again, context)
        .for_each(|visit| {
            told(visit.err());
            future::ready(())
        });
    future::join(logs, links).await;
    asking.abort();
    parting.abort();
    tidying.abort();
}

/// Asks for visits of a log and of all its links.
async fn ask(
    mut visits: mpsc::UnboundedReceiver<LogKey>,
    logs: mpsc::UnboundedSender<ObjectRef<EventLog>>,
    links: mpsc::UnboundedSender<ObjectRef<ReplicationLink>>,
    context: Arc<Context>,
) {
    while let Some(log) = visits.recv().await {
        for link in links_of(&context, Some(log.namespace.clone()), &log.name) {
            let _ = links.send(link);
        }
        let _ = logs.send(ObjectRef::new(&log.name).within(&log.namespace));
    }
}

/// Forgets what is gone, now and then: deletion without a finalizer is seen by nobody.
async fn tidy(context: Arc<Context>) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        context.tidy();
    }
}

/// The log of an object that it does not own: the owner of a pod is a StatefulSet.
fn by_label<K: kube::Resource<DynamicType = ()>>(object: K) -> Option<ObjectRef<EventLog>> {
    let name = object.labels().get("tidelog.dev/log")?.clone();
    Some(ObjectRef::new(&name).within(&object.namespace()?))
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

/// Only what identifies them.
fn named<K>(client: &Client, options: &Options) -> Api<PartialObjectMeta<K>>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    api(client, options)
}

/// The same for a kind that is known by its name only.
fn dynamic(
    client: &Client,
    options: &Options,
    kind: &ApiResource,
) -> Api<PartialObjectMeta<DynamicObject>> {
    match &options.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
        None => Api::all_with(client.clone(), kind),
    }
}

/// As the API server takes it.
fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)
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

/// A visit that failed is made again, later and later; what nobody tells of, a Secret for example, is looked at as often as without failures.
fn again<K: kube::Resource<DynamicType = ()>>(
    resource: Arc<K>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    let uid = resource.meta().uid.clone().unwrap_or_default();
    let failures = context.failed(&uid);
    let wait = until_again(failures);
    let name = resource.name_any();
    tracing::warn!(kind = %K::kind(&()), name, %error, failures, ?wait, "not done yet");
    Action::requeue(wait)
}

fn until_again(failures: u32) -> Duration {
    let wait = Duration::from_millis(500) * 2u32.pow(failures.min(8));
    wait.min(LOOK_AT_SECRETS)
}

/// What went wrong with the watches themselves; visits tell for themselves.
fn told<E: std::fmt::Display>(error: Option<E>) {
    if let Some(error) = error {
        tracing::debug!(%error, "a visit or a watch ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_that_failed_is_made_again_later_and_later_and_within_half_a_minute() {
        let waits: Vec<u64> = (0..9)
            .map(|failures| until_again(failures).as_secs())
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(until_again(u32::MAX), LOOK_AT_SECRETS);
    }
}
