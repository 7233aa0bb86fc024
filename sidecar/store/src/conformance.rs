//! The suite that judges every store: one case per sentence of the contract on [`LogStore`].
//!
//! A store implements [`Fixture`] in its tests and writes one line:
//!
//! ```text
//! tidelog_store::conformance_suite!(MyFixture::new().await);
//! ```
//!
//! The expression is evaluated in each case anew (inside an async function) and must give a fixture with a log of its own, never
//! served before. A bug that is found in one store becomes a case here first.

pub mod atomicity;
pub mod chain;
pub mod checks;
pub mod concurrency;
pub mod consumers;
pub mod fencing;
pub mod fidelity;
pub mod identity;
pub mod lease;
pub mod raise;
pub mod reads;
pub mod retention;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidelog_model::{ChainHash, Selector, StoredEvent};

use crate::generate::Writer;
use crate::log_store::LogStore;
use crate::query::ReadQuery;
use crate::state::{Consumer, LogState};

/// One log for one case.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Opens the log of this fixture. Called again only after the store opened before was closed: then it must hold what was written.
    async fn open(&self) -> Arc<dyn LogStore>;

    /// Lets time pass for the clock by which the store's leases run.
    async fn pass(&self, time: Duration);
}

/// Expands to one `#[tokio::test]` for each case. See [`crate::conformance`].
#[macro_export]
macro_rules! conformance_suite {
    ($setup:expr) => {
        $crate::conformance_cases! { $setup;
            atomicity {
                a_new_log_is_empty
                a_batch_is_visible_as_a_whole_with_everything_it_changes
                a_batch_without_events_moves_vectors_and_progress
                progress_of_one_source_leaves_the_others_alone
                a_batch_of_a_thousand_events_is_one_batch
                what_was_written_is_there_after_reopening
            }
            fencing {
                another_incarnation_is_fenced_and_changes_nothing
                another_nonce_is_fenced_and_changes_nothing
                another_head_is_fenced_and_changes_nothing
                a_raise_checks_the_whole_guard
                nothing_is_written_without_a_lease
                a_writer_that_was_taken_over_after_its_lease_ran_out_never_writes_again
                a_writer_that_was_taken_over_by_its_own_owner_never_writes_again
                the_same_batch_twice_is_fenced
            }
            lease {
                a_free_lease_is_granted_with_the_state
                a_held_lease_is_refused_and_names_its_holder
                a_lease_that_ran_out_is_granted_to_anybody
                a_renewed_lease_holds_longer
                a_lost_lease_cannot_be_renewed
                a_released_lease_is_free_at_once
                releasing_the_lease_of_somebody_else_does_nothing
            }
            identity {
                an_id_that_is_stored_is_refused_and_leaves_nothing_behind
                an_id_twice_in_one_batch_is_refused_and_leaves_nothing_behind
                the_same_sequence_of_another_incarnation_is_another_id
                ids_are_given_in_local_order
                ids_are_found_in_the_order_asked
            }
            reads {
                after_is_exclusive_and_to_is_inclusive
                beyond_the_head_is_empty
                a_page_is_limited_by_events
                a_page_is_limited_by_payload_bytes_but_holds_one
                a_page_is_limited_by_rows_looked_at
                a_selector_that_matches_nothing_still_makes_progress
                keys_match_aggregate_and_destinations
                types_and_origins_narrow_and_combine
                a_selector_never_skips_an_event
                one_event_is_read_by_its_sequence
                the_position_before_a_time_is_the_last_stored_before_it
            }
            checks {
                a_request_is_answered_with_what_is_held_of_it
                the_lowest_sequence_answers_for_each_index_of_a_request
                request_ids_match_as_a_whole
                a_cause_is_answered_with_its_first_output
                a_condition_is_answered_with_the_highest_match
                conditions_look_at_destinations_and_types
                answers_come_in_the_order_of_the_questions
            }
            chain {
                the_hash_at_every_position_is_the_chain
                checkpoints_lie_at_the_end_of_batches
                hashes_below_a_base_survive_a_rewrite
            }
            consumers {
                consumers_are_created_replaced_and_deleted
                a_consumer_is_stored_by_the_writer_alone
                edges_are_paused_and_resumed
            }
            raise {
                a_raise_adds_to_the_lineage_and_changes_nothing_else
                a_raise_must_be_greater_than_all_before
                the_writer_of_before_a_raise_is_fenced
                a_rewrite_replaces_everything_above_its_base
                a_rewrite_forgets_what_it_replaced
                a_rewrite_keeps_what_lies_below_its_base
                a_rewrite_to_fewer_events_lowers_the_head
                a_refused_rewrite_changes_nothing
            }
            retention {
                young_request_ids_are_kept
                old_request_ids_are_forgotten
                the_newest_are_kept_whatever_their_age
                beyond_the_maximum_nothing_is_kept
                a_request_is_never_forgotten_in_part
                a_forgotten_request_id_can_be_used_again
            }
            fidelity {
                every_field_comes_back_as_it_was_written
                empty_fields_come_back_empty
                all_of_unicode_comes_back
                extreme_numbers_come_back
                the_largest_event_comes_back
                the_largest_vectors_come_back
                the_largest_collections_come_back
                content_that_does_not_fit_its_digest_is_corrupted
            }
            concurrency {
                readers_see_whole_batches_only
                dropped_writes_leave_a_working_store
                dropped_reads_leave_a_working_store
                a_check_is_answered_from_one_snapshot
            }
        }
    };
}

