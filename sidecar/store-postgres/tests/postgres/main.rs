//! The PostgreSQL store on a real server: the contract, the same answers as the memory store, and what only PostgreSQL can do wrong.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod contract;
mod failures;
mod fixture;
mod gaps;
mod opening;
mod plans;
mod takeover;
mod wal;
