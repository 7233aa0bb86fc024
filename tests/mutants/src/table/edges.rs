//! Source and target of an edge.

use super::programs::MACHINES;
use crate::mutant::{Expected, Mutant};

/// The mutants.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        id: "credits-of-other-streams",
        what: "a source takes credits and vectors of other streams",
        expected: Expected::Caught(&[
            MACHINES.case("source::what_the_target_declared_on_this_stream_is_left_out_before_filter_and_gate"),
        ]),
    },
    Mutant {
        id: "source-stream-outlives-a-raise",
        what: "a stream outlives a raise of its source",
        expected: Expected::Caught(&[
            MACHINES.case("source::a_raise_ends_the_stream"),
        ]),
    },
    Mutant {
        id: "page-of-another-place",
        what: "a page that was asked for by an earlier stream is taken",
        expected: Expected::Caught(&[
            MACHINES.case("source_frames::a_page_that_was_asked_for_by_an_earlier_stream_changes_nothing"),
        ]),
    },
    Mutant {
        id: "acknowledged-beyond-what-was-sent",
        what: "a target can acknowledge what it was never sent",
        expected: Expected::Caught(&[
            MACHINES.case("source_frames::nothing_is_acknowledged_that_was_not_sent"),
        ]),
    },
    Mutant {
        id: "lineages-not-compared",
        what: "lineages are not compared when a stream is opened",
        expected: Expected::Caught(&[
            MACHINES.case("source_handshake::one_incarnation_with_two_bases_goes_back_to_the_lower"),
        ]),
    },
    Mutant {
        id: "head-proposed-beyond-the-head",
        what: "who stands beyond the head is sent to the head instead of the start",
        expected: Expected::Caught(&[
            MACHINES.case("source_handshake::beyond_the_head_of_the_same_lineage_nothing_is_certain_but_the_start"),
        ]),
    },
    Mutant {
        id: "no-late-detection",
        what: "a target that holds more of the source than the source wrote is served",
        expected: Expected::Caught(&[
            MACHINES.case("source_handshake::a_target_that_holds_more_of_me_than_i_wrote_is_asked_for_proof_once_an_hour"),
        ]),
    },
    Mutant {
        id: "later-incarnation-ignored",
        what: "a target that has heard of a later incarnation is served",
        expected: Expected::Caught(&[
            MACHINES.case("source_handshake::a_later_incarnation_is_asked_about_when_something_of_it_is_stored_and_refused_otherwise"),
        ]),
    },
    Mutant {
        id: "claims-without-end",
        what: "a peer may claim a loss as often as it likes",
        expected: Expected::Caught(&[
            MACHINES.case("source_handshake::a_target_that_holds_more_of_me_than_i_wrote_is_asked_for_proof_once_an_hour"),
        ]),
    },
    Mutant {
        id: "hash-at-open-ignored",
        what: "a stream is opened although the hashes at its position differ",
        expected: Expected::Caught(&[
            MACHINES.case("source_handshake::another_hash_at_a_position_that_should_be_shared_goes_back_to_the_start"),
        ]),
    },
    Mutant {
        id: "any-event-proves-a-loss",
        what: "a source raises for an event that proves nothing",
        expected: Expected::Caught(&[
            MACHINES.case("source_handshake::an_event_that_is_held_here_or_is_somebody_elses_proves_nothing"),
        ]),
    },
    Mutant {
        id: "skips-what-is-only-covered",
        what: "a source leaves out what the target covers without storing it",
        expected: Expected::Caught(&[
            MACHINES.case("source_frames::what_is_covered_at_the_target_and_not_stored_is_sent"),
        ]),
    },
    Mutant {
        id: "unpublished-events-sent",
        what: "what is stored and not published is sent",
        expected: Expected::Caught(&[
            MACHINES.case("source::what_is_not_published_is_not_sent"),
        ]),
    },
    Mutant {
        id: "gap-in-a-page-sent",
        what: "a page with a gap is sent",
        expected: Expected::Caught(&[
            MACHINES.case("source_frames::a_page_with_a_gap_is_not_sent_though_its_end_is_not_the_head"),
        ]),
    },
    Mutant {
        id: "own-events-forwarded-only",
        what: "a source does not forward events of others",
        expected: Expected::Caught(&[
            MACHINES.case("source_frames::events_of_others_are_forwarded_among_own_ones_in_the_order_of_the_log"),
        ]),
    },
    Mutant {
        id: "gate-skips",
        what: "events of newer versions are left out instead of waiting for the upgrade",
        expected: Expected::Caught(&[
            MACHINES.case("source::the_first_event_of_a_newer_version_stops_the_stream_before_it"),
        ]),
    },
    Mutant {
        id: "gate-by-the-version-of-the-source",
        what: "the gate looks at the version of the source instead of the one that wrote the event",
        expected: Expected::Caught(&[
            MACHINES.case("source::the_first_event_of_a_newer_version_stops_the_stream_before_it"),
        ]),
    },
    Mutant {
        id: "no-gate",
        what: "events of newer versions are sent",
        expected: Expected::Caught(&[
            MACHINES.case("source::the_first_event_of_a_newer_version_stops_the_stream_before_it"),
        ]),
    },
    Mutant {
        id: "filter-ignored",
        what: "what the filter keeps back is sent",
        expected: Expected::Caught(&[
            MACHINES.case("source::many_rows_without_anything_to_send_are_told_at_once"),
        ]),
    },
    Mutant {
        id: "frame-unbounded",
        what: "a frame takes any number of events and bytes",
        expected: Expected::Caught(&[
            MACHINES.case("source::a_large_event_travels_alone"),
        ]),
    },
    Mutant {
        id: "filter-error-skips",
        what: "an event that the filter cannot judge is left out",
        expected: Expected::Caught(&[
            MACHINES.case("source::a_filter_error_stops_the_stream_before_the_event_and_tells_how_far_it_came"),
        ]),
    },
    Mutant {
        id: "scanned-chain-unchecked",
        what: "what was read is sent although its hash chain is not that of the log",
        expected: Expected::Caught(&[
            MACHINES.case("source::a_page_that_is_not_the_log_ends_the_stream_instead_of_being_sent"),
        ]),
    },
    Mutant {
        id: "frame-in-another-order",
        what: "a frame holds its events in another order than the log",
        expected: Expected::Caught(&[
            MACHINES.case("source_frames::events_of_others_are_forwarded_among_own_ones_in_the_order_of_the_log"),
        ]),
    },
    Mutant {
        id: "kv-later-than-its-head",
        what: "a frame carries a covered vector that is newer than its end",
        expected: Expected::Caught(&[
            MACHINES.case("source::the_covered_vector_travels_only_with_the_frame_that_ends_at_its_head"),
        ]),
    },
    Mutant {
        id: "frames-overlap",
        what: "frames begin where the stream began",
        expected: Expected::Caught(&[
            MACHINES.case("source::a_large_event_travels_alone"),
        ]),
    },
    Mutant {
        id: "credit-never-used-up",
        what: "a source sends without credit",
        expected: Expected::Caught(&[
            MACHINES.case("source::several_frames_are_in_flight_until_the_credit_is_used_up"),
        ]),
    },
    Mutant {
        id: "news-that-nobody-takes",
        what: "vectors are told alone for entries that the target does not take",
        expected: Expected::Caught(&[
            MACHINES.case("source::vectors_alone_are_told_only_when_they_are_news_and_once"),
        ]),
    },
    Mutant {
        id: "kv-never-told-alone",
        what: "vectors are never told without events",
        expected: Expected::Caught(&[
            MACHINES.case("source::vectors_alone_are_told_only_when_they_are_news_and_once"),
        ]),
    },
    Mutant {
        id: "kv-told-again-and-again",
        what: "vectors that were told are told again",
        expected: Expected::Caught(&[
            MACHINES.case("source::news_that_the_target_declares_while_they_wait_are_not_told"),
        ]),
    },
    Mutant {
        id: "frames-of-other-streams",
        what: "frames of other streams are applied",
        expected: Expected::Caught(&[
            MACHINES.case("target::other_streams_and_other_incarnations_are_ignored"),
        ]),
    },
    Mutant {
        id: "frames-of-other-incarnations",
        what: "frames of another incarnation than the stream's are applied",
        expected: Expected::Caught(&[
            MACHINES.case("target::other_streams_and_other_incarnations_are_ignored"),
        ]),
    },
    Mutant {
        id: "window-unbounded",
        what: "a source that ignores its credit fills the memory of the target",
        expected: Expected::Caught(&[
            MACHINES.case("target::a_source_that_ignores_its_credit_is_cut_off"),
        ]),
    },
    Mutant {
        id: "two-frames-with-the-writer",
        what: "the next frame is handed to the writer before the one before is decided",
        expected: Expected::Caught(&[
            MACHINES.case("target::one_frame_at_a_time_is_with_the_writer"),
        ]),
    },
    Mutant {
        id: "goes-on-after-a-failed-frame",
        what: "a stream goes on after a frame that could not be stored",
        expected: Expected::Caught(&[
            MACHINES.case("target::each_outcome_has_its_pause_and_nothing_later_of_the_stream_is_applied"),
        ]),
    },
    Mutant {
        id: "dropped-frame-keeps-its-credit",
        what: "the credit of a dropped frame is not given back",
        expected: Expected::Caught(&[
            MACHINES.case("target::a_frame_of_before_that_is_applied_while_the_stream_opens_does_no_harm"),
        ]),
    },
    Mutant {
        id: "vector-never-declared-anew",
        what: "the target never declares anew what it holds",
        expected: Expected::Caught(&[
            MACHINES.case("target::answer_and_view_may_come_in_either_order"),
        ]),
    },
    Mutant {
        id: "target-stream-outlives-a-raise",
        what: "a stream outlives a raise of its target",
        expected: Expected::Caught(&[
            MACHINES.case("target::an_own_raise_ends_the_stream_once"),
        ]),
    },
    Mutant {
        id: "went-back-outlives-the-writer",
        what: "a target insists on where it went back to, whatever the writer says",
        expected: Expected::Caught(&[
            MACHINES.case("target::the_writer_knows_better_where_the_progress_is"),
        ]),
    },
    Mutant {
        id: "late-raise-at-what-was-proven",
        what: "peers go back to what a start took for proven after a loss that nobody had noticed",
        expected: Expected::Caught(&[
            MACHINES.case("late::peers_and_readers_go_back_to_where_both_histories_are_the_same_for_sure"),
        ]),
    },
    Mutant {
        id: "consent-for-another-stream",
        what: "the consent to another stream opens this one",
        expected: Expected::Caught(&[
            MACHINES.case("target::consent_for_another_stream_or_another_position_is_none"),
        ]),
    },
    Mutant {
        id: "consent-for-another-position",
        what: "a stream runs from another position than was asked for",
        expected: Expected::Caught(&[
            MACHINES.case("target::consent_for_another_stream_or_another_position_is_none"),
        ]),
    },
    Mutant {
        id: "voided-ids-not-looked-for",
        what: "what the source has taken back is not looked for",
        expected: Expected::Caught(&[
            MACHINES.case("target::what_its_source_took_back_is_looked_for_before_anything_is_applied"),
        ]),
    },
    Mutant {
        id: "goes-back-to-what-is-proposed",
        what: "a target goes back to any position that is proposed",
        expected: Expected::Caught(&[
            MACHINES.case("target::what_is_not_certain_to_be_shared_goes_back_to_the_start"),
        ]),
    },
    Mutant {
        id: "known-incarnation-untold",
        what: "a target does not tell which incarnation of the source it has heard of",
        expected: Expected::Caught(&[
            MACHINES.case("target::it_opens_where_the_log_says_and_tells_what_it_knows"),
        ]),
    },
];
