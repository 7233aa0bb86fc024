//! What changes the database.
//!
//! **Outcomes.** A statement that fails is rolled back, and the failure is definite. So is a `COMMIT` that could not write for want of room.
//! A `COMMIT` that could not flush is not: the transaction is not visible, but the log file may hold all of it, and a crash
//! before it is overwritten would bring it back. Therefore the writer at once overwrites it with another transaction; only when that fails
//! as well the answer is `Unknown`, and then neither is the state told nor anything written before it has succeeded.

use std::sync::atomic::Ordering;

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteQueryResult};
use sqlx::{ConnectOptions, Connection, Sqlite};
use std::borrow::Cow;
use tidelog_model::{ChainHash, Origin, StoredEvent, mutant};
use tidelog_store::{
    CommitError, Consumer, EdgeKey, Fence, Guard, Raise, Rewrite, StoreError, VoidedId, WriteBatch,
    head_sum,
};
use tokio::sync::MutexGuard;

use crate::codec;
use crate::error::{
    is_duplicate_identity, is_fenced, is_no_transaction, leaves_commit_open, store_error,
};
use crate::script::{Failure, Script, Value, bounded, same_bits};
use crate::store::Shared;

/// The one connection that writes.
pub struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    closed: bool,
}

impl Writer {
    pub fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self {
            options,
            connection: Some(connection),
            closed: false,
        }
    }

    /// The connection; a new one when the last one broke.
    pub async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.closed {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self
                .options
                .connect()
                .await
                .map_err(|e| store_error(e, "opening the database again"))?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Ends a transaction that failed. A connection that cannot even do that is given up.
    pub async fn roll_back(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = sqlx::raw_sql("ROLLBACK").execute(connection).await
            && !is_no_transaction(&error)
        {
            tracing::warn!(%error, "giving up the connection of the writer");
            self.connection = None;
        }
    }

    /// Ends with everything in the main file, so that nothing else is left in the folder.
    pub async fn close(&mut self) {
        self.closed = true;
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let checkpoint = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)");
        if let Err(error) = checkpoint.execute(&mut connection).await {
            tracing::warn!(%error, "the last checkpoint failed; the next start does it");
        }
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "closing the connection of the writer");
        }
    }
}

/// A transaction ready to run, with the origins that it stores.
#[derive(Debug)]
pub struct Prepared {
    script: Script,
    origins: Vec<(u32, Origin)>,
}

/// What of the head's row an update sets besides the guard.
struct HeadChange<'a> {
    head: u64,
    hash: ChainHash,
    version_vector: &'a tidelog_model::VectorTime,
    covered_vector: &'a tidelog_model::VectorTime,
}

impl Shared {
    /// One batch as one text of SQL.
    pub fn prepare_commit(&self, batch: &WriteBatch) -> Result<Prepared, StoreError> {
        batch.check_numbering()?;
        let mut script = Script::default();
        script.add("BEGIN IMMEDIATE", []);
        let change = HeadChange {
            head: batch.head(),
            hash: batch.hash,
            version_vector: &batch.version_vector,
            covered_vector: &batch.covered_vector,
        };
        let mut values = self.head_values(&change);
        values.extend([
            Value::Int(batch.clock.micros),
            Value::Int(batch.clock.logical.into()),
            Value::Int(batch.stored_at_micros),
        ]);
        values.extend(guard_values(&batch.guard));
        script.add(
            &guarded(
                "UPDATE head SET head = ?, hash = ?, version_vector = ?, covered_vector = ?, sum = ?, \
                 clock_micros = ?, clock_logical = ?, stored_at = ?, guard_held = (head = ? AND incarnation = ? AND nonce IS ?)",
            ),
            values,
        );
        self.add_events(&mut script, &batch.events, batch.hash);
        if let Some((source, progress)) = &batch.progress
            && !mutant!("sqlite-progress-left-out")
        {
            script.add(
                "INSERT INTO progress (source, position, hash, lineage) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (source) DO UPDATE SET position = excluded.position, hash = excluded.hash, lineage = excluded.lineage",
                [
                    Value::Text(source.as_str().to_owned()),
                    Value::Int(bounded(progress.position)),
                    Value::Blob(progress.hash.0.to_vec()),
                    Value::Blob(codec::encode_lineage(&progress.lineage)),
                ],
            );
        }
        Ok(self.prepared(script))
    }

    /// A raise as one text of SQL.
    pub fn prepare_raise(&self, raise: &Raise) -> Result<Prepared, StoreError> {
        raise.check_numbering()?;
        if raise.entry.incarnation <= raise.guard.incarnation {
            return Err(raise.does_not_rise(raise.guard.incarnation));
        }
        let incarnation = Value::Int(raise.entry.incarnation.0.into());
        let mut script = Script::default();
        script.add("BEGIN IMMEDIATE", []);
        let mut values = vec![incarnation];
        values.extend(guard_values(&raise.guard));
        script.add(
            &guarded("UPDATE head SET incarnation = ?, guard_held = (head = ? AND incarnation = ? AND nonce IS ?)"),
            values,
        );
        script.add(
            "INSERT INTO lineage (incarnation, base) VALUES (?, ?)",
            [
                Value::Int(raise.entry.incarnation.0.into()),
                Value::Int(bounded(raise.entry.base)),
            ],
        );
        if let Some(rewrite) = &raise.rewrite {
            self.add_rewrite(&mut script, rewrite);
        }
        Ok(self.prepared(script))
    }

