//! The chart, rendered with values, and the sets of values that are tried.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use tidelog_cluster_tests::{Answer, Helm};

/// Where the operator is.
pub const SYSTEM: &str = "tidelog-system";

/// Sets of values, each with a name. All of them name the namespaces `shop` and `tidelog-system` only, and the release is `tidelog`.
pub const SETS: [(&str, &str); 13] = [
    ("as documented", "location: {name: eu}"),
    ("every location", "location: {name: '*'}"),
    ("everything on", EVERYTHING_ON),
    ("everything off", EVERYTHING_OFF),
    (
        "one namespace",
        "{location: {name: eu}, watchNamespace: shop, metrics: {serviceMonitor: {enabled: true}}}",
    ),
    (
        "several replicas",
        "{location: {name: eu}, replicas: 3, concurrency: 256}",
    ),
    (
        "several replicas, no budget",
        "{location: {name: eu}, replicas: 3, podDisruptionBudget: {enabled: false}}",
    ),
    (
        "monitored",
        "{location: {name: eu}, metrics: {serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}}",
    ),
    ("pinned images", PINNED),
    (
        "definitions by somebody else",
        "{location: {name: eu}, crds: {enabled: false}}",
    ),
    (
        "rights by somebody else",
        "{location: {name: eu}, rbac: {create: false}, serviceAccount: {create: false, name: given}}",
    ),
    (
        "tested in plain text",
        "{location: {name: eu}, test: {namespace: shop, insecure: true}}",
    ),
    (
        "without election",
        "{location: {name: eu}, leaderElection: {enabled: false}}",
    ),
];

/// Every object that the chart has, every value other than its default.
pub const EVERYTHING_ON: &str = "
location: {name: eu-west-1}
image: {repository: registry.example.com:5000/tidelog/operator, tag: 1.2.3, pullPolicy: Always}
imagePullSecrets: [registry, mirror]
sidecar:
  image: {repository: registry.example.com:5000/tidelog/sidecar, tag: 1.2.4, pullPolicy: Never}
  resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 2Gi}}
postgres: {image: 'registry.example.com:5000/postgres:15.4', resources: {limits: {memory: 4Gi}}}
certificates: {lifetime: 24h}
gateway: {namespace: shop, name: outside}
crds: {enabled: true, keep: false}
replicas: 2
concurrency: 4
logging: {level: 'info,kube=debug', format: json}
serviceAccount: {name: keeper, annotations: {example.com/who: keeper}}
rbac: {certManager: true}
resources: {requests: {cpu: 20m, memory: 64Mi}, limits: {memory: 512Mi}}
podAnnotations: {example.com/scrape: 'true'}
podLabels: {example.com/team: storage}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: example.com/reserved, operator: Exists, effect: NoSchedule}]
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
    - {weight: 1, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app.kubernetes.io/instance: tidelog}}}}
priorityClassName: system-cluster-critical
metrics:
  serviceMonitor: {enabled: true, labels: {release: prometheus}, interval: 15s}
  prometheusRule: {enabled: true, labels: {release: prometheus}, runbooks: 'https://runbooks.example.com/tidelog'}
  dashboard: {enabled: true, labels: {grafana_dashboard: tidelog}}
test: {log: carts, namespace: shop, location: eu, trustDomain: example.com, insecure: false, image: {repository: registry.example.com:5000/tidelog/cli, tag: 1.2.5, pullPolicy: Always}}
";

const EVERYTHING_OFF: &str = "
location: {name: eu}
replicas: 0
crds: {enabled: false}
leaderElection: {enabled: false}
serviceAccount: {create: false, name: given}
rbac: {create: false, certManager: false}
resources: {}
sidecar: {resources: {}}
postgres: {resources: {}}
podDisruptionBudget: {enabled: false}
networkPolicy: {enabled: false}
metrics: {serviceMonitor: {enabled: false}, prometheusRule: {enabled: false}, dashboard: {enabled: false}}
";

const PINNED: &str = "
location: {name: eu}
image: {tag: '0.1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}
sidecar: {image: {tag: '0.1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}}
imagePullSecrets: [registry]
";

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn folder() -> PathBuf {
    root().join("charts/tidelog")
}

pub fn helm() -> &'static Helm {
    static HELM: OnceLock<Helm> = OnceLock::new();
    HELM.get_or_init(|| Helm::new().unwrap())
}

/// `helm template` with these values.
pub fn template(values: &str) -> Answer {
    let folder = folder();
    let arguments = [
        "template",
        "tidelog",
        folder.to_str().unwrap(),
        "--namespace",
        SYSTEM,
        "--values",
        "-",
    ];
    helm().run_with(&arguments, values).unwrap()
}

/// Every object that these values give.
pub fn objects(values: &str) -> Vec<Value> {
    documents(&template(values).done().unwrap().output)
}

/// The documents of a YAML text, the empty ones aside.
pub fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    let documents = serde_yaml::Deserializer::from_str(text);
    let documents = documents.map(|document| Value::deserialize(document).unwrap());
    documents.filter(|value| !value.is_null()).collect()
}

/// The only object of a kind.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let first = found.next();
    assert!(found.next().is_none(), "more than one {kind}");
    first.unwrap_or_else(|| panic!("no {kind}"))
}

/// Kind, namespace and name.
pub fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&object["metadata"]["name"]);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{} {namespace}/{name}", text(&object["kind"])),
        None => format!("{} {name}", text(&object["kind"])),
    }
}
