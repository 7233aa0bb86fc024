//! Everything but the events, from one snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tidelog_model::{HybridTime, Incarnation, Lineage, LineageEntry, LocationName, mutant};
use tidelog_store::{EdgeKey, LogState, Progress, StoreError, StoredLease, VoidedId, head_sum};

use crate::codec;
use crate::error::store_error;
use crate::origins::Origins;
use crate::row::{self, corrupted, get, unsigned, unsigned32};
use crate::store::Shared;

/// The database's clock in milliseconds.
pub const NOW_MILLIS: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

impl Shared {
    pub async fn read_state(&self) -> Result<LogState, StoreError> {
        let failed = |e| store_error(e, "reading the state");
        let mut connection = self.reader().await?;
        let mut snapshot = connection.begin().await.map_err(failed)?;
        let state = load(&mut snapshot, &self.origins).await?;
        snapshot.commit().await.map_err(failed)?;
        Ok(state)
    }
}

async fn rows(
    snapshot: &mut SqliteConnection,
    sql: &'static str,
) -> Result<Vec<SqliteRow>, StoreError> {
    sqlx::query(sql)
        .fetch_all(snapshot)
        .await
        .map_err(|e| store_error(e, "reading the state"))
}

/// Reads the state inside of a transaction.
pub async fn load(
    snapshot: &mut SqliteConnection,
    origins: &Origins,
) -> Result<LogState, StoreError> {
    let head = sqlx::query(
        "SELECT head, hash, version_vector, covered_vector, clock_micros, clock_logical, stored_at, incarnation, sum FROM head",
    )
    .fetch_one(&mut *snapshot)
    .await
    .map_err(|e| store_error(e, "reading the head"))?;
    let lineage = lineage(
        &rows(
            snapshot,
            "SELECT incarnation, base FROM lineage ORDER BY incarnation",
        )
        .await?,
    )?;
    let incarnation = unsigned32(&head, 7, "head")?;
    if lineage.current().map_or(0, |e| e.incarnation.0) != incarnation {
        return Err(corrupted(
            "head",
            "the incarnation is not the last of the lineage",
        ));
    }
    let state = LogState {
        lineage,
        head: unsigned(&head, 0, "head")?,
        hash: row::chain_hash(&head, 1, "head")?,
        version_vector: row::vector(&head, 2, origins, "head")?,
        covered_vector: row::vector(&head, 3, origins, "head")?,
        clock: HybridTime {
            micros: get(&head, 4, "head")?,
            logical: unsigned32(&head, 5, "head")?,
        },
        stored_at_micros: get(&head, 6, "head")?,
        progress: rows(
            snapshot,
            "SELECT source, position, hash, lineage FROM progress",
        )
        .await?
        .iter()
        .map(progress)
        .collect::<Result<BTreeMap<_, _>, _>>()?,
        voided: rows(snapshot, "SELECT origin, sequence, digest FROM voided")
            .await?
            .iter()
            .map(|row| {
                Ok(VoidedId {
                    id: row::event_id(row, 0, origins, "voided")?,
                    digest: row::digest(row, 2, "voided")?,
                })
            })
            .collect::<Result<_, StoreError>>()?,
        paused: rows(snapshot, "SELECT source, target FROM paused")
            .await?
            .iter()
            .map(|row| {
                Ok(EdgeKey {
                    source: location(row, 0, "paused")?,
                    target: location(row, 1, "paused")?,
                })
            })
            .collect::<Result<BTreeSet<_>, StoreError>>()?,
        lease: lease(snapshot).await?,
    };
    let sum: Option<Vec<u8>> = get(&head, 8, "head")?;
    let found = head_sum(
        state.head,
        &state.hash,
        &state.version_vector,
        &state.covered_vector,
    );
    if sum.is_some_and(|sum| sum != found.0) && !mutant!("sqlite-head-unchecked") {
        return Err(corrupted(
            "head",
            "head, hash or vectors are not what was written (checksum); restore a copy of the database, or let the location begin anew and \
             take its events back from its peers",
        ));
    }
    Ok(state)
}

/// Whoever holds or held the lease.
pub async fn lease(snapshot: &mut SqliteConnection) -> Result<Option<StoredLease>, StoreError> {
    let sql = format!("SELECT owner, address, nonce, max(expires_at - {NOW_MILLIS}, 0) FROM lease");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .fetch_optional(snapshot)
        .await
        .map_err(|e| store_error(e, "reading the lease"))?;
    row.map(|row| {
        Ok(StoredLease {
            owner: get(&row, 0, "lease")?,
            address: get(&row, 1, "lease")?,
            nonce: get::<i64>(&row, 2, "lease")? as u64,
            remaining: Duration::from_millis(unsigned(&row, 3, "lease")?),
        })
    })
    .transpose()
}

fn location(row: &SqliteRow, column: usize, place: &str) -> Result<LocationName, StoreError> {
    LocationName::new(get(row, column, place)?).map_err(|e| corrupted(place, e.to_string()))
}

fn lineage(rows: &[SqliteRow]) -> Result<Lineage, StoreError> {
    let entries = rows
        .iter()
        .map(|row| {
            Ok(LineageEntry {
                incarnation: Incarnation(unsigned32(row, 0, "lineage")?),
                base: unsigned(row, 1, "lineage")?,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Lineage::new(entries).map_err(|e| corrupted("lineage", e.to_string()))
}

fn progress(row: &SqliteRow) -> Result<(LocationName, Progress), StoreError> {
    let source = location(row, 0, "progress")?;
    let place = format!("progress of {source}");
    let lineage = codec::decode_lineage(get(row, 3, &place)?)
        .ok_or_else(|| corrupted(&*place, "the lineage cannot be read"))?;
    let progress = Progress {
        position: unsigned(row, 1, &place)?,
        hash: row::chain_hash(row, 2, &place)?,
        lineage,
    };
    Ok((source, progress))
}
