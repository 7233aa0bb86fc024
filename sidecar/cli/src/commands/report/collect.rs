//! Reads what belongs into a report. Whatever cannot be read is noted, and the rest goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tidelog_access::{AccessError, Cluster, Kind, Port, Tail, kinds};
use tidelog_api::EventLog;
use tidelog_build::{METRICS_PORT, Names};
use tidelog_proto::v1::GetStatusRequest;

use super::bundle::{Bundle, part};
use crate::client;
use crate::commands::check::{self, look};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;

/// The newest bytes of a container's log.
const LOG_BYTES_MAX: u32 = 2 << 20;
/// Bytes of metrics of a pod.
const METRICS_BYTES_MAX: usize = 2 << 20;
/// Newest Events of a namespace.
const EVENTS_MAX: usize = 1_000;
/// Pods of one kind of which logs, status and metrics are read.
const PODS_MAX: usize = 100;
/// Where the operator serves its metrics.
const OPERATOR_PORT: u16 = 8080;
/// The containers that Tidelog puts into pods of a log.
const SIDECAR: &[&str] = &["tidelog"];
/// That of the operator.
const OPERATOR: &[&str] = &["operator"];
/// Made by the operator for logs, databases included.
const OF_LOGS: &str = "app.kubernetes.io/name=tidelog";

/// What is wanted.
pub struct Wanted<'a> {
    /// Only this log.
    pub log: Option<&'a str>,
    /// Of each log of a container.
    pub lines: u32,
    /// How long a pod may take to answer.
    pub patience: Duration,
    /// Where progress goes.
    pub output: Output,
}

/// Reads all of it.
pub async fn collect(clusters: &[Cluster], wanted: &Wanted<'_>, bundle: &mut Bundle) {
    for cluster in clusters {
        let place = Place {
            cluster,
            wanted,
            folder: part(cluster.name()),
        };
        place.everything(bundle).await;
    }
    wanted.output.note("checking");
    match check::examine(clusters, wanted.log).await {
        Ok(findings) => bundle.json("check.json".to_owned(), &findings.all()),
        Err(failure) => bundle.unread("check", &failure),
    }
}

/// A cluster that is read.
struct Place<'a> {
    cluster: &'a Cluster,
    wanted: &'a Wanted<'a>,
    folder: String,
}

/// Keys of Secrets whose values are names: those of a database, and public certificates.
const NAMES: [&str; 9] = [
    "ca.crt",
    "database",
    "dbname",
    "host",
    "port",
    "tls.crt",
    "user",
    "username",
    "namespace",
];

