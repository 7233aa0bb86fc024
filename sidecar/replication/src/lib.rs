//! Drives the replication streams of one location: what the source and target machines of the core decide is carried out here, over gRPC.
//!
//! One task per directed edge owns its machine and at most one connection. Either side dials; once a connection stands the same code runs it.
//! Nothing polls: a source wakes when its log moves, a target when a frame comes. Memory per edge is bounded by the window that its target
//! grants, a page, and one frame on its way out.
//!
//! ```text
//!   dial ─┐                       ┌─ source driver ── pages of the log ── Source
//!         ├─ connection ── edge ──┤
//! accept ─┘    (breakable)        └─ target driver ── writer of the log ─ Target
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`options`] | what replication needs to run: edges, tuning, clock, randomness |
//! | [`replication`] | start, apply, pause, cut, heal, shut down |
//! | [`status`] | what is known about each edge, lag that says when it is unknown |
//! | [`recovery`] | what comes back after a raise |
//! | [`service`] | the gRPC service that peers dial |
//! | [`listener`] | serving it on a socket whose connections can be broken |
//! | [`carrier`] | what carries bytes, in place of TCP |

mod backoff;
pub mod carrier;
mod config;
mod connection;
mod context;
mod edge;
pub mod listener;
pub mod options;
mod outbox;
pub mod recovery;
pub mod replication;
mod rules;
pub mod service;
mod source;
pub mod status;
mod target;
mod wire;

pub use carrier::{Carrier, CertificateRejected, Dialler, Duplex, Incoming};
pub use listener::{Breakable, Breaker, serve, serve_incoming};
pub use options::{IncomingEdge, OutgoingEdge, ReplicationOptions, ReplicationSettings, Tuning};
pub use recovery::{IdRange, RecoveryState, RecoveryStatus};
pub use replication::{ControlError, Replication, ReplicationHandle, StatusWatch};
pub use service::{PeerLocation, ReplicationApi};
pub use status::{Direction, EdgeStatus, Lag};
