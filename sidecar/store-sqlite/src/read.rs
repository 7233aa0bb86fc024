//! Pages, identities, checkpoints, consumers.

use futures_util::TryStreamExt;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};
use tidelog_model::{ChainHash, EventId, Incarnation, Position, Selector};
use tidelog_store::{Consumer, IdRow, Page, ReadQuery, StoreError};

use crate::error::store_error;
use crate::origins::Origins;
use crate::row::{self, EVENT_COLUMNS, corrupted, get, unsigned};
use crate::script::bounded;
use crate::store::Shared;

/// The page and the head come from one statement, so from one snapshot: a row with the head is there even when no event is.
fn page_sql(selector: &Selector) -> String {
    let mut sql = format!(
        "SELECT h.head, {EVENT_COLUMNS} FROM head h LEFT JOIN event e ON e.seq > ?1 AND e.seq <= min(?2, h.head)"
    );
    if !selector.keys.is_empty() {
        sql.push_str(
            " AND e.seq IN (SELECT seq FROM event WHERE aggregate_id IN (SELECT value FROM json_each(?4)) \
             AND seq > ?1 AND seq <= ?2 UNION SELECT seq FROM destination \
             WHERE key IN (SELECT value FROM json_each(?4)) AND seq > ?1 AND seq <= ?2)",
        );
    }
    if !selector.types.is_empty() {
        sql.push_str(" AND e.event_type IN (SELECT value FROM json_each(?5))");
    }
    if !selector.origins.is_empty() {
        // The plus keeps SQLite from walking the index of identities, which would look at every event of the origin and then sort.
        sql.push_str(" AND +e.origin IN (SELECT value FROM json_each(?6))");
    }
    sql.push_str(" WHERE h.one = 1 ORDER BY e.seq LIMIT ?3");
    sql
}

impl Shared {
    pub async fn read_page(&self, query: &ReadQuery) -> Result<Page, StoreError> {
        let mut page = Page {
            events: Vec::new(),
            scanned_to: query.after,
        };
        let scan_end = query.after.saturating_add(query.scan_max.max(1) as u64);
        let end = query.to.min(scan_end);
        if end <= query.after || query.after >= i64::MAX as u64 {
            return Ok(page);
        }
        let events_max = query.events_max.max(1);
        let origins: Vec<u32> = query
            .selector
            .origins
            .iter()
            .flat_map(|location| self.origins.of_location(location))
            .collect();
        let failed = |e| store_error(e, "reading events");
        let mut connection = self.reader().await?;
        let mut rows = sqlx::query(AssertSqlSafe(page_sql(&query.selector)))
            .bind(bounded(query.after))
            .bind(bounded(end))
            .bind(bounded(events_max as u64))
            .bind(json!(query.selector.keys).to_string())
            .bind(json!(query.selector.types).to_string())
            .bind(json!(origins).to_string())
            .fetch(&mut *connection);
        let mut bytes = 0usize;
        let mut end = end;
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            end = end.min(unsigned(&row, 0, "head")?);
            if get::<Option<i64>>(&row, 1, "event")?.is_none() {
                break;
            }
            let event = row::event(&row, 1, &self.origins)?;
            let due = page.scanned_to + 1;
            // Without a selector every sequence is there: a row that cannot be found must not look like one that was never written.
            if event.sequence < due || (query.selector.is_all() && event.sequence > due) {
                return Err(missing(due));
            }
            bytes = bytes.saturating_add(event.event.payload.len());
            if !page.events.is_empty() && bytes > query.bytes_max {
                return Ok(page);
            }
            page.scanned_to = event.sequence;
            page.events.push(event);
            if page.events.len() == events_max {
                return Ok(page);
            }
        }
        if query.selector.is_all() && page.scanned_to < end {
            return Err(missing(page.scanned_to + 1));
        }
        // All that matches up to the end is in the page.
        page.scanned_to = end.max(query.after);
        Ok(page)
    }

    pub async fn read_ids(&self, after: u64, limit: usize) -> Result<Vec<IdRow>, StoreError> {
        let mut connection = self.reader().await?;
        let rows = sqlx::query(
            "SELECT seq, origin, origin_sequence, digest FROM event WHERE seq > ? AND seq <= ? ORDER BY seq",
        )
        .bind(bounded(after))
        .bind(bounded(after.saturating_add(limit as u64)))
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| store_error(e, "reading ids"))?;
        rows.iter().map(|r| id_row(r, 0, &self.origins)).collect()
    }

    pub async fn find_ids(&self, ids: &[EventId]) -> Result<Vec<Option<IdRow>>, StoreError> {
        let mut found = vec![None; ids.len()];
        // An id whose origin has no integer is not stored.
        let asked: Vec<_> = ids
            .iter()
            .enumerate()
            .filter_map(|(n, id)| {
                let origin = self.origins.find(&id.origin)?;
                Some(json!([n, origin, bounded(id.sequence)]))
            })
            .collect();
        if asked.is_empty() {
            return Ok(found);
        }
        let mut connection = self.reader().await?;
        let rows = sqlx::query(
            "SELECT e.seq, e.origin, e.origin_sequence, e.digest, k.value ->> 0 FROM json_each(?) k \
             CROSS JOIN event e ON e.origin = k.value ->> 1 AND e.origin_sequence = k.value ->> 2",
        )
        .bind(json!(asked).to_string())
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| store_error(e, "finding ids"))?;
        for row in &rows {
            let n = unsigned(row, 4, "find")? as usize;
            let slot = found.get_mut(n);
            *slot.ok_or_else(|| corrupted("find", "an answer without a question"))? =
                Some(id_row(row, 0, &self.origins)?);
        }
        Ok(found)
    }

    pub async fn read_checkpoint(&self, sequence: u64) -> Result<(u64, ChainHash), StoreError> {
        let mut connection = self.reader().await?;
        // A batch has a bounded number of events, so that the scan backwards is short.
        let row = sqlx::query(
            "SELECT seq, chain FROM event WHERE seq <= ? AND chain IS NOT NULL ORDER BY seq DESC LIMIT 1",
        )
        .bind(bounded(sequence))
        .fetch_optional(&mut *connection)
        .await
        .map_err(|e| store_error(e, "reading a checkpoint"))?;
        row.map_or(Ok((0, ChainHash::ZERO)), |row| {
            let at = unsigned(&row, 0, "checkpoint")?;
            Ok((at, row::chain_hash(&row, 1, &format!("event {at}"))?))
        })
    }

    pub async fn read_position_before(&self, stored_at_micros: i64) -> Result<u64, StoreError> {
        let mut connection = self.reader().await?;
        // `stored_at` never falls, so halving finds the place without an index.
        let row = sqlx::query(
            "WITH RECURSIVE search (low, high) AS ( \
                 SELECT 0, head FROM head \
                 UNION ALL \
                 SELECT iif(e.stored_at < ?1, e.seq, s.low), iif(e.stored_at < ?1, s.high, e.seq - 1) \
                 FROM search s JOIN event e ON e.seq = (s.low + s.high + 1) / 2 WHERE s.low < s.high \
             ) SELECT max(low) FROM search",
        )
        .bind(stored_at_micros)
        .fetch_one(&mut *connection)
        .await
        .map_err(|e| store_error(e, "finding a position by time"))?;
        unsigned(&row, 0, "position")
    }

    pub async fn read_consumers(&self, name: Option<&str>) -> Result<Vec<Consumer>, StoreError> {
        let mut connection = self.reader().await?;
        let rows = sqlx::query(
            "SELECT name, incarnation, sequence, updated_at FROM consumer WHERE ?1 IS NULL OR name = ?1 ORDER BY name",
        )
        .bind(name)
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| store_error(e, "reading consumers"))?;
        rows.iter().map(consumer).collect()
    }
}

