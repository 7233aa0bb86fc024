//! A witness that an operator keeps. The test is the operator: it looks at the status, and answers over `AdminService`.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tidelog_config::Config;
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

/// What it says in the name of the operator.
async fn say(location: &RunningLocation, words: v1::GrantIncarnationRequest) {
    let address = format!("http://{}", location.addresses().admin);
    let mut client = AdminServiceClient::connect(address).await.unwrap();
    client.grant_incarnation(words).await.unwrap();
}

async fn grant(location: &RunningLocation, incarnation: u32) {
    until(location, "asks", |s| {
        s.state() == v1::LocationState::AwaitingIncarnation
    })
    .await;
    let words = v1::GrantIncarnationRequest {
        incarnation,
        ..v1::GrantIncarnationRequest::default()
    };
    say(location, words).await;
}

/// Records what is to be recorded next, and says so.
async fn record(location: &RunningLocation) -> String {
    let status = until(location, "wants something recorded", |s| {
        let witness = s.witness.as_ref().unwrap();
        witness.revision > witness.recorded_revision
    })
    .await;
    let witness = status.witness.unwrap();
    let words = v1::GrantIncarnationRequest {
        witness_revision: witness.revision,
        ..v1::GrantIncarnationRequest::default()
    };
    say(location, words).await;
    witness.record
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

/// Stops; the operator records the clean stop.
async fn stopped(location: RunningLocation) -> String {
    let before = location.location_status().witness.unwrap().revision;
    let admin = location.addresses().admin;
    let stopping = tokio::spawn(location.shut_down());
    let mut client = AdminServiceClient::connect(format!("http://{admin}"))
        .await
        .unwrap();
    loop {
        let answer = client.get_status(v1::GetStatusRequest::default()).await;
        let witness = answer.unwrap().into_inner().status.unwrap().witness;
        let witness = witness.unwrap();
        if witness.revision > before {
            let words = v1::GrantIncarnationRequest {
                witness_revision: witness.revision,
                ..v1::GrantIncarnationRequest::default()
            };
            client.grant_incarnation(words).await.unwrap();
            stopping.await.unwrap();
            return witness.record;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A location in its first incarnation with one event; what is recorded.
async fn first(pod: &Pod) -> (RunningLocation, String) {
    let location = pod.start().await;
    grant(&location, 1).await;
    // The raise to the first incarnation, and the start.
    let mut recorded = record(&location).await;
    while !recorded.contains("instance") {
        recorded = record(&location).await;
    }
    assert_eq!(serving(&location).await, 1);
    append(&location).await;
    (location, recorded)
}

const WAITS: &str = "recordWait: 20s, grantWait: 20s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_location_waits_for_its_first_incarnation_and_serves_once_it_is_recorded() {
    let pod = Pod::new(WAITS);
    let location = pod.start().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = location.location_status();
    assert_eq!(status.state(), v1::LocationState::AwaitingIncarnation);
    grant(&location, 1).await;
    let status = until(&location, "asks for a record", |s| {
        s.witness.as_ref().unwrap().record.contains("instance")
    })
    .await;
    assert_ne!(status.state(), v1::LocationState::Serving, "unrecorded");
    record(&location).await;
    assert_eq!(serving(&location).await, 1);
    stopped(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_of_which_nobody_knows_whether_it_is_new_takes_a_later_incarnation() {
    for (waits, said) in [
        ("recordWait: 0s, grantWait: 200ms", None),
        ("recordWait: 0s, grantWait: 20s", Some(0)),
    ] {
        let pod = Pod::new(waits);
        let location = pod.start().await;
        if let Some(incarnation) = said {
            grant(&location, incarnation).await;
        }
        assert!(serving(&location).await > 1_700_000_000);
        append(&location).await;
        location.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_was_recorded_and_a_start_on_the_same_database_raise_nothing() {
    let mut pod = Pod::new(WAITS);
    let (location, begun) = first(&pod).await;
    let copy = pod.store.snapshot();
    let clean = stopped(location).await;
    assert!(clean.contains("cleanStop"));

    // Another pod, on the same running database: also after a crash.
    pod.moved(&begun);
    let location = pod.start().await;
    record(&location).await;
    assert_eq!(serving(&location).await, 1);
    stopped(location).await;

    // Another pod, another server, but nothing is missing after the clean stop.
    pod.moved(&clean);
    pod.restored(copy);
    let location = pod.start().await;
    record(&location).await;
    assert_eq!(serving(&location).await, 1);
    stopped(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_restored_raises_and_says_why() {
    let mut pod = Pod::new(WAITS);
    let (location, begun) = first(&pod).await;
    let copy = pod.store.snapshot();
    append(&location).await;
    let clean = stopped(location).await;
    for recorded in [begun, clean] {
        pod.moved(&recorded);
        pod.restored(copy.clone());
        let location = pod.start().await;
        while location.location_status().state() != v1::LocationState::Serving {
            record(&location).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let status = location.location_status();
        assert!(status.incarnation > 1_700_000_000);
        assert_eq!(status.lineage[1].base, 1);
        stopped(location).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_killed_is_told_by_the_folder_of_its_pod_that_nothing_is_missing() {
    let mut pod = Pod::new(WAITS);
    let (location, _) = first(&pod).await;
    append(&location).await;
    let copy = pod.store.snapshot();
    // As far as its pod is concerned it was killed: nobody records the stop, and the database is on another server since.
    drop(location);
    pod.restored(copy);
    fs::write(pod.folder.path().join("mounted.json"), "").unwrap();
    let location = pod.start().await;
    record(&location).await;
    assert_eq!(serving(&location).await, 1);
    stopped(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_nobody_records_serves_in_an_incarnation_of_its_own() {
    let mut pod = Pod::new(WAITS);
    let (location, _) = first(&pod).await;
    let copy = pod.store.snapshot();
    let clean = stopped(location).await;

    // The operator is away. It could go on, by the same database; but it could not be told apart from what the clean stop has left.
    pod.waits = "recordWait: 200ms, grantWait: 200ms";
    pod.moved(&clean);
    let location = pod.start().await;
    let unrecorded = serving(&location).await;
    assert!(unrecorded > 1_700_000_000);
    append(&location).await;
    location.shut_down().await;

    // A copy of the time of the clean stop is put back, and nobody knows of the start before.
    pod.waits = WAITS;
    pod.moved(&clean);
    pod.restored(copy);
    let location = pod.start().await;
    record(&location).await;
    assert_eq!(
        serving(&location).await,
        1,
        "what it writes now nobody has written"
    );
    stopped(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_a_later_record_than_the_mounted_one_looks_again() {
    let pod = Pod::new(WAITS);
    let (location, begun) = first(&pod).await;
    let clean = stopped(location).await;
    pod.moved(&begun);
    let location = pod.start().await;
    let wanted = until(&location, "wants something recorded", |s| {
        s.witness.as_ref().unwrap().revision > 0
    })
    .await
    .witness
    .unwrap()
    .revision;
    // The mounted file lags: the operator has recorded the stop already.
    let words = v1::GrantIncarnationRequest {
        witness_revision: wanted,
        witness_record: clean.clone(),
        ..v1::GrantIncarnationRequest::default()
    };
    say(&location, words).await;
    until(&location, "asks anew", |s| {
        s.witness.as_ref().unwrap().revision > wanted
    })
    .await;
    record(&location).await;
    assert_eq!(serving(&location).await, 1);
    stopped(location).await;
}
