//! The engine under shuttle: the append queue, the stop, and the step from replay to live, in schedules that are drawn one by one.
//!
//! The engine here is compiled from the sources of the room, see `build.rs`. A schedule that fails is printed, and is run again with
//! `shuttle::replay`.

#![expect(
    unused_imports,
    reason = "the engine is compiled as a module here: what only other rooms use is not used"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that fails fails its test"
)]

mod rig;
mod tokio;

mod queue;
mod subscriptions;

include!(concat!(env!("OUT_DIR"), "/engine.rs"));
