//! The questions of a batch, answered from one snapshot.

use std::fmt::Write;

use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection};
use tidelog_model::StoredEvent;
use tidelog_store::{CauseKey, CheckAnswers, CheckQuery, ConditionQuery, StoreError};

use crate::codec;
use crate::error::store_error;
use crate::origins::Origins;
use crate::row::{self, EVENT_COLUMNS, corrupted, get, unsigned};
use crate::script::bounded;
use crate::store::Shared;

impl Shared {
    pub async fn answer(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError> {
        if query.is_empty() {
            return Ok(CheckAnswers::default());
        }
        let failed = |e| store_error(e, "checking a batch");
        let mut connection = self.reader().await?;
        let mut snapshot = connection.begin().await.map_err(failed)?;
        let answers = CheckAnswers {
            requests: requests(&mut snapshot, &query.requests, &self.origins).await?,
            causes: causes(&mut snapshot, &query.causes, &self.origins).await?,
            conditions: conditions(&mut snapshot, &query.conditions).await?,
        };
        snapshot.commit().await.map_err(failed)?;
        Ok(answers)
    }
}

/// Every row of these statements starts with the index of its question.
fn question<T>(answers: &mut [T], row: &SqliteRow) -> Result<usize, StoreError> {
    let n = unsigned(row, 0, "check")? as usize;
    if n < answers.len() {
        Ok(n)
    } else {
        Err(corrupted("check", "an answer without a question"))
    }
}

async fn requests(
    snapshot: &mut SqliteConnection,
    ids: &[String],
    origins: &Origins,
) -> Result<Vec<Vec<StoredEvent>>, StoreError> {
    let mut answers = vec![Vec::new(); ids.len()];
    if ids.is_empty() {
        return Ok(answers);
    }
    let sql = format!(
        "SELECT k.key, {EVENT_COLUMNS} FROM json_each(?) k CROSS JOIN request r ON r.request_id = k.value \
         CROSS JOIN event e ON e.seq = r.seq ORDER BY k.key, r.request_index"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(json!(ids).to_string())
        .fetch_all(snapshot)
        .await
        .map_err(|e| store_error(e, "checking request ids"))?;
    for row in &rows {
        let n = question(&mut answers, row)?;
        answers[n].push(row::event(row, 1, origins)?);
    }
    Ok(answers)
}

async fn causes(
    snapshot: &mut SqliteConnection,
    keys: &[CauseKey],
    origins: &Origins,
) -> Result<Vec<Option<StoredEvent>>, StoreError> {
    let mut answers = vec![None; keys.len()];
    if keys.is_empty() {
        return Ok(answers);
    }
    let asked: Vec<_> = keys
        .iter()
        .map(|key| json!([key.emitter_id, hex(&codec::encode_cause(&key.cause))]))
        .collect();
    let sql = format!(
        "SELECT k.key, {EVENT_COLUMNS} FROM json_each(?) k CROSS JOIN event e ON e.seq = ( \
             SELECT seq FROM event WHERE emitter_id = k.value ->> 0 AND cause = unhex(k.value ->> 1) ORDER BY seq LIMIT 1)"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(json!(asked).to_string())
        .fetch_all(snapshot)
        .await
        .map_err(|e| store_error(e, "checking causes"))?;
    for row in &rows {
        let n = question(&mut answers, row)?;
        answers[n] = Some(row::event(row, 1, origins)?);
    }
    Ok(answers)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// For each key the index is walked from its newest end until the type fits.
const CONDITIONS: &str = "SELECT c.key, (SELECT max(max( \
         coalesce((SELECT e.seq FROM event e WHERE e.aggregate_id = k.value AND e.seq > c.value ->> 2 \
             AND (c.value ->> 1 = '[]' OR e.event_type IN (SELECT value FROM json_each(c.value ->> 1))) \
             ORDER BY e.seq DESC LIMIT 1), 0), \
         coalesce((SELECT d.seq FROM destination d WHERE d.key = k.value AND d.seq > c.value ->> 2 \
             AND (c.value ->> 1 = '[]' OR EXISTS (SELECT 1 FROM event e WHERE e.seq = d.seq \
                 AND e.event_type IN (SELECT value FROM json_each(c.value ->> 1)))) \
             ORDER BY d.seq DESC LIMIT 1), 0))) \
     FROM json_each(c.value ->> 0) k) FROM json_each(?) c";

async fn conditions(
    snapshot: &mut SqliteConnection,
    conditions: &[ConditionQuery],
) -> Result<Vec<Option<u64>>, StoreError> {
    let mut answers = vec![None; conditions.len()];
    if conditions.is_empty() {
        return Ok(answers);
    }
    let asked: Vec<_> = conditions
        .iter()
        .map(|c| json!([c.keys, c.types, bounded(c.after)]))
        .collect();
    let rows = sqlx::query(CONDITIONS)
        .bind(json!(asked).to_string())
        .fetch_all(snapshot)
        .await
        .map_err(|e| store_error(e, "checking conditions"))?;
    for row in &rows {
        let n = question(&mut answers, row)?;
        let highest: Option<i64> = get(row, 1, "condition")?;
        answers[n] = highest
            .and_then(|s| u64::try_from(s).ok())
            .filter(|s| *s > 0);
    }
    Ok(answers)
}
