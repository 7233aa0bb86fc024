//! The tour of the README, on the shop: append, read, follow, cut, heal, compare, verify, copy.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::support::{Network, eventually, signal, text};

#[test]
fn events_of_everywhere_arrive_where_filters_let_them() {
    let shop = Network::of_example("shop", 5);
    let dev = shop.start(&[]);
    shop.all_edges("Streaming", 10);
    let first = shop.append(
        "us",
        "OrderPlaced",
        &[
            "--aggregate",
            "order-1",
            "--metadata",
            "store=store-17",
            "--data",
            "{\"total\": 10}",
        ],
    );
    assert_eq!(first, "appended us#1/1 at us 1  token us#1:1\n");
    shop.holds("eu", 1);
    shop.append("eu", "OrderShipped", &["--aggregate", "order-1"]);
    assert_eq!(
        shop.holds("ap", 2),
        ["us#1/1", "eu#1/2"],
        "the effect comes after its cause"
    );
    assert_eq!(
        shop.holds("store-17", 1),
        ["us#1/1"],
        "only what is marked for the store"
    );
    assert_eq!(
        shop.ok(&["diff", "us", "eu"]),
        "us and eu hold the same events\n"
    );
    // The store learns from the next frame that it will never get the other one.
    eventually("the diff is explained by the filter", || {
        let diff = shop.json(&["diff", "eu", "store-17"]);
        let missing = &diff["missing"][0];
        if missing["why"] == "filtered" && missing["origin"] == "eu#1" {
            Ok(())
        } else {
            Err(diff.to_string())
        }
    });
    let table = shop.ok(&["read", "--location", "store-17"]);
    assert!(
        table.contains("OrderPlaced  order-1    {\"total\": 10}"),
        "{table}"
    );
    dev.says("orders eu->us is Streaming\n");
    let everything = dev.stop();
    assert!(everything.contains("5 locations run\n"), "{everything}");
    assert!(
        everything.ends_with("stopped; start again to continue with the data\n"),
        "{everything}"
    );
}

