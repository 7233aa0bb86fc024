//! The events of all measurements: 256 random bytes, one of 10,000 aggregates.

use bytes::Bytes;
use rand::RngCore;
use tidelog_proto::v1;

/// One event.
pub fn event(n: u64) -> v1::NewEvent {
    let mut payload = vec![0; 256];
    rand::rng().fill_bytes(&mut payload);
    v1::NewEvent {
        r#type: "Measured".into(),
        content_type: "application/octet-stream".into(),
        payload: Bytes::from(payload),
        aggregate_id: format!("aggregate-{}", n % 10_000),
        ..v1::NewEvent::default()
    }
}

/// A request of one event.
pub fn request(n: u64) -> v1::AppendRequest {
    v1::AppendRequest {
        events: vec![event(n)],
        ..v1::AppendRequest::default()
    }
}
