//! Stored rows that are not what was written: one column of one row of a database gets other bytes.

mod postgres;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use arbitrary::Unstructured;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tidelog_core::AppendRequest;
use tidelog_model::{Cause, EventId, NewEvent, Selector, StoredEvent};
use tidelog_store::{CheckQuery, LogState, LogStore, ReadQuery, StoreError};
use tidelog_store_sqlite::{SqliteOptions, SqliteStore};

use crate::place::{Place, Wait};
use crate::sample;
pub use postgres::{changed_in_postgres, postgres_seeds};

/// Events in the log.
pub const EVENTS: u64 = 12;

/// A log of [`EVENTS`] events in a folder: keys, causes, request ids, metadata, payloads of one byte to several pages.
pub fn written(store: Arc<dyn LogStore>, wait: Wait) -> Place {
    let mut place = Place::start(sample::location("eu"), store, wait);
    for number in 1..=EVENTS {
        let event = NewEvent {
            event_type: if number % 2 == 0 {
                "OrderPaid"
            } else {
                "OrderPlaced"
            }
            .into(),
            schema_version: number as u32,
            content_type: "application/octet-stream".into(),
            payload: vec![number as u8; 1 << (number % 14)].into(),
            emitter_id: format!("emitter-{number}"),
            aggregate_id: format!("order-{}", number % 3),
            destinations: vec![format!("store-{}", number % 2)],
            metadata: [("trace".to_owned(), format!("t-{number}"))].into(),
            caused_by: (number % 3 == 0).then(|| Cause {
                log: "carts".into(),
                id: EventId::new(sample::origin("us", 1), number),
                output_index: 0,
            }),
            delivery_id: format!("d-{number}"),
        };
        let request = AppendRequest {
            events: vec![event],
            request_id: format!("r-{number}"),
            ..AppendRequest::default()
        };
        place.append(request).expect("an empty log takes events");
    }
    place
}

/// Opens the SQLite log of a folder.
pub fn open(folder: &Path, wait: &Wait) -> Result<SqliteStore, StoreError> {
    let options = SqliteOptions {
        log: "orders".into(),
        location: sample::location("eu"),
    };
    wait.on(SqliteStore::open(folder, options))
}

struct Bench {
    place: Place,
    /// The database behind the back of the store.
    raw: SqliteConnection,
    truth: Vec<StoredEvent>,
    state: LogState,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("eu");
        let wait = Wait::runtime();
        let store = Arc::new(open(&path, &wait).expect("a new log"));
        let place = written(store, wait);
        let truth = place.events().expect("what was just written");
        assert_eq!(truth.len() as u64, EVENTS);
        let state = place.wait.on(place.store.state()).expect("a state");
        let options = SqliteConnectOptions::new()
            .filename(path.join("log.db"))
            .pragma("synchronous", "OFF")
            .disable_statement_logging();
        let raw = place.wait.on(options.connect()).expect("a connection");
        let mut bench = Self {
            place,
            raw,
            truth,
            state,
            _folder: folder,
        };
        for table in ["event", "head"] {
            bench.sql(&format!(
                "CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}"
            ));
        }
        bench
    }

    fn bytes(&mut self, sql: &str) -> Option<Vec<u8>> {
        let Self { place, raw, .. } = self;
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(raw);
        place.wait.on(query).expect("a column of the schema").get(0)
    }

    fn sql(&mut self, sql: &str) {
        let Self { place, raw, .. } = self;
        place
            .wait
            .on(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(raw))
            .expect("a statement of this file");
    }
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// Tables of SQLite whose rows are changed, with the columns of which the digest of an event is made or which are judged when they are read.
const COLUMNS: [(&str, &str); 15] = [
    ("event", "origin"),
    ("event", "origin_sequence"),
    ("event", "event_type"),
    ("event", "aggregate_id"),
    ("event", "emitter_id"),
    ("event", "cause"),
    ("event", "digest"),
    ("event", "envelope"),
    ("event", "envelope"),
    ("event", "envelope"),
    ("event", "payload"),
    ("event", "chain"),
    ("head", "version_vector"),
    ("head", "covered_vector"),
    ("head", "hash"),
];

/// A row of SQLite is read as it was written, or refused with a word about where. Nothing panics and no other event is given.
pub fn changed(data: &[u8]) {
    BENCH.with_borrow_mut(|slot| {
        let mut bench = slot.take().unwrap_or_else(Bench::new);
        let mut u = Unstructured::new(data);
        if let Ok(table) = change(&mut bench, &mut u) {
            judge(&bench.place, &bench.truth, &bench.state, true);
            bench.sql(&format!(
                "INSERT OR REPLACE INTO {table} SELECT * FROM kept_{table}"
            ));
        }
        // After a failure the next case begins with another database.
        *slot = Some(bench);
    });
}

