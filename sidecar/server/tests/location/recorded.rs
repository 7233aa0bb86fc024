//! A witness that an operator keeps. The test is the operator: it looks at the status, and answers over `AdminService`.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tidelog_config::Config;
use tidelog_model::WitnessRecord;
use tidelog_proto::v1;
use tidelog_proto::v1::admin_service_client::AdminServiceClient;
use tidelog_server::surroundings::Surroundings;
use tidelog_server::{LocationOptions, RunningLocation};
use tidelog_store::{InstanceId, LogStore, MemorySnapshot, MemoryStore};

use crate::support::{config, log_client, request, until};

/// A pod's folder, what is mounted into it, and a database that outlives the processes.
struct Pod {
    folder: TempDir,
    waits: &'static str,
    servers: u32,
    store: Arc<MemoryStore>,
}

fn server(number: u32) -> InstanceId {
    InstanceId {
        system: "memory".to_owned(),
        timeline: "1".to_owned(),
        started: Some(number.to_string()),
    }
}

fn now_micros() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_micros() as i64
}

impl Pod {
    fn new(waits: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("own")).unwrap();
        Self {
            folder,
            waits,
            servers: 1,
            store: Arc::new(MemoryStore::new(Arc::new(now_micros)).with_instance(server(1))),
        }
    }

    fn config(&self) -> Config {
        let at = |name| self.folder.path().join(name).display().to_string();
        config(&format!(
            "witness: {{file: {}, operator: {{folder: {}, {}}}}}\nwriter: {{lease: 1s}}\n",
            at("mounted.json"),
            at("own"),
            self.waits
        ))
    }

    async fn start(&self) -> RunningLocation {
        let on = Surroundings {
            store: Some(self.store.clone() as Arc<dyn LogStore>),
            ..Surroundings::default()
        };
        let options = LocationOptions::default();
        Box::pin(RunningLocation::start_on(self.config(), options, on))
            .await
            .unwrap()
    }

    /// The pod is another one: it finds what was recorded, and a folder of its own.
    fn moved(&self, recorded: &str) {
        fs::remove_dir_all(self.folder.path().join("own")).unwrap();
        fs::create_dir_all(self.folder.path().join("own")).unwrap();
        fs::write(self.folder.path().join("mounted.json"), recorded).unwrap();
    }

    /// The database is an older copy of itself, on another server.
    fn restored(&mut self, copy: MemorySnapshot) {
        self.servers += 1;
        let store = MemoryStore::restore(copy, Arc::new(now_micros));
        self.store = Arc::new(store.with_instance(server(self.servers)));
    }
}

/// The operator, and what it has recorded.
#[derive(Default, Clone)]
struct Operator {
    recorded: Option<WitnessRecord>,
}

fn wish(status: &v1::LocationStatus) -> Option<WitnessRecord> {
    WitnessRecord::read(&status.witness.as_ref().unwrap().record).unwrap()
}

impl Operator {
    fn text(&self) -> String {
        self.recorded
            .as_ref()
            .map(WitnessRecord::text)
            .unwrap_or_default()
    }

    /// Records a wish if it may be.
    fn record(&mut self, wish: &WitnessRecord) {
        if wish.may_replace(self.recorded.as_ref()) {
            self.recorded = Some(wish.clone());
        }
    }

    /// Says what is recorded.
    async fn say(&self, admin: SocketAddr) {
        let words = v1::GrantIncarnationRequest {
            witness_record: Some(self.text()),
            ..v1::GrantIncarnationRequest::default()
        };
        let mut client = AdminServiceClient::connect(format!("http://{admin}"))
            .await
            .unwrap();
        client.grant_incarnation(words).await.unwrap();
    }

    /// Looks once: records what is wished for, if anything is, and says what is there.
    async fn tend(&mut self, location: &RunningLocation) {
        if let Some(wish) = wish(&location.location_status())
            && self.recorded.as_ref().map(|r| r.name) != Some(wish.name)
        {
            self.record(&wish);
            self.say(location.addresses().admin).await;
        }
    }

