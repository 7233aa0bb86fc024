//! The functions that a filter may call: the deterministic ones of CEL's standard library, and bounded forms of `+` and `matches`.

use std::any::Any;
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelBytes, CelList, CelString, DYN_TYPE, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError};
use regex::{Regex, RegexBuilder};

use crate::budget;
use crate::limits::{
    LIST_ITEMS_MAX, REGEX_BYTE_STEPS, REGEX_BYTES_MAX, REGEX_LEVELS_MAX, TEXT_BYTES_MAX,
};

/// What `+` is rewritten to. The library's own has no bound.
pub(crate) const ADD: &str = "@add";
/// What `matches` is rewritten to. The library's own compiles the pattern at every call.
pub(crate) const MATCHES: &str = "@matches";

/// How a function is called: its name, the number of arguments without the target, whether it has a target.
///
/// Left out on purpose: `optional` (off), time zones (their rules change with the build), `dyn` (no use here).
const FUNCTIONS: [(&str, usize, bool); 29] = [
    ("size", 1, false),
    ("size", 0, true),
    ("contains", 1, true),
    ("startsWith", 1, true),
    ("endsWith", 1, true),
    ("matches", 2, false),
    ("matches", 1, true),
    ("type", 1, false),
    ("bool", 1, false),
    ("int", 1, false),
    ("uint", 1, false),
    ("double", 1, false),
    ("string", 1, false),
    ("bytes", 1, false),
    ("timestamp", 1, false),
    ("duration", 1, false),
    ("getFullYear", 0, true),
    ("getMonth", 0, true),
    ("getDayOfYear", 0, true),
    ("getDayOfMonth", 0, true),
    ("getDate", 0, true),
    ("getDayOfWeek", 0, true),
    ("getHours", 0, true),
    ("getMinutes", 0, true),
    ("getSeconds", 0, true),
    ("getMilliseconds", 0, true),
    ("@not_strictly_false", 1, false),
    ("!_", 1, false),
    ("-_", 1, false),
];

/// Operators with two operands; `_?:_` is checked apart.
const OPERATORS: [&str; 15] = [
    "_&&_", "_||_", "_+_", "_-_", "_*_", "_/_", "_%_", "_==_", "_!=_", "_<_", "_<=_", "_>_",
    "_>=_", "@in", "_[_]",
];

/// Names of types, for comparison with `type(x)`.
pub(crate) const TYPE_NAMES: [&str; 10] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
];

/// True when the function or operator exists with that many arguments.
pub(crate) fn is_declared(name: &str, arguments: usize, has_target: bool) -> bool {
    FUNCTIONS.contains(&(name, arguments, has_target))
        || (!has_target && arguments == 2 && OPERATORS.contains(&name))
        || (!has_target && arguments == 3 && name == "_?_:_")
}

/// The functions that can be written, for messages.
pub(crate) fn names() -> String {
    let mut names: Vec<&str> = FUNCTIONS
        .iter()
        .map(|f| f.0)
        .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
        .chain(["has", "all", "exists", "exists_one", "map", "filter"])
        .collect();
    names.dedup();
    names.join(", ")
}

/// The environment of every filter; `None` only if the library refused our own declarations.
pub(crate) fn environment() -> Option<Arc<Env>> {
    static ENVIRONMENT: LazyLock<Option<Arc<Env>>> = LazyLock::new(|| {
        let mut env = Env::stdlib().with_optional_support(false);
        env.add_overload(ADD, ADD, vec![DYN_TYPE, DYN_TYPE], add)
            .ok()?;
        env.add_overload(MATCHES, MATCHES, vec![STRING_TYPE, PATTERN_TYPE], matches)
            .ok()?;
        Some(Arc::new(env))
    });
    ENVIRONMENT.clone()
}

/// A compiled regular expression as a value. Only `matches` takes it and only a rewritten expression names it.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Regex);

const PATTERN_TYPE: Type = Type::new_unspecified_type("tidelog.pattern");
static PATTERN: Type = PATTERN_TYPE;

impl Pattern {
    /// Compiles a pattern within its bounds.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        RegexBuilder::new(pattern)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .nest_limit(REGEX_LEVELS_MAX)
            .build()
            .map(Self)
            .map_err(|e| match e {
                regex::Error::CompiledTooBig(limit) => format!(
                    "it compiles to more than {limit} bytes; use smaller repetitions, [a-z0-9] in place of \\w"
                ),
                // The library draws the position over several lines; its last line says what is wrong.
                other => other
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
            })
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, pattern] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(2, args.len()));
    };
    let (Some(text), Some(pattern)) = (
        text.downcast_ref::<CelString>(),
        pattern.downcast_ref::<Pattern>(),
    ) else {
        return Err(no_overload("matches", text, pattern));
    };
    budget::spend(1 + text.inner().len() as u64 * REGEX_BYTE_STEPS)?;
    Ok(CowVal::owned(CelBool::from(
        pattern.0.is_match(text.inner()),
    )))
}

fn add<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [left, right] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(2, args.len()));
    };
    let too_long = |what: &str, actual: usize, limit: usize| {
        ExecutionError::function_error(
            "+",
            format!("the result has {actual} {what}, the limit is {limit}"),
        )
    };
    let bytes = text_bytes(left) + text_bytes(right);
    if bytes > TEXT_BYTES_MAX {
        return Err(too_long("bytes", bytes, TEXT_BYTES_MAX));
    }
    budget::spend(budget::steps_for(bytes))?;
    if let (Some(a), Some(b)) = (
        left.downcast_ref::<CelList>(),
        right.downcast_ref::<CelList>(),
    ) {
        let items = a.inner().len() + b.inner().len();
        if items > LIST_ITEMS_MAX {
            return Err(too_long("items", items, LIST_ITEMS_MAX));
        }
        budget::spend(items as u64)?;
    }
    let sum = left
        .as_adder()
        .ok_or_else(|| no_overload("+", left, right))?
        .add(right.as_ref())?;
    Ok(CowVal::Owned(sum.into_owned()))
}

fn text_bytes(value: &CowVal<'_, '_>) -> usize {
    if let Some(text) = value.downcast_ref::<CelString>() {
        text.inner().len()
    } else {
        value
            .downcast_ref::<CelBytes>()
            .map_or(0, |bytes| bytes.inner().len())
    }
}

fn no_overload(name: &str, left: &CowVal<'_, '_>, right: &CowVal<'_, '_>) -> ExecutionError {
    let name_of = |v: &CowVal<'_, '_>| v.get_type().name().to_owned();
    ExecutionError::no_such_overload(name, vec![name_of(left), name_of(right)])
}
