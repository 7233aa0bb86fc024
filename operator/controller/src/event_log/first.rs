//! What is told of a log once: when it is met for the first time what an earlier one of its name has left and what will stay of this one, and when it is
//! deleted how to take it back.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::events::EventType;
use tidelog_api::{DeletionPolicy, EventLog, Location};
use tidelog_build::{Names, database_secret};

use crate::context::Context;
use crate::error::Error;
use crate::{database, whose};

/// Objects that are named in one Event; a note has 1,024 bytes at most.
const NAMED_MAX: usize = 8;

/// Where to read on, in the repository.
const PAGE: &str = "docs/guides/kubernetes/uninstall.md";

/// Tells it.
pub(super) async fn tell(
    context: &Context,
    log: &EventLog,
    here: &[&Location],
) -> Result<(), Error> {
    let mut left = Vec::new();
    for location in here {
        for (kind, name) in outliving(log, location) {
            let names = Names::new(&log.name_any(), &location.name);
            if let Some(found) = look(context, log, kind, &name).await?
                && is_left(&found, log, &names)
            {
                left.push(format!("{kind} {name}"));
            }
        }
    }
    for (reason, note) in words(log, &left) {
        let (metrics, kind) = (&context.metrics, EventType::Normal);
        let reason = reason.to_owned();
        context
            .events
            .publish(metrics, log, kind, reason, note)
            .await;
    }
    Ok(())
}

/// Tells of a log that is gone. Its namespace may be going as well: then nobody can be told.
pub(super) async fn tell_deleted(context: &Context, log: &EventLog) {
    let (metrics, kind) = (&context.metrics, EventType::Normal);
    let reason = "Deleted".to_owned();
    let note = parting_words(log);
    context
        .events
        .publish(metrics, log, kind, reason, note)
        .await;
}

/// What the operator makes for a location and nobody owns.
fn outliving(log: &EventLog, location: &Location) -> Vec<(&'static str, String)> {
    let names = Names::new(&log.name_any(), &location.name);
    let mut kept = vec![
        ("ConfigMap", names.witness()),
        ("Secret", names.authority()),
    ];
    let secret = database_secret(log, location);
    if secret.is_ours {
        kept.push(("Secret", secret.name));
        kept.push(("PersistentVolumeClaim", database::volume(&names)));
    }
    kept
}

async fn look(
    context: &Context,
    log: &EventLog,
    kind: &str,
    name: &str,
) -> Result<Option<ObjectMeta>, Error> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
    let namespace = log.namespace().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let found = api.get_metadata_opt(name).await;
    let found = found.map_err(Error::api(format!("look at {kind} {namespace}/{name}")))?;
    Ok(found.map(|object| object.metadata))
}

/// Whether an object of this location is older than its log, and belongs to nobody: this visit, or one before it that failed, has made the younger ones.
fn is_left(found: &ObjectMeta, log: &EventLog, names: &Names) -> bool {
    let is_older = found.creation_timestamp < log.metadata.creation_timestamp;
    let is_owned = found
        .owner_references
        .as_ref()
        .is_some_and(|o| !o.is_empty());
    is_older && !is_owned && whose::check("object", found, names).is_ok()
}

/// What goes with a log, and what stays.
fn fate(log: &EventLog) -> String {
    let (goes, volumes) = match log.spec.deletion_policy {
        DeletionPolicy::Retain => ("", "volumes, "),
        DeletionPolicy::Delete => ("the volumes of managed databases go with it, ", ""),
    };
    format!("{goes}{volumes}Secrets ..-ca and ..-pg and ConfigMaps ..-witness stay")
}

fn parting_words(log: &EventLog) -> String {
    let fate = fate(log);
    format!(
        "deleted: {fate}; an EventLog of the same name takes them over; {PAGE} says how to remove everything"
    )
}

