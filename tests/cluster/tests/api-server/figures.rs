//! What an operator with many logs costs: measured on its program as it runs, with sidecars that only say that all is well. `make test-cluster` prints it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};
use serde_json::{Value, json};
use tidelog_cluster_tests::{ApiServer, Kubectl};
use tidelog_proto::v1;
use tidelog_proto::v1::admin_service_server::{AdminService, AdminServiceServer};
use tokio_stream::wrappers::IntervalStream;
use tonic::{Request, Response, Status};

use crate::definitions::namespace;
use crate::reconcile::{apply, rest};

const LOGS: usize = 100;
const PEERS: [&str; 3] = ["us", "ap", "sa"];
/// All sidecars are one.
const SIDECAR: &str = "127.0.88.1";
const METRICS: &str = "127.0.88.2:8080";
const PATIENCE: Duration = Duration::from_mins(3);

/// Says of every log that it serves, and of every edge that it streams.
struct AllIsWell;

fn status(log: &str) -> v1::LocationStatus {
    let edge = |source: &str, target: &str| v1::EdgeStatus {
        source: source.to_owned(),
        target: target.to_owned(),
        state: v1::EdgeState::Streaming.into(),
        source_head: Some(0),
        lag_events: Some(0),
        lag_seconds: Some(0),
        synced: true,
        spec_agrees: true,
        ..v1::EdgeStatus::default()
    };
    let both = PEERS
        .iter()
        .flat_map(|peer| [edge("eu", peer), edge(peer, "eu")]);
    v1::LocationStatus {
        log: log.to_owned(),
        location: "eu".to_owned(),
        state: v1::LocationState::Serving.into(),
        incarnation: 1,
        writer: Some(v1::Writer {
            here: true,
            ..v1::Writer::default()
        }),
        recovered: Some(v1::Recovered {
            recovered: true,
            reason: "NeverLost".to_owned(),
            ..v1::Recovered::default()
        }),
        edges: both.collect(),
        ..v1::LocationStatus::default()
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn never<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("it only says that all is well"))
}

#[tonic::async_trait]
impl AdminService for AllIsWell {
    type WatchStatusStream = Answers<v1::WatchStatusResponse>;
    type ListEventIdsStream = Answers<v1::ListEventIdsResponse>;
    type VerifyStream = Answers<v1::VerifyResponse>;
    type BackupStream = Answers<v1::BackupResponse>;

    async fn watch_status(
        &self,
        request: Request<v1::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let status = status(&request.into_inner().log);
        let every_second = IntervalStream::new(tokio::time::interval(Duration::from_secs(1)));
        let told = every_second.map(move |_| {
            Ok(v1::WatchStatusResponse {
                status: Some(status.clone()),
            })
        });
        Ok(Response::new(Box::pin(told)))
    }

    async fn apply_config(
        &self,
        _: Request<v1::ApplyConfigRequest>,
    ) -> Result<Response<v1::ApplyConfigResponse>, Status> {
        Ok(Response::new(v1::ApplyConfigResponse::default()))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        never()
    }

    async fn pause_edge(
        &self,
        _: Request<v1::PauseEdgeRequest>,
    ) -> Result<Response<v1::PauseEdgeResponse>, Status> {
        never()
    }

    async fn resume_edge(
        &self,
        _: Request<v1::ResumeEdgeRequest>,
    ) -> Result<Response<v1::ResumeEdgeResponse>, Status> {
        never()
    }

    async fn cut_edge(
        &self,
        _: Request<v1::CutEdgeRequest>,
    ) -> Result<Response<v1::CutEdgeResponse>, Status> {
        never()
    }

    async fn heal_edge(
        &self,
        _: Request<v1::HealEdgeRequest>,
    ) -> Result<Response<v1::HealEdgeResponse>, Status> {
        never()
    }

    async fn list_event_ids(
        &self,
        _: Request<v1::ListEventIdsRequest>,
    ) -> Result<Response<Self::ListEventIdsStream>, Status> {
        never()
    }

    async fn verify(
        &self,
        _: Request<v1::VerifyRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        never()
    }

    async fn grant_incarnation(
        &self,
        _: Request<v1::GrantIncarnationRequest>,
    ) -> Result<Response<v1::GrantIncarnationResponse>, Status> {
        never()
    }

    async fn backup(
        &self,
        _: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        never()
    }
}

