//! Two processes of one location: what comes to the one that does not write is led to the one that does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tidelog_config::Config;
use tidelog_engine::LogPhase;
use tidelog_model::Role;
use tidelog_proto::v1;
use tidelog_proto::v1::EdgeState;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tidelog_server::forward::{ForwardError, ForwardOptions, Forwarder};
use tidelog_server::surroundings::Surroundings;
use tidelog_server::{LocationOptions, RunningLocation};
use tidelog_store::{Lease, LogStore, MemoryStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::secured::{World, append, channel, identity};
use crate::support::{PATIENCE, log_client, request, serving, until};

/// A process of eu on an address of its own, as a pod has one.
fn placed(mut config: Config, ip: &str) -> Config {
    let at = |port: u16| -> SocketAddr { format!("{ip}:{port}").parse().unwrap() };
    config.listen.api = at(7440);
    config.listen.replication = at(7443);
    config.listen.clients = Some(at(7445));
    config.listen.advertised = Some(format!("{ip}:7445").parse().unwrap());
    config
}

async fn started(config: Config, store: &Arc<MemoryStore>) -> RunningLocation {
    let on = Surroundings {
        store: Some(store.clone() as Arc<dyn LogStore>),
        ..Surroundings::default()
    };
    let starting = RunningLocation::start_on(config, LocationOptions::default(), on);
    Box::pin(starting).await.unwrap()
}

fn store() -> Arc<MemoryStore> {
    let clock = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        i64::try_from(now.unwrap().as_micros()).unwrap()
    };
    Arc::new(MemoryStore::new(Arc::new(clock)))
}

/// Waits until it knows who writes.
async fn stands_by(location: &RunningLocation) {
    let mut status = location.status();
    let knows = |phase: &LogPhase| matches!(phase, LogPhase::Standby { address, .. } if !address.is_empty());
    let waiting = status.wait_for(|status| knows(&status.phase));
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap()
        .unwrap();
}

async fn head(client: &mut LogServiceClient<tonic::transport::Channel>) -> u64 {
    let answer = client.describe(v1::DescribeRequest::default()).await;
    answer.unwrap().into_inner().head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_leads_everybody_to_the_writer_and_takes_over_from_it() {
    let world = World::new(&["eu", "us"]);
    let shared = store();
    let out = "edges: {outgoing: [{target: us, dial: Target, behind: [eu]}]}";
    let first = started(placed(world.config("eu", out), "127.0.51.1"), &shared).await;
    first.wait_until_ready(PATIENCE).await.unwrap();
    let second = started(placed(world.config("eu", out), "127.0.51.2"), &shared).await;
    stands_by(&second).await;
    let since = |location: &RunningLocation| location.location_status().writer.unwrap().since;
    assert!(since(&first).is_some());
    assert_eq!(since(&second), None);

    // The application beside the standby.
    append(&second).await;
    let mut beside = log_client(&second).await;
    assert_eq!(head(&mut beside).await, 1);
    // An application elsewhere, which shows its certificate to the writer itself.
    let clients = second.addresses().clients.unwrap();
    let elsewhere = channel(world.person("eu", Role::Client), clients).await;
    let mut elsewhere = LogServiceClient::new(elsewhere.unwrap());
    elsewhere.append(request(1, 10)).await.unwrap();
    for stranger in [
        world.person("us", Role::Client),
        world.person("eu", Role::Admin),
    ] {
        let refused = match channel(stranger, clients).await {
            Ok(channel) => LogServiceClient::new(channel)
                .append(request(1, 10))
                .await
                .is_err(),
            Err(_) => true,
        };
        assert!(refused, "a stranger came in");
    }
    // Another location, which dials the address of the standby.
    let to_standby = "edges: {incoming: [{source: eu, dial: Target, endpoint: \"127.0.51.2:7443\", behind: [eu]}]}";
    let us = serving(world.config("us", to_standby)).await;
    until(&us, "it has both events", |status| status.head == 2).await;

    // The writer goes: who was led to it is cut off, connects again, and finds the next one.
    first.shut_down().await;
    second.wait_until_ready(PATIENCE).await.unwrap();
    let mut beside = log_client(&second).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while beside.append(request(1, 10)).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "never led anew");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until(&us, "it streams from the next writer", |status| {
        status.head == 3 && status.edges[0].state() == EdgeState::Streaming
    })
    .await;
    us.shut_down().await;
    second.shut_down().await;
}

