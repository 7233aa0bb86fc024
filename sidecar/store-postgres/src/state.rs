//! The state, in one statement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use tidelog_model::{
    ChainHash, Digest, EventId, HybridTime, Incarnation, Lineage, LineageEntry, LocationName,
    Origin, mutant,
};
use tidelog_store::{
    CommitError, EdgeKey, InstanceId, LogState, Progress, StoreError, StoredLease, VoidedId,
};

use crate::codec;
use crate::error::{lacks_a_table, store_error};
use crate::origins::OriginTable;
use crate::row::{self, Cursor, RowError};
use crate::statement::Statement;
use crate::store::PostgresStore;

/// Everything but the events, in one row.
pub const STATE: &str = "
    SELECT h.head, h.hash, h.version_vector, h.covered_vector, h.clock_micros, h.clock_logical, h.stored_at,
           lineage.incarnations, lineage.bases,
           progress.sources, progress.positions, progress.hashes, progress.lineages,
           voided.origins, voided.sequences, voided.digests,
           paused.sources AS paused_sources, paused.targets AS paused_targets,
           origins.ids, origins.locations, origins.incarnations AS origin_incarnations,
           lease.owner, lease.address, lease.nonce,
           (greatest(extract(epoch FROM lease.expires_at - clock_timestamp()), 0) * 1000000)::int8 AS remaining,
           h.sum = sha256(int8send(h.head) || h.hash || int4send(length(h.version_vector)) || h.version_vector || h.covered_vector) AS head_whole,
           coalesce(origins.whole, true) AS origins_whole
    FROM head h
    CROSS JOIN (SELECT array_agg(incarnation ORDER BY incarnation) AS incarnations, array_agg(base ORDER BY incarnation) AS bases
                FROM lineage) lineage
    CROSS JOIN (SELECT array_agg(source ORDER BY source) AS sources, array_agg(position ORDER BY source) AS positions,
                       array_agg(hash ORDER BY source) AS hashes, array_agg(lineage ORDER BY source) AS lineages
                FROM progress) progress
    CROSS JOIN (SELECT array_agg(origin ORDER BY origin, sequence, digest) AS origins,
                       array_agg(sequence ORDER BY origin, sequence, digest) AS sequences,
                       array_agg(digest ORDER BY origin, sequence, digest) AS digests
                FROM voided) voided
    CROSS JOIN (SELECT array_agg(source ORDER BY source, target) AS sources, array_agg(target ORDER BY source, target) AS targets
                FROM paused) paused
    CROSS JOIN (SELECT array_agg(id ORDER BY id) AS ids, array_agg(location ORDER BY id) AS locations,
                       array_agg(incarnation ORDER BY id) AS incarnations,
                       bool_and(sum = sha256(int4send(id) || int8send(incarnation) || decode(location, 'escape'))) AS whole
                FROM origins) origins
    LEFT JOIN lease ON true";

/// The identity of the data is more than the server's: a database that was dropped and restored on a running server, or whose tables
/// were, is another one. (The file of a table is replaced whenever its content is, by `VACUUM FULL` too: a needless doubt is harmless.)
pub const INSTANCE: &str = "
    SELECT format('%s.%s.%s', (SELECT system_identifier FROM pg_control_system()),
                  (SELECT oid FROM pg_database WHERE datname = current_database()), pg_relation_filenode('head')),
           substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
           to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

const ORIGINS: &str = "SELECT id, location, incarnation FROM origins";

/// In which database the last lease was taken: a writer knows what that one held and nothing of any other.
#[derive(Debug, Default)]
pub struct LeasedIn(Mutex<Option<InstanceId>>);

impl LeasedIn {
    /// The database, once a lease was taken.
    fn get(&self) -> Option<InstanceId> {
        let leased = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leased.clone()
    }

    /// A lease was taken.
    pub fn set(&self, instance: InstanceId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(instance);
    }
}

impl PostgresStore {
    /// Which database this is. Every start asks that first: one that has come back empty is made ours, as when the store was opened; what that means for
    /// the log is for whoever reads the state.
    pub(crate) async fn read_instance(&self) -> Result<InstanceId, StoreError> {
        let ask = || async { self.control.fetch(&Statement::new(INSTANCE)).await };
        let rows = match ask().await {
            Err(error) if lacks_a_table(&error) => {
                self.prepare().await?;
                ask().await
            }
            asked => asked,
        }?;
        instance(rows.first().ok_or_else(no_head)?)
    }

    /// Looks whether the database behind a connection is the one in which the lease was taken. If so, its origins replace those in memory.
    pub(crate) async fn recognise(&self, connection: &mut PgConnection) -> Result<(), CommitError> {
        let rows = Statement::new(INSTANCE).fetch(connection).await;
        let found = instance(rows.map_err(store_error)?.first().ok_or_else(no_head)?)?;
        if let Some(leased) = self.leased_in.get()
            && leased != found
        {
            return Err(CommitError::AnotherDatabase {
                leased: Box::new(leased),
                found: Box::new(found),
            });
        }
        let rows = Statement::new(ORIGINS).fetch(connection).await;
        self.origins.replace(origins(&rows.map_err(store_error)?)?);
        Ok(())
    }

