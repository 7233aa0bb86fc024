//! What a batch has to know before it is decided: all questions in one statement, hence one snapshot.
//!
//! `LATERAL (... OFFSET 0)` is looked up row by row through an index. A plain join would be rather scanned and hashed: the planner knows nothing
//! of how many questions there are.

use tidelog_store::{CheckAnswers, CheckQuery, StoreError};

use crate::origins::OriginTable;
use crate::read::clamped;
use crate::row::{self, COLUMNS, Cursor, RowError};
use crate::statement::Statement;
use crate::store::PostgresStore;

const REQUEST: i64 = 0;
const CAUSE: i64 = 1;
const CONDITION: i64 = 2;

impl PostgresStore {
    pub(crate) async fn answer(&self, query: &CheckQuery) -> Result<CheckAnswers, StoreError> {
        let mut parts = Vec::new();
        let mut statement = Statement::default();
        if !query.requests.is_empty() {
            parts.push(requests(&mut statement, query));
        }
        if !query.causes.is_empty() {
            parts.push(causes(&mut statement, query));
        }
        if !query.conditions.is_empty() {
            parts.push(conditions(&mut statement, query));
        }
        let empty = CheckAnswers {
            requests: vec![Vec::new(); query.requests.len()],
            causes: vec![None; query.causes.len()],
            conditions: vec![None; query.conditions.len()],
        };
        if parts.is_empty() {
            return Ok(empty);
        }
        statement.push(&format!(
            "WITH found(kind, ord, seq) AS ({})
             SELECT f.kind, f.ord, f.seq, {COLUMNS}, e.payload
             FROM found f LEFT JOIN LATERAL (SELECT * FROM events e WHERE e.seq = f.seq AND f.kind < {CONDITION} OFFSET 0) e ON true
             ORDER BY f.kind, f.ord, coalesce(e.request_index, 0)",
            parts.join(" UNION ALL ")
        ));
        let rows = self.read_log(&statement).await?;
        let answers = |origins: &OriginTable| {
            let mut answers = empty.clone();
            for row in &rows {
                let mut cursor = Cursor::new(row, 0, "check");
                let kind = cursor.i64()?;
                let at = cursor.sequence()? as usize - 1;
                let sequence = cursor.maybe_i64()?;
                if kind == CONDITION {
                    answers.conditions[at] = sequence.map(|s| s as u64);
                    continue;
                }
                let event = row::event(row, 3, origins)?;
                if kind == REQUEST {
                    answers.requests[at].push(event);
                } else {
                    answers.causes[at] = Some(event);
                }
            }
            Ok::<_, RowError>(answers)
        };
        self.decoded(answers).await
    }
}

fn requests(statement: &mut Statement, query: &CheckQuery) -> String {
    let ids = statement.value(query.requests.clone(), "text[]");
    format!(
        "SELECT {REQUEST}::int8, q.ord, r.seq FROM UNNEST({ids}) WITH ORDINALITY AS q(id, ord) JOIN requests r ON r.request_id = q.id"
    )
}

fn causes(statement: &mut Statement, query: &CheckQuery) -> String {
    let causes = &query.causes;
    let emitters: Vec<_> = causes.iter().map(|c| c.emitter_id.as_str()).collect();
    let emitters = statement.value(emitters, "text[]");
    let logs: Vec<_> = causes.iter().map(|c| c.cause.log.as_str()).collect();
    let logs = statement.value(logs, "text[]");
    let origins = || causes.iter().map(|c| &c.cause.id.origin);
    let locations: Vec<_> = origins().map(|o| o.location.as_str()).collect();
    let locations = statement.value(locations, "text[]");
    let incarnations: Vec<_> = origins().map(|o| i64::from(o.incarnation.0)).collect();
    let incarnations = statement.value(incarnations, "int8[]");
    let sequences: Vec<_> = causes
        .iter()
        .map(|c| clamped(c.cause.id.sequence))
        .collect();
    let sequences = statement.value(sequences, "int8[]");
    let outputs: Vec<_> = causes
        .iter()
        .map(|c| i64::from(c.cause.output_index))
        .collect();
    let outputs = statement.value(outputs, "int8[]");
    format!(
        "SELECT {CAUSE}::int8, q.ord, m.seq
         FROM UNNEST({emitters}, {logs}, {locations}, {incarnations}, {sequences}, {outputs})
              WITH ORDINALITY AS q(emitter, log, location, incarnation, sequence, output, ord)
         JOIN origins o ON o.location = q.location AND o.incarnation = q.incarnation
         CROSS JOIN LATERAL (
             SELECT a.seq FROM events a
             WHERE a.cause_sequence = q.sequence AND a.cause_origin = o.id AND a.cause_output = q.output
               AND a.cause_log = q.log AND coalesce(a.emitter_id, '') = q.emitter
             ORDER BY a.seq LIMIT 1
         ) m"
    )
}

/// One row for each key of each condition; a condition's types are a slice of one array of all.
fn conditions(statement: &mut Statement, query: &CheckQuery) -> String {
    let mut ords = Vec::new();
    let mut keys = Vec::new();
    let mut afters = Vec::new();
    let mut from: Vec<Option<i32>> = Vec::new();
    let mut to = Vec::new();
    let mut types = Vec::new();
    for (ord, condition) in (1i64..).zip(&query.conditions) {
        let first = types.len() as i32 + 1;
        types.extend(condition.types.iter().map(String::as_str));
        for key in &condition.keys {
            ords.push(ord);
            keys.push(key.as_str());
            afters.push(clamped(condition.after));
            from.push((!condition.types.is_empty()).then_some(first));
            to.push(types.len() as i32);
        }
    }
    let with_empty = keys.iter().any(|key| key.is_empty());
    let ords = statement.value(ords, "int8[]");
    let keys = statement.value(keys, "text[]");
    let afters = statement.value(afters, "int8[]");
    let from = statement.value(from, "int4[]");
    let to = statement.value(to, "int4[]");
    let types = statement.value(types, "text[]");
    let typed = |table: &str| {
        format!(
            "(c.types_from IS NULL OR {table}.event_type = ANY(({types})[c.types_from:c.types_to]))"
        )
    };
    let without_aggregate = if with_empty {
        // The empty key is every event without an aggregate: no index has those.
        format!(
            " UNION ALL (SELECT a.seq FROM events a WHERE c.key = '' AND a.aggregate_id IS NULL AND a.seq > c.after AND {}
                         ORDER BY a.seq DESC LIMIT 1)",
            typed("a")
        )
    } else {
        String::new()
    };
    format!(
        "SELECT {CONDITION}::int8, c.ord, max(m.seq)
         FROM UNNEST({ords}, {keys}, {afters}, {from}, {to}) AS c(ord, key, after, types_from, types_to)
         CROSS JOIN LATERAL (
             (SELECT a.seq FROM events a WHERE a.aggregate_id = c.key AND a.seq > c.after AND {} ORDER BY a.seq DESC LIMIT 1)
             UNION ALL
             (SELECT d.seq FROM destinations d WHERE d.key = c.key AND d.seq > c.after
              AND (c.types_from IS NULL OR EXISTS (SELECT FROM events a WHERE a.seq = d.seq AND {}))
              ORDER BY d.seq DESC LIMIT 1){without_aggregate}
         ) m GROUP BY c.ord",
        typed("a"),
        typed("a"),
    )
}
