//! Judges what is installed in a cluster: the API server, the definitions, the operators. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::finding::{Answer, Findings, Level};
use super::seen::Seen;

/// The version of this program.
pub const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Native sidecars are on from here; the chart says the same.
const MINOR_MIN: u32 = 29;
/// Stands on everything that the chart makes.
const VERSION_LABEL: &str = "app.kubernetes.io/version";

const INSTALL: &str = "install the chart: helm upgrade --install tidelog charts/tidelog -n tidelog-system --create-namespace --set location.name=LOCATION";
const DEFINE: &str =
    "`tidelog crds | kubectl apply --server-side -f -`, or let the chart do it: crds.enabled=true";

/// The text of a field; empty without it.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn label<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["labels"][name]
        .as_str()
        .unwrap_or_default()
}

/// Whether the API server can be talked to, and is young enough. Nothing else is worth a look when it cannot.
pub fn server(version: &Answer<String>, findings: &mut Findings) -> bool {
    let version = match version {
        Ok(version) => version,
        Err(unread) => {
            findings.fail(
                format!("the API server: {}", unread.why),
                "is its address right, the network there, the login valid? `kubectl cluster-info` asks the same",
            );
            return false;
        }
    };
    match minor(version) {
        Some(minor) if minor >= MINOR_MIN => {
            findings.ok(format!("the API server answers, {version}"));
        }
        Some(_) => findings.fail(
            format!("the API server is {version}, and sidecars need 1.{MINOR_MIN} or later"),
            "upgrade the cluster: native sidecars (initContainers with restartPolicy: Always) are not in older ones",
        ),
        None => findings.warn(
            format!("the API server calls itself {version:?}"),
            format!("it has to be 1.{MINOR_MIN} or later"),
        ),
    }
    true
}

/// `v1.33.2+k3s1` is 33.
fn minor(version: &str) -> Option<u32> {
    let mut parts = version.trim_start_matches('v').split('.');
    let major: u32 = parts.next()?.parse().ok()?;
    let minor = parts.next()?;
    let digits = minor.find(|c: char| !c.is_ascii_digit());
    let minor: u32 = minor[..digits.unwrap_or(minor.len())].parse().ok()?;
    // Whatever follows 1.x is younger.
    Some(if major > 1 { u32::MAX } else { minor })
}

/// How a definition compares with the one that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Same,
    Other,
    Unserved,
}

fn fit(known: &Value, found: &Value) -> Fit {
    let versions = |definition: &Value| -> Vec<Value> {
        let versions = definition["spec"]["versions"].as_array();
        versions.cloned().unwrap_or_default()
    };
    let Some(known) = versions(known).into_iter().next() else {
        return Fit::Other;
    };
    let found = versions(found)
        .into_iter()
        .find(|version| version["name"] == known["name"] && version["served"] == true);
    let Some(found) = found else {
        return Fit::Unserved;
    };
    let schema = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
    if schema(&known) == schema(&found) {
        Fit::Same
    } else {
        Fit::Other
    }
}

/// Whether the kinds are defined as this program knows them.
pub fn definitions(known: &[(String, Value)], found: &Answer<Vec<Value>>, findings: &mut Findings) {
    let found = match found {
        Ok(found) => found,
        Err(unread) => return findings.unread("the custom resource definitions", unread),
    };
    for (name, known) in known {
        let there = found
            .iter()
            .find(|object| text(object, "/metadata/name") == name);
        let Some(there) = there else {
            findings.fail(format!("{name} is not defined"), DEFINE);
            continue;
        };
        let version = label(there, VERSION_LABEL);
        let whose = match version {
            "" => String::new(),
            version => format!(", by version {version}"),
        };
        let conditions = there["status"]["conditions"].as_array();
        let is_established = conditions
            .into_iter()
            .flatten()
            .any(|c| c["type"] == "Established" && c["status"] == "True");
        match fit(known, there) {
            _ if !is_established => findings.fail(
                format!("{name} is defined and not established"),
                format!("`kubectl describe crd {name}` says why"),
            ),
            Fit::Same => findings.ok(format!("{name} is defined as this program knows it{whose}")),
            Fit::Unserved => findings.fail(
                format!("{name} is defined{whose}, and does not serve {}", tidelog_api::VERSION),
                "definition and program are of different versions: bring both to the same one",
            ),
            Fit::Other => findings.warn(
                format!("{name} is defined otherwise than this program ({OWN_VERSION}) knows it{whose}"),
                "definition and program are of different versions: upgrade the chart with crds.enabled=true, or take the program of its version",
            ),
        }
    }
}

/// An operator by its Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// `namespace/name`.
    pub name: String,
    /// The location that it realises; `*` for all.
    pub location: String,
    /// The only namespace that it looks at; empty for all.
    pub namespace: String,
    /// The chart's, or the image's.
    pub version: String,
    /// Replicas that are ready, and those that are wanted.
    pub ready: (u64, u64),
}

