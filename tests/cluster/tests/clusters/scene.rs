//! A namespace of the same name in both clusters, with the operator installed, for one test.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tidelog_cluster_tests::{Clusters, Kubectl};

use crate::world::{Place, World};

/// Enough for a pod to be started, on a machine that does other things as well.
pub const SOON: Duration = Duration::from_mins(2);
/// Where the operator is.
pub const SYSTEM: &str = "tidelog-system";

/// Namespaces, by location, that are on their way out, since when.
static LEFT: Mutex<Vec<(String, String, Instant)>> = Mutex::new(Vec::new());
/// After so long one has to be gone.
const GONE_AFTER: Duration = Duration::from_secs(45);

/// What one test has.
pub struct Scene {
    pub clusters: &'static Clusters,
    pub namespace: String,
    files: TempDir,
    begun: Instant,
    // The last ones to be dropped: everything is cleared away by then.
    place: Place,
    _world: World,
}

impl Scene {
    /// A new one, with nobody beside it.
    pub fn new(namespace: &str) -> Self {
        Self::begin(namespace, World::alone())
    }

    /// One that touches nothing outside of its namespace.
    pub fn beside_others(namespace: &str) -> Self {
        Self::begin(namespace, World::shared())
    }

    /// Pods are held to the restricted Pod Security Standard.
    fn begin(namespace: &str, world: World) -> Self {
        let clusters = Clusters::shared();
        let place = Place::free();
        installed(clusters);
        for location in ["eu", "us"] {
            let kubectl = clusters.kubectl(location);
            // One of an earlier test may still be on its way out.
            until("the namespace is new", || {
                let made = kubectl.run(&["create", "namespace", namespace]);
                made.unwrap().success.then_some(())
            });
            let strict = "pod-security.kubernetes.io/enforce=restricted";
            let label = ["label", "namespace", namespace, strict, &place.label()];
            kubectl.run(&label).unwrap().done().unwrap();
        }
        Self {
            clusters,
            namespace: namespace.to_owned(),
            files: tempfile::tempdir().unwrap(),
            begun: Instant::now(),
            place,
            _world: world,
        }
    }

    /// A new one whose nodes, networks and volumes may be broken; none, said aloud, in clusters that belong to somebody else.
    pub fn to_break(namespace: &str) -> Option<Self> {
        Self::may_break(namespace).then(|| Self::new(namespace))
    }

    /// Whether there is anything to be broken; said aloud when not.
    pub fn may_break(namespace: &str) -> bool {
        let may = Clusters::shared().are_ours();
        if may {
            return true;
        }
        tell(&format!(
            "SKIPPED: {namespace}: nodes and networks of these clusters are not ours to break"
        ));
        false
    }

    /// The example that people are shown, with more in the spec of its log.
    pub fn manifests(&self, more: &str) -> String {
        let example = include_str!("../../../../examples/two-locations/manifests.yaml");
        let example = example.replace("host: orders.", &format!("host: {}.", self.place.host()));
        example.replace("  locations:\n", &format!("{more}  locations:\n"))
    }

    /// Where it may write.
    pub fn directory(&self) -> &Path {
        self.files.path()
    }

    /// `kubectl` at a location.
    pub fn at(&self, location: &str) -> Kubectl {
        self.clusters
            .kubectl(location)
            .in_namespace(&self.namespace)
    }

    /// Applies the same everywhere.
    pub fn apply(&self, manifests: &str) {
        for location in ["eu", "us"] {
            self.at(location).apply(manifests).unwrap().done().unwrap();
        }
    }

    /// Runs the command line in this namespace; what it prints.
    pub fn tidelog(&self, arguments: &[&str]) -> String {
        let namespace = ["--namespace", &self.namespace];
        let answer = self.clusters.tidelog(&[&namespace, arguments].concat());
        answer.unwrap().done().unwrap().output
    }

    /// Whether the command line succeeds.
    pub fn tidelog_works(&self, arguments: &[&str]) -> bool {
        let namespace = ["--namespace", &self.namespace];
        self.clusters
            .tidelog(&[&namespace, arguments].concat())
            .unwrap()
            .success
    }