    fn add_rewrite(&self, script: &mut Script, rewrite: &Rewrite) {
        for table in ["event", "destination", "request"] {
            if mutant!("sqlite-rewrite-keeps-request-ids") && table == "request" {
                continue;
            }
            script.add(
                &format!("DELETE FROM {table} WHERE seq > ?"),
                [Value::Int(bounded(rewrite.after))],
            );
        }
        let change = HeadChange {
            head: rewrite.after + rewrite.events.len() as u64,
            hash: rewrite.hash,
            version_vector: &rewrite.version_vector,
            covered_vector: &rewrite.covered_vector,
        };
        let last = rewrite
            .events
            .last()
            .map_or(i64::MIN, |e| e.stored_at_micros);
        let mut values = self.head_values(&change);
        values.push(Value::Int(last));
        script.add(
            "UPDATE head SET head = ?, hash = ?, version_vector = ?, covered_vector = ?, sum = ?, stored_at = max(stored_at, ?)",
            values,
        );
        self.add_events(script, &rewrite.events, rewrite.hash);
        if !mutant!("sqlite-rewrite-keeps-progress") {
            script.add("UPDATE progress SET position = 0, hash = zeroblob(32)", []);
        }
        let voided = rewrite.voided.iter().map(|VoidedId { id, digest }| {
            [
                Value::Int(self.origins.intern(&id.origin).into()),
                Value::Int(bounded(id.sequence)),
                Value::Blob(digest.0.to_vec()),
            ]
        });
        script.add_rows(
            "INSERT INTO voided (origin, sequence, digest)",
            "ON CONFLICT DO NOTHING",
            voided,
        );
    }

    fn head_values(&self, change: &HeadChange<'_>) -> Vec<Value> {
        let mut intern = |origin: &Origin| self.origins.intern(origin);
        let sum = head_sum(
            change.head,
            &change.hash,
            change.version_vector,
            change.covered_vector,
        );
        vec![
            Value::Int(bounded(change.head)),
            Value::Blob(change.hash.0.to_vec()),
            Value::Blob(codec::encode_vector(change.version_vector, &mut intern)),
            Value::Blob(codec::encode_vector(change.covered_vector, &mut intern)),
            Value::Blob(sum.0.to_vec()),
        ]
    }

    /// Events and all that is found through them. The last one carries the hash of the chain.
    fn add_events(&self, script: &mut Script, events: &[StoredEvent], hash: ChainHash) {
        let last = events.last().map(|e| e.sequence);
        script.add_rows(
            "INSERT INTO event (seq, origin, origin_sequence, stored_at, appended_here, event_type, aggregate_id, \
             emitter_id, cause, digest, chain, envelope, payload)",
            "",
            events.iter().map(|stored| {
                let last = Some(stored.sequence) == last && !mutant!("sqlite-chain-not-kept");
                let chain = last.then_some(hash);
                self.event_values(stored, chain)
            }),
        );
        let destinations = events.iter().flat_map(|stored| {
            stored.event.destinations.iter().map(|key| {
                [
                    Value::Text(key.clone()),
                    Value::Int(bounded(stored.sequence)),
                ]
            })
        });
        script.add_rows(
            "INSERT INTO destination (key, seq)",
            "ON CONFLICT DO NOTHING",
            destinations,
        );
        // Rows are inserted in the order given, so the lowest sequence of an index comes first and stays.
        let requests = events.iter().filter(|e| !e.event.request_id.is_empty());
        script.add_rows(
            "INSERT INTO request (request_id, request_index, seq)",
            "ON CONFLICT DO NOTHING",
            requests.map(|stored| {
                [
                    Value::Text(stored.event.request_id.clone()),
                    Value::Int(stored.event.request_index.into()),
                    Value::Int(bounded(stored.sequence)),
                ]
            }),
        );
    }

    fn event_values(&self, stored: &StoredEvent, chain: Option<ChainHash>) -> [Value; 13] {
        let event = &stored.event;
        let cause = event.caused_by.as_ref().map(codec::encode_cause);
        let envelope = codec::encode_envelope(event, &mut |o| self.origins.intern(o));
        [
            Value::Int(bounded(stored.sequence)),
            Value::Int(self.origins.intern(&event.id.origin).into()),
            Value::Int(bounded(event.id.sequence)),
            Value::Int(stored.stored_at_micros),
            Value::Int(stored.appended_here.into()),
            Value::Text(event.event_type.clone()),
            Value::Text(event.aggregate_id.clone()),
            Value::Text(event.emitter_id.clone()),
            cause.map_or(Value::Null, Value::Blob),
            Value::Blob(stored.digest.0.to_vec()),
            chain.map_or(Value::Null, |hash| Value::Blob(hash.0.to_vec())),
            Value::Blob(envelope),
            Value::Blob(event.payload.to_vec()),
        ]
    }

