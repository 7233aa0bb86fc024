use serde_json::json;
use tidelog_access::trust::Given;

use super::super::finding::Level;
use super::*;

fn cluster(name: &str, location: &str, hash: &str, has_log: bool) -> Seen {
    let log = json!({
        "apiVersion": "tidelog.dev/v1alpha1", "kind": "EventLog", "metadata": {"name": "orders"},
        "spec": {"application": {"name": "shop", "version": "1.3"}, "locations": [{"name": "eu"}, {"name": "us"}]},
        "status": {"specHash": hash, "locations": [{"name": location}]},
    });
    let log = SeenLog {
        log: serde_json::from_value(log).unwrap(),
        links: Ok(vec![]),
        sets: Ok(vec![]),
        pods: Ok(vec![]),
        named: vec![],
        vouched: BTreeMap::new(),
    };
    Seen {
        name: name.into(),
        namespace: "shop".into(),
        version: Ok("v1.33.0".into()),
        definitions: Ok(vec![]),
        operators: Ok(vec![]),
        logs: Ok(if has_log { vec![log] } else { vec![] }),
    }
}

fn levels(all: &[Seen]) -> Vec<Level> {
    let mut findings = Findings::default();
    judge(all, &mut findings);
    findings.all().iter().map(|f| f.level).collect()
}

#[test]
fn clusters_have_one_spec_and_each_its_own_location() {
    let eu = || cluster("EU", "eu", "abc", true);
    assert_eq!(
        levels(&[eu(), cluster("US", "us", "abc", true)]),
        [Level::Ok]
    );
    assert_eq!(
        levels(&[eu(), cluster("US", "us", "xyz", true)]),
        [Level::Fail]
    );
    assert_eq!(
        levels(&[eu(), cluster("US", "eu", "abc", true)]),
        [Level::Ok, Level::Fail]
    );
    assert_eq!(
        levels(&[eu(), cluster("US", "us", "", false)]),
        [Level::Warn]
    );
    assert_eq!(
        levels(&[eu(), cluster("US", "us", "", true)]),
        [Level::Warn]
    );
}

#[test]
fn an_authority_that_is_not_known_fails_with_the_command_that_exchanges_it() {
    let all = [
        cluster("EU", "eu", "abc", true),
        cluster("US", "us", "abc", true),
    ];
    let given = |is_there: bool| Given {
        cluster: 1,
        log: "orders".into(),
        location: "eu".into(),
        is_there,
        object: json!({}),
    };
    let exchange = Exchange {
        given: vec![given(true), given(false)],
        missing: vec!["US: no location of orders has an authority".into()],
    };
    let mut findings = Findings::default();
    trust(&all, &Ok(exchange), &mut findings);
    let found: Vec<(Level, &str)> = findings
        .all()
        .iter()
        .map(|f| (f.level, f.hint.as_str()))
        .collect();
    assert_eq!(found[0].0, Level::Ok);
    assert_eq!(
        found[1],
        (
            Level::Fail,
            "`tidelog trust --context EU --context US --apply`"
        )
    );
    assert_eq!(found[2].0, Level::Warn);
}
