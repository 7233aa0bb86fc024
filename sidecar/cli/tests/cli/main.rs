//! The program as people use it: arguments in; output, exit codes and running networks out.
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expectations are written by UPDATE_EXPECT=1, always in this form"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests end the test"
)]

mod examples;
mod live;
mod offline;
mod postgres;
mod processes;
mod support;
mod terminal;
mod tour;
