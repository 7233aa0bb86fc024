//! Releases on a real API server: install, upgrade, also from an older chart, uninstall. No pod runs; what counts is what happens to the objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tidelog_api::crds;
use tidelog_cluster_tests::{Answer, ApiServer, Kubectl};

use crate::chart::{documents, folder, helm};

const DEFINITION: &str = "crd/eventlogs.tidelog.dev";

/// A cluster with one release at most: definitions are there once.
struct Cluster {
    kubectl: Kubectl,
    namespace: &'static str,
    _alone: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Without definitions, and with a namespace of its own.
    fn new(namespace: &'static str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let server = ApiServer::shared();
        let kubectl = server.namespace(namespace).unwrap();
        let delete = ["delete", "crd", "--ignore-not-found", "--timeout=60s"];
        let names = crds()
            .into_iter()
            .map(|(file, _)| file.trim_end_matches(".yaml"));
        let delete: Vec<&str> = delete.into_iter().chain(names).collect();
        kubectl.run(&delete).unwrap().done().unwrap();
        Self {
            kubectl,
            namespace,
            _alone: alone,
        }
    }

    /// Helm, for release `tidelog`.
    fn helm(&self, command: &str, chart: Option<&Path>, more: &[&str]) -> Answer {
        let mut arguments = vec![command, "tidelog"];
        arguments.extend(chart.map(|chart| chart.to_str().unwrap()));
        arguments.extend(["--namespace", self.namespace]);
        arguments.extend(more);
        ApiServer::shared().helm().unwrap().run(&arguments).unwrap()
    }

    /// Installs or upgrades to the chart of this checkout at location `eu`.
    fn to_present(&self, command: &str, more: &[&str]) -> Answer {
        let more = [&["--set", "location.name=eu"], more].concat();
        self.helm(command, Some(&folder()), &more).done().unwrap()
    }

    /// The smallest network, as it is shown to people.
    fn apply_example(&self) {
        let example = include_str!("../../../../examples/two-locations/manifests.yaml");
        self.established();
        self.kubectl.apply(example).unwrap().done().unwrap();
    }

    fn established(&self) {
        let wait = [
            "wait",
            DEFINITION,
            "--for=condition=Established",
            "--timeout=30s",
        ];
        self.kubectl.run(&wait).unwrap().done().unwrap();
    }

    fn get(&self, object: &str) -> Value {
        self.kubectl.get(object).unwrap()
    }

    fn is_there(&self, object: &str) -> bool {
        self.kubectl.get(object).is_ok()
    }

    /// Whether the operator's account may do this.
    fn may(&self, verb: &str, resource: &str, namespace: &str) -> bool {
        let account = format!("system:serviceaccount:{}:tidelog", self.namespace);
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let arguments = [
            "auth",
            "can-i",
            verb,
            resource,
            "--subresource",
            part,
            "--as",
            &account,
            "--namespace",
            namespace,
        ];
        self.kubectl.run(&arguments).unwrap().output.trim() == "yes"
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Also after a failure: the next one needs the names that have no namespace.
        self.helm("uninstall", None, &["--ignore-not-found"]);
    }
}

/// What must never change about an object that people have applied.
fn identity(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!([
        metadata["uid"],
        metadata["generation"],
        metadata["resourceVersion"],
        object["spec"]
    ])
}

/// Paths below which two values differ.
fn differences(path: &str, a: &Value, b: &Value, found: &mut BTreeSet<String>) {
    match (a, b) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                differences(&format!("{path}/{key}"), &a[key], &b[key], found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (a, b)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}/{index}"), a, b, found);
            }
        }
        _ if a != b => {
            found.insert(path.to_owned());
        }
        _ => {}
    }
}