    /// Reads what belongs to the log. Not from another database than the one in which the lease was taken: until the writer has looked, and
    /// taken the lease there, its positions mean other events.
    pub(crate) async fn read_log(&self, statement: &Statement) -> Result<Vec<PgRow>, StoreError> {
        let leased = self.leased_in.get();
        self.readers.fetch_from(statement, leased.as_ref()).await
    }

    pub(crate) async fn read_state(&self) -> Result<LogState, StoreError> {
        self.settle().await?;
        let rows = self.readers.fetch(&Statement::new(STATE)).await?;
        let (state, origins) = decode(rows.first().ok_or_else(no_head)?)?;
        self.origins.replace(origins);
        Ok(state)
    }

    /// Replaces the cached origins.
    pub(crate) async fn load_origins(&self) -> Result<(), StoreError> {
        let rows = self.readers.fetch(&Statement::new(ORIGINS)).await?;
        self.origins.replace(origins(&rows)?);
        Ok(())
    }
}

/// The answer to [`INSTANCE`].
pub fn instance(row: &PgRow) -> Result<InstanceId, StoreError> {
    Ok(InstanceId {
        system: row.try_get(0).map_err(store_error)?,
        timeline: row.try_get(1).map_err(store_error)?,
        started: Some(row.try_get(2).map_err(store_error)?),
    })
}

fn origins(rows: &[PgRow]) -> Result<OriginTable, StoreError> {
    let mut origins = Vec::with_capacity(rows.len());
    for row in rows {
        let id: i32 = row.try_get(0).map_err(store_error)?;
        let location: &str = row.try_get(1).map_err(store_error)?;
        let incarnation: i64 = row.try_get(2).map_err(store_error)?;
        origins.push((id, origin(location, incarnation)?));
    }
    Ok(OriginTable::new(origins))
}

pub fn no_head() -> StoreError {
    StoreError::Corrupted {
        place: "head".into(),
        detail: "the row is missing".into(),
    }
}

fn origin(location: &str, incarnation: i64) -> Result<Origin, StoreError> {
    let wrong = |detail: String| StoreError::Corrupted {
        place: "origins".into(),
        detail,
    };
    let name = LocationName::new(location).map_err(|e| wrong(e.to_string()))?;
    let incarnation = u32::try_from(incarnation)
        .map_err(|_| wrong(format!("{location} has no incarnation {incarnation}")))?;
    Ok(Origin::new(name, Incarnation(incarnation)))
}

/// An array column; NULL, the aggregate of no rows, is empty.
fn list<'r, T>(row: &'r PgRow, column: &str) -> Result<Vec<T>, StoreError>
where
    Option<Vec<T>>: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get::<Option<Vec<T>>, _>(column)
        .map(Option::unwrap_or_default)
        .map_err(store_error)
}

/// What the server finds when it computes the sums again.
fn check_sums(row: &PgRow) -> Result<(), StoreError> {
    for (place, column) in [("head", "head_whole"), ("origins", "origins_whole")] {
        let whole: bool = row.try_get(column).map_err(store_error)?;
        if !whole && !mutant!("postgres-head-unchecked") {
            return Err(corrupt(
                place,
                "it is not what was written (checksum); restore a copy of the database, or let the location begin anew and take its events back \
                 from its peers",
            ));
        }
    }
    Ok(())
}

pub fn decode(row: &PgRow) -> Result<(LogState, OriginTable), StoreError> {
    check_sums(row)?;
    let ids: Vec<i32> = list(row, "ids")?;
    let locations: Vec<String> = list(row, "locations")?;
    let incarnations: Vec<i64> = list(row, "origin_incarnations")?;
    let mut origins = Vec::with_capacity(ids.len());
    for ((id, location), incarnation) in ids.into_iter().zip(&locations).zip(incarnations) {
        origins.push((id, origin(location, incarnation)?));
    }
    let origins = OriginTable::new(origins);
    let mut c = Cursor::new(row, 0, "head");
    let head = c.sequence()?;
    let hash = chain_hash(&c, c_bytes(row, 1)?)?;
    let whole = |e: RowError| e.into_inner();
    let version_vector = row::vector(&c, c_bytes(row, 2)?, &origins).map_err(whole)?;
    let covered_vector = row::vector(&c, c_bytes(row, 3)?, &origins).map_err(whole)?;
    c = Cursor::new(row, 4, "head");
    let clock = HybridTime {
        micros: c.i64()?,
        logical: u32::try_from(c.i64()?).map_err(|e| c.corrupt(e.to_string()))?,
    };
    let state = LogState {
        head,
        hash,
        version_vector,
        covered_vector,
        clock,
        stored_at_micros: c.i64()?,
        lineage: lineage(row)?,
        progress: progress(row)?,
        voided: voided(row, &origins)?,
        paused: paused(row)?,
        lease: lease(row)?,
    };
    Ok((state, origins))
}

