//! Consumers, paused edges, and forgetting request ids. All of these may be repeated without harm.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tidelog_model::{Incarnation, Position};
use tidelog_store::{Consumer, EdgeKey, Fence, RequestRetention, StoreError};

use crate::error::store_error;
use crate::read::clamped;
use crate::row::Cursor;
use crate::statement::Statement;
use crate::store::PostgresStore;

/// Request ids that one step looks at: short enough that the writer does not notice.
const PRUNE_STEP: i64 = 2_000;

impl PostgresStore {
    pub(crate) async fn read_consumers(
        &self,
        name: Option<&str>,
    ) -> Result<Vec<Consumer>, StoreError> {
        let mut statement =
            Statement::new("SELECT name, incarnation, sequence, updated_at FROM consumers");
        if let Some(name) = name {
            statement.push(" WHERE name = ");
            statement.bind(name, "text");
        }
        statement.push(" ORDER BY name");
        let rows = self.readers.fetch(&statement).await?;
        rows.iter().map(consumer).collect()
    }

    /// The lock on the lease is what makes judging and writing one: whoever takes the lease waits for it, and one who had to wait for a lease
    /// that was being taken looks at it again. (Not on `head`, which a commit holds while it waits for the disk.)
    pub(crate) async fn write_consumer(
        &self,
        fence: &Fence,
        consumer: &Consumer,
    ) -> Result<bool, StoreError> {
        let mut statement = Statement::new("WITH l AS (SELECT FROM lease WHERE nonce = ");
        statement.bind(fence.nonce as i64, "int8").push(
            " FOR SHARE)
             INSERT INTO consumers (name, incarnation, sequence, updated_at) SELECT ",
        );
        let position = consumer.position;
        statement.bind(consumer.name.as_str(), "text").push(", ");
        statement
            .bind(i64::from(position.incarnation.0), "int8")
            .push(", ");
        statement.bind(position.sequence as i64, "int8").push(", ");
        statement
            .bind(consumer.updated_at_micros, "int8")
            .push(" FROM l, head h WHERE h.incarnation = ");
        statement
            .bind(i64::from(fence.incarnation.0), "int8")
            .push(" AND h.nonce = ");
        statement.bind(fence.nonce as i64, "int8").push(
            " ON CONFLICT (name) DO UPDATE
               SET incarnation = excluded.incarnation, sequence = excluded.sequence, updated_at = excluded.updated_at
             RETURNING 1",
        );
        Ok(!self.readers.fetch(&statement).await?.is_empty())
    }

    pub(crate) async fn remove_consumer(&self, name: &str) -> Result<bool, StoreError> {
        let mut statement = Statement::new("DELETE FROM consumers WHERE name = ");
        statement.bind(name, "text").push(" RETURNING 1");
        Ok(!self.readers.fetch(&statement).await?.is_empty())
    }

    pub(crate) async fn write_paused(
        &self,
        edge: &EdgeKey,
        paused: bool,
    ) -> Result<(), StoreError> {
        let mut statement = Statement::new(if paused {
            "INSERT INTO paused (source, target) VALUES ("
        } else {
            "DELETE FROM paused WHERE (source, target) = ("
        });
        statement.bind(edge.source.as_str(), "text").push(", ");
        statement.bind(edge.target.as_str(), "text").push(")");
        if paused {
            statement.push(" ON CONFLICT DO NOTHING");
        }
        self.readers.fetch(&statement).await.map(drop)
    }

    /// Everything at or below one sequence may go, but a request that has an event above it stays as a whole.
    pub(crate) async fn forget_requests(
        &self,
        now_micros: i64,
        retention: RequestRetention,
    ) -> Result<u64, StoreError> {
        let until = self.forgettable(now_micros, retention).await?;
        let mut forgotten = 0;
        let mut after = 0;
        while after < until {
            let mut statement =
                Statement::new("WITH step AS (SELECT seq, request_id FROM requests WHERE seq > ");
            statement.bind(after, "int8").push(" AND seq <= ");
            statement.bind(until, "int8").push(" ORDER BY seq LIMIT ");
            statement.bind(PRUNE_STEP, "int8").push(
                "), gone AS (DELETE FROM requests r USING (SELECT DISTINCT request_id FROM step) s
                      WHERE r.request_id = s.request_id
                        AND NOT EXISTS (SELECT FROM requests y WHERE y.request_id = r.request_id AND y.seq > ",
            );
            statement.bind(until, "int8");
            statement.push(
                ") RETURNING 1)
                   SELECT (SELECT max(seq) FROM step), (SELECT count(*) FROM gone)",
            );
            let rows = self.readers.fetch(&statement).await?;
            let Some(row) = rows.first() else { break };
            let mut cursor = Cursor::new(row, 0, "requests");
            let Some(reached) = cursor.maybe_i64()? else {
                break;
            };
            forgotten += cursor.sequence()?;
            after = reached;
        }
        Ok(forgotten)
    }

    /// The last sequence whose request id is beyond its retention, by its own age and number.
    async fn forgettable(
        &self,
        now_micros: i64,
        retention: RequestRetention,
    ) -> Result<i64, StoreError> {
        let RequestRetention {
            keep,
            newest_min,
            newest_max,
        } = retention;
        let oldest_kept = now_micros.saturating_sub(micros(keep));
        let too_old = match oldest_kept.checked_add(1) {
            Some(time) => clamped(self.last_before(time).await?),
            None => i64::MAX,
        };
        let mut statement = Statement::new("SELECT greatest(least(");
        statement.bind(too_old, "int8");
        for (count, between) in [(newest_min, "), "), (newest_max, ")")] {
            if count == newest_min && between == "), " {
                statement.push(", ");
            }
            statement.push("coalesce((SELECT seq FROM requests ORDER BY seq DESC LIMIT 1 OFFSET ");
            statement.bind(clamped(count), "int8").push("), 0)");
            statement.push(between);
        }
        let rows = self.readers.fetch(&statement).await?;
        match rows.first() {
            Some(row) => row.try_get(0).map_err(store_error),
            None => Ok(0),
        }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn consumer(row: &PgRow) -> Result<Consumer, StoreError> {
    let name: String = row.try_get(0).map_err(store_error)?;
    let mut cursor = Cursor::new(row, 1, format!("consumers, {name}"));
    let incarnation = cursor.i64()?;
    let incarnation = u32::try_from(incarnation)
        .map_err(|_| cursor.corrupt(format!("incarnation {incarnation}")))?;
    Ok(Consumer {
        position: Position::new(Incarnation(incarnation), cursor.sequence()?),
        updated_at_micros: cursor.i64()?,
        name,
    })
}
