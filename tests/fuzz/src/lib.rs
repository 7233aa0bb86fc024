//! Hostile and broken input: one body for each target, used twice.
//!
//! A body is a function of bytes that panics when something that must hold does not. libFuzzer calls it from `fuzz/`, guided by coverage; the
//! property tests call it with seeds, mutated seeds and noise, on every run of the tests.
//!
//! | module | whose input |
//! |---|---|
//! | [`calls`] | clients and peers: bytes of calls to a whole location over real sockets |
//! | [`sealed`] | the wires between locations: bytes that are changed on their way |
//! | [`wire`] | clients and peers: gRPC messages and what the model makes of them |
//! | [`events`] | peers: canonical bytes of events |
//! | [`texts`] | people and programs: ids, vectors, positions, tokens |
//! | [`manifests`] | people: YAML, up to the plan |
//! | [`filters`] | people: CEL, and the payloads it looks into |
//! | [`configuration`] | whoever renders it |
//! | [`rows`] | a disk: rows of a database that are not what was written |
//! | [`witness`] | a disk: the file beside a database that tells an old copy from the present |
//! | [`peer`] | a hostile location that was let in: the machines of an edge and the writer behind it |
//! | [`place`] | one location over a store, for those targets that need one |
//! | [`target`], [`mutate`], [`mod@play`] | the list of targets, and how they are run without a fuzzer |

pub mod calls;
pub mod configuration;
pub mod events;
pub mod filters;
pub mod manifests;
pub mod mutate;
pub mod peer;
pub mod place;
pub mod play;
pub mod rows;
pub mod sample;
pub mod sealed;
pub mod target;
pub mod texts;
pub mod wire;
pub mod witness;

pub use play::{Failure, Played, fails, play, regressions};
pub use target::{TARGETS, Target};
