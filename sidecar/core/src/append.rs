//! Requests to append and what becomes of them.

use std::collections::HashSet;
use std::sync::Arc;

use thiserror::Error;
use tidelog_model::{
    Condition, Event, EventId, LimitError, NewEvent, PositionError, VectorTime, caps, limit, mutant,
};
use tidelog_store::StoreError;

/// A client's request: one or more events, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppendRequest {
    /// The events, in order; each has seen those before it.
    pub events: Vec<NewEvent>,
    /// Makes a retry idempotent; empty for none.
    pub request_id: String,
    /// What the writer has seen: `None` means everything in this log.
    pub context: Option<VectorTime>,
    /// Optimistic concurrency.
    pub condition: Option<Condition>,
}

impl AppendRequest {
    /// Checks everything that does not depend on the log.
    pub fn check(&self) -> Result<(), Refusal> {
        let invalid = |error: LimitError, index: Option<usize>| Refusal::Invalid { error, index };
        if self.events.is_empty() {
            return Err(invalid(
                LimitError::Empty {
                    field: "events".into(),
                },
                None,
            ));
        }
        limit::count("events", self.events.len(), caps::REQUEST_EVENTS_MAX)
            .and_then(|()| limit::text("request_id", &self.request_id, caps::KEY_BYTES_MAX))
            .map_err(|e| invalid(e, None))?;
        for (index, event) in self.events.iter().enumerate() {
            event.check().map_err(|e| invalid(e, Some(index)))?;
        }
        self.check_causes()?;
        let bytes = self.approximate_bytes();
        if bytes > caps::REQUEST_BYTES_MAX {
            let error = LimitError::TooLong {
                field: "request".into(),
                actual: bytes,
                limit: caps::REQUEST_BYTES_MAX,
            };
            return Err(invalid(error, None));
        }
        if let Some(context) = &self.context {
            limit::count("context", context.len(), caps::VECTOR_ENTRIES_MAX)
                .map_err(|e| invalid(e, None))?;
        }
        if let Some(condition) = &self.condition {
            check_condition(condition).map_err(|e| invalid(e, None))?;
        }
        Ok(())
    }

    /// One output per emitter, cause and index: within a request the log cannot tell which of two was meant.
    fn check_causes(&self) -> Result<(), Refusal> {
        let mut seen = HashSet::new();
        for (index, event) in self.events.iter().enumerate() {
            let Some(cause) = &event.caused_by else {
                continue;
            };
            if !seen.insert((&event.emitter_id, cause)) {
                let error = LimitError::BadForm {
                    field: "caused_by".into(),
                    actual: format!("{}[{}]", cause.id, cause.output_index),
                    expected: "each cause with its output index once per request and emitter",
                };
                return Err(Refusal::Invalid {
                    error,
                    index: Some(index),
                });
            }
        }
        Ok(())
    }

    /// Bytes that the client decides, for the bounds of queue and batch.
    pub fn approximate_bytes(&self) -> usize {
        self.events.iter().map(NewEvent::approximate_bytes).sum()
    }
}

fn check_condition(condition: &Condition) -> Result<(), LimitError> {
    if condition.keys.is_empty() {
        return Err(LimitError::Empty {
            field: "condition.keys".into(),
        });
    }
    limit::count(
        "condition.keys",
        condition.keys.len(),
        caps::SELECTOR_ITEMS_MAX,
    )?;
    limit::count(
        "condition.types",
        condition.types.len(),
        caps::SELECTOR_ITEMS_MAX,
    )?;
    for key in &condition.keys {
        limit::required("condition.keys", key, caps::KEY_BYTES_MAX)?;
    }
    for kind in &condition.types {
        limit::required("condition.types", kind, caps::KEY_BYTES_MAX)?;
    }
    Ok(())
}