/// One test for each case of each module.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($setup:expr; $($module:ident { $($case:ident)* })*) => {
        $($(
            #[tokio::test]
            async fn $case() {
                let fixture = $setup;
                $crate::conformance::$module::$case(&fixture).await;
            }
        )*)*
    };
}

/// Opens a new log and starts its first writer.
pub(crate) async fn started(fixture: &dyn Fixture) -> (Arc<dyn LogStore>, Writer) {
    let store = fixture.open().await;
    let writer = Writer::start(store.as_ref()).await;
    (store, writer)
}

/// Closes and opens again.
pub(crate) async fn reopened(fixture: &dyn Fixture, store: Arc<dyn LogStore>) -> Arc<dyn LogStore> {
    store.close().await;
    drop(store);
    fixture.open().await
}

/// Everything that can be seen of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// State, without the lease (its remaining time runs).
    pub state: LogState,
    /// All events.
    pub events: Vec<StoredEvent>,
    /// The hash chain at `0..=head`.
    pub hashes: Vec<ChainHash>,
    /// All consumers.
    pub consumers: Vec<Consumer>,
}

/// A query for everything in `(after, to]` in one page, as far as one page may go.
pub fn query(after: u64, to: u64, selector: Selector) -> ReadQuery {
    ReadQuery {
        after,
        to,
        events_max: 10_000,
        bytes_max: usize::MAX,
        scan_max: 10_000,
        selector,
    }
}

/// Reads all pages of a query and checks what every page promises: no event twice or out of order, progress until the end.
pub async fn pages(store: &dyn LogStore, query: &ReadQuery) -> Vec<StoredEvent> {
    let mut query = query.clone();
    let mut out: Vec<StoredEvent> = Vec::new();
    loop {
        let page = store.read(&query).await.expect("a page");
        let mut last = query.after;
        assert!(page.events.len() <= query.events_max, "too many events");
        assert!(
            page.scanned_to >= query.after && page.scanned_to <= query.to.max(query.after),
            "scanned to {} outside of {query:?}",
            page.scanned_to
        );
        assert!(
            page.scanned_to - query.after <= query.scan_max as u64,
            "looked at more than {} rows",
            query.scan_max
        );
        for event in &page.events {
            assert!(event.sequence > last, "events do not rise");
            last = event.sequence;
        }
        assert!(
            last <= page.scanned_to,
            "an event beyond {}",
            page.scanned_to
        );
        let bytes: usize = page.events.iter().map(|e| e.event.payload.len()).sum();
        assert!(
            bytes <= query.bytes_max || page.events.len() == 1,
            "too many bytes"
        );
        out.extend(page.events);
        if page.scanned_to == query.after {
            return out;
        }
        query.after = page.scanned_to;
    }
}

/// Everything that can be seen of a log.
pub async fn contents(store: &dyn LogStore) -> Contents {
    let mut state = store.state().await.expect("the state");
    state.lease = None;
    state.voided.sort();
    let events = pages(store, &query(0, u64::MAX, Selector::default())).await;
    let mut hashes = Vec::new();
    for sequence in 0..=state.head {
        let hash = store.hash_at(sequence).await.expect("a hash");
        hashes.push(hash.expect("a hash at or below the head"));
    }
    let consumers = store.consumers().await.expect("the consumers");
    Contents {
        state,
        events,
        hashes,
        consumers,
    }
}
