//! What exists in the cluster follows what was applied.
//!
//! Reconciling is level-based: each visit looks at what is there now, works out what should be (the pure rooms `topology`, `build` and `status` do that)
//! and applies the difference, server-side, under one field manager. A visit that finds nothing to do writes nothing.
//!
//! | module | what it holds |
//! |---|---|
//! | `options` | what an operator is started with |
//! | `context` | what every visit may look at |
//! | `event_log` | the steps for an EventLog |
//! | `replication_link` | the steps for a ReplicationLink |
//! | `sidecars` | what each pod says of itself |
//! | `witness` | what is recorded of a location |
//! | `seen` | from what a sidecar says to what a status tells |
//! | `apply` | server-side apply that writes only what differs |
//! | `prune` | what is no longer wanted |
//! | `run` | watches, and who is visited when |

mod apply;
mod context;
mod error;
mod event_log;
mod options;
mod prune;
mod replication_link;
mod run;
mod seen;
mod sidecars;
mod witness;

pub use options::{Options, Realises};
pub use run::run;

/// The one name under which everything is applied.
pub const FIELD_MANAGER: &str = "tidelog-operator";
