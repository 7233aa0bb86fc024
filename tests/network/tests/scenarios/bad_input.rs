//! What people and programs get wrong: everything is refused with a word that helps, nothing panics, nothing hangs.

use std::os::unix::ffi::OsStringExt as _;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::client::reason;
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::{Network, Storage};
use tidelog_harness::process::{Process, run, tidelog};
use tidelog_harness::session::Draft;
use tidelog_proto::{ErrorReason, v1};

use super::{SOON, acknowledged, append_each, refused, with};

fn pair() -> Manifests {
    Manifests::new("orders", &["eu", "us"]).link(Link::both("l", "eu", "us"))
}

/// Runs `tidelog` in a directory of its own and expects it to end by itself.
async fn tidelog_says(files: &[(&str, &str)], arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let directory = tempfile::tempdir()?;
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text)?;
    }
    let mut command = Command::new(tidelog()?);
    command
        .args(arguments)
        .current_dir(directory.path())
        .env("TIDELOG_DATA_DIR", directory.path().join("data"));
    Ok(said(&run(command, SOON).await?))
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[track_caller]
fn expect((code, text): &(Option<i32>, String), expected: i32, words: &[&str]) {
    assert_eq!(*code, Some(expected), "{text}");
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[tokio::test]
async fn manifests_that_are_wrong_start_nothing_and_say_where() -> Result<()> {
    let good = pair().yaml();
    let cases: &[(&str, String, i32, &[&str])] = &[
        ("not YAML", "a: [b".to_owned(), 1, &["m.yaml:"]),
        (
            "an unknown field",
            good.replace("locations:\n", "locatoins: 1\n  locations:\n"),
            1,
            &["m.yaml:", "locatoins", "allowed"],
        ),
        (
            "a wrong type",
            good.replace("version: \"1.0\"", "version: [1]"),
            1,
            &["m.yaml:", "version"],
        ),
        (
            "an unknown location",
            good.replace("target: us", "target: mars"),
            3,
            &["UnknownLocation", "mars", "eu, us"],
        ),
        (
            "an edge twice",
            pair().link(Link::one_way("again", "eu", "us")).yaml(),
            3,
            &["DuplicateEdge", "eu->us", "again"],
        ),
        (
            "a filter that does not parse",
            filtered("event.type =="),
            3,
            &["InvalidFilter", "column 14"],
        ),
        (
            "a filter of the wrong type",
            filtered("1 + 1"),
            3,
            &["InvalidFilter", "true or false"],
        ),
        (
            "a filter over a field that is not there",
            filtered("event.typ == 'A'"),
            3,
            &["InvalidFilter", "event.typ"],
        ),
        (
            "a filter that is too long",
            filtered(&"1 == 1 && ".repeat(600)),
            1,
            &["m.yaml:", "4096"],
        ),
        (
            "a filter that would run too long",
            filtered("[1, 2].all(x, [3, 4].all(y, x < y))"),
            3,
            &["InvalidFilter"],
        ),
        ("nothing at all", String::new(), 1, &[]),
    ];
    for (what, yaml, code, words) in cases {
        for command in ["dev", "plan"] {
            let result = tidelog_says(&[("m.yaml", yaml)], &[command, "-f", "m.yaml"])
                .await
                .with_context(|| what.to_string())?;
            expect(&result, *code, words);
        }
    }
    let result = tidelog_says(&[], &["dev", "-f", "missing.yaml"]).await?;
    expect(&result, 1, &["missing.yaml"]);
    Ok(())
}

fn filtered(cel: &str) -> String {
    let link = Link::both("l", "eu", "us").filtered(
        &["eu"],
        &[],
        cel,
        std::sync::Arc::new(|_, _, _| true),
    );
    Manifests::new("orders", &["eu", "us"]).link(link).yaml()
}

#[tokio::test]
async fn a_busy_port_is_named_and_so_is_the_way_out() -> Result<()> {
    let network = Network::prepare(Storage::Sqlite, pair())?;
    let first = network.first_port();
    let _listener = std::net::TcpListener::bind(("127.0.0.1", first + 4))?;
    let result = said(&run(network.dev_command(&[])?, SOON).await?);
    expect(&result, 1, &[&(first + 4).to_string(), "--base-port"]);
    network.finish(Ok(()))
}

#[tokio::test]
async fn a_postgresql_that_cannot_be_used_is_tried_and_then_told() -> Result<()> {
    let Storage::Postgres(server) = Storage::postgres().await? else {
        unreachable!()
    };
    let yaml = pair().yaml();
    let wrong = format!("postgres://tidelog:wrong@127.0.0.1:{}", server.port());
    let result = tidelog_says(
        &[("m.yaml", &yaml)],
        &[
            "dev",
            "-f",
            "m.yaml",
            "--base-port",
            "19000",
            "--storage",
            &wrong,
        ],
    )
    .await?;
    expect(
        &result,
        1,
        &[
            "trying again",
            "password authentication failed",
            "--storage",
        ],
    );
    assert!(
        !result.1.contains(":wrong@"),
        "the password is shown: {}",
        result.1
    );
    let nowhere = "postgres://tidelog@127.0.0.1:1";
    let result = tidelog_says(
        &[("m.yaml", &yaml)],
        &[
            "dev",
            "-f",
            "m.yaml",
            "--base-port",
            "19100",
            "--storage",
            nowhere,
        ],
    )
    .await?;
    expect(
        &result,
        1,
        &["trying again", "cannot be reached", "--storage"],
    );
    Ok(())
}

#[tokio::test]
async fn appends_that_are_wrong_are_refused_with_a_reason() -> Result<()> {
    with(Storage::Sqlite, pair(), async |network| {
        let mut eu = network.session("w-eu", "eu")?;
        let large = Draft {
            payload: vec![7; 4 << 20],
            ..Draft::of("k")
        };
        ensure!(refused(eu.append(vec![large]).await)? == "EVENT_TOO_LARGE");
        ensure!(refused(eu.append(Vec::new()).await)? == "INVALID_REQUEST");
        let many = vec![Draft::of("k"); 1_001];
        ensure!(refused(eu.append(many).await)? == "REQUEST_TOO_LARGE");
        let zero = Draft::of("k\0");
        ensure!(refused(eu.append(vec![zero]).await)? == "INVALID_EVENT");
        let long = Draft::of(&"k".repeat(513));
        ensure!(refused(eu.append(vec![long]).await)? == "INVALID_EVENT");
        // A refused request does not disturb the next one, and its id is free.
        append_each(&mut eu, 1, "k").await?;

        let mut us = network.session("w-us", "us")?.narrow();
        append_each(&mut us, 3, "k").await?;
        network.isolate("eu").await?;
        append_each(&mut us, 1, "k").await?;
        // Context of a place that eu has not heard of: the same writer, at eu, without waiting.
        let request = v1::AppendRequest {
            events: vec![v1::NewEvent {
                r#type: "T".to_owned(),
                ..v1::NewEvent::default()
            }],
            context: Some(us.token()),
            ..v1::AppendRequest::default()
        };
        let status = network
            .client("eu")?
            .log()
            .append(request)
            .await
            .err()
            .context("a context from the future was taken")?;
        ensure!(
            reason(&status) == Some(ErrorReason::ContextAhead),
            "{status:?}"
        );
        network.heal_all("eu").await?;

        let ahead = v1::ReadRequest {
            after: Some(v1::Position {
                incarnation: 1,
                sequence: 999,
            }),
            ..v1::ReadRequest::default()
        };
        let status = network
            .client("eu")?
            .read(ahead)
            .await
            .err()
            .context("a position beyond the head was taken")?;
        ensure!(
            reason(&status) == Some(ErrorReason::PositionAhead),
            "{status:?}"
        );
        let select = v1::Selector {
            cel: "event.typ == 1".to_owned(),
            ..v1::Selector::default()
        };
        let wrong = v1::ReadRequest {
            select: Some(select),
            ..v1::ReadRequest::default()
        };
        let status = network
            .client("eu")?
            .read(wrong)
            .await
            .err()
            .context("a wrong selector was taken")?;
        ensure!(
            reason(&status) == Some(ErrorReason::InvalidFilter),
            "{status:?}"
        );

        // The same through the command line.
        let output = run(
            network.command(&[
                "append",
                "--location",
                "eu",
                "--type",
                "T",
                "--after",
                "0",
                "--aggregate",
                "k",
            ])?,
            SOON,
        )
        .await?;
        expect(&said(&output), 3, &["CONDITION_FAILED"]);
        let mut invalid = network.command(&["append", "--location", "eu", "--type"])?;
        invalid.arg(std::ffi::OsString::from_vec(vec![0xff, 0xfe]));
        expect(&said(&run(invalid, SOON).await?), 2, &["UTF-8"]);
        let output = run(
            network.command(&["append", "--location", "mars", "--type", "T"])?,
            SOON,
        )
        .await?;
        expect(&said(&output), 1, &["mars", "eu"]);
        network.judge().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_damaged_state_file_is_named_and_the_events_survive_it() -> Result<()> {
    with(Storage::Sqlite, pair(), async |network| {
        let mut eu = network.session("w-eu", "eu")?;
        append_each(&mut eu, 3, "k").await?;
        network.converged(SOON).await?;
        network.stop("eu").await?;
        network.stop("us").await?;
        let file = network.data().join("dev.json");
        std::fs::write(&file, "{\"version\": 1, \"logs\"")?;
        let result = said(&run(network.dev_command(&["eu"])?, SOON).await?);
        expect(&result, 1, &["dev.json", "damaged", "move it away"]);
        std::fs::rename(&file, file.with_extension("damaged"))?;
        network.restart("eu").await?;
        network.restart("us").await?;
        let history = network.judge().await?;
        ensure!(
            history
                .dumps
                .values()
                .all(|dump| dump.head == 3 && dump.lineage.len() == 1)
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn ctrl_c_at_any_time_ends_it_without_harm() -> Result<()> {
    let mut network = Network::prepare(Storage::Sqlite, pair())?;
    let outcome = async {
        // From before it has read its manifests to well after it serves.
        for millis in [0, 5, 20, 60, 120, 250, 600] {
            let command = network.dev_command(&[])?;
            let log = network.path("interrupted.log");
            let mut process = Process::start("interrupted", command, &log)?;
            tokio::time::sleep(Duration::from_millis(millis)).await;
            process.signal("INT")?;
            process
                .ended(SOON)
                .await
                .with_context(|| format!("after {millis} ms"))?;
        }
        network.spawn_command("all", network.dev_command(&[])?)?;
        for name in ["eu", "us"] {
            network.ready(name).await?;
        }
        // Under load as well: what was acknowledged is there afterwards.
        let mut session = network.session("w", "eu")?;
        let writer = tokio::spawn(async move {
            while acknowledged(session.append(vec![Draft::of("k")]).await).is_ok() {}
        });
        tokio::time::sleep(Duration::from_millis(400)).await;
        network.process("all")?.signal("INT")?;
        let ended = network.process("all")?.ended(SOON).await?;
        ensure!(ended.success(), "{ended}");
        writer.await?;
        network.spawn_command("all", network.dev_command(&[])?)?;
        for name in ["eu", "us"] {
            network.ready(name).await?;
        }
        let history = network.judge().await?;
        ensure!(
            history.dumps["eu"].lineage.len() == 1,
            "a clean stop was taken for a loss: {:?}",
            history.dumps["eu"].lineage
        );
        Ok(())
    }
    .await;
    network.finish(outcome)
}
