//! What a source puts into one frame.

use tidelog_proto::v1;
use tidelog_proto::v1::replication_message::Message;
use tidelog_proto::v1::replication_service_client::ReplicationServiceClient;
use tidelog_server::RunningLocation;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{PATIENCE, config, log_client, request, serving};

/// What the target `us` says first.
fn open() -> v1::Open {
    v1::Open {
        stream_id: 1,
        log: "orders".to_owned(),
        target: "us".to_owned(),
        source: "eu".to_owned(),
        hash: vec![0; 32].into(),
        version_vector: Some(v1::VectorTime::default()),
        covered_vector: Some(v1::VectorTime::default()),
        target_lineage: vec![v1::LineageEntry {
            incarnation: 1,
            base: 0,
        }],
        application_name: "shop".to_owned(),
        application_version: "1.0".to_owned(),
        protocol_version: 1,
        canonical_version: 1,
        credit_bytes: 64 * 1024 * 1024,
        ..v1::Open::default()
    }
}

/// The events of each frame up to a position, by their bytes.
async fn frames(location: &RunningLocation, until: u64) -> Vec<Vec<usize>> {
    let address = format!("http://{}", location.addresses().replication);
    let mut client = ReplicationServiceClient::connect(address).await.unwrap();
    let (out, messages) = mpsc::channel(4);
    let first = v1::ReplicationMessage::from(Message::Open(open()));
    out.send(first).await.unwrap();
    let answers = client.pull(ReceiverStream::new(messages)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut frames = Vec::new();
    loop {
        let next = tokio::time::timeout(PATIENCE, answers.message()).await;
        match next.unwrap().unwrap().unwrap().message.unwrap() {
            Message::Frame(frame) => {
                frames.push(frame.events.iter().map(bytes::Bytes::len).collect());
                if frame.to >= until {
                    return frames;
                }
            }
            Message::Refused(refused) => panic!("{refused:?}"),
            _ => {}
        }
    }
}

const EDGE: &str = "edges: {outgoing: [{target: us, dial: Target, behind: [eu]}]}\n";

#[tokio::test]
async fn frames_hold_as_many_events_as_replication_is_configured_for() {
    let location = serving(config(&format!("{EDGE}replication: {{frameEvents: 4}}"))).await;
    let mut client = log_client(&location).await;
    client.append(request(10, 10)).await.unwrap();
    let sizes: Vec<usize> = frames(&location, 10).await.iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 4, 2]);
    location.shut_down().await;
}

#[tokio::test]
async fn frames_hold_as_many_bytes_as_replication_is_configured_for() {
    let location = serving(config(&format!("{EDGE}replication: {{frameBytes: 64Ki}}"))).await;
    let mut client = log_client(&location).await;
    client.append(request(10, 20 * 1024)).await.unwrap();
    let frames = frames(&location, 10).await;
    assert_eq!(
        frames.iter().map(Vec::len).collect::<Vec<_>>(),
        [3, 3, 3, 1]
    );
    assert!(
        frames
            .iter()
            .all(|frame| frame.iter().sum::<usize>() <= 64 * 1024)
    );
    location.shut_down().await;
}

#[tokio::test]
async fn a_link_may_ask_for_smaller_frames_but_not_for_larger_ones() {
    for (batch, expected) in [(3, vec![3, 3, 3, 1]), (100, vec![5, 5])] {
        let edge = format!(
            "edges: {{outgoing: [{{target: us, dial: Target, behind: [eu], batch: {{maxEvents: {batch}}}}}]}}\nreplication: {{frameEvents: 5}}"
        );
        let location = serving(config(&edge)).await;
        let mut client = log_client(&location).await;
        client.append(request(10, 10)).await.unwrap();
        let sizes: Vec<usize> = frames(&location, 10).await.iter().map(Vec::len).collect();
        assert_eq!(sizes, expected);
        location.shut_down().await;
    }
}
