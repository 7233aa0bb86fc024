//! The error of a value beyond its limit: it names field, value and limit.

use thiserror::Error;

/// A field of an event or request that breaks a limit of [`crate::caps`] or a rule of its form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LimitError {
    /// Longer than allowed, in bytes.
    #[error("{field} has {actual} bytes, the limit is {limit}")]
    TooLong {
        /// The field, as the API names it.
        field: String,
        /// Bytes found.
        actual: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More items than allowed.
    #[error("{field} has {actual} entries, the limit is {limit}")]
    TooMany {
        /// The field, as the API names it.
        field: String,
        /// Items found.
        actual: usize,
        /// Items allowed.
        limit: usize,
    },
    /// Empty where a value is required.
    #[error("{field} is empty; it must have a value")]
    Empty {
        /// The field, as the API names it.
        field: String,
    },
    /// Text that holds U+0000, which PostgreSQL cannot store.
    #[error("{field} holds the character U+0000, which text must not contain")]
    NulCharacter {
        /// The field, as the API names it.
        field: String,
    },
    /// A number out of range.
    #[error("{field} is {actual}, the limit is {limit}")]
    OutOfRange {
        /// The field, as the API names it.
        field: String,
        /// Number found.
        actual: u64,
        /// Largest number allowed.
        limit: u64,
    },
    /// Not of the form that the field needs.
    #[error("{field} is `{actual}`; expected {expected}")]
    BadForm {
        /// The field, as the API names it.
        field: String,
        /// Value found.
        actual: String,
        /// Form expected.
        expected: &'static str,
    },
}

impl LimitError {
    /// The field that breaks the limit.
    pub fn field(&self) -> &str {
        match self {
            Self::TooLong { field, .. }
            | Self::TooMany { field, .. }
            | Self::Empty { field }
            | Self::NulCharacter { field }
            | Self::OutOfRange { field, .. }
            | Self::BadForm { field, .. } => field,
        }
    }

    /// True when the value is merely too large (answered `EVENT_TOO_LARGE` or `REQUEST_TOO_LARGE`).
    pub fn is_size(&self) -> bool {
        matches!(self, Self::TooLong { field, .. } if field == "event" || field == "request")
    }
}

/// Checks a text: at most `limit` bytes and no U+0000. Empty text is allowed.
pub fn text(field: &str, value: &str, limit: usize) -> Result<(), LimitError> {
    if value.len() > limit {
        return Err(LimitError::TooLong {
            field: field.into(),
            actual: value.len(),
            limit,
        });
    }
    if value.as_bytes().contains(&0) {
        return Err(LimitError::NulCharacter {
            field: field.into(),
        });
    }
    Ok(())
}

/// Checks a text that must not be empty.
pub fn required(field: &str, value: &str, limit: usize) -> Result<(), LimitError> {
    if value.is_empty() {
        return Err(LimitError::Empty {
            field: field.into(),
        });
    }
    text(field, value, limit)
}

/// Checks a number of items.
pub fn count(field: &str, actual: usize, limit: usize) -> Result<(), LimitError> {
    if actual > limit {
        return Err(LimitError::TooMany {
            field: field.into(),
            actual,
            limit,
        });
    }
    Ok(())
}
