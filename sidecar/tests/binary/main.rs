//! The program as a supervisor and a peer meet it: a configuration file in; ports, signals, exit codes and messages out.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may end the test, which the lints grant to test functions only"
)]

mod configuration;
mod keepalive;
mod password;
mod sidecar;
mod stopping;
