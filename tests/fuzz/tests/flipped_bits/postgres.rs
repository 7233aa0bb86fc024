//! The heap of the tables of events, of the head and of the origins of a PostgreSQL server, without page checksums.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidelog_fuzz::place::{Place, Wait};
use tidelog_fuzz::rows::written;
use tidelog_fuzz::sample;
use tidelog_harness::postgres::Postgres;
use tidelog_store::{LogStore, StoreError};
use tidelog_store_postgres::{PostgresOptions, PostgresStore};

use crate::judge::{Tally, Truth, outcome, set};

/// Databases with the same log: so many flips for one start of the server.
const COPIES: usize = 24;

fn open(server: &Postgres, database: &str, wait: &Wait) -> Result<PostgresStore, StoreError> {
    let options = PostgresOptions::new(server.uri(database), "orders", sample::location("eu"));
    wait.on(PostgresStore::open(options))
}

/// Tables of which bits are flipped.
const TABLES: [&str; 3] = ["events", "head", "origins"];

/// The file of a table of a database, everything in it.
fn heap(server: &Postgres, database: &str, table: &str) -> PathBuf {
    let sql = format!("SELECT pg_relation_filepath('{table}')");
    let path = server.sql(database, &sql);
    let data = server
        .sql(database, "SHOW data_directory")
        .expect("a server");
    PathBuf::from(data).join(path.expect("the table"))
}

fn without_checksums(server: &Postgres, wait: &Wait) {
    if server
        .sql("postgres", "SHOW data_checksums")
        .expect("a server")
        == "off"
    {
        return;
    }
    let data = server
        .sql("postgres", "SHOW data_directory")
        .expect("a server");
    wait.on(server.stop()).expect("it stops");
    let mut command: Command = server.program("pg_checksums");
    let done = command.args(["--disable", "--pgdata", &data]).status();
    assert!(
        done.is_ok_and(|status| status.success()),
        "checksums are switched off"
    );
    wait.on(server.start_again()).expect("it starts");
}

/// Databases with the same log, each with the heap in which a bit of it is flipped.
struct Copies {
    server: Postgres,
    wait: Wait,
    truth: Truth,
    names: Vec<String>,
    heaps: Vec<PathBuf>,
    intact: Vec<Vec<u8>>,
}

impl Copies {
    /// Ends with the server stopped: everything that was written is in the heaps.
    fn of(table: impl Fn(usize) -> &'static str) -> Self {
        let wait = Wait::runtime();
        let server = wait
            .on(Postgres::start(&[("autovacuum", "off")]))
            .expect("a server");
        without_checksums(&server, &wait);
        server.create_database("log0").expect("a database");
        let store: Arc<dyn LogStore> = Arc::new(open(&server, "log0", &wait).expect("a new log"));
        let place = written(store, wait);
        let truth = Truth {
            events: place.events().expect("what was just written"),
            state: place.wait.on(place.store.state()).expect("a state"),
        };
        place.wait.on(place.store.close());
        let Place { wait, store, .. } = place;
        drop(store);
        let names: Vec<String> = (0..COPIES).map(|n| format!("log{n}")).collect();
        for name in &names[1..] {
            let sql = format!("CREATE DATABASE {name} TEMPLATE log0");
            server.sql("postgres", &sql).expect("a copy");
        }
        let heaps: Vec<PathBuf> = (0..)
            .zip(&names)
            .map(|(n, name)| heap(&server, name, table(n)))
            .collect();
        server.sql("postgres", "CHECKPOINT").expect("a checkpoint");
        wait.on(server.stop()).expect("it stops");
        let read = heaps.iter().map(|heap| fs::read(heap).expect("the heap"));
        let intact = read.collect();
        Self {
            server,
            wait,
            truth,
            names,
            heaps,
            intact,
        }
    }

    /// Flips a bit of a heap that is otherwise as it was, at each of these places.
    fn flip(&self, n: usize, places: &[usize], bit: u8) {
        let mut bytes = self.intact[n].clone();
        for at in places {
            bytes[*at] ^= 1 << bit;
        }
        // In place: the file belongs to the user of the server.
        let heap = &self.heaps[n];
        let mut file = OpenOptions::new().write(true).open(heap).expect("the heap");
        file.set_len(bytes.len() as u64).expect("its length");
        file.seek(SeekFrom::Start(0)).expect("its start");
        file.write_all(&bytes).expect("write the heap");
    }

