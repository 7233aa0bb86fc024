//! One named filter: an expression and what an error of it means.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidelog_model::{Event, EventId, LocationName, mutant};

use crate::error::{EvalError, FilterError};
use crate::lower::Names;
use crate::program::{Program, Uses};

/// What it means for an event that a filter has no result for it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum OnError {
    /// The edge stops before the event until a person changes the filter. Nothing is lost, nothing leaks.
    #[default]
    Stall,
    /// The event is not let through, as if the result were false.
    Drop,
    /// The event is let through, as if the result were true.
    Pass,
}

impl fmt::Display for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stall => "Stall",
            Self::Drop => "Drop",
            Self::Pass => "Pass",
        })
    }
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is let through.
    Pass,
    /// It is left out.
    Drop,
    /// Nobody can tell: stop before it. The reason names filter, event, key and way out.
    Stall(StallReason),
}

/// Why an edge has to stop before an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StallReason {
    /// Name of the filter.
    pub filter: String,
    /// The event.
    pub event: EventId,
    /// Why there is no result.
    pub error: EvalError,
}

impl fmt::Display for StallReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "filter `{}` cannot judge event {}: {}; change the filter, or set its onError to Drop or Pass",
            self.filter, self.event, self.error
        )
    }
}

/// How a verdict came about, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Name of the filter.
    pub filter: String,
    /// The result of the expression, or why it has none.
    pub result: Result<bool, EvalError>,
    /// What becomes of the event, `onError` applied.
    pub verdict: Verdict,
    /// Steps taken, of [`crate::limits::STEPS_MAX`].
    pub steps: u64,
}

/// A compiled filter. Cloning is cheap; evaluation needs no lock.
#[derive(Debug, Clone)]
pub struct Filter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    cel: String,
    on_error: OnError,
    program: Program,
}

impl Filter {
    /// Compiles an expression and checks everything that can be known before an event comes: size, names, functions, patterns, nesting,
    /// and in a trial run the types. Takes milliseconds, never panics.
    pub fn compile(name: &str, cel: &str, on_error: OnError) -> Result<Self, FilterError> {
        let program = Program::compile(name, cel, Names::Edge)?;
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            cel: cel.trim().to_owned(),
            on_error,
            program,
        })))
    }

    /// The name, for messages; it is not part of what the filter means.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The expression, without white space around it.
    pub fn cel(&self) -> &str {
        &self.0.cel
    }

    /// What an error means.
    pub fn on_error(&self) -> OnError {
        self.0.on_error
    }

    /// What the expression looks at.
    pub fn uses(&self) -> &Uses {
        self.0.program.uses()
    }

    /// Judges an event on the edge from `source` to `target`. Pure and bounded: the same arguments give the same verdict on every location.
    pub fn evaluate(&self, event: &Event, source: &LocationName, target: &LocationName) -> Verdict {
        let outcome = self
            .0
            .program
            .evaluate(event, source.as_str(), target.as_str());
        self.verdict(outcome.result, event)
    }

    /// Judges an event and tells how.
    pub fn explain(
        &self,
        event: &Event,
        source: &LocationName,
        target: &LocationName,
    ) -> Explanation {
        let outcome = self
            .0
            .program
            .evaluate(event, source.as_str(), target.as_str());
        Explanation {
            filter: self.0.name.clone(),
            result: outcome.result.clone(),
            verdict: self.verdict(outcome.result, event),
            steps: outcome.steps,
        }
    }

    fn verdict(&self, result: Result<bool, EvalError>, event: &Event) -> Verdict {
        match (result, self.0.on_error) {
            (Ok(true), _) | (Err(_), OnError::Pass) => Verdict::Pass,
            (Err(_), OnError::Drop) if mutant!("error-passes-instead-of-dropping") => Verdict::Pass,
            (Ok(false), _) | (Err(_), OnError::Drop) => Verdict::Drop,
            (Err(_), OnError::Stall) if mutant!("error-drops-instead-of-stalling") => Verdict::Drop,
            (Err(error), OnError::Stall) => Verdict::Stall(StallReason {
                filter: self.0.name.clone(),
                event: event.id.clone(),
                error,
            }),
        }
    }
}
