//! The reading side of the engine over the memory store: what is served, in which order, and what is refused.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may end the test, which the lints grant to test functions only"
)]

mod consumers;
mod gate;
mod log;
mod pages;
mod reads;
mod subscriptions;
mod waits;
