//! A running location, seen through its ports.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod edges;
mod frames;
mod limits;
mod oversize;
mod recorded;
mod secured;
mod standby;
mod support;
