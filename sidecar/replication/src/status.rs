//! What is known about each edge.
//!
//! Numbers that were not heard lately are unknown, never 0: a cut edge must not look as if it had caught up.

use std::collections::BTreeMap;

use tidelog_core::EdgeState;
use tidelog_model::LocationName;
use tidelog_store::EdgeKey;
use tokio::sync::watch;

/// Which end of an edge this location is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// It is the target.
    Incoming,
    /// It is the source.
    Outgoing,
}

/// How far a target is behind its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Positions of the source that are not taken over. `None`: unknown.
    pub events: Option<u64>,
    /// Age of the oldest event not taken over, microseconds, 0 without one. `None`: unknown.
    pub micros: Option<i64>,
}

/// One edge, as this end of it knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeStatus {
    /// The edge.
    pub edge: EdgeKey,
    /// Which end this is.
    pub direction: Direction,
    /// Its state.
    pub state: EdgeState,
    /// One CamelCase word; empty when all is well.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Since when it is in that state, microseconds since the Unix epoch.
    pub since_micros: i64,
    /// Head of the source; `None` when it was not heard lately.
    pub source_head: Option<u64>,
    /// Applied by the target, as far as this end knows.
    pub progress: u64,
    /// How far the target is behind.
    pub lag: Lag,
    /// When the peer was last heard, microseconds since the Unix epoch.
    pub heard_micros: Option<i64>,
    /// Events received and stored (at a target).
    pub stored_total: u64,
    /// Events received that were here already (at a target).
    pub redundant_total: u64,
    /// Events that the filter kept back.
    pub filtered_total: u64,
    /// Streams opened since the start of the process.
    pub streams_total: u64,
    /// The plan that the peer runs, empty before it was heard.
    pub peer_spec_hash: String,
    /// The filter in force: at the source what it evaluates, at the target what the source said of the last stream; empty before.
    pub filter_hash: String,
    /// The filter of the edge at the peer, empty before it was heard.
    pub peer_filter_hash: String,
    /// The last thing that went wrong, also when it is over.
    pub last_error: String,
}

impl EdgeStatus {
    /// The location at the other end.
    pub fn peer(&self) -> &LocationName {
        match self.direction {
            Direction::Incoming => &self.edge.source,
            Direction::Outgoing => &self.edge.target,
        }
    }
}

/// Names an edge at this location: which end, and the peer.
pub(crate) type EdgeId = (Direction, LocationName);

/// What the task of an edge knows. Ages are judged when it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) state: EdgeState,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) since_micros: i64,
    /// The source's head and when it was heard.
    pub(crate) source_head: Option<(u64, i64)>,
    pub(crate) progress: u64,
    /// Age of the oldest event not taken over, and when that was so.
    pub(crate) behind: Option<(i64, i64)>,
    pub(crate) heard_micros: Option<i64>,
    pub(crate) stored_total: u64,
    pub(crate) redundant_total: u64,
    pub(crate) filtered_total: u64,
    pub(crate) streams_total: u64,
    pub(crate) peer_spec_hash: String,
    pub(crate) filter_hash: String,
    pub(crate) peer_filter_hash: String,
    pub(crate) last_error: String,
    /// Turns when what was heard becomes too old, so that watchers learn of it.
    pub(crate) stale: bool,
}

impl Known {
    pub(crate) fn new(now_micros: i64) -> Self {
        Self {
            state: EdgeState::Pending,
            reason: String::new(),
            message: String::new(),
            since_micros: now_micros,
            source_head: None,
            progress: 0,
            behind: None,
            heard_micros: None,
            stored_total: 0,
            redundant_total: 0,
            filtered_total: 0,
            streams_total: 0,
            peer_spec_hash: String::new(),
            filter_hash: String::new(),
            peer_filter_hash: String::new(),
            last_error: String::new(),
            stale: true,
        }
    }

    /// Sets the state; a message alone does not make it a new one.
    pub(crate) fn set(&mut self, state: EdgeState, reason: &str, message: &str, now_micros: i64) {
        if self.state != state || self.reason != reason {
            self.since_micros = now_micros;
            self.state = state;
            reason.clone_into(&mut self.reason);
        }
        message.clone_into(&mut self.message);
        if !reason.is_empty() {
            message.clone_into(&mut self.last_error);
        }
    }

    /// A reason that a person has to look at is not hidden by attempts to connect.
    pub(crate) fn keeps_its_word(&self) -> bool {
        match self.state {
            EdgeState::Stalled
            | EdgeState::Incompatible
            | EdgeState::Rejected
            | EdgeState::SourceReset => true,
            // Paused by the peer; a pause of this side is told by its own settings.
            EdgeState::Paused => self.reason.starts_with("PausedAt"),
            _ => false,
        }
    }

    /// False while there is no connection: what was heard before says nothing about what was appended since.
    fn hears_its_peer(&self) -> bool {
        !matches!(
            self.state,
            EdgeState::Pending | EdgeState::Connecting | EdgeState::Unreachable
        )
    }

