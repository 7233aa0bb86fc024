//! The sidecar of an application: a native sidecar in the application's own pod, which leads to the location's pods.

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::names::{CONTAINER, HEALTH_PORT, Names, paths};
use crate::stateful_set::restricted;

/// Where its certificate is.
const CLIENT: &str = "/etc/tidelog/client";

/// What is put into a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// The log, in the namespace of the pod.
    pub log: String,
    /// The location whose writer is used.
    pub location: String,
    /// Trust domain of the log.
    pub trust_domain: String,
    /// The log has asked for plain text.
    pub insecure: bool,
    /// Image of the sidecar.
    pub image: String,
}

/// What cannot be given a sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InjectError {
    /// It has no pods.
    #[error("a {0} has no pods of its own")]
    NoPods(String),
    /// Not what a manifest looks like.
    #[error("{0} is missing, or not what it should be")]
    Malformed(String),
    /// Somebody else's container has the name.
    #[error("it has a container `{CONTAINER}` of another kind already")]
    NameTaken,
}

/// Where the pod of an object is described; `None` for what has no pods.
fn pod_path(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "Pod" => &["spec"],
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "Job"
        | "ReplicationController" => &["spec", "template", "spec"],
        "CronJob" => &["spec", "jobTemplate", "spec", "template", "spec"],
        _ => return None,
    })
}

/// Whether objects of this kind have pods.
pub fn has_pods(kind: &str) -> bool {
    pod_path(kind).is_some()
}

/// Gives the pods of an object a sidecar, first in line. Repeating it changes nothing; doing it otherwise replaces what was there.
pub fn inject(object: &mut Value, injection: &Injection) -> Result<(), InjectError> {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let path = pod_path(&kind).ok_or(InjectError::NoPods(kind))?;
    let mut pod = object;
    for step in path {
        let next = pod.get_mut(*step).filter(|next| next.is_object());
        pod = next.ok_or_else(|| InjectError::Malformed(path.join(".")))?;
    }
    let Some(spec) = pod.as_object_mut() else {
        return Err(InjectError::Malformed(path.join(".")));
    };
    inject_pod(spec, injection)
}

/// The same for the spec of a pod.
pub fn inject_pod(spec: &mut Map<String, Value>, injection: &Injection) -> Result<(), InjectError> {
    let containers = list(spec, "containers")?;
    if containers.iter().any(|c| c["name"] == CONTAINER) {
        return Err(InjectError::NameTaken);
    }
    for container in containers {
        let Some(container) = container.as_object_mut() else {
            return Err(InjectError::Malformed("containers[]".to_owned()));
        };
        // For those who prefer the socket.
        let mount = json!({"name": "tidelog-run", "mountPath": paths::RUN});
        put(list(container, "volumeMounts")?, mount);
    }
    let before = list(spec, "initContainers")?;
    if let Some(at) = before.iter().position(|c| c["name"] == CONTAINER) {
        let other = before.remove(at);
        if other["restartPolicy"] != "Always" {
            return Err(InjectError::NameTaken);
        }
    }
    before.insert(0, container(injection));
    let names = Names::new(&injection.log, &injection.location);
    let volumes = list(spec, "volumes")?;
    put(
        volumes,
        json!({"name": "tidelog-run", "emptyDir": {"medium": "Memory"}}),
    );
    if injection.insecure {
        volumes.retain(|volume| volume["name"] != "tidelog-client");
    } else {
        let secret = json!({"secretName": names.client(), "defaultMode": 0o444});
        put(volumes, json!({"name": "tidelog-client", "secret": secret}));
    }
    Ok(())
}