    /// The log of the example, trusted everywhere, serving and synced.
    pub fn two_locations(&self, more: &str) {
        self.apply(&self.manifests(more));
        self.trusted();
        self.synced();
    }

    /// Exchanges trust, as soon as there is some.
    pub fn trusted(&self) {
        until("trust is exchanged", || {
            self.tidelog_works(&["trust", "--apply"]).then_some(())
        });
    }

    pub fn synced(&self) {
        for location in ["eu", "us"] {
            self.wait(location, "evlog/orders", "Ready", "True");
            self.wait(location, "rlink/orders", "Synced", "True");
        }
    }

    /// Waits for a condition; its reason and message.
    pub fn wait(
        &self,
        location: &str,
        object: &str,
        type_: &str,
        status: &str,
    ) -> (String, String) {
        let mut last = None;
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            let now = self.condition(location, object, type_);
            if let Some((is, reason, message)) = &now
                && is == status
            {
                return (reason.clone(), message.clone());
            }
            last = now;
            rest(Duration::from_millis(200));
        }
        let all = self
            .at(location)
            .run(&["get", "evlog,rlink,pods,events"])
            .unwrap()
            .output;
        panic!("{location}: {object} {type_} is not {status} but {last:?} after {SOON:?}\n{all}");
    }

    /// Status, reason and message of a condition.
    pub fn condition(
        &self,
        location: &str,
        object: &str,
        type_: &str,
    ) -> Option<(String, String, String)> {
        let object = self.at(location).get(object).ok()?;
        let conditions = object["status"]["conditions"].as_array()?.clone();
        let condition = conditions.into_iter().find(|c| c["type"] == type_)?;
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    /// A field of an object.
    pub fn field(&self, location: &str, object: &str, path: &str) -> Value {
        let object = self.at(location).get(object).unwrap();
        object.pointer(path).cloned().unwrap_or_default()
    }

    pub fn append(&self, location: &str) {
        self.tidelog(&[
            "append",
            "--location",
            location,
            "--type",
            "Placed",
            "--data",
            "{}",
        ]);
    }

    /// The same by the context of that location alone: the other cluster may be away.
    pub fn append_by(&self, location: &str) {
        let whose = [
            "--namespace",
            &self.namespace,
            "append",
            "--location",
            location,
        ];
        let event = ["--type", "Placed", "--data", "{}"];
        let answer = self
            .clusters
            .tidelog_at(&[location], &[&whose[..], &event].concat());
        answer.unwrap().done().unwrap();
    }

    /// Appends once, as soon as that works: an attempt whose answer was lost is not made twice.
    pub fn append_soon(&self, location: &str) {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let id = format!(
            "{}-{}",
            self.namespace,
            CALLS.fetch_add(1, Ordering::Relaxed)
        );
        let event = ["--type", "Placed", "--data", "{}", "--request-id", &id];
        let arguments = [&["append", "--location", location], &event[..]].concat();
        until("an append", || self.tidelog_works(&arguments).then_some(()));
    }

    /// How often the first pod of a location has taken other certificates while it runs.
    pub fn rotations(&self, location: &str) -> f64 {
        let pod = format!("orders-{location}-0:7441");
        let path = format!(
            "/api/v1/namespaces/{}/pods/{pod}/proxy/metrics",
            self.namespace
        );
        let answer = self.at(location).run(&["get", "--raw", &path]).unwrap();
        let metrics = answer.done().unwrap().output;
        let mut lines = metrics.lines();
        let line = lines.find(|l| l.starts_with("tidelog_certificate_rotations_total"));
        line.and_then(|l| l.rsplit(' ').next()?.parse().ok())
            .unwrap_or_default()
    }

    /// Events at a location.
    pub fn count(&self, location: &str) -> usize {
        let read = self.tidelog(&["read", "--location", location, "-o", "json"]);
        read.lines().count()
    }

    /// The same where a kubelet may not lead to its pods yet.
    pub fn count_if_reached(&self, location: &str) -> Option<usize> {
        let arguments = ["--namespace", &self.namespace, "read", "--location"];
        let read = self
            .clusters
            .tidelog(&[&arguments[..], &[location, "-o", "json"]].concat());
        let read = read.unwrap();
        read.success.then(|| read.output.lines().count())
    }

    /// Nothing that one has is missing at the other.
    pub fn same(&self) {
        let said = self.tidelog(&["diff", "eu", "us"]);
        assert!(said.contains("hold the same events"), "{said}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let played = Instant::now();
        // The next one needs the same addresses; and it must not hang.
        thread::scope(|scope| {
            for location in ["eu", "us"] {
                scope.spawn(|| self.leave(location));
            }
        });
        tell(&format!(
            "{}: {} s, and {} s to clear away",
            self.namespace,
            (played - self.begun).as_secs(),
            played.elapsed().as_secs()
        ));
    }
}

impl Scene {
    /// Takes away what is there at a location.
    fn leave(&self, location: &str) {
        // A namespace whose pods have ended goes at once; otherwise its controller looks again after half of the longest grace period.
        let here = self.at(location);
        for kinds in ["rlink,evlog", "statefulset,deployment,daemonset,job"] {
            let _ = here.run(&["delete", kinds, "--all", "--timeout=60s"]);
        }
        // How they end in order is what tests are about; nobody waits for it here.
        let end = [
            "delete",
            "pod",
            "--all",
            "--grace-period=1",
            "--timeout=60s",
        ];
        let _ = here.run(&end);
        // What the next one needs: addresses and volumes. That a namespace goes is tested elsewhere, and takes it ten seconds.
        let rest = ["delete", "service,pvc", "--all", "--timeout=60s"];
        let gone = here.run(&rest).unwrap();
        assert!(thread::panicking() || gone.success, "{}", gone.errors);
        let namespace = ["delete", "namespace", &self.namespace];
        let kubectl = self.clusters.kubectl(location);
        let _ = kubectl.run(&[&namespace[..], &["--ignore-not-found", "--wait=false"]].concat());
        // Those of earlier tests have had the time of this one.
        let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|(at, namespace, _)| at != location || *namespace != self.namespace);
        left.retain(|(at, namespace, since)| {
            if at != location || since.elapsed() < GONE_AFTER {
                return true;
            }
            let is_there = kubectl.get(&format!("namespace/{namespace}")).is_ok();
            assert!(
                thread::panicking() || !is_there,
                "namespace {namespace} of {at} is still there after {:?}",
                since.elapsed()
            );
            false
        });
        left.push((location.to_owned(), self.namespace.clone(), Instant::now()));
        drop(left);
        // Volumes outlive it: they are wiped by hand, as a person would.
        if self.clusters.are_ours() {
            self.clusters
                .kit(&["recycle", location])
                .unwrap()
                .done()
                .unwrap();
        }
    }
}

/// The operator by its chart, once for all tests.
fn installed(clusters: &Clusters) {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        for location in ["eu", "us"] {
            install(clusters, location);
        }
    });
}

/// Installs the chart.
pub fn install(clusters: &Clusters, location: &str) {
    upgrade(clusters, location, &[]);
}

/// Installs the chart, or upgrades it.
pub fn upgrade(clusters: &Clusters, location: &str, more: &[&str]) {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/tidelog");
    let name = format!("location.name={location}");
    let arguments = [
        "upgrade",
        "--install",
        "tidelog",
        chart,
        "--namespace",
        SYSTEM,
        "--create-namespace",
        "--set",
        &name,
        "--wait",
        "--timeout",
        "3m",
    ];
    let arguments = [&arguments[..], more].concat();
    clusters.helm(location, &arguments).unwrap().done().unwrap();
}

#[expect(clippy::disallowed_methods, reason = "no task runs on this thread")]
pub fn rest(time: Duration) {
    thread::sleep(time);
}

/// Says something to whoever reads the output of the tests.
#[expect(clippy::print_stdout, reason = "this is the output of a test")]
pub fn tell(what: &str) {
    println!("{what}");
}

/// Waits until something can be seen.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        rest(Duration::from_millis(200));
    }
}
