//! `tidelog-sidecar`: the log sidecar of one location.

mod args;
mod run;
mod telemetry;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use tidelog_server::StartError;
use tikv_jemallocator::Jemalloc;

/// Each append makes and drops dozens of small and middle-sized pieces on several threads: this allocator takes a tenth of the time of the
/// one of the C library from it, and gives memory back.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Where a container of Kubernetes leaves why it has ended, for the status of its pod.
const LAST_WORD: &str = "/dev/termination-log";

/// For whoever looks at the pod: the operator tells it in a condition. Elsewhere there is no such file.
fn last_word(error: &anyhow::Error) {
    let word = match error.downcast_ref::<StartError>() {
        Some(StartError::Store { .. }) => "StorageUnavailable: ",
        _ => "",
    };
    let file = OpenOptions::new().write(true).open(LAST_WORD);
    if let Ok(mut file) = file {
        let _ = write!(file, "{word}{error:#}");
    }
}

fn main() -> ExitCode {
    let args = args::Args::parse();
    match run::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidelog-sidecar: {error:#}");
            last_word(&error);
            ExitCode::FAILURE
        }
    }
}
