//! What a person may read of a cluster, as the API server writes it. Objects stay JSON: whoever looks for trouble wants to see what is there, also where a newer
//! server knows more of it than this program.

use kube::api::{GetParams, ListParams, LogParams, PostParams};
use kube::core::Request;
use serde_json::{Value, json};
use tidelog_api::{API_VERSION, EventLog, ReplicationLink};

use crate::cluster::{AccessError, Cluster, words};

/// Objects that are asked for at once.
const PAGE_OBJECTS: u32 = 500;
/// Nobody reads more pages of one kind.
const PAGES_MAX: usize = 20;

/// Lines may be long.
const ANSWER_BYTES_MAX: i64 = 32 << 20;

/// A kind of objects, and where the API server has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// As manifests spell it.
    pub api_version: &'static str,
    /// As manifests spell it.
    pub kind: &'static str,
    /// As paths spell it.
    pub plural: &'static str,
}

/// The kinds that this room reads.
pub mod kinds {
    use super::{API_VERSION, Kind};

    const fn kind(api_version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
        Kind {
            api_version,
            kind,
            plural,
        }
    }

    /// Event logs.
    pub const EVENT_LOGS: Kind = kind(API_VERSION, "EventLog", "eventlogs");
    /// Links of event logs.
    pub const REPLICATION_LINKS: Kind = kind(API_VERSION, "ReplicationLink", "replicationlinks");
    /// Pods.
    pub const PODS: Kind = kind("v1", "Pod", "pods");
    /// Events about objects.
    pub const EVENTS: Kind = kind("v1", "Event", "events");
    /// ConfigMaps.
    pub const CONFIG_MAPS: Kind = kind("v1", "ConfigMap", "configmaps");
    /// Secrets.
    pub const SECRETS: Kind = kind("v1", "Secret", "secrets");
    /// StatefulSets.
    pub const STATEFUL_SETS: Kind = kind("apps/v1", "StatefulSet", "statefulsets");
    /// Deployments.
    pub const DEPLOYMENTS: Kind = kind("apps/v1", "Deployment", "deployments");
    /// Classes of volumes.
    pub const STORAGE_CLASSES: Kind = kind("storage.k8s.io/v1", "StorageClass", "storageclasses");
    /// Definitions of kinds.
    pub const DEFINITIONS: Kind = kind(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    );
}

impl Kind {
    /// The path of all objects of a namespace; of the cluster where none is named.
    fn path(self, namespace: Option<&str>) -> String {
        let root = if self.api_version.contains('/') {
            "/apis"
        } else {
            "/api"
        };
        let Self {
            api_version,
            plural,
            ..
        } = self;
        match namespace {
            Some(namespace) => format!("{root}/{api_version}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{api_version}/{plural}"),
        }
    }
}

/// Something that a person may be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deed {
    /// For instance `create`.
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// Plural, as paths spell it.
    pub resource: String,
    /// In which namespace; empty for the whole cluster.
    pub namespace: String,
}

/// What of a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// The newest lines.
    pub lines: u32,
    /// And not more than so many bytes.
    pub bytes_max: u32,
    /// Of the run before the last restart.
    pub previous: bool,
}

