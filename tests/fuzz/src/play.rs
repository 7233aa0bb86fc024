//! Runs a body over seeds, mutated seeds and noise. The same seed gives the same inputs.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use std::{fs, io, thread};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::mutate::{mutate, noise};
use crate::target::Target;

/// What was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    /// Inputs.
    pub cases: u32,
    /// Bytes in them.
    pub bytes: u64,
}

/// An input for which something does not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Name of the target.
    pub target: &'static str,
    /// Of the run.
    pub seed: u64,
    /// Number of the input in it.
    pub case: u32,
    /// What does not hold.
    pub message: String,
    /// Where the input was left, for `tests/fuzz/fuzz.sh replay TARGET FILE`.
    pub file: Option<PathBuf>,
    /// The input, shortened while it failed.
    pub input: Vec<u8>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = String::new();
        for byte in self.input.iter().take(400) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "{}", std::ascii::escape_default(*byte));
        }
        write!(
            f,
            "{}: {}\nseed {}, case {}, {} bytes: b\"{shown}\"",
            self.target,
            self.message,
            self.seed,
            self.case,
            self.input.len(),
        )?;
        if let Some(file) = &self.file {
            write!(f, "\nleft in {}", file.display())?;
        }
        Ok(())
    }
}

/// Runs so many inputs. What fails first is shortened and told.
pub fn play(target: &Target, seed: u64, cases: u32) -> Result<Played, Box<Failure>> {
    let seeds = (target.seeds)();
    let mut dice = StdRng::seed_from_u64(seed);
    let mut pool = seeds.clone();
    let mut bytes = 0;
    for case in 0..cases {
        let mut input = match (seeds.get(case as usize), dice.random_range(0..20)) {
            (Some(seed), _) => seed.clone(),
            (None, 0) => noise(&mut dice),
            (None, _) if pool.is_empty() => noise(&mut dice),
            (None, _) => pool[dice.random_range(0..pool.len())].clone(),
        };
        if case as usize >= seeds.len() {
            mutate(&mut input, &seeds, target.words, &mut dice);
        }
        bytes += input.len() as u64;
        if let Some(message) = fails(target, &input) {
            let input = shortened(target, input);
            let file = leave(target, &input);
            return Err(Box::new(Failure {
                target: target.name,
                seed,
                case,
                message,
                file,
                input,
            }));
        }
        // Some of what was made is changed again: a walk away from the seeds, with returns to them.
        if dice.random_range(0..8) == 0 && input.len() < 8 * 1024 {
            if pool.len() < seeds.len() + 64 {
                pool.push(input);
            } else {
                let slot = seeds.len() + dice.random_range(0..64);
                pool[slot] = input;
            }
        }
    }
    Ok(Played { cases, bytes })
}

/// What a body says of an input; nothing when all holds. A panic in a thread of what it calls counts as well.
pub fn fails(target: &Target, input: &[u8]) -> Option<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if QUIET.get() {
                WHERE.set(panic.location().map(ToString::to_string));
                return;
            }
            // Threads of tests have the name of their test: what fails there is told there.
            let name = thread::current().name().map(str::to_owned);
            if name.is_none_or(|name| name.starts_with("tokio-")) {
                let mut elsewhere = ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner);
                elsewhere.push(panic.to_string());
            }
            usual(panic);
        }));
    });
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.body)(input)));
    QUIET.set(false);
    if let Err(panic) = outcome {
        let place = WHERE.take().unwrap_or_default();
        return Some(format!("{} ({place})", told(panic.as_ref())));
    }
    let mut elsewhere = ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner);
    elsewhere.pop()
}

/// Panics of threads that no test owns.
static ELSEWHERE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Inputs that failed once, with the names of their files.
pub fn regressions(target: &Target) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let folder = folder.join(target.name);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let input = fs::read(&path)?;
        files.push((path, input));
    }
    files.sort();
    Ok(files)
}

thread_local! {
    /// What panics here is told once, by whoever asked, and not each time while it is shortened.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static WHERE: Cell<Option<String>> = const { Cell::new(None) };
}

fn told(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_else(|| "a panic without words".to_owned())
}

/// Leaves out pieces as long as it fails.
fn shortened(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let mut tries = 400;
    let mut piece = input.len() / 2;
    while piece > 0 && tries > 0 {
        let mut at = 0;
        while at < input.len() && tries > 0 {
            tries -= 1;
            let mut shorter = input.clone();
            shorter.drain(at..(at + piece).min(input.len()));
            if fails(target, &shorter).is_some() {
                input = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    input
}

fn leave(target: &Target, input: &[u8]) -> Option<PathBuf> {
    let file = std::env::temp_dir().join(format!("tidelog-fuzz-{}", target.name));
    fs::write(&file, input).ok().map(|()| file)
}
