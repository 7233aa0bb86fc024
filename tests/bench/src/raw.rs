//! The raw limit: the same rows into a table of the same keys with one `UNNEST` statement per 500 rows, one connection, durable.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::RngCore;
use sqlx::{Connection, PgConnection};

const BATCH: usize = 500;

/// Events per second.
pub async fn insert(uri: &str, span: Duration) -> Result<f64> {
    let mut connection = PgConnection::connect(uri).await?;
    sqlx::raw_sql(
        "CREATE TABLE raw (
            seq bigint PRIMARY KEY, origin integer NOT NULL, origin_sequence bigint NOT NULL, event_type text NOT NULL,
            aggregate_id text COLLATE \"C\", content_type text, context bytea NOT NULL, digest bytea NOT NULL, payload bytea NOT NULL,
            stored_at bigint NOT NULL, UNIQUE (origin, origin_sequence));
         CREATE INDEX raw_aggregate ON raw (aggregate_id, seq);",
    )
    .execute(&mut connection)
    .await?;
    let mut head: i64 = 0;
    let begun = Instant::now();
    while begun.elapsed() < span {
        let sequences: Vec<i64> = (0..BATCH as i64).map(|i| head + 1 + i).collect();
        let aggregates: Vec<String> = sequences
            .iter()
            .map(|n| format!("aggregate-{}", n % 10_000))
            .collect();
        let payloads: Vec<Vec<u8>> = (0..BATCH).map(|_| random(256)).collect();
        let digests: Vec<Vec<u8>> = (0..BATCH).map(|_| random(32)).collect();
        sqlx::query(
            "INSERT INTO raw SELECT s, 1, s, 'Measured', a, 'application/octet-stream', '\\x0105', d, p, 1
             FROM UNNEST($1::bigint[], $2::text[], $3::bytea[], $4::bytea[]) AS t(s, a, d, p)",
        )
        .bind(&sequences)
        .bind(&aggregates)
        .bind(&digests)
        .bind(&payloads)
        .execute(&mut connection)
        .await?;
        head += BATCH as i64;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM raw")
        .fetch_one(&mut connection)
        .await?;
    ensure!(count == head, "{count} rows for {head} inserted");
    Ok(head as f64 / seconds)
}

fn random(bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    rand::rng().fill_bytes(&mut out);
    out
}
