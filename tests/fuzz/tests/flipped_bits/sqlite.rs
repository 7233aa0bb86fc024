//! The file of a SQLite log.

use std::fs;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidelog_fuzz::place::Wait;
use tidelog_fuzz::rows::{open, written};

use crate::judge::{Tally, Truth, outcome, set};

const PAGE_BYTES: usize = 4_096;

#[test]
fn a_flipped_bit_of_a_sqlite_file_is_harmless_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("eu");
    let wait = Wait::runtime();
    let store = Arc::new(open(&path, &wait).expect("a new log"));
    let place = written(store, wait);
    let truth = Truth {
        events: place.events().expect("what was just written"),
        state: place.wait.on(place.store.state()).expect("a state"),
    };
    place.wait.on(place.store.close());
    let wait = place.wait;
    drop(place.store);
    let file = path.join("log.db");
    let intact = fs::read(&file).expect("the database");
    assert!(
        !path.join("log.db-wal").exists(),
        "a closed log is one file"
    );
    // Pages with events: where a flip can do most.
    let telling: Vec<usize> = (0..intact.len() / PAGE_BYTES)
        .filter(|n| {
            let page = &intact[n * PAGE_BYTES..(n + 1) * PAGE_BYTES];
            let digests = truth.events.iter().map(|e| e.digest.0);
            digests
                .into_iter()
                .any(|digest| page.windows(32).any(|w| w == digest))
        })
        .collect();
    assert!(!telling.is_empty(), "events are found by their digests");

    let mut dice = StdRng::seed_from_u64(set("TIDELOG_FUZZ_SEED", 1));
    let flips = 700 * set("TIDELOG_FUZZ_TIMES", 1);
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for number in 0..flips {
        let offset = match number % 4 {
            0 => dice.random_range(0..intact.len()),
            // The head of a page and the pointers to its cells.
            1 => {
                telling[dice.random_range(0..telling.len())] * PAGE_BYTES + dice.random_range(0..40)
            }
            _ => {
                telling[dice.random_range(0..telling.len())] * PAGE_BYTES
                    + dice.random_range(0..PAGE_BYTES)
            }
        };
        let bit = dice.random_range(0..8);
        let mut bytes = intact.clone();
        bytes[offset] ^= 1 << bit;
        for rest in ["log.db-wal", "log.db-shm"] {
            let _ = fs::remove_file(path.join(rest));
        }
        fs::write(&file, bytes).expect("write the database");
        match outcome(&wait, &truth, || open(&path, &wait)) {
            Ok(outcome) => tally.add(outcome),
            Err(_) => wrong.push(format!(
                "page {} byte {} bit {bit}",
                offset / PAGE_BYTES + 1,
                offset % PAGE_BYTES
            )),
        }
    }
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