#[test]
fn a_release_comes_changes_and_goes_and_what_people_applied_stays() {
    let cluster = Cluster::new("release");
    let installed = cluster.to_present("install", &[]);
    let steps: Vec<&str> = installed
        .output
        .lines()
        .filter(|l| l.starts_with(['1', '2', '3']))
        .collect();
    assert_eq!(steps.len(), 3, "{}", installed.output);
    cluster.apply_example();
    let before =
        ["evlog/orders", "rlink/orders", DEFINITION].map(|object| identity(&cluster.get(object)));
    let deployment = cluster.get("deployment/tidelog");
    assert_eq!(deployment["metadata"]["generation"], 1);

    // Values change: nothing else does.
    let values = ["--set", "replicas=2,logging.format=json"];
    cluster.to_present("upgrade", &values);
    let upgraded = cluster.get("deployment/tidelog");
    let mut changed = BTreeSet::new();
    differences("", &deployment["spec"], &upgraded["spec"], &mut changed);
    let format = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let place = format
        .as_array()
        .unwrap()
        .iter()
        .position(|a| a == "--log-format=text")
        .unwrap();
    let argument = format!("/template/spec/containers/0/args/{place}");
    assert_eq!(changed, BTreeSet::from(["/replicas".to_owned(), argument]));
    assert!(cluster.is_there("poddisruptionbudget/tidelog"));

    // The same again: nothing changes at all.
    cluster.to_present("upgrade", &values);
    let again = cluster.get("deployment/tidelog");
    assert_eq!(
        again["metadata"]["resourceVersion"],
        upgraded["metadata"]["resourceVersion"]
    );
    let after =
        ["evlog/orders", "rlink/orders", DEFINITION].map(|object| identity(&cluster.get(object)));
    assert_eq!(before, after);

    cluster
        .helm("uninstall", None, &["--wait", "--timeout", "60s"])
        .done()
        .unwrap();
    for gone in [
        "deployment/tidelog",
        "service/tidelog",
        "serviceaccount/tidelog",
        "clusterrole/tidelog",
        "role/tidelog-election",
    ] {
        assert!(!cluster.is_there(gone), "{gone}");
    }
    let after =
        ["evlog/orders", "rlink/orders", DEFINITION].map(|object| identity(&cluster.get(object)));
    assert_eq!(before, after);

    // What has stayed is taken over.
    cluster.to_present("install", &[]);
    let after =
        ["evlog/orders", "rlink/orders", DEFINITION].map(|object| identity(&cluster.get(object)));
    assert_eq!(before, after);

    // Who asks for it gets rid of everything.
    cluster.to_present("upgrade", &["--set", "crds.keep=false"]);
    cluster
        .helm("uninstall", None, &["--wait", "--timeout", "60s"])
        .done()
        .unwrap();
    assert!(!cluster.is_there(DEFINITION));
}

