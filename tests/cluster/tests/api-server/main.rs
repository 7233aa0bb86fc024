//! What a real API server does with the custom resources.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod admission;
mod certified;
mod commands;
mod definitions;
mod election;
#[cfg(feature = "clusters")]
mod figures;
mod first;
mod objects;
mod operator;
mod reading;
mod reconcile;
mod rejected;
mod repaired;
mod sidecars;
mod standing_by;
mod taken;
mod watched;
mod webhook;
