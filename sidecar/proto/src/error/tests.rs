use std::collections::BTreeSet;
use std::time::Duration;

use tidelog_model::limit::LimitError;
use tidelog_model::{Incarnation, Position, PositionError};
use tonic::Code;

use super::{ApiError, ErrorReason, Precondition, key, reference};
use crate::convert::FieldError;

/// What a client sees: through the headers, as bytes.
fn over_the_wire(error: ApiError) -> tonic::Status {
    let headers = tonic::Status::from(error)
        .into_http::<tonic::body::Body>()
        .into_parts()
        .0
        .headers;
    tonic::Status::from_header_map(&headers).expect("a status in the headers")
}

fn header_bytes(error: ApiError) -> usize {
    let response = tonic::Status::from(error).into_http::<tonic::body::Body>();
    let headers = response.headers();
    headers
        .iter()
        .map(|(k, v)| k.as_str().len() + v.len() + 32)
        .sum()
}

fn full() -> ApiError {
    let mut error = ApiError::new(
        ErrorReason::ConditionFailed,
        "order-1 has moved on — read again",
    )
    .with(key::SEQUENCE, 42)
    .retry_after(Duration::from_millis(1500))
    .with_precondition(Precondition {
        kind: "CONDITION".into(),
        subject: "order-1".into(),
        description: "event 42 is above position 1/40".into(),
    });
    error
        .field_violations
        .push(FieldError::new("condition.after", "is 1/40"));
    error
}

#[test]
fn details_survive_the_headers() {
    let status = over_the_wire(full());
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(ApiError::from_status(&status), Some(full()));
}

#[test]
fn details_survive_an_append_stream() {
    let status = tonic_types::Status::from(full());
    assert_eq!(status.code, Code::FailedPrecondition as i32);
    assert_eq!(ApiError::from_rpc_status(&status), Some(full()));
}

#[test]
fn every_reason_travels_with_its_code_and_comes_back() {
    for reason in ErrorReason::ALL {
        let status = over_the_wire(ApiError::new(*reason, "no"));
        assert_eq!(status.code(), reason.code());
        assert_eq!(
            ApiError::from_status(&status).map(|e| e.reason),
            Some(*reason)
        );
    }
}

#[test]
fn every_reason_is_upper_snake_case_once_and_says_what_to_do() {
    let names: BTreeSet<_> = ErrorReason::ALL.iter().map(|r| r.as_str()).collect();
    assert_eq!(names.len(), ErrorReason::ALL.len());
    for reason in ErrorReason::ALL {
        let good = |c: char| c.is_ascii_uppercase() || c == '_';
        assert!(reason.as_str().chars().all(good), "{reason}");
        assert_eq!(
            format!("{reason:?}").to_uppercase(),
            reason.as_str().replace('_', "")
        );
        assert!(reason.meaning().ends_with('.') && reason.remedy().ends_with('.'));
        assert_ne!(reason.code(), Code::Ok);
        assert!(!reason.meaning().contains('|') && !reason.remedy().contains('|'));
    }
}

#[test]
fn only_one_reason_leaves_the_outcome_open() {
    let open: Vec<_> = ErrorReason::ALL
        .iter()
        .filter(|r| r.code() == Code::Unknown)
        .collect();
    assert_eq!(open, [&ErrorReason::OutcomeUnknown]);
}

#[test]
fn the_reference_has_a_row_for_every_reason() {
    let table = reference();
    assert_eq!(table.lines().count(), 2 + ErrorReason::ALL.len());
    for reason in ErrorReason::ALL {
        assert!(table.contains(&format!("| `{reason}` | ")));
    }
    expect_test::expect!["| `CONDITION_FAILED` | FAILED_PRECONDITION | no | `sequence` | An event that the condition looks at was stored after the position it names. | Read what was added, decide again, and append with the new position. |"]
        .assert_eq(table.lines().find(|l| l.contains("CONDITION_FAILED")).unwrap());
}

#[test]
fn an_error_about_huge_values_still_fits_the_headers() {
    let huge = "ä".repeat(100_000);
    let mut error = ApiError::new(ErrorReason::InvalidEvent, &huge);
    for i in 0..100 {
        error = error.with(&format!("key{i}"), &huge);
        error.field_violations.push(FieldError::new(&huge, &huge));
    }
    assert!(
        header_bytes(error.clone()) < 16 * 1024,
        "{}",
        header_bytes(error.clone())
    );
    let seen = ApiError::from_status(&over_the_wire(error)).unwrap();
    assert!(seen.message.ends_with("ä…"));
    assert_eq!(seen.field_violations.len(), 8);
}

#[test]
fn a_status_of_somebody_else_is_no_error_of_ours() {
    assert_eq!(
        ApiError::from_status(&tonic::Status::unavailable("connect")),
        None
    );
    let mut foreign = tonic_types::ErrorDetails::new();
    foreign.set_error_info(
        "CONDITION_FAILED",
        "example.com",
        std::collections::HashMap::new(),
    );
    let status = <tonic::Status as tonic_types::StatusExt>::with_error_details(
        Code::FailedPrecondition,
        "no",
        foreign,
    );
    assert_eq!(ApiError::from_status(&status), None);
}

#[test]
fn limits_become_the_reason_that_fits() {
    let size = |field: &str| {
        ApiError::from(LimitError::TooLong {
            field: field.into(),
            actual: 9,
            limit: 8,
        })
    };
    let large = size("event");
    assert_eq!(large.reason, ErrorReason::EventTooLarge);
    assert_eq!(large.metadata[key::LIMIT], "8");
    assert!(
        large
            .message
            .contains("9 bytes, the limit is 8; store the content elsewhere"),
        "{large}"
    );
    assert_eq!(size("request").reason, ErrorReason::RequestTooLarge);
    let key = size("aggregate_id");
    assert_eq!(key.reason, ErrorReason::InvalidEvent);
    assert_eq!(key.field_violations[0].field, "aggregate_id");
    assert_eq!(key.message, "aggregate_id has 9 bytes, the limit is 8");
}

#[test]
fn positions_are_answered_with_where_to_continue() {
    let at = |i, s| Position::new(Incarnation(i), s);
    let changed = ApiError::from(PositionError::IncarnationChanged {
        position: at(1, 90),
        last_safe: at(7, 50),
    });
    assert_eq!(changed.reason, ErrorReason::IncarnationChanged);
    assert_eq!(changed.metadata[key::LAST_SAFE_POSITION], "7/50");
    let ahead = ApiError::from(PositionError::Ahead {
        position: at(7, 61),
        head: 60,
    });
    assert_eq!(ahead.reason, ErrorReason::PositionAhead);
    assert_eq!(ahead.metadata[key::HEAD], "60");
}
