//! What a run did, as a hash, and for people as lines.

use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The trace of one run. Two runs did the same if their hashes are equal.
#[derive(Default)]
pub struct Trace {
    hasher: DefaultHasher,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// With lines for people, or without.
    pub fn new(with_lines: bool) -> Self {
        Self {
            hasher: DefaultHasher::new(),
            lines: with_lines.then(Vec::new),
        }
    }

    /// Adds to the hash.
    pub fn add(&mut self, what: impl Hash) {
        what.hash(&mut self.hasher);
    }

    /// Adds a line, if somebody is going to read it.
    pub fn say<T: Display>(&mut self, line: impl FnOnce() -> T) {
        if let Some(lines) = &mut self.lines {
            lines.push(line().to_string());
        }
    }

    /// What everything so far comes to.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// The lines so far.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}