fn missing(sequence: u64) -> StoreError {
    corrupted(
        format!("event {sequence}"),
        "it is missing, and a log has no gaps",
    )
}

fn consumer(row: &SqliteRow) -> Result<Consumer, StoreError> {
    let incarnation = Incarnation(row::unsigned32(row, 1, "consumer")?);
    Ok(Consumer {
        name: get(row, 0, "consumer")?,
        position: Position::new(incarnation, unsigned(row, 2, "consumer")?),
        updated_at_micros: get(row, 3, "consumer")?,
    })
}

fn id_row(row: &SqliteRow, first: usize, origins: &Origins) -> Result<IdRow, StoreError> {
    let sequence = unsigned(row, first, "event")?;
    let place = format!("event {sequence}");
    debug_assert!(row.len() > first + 3);
    Ok(IdRow {
        sequence,
        id: row::event_id(row, first + 1, origins, &place)?,
        digest: row::digest(row, first + 3, &place)?,
    })
}

#[cfg(test)]
mod tests {
    use tidelog_store::LogStore;

    use super::*;
    use crate::{SqliteOptions, SqliteStore};

    #[tokio::test]
    async fn a_page_is_read_in_local_order_and_never_sorted() {
        let directory = tempfile::tempdir().unwrap();
        let eu = tidelog_store::generate::location("eu");
        let options = SqliteOptions {
            log: "orders".into(),
            location: eu.clone(),
        };
        let store = SqliteStore::open(&directory.path().join("eu"), options)
            .await
            .unwrap();
        for shape in 0..8 {
            let one = |bit: u32| (shape >> bit) & 1;
            let selector = Selector {
                keys: vec!["k".into(); one(0)],
                types: vec!["T".into(); one(1)],
                origins: vec![eu.clone(); one(2)],
            };
            let mut connection = store.shared().reader().await.unwrap();
            let sql = format!("EXPLAIN QUERY PLAN {}", page_sql(&selector));
            let rows = sqlx::query(AssertSqlSafe(sql))
                .fetch_all(&mut *connection)
                .await
                .unwrap();
            let plan: Vec<String> = rows.iter().map(|r| r.get("detail")).collect();
            assert!(
                plan.iter()
                    .any(|l| l.starts_with("SEARCH e USING INTEGER PRIMARY KEY")),
                "{plan:#?}"
            );
            assert!(!plan.iter().any(|l| l.contains("ORDER BY")), "{plan:#?}");
        }
        store.close().await;
    }
}
