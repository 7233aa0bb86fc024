//! `tidelog-operator`.

use std::process::ExitCode;

use clap::Parser as _;
use tikv_jemallocator::Jemalloc;

/// Gives memory back when the many small objects of a list are gone.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    match tidelog_operator::run(tidelog_operator::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidelog-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
