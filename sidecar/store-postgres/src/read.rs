//! Reads. Each is one statement, hence one snapshot.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tidelog_model::{ChainHash, EventId, LocationName, StoredEvent};
use tidelog_store::{IdRow, Page, ReadQuery, StoreError};

use crate::error::store_error;
use crate::origins::OriginTable;
use crate::row::{self, COLUMN_COUNT, COLUMNS, Cursor, RowError};
use crate::statement::Statement;
use crate::store::PostgresStore;

/// Sequences are `bigint` in the database; nothing lies beyond.
pub fn clamped(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn clamped_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl PostgresStore {
    /// Decodes with the cached origins, and once more with fresh ones when those could be to blame.
    pub(crate) async fn decoded<T>(
        &self,
        decode: impl Fn(&OriginTable) -> Result<T, RowError>,
    ) -> Result<T, StoreError> {
        match decode(&self.origins.current()) {
            Ok(value) => Ok(value),
            Err(RowError::Failed(error)) => Err(error),
            Err(RowError::MaybeStale(_)) => {
                self.load_origins().await?;
                decode(&self.origins.current()).map_err(RowError::into_inner)
            }
        }
    }

    pub(crate) async fn read_page(&self, query: &ReadQuery) -> Result<Page, StoreError> {
        // The log has no gaps: looking at `scan_max` rows is looking at that many sequences.
        let upper = query
            .to
            .min(query.after.saturating_add(query.scan_max.max(1) as u64));
        if upper <= query.after || query.after >= i64::MAX as u64 {
            return Ok(Page {
                events: Vec::new(),
                scanned_to: query.after,
            });
        }
        let statement = page_statement(query, upper);
        let rows = self.read_log(&statement).await?;
        let mut page = self
            .decoded(|origins| page_of(&rows, query, upper, origins))
            .await?;
        // The subquery is ordered; nothing promises that the join around it keeps the order.
        page.events.sort_by_key(|e| e.sequence);
        check_order(query.after, upper, &page)?;
        if query.selector.is_all() {
            check_gaps(query.after, &page)?;
        }
        Ok(page)
    }

    pub(crate) async fn read_ids(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<IdRow>, StoreError> {
        let mut statement =
            Statement::new("SELECT seq, origin, origin_sequence, digest FROM events WHERE seq > ");
        statement.bind(clamped(after), "int8").push(" AND seq <= ");
        let to = after.saturating_add(limit as u64);
        statement.bind(clamped(to), "int8").push(" ORDER BY seq");
        let rows = self.read_log(&statement).await?;
        self.decoded(|origins| rows.iter().map(|row| id_row(row, origins)).collect())
            .await
    }

    pub(crate) async fn find_ids(&self, ids: &[EventId]) -> Result<Vec<Option<IdRow>>, StoreError> {
        let mut found = vec![None; ids.len()];
        if ids.is_empty() {
            return Ok(found);
        }
        let locations: Vec<_> = ids.iter().map(|i| i.origin.location.as_str()).collect();
        let incarnations: Vec<_> = ids
            .iter()
            .map(|i| i64::from(i.origin.incarnation.0))
            .collect();
        let sequences: Vec<_> = ids.iter().map(|i| clamped(i.sequence)).collect();
        let mut statement = Statement::new("SELECT q.ord, e.seq, e.digest FROM UNNEST(");
        statement.bind(locations, "text[]").push(", ");
        statement.bind(incarnations, "int8[]").push(", ");
        statement.bind(sequences, "int8[]");
        statement.push(
            ") WITH ORDINALITY AS q(location, incarnation, sequence, ord)
             JOIN origins o ON o.location = q.location AND o.incarnation = q.incarnation
             CROSS JOIN LATERAL (SELECT a.seq, a.digest FROM events a
                                 WHERE a.origin = o.id AND a.origin_sequence = q.sequence OFFSET 0) e",
        );
        for row in self.read_log(&statement).await? {
            let mut cursor = Cursor::new(&row, 0, "events");
            let at = cursor.sequence()? as usize - 1;
            let sequence = cursor.sequence()?;
            let digest = cursor.digest()?;
            if let (Some(slot), Some(id)) = (found.get_mut(at), ids.get(at)) {
                *slot = Some(IdRow {
                    sequence,
                    id: id.clone(),
                    digest,
                });
            }
        }
        Ok(found)
    }

    pub(crate) async fn last_checkpoint(
        &self,
        sequence: u64,
    ) -> Result<(u64, ChainHash), StoreError> {
        // Batches are bounded, so this looks at a bounded number of rows.
        let mut statement = Statement::new("SELECT seq, chain FROM events WHERE seq <= ");
        statement.bind(clamped(sequence), "int8");
        statement.push(" AND chain IS NOT NULL ORDER BY seq DESC LIMIT 1");
        match self.read_log(&statement).await?.first() {
            None => Ok((0, ChainHash::ZERO)),
            Some(row) => {
                let mut cursor = Cursor::new(row, 0, "events, chain");
                let at = cursor.sequence()?;
                let hash = ChainHash::from_slice(cursor.bytes()?);
                Ok((
                    at,
                    hash.ok_or_else(|| cursor.corrupt("a chain hash has 32 bytes"))?,
                ))
            }
        }
    }

    /// `stored_at` rises with the sequence and the log has no gaps: a binary search by sequence needs no index on time.
    pub(crate) async fn last_before(&self, stored_at_micros: i64) -> Result<u64, StoreError> {
        let mut statement = Statement::new(
            "WITH RECURSIVE search(low, high) AS (
                 SELECT 0::int8, head FROM head
                 UNION ALL
                 SELECT CASE WHEN e.stored_at < t.time THEN e.seq ELSE s.low END,
                        CASE WHEN e.stored_at < t.time THEN s.high ELSE e.seq - 1 END
                 FROM search s CROSS JOIN (SELECT ",
        );
        statement.bind(stored_at_micros, "int8");
        statement.push(
            " AS time) t JOIN events e ON e.seq = s.low + (s.high - s.low + 1) / 2 WHERE s.low < s.high
             ) SELECT low FROM search WHERE low = high",
        );
        let rows = self.read_log(&statement).await?;
        let row = rows.first().ok_or_else(|| StoreError::Corrupted {
            place: "events".into(),
            detail: "the log has a gap".into(),
        })?;
        Cursor::new(row, 0, "events").sequence()
    }
}

/// Rows are found by indexes, which tell a sequence too: the row has to tell the same.
fn check_order(after: u64, upper: u64, page: &Page) -> Result<(), StoreError> {
    let mut last = after;
    for stored in &page.events {
        let sequence = stored.sequence;
        if sequence <= last || sequence > upper {
            return Err(StoreError::Corrupted {
                place: format!("event {sequence}"),
                detail: format!(
                    "{} was found in ({last}, {upper}], its row says {sequence}",
                    stored.event.id
                ),
            });
        }
        last = sequence;
    }
    Ok(())
}

/// Without a selector every sequence is there: a row that cannot be found must not look like one that was never written.
fn check_gaps(after: u64, page: &Page) -> Result<(), StoreError> {
    let found = page.events.iter().map(|e| e.sequence);
    let due = after + 1..=page.scanned_to;
    let missing = due
        .zip(found.map(Some).chain(std::iter::repeat(None)))
        .find(|(due, found)| *found != Some(*due));
    match missing {
        None => Ok(()),
        Some((sequence, _)) => Err(StoreError::Corrupted {
            place: format!("event {sequence}"),
            detail: "it is missing, and a log has no gaps".into(),
        }),
    }
}

fn id_row(row: &PgRow, origins: &OriginTable) -> Result<IdRow, RowError> {
    let mut cursor = Cursor::new(row, 0, "events");
    let sequence = cursor.sequence()?;
    let origin = cursor.maybe_i32()?;
    let origin_sequence = cursor.sequence()?;
    let id = row::identity(&cursor, origins, origin, origin_sequence)?;
    Ok(IdRow {
        sequence,
        id,
        digest: cursor.digest()?,
    })
}

/// Columns: head, then the event's, its payload (NULL when it does not fit into the page any more).
fn page_of(
    rows: &[PgRow],
    query: &ReadQuery,
    upper: u64,
    origins: &OriginTable,
) -> Result<Page, RowError> {
    let mut events: Vec<StoredEvent> = Vec::with_capacity(rows.len());
    let mut head = 0;
    let mut first_left_out = None;
    for row in rows {
        let mut cursor = Cursor::new(row, 0, "events");
        head = cursor.sequence()?;
        let Some(sequence) = cursor.maybe_i64()? else {
            continue;
        };
        let payload = row.try_get_raw(1 + COLUMN_COUNT).map_err(store_error)?;
        if sqlx::ValueRef::is_null(&payload) {
            let sequence = sequence as u64;
            first_left_out =
                Some(first_left_out.map_or(sequence, |first: u64| first.min(sequence)));
        } else {
            events.push(row::event(row, 1, origins)?);
        }
    }
    // The first event of a page is never left out for its size.
    if let Some(sequence) = first_left_out
        && events.iter().all(|e| e.sequence > sequence)
    {
        return Err(RowError::Failed(StoreError::Corrupted {
            place: format!("event {sequence}"),
            detail: "its payload is missing".into(),
        }));
    }
    let last = events.iter().map(|e| e.sequence).max();
    let scanned_to = match (first_left_out, last) {
        (Some(left_out), _) => left_out.saturating_sub(1),
        (None, Some(last)) if events.len() >= query.events_max.max(1) => last,
        _ => upper.min(head).max(query.after),
    };
    Ok(Page { events, scanned_to })
}

/// ```sql
/// SELECT h.head, <columns>, CASE WHEN <fits> THEN payload END
/// FROM head h LEFT JOIN LATERAL (
///     SELECT e.*, row_number(), sum(octet_length(payload)) OVER (ORDER BY seq) FROM events e ... ORDER BY seq LIMIT events_max
/// ) e ON <fits, or the first that does not>
/// ```
/// The length of a payload is known without fetching it, so what does not fit is never read.
fn page_statement(query: &ReadQuery, upper: u64) -> Statement {
    let mut statement = Statement::default();
    let range = Range {
        after: statement.value(clamped(query.after), "int8"),
        upper: statement.value(clamped(upper), "int8"),
        limit: statement.value(clamped_count(query.events_max.max(1)), "int8"),
    };
    let bytes_max = statement.value(clamped_count(query.bytes_max), "int8");
    let selector = &query.selector;
    let mut narrow = Vec::new();
    if !selector.types.is_empty() {
        let types = statement.value(selector.types.clone(), "text[]");
        narrow.push(format!("event_type = ANY({types})"));
    }
    if !selector.origins.is_empty() {
        let names: Vec<_> = selector.origins.iter().map(LocationName::as_str).collect();
        let names = statement.value(names, "text[]");
        narrow.push(format!(
            "origin = ANY(ARRAY(SELECT id FROM origins WHERE location = ANY({names})))"
        ));
    }
    let from = if selector.keys.is_empty() {
        format!("events e WHERE {}{}", range.of("e"), all(&narrow, "e"))
    } else {
        let keys = statement.value(selector.keys.clone(), "text[]");
        let with_empty = selector.keys.iter().any(String::is_empty);
        format!(
            "({}) m CROSS JOIN LATERAL (SELECT * FROM events a WHERE a.seq = m.seq OFFSET 0) e",
            keyed(&range, &narrow, &keys, with_empty)
        )
    };
    let outer = COLUMNS.replace("e.", "q.");
    statement.push(&format!(
        "SELECT h.head, {outer}, CASE WHEN q.number = 1 OR q.running <= {bytes_max} THEN q.payload END
         FROM head h LEFT JOIN LATERAL (
             SELECT e.*, row_number() OVER w AS number, sum(octet_length(e.payload)) OVER w AS running
             FROM {from} WINDOW w AS (ORDER BY e.seq ROWS UNBOUNDED PRECEDING) ORDER BY e.seq LIMIT {}
         ) q ON q.number <= 2 OR q.running - octet_length(q.payload) <= {bytes_max}",
        range.limit,
    ));
    statement
}

/// Placeholders of a page's bounds.
struct Range {
    after: String,
    upper: String,
    limit: String,
}

impl Range {
    fn of(&self, table: &str) -> String {
        format!(
            "{table}.seq > {} AND {table}.seq <= {}",
            self.after, self.upper
        )
    }
}

fn all(narrow: &[String], table: &str) -> String {
    narrow.iter().fold(String::new(), |sql, condition| {
        sql + " AND " + table + "." + condition
    })
}

/// The sequences of the page's events by their keys: from each index, for each key, the first `limit` in order.
fn keyed(range: &Range, narrow: &[String], keys: &str, with_empty: bool) -> String {
    let Range { limit, .. } = range;
    // Looked up row by row, here and where the page is put together: the planner cannot know how few rows a page has.
    let narrowed = if narrow.is_empty() {
        String::new()
    } else {
        let conditions = all(narrow, "f");
        format!(
            " CROSS JOIN LATERAL (SELECT FROM events f WHERE f.seq = d.seq{conditions} OFFSET 0) g"
        )
    };
    let mut sources = vec![format!(
        "SELECT c.seq FROM UNNEST({keys}) AS k(key) CROSS JOIN LATERAL (
             (SELECT a.seq FROM events a WHERE a.aggregate_id = k.key AND {}{} ORDER BY a.seq LIMIT {limit})
             UNION ALL
             (SELECT d.seq FROM destinations d{narrowed} WHERE d.key = k.key AND {} ORDER BY d.seq LIMIT {limit})
         ) c",
        range.of("a"),
        all(narrow, "a"),
        range.of("d"),
    )];
    if with_empty {
        // The empty key is every event without an aggregate: no index has those.
        sources.push(format!(
            "(SELECT a.seq FROM events a WHERE a.aggregate_id IS NULL AND {}{} ORDER BY a.seq LIMIT {limit})",
            range.of("a"),
            all(narrow, "a"),
        ));
    }
    let sources = sources.join(" UNION ALL ");
    format!("SELECT u.seq FROM ({sources}) u GROUP BY u.seq ORDER BY u.seq LIMIT {limit}")
}
