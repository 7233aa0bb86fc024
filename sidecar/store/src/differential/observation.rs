//! What a store answers, in a form that compares.

use tidelog_model::StoredEvent;

use super::{Expected, Step};
use crate::conformance::{Contents, contents, pages};
use crate::error::CommitError;
use crate::log_store::LogStore;
use crate::query::{CheckAnswers, IdRow};
use crate::state::LeaseOutcome;

/// The answer to one step. Pages are compared as the events they add up to: where a page ends early is a store's own affair.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Observation {
    Written(Expected),
    Granted(bool),
    Done,
    Deleted(bool),
    Events(Vec<StoredEvent>),
    Answers(CheckAnswers),
    Ids(Vec<IdRow>, Vec<Option<IdRow>>),
    Position(u64),
    Pruned(u64),
    Broken(String),
}

fn written(outcome: Result<(), CommitError>) -> Observation {
    match outcome {
        Ok(()) => Observation::Written(Expected::Done),
        Err(CommitError::Fenced) => Observation::Written(Expected::Fenced),
        Err(CommitError::DuplicateIdentity) => Observation::Written(Expected::Duplicate),
        Err(CommitError::Failed(error)) if !error.is_retryable() => {
            Observation::Written(Expected::Refused)
        }
        Err(other) => Observation::Broken(other.to_string()),
    }
}

pub(super) async fn observe(store: &dyn LogStore, step: &Step) -> Observation {
    let outcome = match step {
        Step::Commit(batch, _) => return written(store.commit(batch).await),
        Step::Raise(raise, _) => return written(store.raise(raise).await),
        Step::TakeLease(lease) => store
            .acquire_lease(lease)
            .await
            .map(|o| Observation::Granted(matches!(o, LeaseOutcome::Acquired(_)))),
        Step::PutConsumer(fence, consumer) => store
            .put_consumer(fence, consumer)
            .await
            .map(Observation::Granted),
        Step::DeleteConsumer(name) => store.delete_consumer(name).await.map(Observation::Deleted),
        Step::Pause(edge, paused) => store
            .set_paused(edge, *paused)
            .await
            .map(|()| Observation::Done),
        Step::Read(query) => Ok(Observation::Events(pages(store, query).await)),
        Step::Check(query) => store.check(query).await.map(Observation::Answers),
        Step::Ids(after, limit, ids) => match store.ids(*after, *limit).await {
            Ok(rows) => store
                .find(ids)
                .await
                .map(|found| Observation::Ids(rows, found)),
            Err(error) => Err(error),
        },
        Step::PositionBefore(time) => store
            .position_before(*time)
            .await
            .map(Observation::Position),
        Step::Prune(now, retention) => store
            .prune_requests(*now, *retention)
            .await
            .map(Observation::Pruned),
    };
    outcome.unwrap_or_else(|error| Observation::Broken(error.to_string()))
}

/// Everything that can be seen.
pub(super) async fn everything(store: &dyn LogStore) -> Contents {
    contents(store).await
}
