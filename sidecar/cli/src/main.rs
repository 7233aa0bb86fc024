//! The `tidelog` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidelog_cli::main()
}
