//! What is answered about a pod.

use serde_json::{Map, Value};
use thiserror::Error;
use tidelog_api::{EventLog, LocationState};
use tidelog_build::{InjectError, Injection, Way, inject_pod, way};

/// Label of a pod: the log that its sidecar leads to, in the pod's own namespace.
pub const INJECT_LABEL: &str = "tidelog.dev/inject";
/// Label of a pod: the location whose writer is used. Where the operator realises one location it need not be said.
pub const INJECT_LOCATION_LABEL: &str = "tidelog.dev/inject-location";

/// Why a pod is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    #[error("label {INJECT_LABEL}={log}: there is no EventLog {log} in namespace {namespace}")]
    NoLog { log: String, namespace: String },
    #[error(
        "label {INJECT_LOCATION_LABEL}={location}: EventLog {log} has no such active location; it has {known}"
    )]
    NoLocation {
        log: String,
        location: String,
        known: String,
    },
    #[error(
        "this cluster has location {here} and not {location}, which label {INJECT_LOCATION_LABEL} asks for"
    )]
    NotHere { here: String, location: String },
    #[error(
        "EventLog {log} has no active location {here}, which is that of this cluster; it has {known}"
    )]
    NoneHere {
        log: String,
        here: String,
        known: String,
    },
    #[error(
        "EventLog {log} has several locations here; choose one of {known} with label {INJECT_LOCATION_LABEL}"
    )]
    WhichLocation { log: String, known: String },
    #[error("no sidecar for this pod: {0}")]
    Inject(#[from] InjectError),
}

/// The label of a pod.
pub(crate) fn label<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    let label = pod["metadata"]["labels"][name].as_str();
    label.filter(|value| !value.is_empty())
}

/// Which location of a log a pod is led to: the one that it names, or the only one here.
fn location(log: &EventLog, said: Option<&str>, here: &str) -> Result<String, Refused> {
    let name = log.metadata.name.clone().unwrap_or_default();
    let active = log.spec.locations.iter();
    let active: Vec<&str> = active
        .filter(|l| l.state == LocationState::Active)
        .map(|l| l.name.as_str())
        .collect();
    let known = active.join(", ");
    let (here, said) = (Some(here).filter(|here| *here != "*"), said);
    match (said, here) {
        (Some(said), _) if !active.contains(&said) => Err(Refused::NoLocation {
            log: name,
            location: said.to_owned(),
            known,
        }),
        (Some(said), Some(here)) if said != here => Err(Refused::NotHere {
            here: here.to_owned(),
            location: said.to_owned(),
        }),
        (Some(said), _) => Ok(said.to_owned()),
        (None, Some(here)) if active.contains(&here) => Ok(here.to_owned()),
        (None, Some(here)) => Err(Refused::NoneHere {
            log: name,
            here: here.to_owned(),
            known,
        }),
        (None, None) => match active[..] {
            [one] => Ok(one.to_owned()),
            _ => Err(Refused::WhichLocation { log: name, known }),
        },
    }
}

/// The spec of the pod with its sidecar.
pub(crate) fn injected(
    pod: &Value,
    log: &EventLog,
    (here, image): (&str, &str),
) -> Result<Map<String, Value>, Refused> {
    let location = location(log, label(pod, INJECT_LOCATION_LABEL), here)?;
    let trust_domain = log.spec.tls.as_ref().map(|tls| tls.trust_domain.clone());
    let injection = Injection {
        log: log.metadata.name.clone().unwrap_or_default(),
        location,
        trust_domain: trust_domain.unwrap_or_else(|| "tidelog".to_owned()),
        insecure: way(log) == Way::Insecure,
        image: image.to_owned(),
    };
    let spec = pod["spec"].as_object().cloned();
    let mut spec = spec.ok_or_else(|| InjectError::Malformed("spec".to_owned()))?;
    inject_pod(&mut spec, &injection)?;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn log(locations: &[(&str, &str)], tls: &Value) -> EventLog {
        let locations: Vec<Value> = locations
            .iter()
            .map(|(name, state)| json!({"name": name, "state": state}))
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "tidelog.dev/v1alpha1",
            "kind": "EventLog",
            "metadata": {"name": "orders"},
            "spec": {"application": {"name": "shop", "version": "1"}, "locations": locations, "tls": tls},
        }))
        .unwrap()
    }

    fn pod(labels: &Value) -> Value {
        json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "shop"}]}})
    }

    fn arguments(spec: &Map<String, Value>) -> String {
        spec["initContainers"][0]["args"].to_string()
    }

    #[test]
    fn the_sidecar_leads_to_the_location_that_is_meant() {
        let both = log(&[("eu", "Active"), ("us", "Active")], &Value::Null);
        let here = ("eu", "sidecar:1");
        let plain = injected(&pod(&json!({INJECT_LABEL: "orders"})), &both, here).unwrap();
        assert!(arguments(&plain).contains("--location=eu"));
        let other = json!({INJECT_LABEL: "orders", INJECT_LOCATION_LABEL: "us"});
        let other = injected(&pod(&other), &both, ("*", "sidecar:1")).unwrap();
        assert!(arguments(&other).contains("--location=us"));
        assert_eq!(other["initContainers"][0]["image"], "sidecar:1");
        let one = log(&[("eu", "Active"), ("us", "Decommissioned")], &Value::Null);
        let one = injected(&pod(&json!({})), &one, ("*", "sidecar:1")).unwrap();
        assert!(arguments(&one).contains("--location=eu"));
        let insecure = log(&[("eu", "Active")], &json!({"insecure": true}));
        let insecure = injected(&pod(&json!({})), &insecure, here).unwrap();
        assert!(arguments(&insecure).contains("--insecure"));
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_there_is() {
        let both = log(&[("eu", "Active"), ("us", "Active")], &Value::Null);
        let of = |labels: Value, here| {
            let refused = injected(&pod(&labels), &both, (here, "sidecar:1")).unwrap_err();
            refused.to_string()
        };
        assert_eq!(
            of(json!({}), "*"),
            "EventLog orders has several locations here; choose one of eu, us with label tidelog.dev/inject-location"
        );
        assert_eq!(
            of(json!({INJECT_LOCATION_LABEL: "mars"}), "*"),
            "label tidelog.dev/inject-location=mars: EventLog orders has no such active location; it has eu, us"
        );
        assert!(of(json!({}), "ap").contains("no active location ap"));
        assert!(
            of(json!({INJECT_LOCATION_LABEL: "us"}), "eu").contains("has location eu and not us")
        );
        let taken = json!({"metadata": {}, "spec": {"containers": [{"name": "tidelog"}]}});
        let taken = injected(&taken, &both, ("eu", "sidecar:1")).unwrap_err();
        assert!(matches!(taken, Refused::Inject(InjectError::NameTaken)));
    }
}
