//! What a log says, situation by situation.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "as they are written by UPDATE_EXPECT"
)]

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidelog_api::{EVENT_LOG_CONDITIONS, EventLogStatus, WriterStatus};
use tidelog_status::{
    Attending, Certificate, Doing, LocationHere, LogSeen, Offered, Recovery, WriterSeen, log_status,
};

fn serving() -> WriterSeen {
    WriterSeen {
        writer: Some(WriterStatus {
            pod: "orders-eu-0".into(),
            since: None,
        }),
        doing: Doing::Serving,
        message: String::new(),
        head: 7,
        incarnation: 1,
        version_vector: Vec::new(),
        recovery: Recovery {
            recovered: true,
            reason: "NeverLost".into(),
            message: String::new(),
        },
        certificate: Some(Certificate {
            seconds_left: 30 * 86_400,
            is_late: false,
            error: String::new(),
        }),
        disagreeing: Vec::new(),
    }
}

fn here(name: &str, seen: Option<WriterSeen>) -> LocationHere {
    LocationHere {
        name: name.into(),
        refused: None,
        storage: None,
        certificates: None,
        trust: None,
        offered: Offered::Service,
        seen,
        pods: (0, 2),
        last_word: None,
        endpoint: Some(format!("orders.{name}.example.com:7443")),
    }
}

fn status_of(operator: &str, here: &[LocationHere], insecure: bool) -> EventLogStatus {
    let seen = LogSeen {
        attending: &Attending::default(),
        generation: Some(3),
        operator,
        spec_hash: "abc",
        here,
        rejected: None,
        insecure,
    };
    let now: Time = serde_json::from_str("\"2026-11-22T10:00:00Z\"").unwrap();
    log_status(&seen, &[], &now)
}

/// The conditions, a line each.
fn check(here: &[LocationHere], expected: &Expect) {
    let status = status_of("eu", here, false);
    let mut text = String::new();
    let mut types = Vec::new();
    for condition in &status.conditions {
        types.push(condition.type_.as_str());
        writeln!(
            text,
            "{}={:?} {}: {}",
            condition.type_, condition.status, condition.reason, condition.message
        )
        .unwrap();
    }
    assert_eq!(types, EVENT_LOG_CONDITIONS);
    expected.assert_eq(&text);
}

