//! `tidelog-operator`: realises the locations of its cluster.
//!
//! | module | what it holds |
//! |---|---|
//! | `args` | the command line |
//! | `leader` | one of several replicas works, the others wait |
//! | `http` | health and metrics |
//! | `run` | start, wait for a signal, stop in order |
//! | `telemetry` | logs |

mod args;
mod http;
mod leader;
mod run;
mod telemetry;

pub use args::Args;
pub use run::run;

/// The command line as clap knows it, for the reference.
pub fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}
