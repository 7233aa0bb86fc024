//! What a real API server does with the custom resources.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod admission;
mod definitions;
mod objects;
mod reading;
mod reconcile;
mod sidecars;
mod taken;
mod webhook;