    fn prepared(&self, mut script: Script) -> Prepared {
        let origins = self.origins.unstored();
        // A write whose outcome is unknown may have stored them: then they are the same.
        script.add_rows(
            "INSERT INTO origin (id, location, incarnation)",
            "ON CONFLICT (id) DO NOTHING",
            origins.iter().map(|(id, origin)| {
                [
                    Value::Int((*id).into()),
                    Value::Text(origin.location.as_str().to_owned()),
                    Value::Int(origin.incarnation.0.into()),
                ]
            }),
        );
        script.add("COMMIT", []);
        Prepared { script, origins }
    }

    /// The writer, with nothing doubtful behind it.
    pub async fn writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        let mut writer = self.writer.lock().await;
        if self.doubtful.load(Ordering::Acquire) && !mutant!("sqlite-doubt-not-settled") {
            self.settle(&mut writer).await?;
        }
        Ok(writer)
    }

    /// Makes what was not committed gone for good. The count must change: SQLite does not write a page that stays the same.
    async fn settle(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let connection = writer.connection().await?;
        sqlx::raw_sql("UPDATE head SET settled = settled + 1")
            .execute(connection)
            .await
            .map_err(|e| store_error(e, "finding out what became of a commit"))?;
        self.doubtful.store(false, Ordering::Release);
        Ok(())
    }

    /// Runs a transaction and says what became of it.
    pub async fn write(&self, prepared: Prepared) -> Result<(), CommitError> {
        let mut writer = self.writer().await?;
        let outcome = prepared.script.run(writer.connection().await?).await;
        let Err(Failure { error, at_last }) = outcome else {
            self.origins.mark_stored(&prepared.origins);
            return Ok(());
        };
        writer.roll_back().await;
        if is_fenced(&error) {
            return Err(CommitError::Fenced);
        }
        if is_duplicate_identity(&error) {
            return Err(CommitError::DuplicateIdentity);
        }
        if at_last && leaves_commit_open(&error) {
            self.doubtful.store(true, Ordering::Release);
            if let Err(second) = self.settle(&mut writer).await {
                return Err(CommitError::Unknown(format!("{error}; then {second}")));
            }
        }
        Err(store_error(error, "writing a batch").into())
    }

    /// One statement in a transaction of its own.
    pub async fn write_one(
        &self,
        query: sqlx::query::Query<'_, Sqlite, SqliteArguments>,
        place: &str,
    ) -> Result<SqliteQueryResult, StoreError> {
        let mut writer = self.writer().await?;
        query
            .execute(writer.connection().await?)
            .await
            .map_err(|e| store_error(e, place))
    }

    pub async fn write_consumer(
        &self,
        fence: &Fence,
        consumer: &Consumer,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "INSERT INTO consumer (name, incarnation, sequence, updated_at) \
             SELECT ?, ?, ?, ? FROM head WHERE incarnation = ? AND nonce = ? \
             ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, sequence = excluded.sequence, \
             updated_at = excluded.updated_at",
        )
        .bind(&consumer.name)
        .bind(i64::from(consumer.position.incarnation.0))
        .bind(bounded(consumer.position.sequence))
        .bind(consumer.updated_at_micros)
        .bind(i64::from(fence.incarnation.0))
        .bind(same_bits(fence.nonce));
        let done = self.write_one(query, "storing a consumer").await?;
        Ok(done.rows_affected() > 0)
    }

    pub async fn forget_consumer(&self, name: &str) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM consumer WHERE name = ?").bind(name);
        let done = self.write_one(query, "deleting a consumer").await?;
        Ok(done.rows_affected() > 0)
    }

    pub async fn write_paused(&self, edge: &EdgeKey, paused: bool) -> Result<(), StoreError> {
        let sql = if paused {
            "INSERT INTO paused (source, target) VALUES (?, ?) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM paused WHERE source = ? AND target = ?"
        };
        let query = sqlx::query(sql)
            .bind(edge.source.as_str())
            .bind(edge.target.as_str());
        self.write_one(query, "pausing an edge").await.map(drop)
    }
}

/// The SQL with its guard, as it stands.
fn guarded(sql: &str) -> Cow<'_, str> {
    if mutant!("sqlite-guard-without-head") {
        return sql.replace("(head = ?", "((head = ? OR 1)").into();
    }
    if mutant!("sqlite-guard-without-incarnation") {
        return sql
            .replace("AND incarnation = ?", "AND (incarnation = ? OR 1)")
            .into();
    }
    if mutant!("sqlite-guard-without-nonce") {
        return sql.replace("nonce IS ?", "(nonce IS ? OR 1)").into();
    }
    sql.into()
}

/// In the order of `guard_held = (head = ? AND incarnation = ? AND nonce IS ?)`. On the right side of an update stand the old values.
fn guard_values(guard: &Guard) -> [Value; 3] {
    [
        Value::Int(bounded(guard.head)),
        Value::Int(guard.incarnation.0.into()),
        Value::Int(same_bits(guard.nonce)),
    ]
}

#[cfg(test)]
mod tests;
