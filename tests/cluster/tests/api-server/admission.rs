//! Every rule of the definitions accepts what it should and rejects the rest, and says which field; where a rule needs nothing but the object itself,
//! reading manifests offline judges alike.

mod cases;

use std::collections::BTreeSet;

use cases::{CASES, Case, Kind, NAMES};
use serde_json::Value;
use tidelog_api::custom_resource_definitions;
use tidelog_cluster_tests::{Answer, Kubectl};
use tidelog_manifest::Source;

use crate::definitions::namespace;

const APPLICATION: &str = "application: {name: shop, version: '1.3'}";
const LOCATIONS: &str = "locations: [{name: eu}, {name: us}]";
const LOG_REF: &str = "eventLogRef: {name: orders}";
const TOPOLOGY: &str = "topology: {dense: {locations: [eu, us]}}";

/// A manifest with these fields of the spec, a line each; what every object needs is added unless it is among them.
fn manifest(kind: Kind, name: &str, spec: &str) -> String {
    let (kind, needed) = match kind {
        Kind::Log => ("EventLog", [APPLICATION, LOCATIONS]),
        Kind::Link => ("ReplicationLink", [LOG_REF, TOPOLOGY]),
    };
    let mut lines: Vec<&str> = spec.lines().collect();
    for line in needed {
        let field = line.split_inclusive(':').next().unwrap();
        if !lines.iter().any(|l| l.starts_with(field)) {
            lines.push(line);
        }
    }
    let spec: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: tidelog.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}"
    )
}

/// Whether reading the manifest offline finds nothing wrong; otherwise what.
fn offline(text: &str) -> Result<(), String> {
    let sources = [Source {
        file: "test.yaml".to_owned(),
        text: text.to_owned(),
    }];
    match tidelog_manifest::parse(&sources) {
        Ok(_) => Ok(()),
        Err(error) => {
            let all: Vec<String> = error
                .problems
                .iter()
                .map(|p| format!("{}: {}", p.field, p.message))
                .collect();
            // A link alone lacks its log, which no rule of a single object can see.
            let own: Vec<String> = all
                .into_iter()
                .filter(|p| !p.contains("no EventLog"))
                .collect();
            if own.is_empty() {
                Ok(())
            } else {
                Err(own.join("\n"))
            }
        }
    }
}

fn rejected(answer: &Answer, case: &Case, text: &str) {
    assert!(!answer.success, "accepted:\n{text}");
    for part in [case.says, case.field] {
        assert!(
            answer.errors.contains(part),
            "{part} is not in: {}\n{text}",
            answer.errors
        );
    }
}

fn judge(kubectl: &Kubectl, number: usize, case: &Case) {
    let name = |kind: char, index: usize| format!("{kind}-{number}-{index}");
    for (index, spec) in case.accepts.iter().enumerate() {
        let name = name('a', index);
        if let Some(before) = case.before {
            let text = manifest(case.kind, &name, before);
            kubectl.apply(&text).unwrap().done().unwrap();
        }
        let text = manifest(case.kind, &name, spec);
        let answer = kubectl.apply(&text).unwrap();
        assert!(answer.success, "rejected: {}\n{text}", answer.errors);
        assert_eq!(offline(&text), Ok(()), "{text}");
    }
    for (index, spec) in case.rejects.iter().enumerate() {
        let name = name('r', index);
        if let Some(before) = case.before {
            let text = manifest(case.kind, &name, before);
            kubectl.apply(&text).unwrap().done().unwrap();
        }
        let text = manifest(case.kind, &name, spec);
        rejected(&kubectl.apply(&text).unwrap(), case, &text);
        if case.before.is_none() {
            assert!(offline(&text).is_err(), "read offline:\n{text}");
        }
    }
}

#[test]
fn every_case_is_judged_as_it_says() {
    let kubectl = namespace("admission");
    std::thread::scope(|scope| {
        for part in 0..4 {
            let kubectl = &kubectl;
            scope.spawn(move || {
                for (number, case) in CASES.iter().enumerate().filter(|(n, _)| n % 4 == part) {
                    judge(kubectl, number, case);
                }
            });
        }
    });
}

#[test]
fn names_are_judged_as_they_say() {
    let kubectl = namespace("names");
    for (says, accepted, refused) in NAMES {
        for name in *accepted {
            let text = manifest(Kind::Log, name, "");
            let answer = kubectl.apply(&text).unwrap();
            assert!(answer.success, "rejected: {}\n{text}", answer.errors);
            assert_eq!(offline(&text), Ok(()), "{text}");
        }
        for name in *refused {
            let text = manifest(Kind::Log, name, "");
            let answer = kubectl.apply(&text).unwrap();
            assert!(
                !answer.success && answer.errors.contains(says),
                "{answer:?}\n{text}"
            );
            assert!(offline(&text).is_err(), "read offline:\n{text}");
        }
    }
}

#[test]
fn every_rule_has_cases_that_it_accepts_and_rejects() {
    fn rules(schema: &Value, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(map) => {
                for rule in map
                    .get("x-kubernetes-validations")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                {
                    found.insert(rule["message"].as_str().unwrap_or_default().to_owned());
                }
                map.values().for_each(|value| rules(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| rules(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for (_, definition) in custom_resource_definitions().unwrap() {
        rules(&definition["spec"]["versions"][0]["schema"], &mut found);
    }
    assert!(found.len() >= 11, "{found:?}");
    for message in found {
        let shown = CASES.iter().any(|case| {
            message.contains(case.says) && !case.accepts.is_empty() && !case.rejects.is_empty()
        }) || NAMES.iter().any(|(says, accepted, refused)| {
            message.contains(says) && !accepted.is_empty() && !refused.is_empty()
        });
        assert!(shown, "no case shows: {message}");
    }
}
