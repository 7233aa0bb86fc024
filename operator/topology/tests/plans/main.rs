//! The planner by example and by model.
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes expectations this way"
)]

mod fixtures;

mod findings;
mod hashes;
mod paths;
mod rendering;
mod shapes;