    fn outcome(&self, n: usize) -> std::thread::Result<&'static str> {
        let name = &self.names[n];
        outcome(&self.wait, &self.truth, || {
            open(&self.server, name, &self.wait)
        })
    }
}

#[test]
fn a_flipped_bit_of_a_heap_page_is_harmless_or_refused() {
    // Half of the databases lose a bit of an event, the others one of what decides what is held.
    let table = |n: usize| match n % 4 {
        0 | 1 => TABLES[0],
        2 => TABLES[1],
        _ => TABLES[2],
    };
    let copies = Copies::of(table);
    let mut dice = StdRng::seed_from_u64(set("TIDELOG_FUZZ_SEED", 1));
    let rounds = 2 * set("TIDELOG_FUZZ_TIMES", 1);
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for round in 0..rounds {
        if round > 0 {
            copies.wait.on(copies.server.stop()).expect("it stops");
        }
        let flips: Vec<(usize, u8)> = (0..)
            .zip(&copies.intact)
            .map(|(n, intact)| {
                let used: Vec<usize> = (0..intact.len()).filter(|at| intact[*at] != 0).collect();
                assert!(!used.is_empty(), "a closed server has written its heap");
                let at = used[dice.random_range(0..used.len())];
                let bit = dice.random_range(0..8);
                copies.flip(n, &[at], bit);
                (at, bit)
            })
            .collect();
        let started = copies.wait.on(copies.server.start_again());
        started.expect("it starts");
        for (n, (at, bit)) in flips.into_iter().enumerate() {
            match copies.outcome(n) {
                Ok(outcome) => tally.add(outcome),
                Err(_) => wrong.push(format!(
                    "{} page {} byte {} bit {bit}",
                    table(n),
                    at / 8_192,
                    at % 8_192
                )),
            }
        }
    }
    let flips = rounds * COPIES as u64;
    println!("{flips} flips: {}", tally.told());
    assert!(
        wrong.is_empty(),
        "{} of {flips} flips serve something else: {wrong:#?}",
        wrong.len()
    );
    assert!(
        tally.of("refused") > flips / 10,
        "flips are noticed: {}",
        tally.told()
    );
}

/// No digest covers these: only the sum in the row tells.
#[test]
fn a_flipped_bit_of_the_head_its_hash_or_its_vectors_is_refused() {
    let copies = Copies::of(|_| "head");
    let hash = copies.truth.state.hash.0;
    let length = hash.len();
    let mut flips = Vec::new();
    for (n, intact) in copies.intact.iter().enumerate() {
        // Other versions of the row with the same hash are of the same head.
        let rows: Vec<usize> = (0..intact.len() - length)
            .filter(|at| intact[*at..*at + length] == hash)
            .collect();
        assert!(!rows.is_empty(), "the hash is in the heap of the head");
        // Columns as they lie there: head, hash, both vectors; before each of the latter a byte with its length (and a bit).
        let vector = length + 1;
        let bytes = |at: usize| usize::from(intact[rows[0] + at] >> 1) - 1;
        let covered = vector + bytes(length) + 1;
        let (from, what) = match n % 4 {
            0 => (None, "head"),
            1 => (Some((0, length)), "hash"),
            2 => (Some((vector, bytes(length))), "version vector"),
            _ => (Some((covered, bytes(covered - 1))), "covered vector"),
        };
        let place = |row: &usize| match from {
            // The lowest byte of a number of eight.
            None => row - 9,
            Some((start, length)) => row + start + (n / 4) * 7 % length,
        };
        let places: Vec<usize> = rows.iter().map(place).collect();
        let bit = u8::try_from(n / 4 % 8).expect("a bit");
        copies.flip(n, &places, bit);
        flips.push(format!("bit {bit} of the {what}, {n}"));
    }
    let started = copies.wait.on(copies.server.start_again());
    started.expect("it starts");
    for (n, flip) in flips.iter().enumerate() {
        let told = copies.outcome(n);
        assert!(
            told.as_ref().is_ok_and(|told| told.starts_with("refused")),
            "{flip}: {told:?}"
        );
    }
}
