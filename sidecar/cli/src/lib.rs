//! The command line of Tidelog: look at, write to, steer and run networks of event logs.
//!
//! Every command is one module below `commands`; it takes its arguments and a `Context`, and ends with a
//! `Failure` that carries the exit code. Whatever is shown goes through `output`. The client commands know
//! nothing but addresses and gRPC, so they work the same on a `dev` network and on any other; `dev` alone runs locations.
//!
//! Absent on purpose: configuration files (options and environment only) and interactive questions.

mod args;
mod client;
mod cluster;
mod commands;
mod context;
mod data_dir;
mod dev_file;
mod events;
mod failure;
mod output;
mod place;

pub use args::command;

use std::process::ExitCode;

use clap::Parser as _;

/// Reads the arguments, does what they say, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let output = output::Output::new(&cli.global);
    match commands::run(cli, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}
