//! The writer's lease. The lock file already keeps other processes out; the lease fences an earlier writer of the same process, and
//! keeps the contract that the other stores keep.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};
use tidelog_model::mutant;
use tidelog_store::{Lease, LeaseOutcome, StoreError};

use crate::error::store_error;
use crate::script::same_bits;
use crate::state::{self, NOW_MILLIS};
use crate::store::Shared;

fn ttl_millis(lease: &Lease) -> i64 {
    // A year is as good as for ever, and far from overflowing.
    i64::try_from(lease.ttl.as_millis())
        .unwrap_or(i64::MAX)
        .min(365 * 24 * 3_600 * 1_000)
}

impl Shared {
    /// Reads, decides and writes in one transaction.
    pub async fn take_lease(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        let failed = |e| store_error(e, "taking the lease");
        let mut writer = self.writer().await?;
        let connection = writer.connection().await?;
        let mut transaction = connection
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(failed)?;
        if let Some(held) = state::lease(&mut transaction).await?
            && held.owner != lease.owner
            && !held.remaining.is_zero()
            && !mutant!("sqlite-lease-taken-while-held")
        {
            transaction.rollback().await.map_err(failed)?;
            return Ok(LeaseOutcome::Held(held));
        }
        store(&mut transaction, lease).await.map_err(failed)?;
        let state = state::load(&mut transaction, &self.origins).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(LeaseOutcome::Acquired(Box::new(state)))
    }

    pub async fn prolong_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        let sql = format!("UPDATE lease SET expires_at = {NOW_MILLIS} + ? WHERE nonce = ?");
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(ttl_millis(lease))
            .bind(same_bits(lease.nonce));
        let done = self.write_one(query, "renewing the lease").await?;
        Ok(done.rows_affected() > 0)
    }

    pub async fn end_lease(&self, nonce: u64) -> Result<(), StoreError> {
        let query =
            sqlx::query("UPDATE lease SET expires_at = 0 WHERE nonce = ?").bind(same_bits(nonce));
        self.write_one(query, "releasing the lease").await.map(drop)
    }
}

async fn store(transaction: &mut SqliteConnection, lease: &Lease) -> Result<(), sqlx::Error> {
    let sql = format!(
        "INSERT INTO lease (one, owner, address, nonce, expires_at) VALUES (1, ?, ?, ?, {NOW_MILLIS} + ?) \
         ON CONFLICT (one) DO UPDATE SET owner = excluded.owner, address = excluded.address, nonce = excluded.nonce, \
         expires_at = excluded.expires_at"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(&lease.owner)
        .bind(&lease.address)
        .bind(same_bits(lease.nonce))
        .bind(ttl_millis(lease))
        .execute(&mut *transaction)
        .await?;
    if mutant!("sqlite-earlier-nonces-not-fenced") {
        return Ok(());
    }
    // From here on every earlier nonce is fenced.
    sqlx::query("UPDATE head SET nonce = ?")
        .bind(same_bits(lease.nonce))
        .execute(transaction)
        .await?;
    Ok(())
}
