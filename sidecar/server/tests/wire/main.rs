//! A running location as its clients meet it: real sockets, statuses with their details, streams that end.
//!
//! What the log does is tested in the engine, what several locations do in `tests/network`. Here it is what travels.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may end the test, which the lints grant to test functions only"
)]

mod admin;
mod consumers;
mod ports;
mod refusals;
mod rig;
mod stopping;
mod subscribing;
mod verify;
mod waiting;
