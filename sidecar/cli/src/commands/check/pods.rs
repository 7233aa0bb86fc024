//! Judges the pods of a location by what Kubernetes says of them. Pure.

use std::collections::BTreeSet;

use serde_json::Value;
use tidelog_build::Names;

use super::finding::Findings;
use super::installed::text;
use super::seen::SeenLog;

/// Restarts that are worth a word.
const RESTARTS_MANY: u64 = 5;

/// Whether the pods of each location here are ready.
pub fn judge(seen: &SeenLog, namespace: &str, findings: &mut Findings) {
    let (sets, pods) = match (&seen.sets, &seen.pods) {
        (Ok(sets), Ok(pods)) => (sets, pods),
        (Err(unread), _) => return findings.unread("StatefulSets", unread),
        (_, Err(unread)) => return findings.unread("pods", unread),
    };
    for location in seen.here() {
        let name = Names::new(seen.name(), location).base();
        let set = sets.iter().find(|set| text(set, "/metadata/name") == name);
        let Some(set) = set else {
            findings.fail(
                format!("StatefulSet {name} is not there"),
                "the operator makes it: is it running, and does `Stalled` of the EventLog say what it waits for?",
            );
            continue;
        };
        let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_u64);
        let wanted = number("/spec/replicas").unwrap_or(1);
        let ready = number("/status/readyReplicas").unwrap_or_default();
        let here = pods.iter().filter(|pod| is_of(pod, location));
        let troubles: BTreeSet<(String, String)> = here.flat_map(troubles).collect();
        if ready >= wanted && troubles.is_empty() {
            findings.ok(format!("{ready} of {wanted} pods of {name} are ready"));
            continue;
        }
        let check = format!("{ready} of {wanted} pods of {name} are ready");
        let hint = format!(
            "`kubectl -n {namespace} get pods -l tidelog.dev/location={location}` shows them"
        );
        match (ready >= wanted, ready > 0) {
            (true, _) => findings.ok(check),
            (false, true) => findings.warn(check, hint),
            (false, false) => findings.fail(check, hint),
        }
        for (what, hint) in troubles {
            findings.warn(what, hint);
        }
    }
}

fn is_of(pod: &Value, location: &str) -> bool {
    pod["metadata"]["labels"]["tidelog.dev/location"] == location
}

/// What is wrong with a pod, and what to do about it.
fn troubles(pod: &Value) -> Vec<(String, String)> {
    let name = text(pod, "/metadata/name");
    let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).cloned();
    let mut all = Vec::new();
    let conditions = list("/status/conditions").unwrap_or_default();
    for condition in conditions {
        if condition["type"] == "PodScheduled" && condition["status"] == "False" {
            let why = text(&condition, "/message");
            all.push((
                format!("pod {name} has no node: {why}"),
                hint("Unschedulable").to_owned(),
            ));
        }
    }
    for pointer in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        for status in list(pointer).unwrap_or_default() {
            let container = text(&status, "/name");
            let reason = text(&status, "/state/waiting/reason");
            if !["", "PodInitializing", "ContainerCreating"].contains(&reason) {
                let why = text(&status, "/state/waiting/message");
                all.push((
                    format!("pod {name}, container {container} waits: {reason} {why}")
                        .trim()
                        .to_owned(),
                    hint(reason)
                        .replace("POD", name)
                        .replace("CONTAINER", container),
                ));
            }
            let restarts = status["restartCount"].as_u64().unwrap_or_default();
            let last = text(&status, "/lastState/terminated/reason");
            if last == "OOMKilled" || (restarts >= RESTARTS_MANY && reason.is_empty()) {
                let ended = if last.is_empty() { "Error" } else { last };
                all.push((
                    format!("pod {name}, container {container} was started again {restarts} times, the last time after {ended}"),
                    hint(ended).replace("POD", name).replace("CONTAINER", container),
                ));
            }
        }
    }
    all
}

/// What to do about a word of the kubelet or the scheduler.
fn hint(reason: &str) -> &'static str {
    match reason {
        "Unschedulable" => {
            "no node fits: compare requests and limits, node selectors and volumes with the nodes; an unbound volume needs a storage class"
        }
        "ImagePullBackOff" | "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName" => {
            "the node does not get the image: check sidecar.image and imagePullSecrets of the chart, and the registry"
        }
        "CrashLoopBackOff" | "Error" => {
            "`kubectl logs POD -c CONTAINER --previous` says why it ended"
        }
        "OOMKilled" => "it needs more memory: raise limits.memory (sidecar.resources of the chart)",
        "CreateContainerConfigError" => {
            "a Secret or ConfigMap that it mounts is not there, or has not the key: `kubectl describe pod POD` names it"
        }
        _ => "`kubectl describe pod POD` says more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn troubles_of_a_pod_are_told_with_what_to_do() {
        let pod = json!({
            "metadata": {"name": "orders-eu-0"},
            "status": {
                "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}],
                "initContainerStatuses": [{"name": "tidelog", "restartCount": 9, "state": {"running": {}}}],
                "containerStatuses": [
                    {"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}},
                    {"name": "big", "restartCount": 1, "lastState": {"terminated": {"reason": "OOMKilled"}}},
                    {"name": "new", "state": {"waiting": {"reason": "ContainerCreating"}}},
                ],
            },
        });
        let found = troubles(&pod);
        let told: Vec<&str> = found.iter().map(|(what, _)| what.as_str()).collect();
        assert_eq!(
            told,
            [
                "pod orders-eu-0 has no node: 0/3 nodes",
                "pod orders-eu-0, container tidelog was started again 9 times, the last time after Error",
                "pod orders-eu-0, container app waits: CrashLoopBackOff back-off",
                "pod orders-eu-0, container big was started again 1 times, the last time after OOMKilled",
            ]
        );
        assert_eq!(
            found[2].1,
            "`kubectl logs orders-eu-0 -c app --previous` says why it ended"
        );
        assert_eq!(troubles(&json!({"metadata": {"name": "x"}})), []);
    }
}