/// Changes one column of one row. Returns its table.
fn change(bench: &mut Bench, u: &mut Unstructured<'_>) -> arbitrary::Result<&'static str> {
    let (table, column) = *u.choose(&COLUMNS)?;
    let row = u.int_in_range(1..=EVENTS)?;
    let place = match table {
        "event" => format!("seq = {row}"),
        _ => "one = 1".to_owned(),
    };
    let value = match column {
        "origin" | "origin_sequence" => sample::number(u)?.cast_signed().to_string(),
        _ => {
            let sql = format!("SELECT CAST({column} AS BLOB) FROM {table} WHERE {place}");
            let bytes = broken(bench.bytes(&sql).unwrap_or_default(), u)?;
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            match column {
                "event_type" | "aggregate_id" | "emitter_id" => format!("CAST(x'{hex}' AS TEXT)"),
                _ => format!("x'{hex}'"),
            }
        }
    };
    bench.sql(&format!(
        "UPDATE OR IGNORE {table} SET {column} = {value} WHERE {place}"
    ));
    Ok(table)
}

/// Other bytes: flipped bits, other values, a missing end.
fn broken(mut bytes: Vec<u8>, u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    for _ in 0..u.int_in_range(1..=3)? {
        if bytes.is_empty() {
            return u.arbitrary();
        }
        let at = u.choose_index(bytes.len())?;
        match u.int_in_range(0..=3)? {
            0 => bytes.truncate(at),
            1 => bytes[at] = u.arbitrary()?,
            _ => bytes[at] ^= 1 << u.int_in_range(0..=7)?,
        }
    }
    Ok(bytes)
}

/// True for an error about what is stored that says where.
fn names(error: &StoreError, sequence: Option<u64>) -> bool {
    match (error, sequence) {
        (StoreError::Altered(event), Some(n)) => event.sequence == n,
        // Without its origins no event can be told.
        (StoreError::Corrupted { place, .. }, Some(_)) if place == "origins" => true,
        (StoreError::Corrupted { place, .. }, Some(n)) => ["event", "sequence"]
            .iter()
            .any(|word| place.contains(&format!("{word} {n}"))),
        (StoreError::Altered(_), None) => true,
        (StoreError::Corrupted { place, detail }, None) => !place.is_empty() && !detail.is_empty(),
        _ => false,
    }
}

/// `summed`: whoever changed the row could not write its checksum.
fn judge(place: &Place, truth: &[StoredEvent], state: &LogState, summed: bool) {
    let store = &place.store;
    for (n, written) in (1..).zip(truth) {
        match place.wait.on(store.event(n)) {
            Ok(read) => assert_eq!(read.as_ref(), Some(written), "event {n}"),
            Err(error) => assert!(names(&error, Some(n)), "event {n}: {error}"),
        }
    }
    let keyed = ReadQuery {
        after: 0,
        to: EVENTS,
        events_max: 100,
        bytes_max: usize::MAX,
        scan_max: 100,
        selector: Selector {
            keys: vec!["order-1".into(), "store-1".into()],
            ..Selector::default()
        },
    };
    for page in [
        place.events(),
        place.wait.on(store.read(&keyed)).map(|page| page.events),
    ] {
        match page {
            Ok(events) => assert!(events.iter().all(|e| truth.contains(e)), "{events:?}"),
            Err(error) => assert!(names(&error, None), "{error}"),
        }
    }
    let questions = CheckQuery {
        requests: vec!["r-1".into(), "r-2".into()],
        ..CheckQuery::default()
    };
    match place.wait.on(store.check(&questions)) {
        Ok(answers) => assert!(answers.requests.iter().flatten().all(|e| truth.contains(e))),
        Err(error) => assert!(names(&error, None), "{error}"),
    }
    // Neither has a digest of its own: what must not happen is a panic.
    let _ = place.wait.on(store.ids(0, 100));
    let _ = place.wait.on(store.hash_at(EVENTS));
    match place.wait.on(store.state()) {
        Ok(read) if summed => {
            assert_eq!((read.head, read.hash), (state.head, state.hash));
            assert_eq!(read.version_vector, state.version_vector);
            assert_eq!(read.covered_vector, state.covered_vector);
        }
        Ok(read) => assert_eq!(read.head, state.head),
        Err(error) => assert!(names(&error, None), "{error}"),
    }
}

/// Which row and how: the bytes are choices.
pub fn seeds() -> Vec<Vec<u8>> {
    choices(COLUMNS.len() as u8)
}

/// For each column the bytes that choose it.
fn choices(columns: u8) -> Vec<Vec<u8>> {
    (0..columns)
        .map(|column| {
            (0..24u8)
                .map(|n| n.wrapping_mul(37).wrapping_add(column.wrapping_mul(15)))
                .collect()
        })
        .collect()
}