fn c_bytes(row: &PgRow, column: usize) -> Result<&[u8], StoreError> {
    row.try_get(column).map_err(store_error)
}

fn chain_hash(cursor: &Cursor<'_>, bytes: &[u8]) -> Result<ChainHash, StoreError> {
    ChainHash::from_slice(bytes).ok_or_else(|| cursor.corrupt("a chain hash has 32 bytes"))
}

fn corrupt(place: &str, detail: impl ToString) -> StoreError {
    StoreError::Corrupted {
        place: place.into(),
        detail: detail.to_string(),
    }
}

fn name(text: &str, place: &str) -> Result<LocationName, StoreError> {
    LocationName::new(text).map_err(|e| corrupt(place, e))
}

fn lineage(row: &PgRow) -> Result<Lineage, StoreError> {
    let incarnations: Vec<i64> = list(row, "incarnations")?;
    let bases: Vec<i64> = list(row, "bases")?;
    let mut entries = Vec::with_capacity(bases.len());
    for (incarnation, base) in incarnations.into_iter().zip(bases) {
        entries.push(LineageEntry {
            incarnation: Incarnation(
                u32::try_from(incarnation).map_err(|e| corrupt("lineage", e))?,
            ),
            base: u64::try_from(base).map_err(|e| corrupt("lineage", e))?,
        });
    }
    Lineage::new(entries).map_err(|e| corrupt("lineage", e))
}

fn progress(row: &PgRow) -> Result<BTreeMap<LocationName, Progress>, StoreError> {
    let sources: Vec<String> = list(row, "sources")?;
    let positions: Vec<i64> = list(row, "positions")?;
    let hashes: Vec<Vec<u8>> = list(row, "hashes")?;
    let lineages: Vec<Vec<u8>> = list(row, "lineages")?;
    let mut progress = BTreeMap::new();
    for (i, source) in sources.iter().enumerate() {
        let place = format!("progress, source {source}");
        let (Some(position), Some(hash), Some(lineage)) =
            (positions.get(i), hashes.get(i), lineages.get(i))
        else {
            return Err(corrupt(&place, "columns are missing"));
        };
        let taken = Progress {
            position: u64::try_from(*position).map_err(|e| corrupt(&place, e))?,
            hash: ChainHash::from_slice(hash)
                .ok_or_else(|| corrupt(&place, "a chain hash has 32 bytes"))?,
            lineage: codec::decode_lineage(lineage)
                .ok_or_else(|| corrupt(&place, "the lineage is garbled"))?,
        };
        progress.insert(name(source, &place)?, taken);
    }
    Ok(progress)
}

fn voided(row: &PgRow, origins: &OriginTable) -> Result<Vec<VoidedId>, StoreError> {
    let ids: Vec<i32> = list(row, "origins")?;
    let sequences: Vec<i64> = list(row, "sequences")?;
    let digests: Vec<Vec<u8>> = list(row, "digests")?;
    let mut voided = Vec::with_capacity(ids.len());
    for ((id, sequence), digest) in ids.into_iter().zip(sequences).zip(digests) {
        let origin = origins
            .get(id)
            .ok_or_else(|| corrupt("voided", format!("origin {id} is unknown")))?;
        voided.push(VoidedId {
            id: EventId::new(origin.clone(), sequence as u64),
            digest: Digest::from_slice(&digest)
                .ok_or_else(|| corrupt("voided", "a digest has 32 bytes"))?,
        });
    }
    Ok(voided)
}

fn paused(row: &PgRow) -> Result<BTreeSet<EdgeKey>, StoreError> {
    let sources: Vec<String> = list(row, "paused_sources")?;
    let targets: Vec<String> = list(row, "paused_targets")?;
    let mut paused = BTreeSet::new();
    for (source, target) in sources.iter().zip(&targets) {
        paused.insert(EdgeKey {
            source: name(source, "paused")?,
            target: name(target, "paused")?,
        });
    }
    Ok(paused)
}

fn lease(row: &PgRow) -> Result<Option<StoredLease>, StoreError> {
    let Some(owner) = row.try_get("owner").map_err(store_error)? else {
        return Ok(None);
    };
    let nonce: i64 = row.try_get("nonce").map_err(store_error)?;
    let remaining: i64 = row.try_get("remaining").map_err(store_error)?;
    Ok(Some(StoredLease {
        owner,
        address: row.try_get("address").map_err(store_error)?,
        nonce: nonce as u64,
        remaining: Duration::from_micros(remaining.unsigned_abs()),
    }))
}
