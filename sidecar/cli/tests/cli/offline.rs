//! The commands that need no running network, through the program itself.

use std::fs;
use std::process::{Command, Output};

use expect_test::{ExpectFile, expect, expect_file};

use crate::support::{command, root, text};

/// Runs the program without a network of its own.
fn tidelog(arguments: &[&str]) -> Output {
    let empty = tempfile::tempdir().unwrap();
    command(arguments)
        .env("TIDELOG_DATA_DIR", empty.path())
        .output()
        .unwrap()
}

#[track_caller]
fn check(arguments: &[&str], code: i32, stdout: ExpectFile) {
    let output = tidelog(arguments);
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    stdout.assert_eq(text(&output.stdout));
}

#[test]
fn plan_draws_the_shop() {
    check(
        &["plan", "-f", "examples/shop"],
        0,
        expect_file!["plans/shop.txt"],
    );
    check(
        &["plan", "-f", "examples/shop", "-o", "dot"],
        0,
        expect_file!["plans/shop.dot"],
    );
    check(
        &["plan", "-f", "examples/shop", "-o", "json"],
        0,
        expect_file!["plans/shop.json"],
    );
}

#[test]
fn plan_draws_the_other_examples() {
    check(
        &["plan", "-f", "examples/three-logs"],
        0,
        expect_file!["plans/three-logs.txt"],
    );
    check(
        &["plan", "-f", "examples/major-minor"],
        0,
        expect_file!["plans/major-minor.txt"],
    );
    check(
        &["plan", "-f", "examples/two-locations"],
        0,
        expect_file!["plans/two-locations.txt"],
    );
}

#[test]
fn a_refused_plan_says_why_and_ends_with_three() {
    check(
        &["plan", "-f", "examples/filtered-cycle"],
        3,
        expect_file!["plans/filtered-cycle.txt"],
    );
    let output = tidelog(&["plan", "-f", "examples/filtered-cycle"]);
    assert_eq!(text(&output.stderr), "error: refused: orders\n");
    let output = tidelog(&["plan", "-f", "examples/filtered-cycle", "-o", "json"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(3), ""));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["plans"][0]["findings"][0]["kind"], "FilteredCycle");
}