    /// How far behind, as of now: from a head that was not heard within the bound nothing follows.
    pub(crate) fn lag(&self, now_micros: i64, bound_micros: i64) -> Lag {
        // Both ways: a clock that was set back makes what was heard before it as doubtful as what is old.
        let fresh = |heard: i64| now_micros.abs_diff(heard) <= bound_micros.unsigned_abs();
        let Some((head, _)) = self.source_head.filter(|(_, heard)| fresh(*heard)) else {
            return Lag::default();
        };
        let events = head.saturating_sub(self.progress);
        let micros = match self.behind {
            _ if events == 0 => Some(0),
            Some((behind, heard)) if fresh(heard) => {
                Some(behind.max(0).saturating_add(now_micros - heard))
            }
            _ => None,
        };
        Lag {
            events: Some(events),
            micros,
        }
    }
}

/// The known state of all edges, and who watches it.
pub(crate) struct Board {
    edges: watch::Sender<BTreeMap<EdgeId, Known>>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            edges: watch::channel(BTreeMap::new()).0,
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<BTreeMap<EdgeId, Known>> {
        self.edges.subscribe()
    }

    pub(crate) fn publish(&self, id: &EdgeId, known: &Known) {
        self.edges
            .send_if_modified(|edges| match edges.get_mut(id) {
                Some(held) if held == known => false,
                Some(held) => {
                    held.clone_from(known);
                    true
                }
                None => {
                    edges.insert(id.clone(), known.clone());
                    true
                }
            });
    }

    pub(crate) fn remove(&self, id: &EdgeId) {
        self.edges
            .send_if_modified(|edges| edges.remove(id).is_some());
    }

    pub(crate) fn known(&self) -> BTreeMap<EdgeId, Known> {
        self.edges.borrow().clone()
    }
}

/// The status of one edge at a time.
pub(crate) fn status_of(
    id: &EdgeId,
    known: &Known,
    me: &LocationName,
    now_micros: i64,
    bound_micros: i64,
) -> EdgeStatus {
    let (direction, peer) = id;
    let edge = match direction {
        Direction::Incoming => EdgeKey {
            source: peer.clone(),
            target: me.clone(),
        },
        Direction::Outgoing => EdgeKey {
            source: me.clone(),
            target: peer.clone(),
        },
    };
    let lag = if known.hears_its_peer() {
        known.lag(now_micros, bound_micros)
    } else {
        Lag::default()
    };
    EdgeStatus {
        edge,
        direction: *direction,
        state: known.state,
        reason: known.reason.clone(),
        message: known.message.clone(),
        since_micros: known.since_micros,
        source_head: lag.events.and(known.source_head).map(|(head, _)| head),
        progress: known.progress,
        lag,
        heard_micros: known.heard_micros,
        stored_total: known.stored_total,
        redundant_total: known.redundant_total,
        filtered_total: known.filtered_total,
        streams_total: known.streams_total,
        peer_spec_hash: known.peer_spec_hash.clone(),
        filter_hash: known.filter_hash.clone(),
        peer_filter_hash: known.peer_filter_hash.clone(),
        last_error: known.last_error.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: i64 = 3_000_000;

    fn known(head: u64, heard: i64, progress: u64, behind: Option<(i64, i64)>) -> Known {
        let mut known = Known::new(0);
        known.source_head = Some((head, heard));
        known.progress = progress;
        known.behind = behind;
        known
    }

    #[test]
    fn a_lag_that_was_not_heard_lately_is_unknown_and_not_zero() {
        let caught_up = known(10, 1_000_000, 10, Some((0, 1_000_000)));
        assert_eq!(
            caught_up.lag(1_500_000, BOUND),
            Lag {
                events: Some(0),
                micros: Some(0)
            }
        );
        assert_eq!(caught_up.lag(4_000_001, BOUND), Lag::default());
        assert_eq!(Known::new(0).lag(1, BOUND), Lag::default());
    }

    #[test]
    fn an_edge_without_a_connection_has_no_lag_however_fresh_its_numbers() {
        let me = LocationName::new("eu").unwrap();
        let id = (Direction::Incoming, LocationName::new("us").unwrap());
        let mut caught_up = known(10, 1_000_000, 10, Some((0, 1_000_000)));
        for (state, events) in [
            (EdgeState::Streaming, Some(0)),
            (EdgeState::Unreachable, None),
        ] {
            caught_up.state = state;
            let status = status_of(&id, &caught_up, &me, 1_000_001, BOUND);
            assert_eq!(
                (status.lag.events, status.source_head.is_some()),
                (events, events.is_some())
            );
        }
    }

    #[test]
    fn the_age_of_the_oldest_event_grows_while_nothing_is_taken_over() {
        let behind = known(10, 2_000_000, 4, Some((500_000, 1_000_000)));
        assert_eq!(
            behind.lag(2_000_000, BOUND),
            Lag {
                events: Some(6),
                micros: Some(1_500_000)
            }
        );
    }
}
