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
mod plugin;

pub use args::command;

use std::env;
use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::plugin::Called;

/// Reads the arguments, does what they say, and returns the exit code.
pub fn main() -> ExitCode {
    let called = Called::by(&env::args_os().next().unwrap_or_default());
    let definition = match called {
        Called::Completion => return complete(),
        Called::Plugin => plugin::as_plugin(command()),
        Called::Tidelog => command(),
    };
    let matches = definition.get_matches();
    let cli = match args::Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let output = output::Output::new(&cli.global, called);
    match commands::run(cli, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

/// Tells kubectl which words may follow. One that cannot be written is one that nobody waits for.
fn complete() -> ExitCode {
    use std::io::Write as _;
    let words = env::args_os().skip(1);
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let text = plugin::completions(&command(), &words);
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
