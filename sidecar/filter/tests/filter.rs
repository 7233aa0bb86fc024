//! The language of filters: what it accepts, what it refuses, what it costs.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

#[path = "filter/bounds.rs"]
mod bounds;
#[path = "filter/fixture.rs"]
mod fixture;
#[path = "filter/guards.rs"]
mod guards;
#[path = "filter/language.rs"]
mod language;
#[path = "filter/properties.rs"]
mod properties;
#[path = "filter/refusals.rs"]
mod refusals;
#[path = "filter/sets.rs"]
mod sets;
