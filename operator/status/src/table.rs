//! What each state of an edge means for the conditions of its link.

use tidelog_api::EdgeState;

/// What a state means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    /// Events flow.
    Flows,
    /// On its way, and nobody has to do anything.
    Begins,
    /// Stopped on purpose.
    Paused,
    /// The other side is not there; it is tried again.
    Away,
    /// Somebody has to look.
    Stuck,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct EdgeRow {
    /// The state.
    pub state: EdgeState,
    /// What it means.
    pub meaning: Meaning,
    /// The reason of the condition, where the edge itself gives none.
    pub reason: &'static str,
}

/// The table, from the best state to the worst: what is worst gives a link its reason.
pub const EDGE_STATES: [EdgeRow; 10] = [
    EdgeRow {
        state: EdgeState::Streaming,
        meaning: Meaning::Flows,
        reason: "Streaming",
    },
    EdgeRow {
        state: EdgeState::CatchingUp,
        meaning: Meaning::Flows,
        reason: "CatchingUp",
    },
    EdgeRow {
        state: EdgeState::Paused,
        meaning: Meaning::Paused,
        reason: "Paused",
    },
    EdgeRow {
        state: EdgeState::Pending,
        meaning: Meaning::Begins,
        reason: "Pending",
    },
    EdgeRow {
        state: EdgeState::Connecting,
        meaning: Meaning::Begins,
        reason: "Connecting",
    },
    EdgeRow {
        state: EdgeState::Unreachable,
        meaning: Meaning::Away,
        reason: "PeerUnreachable",
    },
    EdgeRow {
        state: EdgeState::SourceReset,
        meaning: Meaning::Stuck,
        reason: "SourceReset",
    },
    EdgeRow {
        state: EdgeState::Incompatible,
        meaning: Meaning::Stuck,
        reason: "VersionIncompatible",
    },
    EdgeRow {
        state: EdgeState::Rejected,
        meaning: Meaning::Stuck,
        reason: "Rejected",
    },
    EdgeRow {
        state: EdgeState::Stalled,
        meaning: Meaning::Stuck,
        reason: "NoProgress",
    },
];

/// The row of a state, with its place in the table.
pub fn row(state: EdgeState) -> (usize, &'static EdgeRow) {
    let found = EDGE_STATES
        .iter()
        .enumerate()
        .find(|(_, r)| r.state == state);
    // Every state has a row; a test counts them.
    found.unwrap_or((0, &EDGE_STATES[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_row_and_worse_ones_come_later() {
        for state in [
            EdgeState::Pending,
            EdgeState::Connecting,
            EdgeState::CatchingUp,
            EdgeState::Streaming,
            EdgeState::Paused,
            EdgeState::Stalled,
            EdgeState::Unreachable,
            EdgeState::Incompatible,
            EdgeState::Rejected,
            EdgeState::SourceReset,
        ] {
            assert_eq!(row(state).1.state, state);
        }
        let stuck = EDGE_STATES.iter().position(|r| r.meaning == Meaning::Stuck);
        let rest = &EDGE_STATES[stuck.unwrap()..];
        assert!(rest.iter().all(|r| r.meaning == Meaning::Stuck));
        assert_eq!(EDGE_STATES[0].meaning, Meaning::Flows);
    }
}
