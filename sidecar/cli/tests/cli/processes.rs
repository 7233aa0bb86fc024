//! Networks of several processes, and of processes that die.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use tidelog_harness::ports::Ports;

use crate::support::{Network, signal, text};

#[test]
fn locations_in_separate_processes_find_each_other() {
    let two = Network::of_example("two-locations", 2);
    let eu = two.start(&["--only", "eu"]);
    two.append("eu", "BeforeTheOtherRuns", &[]);
    let us = two.start(&["--only", "us"]);
    two.all_edges("Streaming", 2);
    assert_eq!(two.holds("us", 1), ["eu#1/1"]);
    two.append("us", "Back", &[]);
    two.holds("eu", 2);
    us.kill();
    let complaint = two.fails(1, &["read", "--location", "us"]);
    assert!(
        complaint.contains("orders/us does not run: process ") && complaint.contains("is gone"),
        "{complaint}"
    );
    assert!(complaint.contains("running: orders/eu"), "{complaint}");
    two.append("eu", "WhileUsIsDead", &[]);
    let us = two.start(&["--only", "us"]);
    assert_eq!(two.holds("us", 3).len(), 3);
    us.stop();
    eu.stop();
}

#[test]
fn a_second_process_for_a_location_is_told_who_runs_it() {
    let two = Network::of_example("two-locations", 2);
    let dev = two.start(&[]);
    let output = two.dev(&["--only", "us"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains(&format!("orders/us is run by process {}", dev.pid())),
        "{complaint}"
    );
    assert!(complaint.contains("--data-dir"), "{complaint}");
    two.append("us", "StillServed", &[]);
    dev.stop();
}

fn state(network: &Network) -> Value {
    serde_json::from_slice(&fs::read(network.data_dir().join("dev.json")).unwrap()).unwrap()
}

#[test]
fn a_stale_state_file_is_recognised_and_ports_are_kept() {
    let two = Network::of_example("two-locations", 2);
    two.start(&[]).kill();
    let complaint = two.fails(1, &["status"]);
    assert!(complaint.contains("nothing runs in "), "{complaint}");
    let before = state(&two);
    let dev = two.start(&[]);
    let after = state(&two);
    for location in ["eu", "us"] {
        assert_eq!(
            before["logs"]["orders"][location]["api"],
            after["logs"]["orders"][location]["api"]
        );
        assert_eq!(after["logs"]["orders"][location]["pid"], dev.pid());
    }
    two.ok(&["status"]);
    dev.stop();
    assert_eq!(state(&two)["logs"]["orders"]["eu"]["pid"], Value::Null);
}

#[test]
fn the_end_of_the_machine_is_a_clean_stop_too() {
    let two = Network::of_example("two-locations", 2);
    let mut dev = two.start(&[]);
    signal(dev.pid(), "TERM");
    assert_eq!(dev.ends().code(), Some(0), "{}", dev.everything());
}

#[test]
fn acknowledged_events_survive_a_kill() {
    let two = Network::of_example("two-locations", 2);
    let dev = two.start(&[]);
    for _ in 0..5 {
        two.append("eu", "Acknowledged", &[]);
    }
    dev.kill();
    let _dev = two.start(&[]);
    assert_eq!(two.ids("eu").len(), 5);
    two.holds("us", 5);
}

#[test]
fn a_process_with_its_own_directory_dials_a_named_peer() {
    let one = Network::of_example("two-locations", 2);
    let other = Network::of_example("two-locations", 2);
    let ports = Ports::take(1).unwrap().first;
    let (eu, us) = (
        format!("127.0.0.1:{}", ports + 3),
        format!("127.0.0.1:{}", ports + 5),
    );
    let _eu = one.start(&[
        "--only",
        "eu",
        "--listen",
        &format!("eu={eu}"),
        "--peer",
        &format!("us={us}"),
    ]);
    let _us = other.start(&[
        "--only",
        "us",
        "--listen",
        &format!("us={us}"),
        "--peer",
        &format!("orders/eu={eu}"),
    ]);
    one.append("eu", "Across", &[]);
    assert_eq!(other.holds("us", 1), ["eu#1/1"]);
    let address = format!("127.0.0.1:{}", other.base_port());
    assert_eq!(
        text(
            &crate::support::command(&["read", "--address", &address, "-o", "json"])
                .output()
                .unwrap()
                .stdout
        )
        .lines()
        .count(),
        1
    );
}

#[test]
fn a_busy_port_is_named_with_the_way_out() {
    let two = Network::of_example("two-locations", 2);
    let _busy = TcpListener::bind(("127.0.0.1", two.base_port() + 14)).unwrap();
    let output = two.dev(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains(&format!(
            "port {} (admin API of orders/us) cannot be used",
            two.base_port() + 14
        )),
        "{complaint}"
    );
    assert!(complaint.contains("--base-port"), "{complaint}");
}

#[test]
fn a_damaged_state_file_stops_the_start_and_is_left_alone() {
    let two = Network::of_example("two-locations", 2);
    fs::create_dir(two.data_dir()).unwrap();
    fs::write(two.data_dir().join("dev.json"), "\u{0}\u{0}").unwrap();
    let output = two.dev(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("dev.json is damaged"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(fs::read(two.data_dir().join("dev.json")).unwrap(), [0, 0]);
}

#[test]
fn several_logs_share_a_directory_and_nothing_else() {
    let three = Network::of_example("three-logs", 7);
    let _dev = three.start(&[]);
    let complaint = three.fails(2, &["append", "--location", "a", "--type", "T"]);
    assert!(
        complaint.contains("a is a location of m, n, o") && complaint.contains("--log NAME"),
        "{complaint}"
    );
    three.append("n/a", "OnlyInN", &[]);
    three.holds("n/c", 1);
    assert_eq!(three.ids("m/c"), Vec::<String>::new());
    assert_eq!(three.ids("o/b"), Vec::<String>::new());
    assert_eq!(
        three.ok(&["diff", "a", "c", "--log", "n"]),
        "a and c hold the same events\n"
    );
}

#[test]
fn majors_and_minors_all_stream() {
    let network = Network::of_example("major-minor", 11);
    let dev = network.start(&[]);
    network.all_edges("Streaming", 22);
    network.append("b2", "FromAMinor", &[]);
    network.holds("c3", 1);
    network.holds("a1", 1);
    assert_eq!(network.ids("a3"), Vec::<String>::new());
    dev.stop();
}

#[test]
fn a_second_interrupt_ends_a_stop_and_an_early_one_ends_a_start() {
    let network = Network::of_example("major-minor", 11);
    let mut dev = network.spawn(&[]);
    signal(dev.pid(), "INT");
    let code = dev.ends().code();
    assert!(matches!(code, Some(0 | 1) | None), "{code:?}");
    let dev = network.start(&[]);
    dev.stop();
}
