//! The wire between locations, who is let in, pauses, the ports of a location, and the bytes that are digested and sealed.

use super::programs::{
    ALGEBRA, ENDLESS, HANDSHAKES, LOCATION, PROPERTIES, PROTO, RULES, SERVER_WIRE, STREAMS,
};
use crate::mutant::{Expected, Killer, Mutant};

const fn caught(id: &'static str, what: &'static str, killers: &'static [Killer]) -> Mutant {
    Mutant {
        id,
        what,
        expected: Expected::Caught(killers),
    }
}

/// The mutants.
pub const MUTANTS: &[Mutant] = &[
    caught(
        "answers-without-bound",
        "whoever asks without reading is answered without bound",
        &[RULES.case("outbox::tests::whoever_takes_no_answers_is_not_listened_to")],
    ),
    caught(
        "heartbeats-pile-up",
        "heartbeats wait beside each other",
        &[RULES.case("outbox::tests::what_comes_again_and_again_waits_once_behind_everything_that_was_said_before")],
    ),
    caught(
        "filtered-incoming-edge-forgotten",
        "a loss beside an edge that only its source filters is called recovered",
        &[STREAMS.case("loss::so_does_one_whose_incoming_edge_is_filtered")],
    ),
    caught(
        "what-was-read-is-no-evidence",
        "a loss of events of others alone is told of nowhere",
        &[STREAMS.case("loss::a_location_without_own_events_says_so_by_what_was_read_of_it")],
    ),
    caught(
        "certificate-of-another-log",
        "a certificate for another log, namespace or trust domain counts",
        &[HANDSHAKES.case("another_log_namespace_domain_or_role_is_not_a_peer")],
    ),
    caught(
        "any-authority-vouches",
        "every known authority may vouch for every location",
        &[HANDSHAKES.case("an_authority_vouches_for_its_own_locations_only")],
    ),
    caught(
        "any-guest-let-in",
        "who comes is not compared with who may",
        &[HANDSHAKES.case("own_people_come_in_by_their_role")],
    ),
    caught(
        "certificate-of-a-connection-forgotten",
        "whose certificate a connection has shown is forgotten",
        &[LOCATION.case("secured::a_location_speaks_for_itself_only_and_over_an_edge_only")],
    ),
    caught(
        "unrecorded-writer-goes-on",
        "a writer of which the witness does not know goes on in the same incarnation",
        &[LOCATION.case("recorded::a_start_that_nobody_records_serves_in_an_incarnation_of_its_own")],
    ),
    Mutant {
        id: "new-without-a-grant",
        what: "an empty database is new though nobody has said so",
        expected: Expected::Equivalent {
            because: "its first incarnation is fixed at the witness before the database knows it, and a writer of which nobody knows takes one of its own",
            passes: &[
                LOCATION.case("recorded::an_empty_database_of_which_nobody_knows_whether_it_is_new_takes_a_later_incarnation"),
            ],
        },
    },
    caught(
        "certificate-not-compared",
        "a peer speaks for another location than its certificate names",
        &[STREAMS.case("hostile::a_peer_speaks_only_for_the_location_that_its_certificate_names")],
    ),
    caught(
        "meant-for-another-location",
        "a call for another log or location is served",
        &[STREAMS.case("hostile::a_call_that_begins_with_the_wrong_message_or_for_another_location_is_refused")],
    ),
    caught(
        "offer-of-another-protocol-taken",
        "an offer in another protocol is taken",
        &[STREAMS.case("doors::an_offer_in_another_protocol_is_refused_as_incompatible")],
    ),
    Mutant {
        id: "cut-peer-let-in",
        what: "a peer whose edge is cut is let in",
        expected: Expected::Equivalent {
            because: "the task of a cut edge breaks every connection that it is handed, so the door only does it earlier",
            passes: &[
                STREAMS.case("control::a_cut_breaks_the_socket_of_a_peer_that_would_keep_it"),
                STREAMS.case("control::a_cut_breaks_the_connection_itself_and_no_new_one_lasts"),
            ],
        },
    },
    caught(
        "pauses-do-not-grow",
        "pauses between attempts do not grow",
        &[RULES.case("backoff::tests::pauses_grow_to_the_maximum_within_their_jitter_and_start_anew_after_a_reset")],
    ),
    caught(
        "pauses-without-jitter",
        "peers that lost each other come back at the same moment",
        &[RULES.case("backoff::tests::two_that_lost_each_other_at_the_same_moment_do_not_come_back_at_the_same_moment")],
    ),
    caught(
        "pauses-never-start-anew",
        "pauses stay long after a stream that ran",
        &[RULES.case("backoff::tests::pauses_grow_to_the_maximum_within_their_jitter_and_start_anew_after_a_reset")],
    ),
    caught(
        "silent-target-kept",
        "a target that says nothing any more is kept",
        &[STREAMS.case("doors::a_target_that_says_nothing_any_more_is_let_go")],
    ),
    caught(
        "silent-source-kept",
        "a source that says nothing any more is kept",
        &[STREAMS.case("doors::a_source_that_says_nothing_any_more_is_let_go")],
    ),
    caught(
        "second-call-dropped",
        "a target that dials again loses both calls",
        &[STREAMS.case("doors::a_peer_that_dials_again_is_served_on_the_new_call")],
    ),
    caught(
        "heartbeat-loses-its-stall",
        "a heartbeat does not say why the source stands still",
        &[RULES.case("wire::tests::what_one_side_says_is_what_the_other_one_hears")],
    ),
    caught(
        "credit-loses-its-covered-vector",
        "a credit does not say what the target covers",
        &[RULES.case("wire::tests::what_one_side_says_is_what_the_other_one_hears")],
    ),
    caught(
        "refusal-loses-its-position",
        "a refusal over positions says to begin at the start",
        &[RULES.case("wire::tests::what_one_side_says_is_what_the_other_one_hears")],
    ),
    caught(
        "frame-loses-what-was-filtered",
        "a frame does not say how much its filter kept back",
        &[RULES.case("wire::tests::what_one_side_says_is_what_the_other_one_hears")],
    ),
    caught(
        "deadline-not-read",
        "the deadline of a client is not read",
        &[SERVER_WIRE.case("waiting::await_answers_at_its_deadline_and_names_what_is_missing")],
    ),
    caught(
        "stream-ends-without-a-word",
        "a stream of appends ends at a stop without saying so",
        &[SERVER_WIRE.case("stopping::streams_that_nobody_uses_do_not_hold_up_a_stop")],
    ),
    caught(
        "requests-in-flight-unbounded",
        "requests of a stream whose answers nobody reads are taken in without bound",
        &[ENDLESS.case("cases::a_client_that_appends_for_ever_and_reads_nothing_is_held_back")],
    ),
    caught(
        "watches-outlive-a-stop",
        "whoever watches the health holds up a stop",
        &[SERVER_WIRE.case("stopping::streams_that_nobody_uses_do_not_hold_up_a_stop")],
    ),
    caught(
        "oversize-in-words-of-the-library",
        "a message beyond the limit is refused without reason and numbers",
        &[LOCATION.case("oversize::a_request_beyond_the_limit_of_messages_is_told_so_in_a_unary_call")],
    ),
    caught(
        "configuration-of-another-location-applied",
        "the configuration of another location is put in force",
        &[SERVER_WIRE.case("admin::a_configuration_that_is_wrong_changes_nothing_and_is_told_by_field")],
    ),
    caught(
        "cut-where-a-network-is-needed",
        "an edge is cut by one call in earnest",
        &[LOCATION.case("edges::edges_are_cut_and_healed_on_a_development_network_only")],
    ),
    caught(
        "answers-for-another-log",
        "calls for another log are answered",
        &[SERVER_WIRE.case("refusals::a_log_that_is_not_served_is_found_by_no_call_of_an_application")],
    ),
    Mutant {
        id: "canonical-fields-in-any-order",
        what: "the order of fields is not looked at where they are split",
        expected: Expected::Equivalent {
            because: "fields are taken in the order of their tags, each once, and what is left over is refused",
            passes: &[
                ALGEBRA.case("whatever_the_decoder_accepts_encodes_back_to_the_same_bytes"),
                ALGEBRA.case("what_says_the_same_in_other_bytes_is_refused"),
                PROPERTIES.case("canonical_bytes_are_the_only_ones_of_an_event"),
            ],
        },
    },
    caught(
        "canonical-defaults-written-out",
        "one event has several encodings: a zero may be written out",
        &[ALGEBRA.case("what_says_the_same_in_other_bytes_is_refused")],
    ),
    caught(
        "canonical-vector-in-any-order",
        "one event has several encodings: the origins of its context in any order",
        &[ALGEBRA.case("what_says_the_same_in_other_bytes_is_refused")],
    ),
    caught(
        "canonical-map-in-any-order",
        "one event has several encodings: metadata in any order",
        &[ALGEBRA.case("what_says_the_same_in_other_bytes_is_refused")],
    ),
    caught(
        "canonical-bytes-behind-a-value",
        "one event has several encodings: bytes behind a value are passed over",
        &[ALGEBRA.case("what_says_the_same_in_other_bytes_is_refused")],
    ),
    caught(
        "canonical-without-delivery-id",
        "a field of the envelope is not digested",
        &[ALGEBRA.case("what_is_encoded_is_decoded_and_encodes_back")],
    ),
    caught(
        "checksum-not-compared",
        "a message that was changed on its way is taken for whole",
        &[
            PROTO.case("seal::tests::no_flipped_bit_and_no_missing_byte_is_taken_for_whole"),
            PROPERTIES.case("what_is_changed_on_its_way_is_never_taken_for_whole"),
        ],
    ),
    caught(
        "unsealed-messages-taken",
        "a message between locations without a checksum is taken",
        &[PROTO.case("seal::tests::no_flipped_bit_and_no_missing_byte_is_taken_for_whole")],
    ),
];
