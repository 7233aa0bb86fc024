//! Every finding, with its words.

use expect_test::{Expect, expect};
use tidelog_topology::{
    DialSide, ExportFilter, FindingKind, Link, Log, OnError, Severity, Topology,
};

use crate::fixtures::{both_ways, dense, filtered, findings, hub, log, one_way, paused, plan};

fn check(log: &Log, links: &[Link], expected: &Expect) {
    expected.assert_eq(&findings(&plan(log, links)));
}

#[test]
fn a_dense_log_has_nothing_to_report() {
    check(
        &log("eu us ap"),
        &[dense("core", "eu us ap")],
        &expect![[r#""#]],
    );
}

#[test]
fn refuses_a_filter_on_one_edge_of_a_cycle_and_tells_which_event_is_lost() {
    let link = filtered(
        dense("core", "eu us ap"),
        "no-audit",
        "eu -> us",
        "event.type != 'audit'",
    );
    check(
        &log("eu us ap"),
        &[link],
        &expect![[r#"
        Error FilteredCycle | component ap, eu, us | links [core]
          these locations are linked in a cycle, and their edges do not admit the same events: no filter on ap->eu, ap->us, eu->ap, us->ap, us->eu; no-audit `event.type != 'audit'` (Stall) on eu->us. Put the same filters on every edge between them, or filter events where they are appended (exportFilter), or take links away until the filtered edge is the only way between its two sides
          example: event 1, which `event.type != 'audit'` refuses, is appended at eu, then event 2, which it admits. Event 2 takes eu -> us while event 1 is still on its way by eu -> ap -> us. us stores event 2, whose context says that event 1 came before it, takes event 1 for a duplicate when it arrives and drops it: event 1 is lost at us
    "#]],
    );
}

#[test]
fn refuses_different_filters_in_a_longer_cycle_of_several_links() {
    check(
        &log("a b c d"),
        &[
            filtered(one_way("ab", "a", "b"), "f", "* -> *", "event.type == 'x'"),
            one_way("bd", "b", "d"),
            one_way("ac", "a", "c"),
            paused(one_way("cd", "c", "d")),
        ],
        &expect![[r#"
            Error FilteredCycle | component a, b, c, d | links [ab ac bd cd]
              these locations are linked in a cycle, and their edges do not admit the same events: no filter on a->c, b->d, c->d; f `event.type == 'x'` (Stall) on a->b. Put the same filters on every edge between them, or filter events where they are appended (exportFilter), or take links away until the filtered edge is the only way between its two sides
              example: event 1, which `event.type == 'x'` refuses, is appended at a, then event 2, which it admits. Event 2 takes a -> b -> d while event 1 is still on its way by a -> c -> d. d stores event 2, whose context says that event 1 came before it, takes event 1 for a duplicate when it arrives and drops it: event 1 is lost at d
        "#]],
    );
}

#[test]
fn refuses_a_cycle_whose_directions_lose_nothing_yet() {
    check(
        &log("a b c"),
        &[
            filtered(one_way("ab", "a", "b"), "f", "* -> *", "event.type == 'x'"),
            one_way("bc", "b", "c"),
            one_way("ca", "c", "a"),
        ],
        &expect![[r#"
            Error FilteredCycle | component a, b, c | links [ab bc ca]
              these locations are linked in a cycle, and their edges do not admit the same events: no filter on b->c, c->a; f `event.type == 'x'` (Stall) on a->b. Put the same filters on every edge between them, or filter events where they are appended (exportFilter), or take links away until the filtered edge is the only way between its two sides
              example: no event is lost while the edges run only this way; an edge in the other direction could change that, so the rule does not look at directions
        "#]],
    );
}

#[test]
fn the_example_of_a_refusal_takes_a_long_way_round_when_the_shortest_one_meets_itself() {
    // From d the nearest way to b, where the filtered edge begins, leads over its end.
    check(
        &log("a b c d"),
        &[
            filtered(
                both_ways("ba", "b", "a"),
                "f",
                "b -> a",
                "event.type == 'x'",
            ),
            one_way("da", "d", "a"),
            one_way("cb", "c", "b"),
            one_way("dc", "d", "c"),
        ],
        &expect![[r#"
            Error FilteredCycle | component a, b, c, d | links [ba cb da dc]
              these locations are linked in a cycle, and their edges do not admit the same events: no filter on a->b, c->b, d->a, d->c; f `event.type == 'x'` (Stall) on b->a. Put the same filters on every edge between them, or filter events where they are appended (exportFilter), or take links away until the filtered edge is the only way between its two sides
              example: event 1, which `event.type == 'x'` refuses, is appended at d, then event 2, which it admits. Event 2 takes d -> c -> b -> a while event 1 is still on its way by d -> a. a stores event 2, whose context says that event 1 came before it, takes event 1 for a duplicate when it arrives and drops it: event 1 is lost at a
        "#]],
    );
}

#[test]
fn refuses_the_same_expression_with_another_way_to_fail() {
    let mut link = filtered(dense("core", "a b c"), "f", "a -> *", "event.type == 'x'");
    link = filtered(link, "g", "b c -> *", "event.type == 'x'");
    link.filters[1].on_error = OnError::Drop;
    check(
        &log("a b c"),
        &[link],
        &expect![[r#"
        Error FilteredCycle | component a, b, c | links [core]
          these locations are linked in a cycle, and their edges do not admit the same events: f `event.type == 'x'` (Stall) on a->b, a->c; g `event.type == 'x'` (Drop) on b->a, b->c, c->a, c->b. Put the same filters on every edge between them, or filter events where they are appended (exportFilter), or take links away until the filtered edge is the only way between its two sides
          example: event 1, which `event.type == 'x'` refuses, is appended at c, then event 2, which it admits. Event 2 takes c -> a -> b while event 1 is still on its way by c -> b. b stores event 2, whose context says that event 1 came before it, takes event 1 for a duplicate when it arrives and drops it: event 1 is lost at b
    "#]],
    );
}

#[test]
fn refuses_target_in_a_cycle_though_every_edge_has_the_same_text() {
    let cel = "has(event.metadata.to) && event.metadata.to == target";
    check(
        &log("a b c"),
        &[filtered(dense("core", "a b c"), "own", "* -> *", cel)],
        &expect![[r#"
            Error FilteredCycle | component a, b, c | links [core]
              these locations are linked in a cycle, and filter own reads `source` or `target`, so it admits different events on different edges. Put the same filters on every edge between them, or filter events where they are appended (exportFilter), or take links away until the filtered edge is the only way between its two sides
              example: event 1, which `has(event.metadata.to) && event.metadata.to == target` refuses on a->b and admits elsewhere, is appended at a, then event 2, which it admits. Event 2 takes a -> b while event 1 is still on its way by a -> c -> b. b stores event 2, whose context says that event 1 came before it, takes event 1 for a duplicate when it arrives and drops it: event 1 is lost at b
        "#]],
    );
}

#[test]
fn accepts_the_same_filter_on_every_edge_of_a_cycle() {
    let link = filtered(dense("core", "a b c"), "f", "* -> *", "event.type == 'x'");
    check(&log("a b c"), &[link], &expect![[r#""#]]);
}

#[test]
fn refuses_an_export_filter_that_reads_target_in_a_cycle_only() {
    let filter = ExportFilter {
        cel: "target != 'b'".to_owned(),
        on_error: OnError::Stall,
    };
    let mut log = log("a b c");
    log.locations[0].export_filter = Some(filter);
    check(
        &log,
        &[dense("core", "a b c")],
        &expect![[r#"
        Error FilteredCycle | location a | links []
          its export filter reads `target`, and a, b, c are linked in a cycle: an event that may go to one of them and not to another is overtaken by its effects and lost. Leave `target` out of the filter
    "#]],
    );
    check(
        &log,
        &[hub("star", "a", "b c")],
        &expect![[r#"
            Warning SinglePointOfFailure | log orders | links []
              only one location connects some others with the rest: a (for b, c). While it is away they keep working and catch up later; a second link around it would keep them connected
        "#]],
    );
}

#[test]
fn refuses_an_edge_that_two_links_carry() {
    check(
        &log("a b c"),
        &[dense("core", "a b c"), both_ways("again", "a", "b")],
        &expect![[r#"
            Error DuplicateEdge | link core | links [again core]
              a->b, b->a are already part of link again; between two locations there is at most one edge per direction, two with different filters would lose events; take the locations out of one of the links
        "#]],
    );
}

#[test]
fn refuses_locations_that_the_log_does_not_have() {
    let link = filtered(dense("core", "eu us mars"), "f", "venus -> *", "true");
    check(
        &log("eu us"),
        &[link],
        &expect![[r#"
        Error UnknownLocation | link core | links [core]
          mars is not a location of log orders, which has eu, us; add it to the EventLog or correct the link
        Error UnknownLocation | link core filter f | links [core]
          venus is not a location of log orders, which has eu, us; add it to the EventLog or correct the link
    "#]],
    );
}

#[test]
fn refuses_what_nobody_can_dial() {
    let mut stores = hub("stores", "s1", "s2 eu");
    if let Topology::HubAndSpoke { dial, .. } = &mut stores.topology {
        *dial = DialSide::Spoke;
    }
    check(
        &log("eu s1! s2! s3!"),
        &[stores, one_way("p", "s2", "s3")],
        &expect![[r#"
            Error NoEndpoint | link p | links [p]
              nobody can open the connection of s2->s3; give one of the two locations of each an endpoint
            Error NoEndpoint | link stores | links [stores]
              nobody can open the connection of eu->s1, s1->eu, s1->s2, s2->s1; the spokes dial, so give s1 an endpoint
            Warning SinglePointOfFailure | log orders | links []
              only one location connects some others with the rest: s1 (for eu), s2 (for s3). While it is away they keep working and catch up later; a second link around it would keep them connected
        "#]],
    );
}

#[test]
fn refuses_shapes_that_contradict_themselves() {
    check(
        &log("a b"),
        &[
            one_way("self", "a", "a"),
            hub("hub", "b", "b a"),
            dense("lonely", "a a"),
            hub("bare", "a", ""),
        ],
        &expect![[r#"
            Error InvalidTopology | link bare | links [bare]
              hubAndSpoke needs one or more spokes
            Error InvalidTopology | link hub | links [hub]
              the hub b is not one of its own spokes; take it out of spokes
            Error InvalidTopology | link lonely | links [lonely]
              dense needs two or more different locations
            Error InvalidTopology | link self | links [self]
              source and target are two locations, here both are a
        "#]],
    );
}

#[test]
fn refuses_names_that_occur_twice() {
    check(
        &log("a b a"),
        &[one_way("l", "a", "b"), one_way("l", "b", "a")],
        &expect![[r#"
            Error DuplicateLocation | location a | links []
              log orders lists it more than once; a name is a key of every clock
            Error DuplicateLink | link l | links [l]
              log orders has more than one link of this name; rename or remove one
        "#]],
    );
}

#[test]
fn refuses_a_filter_that_does_not_compile_and_warns_of_unguarded_keys_and_of_filters_on_no_edge() {
    let link = filtered(hub("l", "a", "b c"), "broken", "a -> b", "(((");
    let link = filtered(link, "open", "a -> c", "event.metadata.store == 'c'");
    let link = filtered(link, "idle", "b -> c", "true");
    check(
        &log("a b c"),
        &[link],
        &expect![[r#"
            Error InvalidFilter | link l filter broken | links [l]
              filter `broken`, line 1, column 4: not a CEL expression: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
            Warning UnguardedKey | link l filter open | links [l]
              event.metadata.store may be absent, and then the edge stalls; guard each with has(...)
              example: has(event.metadata.store) && (event.metadata.store == 'c')
            Warning UnusedFilter | link l filter idle | links [l]
              no edge of this link starts at one of its sources and ends at one of its targets, so it filters nothing
            Warning SinglePointOfFailure | log orders | links []
              only one location connects some others with the rest: a (for b, c). While it is away they keep working and catch up later; a second link around it would keep them connected
        "#]],
    );
}

#[test]
fn warns_once_of_locations_that_carry_others_and_of_locations_without_link() {
    check(
        &log("a b c d e f x y z"),
        &[
            dense("core", "a b c"),
            hub("around-c", "c", "d e"),
            one_way("e", "e", "f"),
            one_way("xy", "x", "y"),
        ],
        &expect![[r#"
            Warning SinglePointOfFailure | log orders | links []
              only one location connects some others with the rest: c (for a, b, d, e, f), e (for f). While it is away they keep working and catch up later; a second link around it would keep them connected
            Warning Disconnected | log orders | links []
              no link connects {a, b, c, d, e, f}, {x, y}, {z}: events of one of these sets never reach the others
        "#]],
    );
}

#[test]
fn a_single_location_needs_no_link() {
    check(&log("a"), &[], &expect![[r#""#]]);
}

#[test]
fn long_lists_are_shortened() {
    let locations: Vec<String> = (1..=12).map(|at| format!("s{at:02}")).collect();
    check(
        &log(&format!("hub {}", locations.join(" "))),
        &[hub("l", "hub", &locations.join(" "))],
        &expect![[r#"
            Warning SinglePointOfFailure | log orders | links []
              only one location connects some others with the rest: hub (for s01, s02, s03, s04, s05, s06 and 6 more). While it is away they keep working and catch up later; a second link around it would keep them connected
        "#]],
    );
}

#[test]
fn errors_come_first_and_severity_follows_from_the_kind() {
    let link = filtered(hub("l", "a", "b c"), "broken", "a -> b", "(((");
    let plan = plan(&log("a b c"), &[link]);
    let severities: Vec<_> = plan
        .findings
        .iter()
        .map(|finding| finding.severity)
        .collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning]);
    assert!(!plan.is_accepted());
    assert_eq!(
        plan.errors().map(|f| f.kind).collect::<Vec<_>>(),
        [FindingKind::InvalidFilter]
    );
    assert_eq!(
        plan.warnings().map(|f| f.kind).collect::<Vec<_>>(),
        [FindingKind::SinglePointOfFailure]
    );
}
