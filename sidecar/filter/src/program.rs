//! A compiled expression: what filters and selectors share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::types::CelBool;
use cel::common::value::Val;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use tidelog_model::Event;

use crate::budget::{self, Fault};
use crate::error::{EvalError, FilterError, FilterErrorKind};
use crate::field::Field;
use crate::function::{self, Pattern};
use crate::limits::{BASE_STACK_BYTES, LEVEL_STACK_BYTES, PARSE_STACK_BYTES};
use crate::lower::{self, Found, Names};
use crate::scope::Scope;
use crate::{guard, syntax, trial};

/// What an expression looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// It names `source`: allowed only on bridges.
    pub source: bool,
    /// It names `target`: allowed only on bridges.
    pub target: bool,
    /// It looks into the payload: an event whose payload is not JSON is an error, unless guarded with `has(event.payload)`.
    pub payload: bool,
    /// Keys of metadata and payload that may be absent and are not guarded with `has(...)`: an event without one is an error. Paths such
    /// as `event.metadata.store`, sorted.
    pub unguarded: Vec<String>,
}

/// What one evaluation gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) result: Result<bool, EvalError>,
    pub(crate) steps: u64,
}

#[derive(Debug)]
pub(crate) struct Program {
    expression: IdedExpr,
    patterns: Vec<Pattern>,
    environment: DebugEnv,
    uses: Uses,
    /// What an evaluation needs at most.
    stack_bytes: usize,
}

struct DebugEnv(Arc<Env>);

impl std::fmt::Debug for DebugEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}

impl Program {
    /// Parses, checks, rewrites and tries an expression, on a stack of its own.
    pub(crate) fn compile(name: &str, cel: &str, names: Names) -> Result<Self, FilterError> {
        stacker::grow(PARSE_STACK_BYTES, || Self::compile_here(name, cel, names))
    }

    fn compile_here(name: &str, cel: &str, names: Names) -> Result<Self, FilterError> {
        let refuse = |(line, column): syntax::Place, kind| FilterError {
            filter: name.to_owned(),
            line,
            column,
            kind,
        };
        let tree = syntax::parse(cel).map_err(|(place, kind)| refuse(place, kind))?;
        let (expression, found) = lower::lower(&tree.root, names)
            .map_err(|(node, kind)| refuse(tree.place(node), kind))?;
        let Found {
            fields,
            source,
            target,
            patterns,
        } = found;
        let Some(environment) = function::environment() else {
            let message = "the evaluator is incomplete".to_owned();
            return Err(refuse((1, 1), FilterErrorKind::Failed { message }));
        };
        let program = Self {
            expression,
            patterns,
            environment: DebugEnv(environment),
            stack_bytes: BASE_STACK_BYTES + tree.levels * LEVEL_STACK_BYTES,
            uses: Uses {
                source,
                target,
                payload: fields.contains(&Field::Payload),
                unguarded: guard::unguarded(&tree.root),
            },
        };
        trial::run(&program).map_err(|(node, kind)| refuse(tree.place(node), kind))?;
        Ok(program)
    }

    pub(crate) fn uses(&self) -> &Uses {
        &self.uses
    }

    pub(crate) fn expression(&self) -> &IdedExpr {
        &self.expression
    }

    /// Judges an event. Pure: the same arguments give the same outcome, always and everywhere.
    pub(crate) fn evaluate(&self, event: &Event, source: &str, target: &str) -> Outcome {
        self.evaluate_part(&self.expression, event, source, target)
    }

    /// Evaluates a part of the expression that uses no loop variable.
    pub(crate) fn evaluate_part(
        &self,
        part: &IdedExpr,
        event: &Event,
        source: &str,
        target: &str,
    ) -> Outcome {
        let scope = Scope::new(event, source, target, &self.patterns);
        // Everything that could make the library panic is refused at load; if something was missed, it is an error of this event.
        let resolve = || {
            catch_unwind(AssertUnwindSafe(|| self.resolve(part, &scope)))
                .unwrap_or_else(|_| Err(failed("the evaluator gave up on this event")))
        };
        // The evaluator's frames are large. An executor's thread has room for the usual expression; a deep one brings its own stack.
        let (result, fault, steps) =
            budget::run(|| stacker::maybe_grow(self.stack_bytes, self.stack_bytes, resolve));
        let result = match fault {
            Some(Fault::Steps) => Err(EvalError::TooManySteps),
            Some(Fault::Keys(actual)) => Err(EvalError::TooManyKeys { actual }),
            None => result,
        };
        Outcome { result, steps }
    }

    fn resolve(&self, part: &IdedExpr, scope: &Scope<'_>) -> Result<bool, EvalError> {
        let mut context = Context::with_env(Arc::clone(&self.environment.0));
        context.set_variable_resolver(scope);
        let value = Value::resolve_val(part, &context).map_err(|e| explain(e, scope))?;
        match value.downcast_ref::<CelBool>() {
            Some(result) => Ok(*result.inner()),
            None => Err(EvalError::NotBoolean {
                actual: type_name(value.as_ref()),
            }),
        }
    }
}

fn type_name(value: &dyn Val) -> String {
    value.get_type().name().to_owned()
}

fn failed(message: &str) -> EvalError {
    let message = message.to_owned();
    EvalError::Failed { message }
}

/// The library's error in the words of a filter's author.
fn explain(error: ExecutionError, scope: &Scope<'_>) -> EvalError {
    let message = || {
        let plain = syntax::shortened(&error.to_string());
        plain
            .replace(function::MATCHES, "matches")
            .replace(function::ADD, "+")
    };
    match &error {
        ExecutionError::NoSuchKey(key) => EvalError::MissingKey {
            key: key.to_string(),
        },
        ExecutionError::UndeclaredReference(name) => match scope.payload_error() {
            Some(error) if name.as_str() == Field::Payload.variable() => error.into(),
            _ => EvalError::Failed { message: message() },
        },
        ExecutionError::NoSuchOverload(_)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnsupportedKeyType(_)
        | ExecutionError::UnsupportedIndex(..) => EvalError::Type { message: message() },
        _ => EvalError::Failed { message: message() },
    }
}
