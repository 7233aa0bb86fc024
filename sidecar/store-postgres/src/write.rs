//! The write path: one statement for a batch, one transaction for a late raise.
//!
//! ```sql
//! WITH h AS (UPDATE head SET ... WHERE incarnation = $ AND nonce = $ AND head = $ RETURNING ...),
//!      o AS (INSERT INTO origins ... FROM h, UNNEST(...)),                         -- only with new origins
//!      e AS (INSERT INTO events ... FROM h, UNNEST(...) WITH ORDINALITY),          -- only with events
//!      d AS (INSERT INTO destinations ... FROM h, UNNEST(...)),                    -- only with destinations
//!      r AS (INSERT INTO requests ... FROM e ... ON CONFLICT DO NOTHING),          -- only with request ids
//!      p AS (INSERT INTO progress ... FROM h ... ON CONFLICT DO UPDATE)            -- only with a frame
//! SELECT FROM h
//! ```
//! Everything hangs on `h`: when the guard does not hold it is empty, and nothing is written. The row lock that the `UPDATE` takes makes a stale
//! writer wait for whoever is before it and then look at the row again, so it cannot slip in between.

mod events;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tidelog_model::{ChainHash, LocationName, StoredEvent, mutant};
use tidelog_store::{CommitError, Guard, Progress, Raise, Rewrite, StoreError, WriteBatch};

use crate::codec;
use crate::error::{breaks_connection, commit_error, is_stale_origin, store_error};
use crate::origins::Interner;
use crate::session::InUse;
use crate::statement::Statement;
use crate::store::PostgresStore;
use events::insert_events;

/// A rewrite is written in pieces of at most so many events ...
const PIECE_EVENTS_MAX: usize = 1_000;
/// ... and, but for a single event, payload bytes.
const PIECE_BYTES_MAX: usize = 8 * 1024 * 1024;

impl PostgresStore {
    pub(crate) async fn write_batch(&self, batch: &WriteBatch) -> Result<(), CommitError> {
        batch.check_numbering()?;
        self.settle().await?;
        match self.try_batch(batch).await {
            Err(error) if is_stale_origin(&error) => {
                // Another writer has given out integers since ours was read. Nothing was written.
                self.load_origins().await?;
                self.try_batch(batch).await
            }
            outcome => outcome,
        }
    }

    async fn try_batch(&self, batch: &WriteBatch) -> Result<(), CommitError> {
        let build = || {
            let mut interner = Interner::new(self.origins.current());
            let statement = batch_statement(batch, &mut interner);
            (statement, interner)
        };
        let interner = self.run_guarded(build).await?;
        self.origins.add(interner.into_fresh());
        Ok(())
    }

