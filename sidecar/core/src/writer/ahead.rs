//! Planning the next batch while one is in flight, as if that one had committed already.
//!
//! The database is busy while a batch is written, and so is the writer while it plans one; done one after the other, each waits for the
//! other. What is planned ahead touches nothing outside: when the batch in flight is committed it is what would have been planned then, and
//! in any other case it is thrown away and its requests wait again, in their old order.

use super::{Batch, Phase, Ticket, Writer};
use crate::append::{Accepted, AppendRequest, Refusal};
use crate::log::{Draft, LogCore};
use tidelog_model::mutant;

/// Requests that are decided on top of the batch in flight.
pub(super) struct Ahead {
    draft: Draft,
    requests: Vec<(Ticket, AppendRequest)>,
    outcomes: Vec<Result<Accepted, Refusal>>,
    events: usize,
    bytes: usize,
}

/// A batch of which all but the replication work is decided.
pub(super) struct Planned {
    pub(super) batch: Batch,
    pub(super) draft: Draft,
    pub(super) outcomes: Vec<Result<Accepted, Refusal>>,
}

impl Writer {
    /// Requests that wait, those planned ahead included.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + self.ahead.as_ref().map_or(0, |a| a.requests.len())
    }

    /// Decides what waits, as far as the store need not be asked and one batch has room.
    pub(super) fn plan_ahead(&mut self, now_micros: i64) {
        let Phase::Committing(_, plan) = &self.phase else {
            return;
        };
        while let Some((_, request)) = self.queue.front() {
            if LogCore::asks(request) {
                return;
            }
            let ahead = self.ahead.get_or_insert_with(|| Ahead {
                draft: Draft::new(
                    if mutant!("planned-on-the-log-before") {
                        &self.core
                    } else {
                        &plan.next
                    },
                    &self.stamp,
                    now_micros,
                ),
                requests: Vec::new(),
                outcomes: Vec::new(),
                events: 0,
                bytes: 0,
            });
            let events = ahead.events + request.events.len();
            let bytes = ahead.bytes + request.approximate_bytes();
            let full = events > self.limits.batch_events_max || bytes > self.limits.batch_bytes_max;
            if full && !ahead.requests.is_empty() && !mutant!("batch-ahead-unbounded") {
                return;
            }
            (ahead.events, ahead.bytes) = (events, bytes);
            if let Some((ticket, request)) = self.queue.pop_front() {
                let outcome = ahead.draft.decide_plain(&request, now_micros);
                ahead.outcomes.push(outcome);
                ahead.requests.push((ticket, request));
            }
        }
    }

    /// The batch in flight has not been committed (yet), or what is stamped has changed: all wait again.
    pub(super) fn forget_ahead(&mut self) {
        for waiting in self
            .ahead
            .take()
            .into_iter()
            .flat_map(|ahead| ahead.requests)
            .rev()
        {
            if mutant!("waiting-again-turns-round") {
                self.queue.push_back(waiting);
                continue;
            }
            self.queue.push_front(waiting);
        }
    }

    /// The batch in flight has been committed. What was planned ahead becomes the next one, unless requests that ask the store would have
    /// to wait for a batch that has room for them: then all are planned together.
    pub(super) fn take_ahead(&mut self) -> Option<Planned> {
        let room = self.ahead.as_ref().is_some_and(|ahead| {
            self.queue
                .front()
                .is_some_and(|(_, request)| LogCore::asks(request))
                && ahead.events < self.limits.batch_events_max
        });
        if room {
            self.forget_ahead();
        }
        let ahead = self.ahead.take()?;
        self.queue_bytes = self.queue_bytes.saturating_sub(ahead.bytes);
        let batch = Batch {
            requests: ahead.requests,
            work: self.work.pop_front(),
        };
        Some(Planned {
            batch,
            draft: ahead.draft,
            outcomes: ahead.outcomes,
        })
    }
}
