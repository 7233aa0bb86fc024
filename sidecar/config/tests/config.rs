//! What a configuration accepts, refuses, and says about itself.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

#[path = "config/fixture.rs"]
mod fixture;
#[path = "config/form.rs"]
mod form;
#[path = "config/reference.rs"]
mod reference;
#[path = "config/values.rs"]
mod values;
