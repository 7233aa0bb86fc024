//! What can be wrong with a filter when it is loaded, and with an event when it is judged.

use thiserror::Error;

use crate::limits;

/// A filter that is refused when it is loaded: which one, where, what is wrong, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("filter `{filter}`, line {line}, column {column}: {kind}")]
pub struct FilterError {
    /// Name of the filter.
    pub filter: String,
    /// Line in the expression, from 1.
    pub line: usize,
    /// Column in that line, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub kind: FilterErrorKind,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilterErrorKind {
    /// Nothing to evaluate.
    #[error("the expression is empty; write `true` to pass everything, or leave the filter out")]
    Empty,
    /// Too much text.
    #[error("the expression has {actual} bytes, the limit is {limit}; split it into several filters, they are ANDed", limit = limits::CEL_BYTES_MAX)]
    TooLong {
        /// Bytes found.
        actual: usize,
    },
    /// Not CEL.
    #[error("not a CEL expression: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// Too large a tree.
    #[error("the expression has {actual} nodes, the limit is {limit}; split it into several filters, they are ANDed", limit = limits::NODES_MAX)]
    TooManyNodes {
        /// Nodes found.
        actual: usize,
    },
    /// Too deep a tree.
    #[error("the expression is nested more than {limit} levels deep; use fewer brackets, `x in [..]` for long alternatives", limit = limits::LEVELS_MAX)]
    TooDeep,
    /// A loop over the result of a loop, or within one.
    #[error(
        "`{name}` works on or within another of all, exists, exists_one, map, filter; only one level is allowed, which bounds the cost"
    )]
    NestedComprehension {
        /// The variable of the inner loop.
        name: String,
    },
    /// A loop variable that hides something.
    #[error(
        "`{name}` cannot be a loop variable, it has a meaning of its own; use another name, for example `item`"
    )]
    ReservedVariable {
        /// The variable.
        name: String,
    },
    /// An unknown name.
    #[error("`{name}` is not declared; allowed are {allowed}")]
    UndeclaredName {
        /// The name found.
        name: String,
        /// The names that exist here.
        allowed: &'static str,
    },
    /// The event as a whole.
    #[error("`event` is not a value of its own; name one of its fields, for example `event.type`")]
    BareEvent,
    /// A field that events do not have.
    #[error("`{path}` does not exist; the fields of `{parent}` are {allowed}")]
    UnknownField {
        /// The path found.
        path: String,
        /// What it was looked for in.
        parent: String,
        /// The fields that exist there.
        allowed: String,
    },
    /// A field that differs between locations or follows from the others.
    #[error("`{path}` cannot be used in a filter: {reason}")]
    RefusedField {
        /// The path found.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// `has` of something that is always there.
    #[error("has({path}) is always true; test {instead}")]
    NeedlessHas {
        /// The path found.
        path: String,
        /// What to test.
        instead: &'static str,
    },
    /// A function that is unknown, or not deterministic, or unbounded.
    #[error("`{name}` with {arguments} argument(s) is not declared; allowed are {allowed}")]
    UndeclaredFunction {
        /// The function found.
        name: String,
        /// Number of arguments, the target of a method not counted.
        arguments: usize,
        /// The functions that exist.
        allowed: String,
    },
    /// A regular expression that is computed.
    #[error(
        "the pattern of `matches` must be a literal, so that it is compiled once and its cost is known"
    )]
    ComputedPattern,
    /// A regular expression that does not compile within its bounds.
    #[error("the pattern `{pattern}` is refused: {message}")]
    BadPattern {
        /// The pattern found.
        pattern: String,
        /// Why it is refused.
        message: String,
    },
    /// A map literal whose order could show.
    #[error(
        "a map literal is allowed only where it is looked up: `{{'eu': true}}[target]` or `target in {{'eu': true}}`; use a list elsewhere"
    )]
    LooseMap,
    /// A construct that the evaluator does not have.
    #[error("{what} is not allowed in a filter")]
    NotAllowed {
        /// What it is.
        what: &'static str,
    },
    /// The result, or an operand of `&&`, `||`, `!`, `?:`, is not a boolean.
    #[error(
        "the result must be true or false, but is a {actual}; compare it, for example with `==`"
    )]
    NotBoolean {
        /// The type found in the trial run.
        actual: String,
    },
    /// The trial run ended with an error that every event would end with.
    #[error(
        "{message}; unsigned fields need unsigned literals in arithmetic, for example `event.id.sequence % 2u == 0u`"
    )]
    TypeMismatch {
        /// What the evaluator says.
        message: String,
    },
    /// The compiler itself failed.
    #[error("the expression could not be compiled: {message}; write it differently")]
    Failed {
        /// What happened.
        message: String,
    },
}

/// Why a filter has no result for an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A key that the event does not have.
    #[error(
        "key `{key}` is absent; guard it with has(...), for example `has(event.metadata.{key}) && ...`"
    )]
    MissingKey {
        /// The key.
        key: String,
    },
    /// The payload cannot be looked into.
    #[error("{0}")]
    Payload(#[from] PayloadError),
    /// The result is not a boolean.
    #[error("the result is a {actual}, not true or false")]
    NotBoolean {
        /// The type found.
        actual: String,
    },
    /// A value of a type that the operator or function does not take.
    #[error("{message}")]
    Type {
        /// What the evaluator says.
        message: String,
    },
    /// Too much work.
    #[error("the evaluation took more than {limit} steps; look at less of the event", limit = limits::STEPS_MAX)]
    TooManySteps,
    /// Too many keys to iterate over.
    #[error("an object has {actual} keys, a filter iterates over at most {limit}", limit = limits::LIST_ITEMS_MAX)]
    TooManyKeys {
        /// Keys found.
        actual: usize,
    },
    /// Anything else, such as a division by zero or a list that is too long.
    #[error("{message}")]
    Failed {
        /// What the evaluator says.
        message: String,
    },
}

/// Why `event.payload` has no value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// Not declared as JSON.
    #[error(
        "event.payload can be looked into only as JSON, the content type is `{content_type}`; guard it with has(event.payload)"
    )]
    NotJson {
        /// The content type of the event.
        content_type: String,
    },
    /// Too large to parse for a filter.
    #[error("the JSON payload has {actual} bytes, a filter looks into at most {limit}; put what filters need into the metadata", limit = limits::JSON_BYTES_MAX)]
    TooLarge {
        /// Bytes found.
        actual: usize,
    },
    /// Declared as JSON, but it is not.
    #[error("the payload is not JSON as its content type says: {message}")]
    Malformed {
        /// What the parser says.
        message: String,
    },
    /// A list with too many items.
    #[error("a list in the payload has {actual} items, a filter looks at lists of at most {limit}", limit = limits::LIST_ITEMS_MAX)]
    ListTooLong {
        /// Items found.
        actual: usize,
    },
}
