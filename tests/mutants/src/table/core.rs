//! What one batch turns the log into: requests, frames, a raise noticed late, and the decision at start.

use super::programs::{CORE, MACHINES};
use crate::mutant::{Expected, Mutant};

/// The mutants.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        id: "requests-of-a-batch-apart",
        what: "a request does not see another one of its id in the same batch",
        expected: Expected::Caught(&[
            MACHINES.case("log::the_same_request_twice_in_one_batch_is_stored_once"),
        ]),
    },
    Mutant {
        id: "causes-of-a-batch-apart",
        what: "a request does not see an output for its cause in the same batch",
        expected: Expected::Caught(&[
            MACHINES.case("log::one_cause_twice_in_a_batch_is_stored_once_and_twice_in_a_request_is_refused"),
        ]),
    },
    Mutant {
        id: "context-unchecked",
        what: "a context that the log does not cover is accepted",
        expected: Expected::Caught(&[
            MACHINES.case("log::a_context_from_the_future_is_refused_and_names_what_is_missing"),
        ]),
    },
    Mutant {
        id: "condition-decided-again",
        what: "the condition of a request that was accepted is decided again for its rest",
        expected: Expected::Caught(&[
            MACHINES.case("log::where_a_part_of_a_request_is_held_the_rest_is_appended_under_its_id"),
        ]),
    },
    Mutant {
        id: "condition-blind-to-its-batch",
        what: "a condition does not see earlier requests of its batch",
        expected: Expected::Caught(&[
            MACHINES.case("log::a_condition_sees_the_log_and_earlier_requests_of_its_batch"),
        ]),
    },
    Mutant {
        id: "condition-without-incarnation",
        what: "a condition after a lost position is decided as if the position were still there",
        expected: Expected::Caught(&[
            MACHINES.case("log::a_condition_after_a_lost_position_is_refused_however_far_the_log_has_grown"),
        ]),
    },
    Mutant {
        id: "request-unseen-by-itself",
        what: "an event has not seen those before it in its request",
        expected: Expected::Caught(&[
            MACHINES.case("log::a_retry_gets_the_first_answer_and_changes_nothing"),
        ]),
    },
    Mutant {
        id: "context-of-own-events-only",
        what: "by default an event has seen nothing of other origins",
        expected: Expected::Caught(&[
            MACHINES.case("log::an_event_has_seen_what_was_found_before_it_in_its_request_whatever_the_context_says"),
        ]),
    },
    Mutant {
        id: "vv-misses-own-events",
        what: "the version vector stands still while events are appended",
        expected: Expected::Caught(&[
            MACHINES.case("log::a_refused_request_leaves_nothing_behind_and_its_neighbours_alone"),
        ]),
    },
    Mutant {
        id: "kv-misses-own-events",
        what: "the covered vector stands still while events are appended",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_frame_that_fails_half_way_leaves_no_trace"),
        ]),
    },
    Mutant {
        id: "chain-misses-own-events",
        what: "appended events are not in the hash chain",
        expected: Expected::Caught(&[
            MACHINES.case("log::the_chain_runs_over_every_event_in_its_order"),
        ]),
    },
    Mutant {
        id: "stored-at-steps-back",
        what: "stored_at follows a clock that steps back",
        expected: Expected::Caught(&[
            MACHINES.case("log::times_never_run_backwards_when_the_wall_clock_does"),
        ]),
    },
    Mutant {
        id: "request-content-unchecked",
        what: "a request id may be used again with other content",
        expected: Expected::Caught(&[
            MACHINES.case("log::a_request_id_with_other_content_is_refused"),
        ]),
    },
    Mutant {
        id: "part-of-a-request-is-all",
        what: "a request of which a part is held is answered as if all of it were",
        expected: Expected::Caught(&[
            MACHINES.case("log::where_a_part_of_a_request_is_held_the_rest_is_appended_under_its_id"),
        ]),
    },
    Mutant {
        id: "recovering-ignored",
        what: "request ids are decided while lost events may still come back",
        expected: Expected::Caught(&[
            MACHINES.case("log::while_recovering_only_requests_that_need_the_table_wait"),
        ]),
    },
    Mutant {
        id: "full-vector-ignored",
        what: "a full version vector takes one more origin",
        expected: Expected::Caught(&[
            MACHINES.case("log::strangers_do_not_take_the_place_of_what_is_appended_here"),
        ]),
    },
    Mutant {
        id: "clock-forgets-its-ticks",
        what: "the hybrid clock does not keep what it has told",
        expected: Expected::Caught(&[
            MACHINES.case("log::times_never_run_backwards_when_the_wall_clock_does"),
        ]),
    },
    Mutant {
        id: "token-of-the-last-event",
        what: "the token of a request that was found covers its last event only",
        expected: Expected::Caught(&[
            MACHINES.case("log::the_token_covers_every_event_of_the_request_wherever_it_was_found"),
        ]),
    },
    Mutant {
        id: "own-ids-judged-after-the-batch",
        what: "own ids in a frame are judged after the local requests of its batch have taken them",
        expected: Expected::Caught(&[
            MACHINES.case("apply::local_requests_of_its_batch_do_not_hide_that_a_frame_proves_a_loss"),
        ]),
    },
    Mutant {
        id: "progress-ahead",
        what: "progress lies one beyond what the frame covers",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_frame_that_continues_is_applied_and_moves_everything_at_once"),
        ]),
    },
    Mutant {
        id: "covered-of-everybody",
        what: "covered entries are taken over of locations that are not behind the source",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_frame_of_vectors_only_is_applied_at_the_progress"),
        ]),
    },
    Mutant {
        id: "progress-in-another-transaction",
        what: "a frame is stored without the progress that it makes",
        expected: Expected::Caught(&[
            MACHINES.case("late::a_lost_event_that_the_progress_has_passed_comes_back"),
        ]),
    },
    Mutant {
        id: "vv-from-the-source",
        what: "the version vector takes over what the source covers",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_frame_of_vectors_only_is_applied_at_the_progress"),
        ]),
    },
    Mutant {
        id: "half-a-frame-kept",
        what: "what a frame has stored before it fails stays in the batch",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_frame_that_fails_half_way_leaves_no_trace"),
        ]),
    },
    Mutant {
        id: "drop-before-apply",
        what: "a frame that ends at the progress is dropped before it is looked whether it continues it",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_frame_of_vectors_only_is_applied_at_the_progress"),
        ]),
    },
    Mutant {
        id: "hash-at-from-ignored",
        what: "a frame continues whatever the hash at its beginning",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_gap_another_hash_and_an_overlap_do_not_continue"),
        ]),
    },
    Mutant {
        id: "no-continuity",
        what: "a frame is applied wherever it begins",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_gap_another_hash_and_an_overlap_do_not_continue"),
        ]),
    },
    Mutant {
        id: "frame-behind-reopens",
        what: "a frame that was applied before closes the stream",
        expected: Expected::Caught(&[
            MACHINES.case("apply::what_lies_behind_the_progress_is_dropped"),
        ]),
    },
    Mutant {
        id: "covered-by-its-frame-unchecked",
        what: "an event that its frame does not cover is stored",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_frame_that_fails_half_way_leaves_no_trace"),
        ]),
    },
    Mutant {
        id: "own-events-beyond-history",
        what: "own events that were never written here are stored like any other",
        expected: Expected::Caught(&[
            MACHINES.case("apply::an_own_event_beyond_the_own_history_proves_a_loss"),
        ]),
    },
    Mutant {
        id: "contexts-beyond-history",
        what: "an event that has seen own events which were never written here is stored",
        expected: Expected::Caught(&[
            MACHINES.case("apply::what_has_seen_own_events_that_were_never_written_here_stalls_its_edge"),
        ]),
    },
    Mutant {
        id: "no-dedup",
        what: "what is held already is stored again",
        expected: Expected::Caught(&[
            MACHINES.case("apply::what_is_held_already_is_not_stored_again"),
        ]),
    },
    Mutant {
        id: "dedup-by-the-whole-vector",
        what: "what is held is dropped only if its whole context is covered, not by its own entry",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_lost_own_event_of_an_older_incarnation_comes_back"),
        ]),
    },
    Mutant {
        id: "voided-ids-stored-again",
        what: "what a late raise has taken back is stored again",
        expected: Expected::Caught(&[
            MACHINES.case("late::what_was_taken_back_is_never_stored_again_and_the_lost_original_is"),
        ]),
    },
    Mutant {
        id: "order-within-a-frame-unchecked",
        what: "an effect before its cause in one frame hides the cause",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_breach_of_the_source_stalls"),
        ]),
    },
    Mutant {
        id: "vv-merges-the-id-only",
        what: "the version vector takes over the ids of what is stored, not their contexts",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_breach_of_the_source_stalls"),
        ]),
    },
    Mutant {
        id: "kv-misses-what-is-stored",
        what: "the covered vector does not take over what is stored",
        expected: Expected::Caught(&[
            MACHINES.case("apply::chain_and_covered_vector_grow_with_what_is_stored_whatever_the_frame_covers"),
        ]),
    },
    Mutant {
        id: "chain-misses-received-events",
        what: "received events are not in the hash chain",
        expected: Expected::Caught(&[
            MACHINES.case("apply::chain_and_covered_vector_grow_with_what_is_stored_whatever_the_frame_covers"),
        ]),
    },
    Mutant {
        id: "hash-changes-without-events",
        what: "a frame that covers nothing may bring another hash",
        expected: Expected::Caught(&[
            MACHINES.case("apply::a_breach_of_the_source_stalls"),
        ]),
    },
    Mutant {
        id: "late-raise-voids-nothing",
        what: "a late raise does not publish what it takes back",
        expected: Expected::Caught(&[
            MACHINES.case("late::own_rows_above_the_proof_get_a_new_identity_in_their_order"),
        ]),
    },
    Mutant {
        id: "late-raise-keeps-what-had-seen-doubt",
        what: "a late raise keeps events that had seen an id in doubt",
        expected: Expected::Caught(&[
            MACHINES.case("late::own_rows_above_the_proof_get_a_new_identity_in_their_order"),
        ]),
    },
    Mutant {
        id: "late-raise-keeps-coverage",
        what: "a late raise goes on to cover what it takes back",
        expected: Expected::Caught(&[
            MACHINES.case("late::what_had_seen_an_id_in_doubt_leaves_with_all_that_follows_it_and_nothing_else_does"),
        ]),
    },
    Mutant {
        id: "late-raise-keeps-old-contexts",
        what: "what is appended anew has not seen what was appended anew before it",
        expected: Expected::Caught(&[
            MACHINES.case("late::what_a_row_had_seen_below_the_base_is_what_was_there_and_no_more"),
        ]),
    },
    Mutant {
        id: "late-raise-keeps-what-left",
        what: "what is appended anew goes on to have seen events that left",
        expected: Expected::Caught(&[
            MACHINES.case("late::what_a_row_had_seen_below_the_base_is_what_was_there_and_no_more"),
        ]),
    },
    Mutant {
        id: "empty-database-is-new",
        what: "an emptied database starts with incarnation 1 again",
        expected: Expected::Caught(&[
            CORE.case("witness::tests::an_emptied_database_of_a_known_location_raises"),
        ]),
    },
    Mutant {
        id: "witnessed-incarnation-ignored",
        what: "the incarnation that the witness knows is not compared: the database alone counts",
        expected: Expected::Caught(&[
            CORE.case("witness::tests::a_raise_that_only_one_of_both_knows_raises_though_head_and_hash_agree"),
        ]),
    },
    Mutant {
        id: "instance-without-start-proves",
        what: "the identity of a database proves continuity although it does not tell when it was started",
        expected: Expected::Caught(&[
            CORE.case("witness::tests::the_same_running_database_continues_unless_nothing_tells_when_it_started"),
        ]),
    },
    Mutant {
        id: "stale-witness-proves",
        what: "a witness of before the last raise proves continuity",
        expected: Expected::Caught(&[
            CORE.case("witness::tests::a_raise_that_only_one_of_both_knows_raises_though_head_and_hash_agree"),
        ]),
    },
    Mutant {
        id: "server-proves-an-unknown-incarnation",
        what: "the server that the witness knows proves an incarnation that it does not know",
        expected: Expected::Caught(&[
            CORE.case("witness::tests::a_server_that_holds_an_incarnation_that_the_witness_does_not_know_proves_nothing"),
        ]),
    },
    Mutant {
        id: "record-replaced-unseen",
        what: "a record is written whatever is there",
        expected: Expected::Caught(&[
            MACHINES.case("recorder::only_the_first_of_two_claims_finds_the_location_new"),
        ]),
    },
    Mutant {
        id: "later-record-passed-over",
        what: "a record that another process has made meanwhile is passed over",
        expected: Expected::Caught(&[
            MACHINES.case("recorder::who_has_decided_by_the_past_looks_again_and_sees_the_present"),
        ]),
    },
    Mutant {
        id: "folder-of-the-past-proves",
        what: "the folder of a pod counts although another writer was recorded since",
        expected: Expected::Caught(&[
            MACHINES.case("recorder::the_folder_of_a_pod_counts_until_somebody_else_is_recorded"),
        ]),
    },
    Mutant {
        id: "late-raise-takes-its-proof-along",
        what: "the record on which a late raise is made forgets what was proven",
        expected: Expected::Caught(&[
            MACHINES.case("recorder::what_is_recorded_stays_true_while_no_new_number_begins"),
        ]),
    },
    Mutant {
        id: "record-of-before-an-incarnation-proves",
        what: "a record proves continuity in an incarnation that only the folder of the pod knows",
        expected: Expected::Caught(&[
            MACHINES.case("recorder::a_record_of_before_an_incarnation_that_the_folder_knows_proves_nothing"),
        ]),
    },
    Mutant {
        id: "deleted-witness-never-was",
        what: "a witness that was deleted looks like one that never was",
        expected: Expected::Caught(&[
            MACHINES.case("recorder::a_witness_that_was_deleted_is_not_one_that_never_was"),
        ]),
    },
    Mutant {
        id: "no-raise",
        what: "nothing is raised after a loss",
        expected: Expected::Caught(&[
            CORE.case("witness::tests::a_clean_stop_counts_only_when_its_final_head_is_the_head"),
        ]),
    },
    Mutant {
        id: "witness-at-most-the-head-proves",
        what: "a witness that is not above the head proves continuity whatever is stored there",
        expected: Expected::Caught(&[
            CORE.case("witness::tests::a_committed_head_counts_when_its_hash_is_found_there"),
        ]),
    },
    Mutant {
        id: "incarnation-is-a-counter",
        what: "a new incarnation is the next number",
        expected: Expected::Caught(&[
            CORE.case("witness::tests::an_incarnation_is_above_all_known_ones_and_above_the_clock"),
        ]),
    },
    Mutant {
        id: "incarnation-within-one-second",
        what: "a new incarnation is the second of its raise, which two restores can share",
        expected: Expected::Caught(&[
            CORE.case("witness::tests::an_incarnation_is_above_all_known_ones_and_above_the_clock"),
        ]),
    },
];
