//! What `Describe` tells of limits.

use tidelog_proto::v1::DescribeRequest;

use crate::support::{config, log_client, serving};

#[tokio::test]
async fn describe_answers_the_limits_in_force() {
    let tuned = r"
writer: {batchEvents: 11, batchBytes: 12Ki, queueRequests: 13, queueBytes: 17Mi}
reader: {tailCacheBytes: 15Ki, pageEvents: 16, pageBytes: 18Ki}
";
    let location = serving(config(tuned)).await;
    let mut client = log_client(&location).await;
    let answer = client.describe(DescribeRequest::default()).await.unwrap();
    let limits = answer.into_inner().limits;
    let expected = [
        ("batch_events", 11),
        ("batch_bytes", 12 * 1024),
        ("queue_requests", 13),
        ("queue_bytes", 17 * 1024 * 1024),
        ("tail_cache_bytes", 15 * 1024),
        ("page_events", 16),
        ("page_bytes", 18 * 1024),
        ("message_bytes", 20 * 1024 * 1024),
        ("event_bytes", 4 * 1024 * 1024),
    ];
    for (name, value) in expected {
        assert_eq!(limits.get(name), Some(&value), "{name}");
    }
    location.shut_down().await;
}