#[test]
fn the_operator_may_do_what_it_needs_and_no_more() {
    let cluster = Cluster::new("rights");
    cluster.to_present("install", &[]);
    cluster.established();
    for (verb, resource, namespace, may) in [
        ("watch", "eventlogs.tidelog.dev", "default", true),
        ("patch", "eventlogs.tidelog.dev/status", "default", true),
        ("patch", "eventlogs.tidelog.dev", "default", false),
        ("delete", "replicationlinks.tidelog.dev", "default", false),
        ("get", "secrets", "default", true),
        ("list", "secrets", "default", false),
        ("watch", "secrets", "default", false),
        ("delete", "secrets", "default", false),
        ("create", "pods", "default", false),
        ("get", "pods/log", "default", false),
        ("create", "pods/exec", "default", false),
        ("delete", "persistentvolumeclaims", "default", false),
        (
            "patch",
            "leases.coordination.k8s.io",
            cluster.namespace,
            true,
        ),
        ("get", "leases.coordination.k8s.io", "kube-system", true),
        ("patch", "leases.coordination.k8s.io", "kube-system", false),
        (
            "create",
            "clusterroles.rbac.authorization.k8s.io",
            "default",
            false,
        ),
    ] {
        assert_eq!(
            cluster.may(verb, resource, namespace),
            may,
            "{verb} {resource} in {namespace}"
        );
    }
    cluster.helm("uninstall", None, &[]).done().unwrap();

    cluster.to_present(
        "install",
        &["--set", &format!("watchNamespace={}", cluster.namespace)],
    );
    assert!(cluster.may("get", "secrets", cluster.namespace));
    assert!(!cluster.may("get", "secrets", "default"));
    assert!(!cluster.may("watch", "eventlogs.tidelog.dev", "default"));
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no {from}", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}

/// The present chart as an earlier version would have been, packaged: without `exportFilter` of a location, without rights for budgets. No version was
/// released yet; from then on the last one is taken beside it.
fn earlier(folder_of_package: &Path) -> PathBuf {
    let chart = folder_of_package.join("tidelog");
    copy(&folder(), &chart);
    replace(
        &chart.join("Chart.yaml"),
        "version: 0.1.0",
        "version: 0.0.9",
    );
    replace(
        &chart.join("templates/_helpers.tpl"),
        "- apiGroups: [policy]\n  resources: [poddisruptionbudgets]\n  verbs: [get, list, watch, create, patch, delete]\n",
        "",
    );
    let file = chart.join("files/crds/eventlogs.tidelog.dev.yaml");
    let definition = documents(&fs::read_to_string(&file).unwrap());
    let mut definition = definition.into_iter().next().unwrap();
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/locations/items/properties";
    let fields = definition
        .pointer_mut(field)
        .unwrap()
        .as_object_mut()
        .unwrap();
    fields
        .remove("exportFilter")
        .expect("the field that was not there yet");
    fs::write(&file, serde_yaml::to_string(&definition).unwrap()).unwrap();
    let folder = folder_of_package.to_str().unwrap();
    let package = ["package", chart.to_str().unwrap(), "--destination", folder];
    helm().run(&package).unwrap().done().unwrap();
    folder_of_package.join("tidelog-0.0.9.tgz")
}

#[test]
fn an_upgrade_from_an_earlier_chart_brings_the_definitions_and_leaves_resources_alone() {
    let cluster = Cluster::new("upgrade");
    let folder = tempfile::tempdir().unwrap();
    let earlier = earlier(folder.path());
    cluster
        .helm("install", Some(&earlier), &["--set", "location.name=eu"])
        .done()
        .unwrap();
    cluster.apply_example();
    let filter = json!({"spec": {"locations": [
        {"name": "eu", "endpoint": {"host": "orders.eu.example.com"}, "exportFilter": {"cel": "true"}},
        {"name": "us", "endpoint": {"host": "orders.us.example.com"}},
    ]}});
    let patch = |object: &str| {
        let text = filter.to_string();
        let arguments = [
            "patch",
            object,
            "--type=merge",
            "--dry-run=server",
            "-o",
            "json",
            "-p",
            &text,
        ];
        let patched = cluster.kubectl.run(&arguments).unwrap().done().unwrap();
        let patched: Value = serde_json::from_str(&patched.output).unwrap();
        patched["spec"]["locations"][0]["exportFilter"]["cel"].clone()
    };
    assert_eq!(
        patch("evlog/orders"),
        Value::Null,
        "the earlier definition knows the field"
    );
    assert!(!cluster.may("create", "poddisruptionbudgets.policy", "default"));
    let applied = ["evlog/orders", "rlink/orders"].map(|object| identity(&cluster.get(object)));
    let definition = cluster.get(DEFINITION);
    let deployment = cluster.get("deployment/tidelog");

    cluster.to_present("upgrade", &[]);
    cluster.established();
    let same = ["evlog/orders", "rlink/orders"].map(|object| identity(&cluster.get(object)));
    assert_eq!(applied, same);
    let upgraded = cluster.get(DEFINITION);
    assert_eq!(upgraded["metadata"]["uid"], definition["metadata"]["uid"]);
    let generated: BTreeMap<String, Value> = tidelog_api::custom_resource_definitions()
        .unwrap()
        .into_iter()
        .collect();
    let schema = "/spec/versions/0/schema";
    assert_eq!(
        upgraded.pointer(schema),
        generated["eventlogs.tidelog.dev"].pointer(schema)
    );
    // The server takes it into use a moment later.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while patch("evlog/orders") != "true" {
        assert!(
            std::time::Instant::now() < until,
            "the field is still not known"
        );
    }
    assert!(cluster.may("create", "poddisruptionbudgets.policy", "default"));
    let mut changed = BTreeSet::new();
    differences(
        "",
        &deployment["spec"],
        &cluster.get("deployment/tidelog")["spec"],
        &mut changed,
    );
    assert_eq!(
        changed,
        BTreeSet::from(["/template/metadata/labels/helm.sh/chart".to_owned()])
    );
}
