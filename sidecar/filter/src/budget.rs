//! The steps that an evaluation may still take.
//!
//! The `cel` crate has no cost limit and gives its functions and values no place for state. An evaluation runs on one thread from its
//! begin to its end without yielding, so the counter is a thread-local that lives for one evaluation: [`run`] sets it, [`spend`] counts it
//! down. What is spent depends on expression and event only, never on time, so every location reaches the same verdict.

use std::cell::Cell;

use cel::ExecutionError;

use crate::limits::{STEP_BYTES, STEPS_MAX};

/// A bound that ends the whole evaluation: unlike other errors it is not absorbed by `error || true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// [`STEPS_MAX`] is reached.
    Steps,
    /// An object with this many keys was to be iterated over.
    Keys(usize),
}

thread_local! {
    static STEPS_LEFT: Cell<u64> = const { Cell::new(0) };
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Runs one evaluation with a full budget; tells which bound it broke, if any, and the steps spent.
pub(crate) fn run<T>(evaluation: impl FnOnce() -> T) -> (T, Option<Fault>, u64) {
    STEPS_LEFT.set(STEPS_MAX);
    FAULT.set(None);
    let result = evaluation();
    (result, FAULT.take(), STEPS_MAX - STEPS_LEFT.take())
}

/// Takes steps off the budget, an error when there are not enough.
pub(crate) fn spend(steps: u64) -> Result<(), ExecutionError> {
    let left = STEPS_LEFT.get();
    if steps <= left {
        STEPS_LEFT.set(left - steps);
        return Ok(());
    }
    STEPS_LEFT.set(0);
    fail(Fault::Steps);
    Err(ExecutionError::function_error("filter", "too many steps"))
}

/// The steps for a value of some bytes.
pub(crate) fn steps_for(bytes: usize) -> u64 {
    1 + (bytes / STEP_BYTES) as u64
}

/// Notes that a bound is broken; the first one counts.
pub(crate) fn fail(fault: Fault) {
    if FAULT.get().is_none() {
        FAULT.set(Some(fault));
    }
}
