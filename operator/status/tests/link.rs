//! What a link says, situation by situation.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "as they are written by UPDATE_EXPECT"
)]

use std::fmt::Write as _;
use std::time::Duration;

use expect_test::{Expect, expect};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidelog_api::{
    Condition, ConditionStatus, Dense, EdgeState, EdgeStatus, LagThreshold, ReplicationLinkStatus,
    Topology,
};
use tidelog_status::{LinkSeen, STANDSTILL_AFTER, SeenEdge, link_status, transitions, write_in};
use tidelog_topology::{Application, Batch, Link, Location, Log, Planner};

fn edge(source: &str, target: &str, state: EdgeState) -> SeenEdge {
    SeenEdge {
        status: EdgeStatus {
            source: source.into(),
            target: target.into(),
            state,
            source_head: Some(10),
            progress: Some(10),
            lag_events: Some(0),
            lag_seconds: Some(0),
            filtered_total: Some(0),
            last_error: None,
            last_transition: None,
        },
        reason: String::new(),
        message: String::new(),
        here: "eu".into(),
        stale: false,
        synced: true,
        still: Duration::ZERO,
    }
}

fn both(incoming: SeenEdge) -> Vec<SeenEdge> {
    vec![edge("eu", "us", EdgeState::Streaming), incoming]
}

fn now() -> Time {
    serde_json::from_str("\"2026-11-22T10:00:00Z\"").unwrap()
}

fn topology() -> Topology {
    Topology {
        dense: Some(Dense {
            locations: vec!["eu".into(), "us".into()],
        }),
        hub_and_spoke: None,
        point_to_point: None,
    }
}

fn status_of(edges: &[SeenEdge]) -> ReplicationLinkStatus {
    status_after(edges, &[])
}

fn status_after(edges: &[SeenEdge], before: &[Condition]) -> ReplicationLinkStatus {
    let seen = LinkSeen {
        generation: Some(3),
        topology: &topology(),
        lag_threshold: &LagThreshold::default(),
        has_log: true,
        here: &["eu".to_owned()],
        findings: &[],
        beside: None,
        edges,
    };
    link_status(&seen, before, &now())
}

fn shown(status: &ReplicationLinkStatus) -> String {
    let mut text = String::new();
    let lag = status.max_lag.as_deref().unwrap_or("-");
    writeln!(text, "{} {lag}", status.edges_connected.as_ref().unwrap()).unwrap();
    for c in &status.conditions {
        writeln!(
            text,
            "{}={:?} {}: {}",
            c.type_, c.status, c.reason, c.message
        )
        .unwrap();
    }
    text
}

fn check(edges: &[SeenEdge], expected: &Expect) {
    expected.assert_eq(&shown(&status_of(edges)));
}

