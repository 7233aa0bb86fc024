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

#[test]
fn a_flipped_bit_of_a_heap_page_is_harmless_or_refused() {
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
    // Half of the databases lose a bit of an event, the others one of what decides what is held.
    let table = |n: usize| match n % 4 {
        0 | 1 => 0,
        2 => 1,
        _ => 2,
    };
    let heaps: Vec<PathBuf> = (0..)
        .zip(&names)
        .map(|(n, name)| heap(&server, name, TABLES[table(n)]))
        .collect();
    server.sql("postgres", "CHECKPOINT").expect("a checkpoint");

    let mut dice = StdRng::seed_from_u64(set("TIDELOG_FUZZ_SEED", 1));
    let rounds = 2 * set("TIDELOG_FUZZ_TIMES", 1);
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    let mut intact: Option<Vec<Vec<u8>>> = None;
    for _ in 0..rounds {
        wait.on(server.stop()).expect("it stops");
        let intact = intact.get_or_insert_with(|| {
            let read = heaps.iter().map(|heap| fs::read(heap).expect("the heap"));
            read.collect()
        });
        let flips: Vec<(usize, u8)> = heaps
            .iter()
            .zip(intact.iter())
            .map(|(heap, intact)| {
                let used: Vec<usize> = (0..intact.len()).filter(|at| intact[*at] != 0).collect();
                assert!(!used.is_empty(), "a closed server has written its heap");
                let at = used[dice.random_range(0..used.len())];
                let bit = dice.random_range(0..8);
                let mut bytes = intact.clone();
                bytes[at] ^= 1 << bit;
                // In place: the file belongs to the user of the server.
                let mut file = OpenOptions::new().write(true).open(heap).expect("the heap");
                file.set_len(bytes.len() as u64).expect("its length");
                file.seek(SeekFrom::Start(0)).expect("its start");
                file.write_all(&bytes).expect("write the heap");
                (at, bit)
            })
            .collect();
        wait.on(server.start_again()).expect("it starts");
        for (n, (name, (at, bit))) in names.iter().zip(flips).enumerate() {
            match outcome(&wait, &truth, || open(&server, name, &wait)) {
                Ok(outcome) => tally.add(outcome),
                Err(_) => wrong.push(format!(
                    "{} page {} byte {} bit {bit}",
                    TABLES[table(n)],
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
