//! What is refused, and whether a program can find out why.

use std::collections::BTreeMap;

use tidelog_proto::error::key;
use tidelog_proto::v1::append_stream_response::Result as Answer;
use tidelog_proto::v1::subscribe_request::Start;
use tidelog_proto::{ApiError, ErrorReason, v1};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::rig::{
    Site, append, event, fields, ok, position, refused, refused_stream, soon, vector,
};

#[tokio::test]
async fn a_field_that_is_wrong_is_named_by_its_path() {
    let site = Site::memory().await;
    let mut api = site.api();
    let (bad_event, bad_request) = (ErrorReason::InvalidEvent, ErrorReason::InvalidRequest);
    let with = |second: v1::NewEvent| v1::AppendRequest {
        events: vec![event("T"), second],
        ..v1::AppendRequest::default()
    };
    let no_type = with(v1::NewEvent::default());
    let long_key = with(v1::NewEvent {
        aggregate_id: "k".repeat(513),
        ..event("T")
    });
    let destination = with(v1::NewEvent {
        destinations: vec!["fine".into(), String::new()],
        ..event("T")
    });
    let metadata = with(v1::NewEvent {
        metadata: BTreeMap::from([("k".into(), "v".repeat(8 * 1024 + 1))])
            .into_iter()
            .collect(),
        ..event("T")
    });
    let cause = with(v1::NewEvent {
        caused_by: Some(v1::Cause {
            log: "orders".into(),
            id: Some(v1::EventId {
                location: "E U".into(),
                incarnation: 1,
                sequence: 1,
            }),
            output_index: 0,
        }),
        ..event("T")
    });
    let request_id = v1::AppendRequest {
        request_id: "r".repeat(513),
        ..append("T")
    };
    let context = v1::AppendRequest {
        context: Some(v1::VectorTime {
            entries: vec![v1::vector_time::Entry {
                location: "eu".into(),
                incarnation: 0,
                sequence: 1,
            }],
        }),
        ..append("T")
    };
    let condition = v1::AppendRequest {
        condition: Some(v1::Condition::default()),
        ..append("T")
    };
    let cases = [
        (no_type, bad_event, "events[1].type"),
        (long_key, bad_event, "events[1].aggregate_id"),
        (destination, bad_event, "events[1].destinations[1]"),
        (metadata, bad_event, "events[1].metadata[k]"),
        (cause, bad_event, "events[1].caused_by.id.location"),
        (request_id, bad_request, "request_id"),
        (context, bad_request, "context.entries[0].incarnation"),
        (condition, bad_request, "condition.keys"),
        (v1::AppendRequest::default(), bad_request, "events"),
    ];
    for (request, reason, field) in cases {
        let error = refused(reason, api.append(request)).await;
        assert_eq!(fields(&error), [field], "{error}");
    }
    assert!(site.sequences().await.is_empty());
}

#[tokio::test]
async fn details_are_those_that_every_client_knows() {
    let site = Site::memory().await;
    let status = site
        .api()
        .append(v1::AppendRequest {
            events: vec![v1::NewEvent::default()],
            ..v1::AppendRequest::default()
        })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("INVALID_EVENT", "tidelog.dev")
    );
    let violations = &details.bad_request().unwrap().field_violations;
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].field, "events[0].type");
    assert!(!violations[0].description.is_empty());
}

#[tokio::test]
async fn what_is_too_large_is_told_its_size_and_the_limit() {
    let site = Site::memory().await;
    let mut api = site.api();
    let large = |bytes| v1::NewEvent {
        payload: vec![7; bytes].into(),
        ..event("T")
    };
    let one = v1::AppendRequest {
        events: vec![large(4 << 20)],
        ..v1::AppendRequest::default()
    };
    let error = refused(ErrorReason::EventTooLarge, api.append(one)).await;
    assert_eq!(error.metadata[key::LIMIT], (4 << 20).to_string());
    let actual: usize = error.metadata[key::ACTUAL].parse().unwrap();
    assert!(actual > 4 << 20 && actual < (4 << 20) + 1024, "{actual}");
    assert_eq!(fields(&error), ["events[0]"]);

    let together = v1::AppendRequest {
        events: vec![large(3_500_000); 5],
        ..v1::AppendRequest::default()
    };
    let error = refused(ErrorReason::RequestTooLarge, api.append(together)).await;
    assert_eq!(error.metadata[key::LIMIT], (16 << 20).to_string());

    let many = v1::AppendRequest {
        events: vec![event("T"); 1_001],
        ..v1::AppendRequest::default()
    };
    let error = refused(ErrorReason::RequestTooLarge, api.append(many)).await;
    assert_eq!(
        (&*error.metadata[key::ACTUAL], &*error.metadata[key::LIMIT]),
        ("1001", "1000")
    );
    assert!(site.sequences().await.is_empty());
}

