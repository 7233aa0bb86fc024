//! Several operators that have one log in sight: one attends to it, the others stand by.

use std::time::Duration;

use serde_json::{Value, json};
use tidelog_cluster_tests::{ApiServer, Kubectl};

use crate::definitions::namespace;
use crate::election::Process;
use crate::operator::{Operator, grant};
use crate::reconcile::{appears, apply, condition, link, log, rest, until, versions, within};

/// Who is silent for 30 s is gone; that is looked at every 10 s, and the machine may be busy.
const TAKEN_OVER: Duration = Duration::from_mins(2);

/// Who attends to the log, and who stands by.
fn attending(kubectl: &Kubectl) -> (Value, Value) {
    let status = kubectl.get("evlog/orders").unwrap()["status"].clone();
    (status["operator"].clone(), status["otherOperators"].clone())
}

fn is_stalled(kubectl: &Kubectl) -> Option<String> {
    let (status, reason) = condition(kubectl, "evlog/orders", "Stalled")?;
    Some(format!("{status} {reason}"))
}

/// Nothing is written any more: two that attend to the same log never come to rest.
fn comes_to_rest(kubectl: &Kubectl) {
    until("nothing is written any more", || {
        let before = versions(kubectl);
        rest(Duration::from_secs(3));
        (versions(kubectl) == before).then_some(())
    });
}

#[test]
fn of_two_operators_one_attends_until_it_is_gone() {
    let kubectl = namespace("twice");
    grant(ApiServer::shared(), "twice");
    let (one, all) = (
        "twice-system/tidelog-operator.eu.twice",
        "twice-system/tidelog-operator.all.twice",
    );
    let mut first = Process::start_for(("twice", "eu"), "first", None);
    apply(&kubectl, &log(&["eu", "us"], ""));
    apply(&kubectl, &link("orders", "eu, us", ""));
    let set = within(TAKEN_OVER, "its location is there", || {
        kubectl.get("statefulset/orders-eu").ok()
    });
    let is_told = |others: &str| {
        within(TAKEN_OVER, "the other one is told of", || {
            let is_told = is_stalled(&kubectl)? == "True DuplicateLocation";
            (is_told && attending(&kubectl).1 == json!([others])).then_some(())
        });
    };
    let mut second = Process::start_for(("twice", "*"), "second", None);
    is_told(all);
    assert_eq!(attending(&kubectl).0, json!(one));
    comes_to_rest(&kubectl);
    assert!(second.has_worked());
    assert!(
        kubectl.get("statefulset/orders-us").is_err(),
        "the second one has begun to work"
    );

    // One that stood by and is gone is forgotten.
    second.child.kill().unwrap();
    within(TAKEN_OVER, "it is forgotten", || {
        let is_well = is_stalled(&kubectl)? == "False Progressing";
        (is_well && attending(&kubectl).1.is_null()).then_some(())
    });
    let _third = Process::start_for(("twice", "*"), "third", None);
    is_told(all);

    // One that attended and is gone is followed, and nothing that runs is made anew.
    first.child.kill().unwrap();
    within(TAKEN_OVER, "it is followed", || {
        (attending(&kubectl).0 == json!(all)).then_some(())
    });
    appears(&kubectl, "statefulset/orders-us");
    until("all is well", || {
        (is_stalled(&kubectl)? == "False Progressing").then_some(())
    });
    let again = appears(&kubectl, "statefulset/orders-eu");
    assert_eq!(again["metadata"]["uid"], set["metadata"]["uid"]);
    let _fourth = Process::start_for(("twice", "eu"), "fourth", None);
    is_told(one);
    assert_eq!(attending(&kubectl).0, json!(all));
    comes_to_rest(&kubectl);
}

#[test]
fn of_two_that_begin_at_once_one_attends() {
    let kubectl = namespace("at-once");
    let operators = ["a", "b", "c"].map(|name| {
        let lease = format!("at-once-system/{name}");
        Operator::start_as("at-once", "eu", &lease)
    });
    apply(&kubectl, &log(&["eu", "us"], ""));
    apply(&kubectl, &link("orders", "eu, us", ""));
    appears(&kubectl, "statefulset/orders-eu");
    until("the others are told of", || {
        let (_, others) = attending(&kubectl);
        (others.as_array()?.len() == 2).then_some(())
    });
    comes_to_rest(&kubectl);
    let worked = |operator: &Operator| operator.said().contains("applied");
    let worked = operators.iter().filter(|operator| worked(operator)).count();
    assert_eq!(worked, 1, "so many operators have made objects");
}

#[test]
fn one_that_has_nothing_to_do_makes_way() {
    let kubectl = namespace("makes-way");
    let lease = |name: &str| format!("makes-way-system/{name}");
    let _idle = Operator::start_as("makes-way", "ap", &lease("ap"));
    apply(&kubectl, &log(&["eu", "us"], ""));
    until("it is not local", || {
        let ready = condition(&kubectl, "evlog/orders", "Ready")?;
        (ready.1 == "NotLocal").then_some(())
    });
    assert_eq!(attending(&kubectl).0, json!(lease("ap")));
    let _busy = Operator::start_as("makes-way", "eu", &lease("eu"));
    appears(&kubectl, "statefulset/orders-eu");
    assert_eq!(attending(&kubectl).0, json!(lease("eu")));
    comes_to_rest(&kubectl);
    assert!(attending(&kubectl).1.is_null(), "nobody else wants it");
    assert_eq!(is_stalled(&kubectl).unwrap(), "False Progressing");
}

#[test]
fn one_that_has_nothing_to_do_leaves_a_log_to_one_without_a_lease() {
    let kubectl = namespace("without");
    let _busy = Operator::start("without", "eu");
    apply(&kubectl, &log(&["eu", "us"], ""));
    appears(&kubectl, "statefulset/orders-eu");
    until("it is told of", || is_stalled(&kubectl));
    let _idle = Operator::start_as("without", "ap", "without-system/ap");
    comes_to_rest(&kubectl);
    let ready = condition(&kubectl, "evlog/orders", "Ready").unwrap();
    assert_ne!(ready.1, "NotLocal");
    assert!(attending(&kubectl).0.is_null());
}
