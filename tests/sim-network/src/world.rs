//! What everybody in a run shares: the dice of its seed, its trace, and the record outside of the product.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tidelog_harness::journal::Pages;
use tidelog_harness::record::Dump;

/// When the simulated time begins, in seconds since the Unix epoch.
pub const EPOCH_SECONDS: i64 = 1_790_000_000;

/// Random numbers for one purpose of one seed: they do not move when another purpose draws more.
pub fn dice(seed: u64, purpose: &str) -> StdRng {
    let mut hasher = DefaultHasher::new();
    (seed, purpose).hash(&mut hasher);
    StdRng::seed_from_u64(hasher.finish())
}

/// Microseconds since the Unix epoch by the clock of the simulation, which never goes back.
pub fn now_micros() -> i64 {
    let since = turmoil::sim_elapsed().unwrap_or_default();
    EPOCH_SECONDS * 1_000_000 + i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// What all of a run share.
pub struct World {
    /// Everything is drawn from it.
    pub seed: u64,
    trace: Mutex<Trace>,
    pages: Mutex<Pages>,
    /// What each location showed at the end.
    pub dumps: Mutex<BTreeMap<String, Dump>>,
    /// Breaches that somebody saw on the way.
    pub breaches: Mutex<BTreeSet<String>>,
    /// Nothing breaks any more.
    pub calm: AtomicBool,
    /// Some of the links let only some events pass.
    pub filtered: bool,
    /// A location has lost something.
    pub lost: AtomicBool,
}

#[derive(Default)]
struct Trace {
    hasher: DefaultHasher,
    counts: BTreeMap<String, u64>,
    show: bool,
}

impl World {
    /// A world at its beginning; it tells its trace on standard error when asked to.
    pub fn new(seed: u64, filtered: bool, show: bool) -> Arc<Self> {
        let trace = Trace {
            show,
            ..Trace::default()
        };
        Arc::new(Self {
            seed,
            trace: Mutex::new(trace),
            pages: Mutex::default(),
            dumps: Mutex::default(),
            breaches: Mutex::default(),
            calm: AtomicBool::new(false),
            filtered,
            lost: AtomicBool::new(false),
        })
    }

    /// Something happened: it goes into the hash of the run.
    pub fn say(&self, at_micros: i64, what: &dyn Display) {
        let mut trace = lock(&self.trace);
        let text = what.to_string();
        (at_micros, &text).hash(&mut trace.hasher);
        if trace.show {
            let since = at_micros - EPOCH_SECONDS * 1_000_000;
            eprintln!("{:>11.6} {text}", since as f64 / 1e6);
        }
    }

    /// Counts what a run has covered.
    pub fn count(&self, what: &str) {
        *lock(&self.trace).counts.entry(what.to_owned()).or_default() += 1;
    }

    /// Somebody saw a promise being broken.
    pub fn breach(&self, what: &str) {
        if lock(&self.breaches).insert(what.to_owned()) {
            self.say(now_micros(), &format!("BREACH {what}"));
        }
    }

    /// What happened how often.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.trace).counts.clone()
    }

    /// The hash of everything that happened.
    pub fn hash(&self) -> u64 {
        lock(&self.trace).hasher.finish()
    }

    /// The record.
    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        lock(&self.pages)
    }

    /// Whether a location has gone back to an older copy: some promises then hold for the others only, or for a while not.
    pub fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether everything that was written has to be everywhere in the end, and stays where it was seen.
    pub fn keeps_everything(&self) -> bool {
        !self.filtered && !self.has_lost()
    }

    /// Whether everything is mended.
    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }
}

/// Whoever panicked fails the run; what it held is looked at all the same.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
