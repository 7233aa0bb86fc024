//! Filters, what an edge lets through, and the planner.

use super::programs::{FILTER, PLANS, RULES, TOPOLOGY};
use crate::mutant::{Expected, Mutant};

/// The mutants.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        id: "error-drops-instead-of-stalling",
        what: "an event that a filter cannot judge is left out",
        expected: Expected::Caught(&[
            FILTER.case("language::what_an_error_means_is_explicit"),
        ]),
    },
    Mutant {
        id: "error-passes-instead-of-dropping",
        what: "an event that a filter cannot judge passes though it is to be dropped",
        expected: Expected::Caught(&[
            FILTER.case("language::what_an_error_means_is_explicit"),
        ]),
    },
    Mutant {
        id: "one-filter-of-several-is-enough",
        what: "an event passes if the last filter lets it pass",
        expected: Expected::Caught(&[
            FILTER.case("properties::a_set_does_not_depend_on_the_order_of_its_filters"),
        ]),
    },
    Mutant {
        id: "filters-in-the-order-written",
        what: "equal predicates have different hashes",
        expected: Expected::Caught(&[
            FILTER.case("sets::names_order_and_repetition_do_not_change_the_predicate"),
        ]),
    },
    Mutant {
        id: "export-filter-on-what-came-back",
        what: "the export filter judges own events that came back after a loss",
        expected: Expected::Caught(&[
            RULES.case("rules::tests::the_export_filter_judges_what_was_appended_here_and_nothing_else"),
        ]),
    },
    Mutant {
        id: "export-filter-on-events-of-others",
        what: "the export filter judges events of others",
        expected: Expected::Caught(&[
            RULES.case("rules::tests::the_export_filter_judges_what_was_appended_here_and_nothing_else"),
        ]),
    },
    Mutant {
        id: "export-filter-ignored",
        what: "the export filter lets everything through",
        expected: Expected::Caught(&[
            RULES.case("rules::tests::the_export_filter_judges_what_was_appended_here_and_nothing_else"),
        ]),
    },
    Mutant {
        id: "stall-wins-over-a-filter",
        what: "an edge stalls for an export filter though the link keeps the event back",
        expected: Expected::Caught(&[
            RULES.case("rules::tests::what_one_filter_keeps_back_for_sure_does_not_wait_for_the_other_one"),
        ]),
    },
    Mutant {
        id: "triangles-are-bridges",
        what: "a cycle of three is taken for bridges",
        expected: Expected::Caught(&[
            PLANS.case("rendering::dot_is_a_directed_graph_with_filters_and_components"),
        ]),
    },
    Mutant {
        id: "filters-of-a-cycle-may-differ",
        what: "edges of one cycle may filter differently",
        expected: Expected::Caught(&[
            PLANS.case("findings::refuses_different_filters_in_a_longer_cycle_of_several_links"),
        ]),
    },
    Mutant {
        id: "directions-may-differ",
        what: "the directions of a cycle may filter differently",
        expected: Expected::Caught(&[
            PLANS.case("findings::the_example_of_a_refusal_takes_a_long_way_round_when_the_shortest_one_meets_itself"),
        ]),
    },
    Mutant {
        id: "target-in-a-uniform-text",
        what: "a filter in a cycle may read `target` as long as its text is the same everywhere",
        expected: Expected::Caught(&[
            PLANS.case("findings::refuses_target_in_a_cycle_though_every_edge_has_the_same_text"),
        ]),
    },
    Mutant {
        id: "export-filter-may-read-target",
        what: "an export filter in a cycle may read `target`",
        expected: Expected::Caught(&[
            PLANS.case("findings::refuses_an_export_filter_that_reads_target_in_a_cycle_only"),
        ]),
    },
    Mutant {
        id: "ways-to-fail-are-alike",
        what: "filters that differ in onError count as the same",
        expected: Expected::Caught(&[
            PLANS.case("findings::refuses_the_same_expression_with_another_way_to_fail"),
        ]),
    },
    Mutant {
        id: "parallel-links",
        what: "two links may carry one edge",
        expected: Expected::Caught(&[
            PLANS.case("findings::refuses_an_edge_that_two_links_carry"),
        ]),
    },
    Mutant {
        id: "behind-includes-the-other-side",
        what: "what lies behind a source includes what lies behind the target",
        expected: Expected::Caught(&[
            PLANS.case("findings::errors_come_first_and_severity_follows_from_the_kind"),
        ]),
    },
    Mutant {
        id: "cycles-of-several-links-unseen",
        what: "a link that closes a cycle over a filtered bridge is accepted",
        expected: Expected::Caught(&[
            TOPOLOGY.case("graph::tests::two_pairs_share_a_block_iff_they_lie_on_one_cycle"),
        ]),
    },
    Mutant {
        id: "behind-is-the-source-alone",
        what: "what lies behind a source is the source alone",
        expected: Expected::Caught(&[
            PLANS.case("shapes::a_hub_can_only_send_or_only_receive"),
        ]),
    },
];
