//! The command line of the operator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tidelog_build::{Gateway, Settings};
use tidelog_controller::{Options, Realises};
use tidelog_webhook::WebhookOptions;

/// Certificates that live shorter would be replaced while pods still wait for the ones before.
const LIFETIME_MIN: Duration = Duration::from_mins(10);

/// A Lease counts 15 s, and a release that is upgraded is without a leader for some seconds.
const GONE_AFTER: Duration = Duration::from_secs(30);

/// One call of a watch: so long, and 5 s, a connection that is dead and does not know it keeps news back.
pub const WATCH: Duration = Duration::from_secs(30);

/// Realises the locations of its cluster: what EventLog and ReplicationLink resources ask for comes to exist, and is kept so.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "tidelog-operator",
    version,
    about,
    max_term_width = 110,
    after_help = "Example:\n  tidelog-operator --location eu --sidecar-image registry.example.com/tidelog/sidecar:0.1.0\n\nThe chart in charts/tidelog runs it with the rights that it needs and no others."
)]
pub struct Args {
    /// The location of this cluster, as EventLogs name it; `*` realises every location here (trials, tests, zones of one cluster).
    #[arg(long, env = "TIDELOG_LOCATION", value_name = "NAME", value_parser = location)]
    pub location: String,
    /// Look at this namespace only, instead of all.
    #[arg(long, env = "TIDELOG_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The namespace that this operator runs in: from there it speaks to the pods, and there its lease is.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "tidelog-system"
    )]
    pub operator_namespace: String,
    /// Image of the sidecars.
    #[arg(long, env = "TIDELOG_SIDECAR_IMAGE", value_name = "IMAGE", default_value = concat!("tidelog/sidecar:", env!("CARGO_PKG_VERSION")))]
    pub sidecar_image: String,
    /// Image of the database of `storage.managed`.
    #[arg(
        long,
        env = "TIDELOG_POSTGRES_IMAGE",
        value_name = "IMAGE",
        default_value = "docker.io/library/postgres:15"
    )]
    pub postgres_image: String,
    /// When a node fetches these images.
    #[arg(long, value_name = "POLICY", default_value = "IfNotPresent")]
    pub image_pull_policy: PullPolicy,
    /// Secret of the registry; may be given several times.
    #[arg(long = "image-pull-secret", value_name = "SECRET")]
    pub image_pull_secrets: Vec<String>,
    /// Resources of each sidecar, YAML or JSON as in a container.
    #[arg(long, value_name = "RESOURCES", value_parser = resources, default_value = r#"{"requests":{"cpu":"50m","memory":"64Mi"},"limits":{"memory":"512Mi"}}"#)]
    pub sidecar_resources: Value,
    /// Resources of each managed database, YAML or JSON as in a container.
    #[arg(long, value_name = "RESOURCES", value_parser = resources, default_value = r#"{"requests":{"cpu":"100m","memory":"256Mi"}}"#)]
    pub postgres_resources: Value,
    /// The Gateway for `expose: TLSRoute`; its listener passes TLS through.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub gateway: Option<String>,
    /// How long certificates count that this operator issues, for instance 2160h; at least 10m. The next one is made when a third of that is left.
    #[arg(long, value_name = "DURATION", default_value = "2160h", value_parser = duration)]
    pub certificate_lifetime: Duration,
    /// How often a resource is looked at although nothing has happened.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub resync: Duration,
    /// How many resources of one kind are looked at at the same time.
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Work without asking whether another operator of this location works already.
    #[arg(long)]
    pub no_leader_election: bool,
    /// Name of this process in the lease; its pod's name.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,
    /// Where /metrics, /livez and /readyz are served; port 0 picks a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Where the webhook is served that gives pods with the label `tidelog.dev/inject` a sidecar; absent: not at all.
    #[arg(long, value_name = "IP:PORT")]
    pub webhook_listen: Option<SocketAddr>,
    /// The Service that leads to it, in the namespace of this operator; its certificate is kept in Secret SERVICE-certificate there.
    #[arg(long, value_name = "SERVICE", default_value = "tidelog-webhook")]
    pub webhook_service: String,
    /// The MutatingWebhookConfiguration that names it.
    #[arg(long, value_name = "NAME", default_value = "tidelog")]
    pub webhook_configuration: String,
    /// The cluster, instead of the one that this runs in (or the one of KUBECONFIG).
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A context of that file, instead of its current one.
    #[arg(long, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// How logs are written.
    #[arg(
        long,
        env = "TIDELOG_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,
    /// What is logged; RUST_LOG says it in detail.
    #[arg(
        long,
        env = "TIDELOG_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub log_level: String,
}

