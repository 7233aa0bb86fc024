//! `tidelog completion`.

use clap::Args;
use clap_complete::Shell;

use crate::args;
use crate::context::Context;
use crate::failure::Failure;

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  source <(tidelog completion bash)
  tidelog completion zsh > ~/.zfunc/_tidelog
  tidelog completion fish > ~/.config/fish/completions/tidelog.fish")]
pub struct CompletionArgs {
    /// The shell.
    pub shell: Shell,
}

/// Prints the script.
pub fn run(context: &Context, args: &CompletionArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "tidelog", &mut script);
    context.output.line(&String::from_utf8_lossy(&script))
}
