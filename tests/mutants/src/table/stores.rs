//! Vectors, positions and clocks, and the stores that keep them.

use super::programs::{
    ALGEBRA, FLIPPED_BITS, MACHINES, MEMORY, MODEL, POSTGRES, SQLITE, SQLITE_WRITES,
};
use crate::mutant::{Expected, Mutant};

/// The mutants.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        id: "lost-positions-accepted",
        what: "a position that a raise has invalidated is accepted",
        expected: Expected::Caught(&[
            MODEL.case("position::tests::a_lost_position_stays_lost_when_the_log_has_grown_past_it"),
        ]),
    },
    Mutant {
        id: "newest-base-counts",
        what: "of several later incarnations the newest base counts instead of the lowest",
        expected: Expected::Caught(&[
            ALGEBRA.case("a_position_is_valid_iff_no_later_incarnation_began_below_it"),
        ]),
    },
    Mutant {
        id: "only-own-incarnations-compared",
        what: "incarnations that only the other side knows are not compared",
        expected: Expected::Caught(&[
            MACHINES.case("target::after_going_back_it_opens_there_even_when_the_view_is_late"),
        ]),
    },
    Mutant {
        id: "after-is-concurrent",
        what: "an effect compares as concurrent to its cause",
        expected: Expected::Caught(&[
            ALGEBRA.case("compare_is_a_strict_order_on_a_real_history"),
        ]),
    },
    Mutant {
        id: "any-time-drags-the-clock",
        what: "one wrong clock drags all others",
        expected: Expected::Caught(&[
            MACHINES.case("log::a_received_time_drags_the_clock_unless_it_is_too_far_ahead"),
        ]),
    },
    Mutant {
        id: "clock-follows-what-it-receives",
        what: "the clock falls back to a received time",
        expected: Expected::Caught(&[
            ALGEBRA.case("the_clock_never_runs_backwards"),
        ]),
    },
    Mutant {
        id: "chain-without-sequence",
        what: "the hash chain does not run over the sequence of an id",
        expected: Expected::Caught(&[
            MODEL.case("chain::tests::a_link_of_the_chain_depends_on_all_of_its_parts"),
        ]),
    },
    Mutant {
        id: "memory-lease-taken-while-held",
        what: "memory store: a lease is given away while it is held",
        expected: Expected::Caught(&[
            MEMORY.case("a_held_lease_is_refused_and_names_its_holder"),
        ]),
    },
    Mutant {
        id: "memory-guard-without-head",
        what: "memory store: the guard does not compare the head",
        expected: Expected::Caught(&[
            MEMORY.case("another_head_is_fenced_and_changes_nothing"),
        ]),
    },
    Mutant {
        id: "memory-guard-without-incarnation",
        what: "memory store: the guard does not compare the incarnation",
        expected: Expected::Caught(&[
            MEMORY.case("another_incarnation_is_fenced_and_changes_nothing"),
        ]),
    },
    Mutant {
        id: "memory-guard-without-nonce",
        what: "memory store: the guard does not compare the nonce",
        expected: Expected::Caught(&[
            MEMORY.case("a_writer_that_was_taken_over_after_its_lease_ran_out_never_writes_again"),
        ]),
    },
    Mutant {
        id: "memory-stores-an-id-twice",
        what: "memory store: an id is stored twice",
        expected: Expected::Caught(&[
            MEMORY.case("an_id_that_is_stored_is_refused_and_leaves_nothing_behind"),
        ]),
    },
    Mutant {
        id: "memory-rewrite-keeps-progress",
        what: "memory store: a late raise keeps progress",
        expected: Expected::Caught(&[
            MEMORY.case("a_rewrite_replaces_everything_above_its_base"),
        ]),
    },
    Mutant {
        id: "digest-not-checked",
        what: "an event that was altered in the database is served",
        expected: Expected::Caught(&[
            MEMORY.case("content_that_does_not_fit_its_digest_is_corrupted"),
        ]),
    },
    Mutant {
        id: "sqlite-head-unchecked",
        what: "vectors that SQLite lost are believed",
        expected: Expected::Caught(&[
            SQLITE.case("files::vectors_that_are_not_what_was_written_are_refused_before_anything_is_taken_for_held"),
        ]),
    },
    Mutant {
        id: "sqlite-guard-without-head",
        what: "SQLite: the guard does not compare the head",
        expected: Expected::Caught(&[
            SQLITE.case("another_head_is_fenced_and_changes_nothing"),
        ]),
    },
    Mutant {
        id: "sqlite-guard-without-incarnation",
        what: "SQLite: the guard does not compare the incarnation",
        expected: Expected::Caught(&[
            SQLITE.case("another_incarnation_is_fenced_and_changes_nothing"),
        ]),
    },
    Mutant {
        id: "sqlite-guard-without-nonce",
        what: "SQLite: the guard does not compare the nonce",
        expected: Expected::Caught(&[
            SQLITE.case("nothing_is_written_without_a_lease"),
        ]),
    },
    Mutant {
        id: "sqlite-progress-left-out",
        what: "SQLite: progress is not part of the transaction",
        expected: Expected::Caught(&[
            SQLITE.case("a_batch_is_visible_as_a_whole_with_everything_it_changes"),
        ]),
    },
    Mutant {
        id: "sqlite-rewrite-keeps-progress",
        what: "SQLite: a late raise keeps progress",
        expected: Expected::Caught(&[
            SQLITE.case("a_rewrite_replaces_everything_above_its_base"),
        ]),
    },
    Mutant {
        id: "sqlite-rewrite-keeps-request-ids",
        what: "SQLite: a late raise keeps the request ids of what it takes back",
        expected: Expected::Caught(&[
            SQLITE.case("a_rewrite_forgets_what_it_replaced"),
        ]),
    },
    Mutant {
        id: "sqlite-chain-not-kept",
        what: "SQLite: the hash chain is not kept at the end of a batch",
        expected: Expected::Caught(&[
            SQLITE.case("checkpoints_lie_at_the_end_of_batches"),
        ]),
    },
    Mutant {
        id: "sqlite-doubt-not-settled",
        what: "SQLite: the state is told while it is open what became of a commit",
        expected: Expected::Caught(&[
            SQLITE_WRITES.case("write::tests::a_doubtful_log_is_overwritten_before_its_state_is_told"),
        ]),
    },
    Mutant {
        id: "sqlite-lease-taken-while-held",
        what: "SQLite: a lease is given away while it is held",
        expected: Expected::Caught(&[
            SQLITE.case("a_held_lease_is_refused_and_names_its_holder"),
        ]),
    },
    Mutant {
        id: "sqlite-earlier-nonces-not-fenced",
        what: "SQLite: a lease does not fence the writer before it",
        expected: Expected::Caught(&[
            SQLITE.case("a_batch_of_a_thousand_events_is_one_batch"),
        ]),
    },
    Mutant {
        id: "postgres-guard-without-incarnation",
        what: "PostgreSQL: the guard does not compare the incarnation",
        expected: Expected::Caught(&[
            POSTGRES.case("contract::another_incarnation_is_fenced_and_changes_nothing"),
        ]),
    },
    Mutant {
        id: "postgres-guard-without-nonce",
        what: "PostgreSQL: the guard does not compare the nonce",
        expected: Expected::Caught(&[
            POSTGRES.case("contract::another_nonce_is_fenced_and_changes_nothing"),
        ]),
    },
    Mutant {
        id: "postgres-head-unchecked",
        what: "a head and vectors that PostgreSQL lost are believed",
        expected: Expected::Caught(&[
            FLIPPED_BITS.case("postgres::a_flipped_bit_of_the_head_its_hash_or_its_vectors_is_refused"),
        ]),
    },
    Mutant {
        id: "postgres-guard-without-head",
        what: "PostgreSQL: the guard does not compare the head",
        expected: Expected::Caught(&[
            POSTGRES.case("contract::another_head_is_fenced_and_changes_nothing"),
        ]),
    },
    Mutant {
        id: "postgres-progress-left-out",
        what: "PostgreSQL: progress is not part of the transaction",
        expected: Expected::Caught(&[
            POSTGRES.case("contract::progress_of_one_source_leaves_the_others_alone"),
        ]),
    },
    Mutant {
        id: "postgres-another-database-goes-unnoticed",
        what: "PostgreSQL: a new connection to another database is used as if it were the old one",
        expected: Expected::Caught(&[
            POSTGRES.case("takeover::a_connection_to_another_database_than_the_lease_was_taken_in_stops_the_writer"),
        ]),
    },
    Mutant {
        id: "postgres-rewrite-keeps-progress",
        what: "PostgreSQL: a late raise keeps progress",
        expected: Expected::Caught(&[
            POSTGRES.case("contract::a_rewrite_replaces_everything_above_its_base"),
        ]),
    },
];