#[test]
fn it_serves() {
    check(
        &[here("eu", Some(serving()))],
        &expect![[r#"
            Ready=True Serving: appends are accepted
            StorageReady=True Connected: the database answers
            Available=True Serving: the writer accepts appends
            EndpointReady=True Offered: others reach it at orders.eu.example.com:7443, by a Service
            CertificatesReady=True Valid: certificates are in force
            PeersAgree=True SameSpec: no peer has told of another spec
            Recovered=True NeverLost: nothing that was acknowledged here is missing
            Reconciling=False Done: everything is as it was asked for
            Stalled=False Progressing: nothing needs a person
        "#]],
    );
}

#[test]
fn nobody_has_been_heard() {
    check(
        &[here("eu", None)],
        &expect![[r#"
            Ready=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            StorageReady=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            Available=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            EndpointReady=True Offered: others reach it at orders.eu.example.com:7443, by a Service
            CertificatesReady=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            PeersAgree=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            Recovered=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            Reconciling=True StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            Stalled=False Progressing: nothing needs a person
        "#]],
    );
}

#[test]
fn its_database_is_away() {
    let away = WriterSeen {
        doing: Doing::StorageUnavailable,
        message: "cannot connect to 10.0.0.7:5432".into(),
        ..serving()
    };
    check(
        &[here("eu", Some(away))],
        &expect![[r#"
            Ready=False StorageUnavailable: eu refuses appends: cannot connect to 10.0.0.7:5432
            StorageReady=False StorageUnavailable: eu: cannot connect to 10.0.0.7:5432
            Available=False StorageUnavailable: eu refuses appends: cannot connect to 10.0.0.7:5432
            EndpointReady=True Offered: others reach it at orders.eu.example.com:7443, by a Service
            CertificatesReady=True Valid: certificates are in force
            PeersAgree=True SameSpec: no peer has told of another spec
            Recovered=True NeverLost: nothing that was acknowledged here is missing
            Reconciling=True StorageUnavailable: eu refuses appends: cannot connect to 10.0.0.7:5432
            Stalled=False Progressing: nothing needs a person
        "#]],
    );
}

#[test]
fn its_sidecar_ends_at_every_start_because_its_database_refuses_it() {
    let ended = LocationHere {
        last_word: Some((
            "StorageUnavailable".into(),
            "eu: the login is refused".into(),
        )),
        ..here("eu", None)
    };
    check(
        &[ended],
        &expect![[r#"
        Ready=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready; one has ended, and is started again: eu: the login is refused
        StorageReady=False StorageUnavailable: eu: the login is refused
        Available=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready; one has ended, and is started again: eu: the login is refused
        EndpointReady=True Offered: others reach it at orders.eu.example.com:7443, by a Service
        CertificatesReady=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready; one has ended, and is started again: eu: the login is refused
        PeersAgree=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready; one has ended, and is started again: eu: the login is refused
        Recovered=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready; one has ended, and is started again: eu: the login is refused
        Reconciling=True StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready; one has ended, and is started again: eu: the login is refused
        Stalled=False Progressing: nothing needs a person
    "#]],
    );
}

#[test]
fn a_secret_is_missing() {
    let refused = LocationHere {
        storage: Some((
            "SecretNotFound".into(),
            "there is no Secret orders-pg with the URI of the database".into(),
        )),
        ..here("eu", None)
    };
    check(
        &[refused],
        &expect![[r#"
            Ready=Unknown SecretNotFound: there is no Secret orders-pg with the URI of the database
            StorageReady=False SecretNotFound: there is no Secret orders-pg with the URI of the database
            Available=Unknown SecretNotFound: there is no Secret orders-pg with the URI of the database
            EndpointReady=True Offered: others reach it at orders.eu.example.com:7443, by a Service
            CertificatesReady=Unknown SecretNotFound: there is no Secret orders-pg with the URI of the database
            PeersAgree=Unknown SecretNotFound: there is no Secret orders-pg with the URI of the database
            Recovered=Unknown SecretNotFound: there is no Secret orders-pg with the URI of the database
            Reconciling=False Refused: waiting for a person
            Stalled=True SecretNotFound: there is no Secret orders-pg with the URI of the database
        "#]],
    );
}

#[test]
fn it_waits_to_be_told_whether_it_is_new() {
    let awaiting = WriterSeen {
        doing: Doing::Awaiting,
        ..serving()
    };
    check(
        &[here("eu", Some(awaiting))],
        &expect![[r#"
            Ready=False AwaitingIncarnation: eu waits to be told whether it is new
            StorageReady=True Connected: the database answers
            Available=False AwaitingIncarnation: eu waits to be told whether it is new
            EndpointReady=True Offered: others reach it at orders.eu.example.com:7443, by a Service
            CertificatesReady=True Valid: certificates are in force
            PeersAgree=True SameSpec: no peer has told of another spec
            Recovered=True NeverLost: nothing that was acknowledged here is missing
            Reconciling=True AwaitingIncarnation: eu waits to be told whether it is new
            Stalled=False Progressing: nothing needs a person
        "#]],
    );
}

#[test]
fn it_has_lost_events_a_peer_differs_and_its_certificate_ends() {
    let seen = WriterSeen {
        recovery: Recovery {
            recovered: false,
            reason: "FilteredEdges".into(),
            message: "eu#1/5..=9 were lost here".into(),
        },
        certificate: Some(Certificate {
            seconds_left: 2 * 86_400,
            is_late: true,
            error: String::new(),
        }),
        disagreeing: vec!["us".into()],
        ..serving()
    };
    check(
        &[here("eu", Some(seen))],
        &expect![[r#"
            Ready=True Serving: appends are accepted
            StorageReady=True Connected: the database answers
            Available=True Serving: the writer accepts appends
            EndpointReady=True Offered: others reach it at orders.eu.example.com:7443, by a Service
            CertificatesReady=False Expiring: the certificate of eu ends in 2 days
            PeersAgree=False OtherSpec: us run by another spec than eu
            Recovered=False FilteredEdges: eu: eu#1/5..=9 were lost here
            Reconciling=False Done: everything is as it was asked for
            Stalled=False Progressing: nothing needs a person
        "#]],
    );
}

#[test]
fn a_certificate_that_is_late_is_told_in_days_hours_or_minutes_and_one_that_is_not_counts() {
    for (seconds_left, is_late, said) in [
        (
            3 * 86_400,
            true,
            "Expiring: the certificate of eu ends in 3 days",
        ),
        (
            4 * 3_600,
            true,
            "Expiring: the certificate of eu ends in 4 hours",
        ),
        (
            600,
            true,
            "Expiring: the certificate of eu ends in 10 minutes",
        ),
        (1, true, "Expiring: the certificate of eu ends in 1 seconds"),
        (0, true, "Expired: the certificate of eu has expired"),
        // Of a life of a day there is never a week left.
        (8 * 3_600, false, "Valid: certificates are in force"),
    ] {
        let certificate = Certificate {
            seconds_left,
            is_late,
            error: String::new(),
        };
        let seen = WriterSeen {
            certificate: Some(certificate),
            ..serving()
        };
        let status = status_of("eu", &[here("eu", Some(seen))], false);
        let mut conditions = status.conditions.iter();
        let told = conditions.find(|c| c.type_ == "CertificatesReady").unwrap();
        assert_eq!(format!("{}: {}", told.reason, told.message), said);
    }
}

#[test]
fn of_two_locations_the_one_that_is_worse_off_counts() {
    check(
        &[here("ap", Some(serving())), here("eu", None)],
        &expect![[r#"
            Ready=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            StorageReady=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            Available=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            EndpointReady=True Offered: others reach it at orders.ap.example.com:7443, by a Service
            CertificatesReady=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            PeersAgree=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            Recovered=Unknown StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            Reconciling=True StatusUnknown: eu: no sidecar has answered; 0 of 2 pods are ready
            Stalled=False Progressing: nothing needs a person
        "#]],
    );
}

#[test]
fn it_lives_elsewhere() {
    check(
        &[],
        &expect![[r#"
        Ready=True NotLocal: the log has no active location eu; nothing is done for it in this cluster
        StorageReady=True NotLocal: the log has no active location eu; nothing is done for it in this cluster
        Available=True NotLocal: the log has no active location eu; nothing is done for it in this cluster
        EndpointReady=True NotLocal: the log has no active location eu; nothing is done for it in this cluster
        CertificatesReady=True NotLocal: the log has no active location eu; nothing is done for it in this cluster
        PeersAgree=True NotLocal: the log has no active location eu; nothing is done for it in this cluster
        Recovered=True NotLocal: the log has no active location eu; nothing is done for it in this cluster
        Reconciling=False NotLocal: the log has no active location eu; nothing is done for it in this cluster
        Stalled=False NotLocal: the log has no active location eu; nothing is done for it in this cluster
    "#]],
    );
}

#[test]
fn what_columns_show_is_of_the_one_location_here_and_of_several_the_largest_head() {
    let one = status_of("eu", &[here("eu", Some(serving()))], false);
    assert_eq!((one.head, one.incarnation), (Some(7), Some(1)));
    assert_eq!(one.writer.unwrap().pod, "orders-eu-0");
    let ahead = WriterSeen {
        head: 9,
        ..serving()
    };
    let all = [
        here("eu", Some(serving())),
        here("us", Some(ahead)),
        here("ap", None),
    ];
    let two = status_of("*", &all[..2], true);
    assert_eq!((two.head, two.location.as_deref()), (Some(9), Some("*")));
    assert_eq!((two.incarnation, two.writer), (None, None));
    // Also while one of them is not heard; while none is, nothing is known.
    assert_eq!(status_of("*", &all, true).head, Some(9));
    assert_eq!(status_of("*", &all[2..], true).head, None);
    let ready: Vec<bool> = two.locations.iter().map(|l| l.ready).collect();
    assert_eq!(ready, [true, true]);
    let certificates = two
        .conditions
        .iter()
        .find(|c| c.type_ == "CertificatesReady");
    assert_eq!(certificates.unwrap().reason, "Insecure");
}