/// What the kubelet is told.
async fn is_ready(health: SocketAddr) -> bool {
    let Ok(channel) = Endpoint::from_shared(format!("http://{health}"))
        .unwrap()
        .connect()
        .await
    else {
        return false;
    };
    let request = HealthCheckRequest {
        service: "ready".to_owned(),
    };
    let answer = HealthClient::new(channel).check(request).await;
    answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_ready_while_it_reaches_the_writer() {
    let world = World::new(&["eu", "us"]);
    let shared = store();
    let held = |address: &str| Lease {
        owner: "ghost".to_owned(),
        address: address.to_owned(),
        nonce: 7,
        ttl: Duration::from_hours(1),
    };
    shared
        .acquire_lease(&held("127.0.54.1:7445"))
        .await
        .unwrap();
    let standby = started(placed(world.config("eu", ""), "127.0.54.2"), &shared).await;
    stands_by(&standby).await;
    let health = standby.addresses().health;
    let becomes = async |wanted: bool| {
        let end = tokio::time::Instant::now() + PATIENCE;
        while is_ready(health).await != wanted {
            assert!(tokio::time::Instant::now() < end, "ready is not {wanted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    becomes(false).await;
    let writer = tokio::net::TcpListener::bind("127.0.54.1:7445");
    let writer = writer.await.unwrap();
    becomes(true).await;
    drop(writer);
    becomes(false).await;
    standby.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_elsewhere_finds_its_log_on_its_own_loopback_interface() {
    let world = World::new(&["eu", "us"]);
    let shared = store();
    let first = started(placed(world.config("eu", ""), "127.0.53.1"), &shared).await;
    first.wait_until_ready(PATIENCE).await.unwrap();
    let folder = world.path("eu", "application");
    std::fs::create_dir_all(&folder).unwrap();
    let put = |by: &str, role| {
        let pair = world.issue(by, &identity("eu", role));
        std::fs::write(folder.join("tls.key"), &pair.key).unwrap();
        std::fs::write(folder.join("tls.crt"), &pair.certificate).unwrap();
        let authority = &world.authority("eu").pair().certificate;
        std::fs::write(folder.join("ca.crt"), authority).unwrap();
    };
    put("eu", Role::Client);
    let options = ForwardOptions {
        identity: identity("eu", Role::Client),
        to: "127.0.53.1:7445".to_owned(),
        certificates: Some(folder.clone()),
        reload: Duration::from_millis(100),
        api: "127.0.0.1:0".parse().unwrap(),
        socket: Some(world.path("eu", "application/api.sock")),
        health: "127.0.0.1:0".parse().unwrap(),
    };
    let forwarder = Forwarder::start(options.clone()).await.unwrap();
    let ready = async || {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is_ready(forwarder.health).await {
            assert!(tokio::time::Instant::now() < deadline, "never ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    ready().await;
    let connect = async || {
        let address = format!("http://{}", forwarder.api);
        LogServiceClient::connect(address).await.unwrap()
    };
    let mut client = connect().await;
    client.append(request(1, 10)).await.unwrap();
    // A certificate that is replaced counts for the next connection.
    put("eu", Role::Client);
    tokio::time::sleep(Duration::from_millis(500)).await;
    client.append(request(1, 10)).await.unwrap();
    connect().await.append(request(1, 10)).await.unwrap();
    assert_eq!(head(&mut client).await, 3);
    let socket = world.path("eu", "application/api.sock");
    let socket = format!("unix://{}", socket.display());
    let mut local = LogServiceClient::connect(socket).await.unwrap();
    local.append(request(1, 10)).await.unwrap();
    assert_eq!(head(&mut client).await, 4);

    // Its location goes: it says so, and finds the next one at the same place.
    first.shut_down().await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while is_ready(forwarder.health).await {
        assert!(tokio::time::Instant::now() < deadline, "still ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let next = started(placed(world.config("eu", ""), "127.0.53.1"), &shared).await;
    next.wait_until_ready(PATIENCE).await.unwrap();
    ready().await;
    connect().await.append(request(1, 10)).await.unwrap();
    forwarder.shut_down().await;

    // Somebody who is no client of this location is not let in, and is told so at the start where that can be seen.
    put("eu", Role::Admin);
    let refused = Forwarder::start(options).await;
    assert!(matches!(refused, Err(ForwardError::Certificates(_))));
    next.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_led_in_a_circle() {
    let world = World::new(&["eu"]);
    let shared = store();
    let first = started(placed(world.config("eu", ""), "127.0.52.1"), &shared).await;
    first.wait_until_ready(PATIENCE).await.unwrap();
    let second = started(placed(world.config("eu", ""), "127.0.52.2"), &shared).await;
    stands_by(&second).await;
    // What comes from the writer itself, which then does not write, is not sent back to it.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.52.1:0".parse().unwrap()).unwrap();
    let mut from_writer: TcpStream = socket
        .connect("127.0.52.2:7440".parse().unwrap())
        .await
        .unwrap();
    let _ = from_writer
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await;
    let mut answer = [0; 16];
    let closed = tokio::time::timeout(PATIENCE, from_writer.read(&mut answer))
        .await
        .unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    second.shut_down().await;
    first.shut_down().await;
}
