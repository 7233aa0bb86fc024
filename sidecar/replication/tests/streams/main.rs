//! Locations in one process, with real sockets between them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod control;
mod converge;
mod doors;
mod filters;
mod hostile;
mod live;
mod loss;
mod net;
mod sealed;
mod versions;
