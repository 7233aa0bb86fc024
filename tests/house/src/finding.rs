//! What a rule says about one place.

use std::fmt;

/// Whether a finding fails the test or is only shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Shown; the test passes.
    Warning,
    /// Fails the test.
    Error,
}

/// One broken rule at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it fails the test.
    pub severity: Severity,
    /// The file, relative to the root of the repository.
    pub file: String,
    /// The line, counted from 1, when the finding has one.
    pub line: Option<usize>,
    /// What is wrong, and the way out.
    pub message: String,
}

impl Finding {
    /// An error in `file`.
    pub fn error(file: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            line,
            message: message.into(),
        }
    }

    /// A warning about `file`.
    pub fn warning(file: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(file, line, message)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}
