//! What the engine refuses, as errors of the API. One table per operation, so that no operation claims what cannot happen to it.

use std::time::Duration;

use tidelog_config::ConfigError;
use tidelog_core::Refusal;
use tidelog_engine::{AwaitError, Closed, ConsumerError, PageError, ReadError, SubscribeError};
use tidelog_filter::FilterError;
use tidelog_model::{LimitError, PositionError};
use tidelog_proto::convert::FieldError;
use tidelog_proto::error::{ApiError, ErrorReason, key};
use tidelog_replication::ControlError;
use tidelog_store::StoreError;

/// The error of a request to append.
pub fn refusal(refusal: &Refusal) -> ApiError {
    let text = refusal.to_string();
    match refusal {
        Refusal::Invalid { error, index } => invalid(error, *index, text),
        Refusal::ContextAhead { missing } => {
            ApiError::new(ErrorReason::ContextAhead, text).with(key::MISSING, missing)
        }
        Refusal::RequestIdReused { .. } => ApiError::new(ErrorReason::RequestIdReused, text),
        Refusal::ConditionFailed { found, .. } => {
            ApiError::new(ErrorReason::ConditionFailed, text).with(key::SEQUENCE, found)
        }
        Refusal::Position(error) => position(error),
        Refusal::QueueFull { .. } => {
            ApiError::new(ErrorReason::QueueFull, text).retry_after(Duration::from_millis(100))
        }
        Refusal::VectorFull { .. } => ApiError::new(ErrorReason::InvalidRequest, text),
        Refusal::Recovering => {
            ApiError::new(ErrorReason::Recovering, text).retry_after(Duration::from_secs(1))
        }
        Refusal::Store(error) => store(error),
        Refusal::NotWriter => {
            ApiError::new(ErrorReason::NotWriter, text).retry_after(Duration::from_millis(100))
        }
        Refusal::ShuttingDown => ApiError::new(ErrorReason::ShuttingDown, text),
        Refusal::OutcomeUnknown(_) => ApiError::new(ErrorReason::OutcomeUnknown, text),
    }
}

fn invalid(error: &LimitError, index: Option<usize>, text: String) -> ApiError {
    let field = match index {
        Some(i) if error.field() == "event" => format!("events[{i}]"),
        Some(i) => format!("events[{i}].{}", error.field()),
        None => error.field().to_owned(),
    };
    let violation = FieldError::new(field.clone(), error.to_string());
    let reason = match error.field() {
        "event" if error.is_size() => ErrorReason::EventTooLarge,
        "request" if error.is_size() => ErrorReason::RequestTooLarge,
        "events" if matches!(error, LimitError::TooMany { .. }) => ErrorReason::RequestTooLarge,
        _ if index.is_some() => ErrorReason::InvalidEvent,
        _ => ErrorReason::InvalidRequest,
    };
    let mut answer = ApiError::new(reason, text);
    if let LimitError::TooLong { actual, limit, .. } | LimitError::TooMany { actual, limit, .. } =
        error
    {
        answer = answer.with(key::ACTUAL, actual).with(key::LIMIT, limit);
    }
    answer.field_violations.push(violation);
    answer
}

/// A field of a request that does not have its form.
pub fn bad_field(error: FieldError) -> ApiError {
    let reason = if error.field.starts_with("events[") {
        ErrorReason::InvalidEvent
    } else {
        ErrorReason::InvalidRequest
    };
    ApiError::field(reason, error)
}

/// A configuration that cannot be used: a violation for each value that is wrong.
pub fn bad_config(error: &ConfigError) -> ApiError {
    let text = error.to_string();
    let violations = match error {
        ConfigError::Invalid(problems) => problems
            .iter()
            .map(|p| FieldError::new(format!("config_yaml.{}", p.field), &p.message))
            .collect(),
        ConfigError::Form { .. } | ConfigError::TooLong { .. } => {
            vec![FieldError::new("config_yaml", &text)]
        }
    };
    let mut answer = ApiError::new(ErrorReason::InvalidRequest, text);
    answer.field_violations = violations;
    answer
}

/// A CEL expression of a selector that cannot be used.
pub fn bad_filter(error: &FilterError) -> ApiError {
    ApiError::field(
        ErrorReason::InvalidFilter,
        FieldError::new("select.cel", error.to_string()),
    )
}

fn limit(error: &LimitError) -> ApiError {
    ApiError::field(
        ErrorReason::InvalidRequest,
        FieldError::new(error.field().to_owned(), error.to_string()),
    )
}

fn position(error: &PositionError) -> ApiError {
    let text = error.to_string();
    match error {
        PositionError::IncarnationChanged { last_safe, .. } => {
            ApiError::new(ErrorReason::IncarnationChanged, text)
                .with(key::LAST_SAFE_POSITION, last_safe)
        }
        PositionError::Ahead { head, .. } => {
            ApiError::new(ErrorReason::PositionAhead, text).with(key::HEAD, head)
        }
    }
}

