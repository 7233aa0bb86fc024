//! The protocol of Tidelog as state machines without I/O: events in, effects out; clock and randomness are arguments.
//!
//! | module | what it decides |
//! |---|---|
//! | [`append`] | requests to append, their answers and refusals |
//! | [`log`] | what one batch turns the log into |
//! | [`apply`] | what a frame does inside the target's transaction |
//! | [`writer`] | queue, natural batching, commit, unknown outcomes |
//! | [`frame`] | what travels between locations |
//! | [`stream`] | what source and target say to each other |
//! | [`source`] | what a source sends, and from where |
//! | [`target`] | what a target asks for and hands to its writer |
//! | [`witness`] | whether a start continues or raises the incarnation |
//! | [`recorder`] | what a process makes of a witness that an operator keeps |
//! | [`memory`] | what a process remembers from one of its writers to the next |
//! | [`late`] | what a loss that was noticed late takes back |
//! | [`view`] | what the outside may know of a log |

pub mod append;
pub mod apply;
pub mod frame;
pub mod late;
pub mod log;
pub mod memory;
pub mod recorder;
pub mod source;
pub mod stream;
pub mod target;
pub mod view;
pub mod witness;
pub mod writer;

pub use append::{Accepted, AppendRequest, Refusal};
pub use frame::{EdgeContext, Frame, FrameEvent, FrameFault, FrameOutcome};
pub use late::{plan_late_raise, proven_until};
pub use log::{FrameWork, Identity, LogCore, Plan, Stamp};
pub use memory::{Memory, Recall};
pub use recorder::{Kept, Outdated, Recorder, Standing as RecordStanding};
pub use source::{Source, SourceConfig, SourceEffect, SourceInput, Standing};
pub use stream::{
    Admission, Credit, EdgeFilter, Heartbeat, NoFilter, Open, Opened, PROTOCOL_VERSION,
    ProofQuestion, RefusalKind, Refused,
};
pub use target::{EdgeState, Retry, Target, TargetConfig, TargetEffect, TargetInput, TargetStatus};
pub use view::LogView;
pub use witness::{Proof, ProvenHead, StartDecision, Witness, decide_start, next_incarnation};
pub use writer::{Effect, Input, Resolution, StopReason, Ticket, Work, Writer, WriterLimits};
