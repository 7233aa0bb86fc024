//! An error with its details, on its way to a status and back.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use prost::Message as _;
use thiserror::Error;
use tidelog_model::PositionError;
use tidelog_model::limit::LimitError;
use tonic_types::{
    ErrorDetails, FieldViolation, PreconditionViolation, RpcStatusExt as _, StatusExt as _,
};

use super::{ErrorReason, key};
use crate::convert::FieldError;

// A status travels in HTTP/2 headers, of which many clients take 16 KiB in all (details are base64 there): longer texts are cut, so that an
// error about a huge value does not become an error about huge headers.
const MESSAGE_BYTES_MAX: usize = 1024;
const VIOLATIONS_MAX: usize = 8;
const FIELD_BYTES_MAX: usize = 128;
const DESCRIPTION_BYTES_MAX: usize = 256;
const METADATA_ENTRIES_MAX: usize = 8;
const METADATA_VALUE_BYTES_MAX: usize = 512;

/// A precondition that does not hold: one violation of a `google.rpc.PreconditionFailure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// Kind of the precondition, such as `CONDITION`.
    pub kind: String,
    /// What it is about, such as a key.
    pub subject: String,
    /// How it failed.
    pub description: String,
}

/// An error of a call. Texts beyond what headers carry are cut (marked with `…`) when it becomes a status.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ApiError {
    /// Why, for programs.
    pub reason: ErrorReason,
    /// Why and what to do, for people.
    pub message: String,
    /// Values of [`key`]s, as text.
    pub metadata: BTreeMap<String, String>,
    /// Fields that do not have their form.
    pub field_violations: Vec<FieldError>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// Preconditions that do not hold.
    pub preconditions: Vec<Precondition>,
}

impl ApiError {
    /// An error without further details.
    pub fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            metadata: BTreeMap::new(),
            field_violations: Vec::new(),
            retry_after: None,
            preconditions: Vec::new(),
        }
    }

    /// An error about one field.
    pub fn field(reason: ErrorReason, violation: FieldError) -> Self {
        let mut error = Self::new(reason, violation.to_string());
        error.field_violations.push(violation);
        error
    }

    /// Adds a value of the metadata.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds a precondition that does not hold.
    #[must_use]
    pub fn with_precondition(mut self, precondition: Precondition) -> Self {
        self.preconditions.push(precondition);
        self
    }

    /// Reads the error from a status; `None` for one that is not of [`ErrorReason::domain`], such as a broken connection.
    pub fn from_status(status: &tonic::Status) -> Option<Self> {
        Self::from_details(status.message(), status.get_error_details())
    }

    /// Reads the error from a `google.rpc.Status`, as an `AppendStream` answers it.
    pub fn from_rpc_status(status: &tonic_types::Status) -> Option<Self> {
        Self::from_details(&status.message, status.get_error_details())
    }

    fn from_details(message: &str, details: ErrorDetails) -> Option<Self> {
        let info = details.error_info()?;
        if info.domain != ErrorReason::domain() {
            return None;
        }
        let mut error = Self::new(ErrorReason::from_name(&info.reason)?, message);
        error.metadata = info.metadata.clone().into_iter().collect();
        error.retry_after = details.retry_info().and_then(|r| r.retry_delay);
        if let Some(request) = details.bad_request() {
            error.field_violations = request
                .field_violations
                .iter()
                .map(|v| FieldError::new(&v.field, &v.description))
                .collect();
        }
        if let Some(failure) = details.precondition_failure() {
            error.preconditions = failure
                .violations
                .iter()
                .map(|v| Precondition {
                    kind: v.r#type.clone(),
                    subject: v.subject.clone(),
                    description: v.description.clone(),
                })
                .collect();
        }
        Some(error)
    }

    fn details(self) -> ErrorDetails {
        let mut details = ErrorDetails::new();
        let metadata: HashMap<String, String> = self
            .metadata
            .into_iter()
            .take(METADATA_ENTRIES_MAX)
            .map(|(k, v)| (k, cut(v, METADATA_VALUE_BYTES_MAX)))
            .collect();
        details.set_error_info(self.reason.as_str(), ErrorReason::domain(), metadata);
        if !self.field_violations.is_empty() {
            let violations: Vec<_> = self
                .field_violations
                .into_iter()
                .take(VIOLATIONS_MAX)
                .map(|v| {
                    FieldViolation::new(
                        cut(v.field, FIELD_BYTES_MAX),
                        cut(v.description, DESCRIPTION_BYTES_MAX),
                    )
                })
                .collect();
            details.set_bad_request(violations);
        }
        if let Some(wait) = self.retry_after {
            details.set_retry_info(Some(wait));
        }
        if !self.preconditions.is_empty() {
            let violations: Vec<_> = self
                .preconditions
                .into_iter()
                .take(VIOLATIONS_MAX)
                .map(|p| {
                    PreconditionViolation::new(
                        cut(p.kind, FIELD_BYTES_MAX),
                        cut(p.subject, FIELD_BYTES_MAX),
                        cut(p.description, DESCRIPTION_BYTES_MAX),
                    )
                })
                .collect();
            details.set_precondition_failure(violations);
        }
        details
    }
}

