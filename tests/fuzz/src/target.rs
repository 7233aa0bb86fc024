//! The list of targets.

use crate::{
    calls, configuration, events, filters, manifests, peer, rows, sealed, texts, wire, witness,
};

/// A kind of input and what must hold for all of it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, also that of the fuzz target.
    pub name: &'static str,
    /// Panics when something that must hold does not.
    pub body: fn(&[u8]),
    /// Inputs to begin with: made by the code that reads them, so that they cannot go stale.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of its language.
    pub words: &'static [&'static str],
    /// Inputs of one run of the tests: about five seconds in a debug build.
    pub cases: u32,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "wire",
        body: wire::messages,
        seeds: wire::seeds,
        words: &[],
        cases: 60_000,
    },
    Target {
        name: "events",
        body: events::canonical_bytes,
        seeds: events::seeds,
        words: &["eu", "us"],
        cases: 80_000,
    },
    Target {
        name: "texts",
        body: texts::forms,
        seeds: texts::seeds,
        words: texts::WORDS,
        cases: 80_000,
    },
    Target {
        name: "manifests",
        body: manifests::plans,
        seeds: manifests::seeds,
        words: manifests::WORDS,
        cases: 120,
    },
    Target {
        name: "filters",
        body: filters::expressions,
        seeds: filters::seeds,
        words: filters::WORDS,
        cases: 300,
    },
    Target {
        name: "filter-payloads",
        body: filters::payloads,
        seeds: filters::payload_seeds,
        words: &["{", "}", "[", "]", "\"", "1e999", "null", "\\ud800"],
        cases: 10_000,
    },
    Target {
        name: "configuration",
        body: configuration::documents,
        seeds: configuration::seeds,
        words: configuration::WORDS,
        cases: 4_000,
    },
    Target {
        name: "rows",
        body: rows::changed,
        seeds: rows::seeds,
        words: &[],
        cases: 600,
    },
    Target {
        name: "rows-postgres",
        body: rows::changed_in_postgres,
        seeds: rows::postgres_seeds,
        words: &[],
        cases: 600,
    },
    Target {
        name: "witness",
        body: witness::records,
        seeds: witness::seeds,
        words: &["tidewit1"],
        cases: 20_000,
    },
    Target {
        name: "sealed",
        body: sealed::changed,
        seeds: sealed::seeds,
        words: &[],
        cases: 10_000,
    },
    Target {
        name: "calls",
        body: calls::raw,
        seeds: calls::seeds,
        words: &["orders", "eu", "us", "ap"],
        cases: 1_000,
    },
    Target {
        name: "hostile-source",
        body: peer::hostile_source,
        seeds: peer::seeds,
        words: &[],
        cases: 3_000,
    },
    Target {
        name: "hostile-target",
        body: peer::hostile_target,
        seeds: peer::seeds,
        words: &[],
        cases: 3_000,
    },
];
