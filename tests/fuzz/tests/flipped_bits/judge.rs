//! What may be read from a database of which one bit was flipped.

use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tidelog_fuzz::place::Wait;
use tidelog_model::{ChainHash, Selector, StoredEvent};
use tidelog_store::{LogState, LogStore, ReadQuery, StoreError};

/// A number from the environment.
pub fn set(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| {
        text.parse().expect("a number in the environment")
    })
}

/// What was written.
pub struct Truth {
    pub events: Vec<StoredEvent>,
    pub state: LogState,
}

/// How often a flip was what.
#[derive(Default)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    pub fn told(&self) -> String {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(what, n)| format!("{n} {what}"))
            .collect();
        parts.join(", ")
    }
}

/// An error about what is stored says where.
fn named(error: &StoreError) -> bool {
    match error {
        StoreError::Altered(_) => true,
        StoreError::Corrupted { place, .. } => !place.is_empty(),
        other => !other.to_string().is_empty(),
    }
}

/// True when an error about one event names that event, or is about the database as a whole.
fn names(error: &StoreError, sequence: u64) -> bool {
    match error {
        StoreError::Altered(event) => event.sequence == sequence,
        other => named(other),
    }
}

/// Nothing of a digest: local bookkeeping.
fn same_event(read: &StoredEvent, written: &StoredEvent) -> bool {
    read.sequence == written.sequence
        && read.digest == written.digest
        && read.event == written.event
}

/// What is read from a store that may have been refused to be opened; an error when something else is served than was written.
pub fn outcome<S: LogStore>(
    wait: &Wait,
    truth: &Truth,
    open: impl FnOnce() -> Result<S, StoreError>,
) -> std::thread::Result<&'static str> {
    catch_unwind(AssertUnwindSafe(|| match open() {
        Ok(store) => {
            let outcome = judge(wait, &store, truth);
            wait.on(store.close());
            outcome
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            "refused to open"
        }
    }))
}

/// Reads everything in every way. Panics when something else than the truth is served; returns what the flip was.
fn judge(wait: &Wait, store: &dyn LogStore, truth: &Truth) -> &'static str {
    let head = truth.events.len() as u64;
    let mut outcome = "harmless";
    if let Ok(state) = wait.on(store.state())
        && state.head != head
    {
        // An older head is an older database: the witness outside of it tells at the start.
        return "head";
    }
    for (sequence, written) in (1..).zip(&truth.events) {
        match wait.on(store.event(sequence)) {
            Ok(Some(read)) => {
                assert!(same_event(&read, written), "event {sequence} is {read:?}");
                if &read != written {
                    outcome = "bookkeeping";
                }
            }
            Ok(None) => unreachable!("event {sequence} is read as if it had never been"),
            Err(error) => {
                assert!(names(&error, sequence), "event {sequence}: {error}");
                outcome = "refused";
            }
        }
    }
    match wait.on(store.read(&page(head, Selector::default()))) {
        Ok(page) => {
            assert_eq!(
                page.events.len(),
                truth.events.len(),
                "a page leaves events out"
            );
            let same = page
                .events
                .iter()
                .zip(&truth.events)
                .all(|(read, written)| same_event(read, written));
            assert!(same, "a page shows other events");
            if outcome == "harmless" && chain(&page.events) != truth.state.hash {
                unreachable!("the chain over what is read is another one");
            }
        }
        Err(error) => {
            assert!(named(&error), "{error}");
            outcome = "refused";
        }
    }
    for key in ["order-1", "store-1"] {
        let selector = Selector {
            keys: vec![key.to_owned()],
            ..Selector::default()
        };
        let written: Vec<_> = truth
            .events
            .iter()
            .filter(|e| e.event.has_key(key))
            .collect();
        match wait.on(store.read(&page(head, selector))) {
            Ok(page) => {
                let known = |read: &StoredEvent| written.iter().any(|w| same_event(read, w));
                assert!(page.events.iter().all(known), "{key}: {:?}", page.events);
                if page.events.len() < written.len() && outcome == "harmless" {
                    outcome = "index";
                }
            }
            Err(error) => {
                assert!(named(&error), "{error}");
                outcome = "refused";
            }
        }
    }
    match wait.on(store.state()) {
        Ok(state) => {
            let summed =
                |s: &LogState| (s.hash, s.version_vector.clone(), s.covered_vector.clone());
            assert_eq!(summed(&state), summed(&truth.state), "other vectors");
            if outcome == "harmless" && !same_state(&state, &truth.state) {
                "state"
            } else {
                outcome
            }
        }
        Err(error) => {
            assert!(named(&error), "{error}");
            "refused"
        }
    }
}

/// Whoever opens a database takes the lease anew.
fn same_state(read: &LogState, written: &LogState) -> bool {
    let without = |state: &LogState| LogState {
        lease: None,
        ..state.clone()
    };
    without(read) == without(written)
}

fn page(head: u64, selector: Selector) -> ReadQuery {
    ReadQuery {
        after: 0,
        to: head,
        events_max: 1_000,
        bytes_max: usize::MAX,
        scan_max: 1_000,
        selector,
    }
}

fn chain(events: &[StoredEvent]) -> ChainHash {
    events.iter().fold(ChainHash::ZERO, |hash, stored| {
        hash.next(&stored.event.id, &stored.digest)
    })
}
