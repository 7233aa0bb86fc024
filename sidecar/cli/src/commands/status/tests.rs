use expect_test::{Expect, expect};
use tidelog_proto::v1::vector_time::Entry;
use tidelog_proto::v1::{
    self, EdgeDirection, EdgeState, EdgeStatus, LocationState, LocationStatus,
};

use super::*;
use crate::output::rendered;

fn check(table: &Table, expected: &Expect) {
    expected.assert_eq(&anstream::adapter::strip_str(&rendered(table)).to_string());
}

fn location(name: &str, head: u64, state: LocationState, edges: Vec<EdgeStatus>) -> LocationStatus {
    LocationStatus {
        log: "orders".to_owned(),
        location: name.to_owned(),
        state: state.into(),
        head,
        incarnation: 1,
        pid: 4711,
        version_vector: Some(v1::VectorTime {
            entries: (head > 0)
                .then(|| Entry {
                    location: name.to_owned(),
                    incarnation: 1,
                    sequence: head,
                })
                .into_iter()
                .collect(),
        }),
        edges,
        ..LocationStatus::default()
    }
}

fn edge(source: &str, target: &str, direction: EdgeDirection, state: EdgeState) -> EdgeStatus {
    EdgeStatus {
        source: source.to_owned(),
        target: target.to_owned(),
        direction: direction.into(),
        state: state.into(),
        progress: 3,
        source_head: Some(5),
        lag_events: Some(2),
        lag_seconds: Some(1),
        ..EdgeStatus::default()
    }
}