#[tokio::test]
async fn what_stands_in_the_way_of_an_append_is_in_the_metadata() {
    let site = Site::memory().await;
    for _ in 0..2 {
        site.append("T").await;
    }
    let mut api = site.api();
    let condition = v1::AppendRequest {
        condition: Some(v1::Condition {
            keys: vec!["a".into()],
            after: Some(position(0, 1)),
            ..v1::Condition::default()
        }),
        ..append("T")
    };
    let error = refused(ErrorReason::ConditionFailed, api.append(condition)).await;
    assert_eq!(error.metadata[key::SEQUENCE], "2");

    let context = v1::AppendRequest {
        context: Some(vector("eu#1:2,us#1:5")),
        ..append("T")
    };
    let error = refused(ErrorReason::ContextAhead, api.append(context)).await;
    assert_eq!(error.metadata[key::MISSING], "us#1:5");

    let request = |kind| v1::AppendRequest {
        request_id: "r-1".into(),
        ..append(kind)
    };
    let first = ok(api.append(request("T"))).await;
    let again = ok(api.append(request("T"))).await;
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(first.ids, again.ids);
    refused(ErrorReason::RequestIdReused, api.append(request("U"))).await;

    let read = v1::ReadRequest {
        after: Some(position(1, 9)),
        ..v1::ReadRequest::default()
    };
    let error = refused_stream(ErrorReason::PositionAhead, api.read(read)).await;
    assert_eq!(error.metadata[key::HEAD], "3");
}

#[tokio::test]
async fn a_refused_request_of_a_stream_is_answered_in_its_place() {
    let site = Site::memory().await;
    let requests = [
        append("A"),
        append(""),
        v1::AppendRequest {
            log: "invoices".into(),
            ..append("B")
        },
        append("C"),
    ];
    let mut answers = ok(site.api().append_stream(tokio_stream::iter(requests))).await;
    let mut said = Vec::new();
    while let Some(answer) = soon(answers.message()).await.unwrap() {
        said.push(match answer.result.unwrap() {
            Answer::Ok(taken) => taken.last_sequence.to_string(),
            Answer::Error(status) => {
                let error = ApiError::from_rpc_status(&status).unwrap();
                assert_eq!(status.code, i32::from(error.reason.code()));
                error.reason.as_str().to_owned()
            }
        });
    }
    assert_eq!(said, ["1", "INVALID_EVENT", "LOG_NOT_FOUND", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_says_when_to_come_again() {
    let site = Site::with("sqlite: {path: DIR/data}", |_, config| {
        config.writer.queue_requests = 1;
    })
    .await;
    let (mut taken, mut full) = (0, 0);
    // While one batch is written, one request may wait; the others come too early.
    for _ in 0..20 {
        let burst = tokio_stream::iter(vec![append("T"); 100]);
        let mut answers = ok(site.api().append_stream(burst)).await;
        while let Some(answer) = soon(answers.message()).await.unwrap() {
            match answer.result.unwrap() {
                Answer::Ok(_) => taken += 1,
                Answer::Error(status) => {
                    let error = ApiError::from_rpc_status(&status).unwrap();
                    assert_eq!(error.reason, ErrorReason::QueueFull, "{error}");
                    assert_eq!(status.code, i32::from(Code::ResourceExhausted));
                    let wait = error.retry_after.unwrap();
                    assert!(!wait.is_zero(), "{error:?}");
                    full += 1;
                }
            }
        }
        if full > 0 {
            break;
        }
    }
    assert!(full > 0, "{taken} taken, none refused");
    assert_eq!(site.sequences().await.len(), taken);
    site.append("T").await;
}

#[tokio::test]
async fn a_log_that_is_not_served_is_found_by_no_call_of_an_application() {
    let site = Site::memory().await;
    let (mut a, log) = (site.api(), || "invoices".to_owned());
    let none = ErrorReason::LogNotFound;
    let errors = [
        refused(
            none,
            a.append(v1::AppendRequest {
                log: log(),
                ..append("T")
            }),
        )
        .await,
        refused_stream(
            none,
            a.read(v1::ReadRequest {
                log: log(),
                ..v1::ReadRequest::default()
            }),
        )
        .await,
        refused_stream(
            none,
            a.subscribe(v1::SubscribeRequest {
                log: log(),
                start: Some(Start::Latest(true)),
                ..v1::SubscribeRequest::default()
            }),
        )
        .await,
        refused(
            none,
            a.ack(v1::AckRequest {
                log: log(),
                consumer: "c".into(),
                position: Some(position(0, 0)),
                reset: true,
            }),
        )
        .await,
        refused(
            none,
            a.get_consumer(v1::GetConsumerRequest {
                log: log(),
                consumer: "c".into(),
            }),
        )
        .await,
        refused(
            none,
            a.list_consumers(v1::ListConsumersRequest { log: log() }),
        )
        .await,
        refused(
            none,
            a.delete_consumer(v1::DeleteConsumerRequest {
                log: log(),
                consumer: "c".into(),
            }),
        )
        .await,
        refused(
            none,
            a.r#await(v1::AwaitRequest {
                log: log(),
                token: None,
            }),
        )
        .await,
        refused(none, a.describe(v1::DescribeRequest { log: log() })).await,
    ];
    for error in errors {
        assert!(
            error.message.contains("`invoices`") && error.message.contains("`orders`"),
            "{error}"
        );
    }
    // By its name and without one it is the same log.
    let named = v1::AppendRequest {
        log: "orders".into(),
        ..append("T")
    };
    ok(a.append(named)).await;
    assert_eq!(site.sequences().await, [1]);
}
