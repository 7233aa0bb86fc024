//! One module per command.

pub mod append;
pub mod backup;
pub mod check;
pub mod completion;
pub mod crds;
pub mod dev;
pub mod diff;
pub mod edge;
pub mod filter;
pub mod inject;
pub mod plan;
pub mod read;
pub mod report;
pub mod status;
pub mod tail;
pub mod trust;
pub mod verify;

use std::future::Future;

use tokio::runtime::Builder;

use crate::args::{Cli, Command, Format};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;

/// Does what the arguments say.
pub fn run(cli: Cli, output: Output) -> Result<(), Failure> {
    let context = Context {
        global: cli.global,
        output,
    };
    if output.format() == Format::Dot && !matches!(cli.command, Command::Plan(_)) {
        return Err(Failure::usage("`-o dot` is a format of `tidelog plan`")
            .hint("here it is table or json"));
    }
    match cli.command {
        Command::Dev(args) => dev::run(&context, args),
        Command::Plan(args) => plan::run(&context, &args),
        Command::Crds(args) => crds::run(&context, &args),
        Command::Completion(args) => completion::run(&context, &args),
        Command::Filter(command) => client(&context, filter::run(&context, command)),
        Command::Append(args) => client(&context, append::run(&context, args)),
        Command::Read(args) => client(&context, read::run(&context, args)),
        // It ends by itself at the deadline, because it has a position to say then.
        Command::Tail(args) => block_on(tail::run(&context, args)),
        Command::Status(args) => client(&context, status::run(&context, args)),
        Command::Edge(command) => client(&context, edge::run(&context, command)),
        Command::Diff(args) => client(&context, diff::run(&context, args)),
        Command::Verify(args) => client(&context, verify::run(&context, args)),
        Command::Report(args) => client(&context, report::run(&context, args)),
        Command::Check(args) => client(&context, check::run(&context, args)),
        Command::Inject(args) => inject::run(&context, &args),
        Command::Trust(args) => client(&context, trust::run(&context, args)),
        Command::Backup(args) => client(&context, backup::run(&context, args)),
    }
}

/// Runs a command that talks to locations, for no longer than it may take.
fn client(
    context: &Context,
    command: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    block_on(async {
        match context.global.timeout {
            None => command.await,
            Some(timeout) => tokio::time::timeout(timeout, command)
                .await
                .unwrap_or_else(|_| Err(Failure::deadline("the command", timeout))),
        }
    })
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let result = runtime.block_on(command);
    // A read of the standard input cannot be interrupted; it must not keep the command alive.
    runtime.shutdown_background();
    result
}