/// Cuts a text to at most `bytes_max` bytes, between two characters, and marks the cut.
fn cut(mut text: String, bytes_max: usize) -> String {
    const MARK: &str = "…";
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - MARK.len()));
        text.push_str(MARK);
    }
    text
}

impl From<ApiError> for tonic::Status {
    fn from(error: ApiError) -> Self {
        let message = cut(error.message.clone(), MESSAGE_BYTES_MAX);
        Self::with_error_details(error.reason.code(), message, error.details())
    }
}

impl From<ApiError> for tonic_types::Status {
    fn from(error: ApiError) -> Self {
        let code = i32::from(error.reason.code());
        let message = error.message.clone();
        let status = tonic::Status::from(error);
        // The details of a tonic status are the encoded google.rpc.Status that was made one line above.
        Self::decode(status.details()).unwrap_or(Self {
            code,
            message,
            details: Vec::new(),
        })
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        Self::field(ErrorReason::InvalidRequest, error)
    }
}

/// A size has its own reason; everything else is a field that the sender corrects.
impl From<LimitError> for ApiError {
    fn from(error: LimitError) -> Self {
        let reason = match (error.is_size(), error.field()) {
            (true, "request") => ErrorReason::RequestTooLarge,
            (true, _) => ErrorReason::EventTooLarge,
            (false, _) => ErrorReason::InvalidEvent,
        };
        if let LimitError::TooLong { actual, limit, .. } = &error
            && error.is_size()
        {
            let message = format!("{error}; {}", first_lower(reason.remedy()));
            return Self::new(reason, message)
                .with(key::ACTUAL, actual)
                .with(key::LIMIT, limit);
        }
        Self {
            message: error.to_string(),
            ..Self::field(reason, error.into())
        }
    }
}

impl From<PositionError> for ApiError {
    fn from(error: PositionError) -> Self {
        let message = error.to_string();
        match error {
            PositionError::IncarnationChanged { last_safe, .. } => {
                Self::new(ErrorReason::IncarnationChanged, message)
                    .with(key::LAST_SAFE_POSITION, last_safe)
            }
            PositionError::Ahead { head, .. } => {
                Self::new(ErrorReason::PositionAhead, message).with(key::HEAD, head)
            }
        }
    }
}

/// A sentence as the continuation of another one.
fn first_lower(sentence: &str) -> String {
    let mut out = String::with_capacity(sentence.len());
    let mut chars = sentence.trim_end_matches('.').chars();
    out.extend(chars.next().into_iter().flat_map(char::to_lowercase));
    out.extend(chars);
    out
}
