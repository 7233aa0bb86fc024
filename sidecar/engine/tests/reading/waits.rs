//! Waiting for a causal token.

use std::time::Duration;

use tidelog_engine::{AwaitError, Closed, Ends, ReaderOptions};
use tidelog_model::VectorTime;
use tokio::time::timeout;

use crate::log::{HANG, Log, eu, peer_events, small, version};

fn wait(
    log: &Log,
    token: &str,
    deadline: Option<Duration>,
) -> impl Future<Output = Result<VectorTime, AwaitError>> + use<> {
    let (reader, token) = (log.reader.clone(), version(token));
    async move {
        let answer = timeout(HANG, reader.wait_for(&token, deadline)).await;
        Ok((*answer.expect("an answer in time")?.covered_vector).clone())
    }
}

const SOON: Option<Duration> = Some(Duration::from_millis(25));

#[tokio::test]
async fn what_is_covered_already_needs_no_time() {
    let mut log = Log::start(small()).await;
    log.append(3).await;
    for covered in ["", "eu#1:3", "eu#1:1"] {
        let answer = wait(&log, covered, Some(Duration::ZERO)).await;
        assert_eq!(answer.unwrap(), version("eu#1:3"), "{covered}");
    }
}

#[tokio::test]
async fn a_wait_ends_when_the_covered_vector_has_come_there() {
    let mut log = Log::start(small()).await;
    log.append(1).await;
    let waiting = tokio::spawn(wait(&log, "eu#1:2,us#1:3", None));
    log.append(1).await;
    log.receive("us", 2, peer_events("us", 2)).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(!waiting.is_finished());
    // The third event of `us` is filtered out on the way: it is covered without being stored.
    let mut view = log.stored_view().await;
    view.covered_vector = version("eu#1:2,us#1:3").into();
    log.publisher.publish(Vec::new(), view);
    assert_eq!(waiting.await.unwrap().unwrap(), version("eu#1:2,us#1:3"));
}

#[tokio::test]
async fn a_wait_that_takes_too_long_names_what_is_missing() {
    let mut log = Log::start(small()).await;
    log.append(5).await;
    let late = wait(&log, "eu#1:5,us#1:7,ap#2:1", SOON).await.unwrap_err();
    let AwaitError::DeadlineExceeded { missing, waited } = late else {
        panic!("{late:?}")
    };
    assert_eq!(missing, version("ap#2:1,us#1:7"));
    assert!(waited >= Duration::from_millis(25));
}

#[tokio::test]
async fn a_wait_without_a_deadline_has_the_default_one() {
    assert_eq!(
        ReaderOptions::default().wait_default,
        Duration::from_secs(30)
    );
    let short = ReaderOptions {
        wait_default: Duration::from_millis(25),
        ..small()
    };
    let log = Log::start(short).await;
    let late = wait(&log, "us#1:7", None).await.unwrap_err();
    assert!(matches!(late, AwaitError::DeadlineExceeded { .. }));
    let huge = wait(&log, "", Some(Duration::MAX)).await;
    assert!(huge.is_ok());
}

#[tokio::test]
async fn a_token_of_lost_events_is_answered_at_once() {
    let mut log = Log::start(small()).await;
    log.append(10).await;
    log.raise(7).await;
    log.publisher
        .set_ends(Ends::from([(eu(1), 10), (eu(3), 0)]));
    let hour = Some(Duration::from_hours(1));
    let lost = |text: &str| AwaitError::Lost {
        lost: version(text),
    };
    assert_eq!(
        wait(&log, "eu#1:14,us#1:3", hour).await.unwrap_err(),
        lost("eu#1:14")
    );
    assert_eq!(
        wait(&log, "eu#3:1", hour).await.unwrap_err(),
        lost("eu#3:1")
    );
    assert!(wait(&log, "eu#1:10", hour).await.is_ok());
    let still_open = wait(&log, "eu#7:14", SOON).await.unwrap_err();
    assert!(
        matches!(still_open, AwaitError::DeadlineExceeded { .. }),
        "{still_open:?}"
    );
}

#[tokio::test]
async fn a_loss_that_becomes_known_ends_the_wait() {
    let mut log = Log::start(small()).await;
    log.append(10).await;
    let waiting = tokio::spawn(wait(&log, "eu#1:14", Some(Duration::from_hours(1))));
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(!waiting.is_finished());
    log.publisher.set_ends(Ends::from([(eu(1), 10)]));
    assert!(matches!(
        waiting.await.unwrap(),
        Err(AwaitError::Lost { .. })
    ));
}

#[tokio::test]
async fn nothing_counts_as_covered_while_the_history_changes() {
    let mut log = Log::start(small()).await;
    log.append(10).await;
    log.publisher.suspend();
    assert!(wait(&log, "eu#1:10", SOON).await.is_err());
    log.publisher.reset(log.stored_view().await);
    assert!(wait(&log, "eu#1:10", SOON).await.is_ok());
}

#[tokio::test]
async fn a_wait_ends_with_the_log() {
    let log = Log::start(small()).await;
    let waiting = tokio::spawn(wait(&log, "eu#1:14", Some(Duration::from_hours(1))));
    tokio::task::yield_now().await;
    log.publisher.close(Closed::Fenced);
    assert_eq!(
        waiting.await.unwrap().unwrap_err(),
        AwaitError::Closed(Closed::Fenced)
    );
}

#[tokio::test]
async fn a_token_with_too_many_entries_is_refused() {
    let log = Log::start(small()).await;
    let token = (1..=257).map(|i| (eu(i), 1)).collect();
    let refused = log.reader.wait_for(&token, None).await.unwrap_err();
    assert!(refused.to_string().contains("256"), "{refused}");
}
