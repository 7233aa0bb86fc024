//! Applications with a sidecar of their own.

use crate::scene::{SYSTEM, Scene, until, upgrade};

#[test]
fn an_application_with_an_injected_sidecar_appends_here_and_is_read_there() {
    let scene = Scene::beside_others("application");
    scene.two_locations("  replicas: 2\n");
    {
        let name = "application";
        let append = [
            "append",
            "--address",
            "127.0.0.1:7440",
            "--type",
            "Placed",
            "--data",
            "{}",
        ];
        let job = job(name, &append);
        let file =
            std::env::temp_dir().join(format!("tidelog-job-{name}-{}.yaml", std::process::id()));
        std::fs::write(&file, job).unwrap();
        let arguments = [
            "inject",
            "-f",
            file.to_str().unwrap(),
            "--log",
            "orders",
            "--location",
            "eu",
        ];
        let injected = scene.tidelog(&arguments);
        std::fs::remove_file(&file).unwrap();
        scene.at("eu").apply(&injected).unwrap().done().unwrap();
        let wait = [
            "wait",
            "--for=condition=Complete",
            &format!("job/{name}"),
            "--timeout=90s",
        ];
        let waited = scene.at("eu").run(&wait).unwrap();
        let said = scene
            .at("eu")
            .run(&["logs", &format!("job/{name}"), "--all-containers"])
            .unwrap();
        assert!(waited.success, "{} {}", waited.errors, said.output);
    }
    until("it arrives", || (scene.count("us") == 1).then_some(()));
    scene.same();

    // The chart's own test, by an upgrade that changes nothing that runs.
    let revision = || {
        let deployment = scene
            .clusters
            .kubectl("eu")
            .in_namespace(SYSTEM)
            .get("deployment/tidelog");
        deployment.unwrap()["metadata"]["generation"].clone()
    };
    let before = revision();
    upgrade(
        scene.clusters,
        "eu",
        &["--set", &format!("test.namespace={}", scene.namespace)],
    );
    assert_eq!(revision(), before);
    let test = ["test", "tidelog", "--namespace", SYSTEM, "--timeout", "90s"];
    scene.clusters.helm("eu", &test).unwrap().done().unwrap();
    let read = ["logs", "tidelog-test", "--container=read"];
    let read = scene.at("eu").run(&read).unwrap().done().unwrap();
    assert!(read.output.contains("HelmTest"), "{}", read.output);
}

/// Something that runs the command line in a pod.
fn job(name: &str, arguments: &[&str]) -> String {
    let arguments = format!("{arguments:?}");
    format!(
        r"apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
      - name: application
        image: tidelog/cli:0.1.0
        imagePullPolicy: IfNotPresent
        args: {arguments}
        securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
"
    )
}
