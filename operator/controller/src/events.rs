//! Events for people: what has become otherwise.

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tidelog_api::Condition;
use tidelog_status::transitions;

use crate::FIELD_MANAGER;
use crate::metrics::Metrics;

/// Publishes them.
#[derive(Clone)]
pub(crate) struct Events(Recorder);

impl Events {
    pub(crate) fn new(client: Client) -> Self {
        let reporter = Reporter {
            controller: FIELD_MANAGER.to_owned(),
            instance: std::env::var("POD_NAME").ok(),
        };
        Self(Recorder::new(client, reporter))
    }

    /// Tells of conditions that have become otherwise. An Event that cannot be published is not worth a visit.
    pub(crate) async fn tell<K>(
        &self,
        metrics: &Metrics,
        resource: &K,
        (before, after): (&[Condition], &[Condition]),
    ) where
        K: Resource<DynamicType = ()>,
    {
        let all = transitions(before, after);
        for transition in all {
            let kind = if transition.is_warning {
                EventType::Warning
            } else {
                EventType::Normal
            };
            self.publish(metrics, resource, kind, transition.reason, transition.note)
                .await;
        }
    }

    /// Tells something else.
    pub(crate) async fn publish<K>(
        &self,
        metrics: &Metrics,
        resource: &K,
        type_: EventType,
        reason: String,
        note: String,
    ) where
        K: Resource<DynamicType = ()>,
    {
        let event = Event {
            type_,
            reason,
            note: Some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        metrics.wrote("Event");
        if let Err(error) = self.0.publish(&event, &resource.object_ref(&())).await {
            tracing::warn!(%error, reason = event.reason, "an Event could not be published");
        }
    }
}
