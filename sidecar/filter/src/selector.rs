//! The CEL part of a reader's selector.

use std::sync::Arc;

use tidelog_model::Event;

use crate::error::{EvalError, FilterError};
use crate::lower::Names;
use crate::program::{Program, Uses};

/// A compiled `Selector.cel` of `Read` or `Subscribe`: the language and the limits of filters, without `source` and `target`.
///
/// An expression that does not compile refuses the call (`INVALID_FILTER`). An event that it cannot judge does not match: a reader chooses
/// what it wants to see, and one odd event must not end its stream. Guard keys that may be absent with `has(...)` to choose otherwise.
#[derive(Debug, Clone)]
pub struct SelectorFilter(Arc<Program>);

impl SelectorFilter {
    /// Compiles an expression.
    pub fn compile(cel: &str) -> Result<Self, FilterError> {
        Program::compile("select.cel", cel, Names::EventOnly).map(|p| Self(Arc::new(p)))
    }

    /// True when the event is wanted; an event that cannot be judged is not.
    pub fn matches(&self, event: &Event) -> bool {
        self.judge(event).unwrap_or(false)
    }

    /// The result of the expression, or why it has none.
    pub fn judge(&self, event: &Event) -> Result<bool, EvalError> {
        self.0.evaluate(event, "", "").result
    }

    /// What the expression looks at.
    pub fn uses(&self) -> &Uses {
        self.0.uses()
    }
}
