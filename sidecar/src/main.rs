//! `tidelog-sidecar`: the log sidecar of one location.

mod args;
mod run;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

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
