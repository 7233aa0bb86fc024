//! What is asked of a store.

use std::time::Duration;

use tidelog_model::{Cause, Digest, EventId, Selector, StoredEvent};

/// A page of the log in local order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadQuery {
    /// Exclusive: the first event looked at has sequence `after + 1`.
    pub after: u64,
    /// Inclusive; beyond the head it means the head.
    pub to: u64,
    /// At most so many events in the page (at least 1).
    pub events_max: usize,
    /// The page ends before the event that would make its payloads exceed this, but holds at least one.
    pub bytes_max: usize,
    /// At most so many rows are looked at (at least 1), so that a selector which matches nothing still makes progress.
    pub scan_max: usize,
    /// Which events are wanted.
    pub selector: Selector,
}

/// The answer to a [`ReadQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Matching events with sequences in `(after, scanned_to]`, rising.
    pub events: Vec<StoredEvent>,
    /// Everything up to here was looked at; continue after it. Equals `after` only when there was nothing to look at.
    pub scanned_to: u64,
}

/// Identity and digest of one local sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdRow {
    /// Local sequence.
    pub sequence: u64,
    /// The event there.
    pub id: EventId,
    /// Its digest.
    pub digest: Digest,
}

/// What a batch has to know before it is decided; one read for the whole batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckQuery {
    /// Request ids.
    pub requests: Vec<String>,
    /// Causes with their emitters.
    pub causes: Vec<CauseKey>,
    /// Conditions.
    pub conditions: Vec<ConditionQuery>,
}

impl CheckQuery {
    /// True when there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.causes.is_empty() && self.conditions.is_empty()
    }
}

/// The key of "persist on event".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CauseKey {
    /// Who emits the output.
    pub emitter_id: String,
    /// The causing event and the output's index.
    pub cause: Cause,
}

/// "Is there an event for these keys and types above `after`?"
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionQuery {
    /// Any of these keys.
    pub keys: Vec<String>,
    /// Any of these types; empty means any type.
    pub types: Vec<String>,
    /// Exclusive.
    pub after: u64,
}

/// Answers in the order of the questions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckAnswers {
    /// For each request id what is held of it: for each index the event with the lowest local sequence, by rising index.
    pub requests: Vec<Vec<StoredEvent>>,
    /// For each cause the held output with the lowest local sequence.
    pub causes: Vec<Option<StoredEvent>>,
    /// For each condition the highest local sequence that matches above `after`.
    pub conditions: Vec<Option<u64>>,
}

/// How long request ids are remembered. Counted, by age and by number, are events that carry a request id; a request is judged by its
/// newest event and forgotten as a whole, never in part (the rest would look like a prefix that has to be completed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRetention {
    /// Younger than this is kept.
    pub keep: Duration,
    /// So many newest are kept whatever their age.
    pub newest_min: u64,
    /// Beyond so many newest nothing is kept.
    pub newest_max: u64,
}
