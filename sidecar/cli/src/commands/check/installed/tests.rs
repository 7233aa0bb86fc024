use std::fs;
use std::path::Path;

use serde_json::json;

use super::super::finding::Unread;
use super::*;

fn deployment(name: &str, args: &[&str], ready: u64) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "tidelog-system", "labels": {VERSION_LABEL: OWN_VERSION}},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": "tidelog/operator:9", "args": args}]}}},
        "status": {"readyReplicas": ready},
    })
}

fn seen(operators: Vec<Value>) -> Seen {
    Seen {
        name: "eu".into(),
        namespace: "shop".into(),
        version: Ok("v1.33.2".into()),
        definitions: Ok(vec![]),
        operators: Ok(operators),
        logs: Ok(vec![]),
    }
}

fn judged(judge: impl Fn(&mut Findings)) -> Vec<(Level, String)> {
    let mut findings = Findings::default();
    judge(&mut findings);
    let all = findings.all().iter();
    all.map(|f| (f.level, f.check.clone())).collect()
}

fn levels(judge: impl Fn(&mut Findings)) -> Vec<Level> {
    judged(judge).into_iter().map(|(level, _)| level).collect()
}

#[test]
fn the_oldest_server_is_that_of_the_chart() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/tidelog/Chart.yaml");
    let text = fs::read_to_string(chart).unwrap();
    assert!(
        text.contains(&format!("kubeVersion: \">=1.{MINOR_MIN}.0-0\"")),
        "{text}"
    );
    for (version, level) in [
        ("v1.29.0", Level::Ok),
        ("v1.33.2+k3s1", Level::Ok),
        ("v1.30+", Level::Ok),
        ("v2.0.0", Level::Ok),
        ("v1.28.15", Level::Fail),
        ("unknown", Level::Warn),
    ] {
        let answer = Ok(version.to_owned());
        assert_eq!(
            levels(|f| {
                server(&answer, f);
            }),
            [level],
            "{version}"
        );
    }
    let unread = Unread {
        forbidden: false,
        why: "refused".into(),
    };
    let mut findings = Findings::default();
    assert!(!server(&Err(unread), &mut findings));
    assert_eq!(findings.count(Level::Fail), 1);
}

#[test]
fn definitions_are_compared_with_those_of_this_program() {
    let known = tidelog_api::custom_resource_definitions().unwrap();
    let established = json!({"conditions": [{"type": "Established", "status": "True"}]});
    let there: Vec<Value> = known
        .iter()
        .map(|(_, definition)| {
            let mut there = definition.clone();
            there["status"] = established.clone();
            there
        })
        .collect();
    let judge = |found: Vec<Value>| levels(|f| definitions(&known, &Ok(found.clone()), f));
    assert_eq!(judge(there.clone()), [Level::Ok, Level::Ok]);
    assert_eq!(judge(vec![]), [Level::Fail, Level::Fail]);
    let mut other = there.clone();
    other[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = json!("older");
    assert_eq!(judge(other), [Level::Warn, Level::Ok]);
    let mut unserved = there.clone();
    unserved[1]["spec"]["versions"][0]["served"] = json!(false);
    assert_eq!(judge(unserved), [Level::Ok, Level::Fail]);
    let mut young = there;
    young[0]["status"] = json!({});
    assert_eq!(judge(young), [Level::Fail, Level::Ok]);
    let forbidden = Err(Unread {
        forbidden: true,
        why: "may not".into(),
    });
    assert_eq!(
        levels(|f| definitions(&known, &forbidden, f)),
        [Level::Warn]
    );
}

#[test]
fn an_operator_that_is_ready_is_well_and_two_of_one_location_are_not() {
    let of = |deployments: Vec<Value>| levels(|f| operators(&seen(deployments.clone()), f));
    let eu = || deployment("one", &["--location=eu"], 1);
    assert_eq!(of(vec![eu()]), [Level::Ok]);
    assert_eq!(of(vec![]), [Level::Fail]);
    assert_eq!(
        of(vec![deployment("one", &["--location=eu"], 0)]),
        [Level::Fail]
    );
    let us = deployment("two", &["--location=us"], 1);
    assert_eq!(of(vec![eu(), us]), [Level::Ok, Level::Ok]);
    let all = deployment("two", &["--location=*"], 1);
    assert_eq!(of(vec![eu(), all]), [Level::Ok, Level::Ok, Level::Fail]);
    // Each in a namespace of its own.
    let here = deployment("one", &["--location=eu", "--namespace=shop"], 1);
    let there = deployment("two", &["--location=eu", "--namespace=other"], 1);
    assert_eq!(of(vec![here, there.clone()]), [Level::Ok, Level::Ok]);
    // None of them looks here.
    assert_eq!(of(vec![there]), [Level::Fail, Level::Ok]);
    let mut older = eu();
    older["metadata"]["labels"][VERSION_LABEL] = json!("0.0.9");
    assert_eq!(of(vec![older]), [Level::Warn]);
}

#[test]
fn before_an_install_what_is_there_is_told() {
    let known = tidelog_api::custom_resource_definitions().unwrap();
    let none = || Ok(vec![]);
    assert_eq!(
        levels(|f| others(&known, &none(), &none(), f)),
        [Level::Ok, Level::Ok]
    );
    let mut old = known[0].1.clone();
    old["spec"]["versions"][0]["schema"] = json!({});
    let operator = deployment("one", &["--location=eu"], 1);
    let (old, operator) = (Ok(vec![old]), Ok(vec![operator]));
    assert_eq!(
        levels(|f| others(&known, &old, &operator, f)),
        [Level::Warn, Level::Warn]
    );
}

#[test]
fn a_default_class_is_asked_for() {
    let class = |default: &str| json!({"metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": default}}});
    assert_eq!(
        levels(|f| storage(&Ok(vec![class("true")]), f)),
        [Level::Ok]
    );
    assert_eq!(
        levels(|f| storage(&Ok(vec![class("false")]), f)),
        [Level::Warn]
    );
}
