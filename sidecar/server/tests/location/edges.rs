//! What a location says of its edges.

use tidelog_config::Config;
use tidelog_filter::{Filter, FilterSet, OnError};
use tidelog_proto::error::{ApiError, ErrorReason};
use tidelog_proto::v1::admin_service_client::AdminServiceClient;
use tidelog_proto::v1::{CutEdgeRequest, Edge, EdgeState, HealEdgeRequest, LocationStatus};
use tidelog_server::{LocationOptions, RunningLocation};

use crate::support::{config, config_of, log_client, request, serving, until};

/// `eu` and `us` with an edge between them that has a filter.
struct Pair {
    eu: RunningLocation,
    us: RunningLocation,
}

fn hash(cel: &str) -> String {
    let filter = Filter::compile("f", cel, OnError::Stall).unwrap();
    format!("{:016x}", FilterSet::new([filter]).hash())
}

/// The source of the edge, under a plan.
fn source(spec_hash: &str, cel: &str) -> Config {
    config(&format!(
        r#"
specHash: "{spec_hash}"
edges: {{outgoing: [{{target: us, dial: Target, behind: [eu], filterHash: "{}", filters: [{{name: f, cel: "{cel}"}}]}}]}}
"#,
        hash(cel)
    ))
}

/// Its target.
fn target(spec_hash: &str, cel: &str, endpoint: &str, threshold: &str) -> Config {
    config_of(
        "us",
        &format!(
            r#"
specHash: "{spec_hash}"
edges: {{incoming: [{{source: eu, dial: Target, endpoint: "{endpoint}", behind: [eu], filterHash: "{}", lagThreshold: {threshold}}}]}}
replication: {{heartbeat: 100ms}}
"#,
            hash(cel)
        ),
    )
}

impl Pair {
    async fn of(cel: &str, threshold: &str) -> Self {
        let eu = serving(source("1", cel)).await;
        let us = serving(target("1", cel, &Self::endpoint(&eu), threshold)).await;
        Self { eu, us }
    }

    fn endpoint(eu: &RunningLocation) -> String {
        eu.addresses().replication.to_string()
    }

    async fn stop(self) {
        self.us.shut_down().await;
        self.eu.shut_down().await;
    }
}

/// Everybody agrees about everything.
fn at_peace(status: &LocationStatus) -> bool {
    status.warnings.is_empty() && status.edges[0].spec_agrees && status.edges[0].filter_agrees
}

#[tokio::test]
async fn a_changed_filter_is_in_force_when_its_source_says_so() {
    let (a, b) = ("event.type == 'A'", "event.type == 'B'");
    let pair = Pair::of(a, "{}").await;
    for location in [&pair.eu, &pair.us] {
        let status = until(location, "agreement about the first filter", at_peace).await;
        assert_eq!(status.edges[0].filter_hash, hash(a));
    }
    // The target knows of the new filter and says that nothing is judged by it yet.
    let endpoint = Pair::endpoint(&pair.eu);
    let changed = target("2", b, &endpoint, "{}");
    pair.us.apply(&changed).await.unwrap();
    let before = until(&pair.us, "a new stream under the old filter", |status| {
        status.edges[0].state() == EdgeState::Streaming && status.edges[0].peer_spec_hash == "1"
    })
    .await;
    assert!(!before.edges[0].filter_agrees, "{before:?}");
    assert_eq!(before.edges[0].filter_hash, hash(a));
    let there = until(&pair.eu, "the source knows the target's plan", |status| {
        status.edges[0].peer_filter_hash == hash(b)
    })
    .await;
    assert_eq!(there.edges[0].filter_hash, hash(a));
    assert!(!there.edges[0].filter_agrees && !there.warnings.is_empty());
    pair.eu.apply(&source("2", b)).await.unwrap();
    for location in [&pair.eu, &pair.us] {
        let status = until(location, "agreement about the new filter", at_peace).await;
        assert_eq!(status.edges[0].filter_hash, hash(b));
        assert_eq!(status.edges[0].peer_filter_hash, hash(b));
    }
    pair.stop().await;
}