#[test]
fn locations_show_state_head_and_vector() {
    let locations = [
        location("eu", 12, LocationState::Serving, vec![]),
        location("store-17", 0, LocationState::StorageUnavailable, vec![]),
    ];
    check(
        &locations_table(&locations),
        &expect![[r#"
            LOG     LOCATION  STATE               HEAD  INCARNATION  VERSION VECTOR  PID
            orders  eu        Serving             12    1            eu#1:12         4711
            orders  store-17  StorageUnavailable  0     1            -               4711
        "#]],
    );
}

#[test]
fn an_edge_is_shown_once_as_its_target_sees_it() {
    let locations = [
        location(
            "eu",
            5,
            LocationState::Serving,
            vec![
                edge("eu", "us", EdgeDirection::Outgoing, EdgeState::Pending),
                edge("eu", "ap", EdgeDirection::Outgoing, EdgeState::Connecting),
            ],
        ),
        location(
            "us",
            3,
            LocationState::Serving,
            vec![edge(
                "eu",
                "us",
                EdgeDirection::Incoming,
                EdgeState::CatchingUp,
            )],
        ),
    ];
    check(
        &edges_table(&edges(&locations)),
        &expect![[r#"
            LOG     SOURCE  TARGET  STATE       PROGRESS  SOURCE HEAD  LAG         FILTERED  LAST ERROR
            orders  eu      ap      Connecting  3         5            2 ev / 1 s  0
            orders  eu      us      CatchingUp  3         5            2 ev / 1 s  0
        "#]],
    );
}

#[test]
fn an_unknown_lag_is_never_zero_and_trouble_is_explained() {
    let mut cut = edge("eu", "us", EdgeDirection::Incoming, EdgeState::Unreachable);
    cut.cut = true;
    cut.lag_events = None;
    cut.lag_seconds = None;
    cut.source_head = None;
    cut.reason = "PeerUnreachable".to_owned();
    cut.message = "cut by command".to_owned();
    let mut streaming = edge("us", "eu", EdgeDirection::Incoming, EdgeState::Streaming);
    streaming.lag_events = Some(0);
    streaming.lag_seconds = Some(0);
    streaming.last_error = "connection refused".to_owned();
    let edges: [LogEdge<'_>; 2] = [("orders", &cut), ("orders", &streaming)];
    check(
        &edges_table(&edges),
        &expect![[r#"
            LOG     SOURCE  TARGET  STATE              PROGRESS  SOURCE HEAD  LAG  FILTERED  LAST ERROR
            orders  eu      us      Unreachable (cut)  3         ?            ?    0         PeerUnreachable: cut by command
            orders  us      eu      Streaming          3         5            0    0
        "#]],
    );
}

#[test]
fn json_keeps_what_the_table_leaves_out() {
    let report = Report {
        locations: vec![location("eu", 2, LocationState::Serving, vec![])],
        unanswered: vec![Unanswered {
            log: "orders".to_owned(),
            location: "us".to_owned(),
            error: "cannot connect".to_owned(),
        }],
        ..Report::default()
    };
    expect![[r#"
        {
          "locations": [
            {
              "location": "eu",
              "log": "orders",
              "pid": 4711,
              "state": "LOCATION_STATE_SERVING",
              "head": "2",
              "incarnation": 1,
              "versionVector": {
                "entries": [
                  {
                    "location": "eu",
                    "incarnation": 1,
                    "sequence": "2"
                  }
                ]
              }
            }
          ],
          "unanswered": [
            {
              "log": "orders",
              "location": "us",
              "error": "cannot connect"
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&report).unwrap());
}

fn lagging(source: &str, target: &str, events: Option<u64>, seconds: Option<u64>) -> EdgeStatus {
    EdgeStatus {
        lag_events: events,
        lag_seconds: seconds,
        ..edge(
            source,
            target,
            EdgeDirection::Incoming,
            EdgeState::Streaming,
        )
    }
}

fn matrix_of(answered: &[LocationStatus], silent: &[Silent<'_>], written: &[Written]) -> String {
    let lags = lags(answered, silent, written);
    let drawn = matrices(answered, silent, &lags);
    let text = drawn
        .iter()
        .map(|(log, table)| format!("{log}\n{}", rendered(table)));
    anstream::adapter::strip_str(&text.collect::<String>()).to_string()
}

#[test]
fn the_matrix_has_a_column_for_each_target_and_words_where_nothing_is_copied() {
    let mut paused = edge("ap", "us", EdgeDirection::Incoming, EdgeState::Paused);
    paused.lag_events = Some(7);
    let answered = [
        location(
            "eu",
            5,
            LocationState::Serving,
            vec![
                lagging("us", "eu", Some(0), Some(0)),
                edge("ap", "eu", EdgeDirection::Incoming, EdgeState::Unreachable),
                edge("eu", "us", EdgeDirection::Outgoing, EdgeState::Streaming),
                edge(
                    "eu",
                    "store-17",
                    EdgeDirection::Outgoing,
                    EdgeState::Streaming,
                ),
            ],
        ),
        location(
            "us",
            5,
            LocationState::Serving,
            vec![
                lagging("eu", "us", Some(12), Some(3)),
                paused,
                lagging("store-17", "us", None, None),
            ],
        ),
    ];
    expect![[r#"
        orders
        FROM \ TO  eu           us
        ap         unreachable  paused
        eu         -            12 ev / 3 s
        store-17   -            unknown
        us         0            -
    "#]]
    .assert_eq(&matrix_of(&answered, &[], &[]));
    let lags = lags(&answered, &[], &[]);
    let of = |source: &str| lags.iter().find(|l| l.source == source && l.target == "us");
    let numbers = |lag: &Lag| (lag.events.clone(), lag.seconds.clone());
    assert_eq!(
        of("eu").map(numbers),
        Some((Some("12".to_owned()), Some("3".to_owned())))
    );
    assert_eq!(of("ap").map(numbers), Some((None, None)));
}

#[test]
fn of_a_target_that_does_not_answer_its_operator_is_believed_and_then_the_source() {
    let answered = [location(
        "eu",
        5,
        LocationState::Serving,
        vec![
            edge("eu", "us", EdgeDirection::Outgoing, EdgeState::Streaming),
            edge("eu", "ap", EdgeDirection::Outgoing, EdgeState::Unreachable),
        ],
    )];
    let written = Written {
        log: "orders".to_owned(),
        edge: tidelog_api::EdgeStatus {
            source: "eu".to_owned(),
            target: "us".to_owned(),
            state: tidelog_api::EdgeState::CatchingUp,
            source_head: Some(9),
            progress: Some(5),
            lag_events: Some(4),
            lag_seconds: None,
            filtered_total: None,
            last_error: None,
            last_transition: None,
        },
    };
    let silent = [("orders", "us"), ("orders", "ap")];
    expect![[r#"
        orders
        FROM \ TO  ap           eu  us
        ap         -            -   unknown
        eu         unreachable  -   4 ev
        us         unknown      -   -
    "#]]
    .assert_eq(&matrix_of(&answered, &silent, &[written]));
}
