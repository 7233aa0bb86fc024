//! Readers, consumers, waits, the driver of the writer and what keeps it running.

use super::programs::{CORE, ENGINE, READING, WRITING};
use crate::mutant::{Expected, Mutant};

/// The mutants.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        id: "tail-with-a-gap",
        what: "the tail takes events that do not continue it",
        expected: Expected::Caught(&[
            ENGINE.case("tail::tests::events_that_do_not_fit_together_empty_it_instead_of_leaving_a_gap"),
        ]),
    },
    Mutant {
        id: "tail-ends-below-the-head",
        what: "the tail may end below the published head",
        expected: Expected::Caught(&[
            ENGINE.case("tail::tests::events_that_do_not_fit_together_empty_it_instead_of_leaving_a_gap"),
        ]),
    },
    Mutant {
        id: "tail-remembers-a-rewritten-history",
        what: "the tail keeps events of a history that was rewritten",
        expected: Expected::Caught(&[
            READING.case("pages::memory_of_a_history_that_was_rewritten_is_forgotten"),
        ]),
    },
    Mutant {
        id: "tail-unbounded",
        what: "the tail grows without bound",
        expected: Expected::Caught(&[
            ENGINE.case("tail::tests::an_event_above_the_bound_leaves_an_empty_tail_at_the_head"),
        ]),
    },
    Mutant {
        id: "hand-over-skips-to-the-head",
        what: "a subscription that has caught up goes on at the head of that moment",
        expected: Expected::Caught(&[
            READING.case("subscriptions::a_raise_at_the_head_does_not_disturb_a_subscription"),
        ]),
    },
    Mutant {
        id: "hand-over-repeats-an-event",
        what: "a subscription that has caught up repeats its last event",
        expected: Expected::Caught(&[
            READING.case("subscriptions::from_time_starts_at_the_first_event_stored_at_or_after_it"),
        ]),
    },
    Mutant {
        id: "raise-does-not-wake",
        what: "a subscription that waits does not notice a raise",
        expected: Expected::Caught(&[
            READING.case("subscriptions::a_raise_below_what_was_delivered_ends_the_subscription"),
        ]),
    },
    Mutant {
        id: "caught-up-at-a-head-that-is-gone",
        what: "a subscription waits for a head that a raise has taken away",
        expected: Expected::Caught(&[
            READING.case("subscriptions::a_log_that_came_back_shorter_than_at_the_call_is_caught_up_at_its_head"),
        ]),
    },
    Mutant {
        id: "delivered-without-a-claim",
        what: "a stream whose consumer was taken over goes on",
        expected: Expected::Caught(&[
            READING.case("consumers::a_new_consumer_starts_at_the_first_event_and_goes_on_where_it_acknowledged"),
        ]),
    },
    Mutant {
        id: "seek-skips-the-first",
        what: "a subscription from a version skips the first event that it does not cover",
        expected: Expected::Caught(&[
            READING.case("subscriptions::from_version_passes_a_long_covered_part"),
        ]),
    },
    Mutant {
        id: "taken-over-stream-goes-on",
        what: "a page on its way to a stream that was taken over is delivered",
        expected: Expected::Caught(&[
            READING.case("consumers::a_page_on_its_way_to_a_stream_that_was_taken_over_is_not_delivered"),
        ]),
    },
    Mutant {
        id: "consumer-crosses-a-base",
        what: "a consumer goes on over a base as if nothing had been lost",
        expected: Expected::Caught(&[
            READING.case("consumers::a_consumer_beyond_a_base_is_told_until_it_is_reset"),
        ]),
    },
    Mutant {
        id: "acknowledged-beyond-delivered",
        what: "a consumer may acknowledge what it was never given",
        expected: Expected::Caught(&[
            READING.case("consumers::the_first_acknowledgement_creates_but_cannot_skip"),
        ]),
    },
    Mutant {
        id: "acknowledgement-goes-back",
        what: "an acknowledgement may lower the position of a consumer",
        expected: Expected::Caught(&[
            READING.case("consumers::acknowledged_is_only_what_was_delivered_and_only_forward"),
        ]),
    },
    Mutant {
        id: "delivered-of-a-lost-history",
        what: "what was delivered of a lost history may be acknowledged in the new one",
        expected: Expected::Caught(&[
            READING.case("consumers::a_consumer_beyond_a_base_is_told_until_it_is_reset"),
        ]),
    },
    Mutant {
        id: "tail-not-fed",
        what: "the tail is not told of commits",
        expected: Expected::Caught(&[
            READING.case("pages::pages_from_memory_and_from_the_store_are_the_same"),
        ]),
    },
    Mutant {
        id: "suspend-keeps-the-epoch",
        what: "the epoch does not move when the history begins to change",
        expected: Expected::Caught(&[
            READING.case("pages::a_page_that_was_read_when_the_history_began_to_change_is_not_served"),
        ]),
    },
    Mutant {
        id: "readers-not-held-back",
        what: "readers go on while the history is changed",
        expected: Expected::Caught(&[
            READING.case("pages::the_view_is_followed_and_waits_end_when_the_head_has_moved"),
        ]),
    },
    Mutant {
        id: "unpublished-events-served",
        what: "readers see beyond the published head",
        expected: Expected::Caught(&[
            READING.case("pages::a_cel_expression_narrows_as_any_predicate"),
        ]),
    },
    Mutant {
        id: "page-of-two-histories",
        what: "a page that was read over a raise is served",
        expected: Expected::Caught(&[
            READING.case("pages::a_page_that_crosses_the_base_of_a_raise_is_read_again"),
        ]),
    },
    Mutant {
        id: "unpublished-ids-served",
        what: "ids beyond the published head are served",
        expected: Expected::Caught(&[
            READING.case("pages::what_the_store_shows_but_is_not_published_is_never_served"),
        ]),
    },
    Mutant {
        id: "waits-for-what-is-stored",
        what: "a wait looks at what is stored instead of what is covered",
        expected: Expected::Caught(&[
            READING.case("waits::a_wait_ends_when_the_covered_vector_has_come_there"),
        ]),
    },
    Mutant {
        id: "lost-events-waited-for",
        what: "a wait for lost events runs into its deadline",
        expected: Expected::Caught(&[
            READING.case("waits::a_loss_that_becomes_known_ends_the_wait"),
        ]),
    },
    Mutant {
        id: "covered-while-the-history-changes",
        what: "a wait ends by what was covered before a raise",
        expected: Expected::Caught(&[
            READING.case("waits::nothing_counts_as_covered_while_the_history_changes"),
        ]),
    },
    Mutant {
        id: "frames-outlive-their-writer",
        what: "a frame of a stream of before is applied by the next writer",
        expected: Expected::Caught(&[
            WRITING.case("streams::a_frame_of_a_stream_from_before_a_fail_over_is_not_applied_by_the_next_writer"),
        ]),
    },
    Mutant {
        id: "unwitnessed-commit-answered",
        what: "a commit is answered although the witness could not be written",
        expected: Expected::Caught(&[
            WRITING.case("endings::a_witness_that_cannot_be_written_leaves_only_its_own_commit_unknown"),
        ]),
    },
    Mutant {
        id: "resolved-over-another-writer",
        what: "a writer goes on although another one held the lease meanwhile",
        expected: Expected::Caught(&[
            WRITING.case("takeover::a_commit_that_was_lost_while_another_writer_held_the_lease_ends_the_writer"),
        ]),
    },
    Mutant {
        id: "any-report-is-a-loss",
        what: "a writer raises for a loss that is none any more",
        expected: Expected::Caught(&[
            WRITING.case("endings::a_loss_that_two_peers_prove_is_one_loss"),
        ]),
    },
    Mutant {
        id: "recovery-of-another-writer",
        what: "a writer takes the recovery of the one before for its own",
        expected: Expected::Caught(&[
            WRITING.case("streams::recovery_that_an_earlier_writer_has_finished_says_nothing_about_the_next_one"),
        ]),
    },
    Mutant {
        id: "continues-in-an-incarnation-it-has-left",
        what: "a process goes on in an incarnation that a fail-over has brought back",
        expected: Expected::Caught(&[
            WRITING.case("takeover::a_writer_does_not_go_on_in_an_incarnation_that_it_had_left"),
        ]),
    },
    Mutant {
        id: "memory-of-another-history-ignored",
        what: "a process goes on although the database does not hold what it left",
        expected: Expected::Caught(&[
            WRITING.case("takeover::an_older_copy_in_the_running_server_is_noticed_by_what_the_writer_remembers"),
        ]),
    },
    Mutant {
        id: "named-incarnations-forgotten",
        what: "a raise may use an incarnation that a peer has named",
        expected: Expected::Caught(&[
            WRITING.case("endings::a_new_incarnation_is_above_those_that_peers_have_named"),
        ]),
    },
    Mutant {
        id: "raise-unknown-to-the-witness",
        what: "an incarnation is used before the witness knows it",
        expected: Expected::Caught(&[
            WRITING.case("endings::nothing_is_raised_that_the_witness_does_not_know"),
        ]),
    },
    Mutant {
        id: "raise-in-the-second-it-was-drawn",
        what: "a number that was drawn from the clock is used while the clock could draw it again",
        expected: Expected::Caught(&[
            WRITING.case("late::a_loss_noticed_late_takes_back_what_was_appended_since_and_lets_the_lost_events_return"),
        ]),
    },
    Mutant {
        id: "no-late-raise",
        what: "a proven loss does not raise",
        expected: Expected::Caught(&[
            WRITING.case("late::a_loss_noticed_late_takes_back_what_was_appended_since_and_lets_the_lost_events_return"),
        ]),
    },
    Mutant {
        id: "late-raise-at-the-last-start",
        what: "a late raise takes nothing back that was there at the last start",
        expected: Expected::Equivalent {
            because: "an event proves a loss only where nothing of its incarnation was written at or above its number, so none of what was there at the last start is to be taken back; the base is that of the incarnation in either case",
            passes: &[
                WRITING.case("late::a_loss_that_lies_below_the_last_start_takes_back_from_where_it_happened"),
            ],
        },
    },
    Mutant {
        id: "memory-outlives-another-writer",
        what: "what a process remembers proves continuity although another writer was there",
        expected: Expected::Equivalent {
            because: "whoever came between has named itself at the witness before it served, and a memory counts only where the witness still names its writer",
            passes: &[
                WRITING.case("takeover::a_take_over_while_the_writer_starts_anew_is_noticed_though_it_is_over"),
            ],
        },
    },
    Mutant {
        id: "memory-before-the-witness",
        what: "what a process remembers proves continuity although the witness was told of another head",
        expected: Expected::Caught(&[
            CORE.case("memory::tests::an_unchanged_head_proves_nothing_unless_the_witness_names_the_writer_that_left_it"),
        ]),
    },
    Mutant {
        id: "streams-outlive-their-writer",
        what: "streams go on while their writer is no more",
        expected: Expected::Caught(&[
            WRITING.case("endings::a_loss_that_two_peers_prove_is_one_loss"),
        ]),
    },
    Mutant {
        id: "cut-off-writer-goes-on",
        what: "a writer whose database has been silent for leases goes on",
        expected: Expected::Caught(&[
            WRITING.case("takeover::a_writer_whose_database_is_silent_stops_and_tells_whoever_waits"),
        ]),
    },
    Mutant {
        id: "clean-stop-without-the-lease",
        what: "a writer that has lost its lease records a clean stop",
        expected: Expected::Equivalent {
            because: "a witness takes no clean stop once another writer has begun, and who begins takes back one that was recorded before",
            passes: &[
                WRITING.case("takeover::a_writer_that_was_frozen_over_a_take_over_records_no_clean_stop"),
            ],
        },
    },
    Mutant {
        id: "restart-ends-recovery",
        what: "a restart ends recovery",
        expected: Expected::Caught(&[
            WRITING.case("life::a_restart_neither_ends_recovery_nor_begins_it_again"),
        ]),
    },
    Mutant {
        id: "clean-stop-outlives-a-start",
        what: "a clean stop proves continuity to starts after the next",
        expected: Expected::Caught(&[
            ENGINE.case("witness::tests::what_was_recorded_last_is_read_back"),
        ]),
    },
    Mutant {
        id: "torn-witness-believed",
        what: "a torn witness is believed",
        expected: Expected::Caught(&[
            ENGINE.case("witness::tests::a_torn_write_leaves_the_slot_before"),
        ]),
    },
    Mutant {
        id: "witness-of-another-process-overwritten",
        what: "a witness file is written on from what this process remembers of it",
        expected: Expected::Caught(&[
            ENGINE.case("witness::tests::a_process_that_takes_over_again_writes_on_where_the_other_one_stopped"),
        ]),
    },
    Mutant {
        id: "emptied-database-is-new",
        what: "an empty database is new to a process that has served it",
        expected: Expected::Caught(&[
            CORE.case("memory::tests::an_empty_database_is_not_new_to_a_process_that_has_served_it"),
        ]),
    },
    Mutant {
        id: "witness-of-a-later-writer-overwritten",
        what: "the original of a cloned database goes on recording in the name of the clone",
        expected: Expected::Caught(&[
            ENGINE.case("witness::tests::a_writer_that_another_one_has_followed_records_nothing_any_more"),
        ]),
    },
    Mutant {
        id: "fenced-writer-forgets-what-it-left",
        what: "a writer that was fenced goes on although the database does not hold what it left",
        expected: Expected::Caught(&[
            WRITING.case("takeover::an_older_copy_in_the_running_server_is_noticed_also_by_a_writer_that_it_fences"),
        ]),
    },
];
