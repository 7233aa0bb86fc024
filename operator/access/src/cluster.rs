//! A cluster, and what is there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt as _};
use serde_json::Value;
use thiserror::Error;
use tidelog_api::EventLog;
use tidelog_build::{ADMIN_PORT, API_PORT, Names, label_selector};

/// What a person applies is known by this name.
const FIELD_MANAGER: &str = "tidelog";
/// An API server that answers at all does so by then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What did not work, with a way out where there is one.
#[derive(Debug, Error)]
pub enum AccessError {
    /// No such file, or no such context.
    #[error("{what}: {why}")]
    Kubeconfig {
        /// What was looked for.
        what: String,
        /// Why it is not to be had.
        why: String,
    },
    /// The API server refuses, or does not answer.
    #[error("{cluster}: cannot {what}: {why}")]
    Refused {
        /// The context.
        cluster: String,
        /// What was asked.
        what: String,
        /// What it said.
        why: String,
    },
    /// The person may not do it.
    #[error("{cluster}: may not {what}: {why}")]
    Forbidden {
        /// The context.
        cluster: String,
        /// What was asked.
        what: String,
        /// What it said.
        why: String,
    },
    /// Something is not there.
    #[error("{cluster}: {what}")]
    Missing {
        /// The context.
        cluster: String,
        /// What is missing.
        what: String,
    },
}

impl AccessError {
    /// Whether somebody with more rights would get an answer.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden { .. })
    }
}

/// Which clusters are meant, as options say it.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// A kubeconfig file, instead of the usual ones.
    pub kubeconfig: Option<PathBuf>,
    /// Contexts; the current one where none is named.
    pub contexts: Vec<String>,
    /// A namespace, instead of that of the context.
    pub namespace: Option<String>,
}

impl Chosen {
    /// Whether anything was chosen by name.
    pub fn is_explicit(&self) -> bool {
        self.kubeconfig.is_some() || !self.contexts.is_empty() || self.namespace.is_some()
    }

    /// Connects to all of them.
    pub async fn clusters(&self) -> Result<Vec<Cluster>, AccessError> {
        let config = read(self.kubeconfig.as_deref())?;
        let mut names: Vec<Option<&str>> = self.contexts.iter().map(|c| Some(c.as_str())).collect();
        if names.is_empty() {
            names.push(None);
        }
        let mut clusters = Vec::new();
        for name in names {
            clusters.push(Cluster::connect(&config, name, self.namespace.as_deref()).await?);
        }
        Ok(clusters)
    }
}

fn read(file: Option<&Path>) -> Result<Kubeconfig, AccessError> {
    let found = match file {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    found.map_err(|error| AccessError::Kubeconfig {
        what: file.map_or_else(
            || "no kubeconfig".to_owned(),
            |file| format!("--kubeconfig {}", file.display()),
        ),
        why: words(&error),
    })
}

/// A port of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// The application's API.
    Api,
    /// That of operator and command line.
    Admin,
}

impl Port {
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::Api => API_PORT,
            Self::Admin => ADMIN_PORT,
        }
    }
}

