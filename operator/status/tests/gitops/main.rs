//! What tools of others make of our conditions: Argo CD by the scripts of `examples/gitops`, Flux and `kpt` by the rules of kstatus. One table of situations
//! for all of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod argo;
mod flux;
mod kstatus;
mod situations;

use argo::Health::{Degraded, Healthy, Progressing, Suspended};
use argo::{Argo, Health};
use flux::Flux;
use kstatus::Kstatus::{self, Current, Failed, InProgress};
use situations::{Situation, links, logs};

/// What each situation is read as.
const EXPECTED: &[(&str, Health, Kstatus)] = &[
    ("log: serves", Healthy, Current),
    (
        "log: of the spec before the last change",
        Progressing,
        InProgress,
    ),
    ("log: not heard", Progressing, InProgress),
    ("log: starts", Progressing, InProgress),
    ("log: awaits its incarnation", Progressing, InProgress),
    ("log: database away", Progressing, InProgress),
    ("log: stops", Progressing, InProgress),
    ("log: secret missing", Degraded, Failed),
    ("log: secret missing, served before", Degraded, Failed),
    ("log: forbidden", Degraded, Failed),
    ("log: certificates missing", Degraded, Failed),
    ("log: certificates on their way", Progressing, InProgress),
    ("log: certificate ends", Healthy, Current),
    ("log: peers not trusted", Healthy, Current),
    ("log: peers differ", Healthy, Current),
    ("log: recovering", Healthy, Current),
    ("log: address pending", Healthy, Current),
    ("log: insecure", Healthy, Current),
    ("log: one of two locations away", Progressing, InProgress),
    // What was applied of it and its links is not in force.
    ("log: plan refused", Degraded, Failed),
    ("log: elsewhere", Healthy, Current),
    ("link: streams", Healthy, Current),
    (
        "link: of the spec before the last change",
        Progressing,
        InProgress,
    ),
    ("link: catches up, beyond the threshold", Healthy, Current),
    // Connected, and nothing moves: somebody has to look, until it does.
    ("link: stands still", Degraded, Failed),
    ("link: pending", Progressing, InProgress),
    ("link: connecting", Progressing, InProgress),
    ("link: not heard", Progressing, InProgress),
    ("link: not heard, stalled before", Progressing, InProgress),
    // Tried again for ever: that is not a failure of what was applied, and it is not done either.
    ("link: peer away", Progressing, InProgress),
    // It is as it was asked for; kstatus has no word for that and goes by `Ready`.
    ("link: paused", Suspended, InProgress),
    ("link: paused, peer away", Progressing, InProgress),
    ("link: stalled", Degraded, Failed),
    ("link: incompatible", Degraded, Failed),
    ("link: rejected", Degraded, Failed),
    ("link: source reset", Degraded, Failed),
    ("link: refused by the planner", Degraded, Failed),
    ("link: refused, what ran before runs on", Degraded, Failed),
    ("link: another one refused, new", Degraded, Failed),
    // Its own spec is in force: the log and the refused link tell of the rest.
    ("link: another one refused, runs", Healthy, Current),
    ("link: no such log", Degraded, Failed),
    ("link: elsewhere", Healthy, Current),
];

fn all() -> Vec<Situation> {
    logs().into_iter().chain(links()).collect()
}

fn expected(name: &str) -> (Health, Kstatus) {
    let row = EXPECTED.iter().find(|(known, ..)| *known == name);
    let (_, health, kstatus) = row.unwrap_or_else(|| panic!("{name} has no row"));
    (*health, *kstatus)
}

#[test]
fn every_row_has_its_situation() {
    let situations: Vec<String> = all().into_iter().map(|s| s.name).collect();
    let rows: Vec<&str> = EXPECTED.iter().map(|(name, ..)| *name).collect();
    assert_eq!(situations, rows);
}

#[test]
fn both_kinds_are_read_by_the_same_script() {
    let argo = Argo::new();
    assert_eq!(argo.script("EventLog"), argo.script("ReplicationLink"));
}

#[test]
fn argo_cd_shows_each_situation_as_it_is() {
    let argo = Argo::new();
    for situation in all() {
        let (health, message) = argo.health(&situation.object);
        assert_eq!(
            health,
            expected(&situation.name).0,
            "{}: {message}",
            situation.name
        );
        assert!(!message.is_empty(), "{}", situation.name);
    }
}

#[test]
fn kstatus_waits_fails_and_goes_on_as_it_should() {
    for situation in all() {
        let read = kstatus::read(&situation.object);
        assert_eq!(read, expected(&situation.name).1, "{}", situation.name);
    }
}

#[test]
fn flux_with_the_expressions_takes_what_is_paused_for_done() {
    let flux = Flux::new();
    for situation in all() {
        let (health, kstatus) = expected(&situation.name);
        let expected = if health == Suspended {
            Current
        } else {
            kstatus
        };
        assert_eq!(flux.read(&situation.object), expected, "{}", situation.name);
    }
}

#[test]
fn both_read_the_same_where_both_have_a_word() {
    for (name, health, kstatus) in EXPECTED {
        let same = match health {
            Healthy => Current,
            Progressing | Suspended => InProgress,
            Degraded => Failed,
        };
        assert_eq!(*kstatus, same, "{name}");
    }
}

#[test]
fn nothing_is_both_on_its_way_and_stuck() {
    for situation in all() {
        let holds = |type_: &str| kstatus::condition(&situation.object, type_) == Some("True");
        assert!(
            !(holds("Reconciling") && holds("Stalled")),
            "{}",
            situation.name
        );
    }
}

#[test]
fn what_nobody_has_looked_at_is_not_done_and_what_is_being_deleted_goes() {
    let (argo, flux) = (Argo::new(), Flux::new());
    for situation in all() {
        let mut object = situation.object;
        object["metadata"]["deletionTimestamp"] = "2026-11-22T10:00:00Z".into();
        assert_eq!(kstatus::read(&object), Kstatus::Terminating);
        object["status"] = serde_json::json!({});
        assert_eq!(argo.health(&object).0, Progressing);
        assert_eq!(flux.read(&object), InProgress);
        object.as_object_mut().unwrap().remove("status");
        assert_eq!(argo.health(&object).0, Progressing);
        assert_eq!(flux.read(&object), InProgress);
    }
}

#[test]
fn what_a_person_should_look_at_besides_is_told() {
    let argo = Argo::new();
    for (name, word) in [
        (
            "log: certificate ends",
            "CertificatesReady is False, Expiring: ",
        ),
        ("log: recovering", "Recovered is False, FilteredEdges: "),
        (
            "link: catches up, beyond the threshold",
            "Synced is False, Lagging: ",
        ),
        ("link: elsewhere", "NotLocal: "),
    ] {
        let situation = all().into_iter().find(|s| s.name == name).unwrap();
        let (_, message) = argo.health(&situation.object);
        assert!(message.contains(word), "{name}: {message}");
    }
}
