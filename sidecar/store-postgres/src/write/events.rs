//! The part of a write that inserts events, with their destinations and request ids.

use tidelog_model::{ChainHash, StoredEvent};

use crate::codec;
use crate::origins::Interner;
use crate::statement::Statement;

/// Columns that come out of one `UNNEST`.
#[derive(Default)]
struct Columns {
    names: Vec<&'static str>,
    arrays: Vec<String>,
}

impl Columns {
    fn add<'q, T>(
        &mut self,
        statement: &mut Statement,
        name: &'static str,
        values: T,
        sql_type: &str,
    ) where
        T: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        self.names.push(name);
        self.arrays.push(statement.value(values, sql_type));
    }
}

fn not_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn not_zero(number: u32) -> Option<i64> {
    (number != 0).then_some(i64::from(number))
}

/// Appends the CTEs `e`, `d` and `r`. Columns fall into groups that are there or not as a whole, so that the number of variants of the statement stays
/// small.
pub fn insert_events(
    statement: &mut Statement,
    after: u64,
    events: &[StoredEvent],
    chain: Option<&ChainHash>,
    interner: &mut Interner,
) {
    if events.is_empty() {
        return;
    }
    let mut columns = Columns::default();
    always(&mut columns, statement, events, interner);
    let any = |has: fn(&StoredEvent) -> bool| events.iter().any(has);
    if any(|e| e.event.caused_by.is_some()) {
        causes(&mut columns, statement, events, interner);
    }
    let with_requests = any(|e| !e.event.request_id.is_empty());
    if with_requests || any(|e| e.event.request_index != 0 || e.event.request_count != 0) {
        requests(&mut columns, statement, events);
    }
    let with_destinations = any(|e| !e.event.destinations.is_empty());
    if with_destinations {
        let packed: Vec<_> = events
            .iter()
            .map(|e| codec::encode_texts(&e.event.destinations))
            .collect();
        columns.add(statement, "destinations", packed, "bytea[]");
    }
    if any(|e| {
        !e.event.metadata.is_empty()
            || !e.event.emitter_id.is_empty()
            || !e.event.delivery_id.is_empty()
    }) {
        envelope(&mut columns, statement, events);
    }
    let base = statement.value(after as i64, "int8");
    let names = columns.names.join(", ");
    let selected: Vec<_> = columns.names.iter().map(|n| format!("t.{n}")).collect();
    let chain = match chain {
        Some(hash) => {
            let last = statement.value(events.len() as i64, "int8");
            let hash = statement.value(hash.0.as_slice(), "bytea");
            format!("CASE WHEN t.ord = {last} THEN {hash} END")
        }
        None => "NULL::bytea".into(),
    };
    statement.push(&format!(
        ", e AS (INSERT INTO events (seq, chain, {names}) SELECT {base} + t.ord, {chain}, {} FROM h, UNNEST({}) WITH ORDINALITY AS t({names}, ord)",
        selected.join(", "),
        columns.arrays.join(", "),
    ));
    if with_requests {
        statement.push(
            " RETURNING seq, request_index, request_id), \
             r AS (INSERT INTO requests (seq, request_index, request_id) \
             SELECT seq, coalesce(request_index, 0), request_id FROM e WHERE request_id IS NOT NULL ORDER BY seq \
             ON CONFLICT (request_id, request_index) DO NOTHING",
        );
    }
    statement.push(")");
    if with_destinations {
        insert_destinations(statement, after, events);
    }
}