#[test]
fn an_isolated_location_goes_on_alone_and_catches_up() {
    let shop = Network::of_example("shop", 5);
    let _dev = shop.start(&[]);
    shop.all_edges("Streaming", 10);
    let cut = shop.ok(&["edge", "cut", "--isolate", "us"]);
    assert_eq!(cut, "cut ap->us, eu->us, us->ap, us->eu\n");
    shop.append("us", "WrittenInUs", &[]);
    shop.append("eu", "WrittenInEu", &[]);
    shop.holds("ap", 1);
    let diff = shop.json(&["diff", "us", "eu"]);
    let missing: Vec<_> = diff["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["origin"], &one["why"]))
        .collect();
    assert_eq!(
        missing,
        [
            (&"us#1".into(), &"lag".into()),
            (&"eu#1".into(), &"lag".into())
        ]
    );
    let status = shop.ok(&["status", "--location", "us"]);
    assert!(status.contains("(cut)"), "{status}");
    shop.ok(&["edge", "heal", "--isolate", "us"]);
    shop.all_edges("Streaming", 10);
    shop.holds("us", 2);
    shop.holds("eu", 2);
    assert_eq!(
        shop.ok(&["diff", "us", "eu"]),
        "us and eu hold the same events\n"
    );
}

#[test]
fn a_third_location_forwards_when_one_edge_is_cut() {
    let shop = Network::of_example("shop", 5);
    let _dev = shop.start(&[]);
    shop.all_edges("Streaming", 10);
    shop.ok(&["edge", "cut", "us", "eu"]);
    shop.append("us", "ByTheOtherWay", &[]);
    assert_eq!(shop.holds("eu", 1), ["us#1/1"]);
    let cut = shop.json(&["status", "--location", "eu"]);
    let edges = cut["locations"][0]["edges"].as_array().unwrap();
    let edge = edges
        .iter()
        .find(|edge| edge["source"] == "us" && edge["target"] == "eu")
        .unwrap();
    assert_eq!(edge["cut"], true);
}

#[test]
fn a_paused_edge_stays_paused_over_a_restart() {
    let two = Network::of_example("two-locations", 2);
    let dev = two.start(&[]);
    two.all_edges("Streaming", 2);
    let paused = two.json(&["edge", "pause", "eu", "us"]);
    assert_eq!(paused["edges"][0]["pausedByCommand"], true);
    dev.stop();
    let _dev = two.start(&[]);
    two.all_edges("Paused", 1);
    two.append("eu", "Waits", &[]);
    two.ok(&["edge", "resume", "eu", "us"]);
    two.holds("us", 1);
}

#[test]
fn appends_are_conditional_and_idempotent() {
    let two = Network::of_example("two-locations", 2);
    let _dev = two.start(&[]);
    let order = ["--aggregate", "order-1", "--after", "0"];
    two.append("eu", "OrderPlaced", &order);
    let complaint = two.fails(
        3,
        &[
            &["append", "--location", "eu", "--type", "OrderPlaced"][..],
            &order,
        ]
        .concat(),
    );
    assert!(complaint.contains("CONDITION_FAILED"), "{complaint}");
    let retry = ["--request-id", "r-1", "--data", "[1]"];
    assert!(
        two.append("eu", "Paid", &retry)
            .starts_with("appended eu#1/2 ")
    );
    assert!(
        two.append("eu", "Paid", &retry)
            .starts_with("appended before: eu#1/2 ")
    );
    let complaint = two.fails(
        1,
        &[
            "append",
            "--location",
            "eu",
            "--type",
            "Other",
            "--request-id",
            "r-1",
        ],
    );
    assert!(complaint.contains("REQUEST_ID_REUSED"), "{complaint}");
    assert_eq!(two.ids("eu").len(), 2);
    let answer = two.json(&["append", "--location", "eu", "--type", "T"]);
    assert_eq!(
        (&answer["lastSequence"], &answer["tokenText"]),
        (&"3".into(), &"eu#1:3".into())
    );
}

#[test]
fn many_events_are_appended_from_lines_and_an_import_can_be_repeated() {
    let two = Network::of_example("two-locations", 2);
    let _dev = two.start(&[]);
    let file = two.path("events.ndjson");
    let mut lines = fs::File::create(&file).unwrap();
    for n in 0..3_000 {
        writeln!(
            lines,
            "{{\"type\": \"Counted\", \"aggregateId\": \"a-{}\", \"payload\": {{\"n\": {n}}}}}",
            n % 7
        )
        .unwrap();
    }
    let import = [
        "append",
        "--location",
        "eu",
        "--request-id",
        "import-1",
        "--ndjson",
        file.to_str().unwrap(),
    ];
    assert_eq!(
        two.ok(&import),
        "appended 3000; the last sequence is 3000\n"
    );
    assert_eq!(
        two.ok(&import),
        "appended 3000 (3000 of them before); the last sequence is 3000\n"
    );
    let page = two.ok(&[
        "read",
        "--location",
        "eu",
        "--aggregate",
        "a-3",
        "--from",
        "100",
        "--limit",
        "2",
        "-o",
        "json",
    ]);
    let payloads: Vec<String> = page
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["payload"].to_string())
        .collect();
    assert_eq!(payloads, ["{\"n\":101}", "{\"n\":108}"]);
    two.holds("us", 3_000);
    fs::write(
        &file,
        "{\"type\": \"Good\"}\n\nnot json\n{\"type\": \"\"}\n{\"type\": \"Good\"}\n",
    )
    .unwrap();
    let output = two.run(&[
        "append",
        "--location",
        "eu",
        "--ndjson",
        file.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        "appended 2, refused 2; the last sequence is 3002\n"
    );
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains("line 3: ")
            && complaint.contains("line 4: ")
            && complaint.contains("INVALID_EVENT"),
        "{complaint}"
    );
}

