//! A password of PostgreSQL that is rotated, and one that is wrong.

use tidelog_harness::postgres::Postgres;

use crate::sidecar::{PATIENCE, Sidecar, append};

/// A user of its own, and a location on a database of that user, which reads its URI from the file `uri`.
async fn location(user: &str) -> (&'static Postgres, Sidecar) {
    let server = Postgres::shared().await.unwrap();
    let role = format!("CREATE ROLE {user} LOGIN PASSWORD 'right'");
    server.sql("postgres", &role).unwrap();
    let database = format!("CREATE DATABASE {user} OWNER {user}");
    server.sql("postgres", &database).unwrap();
    let eu = Sidecar::new("eu");
    let storage = format!("{{postgres: {{uriFile: {}}}}}", eu.path("uri").display());
    let sqlite = format!("{{sqlite: {{path: {}}}}}", eu.path("data").display());
    eu.write(&eu.yaml("").replace(&sqlite, &storage));
    (server, eu)
}

fn write_uri(eu: &Sidecar, server: &Postgres, user: &str, password: &str) {
    let uri = format!(
        "postgres://{user}:{password}@127.0.0.1:{}/{user}\n",
        server.port()
    );
    std::fs::write(eu.path("uri"), uri).unwrap();
}

#[tokio::test]
async fn a_password_that_is_rotated_during_the_start_is_read_again() {
    let (server, mut eu) = location("rotated").await;
    write_uri(&eu, server, "rotated", "old");
    eu.spawn();
    eu.says("trying again").await;
    write_uri(&eu, server, "rotated", "right");
    eu.serves().await;
    eu.client().log().append(append("T")).await.unwrap();
}

#[tokio::test]
async fn a_password_that_stays_wrong_is_tried_and_then_told() {
    let (server, mut eu) = location("mistaken").await;
    write_uri(&eu, server, "mistaken", "sesame");
    eu.spawn();
    let status = eu.process().ended(PATIENCE).await.unwrap();
    assert!(!status.success(), "{status}");
    let said = eu.process().log_tail(50);
    assert!(said.contains("trying again"), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains("check user and password"), "{said}");
    assert!(!said.contains("sesame"), "the password is shown: {said}");
}
