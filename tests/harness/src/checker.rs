//! One judge per invariant, over a finished run. Pure: a record in, violations out.
//!
//! What happened before what is taken from the journal, where every writer's reads and writes stand; the vectors that the
//! product stores are judged, never believed. Some invariants are promises about what nobody outside can see (a transaction, a stream):
//! their judges look at the consequences that must then hold.

mod causes;
mod content;
mod counters;
mod order;
mod places;
mod readers;
mod writers;

#[cfg(test)]
mod tests;

use std::fmt;

pub use content::{
    i1_nothing_acknowledged_is_lost, i2_nothing_is_stored_twice, i7_what_failed_never_appears,
    i9_no_id_has_two_contents,
};
pub use counters::{i5_counters_agree, i13_streams_are_continuous};
pub use order::{i3_causes_come_first, i12_contexts_are_what_was_seen};
pub use places::{
    i4_everything_is_where_it_belongs, i10_nothing_filtered_leaves,
    i11_vectors_and_progress_tell_the_truth,
};
pub use readers::i6_replay_is_live;
pub use writers::{conditions_exclude, i8_no_stale_writer_writes};

use crate::history::History;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub invariant: &'static str,
    /// What was seen, for people.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.message)
    }
}

/// A judge.
pub type Checker = fn(&History) -> Vec<Violation>;

/// All judges, by name.
pub const ALL: &[(&str, Checker)] = &[
    (
        "I1 nothing acknowledged is lost",
        i1_nothing_acknowledged_is_lost,
    ),
    ("I2 nothing is stored twice", i2_nothing_is_stored_twice),
    ("I3 causes come first", i3_causes_come_first),
    (
        "I4 everything is where it belongs",
        i4_everything_is_where_it_belongs,
    ),
    ("I5 counters agree", i5_counters_agree),
    ("I6 replay is live", i6_replay_is_live),
    ("I7 what failed never appears", i7_what_failed_never_appears),
    ("I8 no stale writer writes", i8_no_stale_writer_writes),
    ("I9 no id has two contents", i9_no_id_has_two_contents),
    ("I10 nothing filtered leaves", i10_nothing_filtered_leaves),
    (
        "I11 vectors and progress tell the truth",
        i11_vectors_and_progress_tell_the_truth,
    ),
    (
        "I12 contexts are what was seen",
        i12_contexts_are_what_was_seen,
    ),
    ("I13 streams are continuous", i13_streams_are_continuous),
    ("conditions exclude", conditions_exclude),
];

/// Asks all judges.
pub fn check_all(history: &History) -> Vec<Violation> {
    ALL.iter().flat_map(|(_, judge)| judge(history)).collect()
}

/// Violations of one judge; at most so many are kept, because one defect often breaks everything after it.
struct Findings {
    invariant: &'static str,
    kept: Vec<Violation>,
}

impl Findings {
    const MAX: usize = 20;

    fn of(invariant: &'static str) -> Self {
        Self {
            invariant,
            kept: Vec::new(),
        }
    }

    fn add(&mut self, message: String) {
        if self.kept.len() < Self::MAX {
            self.kept.push(Violation {
                invariant: self.invariant,
                message,
            });
        }
    }
}