fn container(injection: &Injection) -> Value {
    let mut args = vec![
        "forward".to_owned(),
        format!("--log={}", injection.log),
        format!("--location={}", injection.location),
        format!("--trust-domain={}", injection.trust_domain),
        format!("--socket={}/api.sock", paths::RUN),
    ];
    let mut mounts = vec![json!({"name": "tidelog-run", "mountPath": paths::RUN})];
    if injection.insecure {
        args.push("--insecure".to_owned());
    } else {
        args.push(format!("--certificates={CLIENT}"));
        mounts.push(json!({"name": "tidelog-client", "mountPath": CLIENT, "readOnly": true}));
    }
    let probe = |service: &str, period: u32, failures: u32| {
        json!({
            "grpc": {"port": HEALTH_PORT, "service": service},
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        })
    };
    let mut security = restricted();
    // The pod may say otherwise for its own containers; the image has this user.
    security["runAsUser"] = 65532.into();
    security["runAsGroup"] = 65532.into();
    json!({
        "name": CONTAINER,
        "image": injection.image,
        // A native sidecar: it runs before the application begins and until that has ended.
        "restartPolicy": "Always",
        "args": args,
        "env": [{"name": "TIDELOG_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}],
        // The application begins when its log can be reached. A log that is away later unlists nobody: that is for the application to decide.
        "startupProbe": probe("startup", 1, 600),
        "livenessProbe": probe("live", 10, 3),
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": security,
        "volumeMounts": mounts,
    })
}

/// A list of an object, made when it is absent.
fn list<'a>(
    of: &'a mut Map<String, Value>,
    field: &str,
) -> Result<&'a mut Vec<Value>, InjectError> {
    let value = of.entry(field).or_insert_with(|| json!([]));
    if value.is_null() {
        *value = json!([]);
    }
    value
        .as_array_mut()
        .ok_or_else(|| InjectError::Malformed(field.to_owned()))
}

/// Adds an item, or replaces the one of its name.
fn put(list: &mut Vec<Value>, item: Value) {
    match list.iter_mut().find(|other| other["name"] == item["name"]) {
        Some(other) => *other = item,
        None => list.push(item),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn injection() -> Injection {
        Injection {
            log: "orders".to_owned(),
            location: "eu".to_owned(),
            trust_domain: "tidelog".to_owned(),
            insecure: false,
            image: "tidelog/sidecar:0.1.0".to_owned(),
        }
    }

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop"},
            "spec": {"template": {"spec": {
                "initContainers": [{"name": "migrate", "image": "shop"}],
                "containers": [{"name": "shop", "image": "shop", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
                "volumes": [{"name": "data", "emptyDir": {}}],
            }}},
        })
    }

    #[test]
    fn it_is_first_in_line_and_nothing_else_changes() {
        let mut object = deployment();
        inject(&mut object, &injection()).unwrap();
        let pod = &object["spec"]["template"]["spec"];
        let names = |list: &Value| -> Vec<String> {
            let items = list.as_array().unwrap().iter();
            items
                .map(|i| i["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(&pod["initContainers"]), ["tidelog", "migrate"]);
        assert_eq!(names(&pod["containers"]), ["shop"]);
        assert_eq!(
            names(&pod["volumes"]),
            ["data", "tidelog-run", "tidelog-client"]
        );
        assert_eq!(
            names(&pod["containers"][0]["volumeMounts"]),
            ["data", "tidelog-run"]
        );
        assert_eq!(pod["initContainers"][0]["restartPolicy"], "Always");
        assert_eq!(
            pod["volumes"][2]["secret"]["secretName"],
            "orders-eu-client"
        );
        let mut again = object.clone();
        inject(&mut again, &injection()).unwrap();
        assert_eq!(again, object);

        // Another log: what was there goes.
        let other = Injection {
            location: "us".to_owned(),
            insecure: true,
            ..injection()
        };
        inject(&mut again, &other).unwrap();
        let pod = &again["spec"]["template"]["spec"];
        assert_eq!(names(&pod["initContainers"]), ["tidelog", "migrate"]);
        assert_eq!(names(&pod["volumes"]), ["data", "tidelog-run"]);
        assert!(
            pod["initContainers"][0]["args"]
                .to_string()
                .contains("--insecure")
        );
    }

    #[test]
    fn what_cannot_be_given_one_is_named() {
        let wrong = |object: Value| {
            let mut object = object;
            inject(&mut object, &injection()).unwrap_err()
        };
        assert_eq!(
            wrong(json!({"kind": "Service"})),
            InjectError::NoPods("Service".to_owned())
        );
        assert_eq!(
            wrong(json!({"kind": "Deployment", "spec": {}})),
            InjectError::Malformed("spec.template.spec".to_owned())
        );
        assert_eq!(
            wrong(json!({"kind": "Pod", "spec": {"containers": 1}})),
            InjectError::Malformed("containers".to_owned())
        );
        let mut taken = deployment();
        taken["spec"]["template"]["spec"]["containers"][0]["name"] = "tidelog".into();
        assert_eq!(wrong(taken), InjectError::NameTaken);
        let mut taken = deployment();
        taken["spec"]["template"]["spec"]["initContainers"][0]["name"] = "tidelog".into();
        assert_eq!(wrong(taken), InjectError::NameTaken);
    }
}
