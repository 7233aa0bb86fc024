//! The ports beside the calls: health, reflection, the Unix socket, HTTP.

use std::os::unix::net::UnixListener;

use tidelog_proto::v1;
use tidelog_proto::v1::admin_service_client::AdminServiceClient;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tidelog_server::RunningLocation;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::rig::{Site, append, channel, ok, soon, texts};

fn service(name: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: name.to_owned(),
    }
}

#[tokio::test]
async fn health_answers_for_each_service_and_watchers_hear_of_the_stop() {
    let site = Site::memory().await;
    let address = site.running.addresses().health.to_string();
    let mut health = HealthClient::new(channel(&address));
    for name in ["", "startup", "live", "ready"] {
        let answer = ok(health.check(service(name))).await;
        assert_eq!(answer.status, ServingStatus::Serving as i32, "{name:?}");
    }
    let unknown = soon(health.check(service("else"))).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let mut watched = ok(health.watch(service("ready"))).await;
    let first = soon(watched.message()).await.unwrap().unwrap();
    assert_eq!(first.status, ServingStatus::Serving as i32);
    let stop = tokio::spawn(site.running.shut_down());
    let next = soon(watched.message()).await.unwrap().unwrap();
    assert_eq!(next.status, ServingStatus::NotServing as i32);
    drop((watched, health));
    soon(stop).await.unwrap();
    let gone = HealthClient::new(channel(&address))
        .check(service("ready"))
        .await;
    assert_eq!(gone.unwrap_err().code(), Code::Unavailable);
}

async fn reflect(at: Channel, question: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let mut client = ServerReflectionClient::new(at);
    let mut answers = ok(client.server_reflection_info(tokio_stream::iter([request]))).await;
    let answer = soon(answers.message()).await.unwrap().unwrap();
    answer.message_response.unwrap()
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_them() {
    let site = Site::with("memory: {}", |dir, config| {
        config.listen.socket = Some(dir.join("eu.sock"));
    })
    .await;
    let at = site.running.addresses().clone();
    let socket = format!("unix://{}", at.socket.unwrap().display());
    for place in [at.api.to_string(), at.admin.to_string(), socket] {
        let question = MessageRequest::ListServices(String::new());
        let MessageResponse::ListServicesResponse(list) = reflect(channel(&place), question).await
        else {
            panic!("no list from {place}");
        };
        let mut names: Vec<_> = list.service.into_iter().map(|s| s.name).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "grpc.reflection.v1.ServerReflection",
                "tidelog.v1.AdminService",
                "tidelog.v1.LogService",
                "tidelog.v1.ReplicationService",
            ],
            "{place}"
        );
        let question = MessageRequest::FileContainingSymbol("tidelog.v1.LogService.Append".into());
        let MessageResponse::FileDescriptorResponse(files) =
            reflect(channel(&place), question).await
        else {
            panic!("no description from {place}");
        };
        let text = String::from_utf8_lossy(&files.file_descriptor_proto[0]).into_owned();
        assert!(text.contains("tidelog/v1/log.proto"), "{place}");
    }
}

#[tokio::test]
async fn the_unix_socket_serves_the_application_and_nobody_else() {
    // A process that was killed leaves its file behind.
    let site = Site::with("memory: {}", |dir, config| {
        let path = dir.join("run/eu.sock");
        std::fs::create_dir(dir.join("run")).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        config.listen.socket = Some(path);
    })
    .await;
    let path = site.running.addresses().socket.clone().unwrap();
    let socket = channel(&format!("unix://{}", path.display()));
    let answer = ok(LogServiceClient::new(socket.clone()).append(append("T"))).await;
    assert_eq!(texts(&answer.ids), ["eu#1/1"]);
    assert_eq!(site.sequences().await, [1]);
    let admin = AdminServiceClient::new(socket)
        .get_status(v1::GetStatusRequest::default())
        .await;
    assert_eq!(admin.unwrap_err().code(), Code::Unimplemented);
    site.running.shut_down().await;
    assert!(!path.exists(), "the file goes with the location");
}

#[tokio::test]
async fn a_second_process_does_not_take_the_socket_of_the_first() {
    let site = Site::with("memory: {}", |dir, config| {
        config.listen.socket = Some(dir.join("eu.sock"));
    })
    .await;
    let path = site.running.addresses().socket.clone().unwrap();
    let Err(error) = RunningLocation::start(site.config.clone()).await else {
        panic!("two listen on one socket");
    };
    let text = error.to_string();
    assert!(
        text.contains(path.to_str().unwrap()) && text.contains("listen.socket"),
        "{text}"
    );
    let socket = channel(&format!("unix://{}", path.display()));
    ok(LogServiceClient::new(socket).append(append("T"))).await;
}

async fn get(address: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(connection.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn probes_and_scrapes_are_answered_over_http() {
    let site = Site::memory().await;
    let address = site.running.addresses().metrics.to_string();
    for probe in ["/livez", "/readyz"] {
        let answer = get(&address, probe).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }
    for _ in 0..3 {
        site.append("T").await;
    }
    let answer = get(&address, "/metrics").await;
    assert!(
        answer.contains("content-type: application/openmetrics-text"),
        "{answer}"
    );
    for line in [
        "tidelog_head{log=\"orders\",location=\"eu\"} 3",
        "tidelog_appended_events_total{log=\"orders\",location=\"eu\"} 3",
        "tidelog_serving{log=\"orders\",location=\"eu\"} 1",
    ] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
}
