//! `tidelog inject`.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize as _;
use serde_json::Value;
use tidelog_build::{Injection, has_pods, inject};

use crate::context::Context;
use crate::failure::Failure;

/// Give the pods of an application a sidecar: print its manifests with one.
///
/// The sidecar listens on 127.0.0.1:7440 and /run/tidelog/api.sock of the application's pod and leads to the writer of a location of a log in the same
/// namespace, so that rolling out the application never restarts the log. It is a native sidecar (Kubernetes 1.29), first in line: the application begins when its
/// log can be reached. What has no pods is printed as it is; repeating it changes nothing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tidelog inject -f deployment.yaml --log orders --location eu | kubectl apply -f -
  tidelog inject -f - --log orders --location eu      from the standard input")]
pub struct InjectArgs {
    /// Manifests, YAML or JSON; `-` is the standard input.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The location whose writer the application uses.
    #[arg(long, value_name = "L")]
    pub location: String,
    /// Trust domain of the log (`spec.tls.trustDomain`).
    #[arg(long, value_name = "DOMAIN", default_value = "tidelog")]
    pub trust_domain: String,
    /// The log has no TLS (`spec.tls.insecure`).
    #[arg(long)]
    pub insecure: bool,
    /// Image of the sidecar.
    #[arg(long, value_name = "IMAGE", default_value = concat!("tidelog/sidecar:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
}

/// Prints the manifests.
pub fn run(context: &Context, args: &InjectArgs) -> Result<(), Failure> {
    let Some(log) = context.log() else {
        return Err(Failure::usage("no log was named").hint("name it with --log"));
    };
    let injection = Injection {
        log: log.to_owned(),
        location: args.location.clone(),
        trust_domain: args.trust_domain.clone(),
        insecure: args.insecure,
        image: args.image.clone(),
    };
    let mut objects = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        let text =
            read(file).map_err(|error| Failure::failed(format!("cannot read {name}: {error}")))?;
        for (number, document) in serde_yaml::Deserializer::from_str(&text).enumerate() {
            let object = Value::deserialize(document).map_err(|error| {
                Failure::failed(format!("{name}, document {}: {error}", number + 1))
            })?;
            if !object.is_null() {
                objects.extend(
                    items(object)
                        .into_iter()
                        .map(|object| (name.clone(), object)),
                );
            }
        }
    }
    let mut given = 0;
    for (file, object) in &mut objects {
        let kind = object["kind"].as_str().unwrap_or_default();
        if !has_pods(kind) {
            continue;
        }
        let what = format!(
            "{file}: {kind} {}",
            object["metadata"]["name"].as_str().unwrap_or_default()
        );
        inject(object, &injection).map_err(|error| Failure::failed(format!("{what}: {error}")))?;
        context.output.detail(&format!("{what} has a sidecar"));
        given += 1;
    }
    if given == 0 {
        return Err(Failure::failed("nothing here has pods")
            .hint("give a Deployment, StatefulSet, DaemonSet, Job, CronJob or Pod with -f"));
    }
    let objects: Vec<Value> = objects.into_iter().map(|(_, object)| object).collect();
    if context.output.is_json() {
        return match &objects[..] {
            [one] => context.output.json(one),
            _ => context
                .output
                .json(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects})),
        };
    }
    let mut documents = Vec::new();
    for object in &objects {
        let yaml = serde_yaml::to_string(object);
        documents.push(
            yaml.map_err(|error| Failure::failed(format!("cannot write a manifest: {error}")))?,
        );
    }
    context.output.line(&documents.join("---\n"))
}

/// The objects of a list, or the object itself.
fn items(object: Value) -> Vec<Value> {
    match (&object["kind"], &object["items"]) {
        (Value::String(kind), Value::Array(items)) if kind.ends_with("List") => items.clone(),
        _ => vec![object],
    }
}

fn read(file: &PathBuf) -> std::io::Result<String> {
    if file.as_os_str() != "-" {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
