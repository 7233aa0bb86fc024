//! The running log: append, restart, loss, fencing, unknown outcomes.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod endings;
mod faulty;
mod late;
mod life;
mod rig;
mod streams;
mod takeover;