impl Operator {
    /// By its Deployment.
    pub fn of(deployment: &Value) -> Self {
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let option = |name: &str| {
            let all = container["args"].as_array().into_iter().flatten();
            let mut said = all.filter_map(|arg| arg.as_str()?.strip_prefix(name));
            let value = said.next().and_then(|rest| rest.strip_prefix('='));
            value.unwrap_or_default().to_owned()
        };
        let image = text(container, "/image");
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        let version = match label(deployment, VERSION_LABEL) {
            "" => tag,
            version => version,
        };
        let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_u64);
        Self {
            name: format!(
                "{}/{}",
                text(deployment, "/metadata/namespace"),
                text(deployment, "/metadata/name")
            ),
            location: option("--location"),
            namespace: option("--namespace"),
            version: version.to_owned(),
            ready: (
                number("/status/readyReplicas").unwrap_or_default(),
                number("/spec/replicas").unwrap_or(1),
            ),
        }
    }

    fn looks_at(&self, namespace: &str) -> bool {
        self.namespace.is_empty() || self.namespace == namespace
    }

    /// Whether both would realise the same location somewhere.
    fn collides(&self, other: &Self) -> bool {
        let same_location =
            self.location == other.location || self.location == "*" || other.location == "*";
        let same_namespace = self.namespace.is_empty()
            || other.namespace.is_empty()
            || self.namespace == other.namespace;
        same_location && same_namespace
    }

    fn title(&self) -> String {
        let scope = match self.namespace.as_str() {
            "" => String::new(),
            namespace => format!(" in namespace {namespace} only"),
        };
        format!(
            "operator {} of location {}{scope}",
            self.name, self.location
        )
    }
}

/// Whether operators run, of this version, one for each location.
pub fn operators(seen: &Seen, findings: &mut Findings) {
    let all: Vec<Operator> = match &seen.operators {
        Ok(found) => found.iter().map(Operator::of).collect(),
        Err(unread) => return findings.unread("operators in all namespaces", unread),
    };
    if !all
        .iter()
        .any(|operator| operator.looks_at(&seen.namespace))
    {
        findings.fail(
            format!("no operator looks at namespace {}", seen.namespace),
            INSTALL,
        );
    }
    for operator in &all {
        judge(operator, findings);
    }
    collisions(&all, findings);
}

fn judge(operator: &Operator, findings: &mut Findings) {
    let title = operator.title();
    let (namespace, name) = operator.name.split_once('/').unwrap_or_default();
    let (ready, wanted) = operator.ready;
    let look = format!("`kubectl -n {namespace} describe deployment {name}` and its log say why");
    if wanted == 0 {
        findings.fail(
            format!("{title} is scaled to nothing"),
            format!("`kubectl -n {namespace} scale deployment {name} --replicas=1`"),
        );
        return;
    }
    if ready == 0 {
        findings.fail(format!("{title}: none of {wanted} replicas is ready"), look);
        return;
    }
    if ready < wanted {
        findings.warn(
            format!("{title}: {ready} of {wanted} replicas are ready"),
            look,
        );
    }
    if operator.version == OWN_VERSION {
        findings.ok(format!("{title} runs, version {OWN_VERSION}"));
    } else {
        findings.warn(
            format!(
                "{title} runs, version {:?}; this program is {OWN_VERSION}",
                operator.version
            ),
            "hints and comparisons of this program fit its own version best",
        );
    }
}

/// Two that write the same objects undo each other's work.
fn collisions(all: &[Operator], findings: &mut Findings) {
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            if one.collides(other) {
                findings.fail(
                    format!("{} and {} realise the same location", one.title(), other.title()),
                    "uninstall one of them, or give each a location.name or a watchNamespace of its own",
                );
            }
        }
    }
}

/// What is there before an install: nothing, or another one.
pub fn others(
    known: &[(String, Value)],
    found: &Answer<Vec<Value>>,
    operators: &Answer<Vec<Value>>,
    findings: &mut Findings,
) {
    match found {
        Err(unread) => findings.unread("the custom resource definitions", unread),
        Ok(found) => {
            let names: BTreeSet<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
            if !found
                .iter()
                .any(|object| names.contains(text(object, "/metadata/name")))
            {
                findings.ok("no definitions of another install are there");
            }
            for (name, known) in known {
                let there = found
                    .iter()
                    .find(|object| text(object, "/metadata/name") == name);
                let Some(there) = there else {
                    continue;
                };
                let version = label(there, VERSION_LABEL);
                let (level, what, hint) = match fit(known, there) {
                    Fit::Same => (Level::Ok, "as this program knows it", ""),
                    _ if version == OWN_VERSION => (
                        Level::Warn,
                        "of the same version and otherwise",
                        "somebody has changed it: the chart writes it anew with crds.enabled=true",
                    ),
                    _ => (
                        Level::Warn,
                        "of another version",
                        "the chart replaces it with crds.enabled=true; all operators of the cluster should be of one version then",
                    ),
                };
                findings.of(level, format!("{name} is there already, {what}"), hint);
            }
        }
    }
    match operators {
        Err(unread) => findings.unread("operators in all namespaces", unread),
        Ok(found) if found.is_empty() => findings.ok("no other operator runs in the cluster"),
        Ok(found) => {
            for operator in found.iter().map(Operator::of) {
                findings.warn(
                    format!("{} is there already, version {:?}", operator.title(), operator.version),
                    "upgrade it instead, or give the new one another location.name or watchNamespace",
                );
            }
        }
    }
}

/// Whether volumes get a class by themselves.
pub fn storage(classes: &Answer<Vec<Value>>, findings: &mut Findings) {
    let classes = match classes {
        Ok(classes) => classes,
        Err(unread) => return findings.unread("storage classes", unread),
    };
    let annotation = "storageclass.kubernetes.io/is-default-class";
    let default = classes
        .iter()
        .find(|class| class["metadata"]["annotations"][annotation] == "true");
    match default {
        Some(class) => findings.ok(format!(
            "volumes get the storage class {}",
            text(class, "/metadata/name")
        )),
        None => findings.warn(
            "there is no default storage class",
            "storage.managed needs one: mark a class with the annotation storageclass.kubernetes.io/is-default-class=true, or keep the log in a PostgreSQL of yours (storage.external, storage.cloudNativePg)",
        ),
    }
}

#[cfg(test)]
mod tests;