/// A request whose events are in the log, durably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Ids in the order of the request.
    pub ids: Vec<EventId>,
    /// Lowest local sequence of the request's events.
    pub first_sequence: u64,
    /// Highest local sequence of the request's events.
    pub last_sequence: u64,
    /// Merge of the vector times of all events of the request, found ones included: what a read elsewhere can wait for.
    pub token: VectorTime,
    /// True when the events were in the log before.
    pub replayed: bool,
}

/// A request that is not in the log; `OutcomeUnknown` alone leaves that open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A field breaks a limit or has no valid form.
    #[error("{error}{}", at_event(*.index))]
    Invalid {
        /// What is wrong.
        error: LimitError,
        /// Which event of the request.
        index: Option<usize>,
    },
    /// The context claims events that this log does not cover.
    #[error(
        "context is ahead of this log; not seen here yet: {missing}. Wait for it with Await, or leave the context out"
    )]
    ContextAhead {
        /// The entries that are ahead.
        missing: VectorTime,
    },
    /// The request id was used with other content.
    #[error(
        "request id `{request_id}` was used before with other content; use a new id for a new request"
    )]
    RequestIdReused {
        /// The id.
        request_id: String,
    },
    /// The condition does not hold.
    #[error(
        "condition failed: an event that matches is stored at sequence {found}, above {after}; read up to it and decide again"
    )]
    ConditionFailed {
        /// Highest sequence that matches.
        found: u64,
        /// The sequence of the request.
        after: u64,
    },
    /// The condition names a position that cannot be used: beyond the head, or of a part of the history that a loss has ended.
    #[error(transparent)]
    Position(#[from] PositionError),
    /// Too much is waiting for the writer.
    #[error("{requests} requests ({bytes} bytes) wait for the writer; retry later")]
    QueueFull {
        /// Requests waiting.
        requests: usize,
        /// Bytes waiting.
        bytes: usize,
    },
    /// The vector has no room for another origin.
    #[error("the version vector has {entries} entries, the limit is {limit}; retire closed incarnations or locations", limit = caps::VECTOR_ENTRIES_MAX)]
    VectorFull {
        /// Entries needed.
        entries: usize,
    },
    /// Idempotence cannot be decided until lost events are back.
    #[error(
        "this location is recovering lost events; requests with request_id or caused_by wait until that is done, retry later"
    )]
    Recovering,
    /// The store refused; definitely not in the log.
    #[error(transparent)]
    Store(StoreError),
    /// This writer was fenced or stopped; definitely not in the log.
    #[error("this process is not the writer of the log any more")]
    NotWriter,
    /// The location is stopping; definitely not in the log.
    #[error("the log is shutting down")]
    ShuttingDown,
    /// The only one after which the request may be in the log.
    #[error(
        "the database did not say whether the request is in the log: {0}; retry with the same request id"
    )]
    OutcomeUnknown(String),
}

fn at_event(index: Option<usize>) -> String {
    index.map_or_else(String::new, |i| format!(" (events[{i}])"))
}

/// The answer for events that are in the log. `token` is the merge of their vector times.
pub(crate) fn accepted(
    events: &[(u64, Arc<Event>)],
    token: VectorTime,
    replayed: bool,
) -> Accepted {
    Accepted {
        ids: events.iter().map(|(_, e)| e.id.clone()).collect(),
        first_sequence: events.iter().map(|(s, _)| *s).min().unwrap_or(0),
        last_sequence: events.iter().map(|(s, _)| *s).max().unwrap_or(0),
        token,
        replayed,
    }
}

/// The merge of the vector times of events that were found: none of them need be older than the others, nor have been seen by the last one.
pub(crate) fn token(events: &[(u64, Arc<Event>)]) -> VectorTime {
    let mut token = VectorTime::new();
    for (_, event) in events {
        if mutant!("token-of-the-last-event") {
            token = VectorTime::new();
        }
        token.merge(&event.context);
        token.raise(&event.id.origin, event.id.sequence);
    }
    token
}
