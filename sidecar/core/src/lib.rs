//! The protocol of Tidelog as state machines without I/O: events in, effects out; clock and randomness are arguments.
//!
//! | module | what it decides |
//! |---|---|
//! | [`view`] | what the outside may know of a log |
pub mod view;
pub use view::LogView;
