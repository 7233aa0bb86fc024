//! Waiting for a causal token, with the deadline of the call.

use std::time::{Duration, Instant};

use tidelog_proto::error::key;
use tidelog_proto::{ErrorReason, v1};
use tonic::Request;

use crate::rig::{Site, ok, refused, refused_stream, vector};

/// The server answers a twentieth before it, which must be more than a busy machine takes.
const DEADLINE: Duration = Duration::from_secs(2);

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

#[tokio::test]
async fn await_answers_at_its_deadline_and_names_what_is_missing() {
    let site = Site::memory().await;
    site.append("T").await;
    let request = v1::AwaitRequest {
        token: Some(vector("eu#1:1,us#3:7")),
        ..v1::AwaitRequest::default()
    };
    let begun = Instant::now();
    let error = refused(
        ErrorReason::TokenNotCovered,
        site.api().r#await(within(request)),
    )
    .await;
    assert_eq!(error.metadata[key::MISSING], "us#3:7");
    assert!(error.message.contains("us#3:7"), "{error}");
    assert!(begun.elapsed() > DEADLINE / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn min_version_waits_no_longer_than_the_deadline_either() {
    let site = Site::memory().await;
    let min_version = Some(vector("us#1:1"));
    let read = v1::ReadRequest {
        min_version: min_version.clone(),
        ..v1::ReadRequest::default()
    };
    let subscribe = v1::SubscribeRequest {
        min_version,
        ..v1::SubscribeRequest::default()
    };
    let (mut reading, mut following) = (site.api(), site.api());
    let reason = ErrorReason::TokenNotCovered;
    let (read, followed) = tokio::join!(
        refused_stream(reason, reading.read(within(read))),
        refused_stream(reason, following.subscribe(within(subscribe))),
    );
    for error in [read, followed] {
        assert_eq!(error.metadata[key::MISSING], "us#1:1");
    }
}

#[tokio::test]
async fn await_answers_as_soon_as_the_token_is_covered() {
    let site = Site::memory().await;
    let mut api = site.api();
    let waiting = tokio::spawn(async move {
        let request = v1::AwaitRequest {
            token: Some(vector("eu#1:2")),
            ..v1::AwaitRequest::default()
        };
        let answer = ok(api.r#await(request)).await;
        (answer, Instant::now())
    });
    site.append("T").await;
    assert!(!waiting.is_finished());
    site.append("T").await;
    let appended = Instant::now();
    let (answer, answered) = waiting.await.unwrap();
    assert_eq!((answer.covered, answer.head), (Some(vector("eu#1:2")), 2));
    // Nobody looks from time to time: it is told.
    assert!(answered.saturating_duration_since(appended) < Duration::from_secs(1));
}