/// Reason and note of each Event.
fn words(log: &EventLog, left: &[String]) -> Vec<(&'static str, String)> {
    let fate = fate(log);
    let stays = format!(
        "when this EventLog is deleted {fate}; {PAGE} says how to take it back and how to remove everything"
    );
    let mut told = vec![("Begun", stays)];
    if !left.is_empty() {
        let named = left[..left.len().min(NAMED_MAX)].join(", ");
        let more = match left.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let note =
            format!("taken over from an earlier EventLog of this name: {named}{more}; {PAGE}");
        told.push(("Readopted", note));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn log(spec: &Value) -> EventLog {
        let mut whole = json!({
            "application": {"name": "shop", "version": "1"},
            "locations": [{"name": "eu"}],
        });
        whole
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        let created = "2026-11-22T10:00:00Z";
        serde_json::from_value(json!({
            "apiVersion": "tidelog.dev/v1alpha1",
            "kind": "EventLog",
            "metadata": {"name": "orders", "namespace": "shop", "uid": "1", "creationTimestamp": created},
            "spec": whole,
        }))
        .unwrap()
    }

    fn meta(created: &str, labels: Value, owners: Value) -> ObjectMeta {
        serde_json::from_value(json!({
            "name": "orders-eu-ca",
            "creationTimestamp": created,
            "labels": labels,
            "ownerReferences": owners,
        }))
        .unwrap()
    }

    #[test]
    fn what_is_older_than_its_log_and_belongs_to_nobody_was_left() {
        let ours = || json!({"tidelog.dev/log": "orders", "tidelog.dev/location": "eu"});
        let other = json!({"tidelog.dev/log": "orders", "tidelog.dev/location": "us"});
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "2"}]);
        let (before, same) = ("2026-11-22T09:59:59Z", "2026-11-22T10:00:00Z");
        let names = Names::new("orders", "eu");
        for (created, labels, owners, left) in [
            (before, ours(), json!([]), true),
            // Made by this visit, at the earliest in the second of the log.
            (same, ours(), json!([]), false),
            (before, other, json!([]), false),
            (before, json!({}), json!([]), false),
            // About to go with what owns it.
            (before, ours(), owner, false),
        ] {
            let found = meta(created, labels, owners);
            assert_eq!(is_left(&found, &log(&json!({})), &names), left, "{found:?}");
        }
    }

    #[test]
    fn what_outlives_a_log_is_looked_for_where_it_is_the_operators() {
        let outlive = |spec: &Value| {
            let log = log(spec);
            let all = outliving(&log, &log.spec.locations[0]);
            all.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
        };
        let always = ["orders-eu-witness", "orders-eu-ca"];
        let managed = [&always[..], &["orders-eu-pg", "data-orders-eu-pg-0"]].concat();
        assert_eq!(outlive(&json!({})), managed);
        let external =
            json!({"storage": {"external": {"uriSecretRef": {"name": "a", "key": "b"}}}});
        assert_eq!(outlive(&external), always);
    }

    #[test]
    fn one_event_tells_what_stays_and_another_what_was_taken_over() {
        let told = |spec: &Value, left: usize| {
            let left: Vec<String> = (0..left).map(|n| format!("Secret {n}")).collect();
            words(&log(spec), &left)
        };
        let new = told(&json!({}), 0);
        let [(reason, note)] = &new[..] else {
            panic!("{new:?}")
        };
        assert_eq!(*reason, "Begun");
        assert!(
            note.starts_with("when this EventLog is deleted volumes, Secrets"),
            "{note}"
        );
        assert!(note.contains(PAGE), "{note}");
        let gone = &told(&json!({"deletionPolicy": "Delete"}), 0)[0].1;
        assert!(
            gone.contains("volumes of managed databases go with it"),
            "{gone}"
        );

        let parting = |spec: &Value| parting_words(&log(spec));
        let (kept, gone) = (
            parting(&json!({})),
            parting(&json!({"deletionPolicy": "Delete"})),
        );
        assert!(kept.starts_with("deleted: volumes, Secrets"), "{kept}");
        assert!(kept.contains(PAGE), "{kept}");
        assert!(
            gone.starts_with("deleted: the volumes of managed databases go"),
            "{gone}"
        );

        let (reason, note) = &told(&json!({}), 1)[1];
        assert_eq!(*reason, "Readopted");
        assert!(note.contains("Secret 0") && note.contains(PAGE), "{note}");
        let (_, note) = &told(&json!({}), 500)[1];
        assert!(
            note.contains(" and 492 more") && note.len() < 1_024,
            "{note}"
        );
    }
}