    /// The writer's connection. A new one may lead to a server that took over from the one in which the lease was taken: then this writer's
    /// memory proves nothing, and what was cached of the old one is not looked at any more.
    async fn writer_session(&self) -> Result<InUse<'_>, CommitError> {
        let mut session = self.writer.take().await?;
        if session.is_reused() {
            return Ok(session);
        }
        if mutant!("postgres-another-database-goes-unnoticed") {
            return Ok(session);
        }
        let backend = session.backend();
        let recognised = self.recognise(session.connection());
        match { self.writer.heard(backend, recognised).await }
            .unwrap_or_else(|lost| Err(store_error(lost.into()).into()))
        {
            Ok(()) => Ok(session),
            Err(error) => {
                // Closed: the next attempt has to look again.
                session.discard();
                Err(error)
            }
        }
    }

    /// Runs one guarded statement on the writer's connection. It is built when the connection is there, from what is known of its database.
    async fn run_guarded<T>(
        &self,
        build: impl Fn() -> (Statement, T) + Send,
    ) -> Result<T, CommitError>
    where
        T: Send,
    {
        let (mut session, statement, built) = loop {
            let mut session = self.writer_session().await?;
            let (statement, built) = build();
            match session.prepare(&statement).await {
                Ok(()) => break (session, statement, built),
                Err(error) if breaks_connection(&error) => {
                    let try_another = session.is_reused();
                    session.discard();
                    if !try_another {
                        return Err(store_error(error).into());
                    }
                }
                Err(error) => {
                    session.done();
                    return Err(store_error(error).into());
                }
            }
        };
        match session.run(statement).await {
            Ok(held) => {
                session.done();
                if held {
                    Ok(built)
                } else {
                    Err(CommitError::Fenced)
                }
            }
            Err(error) => {
                let outcome = commit_error(error);
                // After `Unknown` the session is dropped, which notes its server process as one to be ended.
                if !matches!(outcome, CommitError::Unknown(_)) {
                    session.done();
                }
                Err(outcome)
            }
        }
    }

    pub(crate) async fn write_raise(&self, raise: &Raise) -> Result<(), CommitError> {
        raise.check_numbering()?;
        self.settle().await?;
        match &raise.rewrite {
            None if raise.entry.incarnation <= raise.guard.incarnation => {
                Err(raise.does_not_rise(raise.guard.incarnation).into())
            }
            None => self.run_guarded(|| (raise_statement(raise), ())).await,
            Some(rewrite) => match self.try_rewrite(raise, rewrite).await {
                Err(error) if is_stale_origin(&error) => {
                    self.load_origins().await?;
                    self.try_rewrite(raise, rewrite).await
                }
                outcome => outcome,
            },
        }
    }

    async fn try_rewrite(&self, raise: &Raise, rewrite: &Rewrite) -> Result<(), CommitError> {
        let mut session = self.writer_session().await?;
        let mut interner = Interner::new(self.origins.current());
        let backend = session.backend();
        let rewritten = in_a_transaction(session.connection(), raise, rewrite, &mut interner);
        match { self.writer.heard(backend, rewritten).await }
            .unwrap_or_else(|lost| Outcome::InDoubt(commit_error(lost.into())))
        {
            Outcome::Done => {
                session.done();
                self.origins.add(interner.into_fresh());
                Ok(())
            }
            Outcome::RolledBack(refusal) => {
                session.done();
                Err(refusal)
            }
            Outcome::Broken(refusal) => {
                session.discard();
                Err(refusal)
            }
            // The session is dropped, which notes its server process as one to be ended.
            Outcome::InDoubt(error) => Err(error),
        }
    }
}

/// An error before COMMIT was sent: always definite, a broken connection too, for then the server rolls back.
fn before_commit(error: sqlx::Error) -> CommitError {
    match commit_error(error) {
        CommitError::Unknown(why) => CommitError::Failed(StoreError::Unavailable(why)),
        definite => definite,
    }
}

/// `WHERE` of the head row.
fn guard_clause(statement: &mut Statement, guard: &Guard) {
    statement.push(if mutant!("postgres-guard-without-incarnation") {
        " WHERE 0 <= "
    } else {
        " WHERE incarnation = "
    });
    statement.bind(i64::from(guard.incarnation.0), "int8");
    statement.push(if mutant!("postgres-guard-without-nonce") {
        " AND 0 <= "
    } else {
        " AND nonce = "
    });
    statement.bind(guard.nonce as i64, "int8");
    statement.push(if mutant!("postgres-guard-without-head") {
        " AND 0 <= "
    } else {
        " AND head = "
    });
    statement.bind(guard.head as i64, "int8");
}

fn batch_statement(batch: &WriteBatch, interner: &mut Interner) -> Statement {
    let mut statement = Statement::new("WITH h AS (UPDATE head SET ");
    let version_vector = codec::encode_vector(&batch.version_vector, |o| interner.id(o));
    let covered_vector = codec::encode_vector(&batch.covered_vector, |o| interner.id(o));
    statement
        .set("head", batch.head() as i64, "int8")
        .set("hash", batch.hash.0.as_slice(), "bytea")
        .set("version_vector", version_vector, "bytea")
        .set("covered_vector", covered_vector, "bytea")
        .set("clock_micros", batch.clock.micros, "int8")
        .set("clock_logical", i64::from(batch.clock.logical), "int8")
        .set("stored_at", batch.stored_at_micros, "int8");
    guard_clause(&mut statement, &batch.guard);
    statement.push(" RETURNING head)");
    insert_events(
        &mut statement,
        batch.guard.head,
        &batch.events,
        Some(&batch.hash),
        interner,
    );
    insert_origins(&mut statement, interner);
    if let Some((source, progress)) = &batch.progress
        && !mutant!("postgres-progress-left-out")
    {
        upsert_progress(&mut statement, source, progress);
    }
    statement.push(" SELECT 1 FROM h");
    statement
}

