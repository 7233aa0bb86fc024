//! A network on PostgreSQL.

use tidelog_harness::ports::Ports;
use tidelog_harness::postgres::Postgres;

use crate::support::{Network, signal, text};

#[tokio::test]
async fn each_location_has_a_database_and_a_second_start_continues() {
    let server = Postgres::start(&[]).await.unwrap();
    let storage = server.uri("postgres");
    let two = Network::of_example("two-locations", 2);
    let dev = two.start(&["--storage", &storage]);
    assert!(
        dev.printed()
            .contains("PostgreSQL database tidelog_orders_us"),
        "{}",
        dev.printed()
    );
    two.append("eu", "First", &[]);
    two.holds("us", 1);
    assert_eq!(
        server
            .sql("tidelog_orders_us", "SELECT head FROM tidelog.head")
            .unwrap()
            .trim(),
        "1"
    );
    dev.stop();
    let dev = two.start(&["--storage", &storage]);
    two.append("us", "Second", &[]);
    assert_eq!(two.holds("eu", 2), ["eu#1/1", "us#1/2"]);
    dev.stop();
}

#[tokio::test]
async fn a_wrong_password_is_said_without_showing_it() {
    let server = Postgres::start(&[]).await.unwrap();
    let wrong = format!(
        "postgres://tidelog:not-the-password@127.0.0.1:{}/postgres",
        server.port()
    );
    let two = Network::of_example("two-locations", 2);
    let output = two.dev(&["--storage", &wrong]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(complaint.contains("trying again"), "{complaint}");
    assert!(
        complaint.contains("password authentication failed"),
        "{complaint}"
    );
    assert!(
        complaint.contains("check address, user and password"),
        "{complaint}"
    );
    assert!(!complaint.contains("not-the-password"), "{complaint}");
}

#[test]
fn a_server_that_does_not_answer_is_tried_again_until_somebody_interrupts() {
    let closed = Ports::take(1).unwrap();
    let storage = format!("postgres://nobody@127.0.0.1:{}", closed.first);
    let two = Network::of_example("two-locations", 2);
    let mut dev = two.spawn(&["--storage", &storage]);
    dev.says("trying again");
    signal(dev.pid(), "INT");
    assert_eq!(dev.ends().code(), Some(1), "{}", dev.everything());
    assert!(
        dev.everything().contains("error: interrupted"),
        "{}",
        dev.everything()
    );
}
