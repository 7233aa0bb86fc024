//! `AdminService`: status as it changes, configurations, incarnations, edges.

use tidelog_config::{Config, Dial, Hash64, Incoming, LagThreshold};
use tidelog_model::LocationName;
use tidelog_proto::{ErrorReason, v1};

use crate::rig::{Site, append, fields, ok, refused, refused_stream, soon};

#[tokio::test]
async fn watch_status_speaks_at_once_and_again_when_something_changed() {
    let site = Site::memory().await;
    let request = v1::WatchStatusRequest {
        log: "orders".into(),
        interval_millis: 100,
    };
    let mut watched = ok(site.admin().watch_status(request)).await;
    let mut next = async || {
        soon(watched.message())
            .await
            .unwrap()
            .map(|m| m.status.unwrap())
    };
    let first = next().await.unwrap();
    assert_eq!(first.state(), v1::LocationState::Serving);
    assert_eq!((first.head, first.incarnation), (0, 1));
    assert_eq!(first.pid, std::process::id());
    assert!(first.writer.unwrap().here);
    site.append("T").await;
    let mut head = 0;
    while head == 0 {
        head = next().await.unwrap().head;
    }
    assert_eq!(head, 1);
    let rarely = v1::WatchStatusRequest {
        log: String::new(),
        interval_millis: 3_600_000,
    };
    let mut rare = ok(site.admin().watch_status(rarely)).await;
    assert!(soon(rare.message()).await.unwrap().is_some(), "at once");
    // It says goodbye, it does not break.
    let stop = tokio::spawn(site.running.shut_down());
    soon(async { while next().await.is_some() {} }).await;
    soon(stop).await.unwrap();
}

fn apply(config: &Config) -> v1::ApplyConfigRequest {
    v1::ApplyConfigRequest {
        log: String::new(),
        config_yaml: config.to_yaml().unwrap(),
    }
}

fn edge_from(source: &str) -> Incoming {
    Incoming {
        source: LocationName::new(source).unwrap(),
        dial: Dial::Source,
        endpoint: None,
        behind: Vec::new(),
        paused: false,
        filter_hash: Hash64::default(),
        lag_threshold: LagThreshold::default(),
    }
}

async fn status(site: &Site) -> v1::LocationStatus {
    let answer = ok(site.admin().get_status(v1::GetStatusRequest::default())).await;
    answer.status.unwrap()
}

#[tokio::test]
async fn a_new_configuration_is_in_force_where_it_can_be_and_the_rest_is_named() {
    let site = Site::memory().await;
    let mut config = site.config.clone();
    config.edges.incoming.push(edge_from("us"));
    config.spec_hash = "ab12".into();
    let answer = ok(site.admin().apply_config(apply(&config))).await;
    assert!(answer.changed);
    assert_eq!(answer.restart_needed, Vec::<String>::new());
    assert_eq!(answer.spec_hash, "ab12");
    let edges = status(&site).await.edges;
    assert_eq!(edges.len(), 1);
    assert_eq!((&*edges[0].source, &*edges[0].target), ("us", "eu"));

    let answer = ok(site.admin().apply_config(apply(&config))).await;
    assert!(!answer.changed, "it is in force already");

    config.edges.incoming.push(edge_from("ap"));
    config.writer.lease = "9s".parse().unwrap();
    config.application.version = "2.0".parse().unwrap();
    let restart = ["application.version", "writer.lease"];
    let answer = ok(site.admin().apply_config(apply(&config))).await;
    assert!(answer.changed);
    assert_eq!(answer.restart_needed, restart);
    // Until the restart it is needed, however often somebody asks.
    let answer = ok(site.admin().apply_config(apply(&config))).await;
    assert_eq!(
        (answer.changed, answer.restart_needed),
        (false, restart.map(str::to_owned).to_vec())
    );
    let now = status(&site).await;
    assert_eq!(now.edges.len(), 2);
    assert_eq!(now.application_version, "1.4", "as it was");
    site.append("T").await;
    let described = ok(site.api().describe(v1::DescribeRequest::default())).await;
    assert_eq!(described.application_version, "1.4", "as it was");
    let mut read = ok(site.api().read(v1::ReadRequest::default())).await;
    let page = soon(read.message()).await.unwrap().unwrap();
    assert_eq!(page.events[0].application_version, "1.4", "as it was");
}

#[tokio::test]
async fn a_configuration_that_is_wrong_changes_nothing_and_is_told_by_field() {
    let site = Site::memory().await;
    let invalid = ErrorReason::InvalidRequest;
    let mut admin = site.admin();
    let mut config = site.config.clone();
    config.edges.incoming.push(edge_from("us"));

    let mut wrong = config.clone();
    wrong.writer.lease = "2h".parse().unwrap();
    wrong.log = "No Name".into();
    let error = refused(invalid, admin.apply_config(apply(&wrong))).await;
    assert_eq!(
        fields(&error),
        ["config_yaml.log", "config_yaml.writer.lease"]
    );
    assert!(
        error.field_violations[1].description.contains("2h"),
        "{error:?}"
    );

    for (location, log) in [("us", "orders"), ("eu", "orders2")] {
        let mut other = config.clone();
        other.location = LocationName::new(location).unwrap();
        other.log = log.into();
        other.edges.incoming.clear();
        let error = refused(invalid, admin.apply_config(apply(&other))).await;
        assert!(
            error.message.contains(&format!("{log}/{location}"))
                && error.message.contains("orders/eu"),
            "{error}"
        );
    }

    let request = v1::ApplyConfigRequest {
        log: String::new(),
        config_yaml: format!("{}writers: {{}}\n", config.to_yaml().unwrap()),
    };
    let error = refused(invalid, admin.apply_config(request)).await;
    assert_eq!(fields(&error), ["config_yaml"]);
    assert!(error.message.contains("writers"), "{error}");
    assert!(status(&site).await.edges.is_empty());
}