/// An error of the store.
pub fn store(error: &StoreError) -> ApiError {
    let text = error.to_string();
    match error {
        StoreError::Full(_) => ApiError::new(ErrorReason::StorageFull, text),
        StoreError::Corrupted { .. } => ApiError::new(ErrorReason::Corrupted, text),
        StoreError::Altered(event) => ApiError::new(ErrorReason::Corrupted, text)
            .with(key::SEQUENCE, event.sequence)
            .with(key::EVENT_ID, &event.id),
        StoreError::Unavailable(_) => ApiError::new(ErrorReason::StorageUnavailable, text)
            .retry_after(Duration::from_millis(500)),
        StoreError::Unsupported(_) => ApiError::new(ErrorReason::InvalidRequest, text),
        _ => ApiError::new(ErrorReason::StorageUnavailable, text),
    }
}

fn closed(closed: &Closed) -> ApiError {
    let text = closed.to_string();
    match closed {
        Closed::ShuttingDown => ApiError::new(ErrorReason::ShuttingDown, text),
        Closed::NotWriter { address } => {
            let answer = ApiError::new(ErrorReason::NotWriter, text);
            if address.is_empty() {
                answer
            } else {
                answer.with(key::WRITER_ADDRESS, address)
            }
        }
        Closed::Fenced => ApiError::new(ErrorReason::Fenced, text),
    }
}

/// A page that could not be served.
pub fn page(error: &PageError) -> ApiError {
    match error {
        PageError::Position(e) => position(e),
        PageError::Closed(e) => closed(e),
        PageError::Store(e) => store(e),
        PageError::Behind { .. } => {
            ApiError::new(ErrorReason::StorageUnavailable, error.to_string())
        }
    }
}

/// A wait that ended without its token.
pub fn wait(error: &AwaitError) -> ApiError {
    let text = error.to_string();
    match error {
        AwaitError::Invalid(e) => limit(e),
        AwaitError::DeadlineExceeded { missing, .. } => {
            ApiError::new(ErrorReason::TokenNotCovered, text).with(key::MISSING, missing)
        }
        AwaitError::Lost { lost } => {
            ApiError::new(ErrorReason::LostEvents, text).with(key::MISSING, lost)
        }
        AwaitError::Closed(e) => closed(e),
    }
}

/// A read that ended early.
pub fn read(error: &ReadError) -> ApiError {
    match error {
        ReadError::Invalid(e) => limit(e),
        ReadError::MinVersion(e) => wait(e),
        ReadError::Page(e) => page(e),
    }
}

/// A subscription that ended.
pub fn subscribe(error: &SubscribeError) -> ApiError {
    match error {
        SubscribeError::Invalid(e) => limit(e),
        SubscribeError::MinVersion(e) => wait(e),
        SubscribeError::Page(e) => page(e),
        SubscribeError::ConsumerTaken { .. } => {
            ApiError::new(ErrorReason::ConsumerTaken, error.to_string())
        }
        SubscribeError::ConsumerDeleted { .. } => {
            ApiError::new(ErrorReason::ConsumerNotFound, error.to_string())
        }
    }
}

/// A consumer that could not be changed or found.
pub fn consumer(error: &ConsumerError) -> ApiError {
    let text = error.to_string();
    match error {
        ConsumerError::Invalid(e) => limit(e),
        ConsumerError::NotFound { .. } => ApiError::new(ErrorReason::ConsumerNotFound, text),
        ConsumerError::BeyondDelivered { delivered, .. } => {
            ApiError::new(ErrorReason::PositionAhead, text).with(key::HEAD, delivered.sequence)
        }
        ConsumerError::Position(e) => position(e),
        ConsumerError::Store(e) => store(e),
        ConsumerError::Closed(e) => closed(e),
    }
}

/// A command to an edge that cannot be carried out.
pub fn control(error: &ControlError) -> ApiError {
    match error {
        ControlError::UnknownEdge { .. } => {
            ApiError::new(ErrorReason::EdgeNotAllowed, error.to_string())
        }
        ControlError::Store(e) => store(e),
    }
}

#[cfg(test)]
mod tests {
    use tidelog_model::{Incarnation, Position};

    use super::*;

    #[test]
    fn an_append_after_a_lost_position_is_told_the_last_safe_one() {
        let lost = PositionError::IncarnationChanged {
            position: Position::new(Incarnation(1), 9),
            last_safe: Position::new(Incarnation(7), 4),
        };
        let answer = refusal(&Refusal::Position(lost));
        assert_eq!(answer.reason, ErrorReason::IncarnationChanged);
        assert_eq!(answer.metadata[key::LAST_SAFE_POSITION], "7/4");
    }
}
