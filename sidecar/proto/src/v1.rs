//! Generated from `proto/tidelog/v1/*.proto`; the comments there are the reference.

#![expect(
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated code has its own style"
)]

include!(concat!(env!("OUT_DIR"), "/tidelog.v1.rs"));
include!(concat!(env!("OUT_DIR"), "/tidelog.v1.serde.rs"));