#[test]
fn all_is_well() {
    check(
        &both(edge("us", "eu", EdgeState::Streaming)),
        &expect![[r#"
            2/2 0 ev / 0 s
            Accepted=True Accepted: the plan can run
            ResolvedRefs=True ResolvedRefs: the log is there
            Connected=True Connected: 2 of 2 edges run
            Synced=True CaughtUp: within 1000 events or 60 s
            Ready=True Connected: 2 of 2 edges run
            Reconciling=False Done: the plan is in force
            Stalled=False Progressing: nothing needs a person
        "#]],
    );
}

#[test]
fn a_peer_is_away() {
    let mut away = edge("us", "eu", EdgeState::Unreachable);
    away.message = "cannot reach orders.us.example.com:7443".into();
    away.reason = "PeerUnreachable".into();
    away.status.lag_events = None;
    away.status.lag_seconds = None;
    check(
        &both(away),
        &expect![[r#"
        1/2 ? ev / ? s
        Accepted=True Accepted: the plan can run
        ResolvedRefs=True ResolvedRefs: the log is there
        Connected=False PeerUnreachable: us->eu with us: cannot reach orders.us.example.com:7443
        Synced=Unknown PeerUnreachable: the lag is not known: us->eu with us: cannot reach orders.us.example.com:7443
        Ready=False PeerUnreachable: us->eu with us: cannot reach orders.us.example.com:7443
        Reconciling=False Done: the plan is in force
        Stalled=False Progressing: nothing needs a person
    "#]],
    );
}

#[test]
fn a_peer_that_is_away_is_away_while_it_is_dialled_again() {
    let link = |states: &[EdgeState], before: &[Condition]| {
        let edges: Vec<SeenEdge> = [("eu", "us"), ("us", "eu")]
            .into_iter()
            .zip(states)
            .map(|((source, target), state)| {
                let mut edge = edge(source, target, *state);
                if *state != EdgeState::Streaming {
                    edge.status.lag_events = None;
                }
                edge
            })
            .collect();
        status_after(&edges, before).conditions
    };
    let well = [EdgeState::Streaming, EdgeState::Streaming];
    // At the beginning it is on its way.
    let begun = link(&[EdgeState::Connecting; 2], &[]);
    let word = |all: &[Condition], type_: &str| {
        let found = all.iter().find(|c| c.type_ == type_).unwrap();
        (found.status, found.reason.clone())
    };
    let no = |reason: &str| (ConditionStatus::False, reason.to_owned());
    assert_eq!(word(&begun, "Connected"), no("Connecting"));
    // A cut: one side waits, the other dials again and again, and one comes back before the other.
    let mut now = link(&well, &begun);
    let mut told = Vec::new();
    let (away, dials) = (EdgeState::Unreachable, EdgeState::Connecting);
    for states in [
        [away, dials],
        [away, away],
        [away, dials],
        [EdgeState::Streaming, dials],
        [EdgeState::Streaming, away],
        [EdgeState::Streaming, dials],
        well,
    ] {
        let next = link(&states, &now);
        if states != well {
            assert_eq!(
                word(&next, "Connected"),
                no("PeerUnreachable"),
                "{states:?}"
            );
            assert_eq!(word(&next, "Reconciling"), no("Done"), "{states:?}");
        }
        let news = transitions(&now, &next).into_iter();
        told.extend(news.map(|news| format!("{} {}", news.reason, news.note)));
        now = next;
    }
    expect![[r#"
        PeerUnreachable Connected=False: eu->us with us: Unreachable
        PeerUnreachable Synced=Unknown: the lag is not known: us->eu with us: Connecting
        Connected Connected=True: 2 of 2 edges run
        CaughtUp Synced=True: within 1000 events or 60 s"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn a_lag_beyond_the_threshold_is_not_synced_and_still_connected() {
    let mut behind = edge("us", "eu", EdgeState::CatchingUp);
    behind.status.lag_events = Some(5_000);
    behind.synced = false;
    check(
        &both(behind),
        &expect![[r#"
        2/2 5000 ev / 0 s
        Accepted=True Accepted: the plan can run
        ResolvedRefs=True ResolvedRefs: the log is there
        Connected=True Connected: 2 of 2 edges run
        Synced=False Lagging: us->eu is 5000 events behind, the bound is 1000 events or 60 s
        Ready=True Connected: 2 of 2 edges run
        Reconciling=False Done: the plan is in force
        Stalled=False Progressing: nothing needs a person
    "#]],
    );
}

#[test]
fn a_certificate_that_is_refused_needs_a_person() {
    let mut rejected = edge("us", "eu", EdgeState::Rejected);
    rejected.reason = "CertificateRejected".into();
    rejected.message = "no authority may vouch for location us".into();
    rejected.status.lag_events = None;
    check(
        &both(rejected),
        &expect![[r#"
        1/2 ? ev / 0 s
        Accepted=True Accepted: the plan can run
        ResolvedRefs=True ResolvedRefs: the log is there
        Connected=False CertificateRejected: us->eu with us: no authority may vouch for location us
        Synced=Unknown CertificateRejected: the lag is not known: us->eu with us: no authority may vouch for location us
        Ready=False CertificateRejected: us->eu with us: no authority may vouch for location us
        Reconciling=False Done: the plan is in force
        Stalled=True CertificateRejected: us->eu with us: no authority may vouch for location us
    "#]],
    );
}

#[test]
fn what_was_not_heard_of_lately_is_unknown() {
    let mut stale = edge("us", "eu", EdgeState::Streaming);
    stale.stale = true;
    check(
        &both(stale),
        &expect![[r#"
        1/2 ? ev / ? s
        Accepted=True Accepted: the plan can run
        ResolvedRefs=True ResolvedRefs: the log is there
        Connected=Unknown StatusUnknown: us->eu: the sidecar here has not been heard of lately
        Synced=Unknown HeadUnknown: the lag is not known: us->eu: the sidecar here has not been heard of lately
        Ready=Unknown StatusUnknown: us->eu: the sidecar here has not been heard of lately
        Reconciling=True Connecting: us->eu: the sidecar here has not been heard of lately
        Stalled=False Progressing: nothing needs a person
    "#]],
    );
}

#[test]
fn a_link_that_is_paused_says_so() {
    let mut paused = edge("us", "eu", EdgeState::Paused);
    paused.reason = "Paused".into();
    paused.status.lag_events = None;
    check(
        &both(paused),
        &expect![[r#"
        1/2 ? ev / 0 s
        Accepted=True Accepted: the plan can run
        ResolvedRefs=True ResolvedRefs: the log is there
        Connected=False Paused: us->eu with us: Paused
        Synced=Unknown Paused: the lag is not known: us->eu with us: Paused
        Ready=False Paused: us->eu with us: Paused
        Reconciling=False Done: the plan is in force
        Stalled=False Progressing: nothing needs a person
    "#]],
    );
}

#[test]
fn a_link_between_other_locations_is_none_of_ours() {
    check(
        &[],
        &expect![[r#"
        0/0 -
        Accepted=True Accepted: the plan can run
        ResolvedRefs=True ResolvedRefs: the log is there
        Connected=True NotLocal: no edge of this link begins or ends at eu
        Synced=True NotLocal: no edge of this link begins or ends at eu
        Ready=True NotLocal: no edge of this link begins or ends at eu
        Reconciling=False NotLocal: no edge of this link begins or ends at eu
        Stalled=False NotLocal: no edge of this link begins or ends at eu
    "#]],
    );
}

#[test]
fn an_edge_that_runs_and_copies_nothing_although_it_is_behind_is_stalled_after_a_minute() {
    let mut behind = edge("us", "eu", EdgeState::Streaming);
    behind.status.lag_events = Some(3);
    let stalled = |edge: &SeenEdge| {
        let status = status_of(&both(edge.clone()));
        let mut conditions = status.conditions.iter();
        let stalled = conditions.find(|c| c.type_ == "Stalled").unwrap();
        format!("{}: {}", stalled.reason, stalled.message)
    };
    let fine = "Progressing: nothing needs a person";
    let stands = "Standstill: us->eu is connected and 3 events behind, and has copied nothing for 60 s or more";
    behind.still = STANDSTILL_AFTER.saturating_sub(Duration::from_millis(1));
    assert_eq!(stalled(&behind), fine);
    behind.still = STANDSTILL_AFTER;
    assert_eq!(stalled(&behind), stands);
    // It is connected all the same.
    let status = status_of(&both(behind.clone()));
    assert_eq!(status.edges_connected.as_deref(), Some("2/2"));
    // Nothing to copy, nobody heard, not at work: that is told otherwise.
    let mut done = behind.clone();
    done.status.lag_events = Some(0);
    let mut unknown = behind.clone();
    unknown.status.lag_events = None;
    let mut silent = behind.clone();
    silent.stale = true;
    let mut paused = behind;
    paused.status.state = EdgeState::Paused;
    for edge in [done, unknown, silent, paused] {
        assert_eq!(stalled(&edge), fine, "{edge:?}");
    }
}

/// What an operator writes in a minute in which it looks ten times a second; the last status written, and how often.
fn written(mut seen: impl FnMut(u32) -> SeenEdge) -> (ReplicationLinkStatus, u32) {
    let tick = Duration::from_millis(100);
    let mut written = status_of(&both(seen(0)));
    let (mut writes, mut since) = (0, Duration::MAX);
    for now in 0..600 {
        let edges = both(seen(now));
        let told = LinkSeen {
            generation: Some(3),
            topology: &topology(),
            lag_threshold: &LagThreshold::default(),
            has_log: true,
            here: &["eu".to_owned()],
            findings: &[],
            beside: None,
            edges: &edges,
        };
        let time = format!("\"2026-11-22T11:00:{:02}Z\"", now / 10);
        let time: Time = serde_json::from_str(&time).unwrap();
        let status = link_status(&told, &written.conditions, &time);
        if write_in(&written, &status, since).is_some_and(|wait| wait.is_zero()) {
            (written, since) = (status, Duration::ZERO);
            writes += 1;
        }
        since = since.saturating_add(tick);
    }
    (written, writes)
}

#[test]
fn an_edge_that_falls_behind_and_catches_up_for_a_minute_is_written_every_five_seconds_at_most() {
    let flapping = |now: u32| {
        let is_behind = now % 2 == 1;
        let state = [EdgeState::Streaming, EdgeState::CatchingUp][usize::from(is_behind)];
        let mut edge = edge("us", "eu", state);
        edge.status.progress = Some(i64::from(now) * 1_000);
        edge.status.lag_events = Some(if is_behind { 5_000 + i64::from(now) } else { 0 });
        edge.status.last_transition = Some(self::now());
        // Beyond the threshold and back: also that waits.
        edge.synced = !is_behind;
        edge
    };
    let (_, writes) = written(flapping);
    assert!((2..=13).contains(&writes), "{writes}");
}

#[test]
fn what_was_held_back_is_written_when_it_stays_and_a_peer_that_goes_away_is_written_at_once() {
    // Behind from the second look on, for good.
    let (last, writes) = written(|now| {
        let mut edge = edge("us", "eu", EdgeState::Streaming);
        if now > 0 {
            edge.status.state = EdgeState::CatchingUp;
            edge.status.lag_events = Some(5_000);
            edge.synced = false;
        }
        edge
    });
    let synced = last
        .conditions
        .iter()
        .find(|c| c.type_ == "Synced")
        .unwrap();
    assert_eq!((synced.reason.as_str(), writes), ("Lagging", 1));
    assert_eq!(last.edges[1].state, EdgeState::CatchingUp);

    let (_, writes) = written(|now| match now {
        0..100 => edge("us", "eu", EdgeState::Streaming),
        100..102 => edge("us", "eu", EdgeState::Unreachable),
        _ => edge("us", "eu", EdgeState::Streaming),
    });
    assert_eq!(writes, 2);
}

#[test]
fn a_plan_that_cannot_run_says_why() {
    let location = |name: &str| Location {
        name: name.into(),
        endpoint: None,
        export_filter: None,
    };
    let log = Log {
        name: "orders".into(),
        application: Application {
            name: "shop".into(),
            version: "1".into(),
        },
        locations: vec![location("eu"), location("us")],
    };
    let link = Link {
        name: "core".into(),
        topology: tidelog_topology::Topology::Dense {
            locations: vec!["eu".into(), "ap".into()],
        },
        filters: Vec::new(),
        batch: Batch {
            max_events: 1,
            max_bytes: 1,
        },
        lag_threshold: tidelog_topology::LagThreshold {
            events: 1,
            seconds: 1,
        },
        paused: false,
    };
    let plan = Planner::new().plan(&log, &[link]);
    let seen = LinkSeen {
        generation: Some(3),
        topology: &topology(),
        lag_threshold: &LagThreshold::default(),
        has_log: true,
        here: &["eu".to_owned()],
        findings: &plan.findings,
        beside: None,
        edges: &[],
    };
    expect![[r#"
        0/0 -
        Accepted=False UnknownLocation: ap is not a location of log orders, which has eu, us; add it to the EventLog or correct the link
        ResolvedRefs=True ResolvedRefs: the log is there
        Connected=Unknown UnknownLocation: nothing of this link runs: ap is not a location of log orders, which has eu, us; add it to the EventLog or correct the link
        Synced=Unknown UnknownLocation: nothing of this link runs: ap is not a location of log orders, which has eu, us; add it to the EventLog or correct the link
        Ready=False UnknownLocation: nothing of this link runs: ap is not a location of log orders, which has eu, us; add it to the EventLog or correct the link
        Reconciling=False Refused: waiting for another spec
        Stalled=True UnknownLocation: ap is not a location of log orders, which has eu, us; add it to the EventLog or correct the link
    "#]].assert_eq(&shown(&link_status(&seen, &[], &now())));
}

#[test]
fn the_time_of_a_transition_stays_while_the_status_does() {
    let first = status_of(&both(edge("us", "eu", EdgeState::Streaming)));
    let later: Time = serde_json::from_str("\"2026-11-22T11:00:00Z\"").unwrap();
    let edges = both(edge("us", "eu", EdgeState::Unreachable));
    let seen = LinkSeen {
        generation: Some(3),
        topology: &topology(),
        lag_threshold: &LagThreshold::default(),
        has_log: true,
        here: &["eu".to_owned()],
        findings: &[],
        beside: None,
        edges: &edges,
    };
    let second = link_status(&seen, &first.conditions, &later);
    for condition in &second.conditions {
        let expected = match condition.type_.as_str() {
            "Connected" | "Ready" => &later,
            _ => &now(),
        };
        assert_eq!(
            condition.last_transition_time, *expected,
            "{}",
            condition.type_
        );
        assert_eq!(condition.observed_generation, Some(3));
    }
}

#[test]
fn every_condition_is_written_whatever_happens() {
    for edges in [vec![], both(edge("us", "eu", EdgeState::Pending))] {
        let status = status_of(&edges);
        let types: Vec<&str> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(types, tidelog_api::REPLICATION_LINK_CONDITIONS);
    }
}
