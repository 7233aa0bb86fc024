//! The protocol of Tidelog as state machines without I/O: events in, effects out; clock and randomness are arguments.
//!
//! | module | what it decides |
//! |---|---|
//! | [`append`] | requests to append, their answers and refusals |
//! | [`log`] | what one batch turns the log into |
//! | [`apply`] | what a frame does inside the target's transaction |
//! | [`writer`] | queue, natural batching, commit, unknown outcomes |
//! | [`frame`] | what travels between locations |
//! | [`witness`] | whether a start continues or raises the incarnation |
//! | [`late`] | what a loss that was noticed late takes back |
//! | [`view`] | what the outside may know of a log |

pub mod append;
pub mod apply;
pub mod frame;
pub mod late;
pub mod log;
pub mod view;
pub mod witness;
pub mod writer;

pub use append::{Accepted, AppendRequest, Refusal};
pub use frame::{EdgeContext, Frame, FrameEvent, FrameFault, FrameOutcome};
pub use late::plan_late_raise;
pub use log::{FrameWork, Identity, LogCore, Plan, Stamp};
pub use view::LogView;
pub use witness::{Proof, ProvenHead, StartDecision, Witness, decide_start, next_incarnation};
pub use writer::{Effect, Input, Resolution, StopReason, Ticket, Work, Writer, WriterLimits};
