//! The chart as people use it: values, objects, rights, alerts, and releases on a real API server.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod alerts;
mod chart;
mod objects;
mod releases;
mod rights;
mod tested;
mod values;