#[test]
fn bad_manifests_are_named_with_file_line_and_field() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log.yaml");
    fs::write(
        &file,
        "apiVersion: tidelog.dev/v1alpha1\nkind: EventLog\nmetadata: {name: orders}\nspec:\n  application: {name: shop, version: \"1\"}\n  \
         locations: [{name: eu, endpont: {host: x}}]\n",
    )
    .unwrap();
    let output = tidelog(&["plan", "-f", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr).replace(dir.path().to_str().unwrap(), "DIR");
    expect![[r#"
        error: the manifests cannot be used, 1 problem:
        DIR/log.yaml:6:26: spec.locations[0].endpont: unknown field (did you mean `endpoint`?); allowed here: endpoint, exportFilter, name, state, storage
    "#]].assert_eq(&message);
}

#[test]
fn missing_manifests_are_an_error() {
    let output = tidelog(&["plan", "-f", "examples/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    expect![[r#"
        error: the manifests cannot be used, 1 problem:
        examples/nowhere: cannot be read: No such file or directory (os error 2)
    "#]]
    .assert_eq(text(&output.stderr));
}

#[test]
fn crds_are_those_of_the_repository() {
    let dir = tempfile::tempdir().unwrap();
    let output = tidelog(&["crds", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut printed = Vec::new();
    for name in [
        "eventlogs.tidelog.dev.yaml",
        "replicationlinks.tidelog.dev.yaml",
    ] {
        let written = fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            written,
            fs::read_to_string(root().join("crds").join(name)).unwrap()
        );
        printed.push(written);
    }
    assert_eq!(text(&tidelog(&["crds"]).stdout), printed.join("---\n"));
    let list: serde_json::Value =
        serde_json::from_slice(&tidelog(&["crds", "-o", "json"]).stdout).unwrap();
    assert_eq!(list["items"][0]["kind"], "CustomResourceDefinition");
}

#[test]
fn every_shell_gets_a_completion() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = tidelog(&["completion", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("ndjson"), "{shell}");
    }
}

#[test]
fn filters_of_a_link_are_shown_and_tried() {
    let output = tidelog(&[
        "filter",
        "test",
        "-f",
        "examples/shop",
        "--link",
        "orders-stores",
    ]);
    expect![[r#"
        SOURCE    TARGET    FILTER          ON ERROR  EXPRESSION
        eu        store-17  own-store-only  Stall     has(event.metadata.store) && event.metadata.store == target
        eu        store-23  own-store-only  Stall     has(event.metadata.store) && event.metadata.store == target
        store-17  eu        -                         everything passes
        store-23  eu        -                         everything passes
    "#]].assert_eq(text(&output.stdout));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.json");
    fs::write(
        &file,
        "{\"type\": \"OrderPlaced\", \"metadata\": {\"store\": \"store-17\"}, \"payload\": {\"total\": 10}}\n{\"type\": \"OrderPlaced\"}\n",
    )
    .unwrap();
    let event = format!("@{}", file.display());
    let output = tidelog(&[
        "filter",
        "test",
        "-f",
        "examples/shop",
        "--link",
        "orders-stores",
        "--event",
        &event,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    expect![[r#"
        SOURCE    TARGET    EVENT         TYPE         VERDICT       WHY
        eu        store-17  eu#1/1        OrderPlaced  passes        own-store-only is true
        eu        store-17  eu#1/2        OrderPlaced  is kept back  own-store-only is false
        eu        store-23  eu#1/1        OrderPlaced  is kept back  own-store-only is false
        eu        store-23  eu#1/2        OrderPlaced  is kept back  own-store-only is false
        store-17  eu        store-17#1/1  OrderPlaced  passes        no filter
        store-17  eu        store-17#1/2  OrderPlaced  passes        no filter
        store-23  eu        store-23#1/1  OrderPlaced  passes        no filter
        store-23  eu        store-23#1/2  OrderPlaced  passes        no filter
    "#]]
    .assert_eq(text(&output.stdout));
    let output = tidelog(&["filter", "test", "-f", "examples/shop", "--link", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    expect![[r#"
        error: there is no link nowhere in these manifests
          there are orders-regions, orders-stores
    "#]]
    .assert_eq(text(&output.stderr));
}

#[test]
fn a_network_that_is_not_there_is_an_error_with_a_way_out() {
    for command in [
        vec!["status"],
        vec!["read", "--location", "eu"],
        vec!["append", "--location", "eu", "--type", "T"],
        vec!["edge", "cut", "eu", "us"],
        vec!["diff", "eu", "us"],
    ] {
        let output = tidelog(&command);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let message = text(&output.stderr);
        assert!(
            message.starts_with("error: there is no development network in "),
            "{message}"
        );
        assert!(message.contains("tidelog dev -f PATH"), "{message}");
    }
}

#[test]
fn a_damaged_state_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("dev.json"), "{\"version\": 1, \"logs\": ").unwrap();
    let output = command(&["status", "--data-dir", dir.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr).replace(dir.path().to_str().unwrap(), "DIR");
    expect![[r#"
        error: DIR/dev.json is damaged: EOF while parsing a value at line 1 column 23
          events are not in this file and nothing was deleted: move it away (mv DIR/dev.json DIR/dev.json.damaged) and start again; ports are then assigned anew
    "#]].assert_eq(&message);
    assert_eq!(
        fs::read_to_string(dir.path().join("dev.json")).unwrap(),
        "{\"version\": 1, \"logs\": "
    );
}

#[test]
fn an_address_where_nobody_listens_is_an_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let output = tidelog(&["status", "--address", &free]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains(&format!("cannot connect to {free}")),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn wrong_use_ends_with_two() {
    for arguments in [
        vec!["no-such-command"],
        vec!["append", "--location", "eu"],
        vec!["edge", "cut", "eu"],
        vec!["edge", "cut", "eu", "us", "--isolate", "ap"],
        vec!["tail", "--location", "eu", "--latest", "--from", "3"],
        vec!["read", "--location", "Not/A/Name"],
        vec!["status", "--timeout", "soon"],
        vec!["status", "-o", "dot"],
    ] {
        let output = tidelog(&arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        assert_ne!(text(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let script = format!("{} crds | head -1", env!("CARGO_BIN_EXE_tidelog"));
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", &script])
        .output()
        .unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn colours_are_for_terminals_unless_wanted() {
    let plain = tidelog(&[
        "filter",
        "test",
        "-f",
        "examples/shop",
        "--link",
        "orders-stores",
    ]);
    assert!(!text(&plain.stdout).contains('\x1b'));
    let coloured = tidelog(&[
        "filter",
        "test",
        "-f",
        "examples/shop",
        "--link",
        "orders-stores",
        "--color",
        "always",
    ]);
    assert!(text(&coloured.stdout).contains('\x1b'));
}