/// When a node fetches an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PullPolicy {
    /// At each start.
    Always,
    /// When it is not there.
    IfNotPresent,
    /// Never.
    Never,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Args {
    /// How the webhook is served, if it is.
    pub fn webhook(&self) -> Option<WebhookOptions> {
        Some(WebhookOptions {
            listen: self.webhook_listen?,
            service: Some(self.webhook_service.clone()),
            namespace: self.operator_namespace.clone(),
            secret: format!("{}-certificate", self.webhook_service),
            configuration: self.webhook_configuration.clone(),
            location: self.location.clone(),
            image: self.sidecar_image.clone(),
        })
    }

    /// Name of the Lease of this operator and its other replicas: two locations in one cluster have two.
    pub fn lease(&self) -> String {
        let location = if self.location == "*" {
            "all"
        } else {
            &self.location
        };
        let scope = self.namespace.as_deref().filter(|name| !name.is_empty());
        match scope {
            None => format!("tidelog-operator.{location}"),
            Some(namespace) => format!("tidelog-operator.{location}.{namespace}"),
        }
    }

    /// What the controller is started with.
    pub fn options(&self) -> Result<Options> {
        ensure!(
            self.certificate_lifetime >= LIFETIME_MIN,
            "--certificate-lifetime {:?} is too short; give at least 10m",
            self.certificate_lifetime
        );
        let policy = match self.image_pull_policy {
            PullPolicy::Always => "Always",
            PullPolicy::IfNotPresent => "IfNotPresent",
            PullPolicy::Never => "Never",
        };
        let gateway = self.gateway.as_ref().map(|text| {
            let (namespace, name) = text
                .split_once('/')
                .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
                .with_context(|| format!("--gateway {text}: write NAMESPACE/NAME"))?;
            Ok::<_, anyhow::Error>(Gateway {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        });
        Ok(Options {
            location: Realises::parse(&self.location),
            lease: (!self.no_leader_election)
                .then(|| format!("{}/{}", self.operator_namespace, self.lease())),
            namespace: self.namespace.clone().filter(|name| !name.is_empty()),
            settings: Settings {
                sidecar_image: self.sidecar_image.clone(),
                postgres_image: self.postgres_image.clone(),
                image_pull_policy: policy.to_owned(),
                image_pull_secrets: self.image_pull_secrets.clone(),
                operator_namespace: self.operator_namespace.clone(),
                sidecar_resources: self.sidecar_resources.clone(),
                postgres_resources: self.postgres_resources.clone(),
                certificate_lifetime: self.certificate_lifetime,
                gateway: gateway.transpose()?,
            },
            gone_after: GONE_AFTER,
            resync: self.resync,
            concurrency: self.concurrency,
            watch: WATCH,
        })
    }
}

fn location(text: &str) -> Result<String, String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.len() <= 63
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if text == "*" || is_name {
        return Ok(text.to_owned());
    }
    Err("a location's name has lower-case letters, digits and '-', begins with a letter and ends with a letter or digit; `*` is all of them".to_owned())
}

fn resources(text: &str) -> Result<Value, String> {
    let value: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    match value {
        Value::Null => Ok(json!({})),
        Value::Object(_) => Ok(value),
        _ => Err("expected an object such as {\"limits\": {\"memory\": \"512Mi\"}}".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text
        .parse()
        .map_err(|_| format!("{text} is no duration; write for instance 30s, 10m or 2160h"))?;
    Duration::try_from(parsed)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("{text} is not a time ahead"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        let all = ["tidelog-operator", "--location", "eu"]
            .iter()
            .chain(arguments);
        Args::try_parse_from(all)?.options()
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.location, Realises::One("eu".to_owned()));
        assert_eq!(options.namespace, None);
        assert_eq!(
            options.settings.certificate_lifetime,
            Duration::from_hours(2160)
        );
        assert!(options.settings.gateway.is_none());
        let all = Args::try_parse_from(["tidelog-operator", "--location", "*"]);
        assert_eq!(all.unwrap().options().unwrap().location, Realises::All);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (arguments, told) in [
            (vec!["--location", "EU"], "lower-case letters"),
            (vec!["--location", "eu-"], "lower-case letters"),
            (vec!["--certificate-lifetime", "5m"], "at least 10m"),
            (vec!["--certificate-lifetime", "soon"], "no duration"),
            (vec!["--resync=-5m"], "not a time ahead"),
            (vec!["--gateway", "outside"], "NAMESPACE/NAME"),
            (vec!["--sidecar-resources", "[]"], "expected an object"),
            (vec!["--concurrency", "0"], "1..=256"),
        ] {
            let mut all = vec!["tidelog-operator"];
            if arguments[0] != "--location" {
                all.extend(["--location", "eu"]);
            }
            all.extend(arguments);
            let failed = Args::try_parse_from(all).map_err(anyhow::Error::from);
            let error = failed.and_then(|args| args.options()).unwrap_err();
            assert!(format!("{error:#}").contains(told), "{error:#}");
        }
    }
}
