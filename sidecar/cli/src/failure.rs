//! How a command ends when it did not do what it was asked for: an exit code, what went wrong, and the way out.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tidelog_proto::{ApiError, ErrorReason};
use tonic::Code;

/// The exit codes, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The reader of the output went away, which is how `| head` ends a command.
    ReaderGone,
    /// It did not work.
    Failed,
    /// The command was used wrongly.
    Usage,
    /// A rule forbids it: a plan is refused, a condition does not hold.
    Refused,
    /// It took longer than allowed.
    Deadline,
}

/// Why a command ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind, which decides the exit code.
    pub exit: Exit,
    /// What went wrong, for people; empty when everything was said already.
    pub message: String,
    /// What to do about it; empty when the message says so.
    pub hint: String,
}

impl Failure {
    fn new(exit: Exit, message: impl Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            hint: String::new(),
        }
    }

    /// It did not work.
    pub fn failed(message: impl Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The command was used wrongly.
    pub fn usage(message: impl Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A rule forbids it.
    pub fn refused(message: impl Display) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// It took longer than allowed.
    pub fn deadline(action: impl Display, timeout: Duration) -> Self {
        Self::new(
            Exit::Deadline,
            format!("{action} took longer than {timeout:?}"),
        )
        .hint("allow more with --timeout")
    }

    /// Everything was said already; only the exit code is left to say.
    pub fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = hint.to_string();
        self
    }

    /// Says what was tried.
    #[must_use]
    pub fn doing(mut self, action: impl Display) -> Self {
        self.message = format!("{action}: {}", self.message);
        self
    }

    /// The code for the shell.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.exit {
            Exit::ReaderGone => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Deadline => 4,
        })
    }
}

/// Writing to the output; reading and writing of files say what they were for instead.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(Exit::ReaderGone),
            _ => Self::failed(format!("cannot write the output: {error}")),
        }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        if let Some(error) = ApiError::from_status(&status) {
            return Self::from(error);
        }
        let exit = exit_of(status.code());
        match status.code() {
            Code::Unavailable => Self::new(
                exit,
                format!("the location does not answer ({})", status.message()),
            )
            .hint("`tidelog status` shows which locations run"),
            Code::Unimplemented => Self::new(exit, "this address does not offer the call").hint(
                "appending and reading use the application address, everything else the admin address",
            ),
            // What a timeout of the client's side looks like.
            Code::DeadlineExceeded | Code::Cancelled => {
                Self::new(Exit::Deadline, "the location did not answer in time")
                    .hint("allow more with --timeout")
            }
            code => Self::new(exit, format!("{}: {}", code.description(), status.message())),
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let mut failure = Self::new(exit_of(error.reason.code()), &error.message);
        failure.message = format!("{} ({})", failure.message, error.reason);
        // Sizes carry the remedy in the message already.
        let said = matches!(
            error.reason,
            ErrorReason::EventTooLarge | ErrorReason::RequestTooLarge
        );
        if !said {
            error.reason.remedy().clone_into(&mut failure.hint);
        }
        failure
    }
}

fn exit_of(code: Code) -> Exit {
    match code {
        Code::FailedPrecondition | Code::PermissionDenied => Exit::Refused,
        Code::DeadlineExceeded => Exit::Deadline,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit, Exit::ReaderGone);
        assert_eq!(failure.message, "");
    }

    #[test]
    fn a_refused_condition_ends_with_three_and_a_remedy() {
        let error = ApiError::new(ErrorReason::ConditionFailed, "event 7 is newer");
        let failure = Failure::from(tonic::Status::from(error));
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.message, "event 7 is newer (CONDITION_FAILED)");
        assert_eq!(
            failure.hint,
            "Read what was added, decide again, and append with the new position."
        );
    }

    #[test]
    fn a_deadline_ends_with_four_whoever_noticed_it() {
        let error = ApiError::new(ErrorReason::TokenNotCovered, "eu#1:3 is missing");
        assert_eq!(Failure::from(error).exit, Exit::Deadline);
        let status = tonic::Status::cancelled("Timeout expired");
        assert_eq!(Failure::from(status).exit, Exit::Deadline);
        let failure = Failure::deadline("reading", Duration::from_secs(2));
        assert_eq!(failure.to_string(), "reading took longer than 2s");
        assert_eq!(failure.exit, Exit::Deadline);
    }
}
