//! Every limit of a filter, in one place. They are part of what a filter means (beyond one of them a filter is an error), so a change of
//! any of them, or of the `cel` crate, changes [`EVALUATOR_VERSION`].

pub use tidelog_model::caps::CEL_BYTES_MAX;

/// Version of the evaluator: two builds with the same version give the same verdict on the same event. It is part of the canonical
/// form, so edges of one component that run different evaluators do not pass for equal.
pub const EVALUATOR_VERSION: u32 = 1;

/// Nodes of the syntax tree, counted after macros (`has`, `all`, `exists`, `exists_one`, `map`, `filter`) are expanded.
pub const NODES_MAX: usize = 500;
/// Levels of the syntax tree: `a + b + c` has three, `(((a)))` one.
pub const LEVELS_MAX: usize = 32;
/// Items of a list (in the payload, or made by the filter) that the filter looks at, and keys of an object that it iterates over.
pub const LIST_ITEMS_MAX: usize = 1_000;
/// Bytes of a JSON payload that the filter looks at.
pub const JSON_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a text that the filter makes with `+`.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Steps of one evaluation. A step is one value touched or up to 32 bytes of it read; a regular expression takes 4 steps per byte.
pub const STEPS_MAX: u64 = 1_000_000;
/// Bytes of one compiled regular expression.
pub const REGEX_BYTES_MAX: usize = 256 * 1024;
/// Levels of groups and repetitions in a regular expression.
pub const REGEX_LEVELS_MAX: u32 = 32;

/// Bytes read in one step.
pub(crate) const STEP_BYTES: usize = 32;
/// Steps per byte that a regular expression looks at.
pub(crate) const REGEX_BYTE_STEPS: u64 = 4;
/// Stack for compiling. The parser recurses several rules deep per bracket; its own limit of 96 brackets needs less than 16 MiB in a debug
/// build.
pub(crate) const PARSE_STACK_BYTES: usize = 64 * 1024 * 1024;
/// Stack that one level of an expression takes in the evaluator: measured 45 KiB in a debug build, 75 KiB with optimisation.
pub(crate) const LEVEL_STACK_BYTES: usize = 96 * 1024;
/// Stack for everything else in an evaluation, JSON of 128 levels included.
pub(crate) const BASE_STACK_BYTES: usize = 256 * 1024;