fn raise_statement(raise: &Raise) -> Statement {
    let mut statement = Statement::new("WITH h AS (UPDATE head SET incarnation = ");
    statement.bind(i64::from(raise.entry.incarnation.0), "int8");
    guard_clause(&mut statement, &raise.guard);
    statement.push(
        " RETURNING incarnation), l AS (INSERT INTO lineage (incarnation, base) SELECT incarnation, ",
    );
    statement.bind(raise.entry.base as i64, "int8");
    statement.push(" FROM h) SELECT 1 FROM h");
    statement
}

/// How a transaction has ended.
enum Outcome {
    Done,
    /// As if it had never begun.
    RolledBack(CommitError),
    /// The same, and the connection with it.
    Broken(CommitError),
    /// Nobody knows.
    InDoubt(CommitError),
}

async fn in_a_transaction(
    connection: &mut PgConnection,
    raise: &Raise,
    rewrite: &Rewrite,
    interner: &mut Interner,
) -> Outcome {
    let mut transaction = match connection.begin().await {
        Ok(transaction) => transaction,
        Err(error) => return Outcome::Broken(before_commit(error)),
    };
    if let Err(refusal) = rewrite_all(&mut transaction, raise, rewrite, interner).await {
        return match transaction.rollback().await {
            Ok(()) => Outcome::RolledBack(refusal),
            Err(_) => Outcome::Broken(refusal),
        };
    }
    match transaction.commit().await {
        Ok(()) => Outcome::Done,
        Err(error) => Outcome::InDoubt(commit_error(error)),
    }
}

