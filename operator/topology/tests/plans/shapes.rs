//! Every shape and its edges.

use expect_test::{Expect, expect};
use tidelog_topology::{DialSide, HubDirection, Link, Log, Planner, Topology};

use crate::fixtures::{both_ways, dense, edges, filtered, hub, log, one_way, paused, plan};

fn check(log: &Log, links: &[Link], expected: &Expect) {
    let plan = plan(log, links);
    assert!(plan.is_accepted(), "{:?}", plan.findings);
    expected.assert_eq(&edges(&plan));
}

#[test]
fn dense_copies_from_each_to_each() {
    check(
        &log("eu us ap"),
        &[dense("core", "eu us ap")],
        &expect![[r#"
        ap->eu of core: Target dials ap.example.com:7443, filters [], behind [ap us]
        ap->us of core: Target dials ap.example.com:7443, filters [], behind [ap eu]
        eu->ap of core: Target dials eu.example.com:7443, filters [], behind [eu us]
        eu->us of core: Target dials eu.example.com:7443, filters [], behind [ap eu]
        us->ap of core: Target dials us.example.com:7443, filters [], behind [eu us]
        us->eu of core: Target dials us.example.com:7443, filters [], behind [ap us]
        component ap eu us: 6 edges
    "#]],
    );
}

#[test]
fn two_locations_are_a_bridge_in_both_directions() {
    check(
        &log("eu us"),
        &[dense("core", "us eu")],
        &expect![[r#"
        eu->us of core: Target dials eu.example.com:7443, filters [], behind [eu]
        us->eu of core: Target dials us.example.com:7443, filters [], behind [us]
        bridge eu us: 2 edges
    "#]],
    );
}

#[test]
fn a_hub_is_dialled_by_spokes_without_endpoint() {
    check(
        &log("eu s1! s2!"),
        &[hub("stores", "eu", "s1 s2")],
        &expect![[r#"
            eu->s1 of stores: Target dials eu.example.com:7443, filters [], behind [eu s2]
            eu->s2 of stores: Target dials eu.example.com:7443, filters [], behind [eu s1]
            s1->eu of stores: Source dials eu.example.com:7443, filters [], behind [s1]
            s2->eu of stores: Source dials eu.example.com:7443, filters [], behind [s2]
            bridge eu s1: 2 edges
            bridge eu s2: 2 edges
        "#]],
    );
}

#[test]
fn spokes_dial_both_ways_when_the_link_says_so() {
    let mut link = hub("stores", "eu", "s1");
    if let Topology::HubAndSpoke { dial, .. } = &mut link.topology {
        *dial = DialSide::Spoke;
    }
    check(
        &log("eu s1"),
        &[link],
        &expect![[r#"
        eu->s1 of stores: Target dials eu.example.com:7443, filters [], behind [eu]
        s1->eu of stores: Source dials eu.example.com:7443, filters [], behind [s1]
        bridge eu s1: 2 edges
    "#]],
    );
}

#[test]
fn a_hub_can_only_send_or_only_receive() {
    for (way, expected) in [
        (
            HubDirection::HubToSpokes,
            expect![[r#"
            eu->s1 of stores: Target dials eu.example.com:7443, filters [], behind [eu s2]
            eu->s2 of stores: Target dials eu.example.com:7443, filters [], behind [eu s1]
            bridge eu s1: 1 edges
            bridge eu s2: 1 edges
        "#]],
        ),
        (
            HubDirection::SpokesToHub,
            expect![[r#"
            s1->eu of stores: Target dials s1.example.com:7443, filters [], behind [s1]
            s2->eu of stores: Target dials s2.example.com:7443, filters [], behind [s2]
            bridge eu s1: 1 edges
            bridge eu s2: 1 edges
        "#]],
        ),
    ] {
        let mut link = hub("stores", "eu", "s1 s2");
        if let Topology::HubAndSpoke { direction, .. } = &mut link.topology {
            *direction = way;
        }
        check(&log("eu s1 s2"), &[link], &expected);
    }
}

#[test]
fn point_to_point_runs_one_way_or_both() {
    check(
        &log("eu audit us"),
        &[one_way("audit", "eu", "audit"), both_ways("us", "eu", "us")],
        &expect![[r#"
            eu->audit of audit: Target dials eu.example.com:7443, filters [], behind [eu us]
            eu->us of us: Target dials eu.example.com:7443, filters [], behind [audit eu]
            us->eu of us: Target dials us.example.com:7443, filters [], behind [us]
            bridge audit eu: 1 edges
            bridge eu us: 2 edges
        "#]],
    );
}

#[test]
fn links_add_up_and_what_lies_behind_a_source_follows_from_all_of_them() {
    check(
        &log("eu us ap s1! s2!"),
        &[
            dense("core", "eu us ap"),
            filtered(
                hub("stores", "eu", "s1 s2"),
                "own",
                "eu -> *",
                "has(event.metadata.store) && event.metadata.store == target",
            ),
        ],
        &expect![[r#"
            ap->eu of core: Target dials ap.example.com:7443, filters [], behind [ap us]
            ap->us of core: Target dials ap.example.com:7443, filters [], behind [ap eu s1 s2]
            eu->ap of core: Target dials eu.example.com:7443, filters [], behind [eu s1 s2 us]
            eu->s1 of stores: Target dials eu.example.com:7443, filters [own], behind [ap eu s2 us]
            eu->s2 of stores: Target dials eu.example.com:7443, filters [own], behind [ap eu s1 us]
            eu->us of core: Target dials eu.example.com:7443, filters [], behind [ap eu s1 s2]
            s1->eu of stores: Source dials eu.example.com:7443, filters [], behind [s1]
            s2->eu of stores: Source dials eu.example.com:7443, filters [], behind [s2]
            us->ap of core: Target dials us.example.com:7443, filters [], behind [eu s1 s2 us]
            us->eu of core: Target dials us.example.com:7443, filters [], behind [ap us]
            component ap eu us: 6 edges
            bridge eu s1: 2 edges filtered
            bridge eu s2: 2 edges filtered
        "#]],
    );
}

#[test]
fn paused_links_count_for_components_and_for_what_lies_behind() {
    check(
        &log("a b c"),
        &[
            both_ways("ab", "a", "b"),
            both_ways("bc", "b", "c"),
            paused(both_ways("ca", "c", "a")),
        ],
        &expect![[r#"
            a->b of ab: Target dials a.example.com:7443, filters [], behind [a c]
            a->c of ca: Target dials a.example.com:7443, filters [], behind [a b], paused
            b->a of ab: Target dials b.example.com:7443, filters [], behind [b c]
            b->c of bc: Target dials b.example.com:7443, filters [], behind [a b]
            c->a of ca: Target dials c.example.com:7443, filters [], behind [b c], paused
            c->b of bc: Target dials c.example.com:7443, filters [], behind [a c]
            component a b c: 6 edges
        "#]],
    );
}

#[test]
fn two_cycles_that_share_one_location_are_two_components() {
    check(
        &log("a b c d e"),
        &[
            dense("abc", "a b c"),
            filtered(dense("cde", "c d e"), "f", "* -> *", "event.type == 'x'"),
        ],
        &expect![[r#"
            a->b of abc: Target dials a.example.com:7443, filters [], behind [a c d e]
            a->c of abc: Target dials a.example.com:7443, filters [], behind [a b]
            b->a of abc: Target dials b.example.com:7443, filters [], behind [b c d e]
            b->c of abc: Target dials b.example.com:7443, filters [], behind [a b]
            c->a of abc: Target dials c.example.com:7443, filters [], behind [b c d e]
            c->b of abc: Target dials c.example.com:7443, filters [], behind [a c d e]
            c->d of cde: Target dials c.example.com:7443, filters [f], behind [a b c e]
            c->e of cde: Target dials c.example.com:7443, filters [f], behind [a b c d]
            d->c of cde: Target dials d.example.com:7443, filters [f], behind [d e]
            d->e of cde: Target dials d.example.com:7443, filters [f], behind [a b c d]
            e->c of cde: Target dials e.example.com:7443, filters [f], behind [d e]
            e->d of cde: Target dials e.example.com:7443, filters [f], behind [a b c e]
            component a b c: 6 edges
            component c d e: 6 edges filtered
        "#]],
    );
}

#[test]
fn a_bridge_may_have_another_filter_in_each_direction() {
    let link = filtered(
        both_ways("l", "a", "b"),
        "there",
        "a -> b",
        "event.type == 'x'",
    );
    let link = filtered(link, "back", "b -> a", "target == 'a'");
    check(
        &log("a b"),
        &[link],
        &expect![[r#"
        a->b of l: Target dials a.example.com:7443, filters [there], behind [a]
        b->a of l: Target dials b.example.com:7443, filters [back], behind [b]
        bridge a b: 2 edges filtered
    "#]],
    );
}

#[test]
fn several_filters_on_an_edge_are_sorted_and_none_is_there_twice() {
    let link = filtered(one_way("l", "a", "b"), "z", "* -> *", "event.type == 'b'");
    let link = filtered(link, "y", "a -> *", "event.type == 'a'");
    let link = filtered(link, "again", "* -> b", " event.type == 'b' ");
    check(
        &log("a b"),
        &[link],
        &expect![[r#"
        a->b of l: Target dials a.example.com:7443, filters [y again], behind [a]
        bridge a b: 1 edges filtered
    "#]],
    );
}

#[test]
fn without_addresses_the_dialling_sides_stay_the_same_when_every_location_is_reachable() {
    let log = log("eu us! s1!");
    let links = [dense("core", "eu us"), hub("stores", "us", "s1")];
    let plan = Planner::new()
        .with_every_location_reachable()
        .plan(&log, &links);
    assert!(plan.is_accepted());
    expect![[r#"
        eu->us of core: Target dials eu.example.com:7443, filters [], behind [eu]
        s1->us of stores: Target dials ?, filters [], behind [s1]
        us->eu of core: Source dials eu.example.com:7443, filters [], behind [s1 us]
        us->s1 of stores: Target dials ?, filters [], behind [eu us]
        bridge eu us: 2 edges
        bridge s1 us: 2 edges
    "#]]
    .assert_eq(&edges(&plan));
}
