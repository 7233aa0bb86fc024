//! `tidelog-sidecar`: the log sidecar of one location.

mod args;
mod run;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// Each append makes and drops dozens of small and middle-sized pieces on several threads: this allocator takes a tenth of the time of the
/// one of the C library from it, and gives memory back.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match run::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidelog-sidecar: {error:#}");
            ExitCode::FAILURE
        }
    }
}
