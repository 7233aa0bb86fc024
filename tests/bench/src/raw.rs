//! The raw limit: the same rows into a table of the same keys with one `UNNEST` statement per 500 rows, one connection, durable.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::RngCore;
use sqlx::{Connection, PgConnection};
use tidelog_harness::postgres::Postgres;

const BATCH: usize = 500;

/// The raw limit, measured anew beside each figure: what a virtual machine gives changes by a third within minutes.
pub struct Raw<'a> {
    postgres: &'a Postgres,
    span: Duration,
    rates: Vec<f64>,
}

impl<'a> Raw<'a> {
    /// Measures it for the first time.
    pub async fn start(postgres: &'a Postgres, span: Duration) -> Result<Self> {
        let mut raw = Self {
            postgres,
            span,
            rates: Vec::new(),
        };
        raw.again().await?;
        Ok(raw)
    }

    /// Measures it again. Returns the mean of this run and the one before it: what was measured in between is to be compared with that.
    pub async fn again(&mut self) -> Result<f64> {
        let uri = self
            .postgres
            .create_database(&format!("raw_{}", self.rates.len()))?;
        let rate = insert(&uri, self.span).await?;
        let before = self.rates.last().copied().unwrap_or(rate);
        self.rates.push(rate);
        Ok(f64::midpoint(before, rate))
    }

    /// The lowest, the median and the highest of all runs.
    pub fn spread(&self) -> (f64, f64, f64) {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        let at = |i: usize| rates.get(i).copied().unwrap_or_default();
        (
            at(0),
            at(rates.len() / 2),
            at(rates.len().saturating_sub(1)),
        )
    }
}

/// Events per second.
async fn insert(uri: &str, span: Duration) -> Result<f64> {
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
