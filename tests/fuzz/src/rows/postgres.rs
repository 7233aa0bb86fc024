//! The same in a PostgreSQL database.

use std::cell::RefCell;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tidelog_harness::postgres::Postgres;
use tidelog_model::StoredEvent;
use tidelog_store::LogState;
use tidelog_store_postgres::{PostgresOptions, PostgresStore};

use super::{EVENTS, broken, choices, judge, written};
use crate::place::{Place, Wait};
use crate::sample;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Bytes,
}

/// Columns that the digest of an event covers or that are judged when they are read, with their tables.
const COLUMNS: [(&str, &str, Kind); 34] = [
    ("events", "origin_sequence", Kind::Number),
    ("events", "time_micros", Kind::Number),
    ("events", "time_logical", Kind::Number),
    ("events", "schema_version", Kind::Number),
    ("events", "plan_id", Kind::Number),
    ("events", "cause_sequence", Kind::Number),
    ("events", "cause_output", Kind::Number),
    ("events", "request_index", Kind::Number),
    ("events", "request_count", Kind::Number),
    ("events", "origin", Kind::Number),
    ("events", "cause_origin", Kind::Number),
    ("events", "digest", Kind::Bytes),
    ("events", "context", Kind::Bytes),
    ("events", "context", Kind::Bytes),
    ("events", "event_type", Kind::Text),
    ("events", "aggregate_id", Kind::Text),
    ("events", "content_type", Kind::Text),
    ("events", "application_version", Kind::Text),
    ("events", "emitter_id", Kind::Text),
    ("events", "delivery_id", Kind::Text),
    ("events", "request_id", Kind::Text),
    ("events", "cause_log", Kind::Text),
    ("events", "destinations", Kind::Bytes),
    ("events", "metadata", Kind::Bytes),
    ("events", "chain", Kind::Bytes),
    ("events", "payload", Kind::Bytes),
    ("head", "version_vector", Kind::Bytes),
    ("head", "covered_vector", Kind::Bytes),
    ("head", "hash", Kind::Bytes),
    ("head", "clock_logical", Kind::Number),
    ("origins", "location", Kind::Text),
    ("origins", "incarnation", Kind::Number),
    ("lineage", "incarnation", Kind::Number),
    ("lineage", "base", Kind::Number),
];

struct Bench {
    place: Place,
    /// The database behind the back of the store.
    raw: PgConnection,
    truth: Vec<StoredEvent>,
    state: LogState,
    _server: Postgres,
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// A row of PostgreSQL is read as it was written, or refused with a word about where. Nothing panics and no other event is given.
pub fn changed_in_postgres(data: &[u8]) {
    BENCH.with_borrow_mut(|slot| {
        let mut bench = slot.take().unwrap_or_else(Bench::new);
        let mut u = Unstructured::new(data);
        if let Ok(Some(undo)) = bench.change(&mut u) {
            // The server computes its sums anew with every update, with this one as well.
            judge(&bench.place, &bench.truth, &bench.state, false);
            assert!(bench.sql(&undo), "{undo}");
        }
        // After a failure the next case begins with another database.
        *slot = Some(bench);
    });
}

impl Bench {
    fn new() -> Self {
        let wait = Wait::runtime();
        let settings = [("autovacuum", "off")];
        let server = wait.on(Postgres::start(&settings)).expect("a server");
        server.create_database("orders").expect("a database");
        let uri = server.uri("orders");
        let options = PostgresOptions::new(uri.clone(), "orders", sample::location("eu"));
        let store = wait.on(PostgresStore::open(options)).expect("a new log");
        let place = written(Arc::new(store), wait);
        let truth = place.events().expect("what was just written");
        let state = place.wait.on(place.store.state()).expect("a state");
        let raw = place.wait.on(PgConnection::connect(&uri));
        let mut bench = Self {
            raw: raw.expect("a connection"),
            place,
            truth,
            state,
            _server: server,
        };
        assert!(bench.sql("SET search_path TO tidelog"));
        for table in ["events", "head", "origins", "lineage"] {
            let keep = format!("CREATE TEMP TABLE kept_{table} AS TABLE {table}");
            assert!(bench.sql(&keep), "{keep}");
        }
        bench
    }

    /// Changes one column of one row. Returns how it becomes what it was; nothing, when the database itself refuses the value.
    fn change(&mut self, u: &mut Unstructured<'_>) -> Result<Option<String>> {
        let (table, column, kind) = *u.choose(&COLUMNS)?;
        let row = u.int_in_range(1..=EVENTS)?;
        // Of the lineage there is one row.
        let (place, same) = match table {
            "events" => (format!("seq = {row}"), "now.seq = kept.seq"),
            "origins" => ("true".to_owned(), "now.id = kept.id"),
            _ => ("true".to_owned(), "true"),
        };
        let value = match kind {
            Kind::Number => sample::number(u)?.cast_signed().to_string(),
            Kind::Bytes | Kind::Text => {
                let bytes = broken(self.bytes(table, column, kind, &place), u)?;
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                match kind {
                    Kind::Text => format!("convert_from('\\x{hex}', 'UTF8')"),
                    _ => format!("'\\x{hex}'"),
                }
            }
        };
        let value = if u.ratio(1, 16)? { "NULL" } else { &value };
        if !self.sql(&format!(
            "UPDATE {table} SET {column} = {value} WHERE {place}"
        )) {
            return Ok(None);
        }
        Ok(Some(format!(
            "UPDATE {table} now SET {column} = kept.{column} FROM kept_{table} kept WHERE {same}"
        )))
    }

    fn bytes(&mut self, table: &str, column: &str, kind: Kind, place: &str) -> Vec<u8> {
        let bytes = match kind {
            Kind::Text => format!("convert_to({column}, 'UTF8')"),
            _ => column.to_owned(),
        };
        let sql = format!("SELECT {bytes} FROM {table} WHERE {place}");
        let Self { place, raw, .. } = self;
        let query = sqlx::query(AssertSqlSafe(sql)).fetch_one(raw);
        let row = place.wait.on(query).expect("a column of the schema");
        row.get::<Option<Vec<u8>>, _>(0).unwrap_or_default()
    }

    /// False when the database refuses it.
    fn sql(&mut self, sql: &str) -> bool {
        let Self { place, raw, .. } = self;
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(raw);
        match place.wait.on(done) {
            Ok(_) => true,
            Err(sqlx::Error::Database(_)) => false,
            Err(error) => unreachable!("{sql}: {error}"),
        }
    }
}

/// Which row and how: the bytes are choices.
pub fn postgres_seeds() -> Vec<Vec<u8>> {
    choices(COLUMNS.len() as u8)
}
