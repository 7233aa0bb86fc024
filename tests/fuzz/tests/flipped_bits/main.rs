//! One flipped bit in a database: detected before a wrong event is served, and named.
//!
//! What is read through the store is what was written, byte for byte, or an error that says which event or which file. The bits are drawn by
//! `TIDELOG_FUZZ_SEED`, their number is multiplied by `TIDELOG_FUZZ_TIMES`.

mod judge;
mod postgres;
mod sqlite;