async fn rewrite_all(
    connection: &mut PgConnection,
    raise: &Raise,
    rewrite: &Rewrite,
    interner: &mut Interner,
) -> Result<(), CommitError> {
    let after = rewrite.after;
    let version_vector = codec::encode_vector(&rewrite.version_vector, |o| interner.id(o));
    let covered_vector = codec::encode_vector(&rewrite.covered_vector, |o| interner.id(o));
    let stored_at = rewrite
        .events
        .last()
        .map_or(i64::MIN, |e| e.stored_at_micros);
    let mut head = Statement::new("UPDATE head SET ");
    let new_head = after + rewrite.events.len() as u64;
    head.set("incarnation", i64::from(raise.entry.incarnation.0), "int8")
        .set("head", new_head as i64, "int8")
        .set("hash", rewrite.hash.0.as_slice(), "bytea")
        .set("version_vector", version_vector, "bytea")
        .set("covered_vector", covered_vector, "bytea");
    head.push(", stored_at = greatest(stored_at, ");
    head.bind(stored_at, "int8");
    head.push(")");
    guard_clause(&mut head, &raise.guard);
    head.push(" RETURNING 1");
    if !head.run(connection).await.map_err(before_commit)? {
        return Err(CommitError::Fenced);
    }
    if raise.entry.incarnation <= raise.guard.incarnation {
        return Err(raise.does_not_rise(raise.guard.incarnation).into());
    }
    for table in ["destinations", "requests", "events"] {
        let mut delete = Statement::new(&format!("DELETE FROM {table} WHERE seq > "));
        delete.bind(after as i64, "int8");
        delete.run(connection).await.map_err(before_commit)?;
    }
    let mut progress = Statement::new("UPDATE progress SET position = 0, hash = ");
    progress.bind(ChainHash::ZERO.0.as_slice(), "bytea");
    if !mutant!("postgres-rewrite-keeps-progress") {
        progress.run(connection).await.map_err(before_commit)?;
    }
    let mut lineage = Statement::new("INSERT INTO lineage (incarnation, base) VALUES (");
    lineage.bind(i64::from(raise.entry.incarnation.0), "int8");
    lineage.push(", ");
    lineage.bind(raise.entry.base as i64, "int8");
    lineage.push(")");
    lineage.run(connection).await.map_err(before_commit)?;
    let mut after = after;
    for piece in pieces(&rewrite.events) {
        let end = after + piece.len() as u64;
        let is_last = end == rewrite.after + rewrite.events.len() as u64;
        let mut insert = Statement::new("WITH h AS (SELECT 1)");
        let chain = is_last.then_some(&rewrite.hash);
        insert_events(&mut insert, after, piece, chain, interner);
        insert.push(" SELECT 1 FROM h");
        insert.run(connection).await.map_err(before_commit)?;
        after = end;
    }
    let origins: Vec<_> = rewrite
        .voided
        .iter()
        .map(|voided| interner.id(&voided.id.origin))
        .collect();
    let sequences: Vec<_> = rewrite
        .voided
        .iter()
        .map(|voided| voided.id.sequence as i64)
        .collect();
    let digests: Vec<_> = rewrite
        .voided
        .iter()
        .map(|voided| voided.digest.0.as_slice())
        .collect();
    let mut voided =
        Statement::new("INSERT INTO voided (origin, sequence, digest) SELECT * FROM UNNEST(");
    voided.bind(origins, "int4[]").push(", ");
    voided.bind(sequences, "int8[]").push(", ");
    voided.bind(digests, "bytea[]");
    voided.push(") ON CONFLICT DO NOTHING");
    voided.run(connection).await.map_err(before_commit)?;
    let mut origins = Statement::new("WITH h AS (SELECT 1)");
    insert_origins(&mut origins, interner);
    origins.push(" SELECT 1 FROM h");
    origins.run(connection).await.map_err(before_commit)?;
    Ok(())
}

/// Splits events so that no statement grows without bound.
fn pieces(mut events: &[StoredEvent]) -> impl Iterator<Item = &[StoredEvent]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = events.iter().take(PIECE_EVENTS_MAX).take_while(|e| {
            bytes += e.event.payload.len();
            bytes <= PIECE_BYTES_MAX
        });
        let count = fitting.count().max(1).min(events.len());
        let (piece, rest) = events.split_at(count);
        events = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn insert_origins(statement: &mut Statement, interner: &Interner) {
    let fresh = interner.fresh();
    if fresh.is_empty() {
        return;
    }
    let ids: Vec<_> = fresh.iter().map(|(id, _)| *id).collect();
    let locations: Vec<_> = fresh.iter().map(|(_, o)| o.location.as_str()).collect();
    let incarnations: Vec<_> = fresh
        .iter()
        .map(|(_, o)| i64::from(o.incarnation.0))
        .collect();
    statement.push(", o AS (INSERT INTO origins (id, location, incarnation) SELECT t.id, t.location, t.incarnation FROM h, UNNEST(");
    statement.bind(ids, "int4[]").push(", ");
    statement.bind(locations, "text[]").push(", ");
    statement.bind(incarnations, "int8[]");
    statement.push(") AS t(id, location, incarnation))");
}

fn upsert_progress(statement: &mut Statement, source: &LocationName, progress: &Progress) {
    statement.push(", p AS (INSERT INTO progress (source, position, hash, lineage) SELECT ");
    statement.bind(source.as_str(), "text").push(", ");
    statement.bind(progress.position as i64, "int8").push(", ");
    statement
        .bind(progress.hash.0.as_slice(), "bytea")
        .push(", ");
    statement.bind(codec::encode_lineage(&progress.lineage), "bytea");
    statement.push(
        " FROM h ON CONFLICT (source) DO UPDATE SET position = excluded.position, hash = excluded.hash, lineage = excluded.lineage)",
    );
}
