//! One cluster with all locations, the application in the log's pods, and sidecars by a label.

use crate::scene::{SYSTEM, Scene, until, upgrade};

/// The operator of `eu` as one of all locations, until this is dropped.
struct Everything<'a>(&'a Scene);

impl<'a> Everything<'a> {
    fn realised(scene: &'a Scene) -> Self {
        let webhook = ["--set", "location.name=*", "--set", "webhook.enabled=true"];
        upgrade(scene.clusters, "eu", &webhook);
        Self(scene)
    }
}

impl Drop for Everything<'_> {
    fn drop(&mut self) {
        let namespace = ["delete", "evlog,rlink", "--all", "--timeout=60s"];
        let _ = self.0.at("eu").run(&namespace);
        upgrade(self.0.clusters, "eu", &["--set", "webhook.enabled=false"]);
    }
}

/// Both locations beside each other, as people are shown.
const EXAMPLE: &str = include_str!("../../../../examples/one-cluster/manifests.yaml");
/// An application in their pods.
const TEMPLATE: &str = r#"  template:
    spec:
      containers:
      - name: application
        image: tidelog/cli:0.1.0
        imagePullPolicy: IfNotPresent
        args: [tail, --address, "127.0.0.1:7440", -o, json]
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
"#;

/// An application elsewhere, which asks for a sidecar.
const APPLICATION: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: application}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {tidelog.dev/inject: orders, tidelog.dev/inject-location: us}}
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: application
        image: tidelog/cli:0.1.0
        imagePullPolicy: IfNotPresent
        args: [append, --address, "127.0.0.1:7440", --type, Labelled, --data, "{}"]
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
"#;

#[test]
fn one_cluster_has_all_locations_and_pods_get_sidecars_by_a_label() {
    let scene = Scene::new("single");
    let everything = Everything::realised(&scene);
    let eu = scene.at("eu");
    let manifests = EXAMPLE
        .replace(
            "namespace: default",
            &format!("namespace: {}", scene.namespace),
        )
        .replace(".default.svc", &format!(".{}.svc", scene.namespace))
        .replace("  locations:\n  -", &format!("{TEMPLATE}  locations:\n  -"));
    assert!(manifests.contains("template"), "{manifests}");
    eu.apply(&manifests).unwrap().done().unwrap();
    scene.wait("eu", "evlog/orders", "Ready", "True");
    scene.wait("eu", "rlink/orders", "Synced", "True");
    let told = eu.run(&["get", "evlog,rlink"]).unwrap().done().unwrap();
    assert!(told.output.contains("2/2"), "{}", told.output);

    // The webhook is there as soon as its authority is known.
    until("a pod with a sidecar", || {
        eu.apply(APPLICATION).ok()?.success.then_some(())
    });
    let wait = [
        "wait",
        "--for=condition=Complete",
        "job/application",
        "--timeout=90s",
    ];
    let waited = eu.run(&wait).unwrap();
    let said = eu.run(&["describe", "job,pods", "-l", "job-name=application"]);
    assert!(waited.success, "{} {}", waited.errors, said.unwrap().output);

    // It was appended at us, and the application in the pod of eu reads it from its own log.
    until("the application of eu has read it", || {
        let logs = ["logs", "orders-eu-0", "--container=application"];
        let read = eu.run(&logs).ok()?.output;
        read.contains("Labelled").then_some(())
    });
    let pod = scene.field("eu", "pod/orders-eu-0", "/spec/initContainers/0/name");
    assert_eq!(pod, "tidelog", "the log's own sidecar comes first");
    drop(everything);
    let system = scene.clusters.kubectl("eu").in_namespace(SYSTEM);
    let hooks = system.run(&["get", "mutatingwebhookconfigurations", "-o", "name"]);
    assert!(!hooks.unwrap().output.contains("tidelog"));
}
