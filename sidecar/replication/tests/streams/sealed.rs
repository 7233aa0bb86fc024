//! Messages that were changed on their way.

use tidelog_model::VectorTime;
use tidelog_proto::v1;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::hostile::{open_of_us, serving_source};

/// Says one message as a program would that knows nothing of checksums.
async fn unsealed(at: &str, message: v1::ReplicationMessage) -> tonic::Status {
    let channel = Endpoint::from_shared(format!("http://{at}")).unwrap();
    let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/tidelog.v1.ReplicationService/Pull");
    let codec = ProstCodec::<v1::ReplicationMessage, v1::ReplicationMessage>::default();
    let said = Request::new(tokio_stream::iter([message]));
    let mut answers = match client.streaming(said, path, codec).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return status,
    };
    match answers.message().await {
        Err(status) => status,
        Ok(answer) => panic!("an answer to a message without checksum: {answer:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_its_checksum_ends_the_stream_and_nothing_it_says_is_believed() {
    let net = serving_source(1).await;
    let open = v1::ReplicationMessage::from(open_of_us(7, &VectorTime::default(), 1 << 20));
    let at = net.addresses["eu"].to_string();
    let status = unsealed(&at, open.clone()).await;
    assert_eq!(status.code(), Code::DataLoss, "{status:?}");
    let wrong = v1::ReplicationMessage {
        checksum: 7,
        ..open
    };
    let status = unsealed(&at, wrong).await;
    assert_eq!(status.code(), Code::DataLoss, "{status:?}");
}
