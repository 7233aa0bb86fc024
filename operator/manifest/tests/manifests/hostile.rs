//! Malformed, hostile and huge input: an error, soon, and no gigabytes.

use std::time::{Duration, Instant};

use expect_test::expect;

use crate::{LOG, refused};

/// Generous for a busy machine, and far from what an unbounded reader would need.
const SOON: Duration = Duration::from_secs(20);

fn soon(text: &str) -> String {
    let start = Instant::now();
    let problems = refused(text);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    problems
}

#[test]
fn malformed_yaml_has_line_and_column() {
    expect![[r#"
        m.yaml:9:1: is not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'
    "#]].assert_eq(&refused(&LOG.replace("{name: us}", "{name: us")));
    expect![[r#"
        m.yaml:1:13: is not valid YAML: while scanning a plain scalar, found a tab
    "#]]
    .assert_eq(&refused("apiVersion: a\n\tkind: b\n"));
    expect![[r#"
        m.yaml:2:2: is not valid YAML: illegal placement of ':' indicator
    "#]]
    .assert_eq(&refused("a: [1, 2\nb: 3\n"));
    expect![[r#"
        m.yaml:1:4: is not valid YAML: while parsing node, found unknown anchor
    "#]]
    .assert_eq(&refused("a: *nobody\n"));
    expect![[r#"
        m.yaml:1:8: an alias stands inside of what it names
    "#]]
    .assert_eq(&refused("a: &a [*a]\n"));
    expect![[r#"
        m.yaml:1:4: tag tag:yaml.org,2002:binary is not used in manifests
    "#]]
    .assert_eq(&refused("a: !!binary aGVsbG8=\n"));
    expect![[r#"
        m.yaml:1:2: a key has to be a text
    "#]]
    .assert_eq(&refused("{[a]: b}\n"));
    expect![[r#"
        m.yaml:1:1: is not valid YAML: while parsing a quoted scalar, found invalid Unicode character escape code
    "#]].assert_eq(&refused("\"\\ud800\"\n"));
}

#[test]
fn a_key_that_occurs_twice_is_refused() {
    expect![[r#"
        m.yaml:3:1: key `kind` occurs twice in one mapping; remove one
    "#]]
    .assert_eq(&refused(
        &LOG.replace("kind: EventLog", "kind: EventLog\nkind: EventLog"),
    ));
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let below = format!("*a{}", level - 1);
        text += &format!(
            "a{level}: &a{level} [{}]\n",
            [below.as_str(); 10].join(", ")
        );
    }
    assert!(soon(&text).contains("more than 200000 values, aliases included"));
}

#[test]
fn deep_nesting_is_refused() {
    expect![[r#"
        m.yaml:1:256: is not valid YAML: recursion limit exceeded
    "#]]
    .assert_eq(&soon(&"[".repeat(1_000_000)));
    assert!(soon(&"- ".repeat(300_000)).contains("nested more than 64 deep"));
    expect![[r#"
        m.yaml:1:1021: is not valid YAML: recursion limit exceeded
    "#]]
    .assert_eq(&soon(&"{a: ".repeat(200_000)));
    let mut text = "a0: &a0 [x]\n".to_owned();
    for level in 1..80 {
        text += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert!(soon(&text).contains("nested more than 64 deep"));
}

#[test]
fn wide_input_is_refused_or_read_in_time() {
    let keys: String = (0..90_000).map(|at| format!("k{at}: 1\n")).collect();
    assert!(soon(&keys).contains("kind: is required"));
    let unknown: String = (0..90_000).map(|at| format!("k{at}: 1\n")).collect();
    let problems = soon(&format!("{LOG}{unknown}"));
    assert!(problems.lines().count() < 1000);
    assert!(problems.contains("there are more problems"));
    assert!(soon(&"- x\n".repeat(260_000)).contains("more than 200000 values"));
    soon(&"a".repeat(1_000_000));
    soon(&"? a\n".repeat(250_000));
    soon(&"'".repeat(1_000_001));
    soon(&"\n---\na: b".repeat(90_000));
}