fn manifests() -> Vec<Value> {
    let locations: Vec<Value> = ["eu"]
        .iter()
        .chain(&PEERS)
        .map(|name| json!({"name": name, "endpoint": {"host": format!("{name}.example.com")}}))
        .collect();
    let mut all = Vec::new();
    for number in 0..LOGS {
        let log = format!("log-{number}");
        all.push(json!({
            "apiVersion": "tidelog.dev/v1alpha1",
            "kind": "EventLog",
            "metadata": {"name": log},
            "spec": {"application": {"name": "shop", "version": "1"}, "tls": {"insecure": true}, "locations": locations},
        }));
        for peer in PEERS {
            all.push(json!({
                "apiVersion": "tidelog.dev/v1alpha1",
                "kind": "ReplicationLink",
                "metadata": {"name": format!("{log}-{peer}")},
                "spec": {"eventLogRef": {"name": log}, "topology": {"pointToPoint": {"source": "eu", "target": peer, "direction": "Both"}}},
            }));
        }
        let labels = json!({
            "app.kubernetes.io/component": "log",
            "tidelog.dev/log": log,
            "tidelog.dev/location": "eu",
        });
        all.push(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": format!("{log}-eu-0"), "labels": labels},
            "spec": {"containers": [{"name": "tidelog", "image": "none"}]},
        }));
    }
    all
}

/// The program of the operator; it ends with this.
struct Program(Child);

impl Program {
    fn start(namespace: &str) -> Self {
        let program = std::env::var("TIDELOG_OPERATOR").unwrap();
        let mut command = Command::new(program);
        command.args(["--location", "eu", "--namespace", namespace]);
        command.args([
            "--no-leader-election",
            "--log-level",
            "warn",
            "--listen",
            METRICS,
        ]);
        command
            .arg("--kubeconfig")
            .arg(ApiServer::shared().kubeconfig());
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Resident memory in MiB: now, and at most so far.
    fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let mebi = |field: &str| {
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            let kibi = line.split_whitespace().nth(1).unwrap();
            kibi.parse::<u64>().unwrap() / 1024
        };
        (mebi("VmRSS:"), mebi("VmHWM:"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sum of a counter over all labels.
fn counted(name: &str) -> u64 {
    let Ok(mut stream) = TcpStream::connect(METRICS) else {
        return 0;
    };
    let request = "GET /metrics HTTP/1.0\r\nHost: operator\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let mine = text.lines().filter(|line| line.starts_with(name));
    mine.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// How many resources of a kind have a condition.
fn with(kubectl: &Kubectl, kind: &str, condition: &str) -> usize {
    let path = format!(
        "jsonpath={{range .items[*]}}{{.status.conditions[?(@.type==\"{condition}\")].status}}{{\"\\n\"}}{{end}}"
    );
    let told = kubectl.run(&["get", kind, "-o", &path]).unwrap().output;
    told.lines().filter(|line| *line == "True").count()
}

fn until(what: &str, mut is_there: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        rest(Duration::from_millis(250));
    }
}

#[test]
fn an_operator_with_many_logs_is_small_and_quiet() {
    let kubectl = namespace("figures");
    apply(
        &kubectl,
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}}",
    );
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests()});
    apply(&kubectl, &list.to_string());
    let ip = json!({"status": {"phase": "Running", "podIP": SIDECAR, "podIPs": [{"ip": SIDECAR}]}});
    let ip = ip.to_string();
    for number in 0..LOGS {
        let pod = format!("pod/log-{number}-eu-0");
        let merge = ["--subresource=status", "--type=merge", "-p", &ip];
        let patch = kubectl.run(&[&["patch", &pod][..], &merge].concat());
        patch.unwrap().done().unwrap();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = format!("{SIDECAR}:7444").parse().unwrap();
    let sidecars = tonic::transport::Server::builder()
        .add_service(AdminServiceServer::new(AllIsWell))
        .serve(address);
    runtime.spawn(sidecars);

    let begun = Instant::now();
    let operator = Program::start("figures");
    until("all logs are ready", || {
        with(&kubectl, "evlog", "Ready") == LOGS
    });
    until("all links are synced", || {
        with(&kubectl, "rlink", "Synced") == LOGS * PEERS.len()
    });
    let took = begun.elapsed().as_secs_f64();
    let visits = counted("tidelog_operator_visits_total");
    println!(
        "figure: an operator that begins with {LOGS} logs and {} links has told of all after {took:.1} s: {visits} visits, {:.0} a second",
        LOGS * PEERS.len(),
        visits as f64 / took
    );
    // What was begun comes to its end.
    rest(Duration::from_secs(40));
    let before = (
        counted("tidelog_operator_api_writes_total"),
        counted("tidelog_operator_visits_total"),
    );
    rest(Duration::from_mins(1));
    let writes = counted("tidelog_operator_api_writes_total") - before.0;
    let visits = counted("tidelog_operator_visits_total") - before.1;
    let (now, most) = operator.memory();
    println!("figure: {now} MiB of memory, {most} MiB at most");
    println!("figure: {writes} writes to the API server and {visits} visits in a quiet minute");
    assert_eq!(writes, 0, "nothing has changed");
}
