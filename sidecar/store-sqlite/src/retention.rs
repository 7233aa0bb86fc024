//! Forgetting request ids.

use sqlx::Row;
use tidelog_store::{RequestRetention, StoreError};

use crate::error::store_error;
use crate::script::bounded;
use crate::store::Shared;

/// Rows looked at in one transaction.
const STEP: i64 = 500;

impl Shared {
    /// Rows at or below a limit go, but those of a request that reaches above it stay as a whole.
    pub async fn prune(
        &self,
        now_micros: i64,
        retention: RequestRetention,
    ) -> Result<u64, StoreError> {
        let keep = i64::try_from(retention.keep.as_micros()).unwrap_or(i64::MAX);
        let oldest_kept = now_micros.saturating_sub(keep);
        let too_old = self
            .read_position_before(oldest_kept.saturating_add(1))
            .await?;
        let not_newest = self.sequence_behind(retention.newest_min).await?;
        let beyond_max = self.sequence_behind(retention.newest_max).await?;
        let limit = bounded(too_old).min(not_newest).max(beyond_max);
        let mut forgotten = 0;
        let mut done = 0;
        while done < limit {
            let step = self.step(done, limit).await?;
            let query = sqlx::query(
                "DELETE FROM request WHERE seq <= ?1 AND NOT EXISTS ( \
                     SELECT 1 FROM request later WHERE later.request_id = request.request_id AND later.seq > ?1)",
            )
            .bind(step);
            let deleted = self.write_one(query, "forgetting request ids").await?;
            forgotten += deleted.rows_affected();
            done = step;
            // The writer's lock is handed on in the order it was asked for: a waiting batch goes first.
            tokio::task::yield_now().await;
        }
        Ok(forgotten)
    }

    /// The sequence of the newest row behind so many newer ones, 0 when there are not that many.
    async fn sequence_behind(&self, newest: u64) -> Result<i64, StoreError> {
        let sql = "SELECT seq FROM request ORDER BY seq DESC LIMIT 1 OFFSET ?";
        self.one_number(sql, &[bounded(newest)]).await
    }

    /// Where the next transaction ends.
    async fn step(&self, done: i64, limit: i64) -> Result<i64, StoreError> {
        let sql =
            "SELECT seq FROM request WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1 OFFSET ?";
        let found = self.one_number(sql, &[done, limit, STEP - 1]).await?;
        Ok(if found == 0 { limit } else { found })
    }

    async fn one_number(&self, sql: &'static str, values: &[i64]) -> Result<i64, StoreError> {
        let failed = |e| store_error(e, "forgetting request ids");
        let mut connection = self.reader().await?;
        let query = values.iter().fold(sqlx::query(sql), |q, v| q.bind(*v));
        let row = query
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
        row.map_or(Ok(0), |row| row.try_get(0).map_err(failed))
    }
}
