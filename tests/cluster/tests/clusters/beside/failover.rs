//! Two replicas: the writer goes, or stands still.

use std::time::{Duration, Instant};

use crate::callers::Caller;
use crate::scene::{Scene, until};

#[test]
fn the_writer_moves_when_its_pod_goes_and_nothing_is_lost() {
    if !Scene::may_break("failover") {
        return;
    }
    let scene = Scene::beside_others("failover");
    scene.two_locations("  replicas: 2\n");
    // The pod that comes after a deleted one has its name.
    let writer = || {
        let writer = scene.field("eu", "evlog/orders", "/status/writer");
        let text = |field: &str| writer[field].as_str().map(str::to_owned);
        Some((text("pod")?, text("since")?))
    };
    let both = || scene.field("eu", "statefulset/orders-eu", "/status/readyReplicas") == 2;
    until("both are ready", || both().then_some(()));
    let caller = Caller::start(&scene, "eu");
    let first = until("a writer", writer);
    let begun = Instant::now();
    scene
        .at("eu")
        .run(&["delete", "pod", &first.0, "--wait=false"])
        .unwrap()
        .done()
        .unwrap();
    let next = until("another writer", || writer().filter(|next| *next != first));
    println!(
        "figure: the writer moved from {} to {} in {:.1} s",
        first.0,
        next.0,
        begun.elapsed().as_secs_f64()
    );
    until("both are ready again", || both().then_some(()));
    let calls = caller.stop();
    println!(
        "figure: {} appends through the fail-over, {} attempts made again, the longest took {:.1} s",
        calls.acknowledged,
        calls.failures.len(),
        calls.longest.as_secs_f64()
    );
    // A failure is one to retry, nothing else, for as long as nobody writes; and each event is there once.
    let to_retry = |said: &String| {
        ["Retry", "transport error", "UNAVAILABLE"]
            .iter()
            .any(|word| said.contains(word))
    };
    assert!(calls.failures.iter().all(to_retry), "{calls:?}");
    assert!(calls.longest < Duration::from_secs(15), "{calls:?}");
    let appended = calls.acknowledged;
    scene.synced();
    until("what was appended is everywhere", || {
        (scene.count("us") == appended).then_some(())
    });
    assert_eq!(scene.count("eu"), appended);
    let restarts = "/status/initContainerStatuses/0/restartCount";
    assert_eq!(scene.field("eu", "pod/caller", restarts), 0);
    assert_eq!(scene.field("eu", "evlog/orders", "/status/incarnation"), 1);
    scene.same();

    // A writer that stands still loses its lease, and adds nothing when it goes on.
    let frozen = until("a writer", writer);
    signal(&scene, &frozen.0, "STOP");
    let begun = Instant::now();
    until("another writer", || {
        writer().filter(|next| next.0 != frozen.0)
    });
    println!(
        "figure: the writer moved from a process that stands still in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    scene.append_soon("eu");
    signal(&scene, &frozen.0, "CONT");
    scene.append_soon("eu");
    until("what was appended is everywhere", || {
        (scene.count("us") == appended + 2).then_some(())
    });
    assert_eq!(scene.count("eu"), appended + 2);
    assert_eq!(scene.field("eu", "evlog/orders", "/status/incarnation"), 1);
    scene.same();
}

/// Sends a signal to the sidecar of a pod at eu. Its processes are known by the uid of the pod.
fn signal(scene: &Scene, pod: &str, signal: &str) {
    let uid = scene.field("eu", &format!("pod/{pod}"), "/metadata/uid");
    let uid = uid.as_str().unwrap();
    let script = format!(
        "for p in $(pgrep -x tidelog-sidecar); do if grep -q 'pod{uid}' /proc/$p/cgroup; then kill -{signal} $p; done=1; fi; done; test -n \"$done\""
    );
    let run = ["run", "eu", "sh", "-c", &script];
    scene.clusters.kit(&run).unwrap().done().unwrap();
}