impl Cluster {
    fn failed(&self, what: &str, error: kube::Error) -> AccessError {
        let (cluster, what) = (self.name().to_owned(), what.to_owned());
        match error {
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
                AccessError::Forbidden {
                    cluster,
                    what,
                    why: status.message.clone(),
                }
            }
            kube::Error::Api(status) => AccessError::Refused {
                cluster,
                what,
                why: status.message.clone(),
            },
            other => AccessError::Refused {
                cluster,
                what,
                why: words(&other),
            },
        }
    }

    async fn ask(
        &self,
        what: &str,
        request: Result<tonic::codegen::http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, AccessError> {
        let request =
            request.map_err(|error| self.failed(what, kube::Error::BuildRequest(error)))?;
        let answer = self.client().request::<Value>(request).await;
        answer.map_err(|error| self.failed(what, error))
    }

    /// The version of the API server, for instance `v1.33.2`.
    pub async fn version(&self) -> Result<String, AccessError> {
        let answer = self.client().apiserver_version().await;
        let info = answer.map_err(|error| self.failed("ask for its version", error))?;
        Ok(info.git_version)
    }

    /// All objects of a kind in the namespace, that have these labels.
    pub async fn list(&self, kind: Kind, labels: &str) -> Result<Vec<Value>, AccessError> {
        self.list_in(kind, Some(self.namespace()), labels).await
    }

    /// All objects of a kind in the whole cluster, that have these labels.
    pub async fn list_everywhere(
        &self,
        kind: Kind,
        labels: &str,
    ) -> Result<Vec<Value>, AccessError> {
        self.list_in(kind, None, labels).await
    }

    async fn list_in(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<Value>, AccessError> {
        let what = format!("list {}", kind.plural);
        let request = Request::new(kind.path(namespace));
        let mut params = ListParams::default().labels(labels).limit(PAGE_OBJECTS);
        let mut all = Vec::new();
        for _ in 0..PAGES_MAX {
            let mut page = self.ask(&what, request.list(&params)).await?;
            if let Value::Array(items) = page["items"].take() {
                all.extend(items.into_iter().map(|mut item| {
                    // Items of a list do not say what they are.
                    item["apiVersion"] = kind.api_version.into();
                    item["kind"] = kind.kind.into();
                    item
                }));
            }
            match page["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => params = params.continue_token(token),
                _ => break,
            }
        }
        Ok(all)
    }

    /// An object of the namespace; `None` where it is not there.
    pub async fn object(&self, kind: Kind, name: &str) -> Result<Option<Value>, AccessError> {
        let what = format!("read {} {name}", kind.kind);
        let request = Request::new(kind.path(Some(self.namespace())));
        let request = request.get(name, &GetParams::default());
        let request =
            request.map_err(|error| self.failed(&what, kube::Error::BuildRequest(error)))?;
        match self.client().request::<Value>(request).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(self.failed(&what, error)),
        }
    }

    /// The links of a log.
    pub async fn links(&self, log: &EventLog) -> Result<Vec<ReplicationLink>, AccessError> {
        let name = log.metadata.name.as_deref().unwrap_or_default();
        let found = self.list(kinds::REPLICATION_LINKS, "").await?;
        // What another version wrote and this one cannot read is no link that it knows of.
        let links = found
            .into_iter()
            .filter_map(|link| serde_json::from_value::<ReplicationLink>(link).ok());
        Ok(links
            .filter(|link| link.spec.event_log_ref.name == name)
            .collect())
    }

    /// Whether the person may do something, by the API server's own word.
    pub async fn may(&self, deed: &Deed) -> Result<bool, AccessError> {
        let Deed {
            verb,
            group,
            resource,
            namespace,
        } = deed;
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": resource,
                "namespace": namespace,
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let request = Request::new(path).create(&PostParams::default(), review.to_string().into());
        let what = "ask what you may do";
        let answer = self.ask(what, request).await?;
        Ok(answer["status"]["allowed"] == true)
    }

    /// The end of what a container has written.
    pub async fn log_tail(
        &self,
        (namespace, pod, container): (&str, &str, &str),
        tail: Tail,
    ) -> Result<String, AccessError> {
        let what = format!("read the log of {pod}/{container}");
        let params = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(tail.lines.into()),
            // The server keeps the oldest of these bytes, and the newest ones are wanted: this is for memory only, and the text is cut below.
            limit_bytes: Some(ANSWER_BYTES_MAX),
            previous: tail.previous,
            timestamps: false,
            ..LogParams::default()
        };
        let request = Request::new(kinds::PODS.path(Some(namespace))).logs(pod, &params);
        let request =
            request.map_err(|error| self.failed(&what, kube::Error::BuildRequest(error)))?;
        let text = self.client().request_text(request).await;
        let text = text.map_err(|error| self.failed(&what, error))?;
        Ok(newest(&text, tail.bytes_max as usize).to_owned())
    }
}

/// The newest whole lines within a bound.
fn newest(text: &str, bytes_max: usize) -> &str {
    let Some(mut from) = text.len().checked_sub(bytes_max).filter(|from| *from > 0) else {
        return text;
    };
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let rest = &text[from..];
    // A cut line may have lost what tells that something in it is secret.
    rest.find('\n').map_or("", |end| &rest[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api_server() {
        assert_eq!(
            kinds::PODS.path(Some("shop")),
            "/api/v1/namespaces/shop/pods"
        );
        assert_eq!(
            kinds::STATEFUL_SETS.path(Some("shop")),
            "/apis/apps/v1/namespaces/shop/statefulsets"
        );
        assert_eq!(
            kinds::DEFINITIONS.path(None),
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        );
    }

    #[test]
    fn the_newest_whole_lines_stay() {
        assert_eq!(newest("one\ntwo\n", 100), "one\ntwo\n");
        assert_eq!(newest("one\ntwo\nthree\n", 8), "three\n");
        assert_eq!(newest("one\nzw\u{f6}lf\n", 5), "");
        assert_eq!(newest("endless", 3), "");
    }
}
