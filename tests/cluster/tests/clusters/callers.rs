//! An application in a pod with an injected sidecar, and somebody who calls it all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tidelog_cluster_tests::{Clusters, Forward, Kubectl};

use crate::scene::{Scene, until};

/// A pod that follows its log all the time.
const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: caller}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: application
    image: tidelog/cli:0.1.0
    imagePullPolicy: IfNotPresent
    args: [tail, --address, "127.0.0.1:7440", -o, json]
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
"#;

/// Appends one event after the other, each with a request id, again with the same one when it failed.
pub struct Caller {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Calls>,
}

/// What a caller has seen.
#[derive(Debug, Default)]
pub struct Calls {
    /// Events that were acknowledged.
    pub acknowledged: usize,
    /// Attempts that failed, and how.
    pub failures: Vec<String>,
    /// The longest time from the first attempt to the acknowledgement of an event.
    pub longest: Duration,
}

impl Caller {
    /// Starts the pod at a location, and calls its sidecar.
    pub fn start(scene: &Scene, location: &str) -> Self {
        let file = scene.directory().join("caller.yaml");
        std::fs::write(&file, POD).unwrap();
        let injected = scene.tidelog(&[
            "inject",
            "-f",
            file.to_str().unwrap(),
            "--log",
            "orders",
            "--location",
            location,
        ]);
        let kubectl = scene.at(location);
        kubectl.apply(&injected).unwrap().done().unwrap();
        let ready = [
            "wait",
            "--for=condition=Ready",
            "pod/caller",
            "--timeout=90s",
        ];
        kubectl.run(&ready).unwrap().done().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let task = {
            let (clusters, name, stop) = (scene.clusters, location.to_owned(), Arc::clone(&stop));
            thread::spawn(move || call(clusters, &kubectl, &name, &stop))
        };
        Self { stop, task }
    }

    /// Ends it after the event under way.
    pub fn stop(self) -> Calls {
        self.stop.store(true, Ordering::Relaxed);
        self.task.join().unwrap()
    }
}

fn call(clusters: &Clusters, kubectl: &Kubectl, name: &str, stop: &AtomicBool) -> Calls {
    let mut calls = Calls::default();
    let forward = || Forward::start(kubectl, "pod/caller", 7440).unwrap();
    let mut port = forward();
    while !stop.load(Ordering::Relaxed) {
        // An id is one event, wherever it is sent.
        let id = format!("{name}-{}", calls.acknowledged);
        let event = ["--type", "Called", "--data", "{}", "--request-id", &id];
        let begun = Instant::now();
        until("an append is acknowledged", || {
            if !port.is_running() {
                port = forward();
            }
            let address = port.address();
            let arguments = [&["append", "--address", &address], &event[..]].concat();
            let answer = clusters.tidelog_at(&[], &arguments).unwrap();
            if !answer.success {
                calls.failures.push(answer.errors);
            }
            answer.success.then_some(())
        });
        calls.longest = calls.longest.max(begun.elapsed());
        calls.acknowledged += 1;
    }
    calls
}

/// How often the containers of a pod were started again.
pub fn restarts(scene: &Scene, location: &str, pod: &str) -> i64 {
    let pod = scene.at(location).get(&format!("pod/{pod}")).unwrap();
    let of = |field: &str| {
        let all = pod["status"][field].as_array().cloned().unwrap_or_default();
        let counts = all.iter().map(|c| c["restartCount"].as_i64().unwrap());
        counts.sum::<i64>()
    };
    of("containerStatuses") + of("initContainerStatuses")
}