/// A cluster by its context.
#[derive(Clone)]
pub struct Cluster {
    name: String,
    namespace: String,
    client: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    async fn connect(
        config: &Kubeconfig,
        context: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<Self, AccessError> {
        let name = context.or(config.current_context.as_deref());
        let name = name.unwrap_or_default().to_owned();
        let options = KubeConfigOptions {
            context: context.map(str::to_owned),
            ..KubeConfigOptions::default()
        };
        let fail = |error: &dyn std::error::Error| AccessError::Kubeconfig {
            what: format!("context {name:?}"),
            why: words(error),
        };
        let made = Config::from_custom_kubeconfig(config.clone(), &options);
        let mut config = made.await.map_err(|error| fail(&error))?;
        // A cluster that is cut off must not hold up what the others can say.
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
        let client = Client::try_from(config).map_err(|error| fail(&error))?;
        Ok(Self {
            name,
            namespace,
            client,
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The same cluster, another namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..self.clone()
        }
    }

    /// Its context.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace that is looked at.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn refused(
        &self,
        what: impl Into<String>,
    ) -> impl FnOnce(kube::Error) -> AccessError {
        let (cluster, what) = (self.name.clone(), what.into());
        move |error| {
            let why = match &error {
                kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
                    let why = status.message.clone();
                    return AccessError::Forbidden { cluster, what, why };
                }
                // Of a kind that the API server does not know, and of nothing else that is listed.
                kube::Error::Api(status) if status.code == 404 => {
                    "the custom resources of Tidelog are not installed there".to_owned()
                }
                kube::Error::Api(status) => status.message.clone(),
                other => words(other),
            };
            AccessError::Refused { cluster, what, why }
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The logs of its namespace; all of them, or the one of this name.
    pub async fn logs(&self, name: Option<&str>) -> Result<Vec<EventLog>, AccessError> {
        let found = self.api::<EventLog>().list(&ListParams::default()).await;
        let found =
            found.map_err(self.refused(format!("list the EventLogs of {}", self.namespace)))?;
        let is_meant = |log: &EventLog| name.is_none_or(|name| log.name_any() == name);
        Ok(found.into_iter().filter(is_meant).collect())
    }

    /// A ConfigMap.
    pub(crate) async fn config_map(&self, name: &str) -> Result<Option<ConfigMap>, AccessError> {
        let found = self.api::<ConfigMap>().get_opt(name).await;
        found.map_err(self.refused(format!("read ConfigMap {name}")))
    }

    /// Text of a Secret.
    pub(crate) async fn secret(
        &self,
        name: &str,
        keys: &[&str],
    ) -> Result<Vec<String>, AccessError> {
        let found = self.api::<Secret>().get_opt(name).await;
        let found = found.map_err(self.refused(format!("read Secret {name}")))?;
        let missing = |what: String| AccessError::Missing {
            cluster: self.name.clone(),
            what,
        };
        let data = found.and_then(|secret| secret.data);
        let data = data.ok_or_else(|| missing(format!("there is no Secret {name}")))?;
        let text = |key: &&str| {
            let bytes = data.get(*key).map(|value| value.0.clone());
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            text.ok_or_else(|| missing(format!("Secret {name} has no key {key}")))
        };
        keys.iter().map(text).collect()
    }

    /// Applies an object as a person.
    pub async fn apply(&self, object: &Value) -> Result<(), AccessError> {
        let text = |path: &str| {
            object
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let name = text("/metadata/name");
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self
            .api::<ConfigMap>()
            .patch(name, &params, &Patch::Apply(object))
            .await;
        applied.map_err(self.refused(format!("apply {} {name}", text("/kind"))))?;
        Ok(())
    }

    /// The pod of a location that is to be asked: its writer, else one that is ready.
    pub async fn pod(&self, log: &EventLog, location: &str) -> Result<String, AccessError> {
        let names = Names::new(&log.name_any(), location);
        let labels = label_selector(&names, "log");
        let found = self
            .api::<Pod>()
            .list(&ListParams::default().labels(&labels))
            .await;
        let found = found.map_err(self.refused(format!("list the pods of {}", names.base())))?;
        let writer = log
            .status
            .as_ref()
            .and_then(|status| status.writer.as_ref());
        let place = |pod: &Pod| {
            let conditions = pod
                .status
                .as_ref()
                .and_then(|status| status.conditions.clone());
            let is_ready = conditions
                .into_iter()
                .flatten()
                .any(|c| c.type_ == "Ready" && c.status == "True");
            let is_writer = writer.is_some_and(|writer| writer.pod == pod.name_any());
            (!is_writer, !is_ready, pod.name_any())
        };
        let best = found.into_iter().min_by_key(place);
        best.map(|pod| pod.name_any())
            .ok_or_else(|| AccessError::Missing {
                cluster: self.name.clone(),
                what: format!(
                    "{} has no pod in namespace {}",
                    names.base(),
                    self.namespace
                ),
            })
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        self.api()
    }
}

/// An error with all that is behind it, each part once.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}
