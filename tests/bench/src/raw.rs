//! The raw limit: the same rows into a table of the same keys with one `UNNEST` statement per 500 rows, one connection, durable.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::RngCore;
use sqlx::{Connection, Executor as _, PgConnection};

use crate::load::{Load, Sample};

const BATCH: usize = 500;

/// A table of its own.
pub struct Raw {
    connection: PgConnection,
    head: i64,
}

impl Raw {
    pub async fn start(uri: &str) -> Result<Self> {
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
        // What earlier figures have written is on disk before this one begins.
        connection.execute("CHECKPOINT").await?;
        Ok(Self {
            connection,
            head: 0,
        })
    }

    async fn insert(&mut self) -> Result<()> {
        let sequences: Vec<i64> = (0..BATCH as i64).map(|i| self.head + 1 + i).collect();
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
        .execute(&mut self.connection)
        .await?;
        self.head += BATCH as i64;
        Ok(())
    }
}

#[tonic::async_trait]
impl Load for Raw {
    async fn run(&mut self, span: Duration) -> Result<Sample> {
        let (begun, before) = (Instant::now(), self.head);
        while begun.elapsed() < span {
            self.insert().await?;
        }
        Ok(Sample {
            events: (self.head - before).unsigned_abs(),
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    async fn check(&mut self) -> Result<()> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM raw")
            .fetch_one(&mut self.connection)
            .await?;
        ensure!(
            count == self.head,
            "{count} rows for {} inserted",
            self.head
        );
        // Nothing of it is left for the server to look after while the next figure is measured.
        self.connection.execute("DROP TABLE raw").await?;
        Ok(())
    }
}

/// Drops the log of a database that is not needed any more.
pub async fn clear(uri: &str) -> Result<()> {
    let mut connection = PgConnection::connect(uri).await?;
    connection.execute("DROP SCHEMA tidelog CASCADE").await?;
    Ok(())
}

fn random(bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    rand::rng().fill_bytes(&mut out);
    out
}
