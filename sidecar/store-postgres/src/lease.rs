//! The writer's lease. It runs by the database's clock; what fences is the nonce that it leaves in the head row.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgRow};
use tidelog_store::{Lease, LeaseOutcome, StoreError};

use crate::error::{breaks_connection, store_error};
use crate::state::{INSTANCE, STATE, decode, instance, no_head};
use crate::statement::Statement;
use crate::store::PostgresStore;

/// A lease that runs longer than this runs for ever.
const TTL_MAX: Duration = Duration::from_hours(24 * 365 * 100);

impl PostgresStore {
    pub(crate) async fn take_lease(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        self.settle().await?;
        loop {
            let mut session = self.control.take().await?;
            let reused = session.is_reused();
            match try_lease(session.connection(), lease).await {
                Ok((granted, state_row, instance_row)) => {
                    session.done();
                    let (state, origins) = decode(&state_row)?;
                    if !granted {
                        return state.lease.map(LeaseOutcome::Held).ok_or_else(no_head);
                    }
                    self.origins.replace(origins);
                    self.leased_in.set(instance(&instance_row)?);
                    return Ok(LeaseOutcome::Acquired(Box::new(state)));
                }
                // The session is dropped, hence ended before anybody looks. Taking a lease twice under one nonce is taking it once.
                Err(error) if reused && breaks_connection(&error) => drop(session),
                Err(error) => {
                    drop(session);
                    return Err(store_error(error));
                }
            }
            self.settle().await?;
        }
    }

    pub(crate) async fn prolong_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        let mut statement = Statement::new(
            "UPDATE lease SET expires_at = clock_timestamp() + interval '1 microsecond' * ",
        );
        statement
            .bind(micros(lease.ttl), "int8")
            .push(" WHERE nonce = ");
        statement
            .bind(lease.nonce as i64, "int8")
            .push(" RETURNING 1");
        Ok(!self.control.fetch(&statement).await?.is_empty())
    }

    pub(crate) async fn end_lease(&self, nonce: u64) -> Result<(), StoreError> {
        let mut statement = Statement::new(
            "UPDATE lease SET expires_at = least(expires_at, clock_timestamp()) WHERE nonce = ",
        );
        statement.bind(nonce as i64, "int8");
        self.control.fetch(&statement).await.map(drop)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.min(TTL_MAX).as_micros()).unwrap_or(i64::MAX)
}

/// Grants and fences in one statement, then reads the state and which database this is, all in one transaction.
///
/// The order of locks is lease, then head; a commit takes only head, so neither waits for the other in a circle. The update of head waits for a
/// commit that is under way; the state read after it has that commit, and whatever comes later finds another nonce.
async fn try_lease(
    connection: &mut PgConnection,
    lease: &Lease,
) -> Result<(bool, PgRow, PgRow), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut grant =
        Statement::new("WITH l AS (INSERT INTO lease (owner, address, nonce, expires_at) VALUES (");
    grant.bind(lease.owner.as_str(), "text").push(", ");
    grant.bind(lease.address.as_str(), "text").push(", ");
    grant
        .bind(lease.nonce as i64, "int8")
        .push(", clock_timestamp() + interval '1 microsecond' * ");
    grant.bind(micros(lease.ttl), "int8").push(
        ") ON CONFLICT (one) DO UPDATE
               SET owner = excluded.owner, address = excluded.address, nonce = excluded.nonce, expires_at = excluded.expires_at
               WHERE lease.owner = excluded.owner OR lease.expires_at <= clock_timestamp()
               RETURNING nonce)
           UPDATE head SET nonce = l.nonce FROM l RETURNING 1",
    );
    let granted = grant.run(&mut transaction).await?;
    let state = sqlx::query(STATE).fetch_one(&mut *transaction).await?;
    let instance = sqlx::query(INSTANCE).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok((granted, state, instance))
}
