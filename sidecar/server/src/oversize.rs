//! Messages beyond what a port takes, as an error of the API.
//!
//! They are refused while they are being read, before any call sees them: by the library, and in its words. Here they get the reason and
//! the numbers that programs look for.

use axum::http::Response;
use tidelog_model::mutant;
use tidelog_proto::error::{ApiError, ErrorReason, key};
use tonic::body::Body;
use tonic::{Code, Status};

/// How the library begins to say it; the numbers follow.
const SAID: &str = "Error, decoded message length too large";

/// What a call or stream answers where reading a message of it ended with this status.
pub(crate) fn told(status: Status) -> Status {
    if status.code() != Code::OutOfRange
        || !status.message().starts_with(SAID)
        || mutant!("oversize-in-words-of-the-library")
    {
        return status;
    }
    let mut numbers = status
        .message()
        .split_whitespace()
        .filter_map(|word| word.parse::<u64>().ok());
    let (Some(actual), Some(limit)) = (numbers.next(), numbers.next()) else {
        return status;
    };
    let message = format!(
        "the message has {actual} bytes, the limit is {limit}; send the events in several requests, or larger content by reference"
    );
    ApiError::new(ErrorReason::RequestTooLarge, message)
        .with(key::ACTUAL, actual)
        .with(key::LIMIT, limit)
        .into()
}

/// The same for a response that is nothing but a status.
pub(crate) fn answered(response: Response<Body>) -> Response<Body> {
    match response.extensions().get::<Status>() {
        Some(status) if status.message().starts_with(SAID) => told(status.clone()).into_http(),
        _ => response,
    }
}
