//! All mutants.
//!
//! Each names the case that is closest to what it breaks; most are noticed by others as well.

mod core;
mod doors;
mod edges;
mod engine;
mod plan;
mod programs;
mod stores;
mod writer;

use crate::mutant::Mutant;

/// The whole table.
pub fn all() -> impl Iterator<Item = &'static Mutant> {
    [
        core::MUTANTS,
        writer::MUTANTS,
        edges::MUTANTS,
        stores::MUTANTS,
        engine::MUTANTS,
        plan::MUTANTS,
        doors::MUTANTS,
    ]
    .into_iter()
    .flatten()
}