#[tokio::test]
async fn after_a_change_around_an_edge_no_location_keeps_a_warning() {
    let cel = "event.type == 'A'";
    let pair = Pair::of(cel, "{}").await;
    for location in [&pair.eu, &pair.us] {
        until(location, "agreement about the first plan", |status| {
            at_peace(status) && !status.edges[0].peer_spec_hash.is_empty()
        })
        .await;
    }
    pair.eu.apply(&source("2", cel)).await.unwrap();
    until(&pair.us, "a warning about the other plan", |status| {
        status
            .warnings
            .iter()
            .any(|text| text.contains("eu runs another specification"))
    })
    .await;
    let changed = target("2", cel, &Pair::endpoint(&pair.eu), "{}");
    pair.us.apply(&changed).await.unwrap();
    for location in [&pair.eu, &pair.us] {
        until(location, "agreement about the new plan", |status| {
            at_peace(status) && status.edges[0].peer_spec_hash == "2"
        })
        .await;
    }
    pair.stop().await;
}

#[tokio::test]
async fn a_target_beyond_the_threshold_of_its_link_is_not_synced_and_says_so() {
    // Not one event passes: the filter fails on all of them.
    let pair = Pair::of("event.metadata.shop == 'a'", "{events: 5}").await;
    let mut client = log_client(&pair.eu).await;
    client.append(request(5, 1)).await.unwrap();
    let lag = |events| {
        move |status: &LocationStatus| {
            status.edges[0].lag_events == Some(events) && status.edges[0].lag_seconds.is_some()
        }
    };
    let at_most = until(&pair.us, "a lag of 5", lag(5)).await;
    assert!(at_most.edges[0].synced, "{at_most:?}");
    assert_eq!(at_most.warnings, Vec::<String>::new());
    client.append(request(1, 1)).await.unwrap();
    let beyond = until(&pair.us, "a lag of 6", lag(6)).await;
    assert!(!beyond.edges[0].synced);
    let warning = &beyond.warnings[0];
    assert!(warning.contains("us is 6 events and"), "{warning}");
    assert!(
        warning.ends_with("behind eu; lagThreshold of the link is 5 events, 60 s"),
        "{warning}"
    );
    pair.stop().await;
}

#[tokio::test]
async fn edges_are_cut_and_healed_on_a_development_network_only() {
    let edge = || {
        Some(Edge {
            source: "eu".to_owned(),
            target: "us".to_owned(),
        })
    };
    let cut = || CutEdgeRequest {
        log: String::new(),
        edge: edge(),
    };
    let heal = || HealEdgeRequest {
        log: String::new(),
        edge: edge(),
    };
    let config = || source("1", "event.type == 'A'");
    let location = serving(config()).await;
    let address = format!("http://{}", location.addresses().admin);
    let mut admin = AdminServiceClient::connect(address).await.unwrap();
    let refusals = [
        admin.cut_edge(cut()).await.unwrap_err(),
        admin.heal_edge(heal()).await.unwrap_err(),
    ];
    for (refusal, what) in refusals.iter().zip(["cut", "healed"]) {
        let error = ApiError::from_status(refusal).unwrap();
        assert_eq!(error.reason, ErrorReason::InvalidRequest);
        let said = format!("eu->us cannot be {what}: eu is not part of a network of `tidelog dev`");
        assert!(error.message.starts_with(&said), "{error}");
    }
    assert!(!location.location_status().edges[0].cut);
    location.shut_down().await;

    let options = LocationOptions { development: true };
    let location = RunningLocation::start_with(config(), options)
        .await
        .unwrap();
    let address = format!("http://{}", location.addresses().admin);
    let mut admin = AdminServiceClient::connect(address).await.unwrap();
    admin.cut_edge(cut()).await.unwrap();
    assert!(location.location_status().edges[0].cut);
    admin.heal_edge(heal()).await.unwrap();
    assert!(!location.location_status().edges[0].cut);
    location.shut_down().await;
}
