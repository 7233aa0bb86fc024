//! What is seen of a location and its edges, as the conditions of its resources.
//!
//! Pure: what was seen comes in, what is to be written goes out; the time is an argument. One table ([`EDGE_STATES`]) says what each state of an edge means for the
//! conditions of its link; code and pages read the same one. A condition is never true because something was done once, only because
//! something is so now: what nobody has heard of lately is `Unknown`.
//!
//! | module | what it holds |
//! |---|---|
//! | `table` | state of an edge to condition, reason and status |
//! | `link` | conditions and edges of a ReplicationLink |
//! | `log` | conditions of an EventLog |
//! | `fact` | a condition without its history, and the history it gets |
//! | `hint` | what to do about each reason |
//! | `budget` | whether a status is worth a write |

mod budget;
mod fact;
mod hint;
mod link;
mod log;
mod table;
mod transition;

pub use budget::{DRIFT_EVERY, is_log_worth_a_write, is_worth_a_write, lag_bucket};
pub use fact::{Fact, with_history};
pub use hint::{HINTS, Hint, hint};
pub use link::{LinkSeen, SeenEdge, link_status};
pub use log::{
    Certificate, Doing, LocationHere, LogSeen, Offered, Recovery, WriterSeen, log_status,
};
pub use table::{EDGE_STATES, EdgeRow, Meaning, row};
pub use transition::{Transition, transitions};