fn always(
    columns: &mut Columns,
    statement: &mut Statement,
    events: &[StoredEvent],
    interner: &mut Interner,
) {
    fn all<'a, T>(events: &'a [StoredEvent], value: impl FnMut(&'a StoredEvent) -> T) -> Vec<T> {
        events.iter().map(value).collect()
    }
    let s = statement;
    let stored_at = all(events, |e| e.stored_at_micros);
    columns.add(s, "stored_at", stored_at, "int8[]");
    let sequences = all(events, |e| e.event.id.sequence as i64);
    columns.add(s, "origin_sequence", sequences, "int8[]");
    let micros = all(events, |e| e.event.time.micros);
    columns.add(s, "time_micros", micros, "int8[]");
    let logical = all(events, |e| not_zero(e.event.time.logical));
    columns.add(s, "time_logical", logical, "int8[]");
    let schemas = all(events, |e| not_zero(e.event.schema_version));
    columns.add(s, "schema_version", schemas, "int8[]");
    let plans = all(events, |e| {
        (e.event.plan_id != 0).then_some(e.event.plan_id as i64)
    });
    columns.add(s, "plan_id", plans, "int8[]");
    let origins = all(events, |e| interner.id(&e.event.id.origin));
    columns.add(s, "origin", origins, "int4[]");
    let here = all(events, |e| e.appended_here);
    columns.add(s, "appended_here", here, "bool[]");
    let digests = all(events, |e| e.digest.0.as_slice());
    columns.add(s, "digest", digests, "bytea[]");
    let contexts = all(events, |e| {
        codec::encode_vector(&e.event.context, |o| interner.id(o))
    });
    columns.add(s, "context", contexts, "bytea[]");
    let types = all(events, |e| e.event.event_type.as_str());
    columns.add(s, "event_type", types, "text[]");
    let aggregates = all(events, |e| not_empty(&e.event.aggregate_id));
    columns.add(s, "aggregate_id", aggregates, "text[]");
    let content_types = all(events, |e| not_empty(&e.event.content_type));
    columns.add(s, "content_type", content_types, "text[]");
    let versions = all(events, |e| not_empty(e.event.application_version.as_str()));
    columns.add(s, "application_version", versions, "text[]");
    let payloads = all(events, |e| e.event.payload.as_ref());
    columns.add(s, "payload", payloads, "bytea[]");
}

fn causes(
    columns: &mut Columns,
    statement: &mut Statement,
    events: &[StoredEvent],
    interner: &mut Interner,
) {
    let causes: Vec<_> = events.iter().map(|e| e.event.caused_by.as_ref()).collect();
    let logs: Vec<_> = causes.iter().map(|c| c.map(|c| c.log.as_str())).collect();
    columns.add(statement, "cause_log", logs, "text[]");
    let origins: Vec<_> = causes
        .iter()
        .map(|c| c.map(|c| interner.id(&c.id.origin)))
        .collect();
    columns.add(statement, "cause_origin", origins, "int4[]");
    let sequences: Vec<_> = causes
        .iter()
        .map(|c| c.map(|c| c.id.sequence as i64))
        .collect();
    columns.add(statement, "cause_sequence", sequences, "int8[]");
    let outputs: Vec<_> = causes
        .iter()
        .map(|c| c.map(|c| i64::from(c.output_index)))
        .collect();
    columns.add(statement, "cause_output", outputs, "int8[]");
}

fn requests(columns: &mut Columns, statement: &mut Statement, events: &[StoredEvent]) {
    let ids: Vec<_> = events
        .iter()
        .map(|e| not_empty(&e.event.request_id))
        .collect();
    columns.add(statement, "request_id", ids, "text[]");
    let indexes: Vec<_> = events
        .iter()
        .map(|e| not_zero(e.event.request_index))
        .collect();
    columns.add(statement, "request_index", indexes, "int8[]");
    let counts: Vec<_> = events
        .iter()
        .map(|e| not_zero(e.event.request_count))
        .collect();
    columns.add(statement, "request_count", counts, "int8[]");
}

fn envelope(columns: &mut Columns, statement: &mut Statement, events: &[StoredEvent]) {
    let metadata: Vec<_> = events
        .iter()
        .map(|e| codec::encode_map(&e.event.metadata))
        .collect();
    columns.add(statement, "metadata", metadata, "bytea[]");
    let emitters: Vec<_> = events
        .iter()
        .map(|e| not_empty(&e.event.emitter_id))
        .collect();
    columns.add(statement, "emitter_id", emitters, "text[]");
    let deliveries: Vec<_> = events
        .iter()
        .map(|e| not_empty(&e.event.delivery_id))
        .collect();
    columns.add(statement, "delivery_id", deliveries, "text[]");
}

/// Each key of an event once.
fn insert_destinations(statement: &mut Statement, after: u64, events: &[StoredEvent]) {
    let mut keys = Vec::new();
    let mut sequences = Vec::new();
    for (sequence, stored) in (after + 1..).zip(events) {
        let destinations = &stored.event.destinations;
        for (i, key) in destinations.iter().enumerate() {
            if !destinations[..i].contains(key) {
                keys.push(key.as_str());
                sequences.push(sequence as i64);
            }
        }
    }
    statement
        .push(", d AS (INSERT INTO destinations (key, seq) SELECT t.key, t.seq FROM h, UNNEST(");
    statement.bind(keys, "text[]").push(", ");
    statement.bind(sequences, "int8[]");
    statement.push(") AS t(key, seq))");
}