impl Place<'_> {
    fn path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.folder)
    }

    fn note(&self, what: &str) {
        self.wanted
            .output
            .note(&format!("{}: {what}", self.cluster.name()));
    }

    /// What was read; what was not is noted.
    fn noted<T>(
        &self,
        what: &str,
        answer: Result<T, AccessError>,
        bundle: &mut Bundle,
    ) -> Option<T> {
        match answer {
            Ok(found) => Some(found),
            Err(error) => {
                bundle.unread(&self.path(what), &error);
                None
            }
        }
    }

    async fn everything(&self, bundle: &mut Bundle) {
        self.note("versions and definitions");
        let version = self.cluster.version().await;
        let is_reached = version.is_ok();
        if let Some(version) = self.noted("version.json", version, bundle) {
            let versions = json!({"server": version, "program": check::installed::OWN_VERSION});
            bundle.json(self.path("version.json"), &versions);
        }
        // Everything else would only say the same again.
        if !is_reached {
            return;
        }
        self.definitions(bundle).await;
        self.note("operators");
        self.operators(bundle).await;
        self.note("logs and links");
        let logs = self.logs(bundle).await;
        self.note("pods and Events");
        self.namespace(&logs, bundle).await;
    }

    /// Names and versions: the schemas are those of a release.
    async fn definitions(&self, bundle: &mut Bundle) {
        let found = look::definitions(self.cluster).await;
        let found = match found {
            Ok(found) => found,
            Err(unread) => return bundle.unread(&self.path("definitions.json"), &unread.why),
        };
        let short = |definition: &Value| {
            let versions = definition["spec"]["versions"].as_array();
            let versions: Vec<Value> = versions
                .into_iter()
                .flatten()
                .map(|v| json!({"name": v["name"], "served": v["served"], "storage": v["storage"]}))
                .collect();
            json!({
                "name": definition["metadata"]["name"],
                "labels": definition["metadata"]["labels"],
                "versions": versions,
                "conditions": definition["status"]["conditions"],
            })
        };
        let short: Vec<Value> = found.iter().map(short).collect();
        bundle.json(self.path("definitions.json"), &short);
    }

    async fn operators(&self, bundle: &mut Bundle) {
        let found = match look::operators(self.cluster).await {
            Ok(found) => found,
            Err(unread) => return bundle.unread(&self.path("operator"), &unread.why),
        };
        bundle.objects(self.path("operator/deployments.yaml"), &found, OPERATOR);
        let namespaces: BTreeSet<&str> = found
            .iter()
            .filter_map(|deployment| deployment["metadata"]["namespace"].as_str())
            .collect();
        for namespace in namespaces {
            let there = self.cluster.in_namespace(namespace);
            let pods = there.list(kinds::PODS, look::OPERATORS).await;
            let folder = format!("operator/{}", part(namespace));
            let pods = self.noted(&format!("{folder}/pods.yaml"), pods, bundle);
            let pods = pods.unwrap_or_default();
            bundle.objects(self.path(&format!("{folder}/pods.yaml")), &pods, OPERATOR);
            for pod in pods.iter().take(PODS_MAX) {
                self.tails(&there, pod, OPERATOR, &folder, bundle).await;
                self.metrics(&there, pod, OPERATOR_PORT, &folder, bundle)
                    .await;
            }
        }
    }

    /// The resources themselves, as the server has them.
    async fn logs(&self, bundle: &mut Bundle) -> Vec<EventLog> {
        let is_meant = |name: &Value| self.wanted.log.is_none_or(|log| name == log);
        let mut logs = Vec::new();
        let found = self.cluster.list(kinds::EVENT_LOGS, "").await;
        if let Some(mut found) = self.noted("eventlogs.yaml", found, bundle) {
            found.retain(|log| is_meant(&log["metadata"]["name"]));
            bundle.objects(self.path("eventlogs.yaml"), &found, SIDECAR);
            logs = found
                .into_iter()
                .filter_map(|log| serde_json::from_value(log).ok())
                .collect();
        }
        let found = self.cluster.list(kinds::REPLICATION_LINKS, "").await;
        if let Some(mut found) = self.noted("replicationlinks.yaml", found, bundle) {
            found.retain(|link| is_meant(&link["spec"]["eventLogRef"]["name"]));
            bundle.objects(self.path("replicationlinks.yaml"), &found, SIDECAR);
        }
        logs
    }

    async fn namespace(&self, logs: &[EventLog], bundle: &mut Bundle) {
        let labels = match self.wanted.log {
            Some(log) => format!("{OF_LOGS},tidelog.dev/log={log}"),
            None => OF_LOGS.to_owned(),
        };
        // First of all, so that their values are known before anything is written that may quote one.
        self.secrets(logs, bundle).await;
        for (kind, file) in [
            (kinds::STATEFUL_SETS, "statefulsets.yaml"),
            (kinds::CONFIG_MAPS, "configmaps.yaml"),
        ] {
            let found = self.cluster.list(kind, &labels).await;
            if let Some(found) = self.noted(file, found, bundle) {
                bundle.objects(self.path(file), &found, SIDECAR);
            }
        }
        let found = self
            .cluster
            .list(kinds::PODS, &selected(self.wanted.log))
            .await;
        let pods = self.noted("pods.yaml", found, bundle).unwrap_or_default();
        bundle.objects(self.path("pods.yaml"), &pods, SIDECAR);
        self.events(logs, bundle).await;
        for pod in pods.iter().take(PODS_MAX) {
            let name = text(pod, "/metadata/name");
            self.note(&format!("pod {name}"));
            self.tails(self.cluster, pod, SIDECAR, "pods", bundle).await;
            if pod["metadata"]["labels"]["app.kubernetes.io/component"] != "log" {
                continue;
            }
            self.metrics(self.cluster, pod, METRICS_PORT, "pods", bundle)
                .await;
            self.status(logs, pod, bundle).await;
        }
    }

    /// Names and keys. What the keys hold is learned, so that it is found wherever something quotes it.
    async fn secrets(&self, logs: &[EventLog], bundle: &mut Bundle) {
        let mut names: BTreeSet<(&str, String)> = BTreeSet::new();
        for log in logs {
            let of_log = log.metadata.name.as_deref().unwrap_or_default();
            let status = log.status.clone().unwrap_or_default();
            let here: BTreeSet<&str> = status.locations.iter().map(|l| l.name.as_str()).collect();
            for named in check::seen::named(log, &here) {
                names.insert((named.kind.kind, named.name));
            }
            for location in here {
                let of = Names::new(of_log, location);
                names.extend(
                    [of.tls(), of.admin(), of.client(), of.authority()].map(|n| ("Secret", n)),
                );
                names.insert(("Secret", of.postgres()));
            }
        }
        let mut listed = Vec::new();
        for (kind, name) in names {
            let kind: Kind = if kind == "Secret" {
                kinds::SECRETS
            } else {
                kinds::CONFIG_MAPS
            };
            let what = format!("{} {name}", kind.kind);
            let found = self.cluster.object(kind, &name).await;
            let Some(found) = self.noted(&what, found, bundle) else {
                continue;
            };
            let data = found.as_ref().and_then(|object| object["data"].as_object());
            let keys: Vec<&String> = data.into_iter().flat_map(|data| data.keys()).collect();
            if kind == kinds::SECRETS {
                // What names a database or a person stands elsewhere as well, and is no secret.
                let kept = data.into_iter().flatten();
                for (_, value) in kept.filter(|(key, _)| !NAMES.contains(&key.as_str())) {
                    bundle
                        .redactor
                        .learn_encoded(value.as_str().unwrap_or_default());
                }
            }
            listed.push(
                json!({"kind": kind.kind, "name": name, "exists": found.is_some(), "keys": keys}),
            );
        }
        bundle.json(self.path("secrets-by-name.json"), &listed);
    }

    /// What Kubernetes and the operator have told of the objects of these logs, the newest last.
    async fn events(&self, logs: &[EventLog], bundle: &mut Bundle) {
        let found = self.cluster.list(kinds::EVENTS, "").await;
        let Some(mut found) = self.noted("events.yaml", found, bundle) else {
            return;
        };
        let names: Vec<&str> = logs
            .iter()
            .filter_map(|log| log.metadata.name.as_deref())
            .collect();
        found.retain(|event| {
            let about = &event["involvedObject"];
            let name = about["name"].as_str().unwrap_or_default();
            let is_of_log = names.iter().any(|log| {
                name.strip_prefix(log)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            });
            is_of_log || matches!(text(about, "/kind"), "EventLog" | "ReplicationLink")
        });
        let time = |event: &Value| {
            let times = [
                "/lastTimestamp",
                "/eventTime",
                "/metadata/creationTimestamp",
            ];
            let found = times
                .iter()
                .map(|at| text(event, at))
                .find(|t| !t.is_empty());
            found.unwrap_or_default().to_owned()
        };
        found.sort_by_key(time);
        let older = found.len().saturating_sub(EVENTS_MAX);
        bundle.objects(self.path("events.yaml"), &found[older..], SIDECAR);
    }

    /// The ends of the logs of Tidelog's own containers, of the run before as well where there was one.
    async fn tails(
        &self,
        cluster: &Cluster,
        pod: &Value,
        ours: &[&str],
        folder: &str,
        bundle: &mut Bundle,
    ) {
        if self.wanted.lines == 0 {
            return;
        }
        let name = text(pod, "/metadata/name");
        let statuses = ["initContainerStatuses", "containerStatuses"];
        let all = statuses
            .iter()
            .filter_map(|field| pod["status"][*field].as_array());
        for status in all.flatten() {
            let container = text(status, "/name");
            if !ours.contains(&container) {
                continue;
            }
            let runs = if status["restartCount"].as_u64() > Some(0) {
                2
            } else {
                1
            };
            for previous in [false, true].into_iter().take(runs) {
                let run = if previous { ".previous" } else { "" };
                let file = format!("{folder}/{}/{container}{run}.log", part(name));
                let tail = Tail {
                    lines: self.wanted.lines,
                    bytes_max: LOG_BYTES_MAX,
                    previous,
                };
                let found = cluster
                    .log_tail((cluster.namespace(), name, container), tail)
                    .await;
                if let Some(found) = self.noted(&file, found, bundle) {
                    bundle.text(self.path(&file), &found);
                }
            }
        }
    }

    async fn metrics(
        &self,
        cluster: &Cluster,
        pod: &Value,
        port: u16,
        folder: &str,
        bundle: &mut Bundle,
    ) {
        let name = text(pod, "/metadata/name");
        let file = format!("{folder}/{}/metrics.txt", part(name));
        let bounds = (METRICS_BYTES_MAX, self.wanted.patience);
        let found = cluster.fetch(name, (port, "/metrics"), bounds).await;
        if let Some(found) = self.noted(&file, found, bundle) {
            bundle.text(self.path(&file), &found);
        }
    }

    /// What the pod itself says.
    async fn status(&self, logs: &[EventLog], pod: &Value, bundle: &mut Bundle) {
        let label = |name: &str| pod["metadata"]["labels"][name].as_str().unwrap_or_default();
        let of_log = label("tidelog.dev/log");
        let name = text(pod, "/metadata/name");
        let file = format!("pods/{}/status.json", part(name));
        let mut named = logs.iter();
        let Some(log) = named.find(|log| log.metadata.name.as_deref() == Some(of_log)) else {
            return;
        };
        let asked = async {
            let to = (label("tidelog.dev/location"), name);
            let patience = self.wanted.patience;
            let channel = self
                .cluster
                .channel_to(log, to, Port::Admin, patience)
                .await?;
            let log = of_log.to_owned();
            let request = Context::bounded(GetStatusRequest { log }, patience);
            let answer = client::admin_over(channel).get_status(request).await?;
            Ok::<_, Failure>(answer.into_inner())
        };
        match asked.await {
            Ok(answer) => bundle.json(self.path(&file), &answer),
            Err(failure) => bundle.unread(&self.path(&file), &failure),
        }
    }
}

/// Pods of logs and of their databases.
fn selected(log: Option<&str>) -> String {
    match log {
        Some(log) => format!("tidelog.dev/log={log}"),
        None => "tidelog.dev/log".to_owned(),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    check::installed::text(value, pointer)
}
