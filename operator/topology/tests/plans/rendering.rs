//! Plans as people and programs see them.

use expect_test::expect;
use tidelog_topology::{Plan, dot, text};

use crate::fixtures::{both_ways, dense, filtered, hub, log, one_way, paused, plan};

fn shop() -> Plan {
    let own = "has(event.metadata.store) && event.metadata.store == target";
    plan(
        &log("eu us ap s17! s23! audit"),
        &[
            dense("core", "eu us ap"),
            filtered(hub("stores", "eu", "s17 s23"), "own", "eu -> *", own),
            paused(one_way("audit", "us", "audit")),
        ],
    )
}

#[test]
fn text_has_picture_edges_and_findings() {
    expect![[r#"
        log orders (shop 1.3): 6 locations, 11 edges, 1 component, 3 bridges
        spec c802618d  plan e2d1a235e03c1678

          (ap eu us)  6 edges
          ├─ eu
          │  ├─ <-> s17  [to s17: own]
          │  └─ <-> s23  [to s23: own]
          └─ us
             └─ --> audit  paused

        SOURCE  TARGET  LINK    DIALLED BY  AT                   FILTERS  STATE
        ap      eu      core    eu          ap.example.com:7443  -        active
        ap      us      core    us          ap.example.com:7443  -        active
        eu      ap      core    ap          eu.example.com:7443  -        active
        eu      s17     stores  s17         eu.example.com:7443  own      active
        eu      s23     stores  s23         eu.example.com:7443  own      active
        eu      us      core    us          eu.example.com:7443  -        active
        s17     eu      stores  s17         eu.example.com:7443  -        active
        s23     eu      stores  s23         eu.example.com:7443  -        active
        us      ap      core    ap          us.example.com:7443  -        active
        us      audit   audit   audit       us.example.com:7443  -        paused
        us      eu      core    eu          us.example.com:7443  -        active

        warning SinglePointOfFailure log orders: only one location connects some others with the rest: eu (for s17, s23), us (for audit). While it is away they keep working and catch up later; a second link around it would keep them connected
    "#]].assert_eq(&text(&shop()));
}

#[test]
fn text_shows_islands_chains_and_cycles_behind_cycles() {
    let plan = plan(
        &log("a b c d e f g h x"),
        &[
            dense("abc", "a b c"),
            dense("cde", "c d e"),
            both_ways("ef", "e", "f"),
            one_way("gh", "h", "g"),
        ],
    );
    expect![[r#"
        log orders (shop 1.3): 9 locations, 15 edges, 2 components, 2 bridges
        spec fb7b3e2f  plan af1349b9f5f9a1a6

          (a b c)  6 edges
          └─ c
             └─ in a cycle with (d e)  6 edges
                └─ e
                   └─ <-> f

          g
          └─ <-- h

          x

        SOURCE  TARGET  LINK  DIALLED BY  AT                  FILTERS  STATE
        a       b       abc   b           a.example.com:7443  -        active
        a       c       abc   c           a.example.com:7443  -        active
        b       a       abc   a           b.example.com:7443  -        active
        b       c       abc   c           b.example.com:7443  -        active
        c       a       abc   a           c.example.com:7443  -        active
        c       b       abc   b           c.example.com:7443  -        active
        c       d       cde   d           c.example.com:7443  -        active
        c       e       cde   e           c.example.com:7443  -        active
        d       c       cde   c           d.example.com:7443  -        active
        d       e       cde   e           d.example.com:7443  -        active
        e       c       cde   c           e.example.com:7443  -        active
        e       d       cde   d           e.example.com:7443  -        active
        e       f       ef    f           e.example.com:7443  -        active
        f       e       ef    e           f.example.com:7443  -        active
        h       g       gh    g           h.example.com:7443  -        active

        warning SinglePointOfFailure log orders: only one location connects some others with the rest: c (for a, b), e (for f). While it is away they keep working and catch up later; a second link around it would keep them connected
        warning Disconnected log orders: no link connects {a, b, c, d, e, f}, {g, h}, {x}: events of one of these sets never reach the others
    "#]].assert_eq(&text(&plan));
}

#[test]
fn dot_is_a_directed_graph_with_filters_and_components() {
    expect![[r#"
        digraph "orders" {
          node [shape=box, style=rounded];
          "ap" [label="ap"];
          "audit" [label="audit"];
          "eu" [label="eu"];
          "s17" [label="s17"];
          "s23" [label="s23"];
          "us" [label="us"];
          "ap" -> "eu" [color=steelblue];
          "ap" -> "us" [color=steelblue];
          "eu" -> "ap" [color=steelblue];
          "eu" -> "s17" [label="own"];
          "eu" -> "s23" [label="own"];
          "eu" -> "us" [color=steelblue];
          "s17" -> "eu";
          "s23" -> "eu";
          "us" -> "ap" [color=steelblue];
          "us" -> "audit" [style=dashed];
          "us" -> "eu" [color=steelblue];
        }
    "#]]
    .assert_eq(&dot(&shop()));
}

#[test]
fn json_spells_names_in_camel_case_and_64_bit_numbers_as_text() {
    let link = filtered(one_way("l", "a", "b"), "f", "* -> *", "event.type == 'x'");
    let json = serde_json::to_string_pretty(&plan(&log("a b!"), &[link])).unwrap();
    expect![[r#"
        {
          "log": "orders",
          "application": {
            "name": "shop",
            "version": "1.3"
          },
          "specHash": "9c5acdbbebbfb96c47ad96964a19aa25d1ab1e2745211e7bc49a1601dedfdb1e",
          "planId": "17767233808364646856",
          "locations": {
            "a": {
              "endpoint": {
                "host": "a.example.com",
                "port": 7443
              }
            },
            "b": {}
          },
          "edges": {
            "a->b": {
              "source": "a",
              "target": "b",
              "link": "l",
              "dial": {
                "by": "Target",
                "endpoint": {
                  "host": "a.example.com",
                  "port": 7443
                }
              },
              "filters": [
                {
                  "name": "f",
                  "cel": "event.type == 'x'",
                  "onError": "Stall",
                  "evaluator": 1
                }
              ],
              "filterHash": "13015606877191338326",
              "paused": false,
              "behind": [
                "a"
              ],
              "batch": {
                "maxEvents": 1000,
                "maxBytes": 4194304
              },
              "lagThreshold": {
                "events": 1000,
                "seconds": 60
              }
            }
          },
          "components": [],
          "bridges": [
            {
              "locations": [
                "a",
                "b"
              ],
              "edges": [
                "a->b"
              ],
              "filtered": true
            }
          ],
          "islands": [
            [
              "a",
              "b"
            ]
          ],
          "findings": []
        }"#]]
    .assert_eq(&json);
}