#[tokio::test]
async fn an_incarnation_is_confirmed_when_it_is_the_one_in_force() {
    let site = Site::memory().await;
    let identity = status(&site).await.database_identity;
    assert!(!identity.is_empty());
    let ask = |incarnation, database_identity: &str| v1::GrantIncarnationRequest {
        log: "orders".into(),
        incarnation,
        database_identity: database_identity.into(),
        ..v1::GrantIncarnationRequest::default()
    };
    for (incarnation, identity) in [(0, ""), (1, ""), (1, &*identity)] {
        let answer = ok(site.admin().grant_incarnation(ask(incarnation, identity))).await;
        assert_eq!(answer.incarnation, 1);
        assert_eq!(answer.lineage.len(), 1);
    }
    for (incarnation, identity) in [(2, &*identity), (1, "another")] {
        let request = ask(incarnation, identity);
        refused(ErrorReason::Fenced, site.admin().grant_incarnation(request)).await;
    }
}

#[tokio::test]
async fn commands_name_the_edge_or_the_field_that_is_wrong() {
    let site = Site::memory().await;
    let edge = |source: &str, target: &str| {
        Some(v1::Edge {
            source: source.into(),
            target: target.into(),
        })
    };
    let pause = |edge| v1::PauseEdgeRequest {
        log: String::new(),
        edge,
    };
    let mut admin = site.admin();
    let wrong = [
        (None, "edge"),
        (edge("EU", "eu"), "edge.source"),
        (edge("us", ""), "edge.target"),
    ];
    for (edge, field) in wrong {
        let error = refused(ErrorReason::InvalidRequest, admin.pause_edge(pause(edge))).await;
        assert_eq!(fields(&error), [field]);
    }
    let unknown = ErrorReason::EdgeNotAllowed;
    let error = refused(unknown, admin.pause_edge(pause(edge("us", "eu")))).await;
    assert!(error.message.contains("us->eu"), "{error}");
    let request = v1::BackupRequest {
        log: String::new(),
        directory: "here".into(),
    };
    let error = refused_stream(ErrorReason::InvalidRequest, admin.backup(request)).await;
    assert_eq!(fields(&error), ["directory"]);
}

#[tokio::test]
async fn a_log_that_is_not_served_is_found_by_no_call_of_an_operator() {
    let site = Site::memory().await;
    let (mut a, log) = (site.admin(), || "invoices".to_owned());
    let none = ErrorReason::LogNotFound;
    let edge = Some(v1::Edge {
        source: "us".into(),
        target: "eu".into(),
    });
    let (pause, resume) = (edge.clone(), edge.clone());
    let (cut, heal) = (edge.clone(), edge);
    let errors = [
        refused(none, a.get_status(v1::GetStatusRequest { log: log() })).await,
        refused(
            none,
            a.apply_config(v1::ApplyConfigRequest {
                log: log(),
                ..apply(&site.config)
            }),
        )
        .await,
        refused(
            none,
            a.pause_edge(v1::PauseEdgeRequest {
                log: log(),
                edge: pause,
            }),
        )
        .await,
        refused(
            none,
            a.resume_edge(v1::ResumeEdgeRequest {
                log: log(),
                edge: resume,
            }),
        )
        .await,
        refused(
            none,
            a.cut_edge(v1::CutEdgeRequest {
                log: log(),
                edge: cut,
            }),
        )
        .await,
        refused(
            none,
            a.heal_edge(v1::HealEdgeRequest {
                log: log(),
                edge: heal,
            }),
        )
        .await,
        refused(
            none,
            a.grant_incarnation(v1::GrantIncarnationRequest {
                log: log(),
                ..v1::GrantIncarnationRequest::default()
            }),
        )
        .await,
        refused_stream(
            none,
            a.watch_status(v1::WatchStatusRequest {
                log: log(),
                interval_millis: 0,
            }),
        )
        .await,
        refused_stream(
            none,
            a.list_event_ids(v1::ListEventIdsRequest {
                log: log(),
                after: None,
            }),
        )
        .await,
        refused_stream(none, a.verify(v1::VerifyRequest { log: log() })).await,
        refused_stream(
            none,
            a.backup(v1::BackupRequest {
                log: log(),
                directory: "/tmp/none".into(),
            }),
        )
        .await,
    ];
    for error in errors {
        assert!(
            error.message.contains("`invoices`") && error.message.contains("`orders`"),
            "{error}"
        );
    }
    // The call after so many refused ones is answered as ever, and so is one that names the log.
    let status = v1::GetStatusRequest {
        log: "orders".into(),
    };
    ok(a.get_status(status)).await;
    ok(site.api().append(append("T"))).await;
}