#[test]
fn tail_follows_and_says_where_to_continue() {
    let two = Network::of_example("two-locations", 2);
    let _dev = two.start(&[]);
    two.append("eu", "First", &[]);
    let mut tail = two
        .command(&["tail", "--location", "us", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(lines.next().unwrap().contains("\"type\":\"First\""));
    two.append("eu", "Second", &[]);
    assert!(lines.next().unwrap().contains("\"type\":\"Second\""));
    signal(tail.id(), "INT");
    let output = tail.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text(&output.stderr).ends_with("continue with --after 1/2\n"),
        "{}",
        text(&output.stderr)
    );
    let rest = two.run(&[
        "tail",
        "--location",
        "us",
        "--after",
        "1/1",
        "--timeout",
        "1s",
        "-o",
        "json",
    ]);
    assert_eq!(rest.status.code(), Some(4), "the deadline has its own code");
    assert_eq!(text(&rest.stdout).lines().count(), 1);
}

#[test]
fn a_consumer_continues_where_it_was() {
    let two = Network::of_example("two-locations", 2);
    let _dev = two.start(&[]);
    two.append("eu", "First", &[]);
    let follow = || {
        text(
            &two.run(&[
                "tail",
                "--location",
                "eu",
                "--consumer",
                "billing",
                "--timeout",
                "1500ms",
                "-o",
                "json",
            ])
            .stdout,
        )
        .to_owned()
    };
    assert!(follow().contains("\"type\":\"First\""));
    two.append("eu", "Second", &[]);
    let second = follow();
    assert!(
        second.contains("\"type\":\"Second\"") && !second.contains("First"),
        "{second}"
    );
}

#[test]
fn a_copy_is_verified_and_an_older_one_gets_its_lost_events_back() {
    let two = Network::of_example("two-locations", 2);
    let dev = two.start(&[]);
    two.append("eu", "BeforeTheCopy", &[]);
    let copy = two.path("copy");
    let said = two.ok(&["backup", "--location", "eu", copy.to_str().unwrap()]);
    assert!(said.contains("it holds everything up to 1/1"), "{said}");
    let again = two.fails(1, &["backup", "--location", "eu", copy.to_str().unwrap()]);
    assert!(again.contains("not empty"), "{again}");
    two.append("eu", "AfterTheCopy", &[]);
    two.holds("us", 2);
    let verified = two.ok(&["verify", "--location", "eu"]);
    assert!(
        verified.starts_with("eu: 2 events, nothing was altered"),
        "{verified}"
    );
    dev.stop();
    // As the help says: the content of the location's directory is replaced.
    let database = two.data_dir().join("logs/orders/eu");
    fs::remove_dir_all(&database).unwrap();
    fs::create_dir(&database).unwrap();
    for file in fs::read_dir(&copy).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), database.join(file.file_name())).unwrap();
    }
    let _dev = two.start(&[]);
    assert_eq!(
        two.holds("eu", 2),
        ["eu#1/1", "eu#1/2"],
        "its own lost event came back from us"
    );
    let status = two.json(&["status", "--location", "eu"]);
    assert_ne!(
        status["locations"][0]["incarnation"], 1,
        "a loss raises the incarnation"
    );
    two.append("eu", "New", &[]);
    two.holds("us", 3);
    assert_eq!(
        two.ok(&["diff", "eu", "us"]),
        "eu and us hold the same events\n"
    );
}

#[test]
fn an_altered_database_is_named() {
    let two = Network::of_example("two-locations", 2);
    let dev = two.start(&[]);
    for _ in 0..3 {
        two.append("eu", "Original", &["--data", "\"to be altered\""]);
    }
    dev.stop();
    let file = two.data_dir().join("logs/orders/eu/log.db");
    let mut bytes = fs::read(&file).unwrap();
    // Rows of a page lie from its end on, so the last one is the first event.
    let at = bytes
        .windows(13)
        .rposition(|window| window == b"to be altered")
        .unwrap();
    bytes[at..at + 13].copy_from_slice(b"has been done");
    fs::write(&file, bytes).unwrap();
    let _dev = two.start(&[]);
    let complaint = two.fails(1, &["verify", "--location", "eu"]);
    assert!(
        complaint.contains("eu: event 1 (eu#1/1) is not what was written"),
        "{complaint}"
    );
    for what in ["recorded", "computed"] {
        let digest = complaint
            .lines()
            .find_map(|line| line.trim().strip_prefix(what));
        assert_eq!(
            digest.map(|digest| digest.trim().len()),
            Some(64),
            "{complaint}"
        );
    }
}

#[test]
fn filters_are_tried_on_events_that_a_location_holds() {
    let shop = Network::of_example("shop", 5);
    let _dev = shop.start(&[]);
    shop.append("eu", "ForTheStore", &["--metadata", "store=store-17"]);
    shop.append("eu", "ForNobody", &[]);
    let report = shop.json(&[
        "filter",
        "test",
        "-f",
        "examples/shop",
        "--link",
        "orders-stores",
        "--location",
        "eu",
    ]);
    let verdicts: Vec<String> = report["edges"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|edge| {
            let target = edge["target"].as_str().unwrap().to_owned();
            edge["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(move |event| format!("{target} {} {}", event["type"], event["verdict"]))
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            "store-17 \"ForTheStore\" \"pass\"",
            "store-17 \"ForNobody\" \"drop\"",
            "store-23 \"ForTheStore\" \"drop\"",
            "store-23 \"ForNobody\" \"drop\""
        ]
    );
}
