//! Locations in Kubernetes: which cluster has them, and the way to their pods.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use tidelog_access::{AccessError, Chosen, Cluster, Port};
use tidelog_api::EventLog;
use tonic::transport::Channel;

use crate::context::{Context, Target};
use crate::failure::Failure;
use crate::place::{PlaceName, one_log};

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        let hint = match &error {
            AccessError::Kubeconfig { .. } => {
                "name a file with --kubeconfig, a context with --context; `kubectl config get-contexts` lists them"
            }
            AccessError::Forbidden { .. } => "`kubectl auth can-i --list` shows what you may do",
            AccessError::Refused { .. } => "is the cluster reached? `kubectl cluster-info` asks it",
            AccessError::Missing { .. } => "`kubectl get evlog,rlink,pods` shows what is there",
        };
        Self::failed(&error).hint(hint)
    }
}

/// A location that some cluster realises.
#[derive(Debug, Clone)]
pub struct Found {
    /// The cluster.
    pub cluster: Cluster,
    /// The log, as it is there.
    pub log: EventLog,
    /// The location.
    pub location: String,
}

impl Found {
    /// What requests and messages call it.
    pub fn target(&self) -> Target {
        Target {
            log: self.log.metadata.name.clone().unwrap_or_default(),
            title: self.location.clone(),
            address: format!("context {}", self.cluster.name()),
        }
    }

    /// A connection to its pod.
    pub async fn channel(&self, port: Port, patience: Duration) -> Result<Channel, Failure> {
        let channel = self
            .cluster
            .channel(&self.log, &self.location, port, patience);
        channel.await.map_err(Failure::from)
    }
}

impl Context {
    /// The clusters that options name.
    pub fn chosen(&self) -> Chosen {
        Chosen {
            kubeconfig: self.global.kubeconfig.clone(),
            contexts: self.global.contexts.clone(),
            namespace: self.global.namespace.clone(),
        }
    }

    /// Whether locations are looked for in clusters: when somebody says so, or where there is a kubeconfig and no development network.
    pub fn is_in_clusters(&self) -> bool {
        if self.global.address.is_some() {
            return false;
        }
        self.chosen().is_explicit() || (!self.data_dir().dev_file().exists() && has_kubeconfig())
    }

    /// All locations of a log that the chosen clusters realise; of all logs where none is named.
    pub async fn locations_in_clusters(&self, log: Option<&str>) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        let clusters = self.chosen().clusters().await?;
        for cluster in &clusters {
            found.extend(realised(cluster, log).await?);
        }
        some(found, &clusters, log)
    }

    /// The same of the clusters that answer, and what is wrong with the others. It is a failure when none does.
    pub async fn reached_in_clusters(
        &self,
        log: Option<&str>,
    ) -> Result<(Vec<Found>, Vec<String>), Failure> {
        let clusters = self.chosen().clusters().await?;
        let asked = clusters.iter().map(|cluster| realised(cluster, log));
        let (mut found, mut unreached) = (Vec::new(), Vec::new());
        let mut reason = None;
        for answer in futures_util::future::join_all(asked).await {
            match answer {
                Ok(here) => found.extend(here),
                Err(error) => {
                    unreached.push(error.to_string());
                    reason = Some(error);
                }
            }
        }
        match reason {
            Some(error) if unreached.len() == clusters.len() => Err(error.into()),
            // Somebody may have it: nothing is said of what is nowhere.
            Some(_) => Ok((found, unreached)),
            None => Ok((some(found, &clusters, log)?, unreached)),
        }
    }

    /// The one location that is meant.
    pub async fn location_in_clusters(&self, name: Option<&PlaceName>) -> Result<Found, Failure> {
        let log = match name {
            Some(name) => one_log(self.log(), name)?,
            None => self.log(),
        };
        let found = self.locations_in_clusters(log).await?;
        let listing = || {
            let names: Vec<String> = found
                .iter()
                .map(|f| format!("{}/{} in {}", f.target().log, f.location, f.cluster.name()))
                .collect();
            format!("running: {}", names.join(", "))
        };
        let Some(name) = name else {
            return match &found[..] {
                [one] => Ok(one.clone()),
                _ => Err(Failure::usage("no location was named")
                    .hint(format!("name one with --location\n{}", listing()))),
            };
        };
        let named: Vec<&Found> = found
            .iter()
            .filter(|f| f.location == name.location.as_str())
            .collect();
        match &named[..] {
            [one] => Ok((*one).clone()),
            [] => Err(
                Failure::failed(format!("no chosen cluster realises location {name}"))
                    .hint(format!("name its cluster with --context\n{}", listing())),
            ),
            _ => Err(Failure::usage(format!("{name} is there more than once"))
                .hint(format!("choose with --log or --context\n{}", listing()))),
        }
    }
}

/// The locations that a cluster says it realises.
async fn realised(cluster: &Cluster, log: Option<&str>) -> Result<Vec<Found>, AccessError> {
    let mut found = Vec::new();
    for log in cluster.logs(log).await? {
        let realised = log.status.clone().unwrap_or_default().locations;
        found.extend(realised.into_iter().map(|location| Found {
            cluster: cluster.clone(),
            log: log.clone(),
            location: location.name,
        }));
    }
    Ok(found)
}

fn some(found: Vec<Found>, clusters: &[Cluster], log: Option<&str>) -> Result<Vec<Found>, Failure> {
    if !found.is_empty() {
        return Ok(found);
    }
    let what = log.map_or("no log".to_owned(), |log| {
        format!("no location of log {log}")
    });
    let looked: Vec<String> = clusters
        .iter()
        .map(|cluster| format!("{} (namespace {})", cluster.name(), cluster.namespace()))
        .collect();
    let failure = Failure::failed(format!("{what} runs in {}", looked.join(", ")));
    Err(failure.hint("another namespace is named with --namespace, another cluster with --context; `kubectl get evlog -A` lists all logs"))
}

fn has_kubeconfig() -> bool {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    env::var_os("KUBECONFIG").is_some_and(|paths| !paths.is_empty())
        || home.is_some_and(|file| file.exists())
}
