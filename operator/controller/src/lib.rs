//! What exists in the cluster follows what was applied.
//!
//! Reconciling is level-based: each visit looks at what is there now, works out what should be (the pure rooms `topology`, `build` and `status` do that)
//! and applies the difference, server-side, under one field manager. A visit that finds nothing to do writes nothing.
//!
//! | module | what it holds |
//! |---|---|
//! | `options` | what an operator is started with |
//! | `context` | what every visit may look at |
//! | `attending` | which of several operators attends to a log |
//! | `event_log` | the steps for an EventLog |
//! | `replication_link` | the steps for a ReplicationLink |
//! | `database` | how a location reaches its database |
//! | `certificates` | who a location is, and who vouches for the others |
//! | `issuing` | what cert-manager says of what it has not issued yet |
//! | `secret` | Secrets, by name |
//! | `whose` | whose an object is that is there already |
//! | `sidecars` | what each pod says of itself |
//! | `witness` | what is recorded of a location |
//! | `seen` | from what a sidecar says to what a status tells |
//! | `apply` | server-side apply that writes only what differs |
//! | `prune` | what is no longer wanted |
//! | `events` | what has become otherwise, for people |
//! | `metrics` | what is counted |
//! | `patience` | how long a client waits for an API server that says nothing |
//! | `watches` | what goes wrong with a watch is told, and stays with it |
//! | `run` | watches, and who is visited when |

mod apply;
mod attending;
mod certificates;
mod context;
mod database;
mod error;
mod event_log;
mod events;
mod issuing;
mod metrics;
mod motion;
mod options;
mod patience;
mod prune;
mod replication_link;
mod run;
mod secret;
mod seen;
mod sidecars;
mod watches;
mod whose;
mod witness;

pub use metrics::{METRICS_PREFIX, Metrics, metrics_reference};
pub use options::{Options, Realises};
pub use patience::be_patient;
pub use run::run;

/// The one name under which everything is applied.
pub const FIELD_MANAGER: &str = "tidelog-operator";
