//! The writer: queue, batches, outcomes.

use super::programs::MACHINES;
use crate::mutant::{Expected, Mutant};

/// The mutants.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        id: "planned-ahead-keeps-its-stamp",
        what: "what was planned ahead keeps a stamp that is not in force any more",
        expected: Expected::Caught(&[
            MACHINES.case("writer_ahead::events_are_stamped_with_what_holds_when_their_batch_is_written"),
        ]),
    },
    Mutant {
        id: "stop-drops-the-commit",
        what: "a stop from outside answers for a commit that is under way",
        expected: Expected::Caught(&[
            MACHINES.case("writer::a_stop_from_outside_waits_for_the_commit_under_way_and_for_nothing_else"),
        ]),
    },
    Mutant {
        id: "queue-unbounded",
        what: "the queue takes any number of requests",
        expected: Expected::Caught(&[
            MACHINES.case("writer::a_full_queue_refuses_by_number_and_by_bytes"),
        ]),
    },
    Mutant {
        id: "queue-bytes-unbounded",
        what: "the queue takes any number of bytes",
        expected: Expected::Caught(&[
            MACHINES.case("writer::a_full_queue_refuses_by_number_and_by_bytes"),
        ]),
    },
    Mutant {
        id: "batch-unbounded",
        what: "a batch takes whatever waits",
        expected: Expected::Caught(&[
            MACHINES.case("writer::batches_are_bounded_by_events_and_by_bytes_and_a_larger_request_goes_alone"),
        ]),
    },
    Mutant {
        id: "appends-starve-replication",
        what: "as long as requests wait no frame is applied",
        expected: Expected::Caught(&[
            MACHINES.case("writer::an_event_that_proves_a_loss_stops_the_writer"),
        ]),
    },
    Mutant {
        id: "answered-before-the-commit",
        what: "requests are answered when their batch is handed to the database",
        expected: Expected::Caught(&[
            MACHINES.case("writer::another_database_behind_the_connection_stops_the_writer_and_leaves_what_it_remembers_to_be_proven"),
        ]),
    },
    Mutant {
        id: "going-back-may-go-forward",
        what: "going back may raise the progress",
        expected: Expected::Caught(&[
            MACHINES.case("writer::going_back_lowers_the_progress_and_never_raises_it"),
        ]),
    },
    Mutant {
        id: "takes-over-the-incarnation-in-force",
        what: "covered entries of the incarnation in force are taken over from peers",
        expected: Expected::Caught(&[
            MACHINES.case("writer::taking_over_covers_own_closed_incarnations_only_and_writes_only_news"),
        ]),
    },
    Mutant {
        id: "next-batch-waits-for-answers",
        what: "the next batch is started only after the answers",
        expected: Expected::Caught(&[
            MACHINES.case("writer_ahead::the_next_batch_is_on_its_way_before_answers_go_out_but_after_the_witness_was_told"),
        ]),
    },
    Mutant {
        id: "planned-on-the-log-before",
        what: "what is planned ahead is planned on the log before the batch in flight",
        expected: Expected::Caught(&[
            MACHINES.case("writer_ahead::a_batch_planned_ahead_keeps_its_bounds_and_waits_for_nobody"),
        ]),
    },
    Mutant {
        id: "batch-ahead-unbounded",
        what: "what is planned ahead has no bound",
        expected: Expected::Caught(&[
            MACHINES.case("writer::batches_are_bounded_by_events_and_by_bytes_and_a_larger_request_goes_alone"),
        ]),
    },
    Mutant {
        id: "waiting-again-turns-round",
        what: "requests that have to wait again change their order",
        expected: Expected::Caught(&[
            MACHINES.case("writer_ahead::requests_that_ask_the_store_do_not_wait_behind_a_batch_that_has_room_for_them"),
        ]),
    },
    Mutant {
        id: "own-ids-not-compared",
        what: "another event under an id of this writer is dropped as if it were the same",
        expected: Expected::Caught(&[
            MACHINES.case("writer::another_event_under_an_id_of_this_writer_stops_it"),
        ]),
    },
    Mutant {
        id: "planned-ahead-outlives-a-failure",
        what: "what was planned on a batch that failed is committed",
        expected: Expected::Caught(&[
            MACHINES.case("writer_ahead::when_the_batch_in_flight_fails_the_others_wait_again_in_their_order"),
        ]),
    },
    Mutant {
        id: "fenced-writer-goes-on",
        what: "a writer that was fenced goes on",
        expected: Expected::Caught(&[
            MACHINES.case("writer::a_fenced_writer_never_writes_again"),
        ]),
    },
    Mutant {
        id: "unknown-is-failed",
        what: "an unknown outcome is answered as a failure",
        expected: Expected::Caught(&[
            MACHINES.case("writer_outcomes::a_commit_that_happened_is_answered_although_another_writer_has_gone_on"),
        ]),
    },
    Mutant {
        id: "unknown-is-committed",
        what: "an unknown outcome is answered as a success",
        expected: Expected::Caught(&[
            MACHINES.case("writer_outcomes::a_commit_that_happened_is_answered_although_another_writer_has_gone_on"),
        ]),
    },
    Mutant {
        id: "resolved-by-the-head-alone",
        what: "a batch counts as stored when the head has come so far",
        expected: Expected::Caught(&[
            MACHINES.case("writer_outcomes::a_head_that_another_writer_has_brought_so_far_does_not_tell_that_the_batch_is_there"),
        ]),
    },
    Mutant {
        id: "recovery-never-ends",
        what: "the end of recovery is forgotten with the next commit",
        expected: Expected::Caught(&[
            MACHINES.case("writer::recovery_that_ends_while_a_batch_is_in_flight_is_over"),
        ]),
    },
    Mutant {
        id: "witness-not-told",
        what: "a commit is answered without the witness knowing it",
        expected: Expected::Caught(&[
            MACHINES.case("writer_outcomes::an_unknown_commit_that_happened_is_answered_as_such"),
        ]),
    },
    Mutant {
        id: "replayed-from-a-failed-batch",
        what: "a retry is answered with events of a batch that failed",
        expected: Expected::Caught(&[
            MACHINES.case("writer::a_failed_commit_keeps_answers_that_do_not_depend_on_it"),
        ]),
    },
    Mutant {
        id: "failed-by-a-failed-batch",
        what: "a condition fails by an event of a batch that failed",
        expected: Expected::Caught(&[
            MACHINES.case("writer::a_failed_commit_keeps_answers_that_do_not_depend_on_it"),
        ]),
    },
    Mutant {
        id: "reused-identity-dropped",
        what: "another event under an id that is stored is dropped as if it were the same",
        expected: Expected::Caught(&[
            MACHINES.case("writer_outcomes::an_id_that_is_stored_already_with_equal_content_is_dropped_and_counted"),
        ]),
    },
    Mutant {
        id: "unknown-never-told",
        what: "a request whose outcome cannot be found out waits for ever",
        expected: Expected::Caught(&[
            MACHINES.case("writer_outcomes::a_request_that_was_refused_for_its_own_reasons_is_not_unknown"),
        ]),
    },
];
