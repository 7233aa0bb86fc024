//! What is wrong with a configuration.

use std::fmt;

use thiserror::Error;

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Not YAML, or not of the form that is documented: unknown field, missing field, wrong type.
    #[error("{file}:{line}:{column}: {message}")]
    Form {
        /// The file.
        file: String,
        /// Line, from 1; 0 when the library does not tell.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong, where in the document, and what is allowed.
        message: String,
    },
    /// Longer than any configuration.
    #[error("{file} has {actual} bytes, the limit is {limit}", limit = crate::config::FILE_BYTES_MAX)]
    TooLong {
        /// The file.
        file: String,
        /// Bytes found.
        actual: usize,
    },
    /// Values that are wrong or do not fit together; all of them.
    #[error("the configuration has {} error(s):{}", .0.len(), Listed(.0))]
    Invalid(Vec<Problem>),
}

/// One value that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {message}")]
pub struct Problem {
    /// Path of the field, such as `edges.outgoing[0].target`, or name of the variable.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|p| write!(f, "\n  {p}"))
    }
}
