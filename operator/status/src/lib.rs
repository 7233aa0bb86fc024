//! What is seen of a location and its edges, as the conditions of its resources.
//!
//! Pure: what was seen comes in, what is to be written goes out; the time is an argument. One table ([`EDGE_STATES`]) says what each state of an edge means for the
//! conditions of its link, and others ([`EVENT_LOG_REASONS`] and its neighbours) what each reason means for people; code and pages read the same ones. A condition is never true because something was done once, only because
//! something is so now: what nobody has heard of lately is `Unknown`.
//!
//! | module | what it holds |
//! |---|---|
//! | `table` | state of an edge to condition, reason and status |
//! | `link` | conditions and edges of a ReplicationLink |
//! | `log` | conditions of an EventLog |
//! | `reasons` | every reason: what it means, and what to do |
//! | `fact` | a condition without its history, and the history it gets |
//! | `budget` | whether a status is worth a write |

mod budget;
mod fact;
mod link;
mod log;
mod reasons;
mod table;
mod transition;

pub use budget::{DRIFT_EVERY, LAG_EVERY, is_log_worth_a_write, lag_bucket, write_in};
pub use fact::{Fact, with_history};
pub use link::{LinkSeen, STANDSTILL_AFTER, SeenEdge, link_status};
pub use log::{
    Attending, Certificate, Doing, LocationHere, LogSeen, Offered, Recovery, WriterSeen, log_status,
};
pub use reasons::{
    EDGE_REASONS, EVENT_LOG_REASONS, EVENT_LOG_TYPES, EdgeReason, FINDINGS, FindingWords,
    REPLICATION_LINK_REASONS, REPLICATION_LINK_TYPES, ReasonRow, Resource, TypeRow, hint,
    is_passing, is_told,
};
pub use table::{EDGE_STATES, EdgeRow, Meaning, row};
pub use transition::{Transition, transitions};