    /// Tends to a location until it serves; its incarnation.
    async fn serving(&mut self, location: &RunningLocation) -> u32 {
        for _ in 0..1_000 {
            self.tend(location).await;
            let status = location.location_status();
            if [v1::LocationState::Serving, v1::LocationState::Recovering].contains(&status.state())
            {
                return status.incarnation;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not serve: {:?}", location.location_status());
    }

    /// Stops it, and records that.
    async fn stopped(&mut self, location: RunningLocation) {
        let before = wish(&location.location_status()).unwrap();
        let admin = location.addresses().admin;
        let stopping = tokio::spawn(location.shut_down());
        let mut client = AdminServiceClient::connect(format!("http://{admin}"))
            .await
            .unwrap();
        loop {
            let answer = client.get_status(v1::GetStatusRequest::default()).await;
            let wished = wish(&answer.unwrap().into_inner().status.unwrap()).unwrap();
            if wished.name != before.name {
                self.record(&wished);
                self.say(admin).await;
                stopping.await.unwrap();
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn serving(location: &RunningLocation) -> u32 {
    // Not as a standby: the process before may be giving its lease back.
    let status = until(location, "serves", |s| {
        s.state() == v1::LocationState::Serving || s.state() == v1::LocationState::Recovering
    });
    status.await.incarnation
}

async fn append(location: &RunningLocation) {
    let mut client = log_client(location).await;
    client.append(request(1, 10)).await.unwrap();
}

/// A location in its first incarnation with one event.
async fn first(pod: &Pod) -> (RunningLocation, Operator) {
    let location = pod.start().await;
    let mut operator = Operator::default();
    assert_eq!(operator.serving(&location).await, 1);
    append(&location).await;
    (location, operator)
}

const WAITS: &str = "recordWait: 20s, grantWait: 20s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_location_waits_for_its_first_incarnation_and_serves_once_it_is_recorded() {
    let pod = Pod::new(WAITS);
    let location = pod.start().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = location.location_status();
    assert_eq!(status.state(), v1::LocationState::AwaitingIncarnation);
    let mut operator = Operator::default();
    operator.tend(&location).await;
    let status = until(&location, "asks for a record", |s| {
        wish(s).is_some_and(|w| w.instance.is_some())
    })
    .await;
    assert_ne!(status.state(), v1::LocationState::Serving, "unrecorded");
    assert_eq!(operator.serving(&location).await, 1);
    operator.stopped(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_that_waits_stops_at_once() {
    let pod = Pod::new(WAITS);
    let location = pod.start().await;
    until(&location, "asks", |s| {
        s.state() == v1::LocationState::AwaitingIncarnation
    })
    .await;
    let stopping = tokio::time::timeout(Duration::from_secs(10), location.shut_down());
    stopping.await.expect("nobody waits for the operator");
    // What it had asked is asked again by who follows, with the lease that was given back.
    let location = pod.start().await;
    assert_eq!(Operator::default().serving(&location).await, 1);
    location.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_of_which_nobody_knows_whether_it_is_new_takes_a_later_incarnation() {
    // The operator is away; or it knows that there was something, and the file is not mounted yet.
    let (location, known) = first(&Pod::new(WAITS)).await;
    location.shut_down().await;
    for (waits, operator) in [
        ("recordWait: 0s, grantWait: 200ms", None),
        ("recordWait: 20s, grantWait: 20s", Some(known)),
    ] {
        let pod = Pod::new(waits);
        let location = pod.start().await;
        let incarnation = match operator {
            None => serving(&location).await,
            Some(mut operator) => operator.serving(&location).await,
        };
        assert!(incarnation > 1_700_000_000);
        append(&location).await;
        location.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_was_recorded_and_a_start_on_the_same_database_raise_nothing() {
    let mut pod = Pod::new(WAITS);
    let (location, mut operator) = first(&pod).await;
    let copy = pod.store.snapshot();
    location.shut_down().await;

    // Another pod, on the same running database: nobody had recorded the stop.
    pod.moved(&operator.text());
    let location = pod.start().await;
    assert_eq!(operator.serving(&location).await, 1);
    operator.stopped(location).await;

    // Another pod, another server, but nothing is missing after the clean stop.
    pod.moved(&operator.text());
    pod.restored(copy);
    let location = pod.start().await;
    assert_eq!(operator.serving(&location).await, 1);
    operator.stopped(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_restored_raises_and_says_why() {
    let mut pod = Pod::new(WAITS);
    let (location, mut begun) = first(&pod).await;
    let copy = pod.store.snapshot();
    append(&location).await;
    let mut stopped = begun.clone();
    stopped.stopped(location).await;
    for operator in [&mut begun, &mut stopped] {
        pod.moved(&operator.text());
        pod.restored(copy.clone());
        let location = pod.start().await;
        assert!(operator.serving(&location).await > 1_700_000_000);
        assert_eq!(location.location_status().lineage[1].base, 1);
        operator.stopped(location).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_killed_is_told_by_the_folder_of_its_pod_that_nothing_is_missing() {
    let mut pod = Pod::new(WAITS);
    let (location, mut operator) = first(&pod).await;
    append(&location).await;
    let copy = pod.store.snapshot();
    // As far as its pod is concerned it was killed: nobody records the stop, and the database is on another server since.
    drop(location);
    pod.restored(copy);
    fs::write(pod.folder.path().join("mounted.json"), operator.text()).unwrap();
    let location = pod.start().await;
    assert_eq!(operator.serving(&location).await, 1);
    operator.stopped(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_of_a_pod_proves_nothing_once_another_pod_was_recorded() {
    let mut pod = Pod::new(WAITS);
    let (location, mut operator) = first(&pod).await;
    let copy = pod.store.snapshot();
    // Nobody records the stop; the folder knows what was acknowledged.
    location.shut_down().await;
    let own = pod.folder.path().join("own");
    let aside = pod.folder.path().join("aside");
    fs::create_dir_all(&aside).unwrap();
    fs::rename(&own, aside.join("own")).unwrap();
    fs::create_dir_all(&own).unwrap();
    let lagging = operator.text();

    // Another pod goes on, on the same running server, and acknowledges what is lost with it.
    pod.moved(&lagging);
    let location = pod.start().await;
    assert_eq!(operator.serving(&location).await, 1);
    append(&location).await;
    location.shut_down().await;

    // The first pod comes back: its folder agrees with the restored database, and what is mounted there is of the time before.
    pod.moved(&lagging);
    fs::remove_dir_all(&own).unwrap();
    fs::rename(aside.join("own"), &own).unwrap();
    pod.restored(copy);
    let location = pod.start().await;
    assert!(operator.serving(&location).await > 1_700_000_000);
    operator.stopped(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_nobody_records_serves_in_an_incarnation_of_its_own() {
    let mut pod = Pod::new(WAITS);
    let (location, mut operator) = first(&pod).await;
    let copy = pod.store.snapshot();
    operator.stopped(location).await;

    // The operator is away. It could go on, by the same database; but it could not be told apart from what the clean stop has left.
    pod.waits = "recordWait: 200ms, grantWait: 200ms";
    pod.moved(&operator.text());
    let location = pod.start().await;
    let unrecorded = serving(&location).await;
    assert!(unrecorded > 1_700_000_000);
    append(&location).await;
    location.shut_down().await;

    // A copy of the time of the clean stop is put back, and nobody knows of the start before.
    pod.waits = WAITS;
    pod.moved(&operator.text());
    pod.restored(copy);
    let location = pod.start().await;
    assert_eq!(
        operator.serving(&location).await,
        1,
        "what it writes now nobody has written"
    );
    operator.stopped(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_a_later_record_than_the_mounted_one_looks_again() {
    let pod = Pod::new(WAITS);
    let (location, mut operator) = first(&pod).await;
    let begun = operator.text();
    operator.stopped(location).await;
    // The mounted file lags: the operator has recorded the stop already.
    pod.moved(&begun);
    let location = pod.start().await;
    let wanted = until(&location, "wants something recorded", |s| wish(s).is_some()).await;
    let wanted = wish(&wanted).unwrap();
    assert!(!wanted.may_replace(operator.recorded.as_ref()));
    operator.say(location.addresses().admin).await;
    until(&location, "asks anew", |s| {
        wish(s).is_some_and(|w| w.name != wanted.name)
    })
    .await;
    assert_eq!(operator.serving(&location).await, 1);
    operator.stopped(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_nobody_can_read_proves_nothing_and_is_replaced() {
    let pod = Pod::new(WAITS);
    let (location, _) = first(&pod).await;
    location.shut_down().await;
    pod.moved("{\"revision\": \"seven\"}");
    let location = pod.start().await;
    let mut operator = Operator {
        recorded: Some(WitnessRecord::UNREADABLE),
    };
    assert!(operator.serving(&location).await > 1_700_000_000);
    operator.stopped(location).await;
    assert!(operator.recorded.unwrap().clean_stop.is_some());
}
