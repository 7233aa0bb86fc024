//! Messages beyond what the port takes.

use tidelog_proto::error::{ApiError, ErrorReason, key};
use tidelog_proto::v1::append_stream_response::Result as Answer;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::support::{PATIENCE, config, log_client, request, serving};

const MIB: usize = 1024 * 1024;

fn too_large(status: &Status) {
    let error = ApiError::from_status(status).unwrap_or_else(|| panic!("{status:?}"));
    assert_eq!(error.reason, ErrorReason::RequestTooLarge);
    assert_eq!(error.metadata[key::LIMIT], (20 * MIB).to_string());
    let actual: usize = error.metadata[key::ACTUAL].parse().unwrap();
    assert!((25 * MIB..26 * MIB).contains(&actual), "{actual}");
}

#[tokio::test]
async fn a_request_beyond_the_limit_of_messages_is_told_so_in_a_unary_call() {
    let location = serving(config("")).await;
    let mut client = log_client(&location).await;
    let large = client.append(request(1, 25 * MIB));
    let status = tokio::time::timeout(PATIENCE, large).await.unwrap();
    too_large(&status.unwrap_err());
    // The connection goes on.
    client.append(request(1, 1)).await.unwrap();
    location.shut_down().await;
}

#[tokio::test]
async fn a_stream_answers_what_came_before_a_message_beyond_the_limit_and_ends_with_its_error() {
    let location = serving(config("")).await;
    let mut client = log_client(&location).await;
    let (out, requests) = mpsc::channel(200);
    for _ in 0..100 {
        out.send(request(1, 1000)).await.unwrap();
    }
    out.send(request(1, 25 * MIB)).await.unwrap();
    out.send(request(1, 1)).await.unwrap();
    let answers = client.append_stream(ReceiverStream::new(requests)).await;
    let mut answers = answers.unwrap().into_inner();
    let mut sequences = Vec::new();
    let end = loop {
        match tokio::time::timeout(PATIENCE, answers.message())
            .await
            .unwrap()
        {
            Ok(Some(answer)) => match answer.result.unwrap() {
                Answer::Ok(accepted) => sequences.push(accepted.first_sequence),
                Answer::Error(error) => panic!("{error:?}"),
            },
            Ok(None) => panic!("a stream that was not answered to its end is not OK"),
            Err(status) => break status,
        }
    };
    assert_eq!(sequences, (1..=100).collect::<Vec<u64>>());
    too_large(&end);
    assert_eq!(location.location_status().head, 100);
    location.shut_down().await;
}
