//! Waiting until a log covers a causal token.

use std::time::Duration;

use std::sync::Arc;

use tidelog_core::LogView;
use tidelog_model::{VectorTime, caps, limit, mutant};
use tokio::time::{Instant, timeout_at};

use crate::errors::{AwaitError, Closed};
use crate::publish::{Phase, Snapshot};
use crate::reader::LogReader;

/// Longer than anybody waits; keeps the arithmetic of instants in bounds.
const WAIT_MAX: Duration = Duration::from_hours(365 * 24);

impl LogReader {
    /// Returns the view that covers the token: what the token stands for is stored here, or was excluded by filters on the way. `None` as
    /// deadline means the default of the log. Cancel safe.
    pub async fn wait_for(
        &self,
        token: &VectorTime,
        deadline: Option<Duration>,
    ) -> Result<Arc<LogView>, AwaitError> {
        limit::count("token", token.len(), caps::VECTOR_ENTRIES_MAX)?;
        let begun = Instant::now();
        let longest = deadline
            .unwrap_or(self.options().wait_default)
            .min(WAIT_MAX);
        let mut state = self.state.clone();
        let covered = async {
            loop {
                let verdict = judge(&state.borrow_and_update(), token);
                if let Some(verdict) = verdict {
                    return verdict;
                }
                state.changed().await.map_err(|_| Closed::ShuttingDown)?;
            }
        };
        match timeout_at(begun + longest, covered).await {
            Ok(verdict) => verdict,
            Err(_) => Err(AwaitError::DeadlineExceeded {
                missing: self.view().covered_vector.missing(token),
                waited: begun.elapsed(),
            }),
        }
    }
}

/// `None`: nothing can be said yet.
fn judge(now: &Snapshot, token: &VectorTime) -> Option<Result<Arc<LogView>, AwaitError>> {
    match &now.phase {
        Phase::Closed(reason) => return Some(Err(reason.clone().into())),
        // What was covered may be lost when the history is back.
        Phase::Suspended if mutant!("covered-while-the-history-changes") => {}
        Phase::Suspended => return None,
        Phase::Open => {}
    }
    let mut missing = now.view.covered_vector.missing(token);
    if mutant!("waits-for-what-is-stored") {
        missing = now.view.version_vector.missing(token);
    }
    if missing.is_empty() {
        return Some(Ok(Arc::clone(&now.view)));
    }
    let lost: VectorTime = missing
        .iter()
        .filter(|(origin, sequence)| {
            now.ends
                .get(*origin)
                .is_some_and(|end| sequence > end && !mutant!("lost-events-waited-for"))
        })
        .map(|(origin, sequence)| (origin.clone(), sequence))
        .collect();
    (!lost.is_empty()).then_some(Err(AwaitError::Lost { lost }))
}
