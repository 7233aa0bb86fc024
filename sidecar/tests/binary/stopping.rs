//! SIGTERM under load: what was acknowledged is there, and the end is a clean one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidelog_harness::record::Id;
use tidelog_proto::v1;
use tidelog_proto::v1::append_stream_response::Result as Answer;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use crate::sidecar::{PATIENCE, Sidecar, append, eventually};

/// Enough for several batches to be under way at any moment.
const WRITERS: usize = 8;

fn through_the_socket(eu: &Sidecar) -> LogServiceClient<Channel> {
    let uri = format!("unix://{}", eu.socket().display());
    LogServiceClient::new(Endpoint::from_shared(uri).unwrap().connect_lazy())
}

fn ids(answer: &v1::AppendResponse) -> Vec<Id> {
    answer.ids.iter().map(Id::from).collect()
}

/// Appends until something goes wrong; gives what was acknowledged.
async fn one_by_one(mut api: LogServiceClient<Channel>, count: Arc<AtomicUsize>) -> Vec<Id> {
    let mut acknowledged = Vec::new();
    while let Ok(answer) = api.append(append("Unary")).await {
        acknowledged.extend(ids(answer.get_ref()));
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

/// The same on one stream, as many under way as there is room for.
async fn pipelined(mut api: LogServiceClient<Channel>, count: Arc<AtomicUsize>) -> Vec<Id> {
    let requests = tokio_stream::iter(std::iter::repeat_with(|| append("Streamed")));
    let mut acknowledged = Vec::new();
    let Ok(answers) = api.append_stream(requests).await else {
        return acknowledged;
    };
    let mut answers = answers.into_inner();
    while let Ok(Some(answer)) = answers.message().await {
        if let Some(Answer::Ok(taken)) = answer.result {
            acknowledged.extend(ids(&taken));
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_append_is_there_after_a_termination_under_load() {
    let mut eu = Sidecar::new("eu");
    eu.write(&eu.yaml(""));
    let mut acknowledged = BTreeSet::new();
    for signal in ["TERM", "INT"] {
        eu.start().await;
        let mut load = JoinSet::new();
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..WRITERS {
            load.spawn(one_by_one(through_the_socket(&eu), count.clone()));
        }
        load.spawn(pipelined(through_the_socket(&eu), count.clone()));
        eventually("load", || async {
            (count.load(Ordering::Relaxed) > 500).then_some(())
        })
        .await;
        eu.process().signal(signal).unwrap();
        let status = eu.process().ended(Duration::from_secs(10)).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", eu.process().log_tail(20));
        assert!(!eu.socket().exists());
        let ended = tokio::time::timeout(PATIENCE, load.join_all())
            .await
            .unwrap();
        acknowledged.extend(ended.into_iter().flatten());
    }
    assert!(acknowledged.len() > 1_000, "{}", acknowledged.len());

    eu.start().await;
    let there = eu.client().list().await.unwrap();
    let there: BTreeSet<Id> = there.into_iter().map(|(_, id, _)| id).collect();
    let lost: Vec<_> = acknowledged.difference(&there).take(5).collect();
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    let status = eu.client().status().await.unwrap();
    assert_eq!(status.lineage.len(), 1, "a clean stop is no loss");
    let log = eu.process().log_tail(10_000);
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}
