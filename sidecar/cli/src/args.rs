//! What can be said on the command line. The arguments of each command live beside it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

use crate::commands::{
    append, backup, check, completion, crds, dev, diff, edge, filter, inject, plan, read, report,
    status, tail, trust, verify,
};

/// Event logs that live at many locations, accept writes at each of them, and agree on what caused what.
#[derive(Debug, Parser)]
#[command(
    name = "tidelog",
    version,
    arg_required_else_help = true,
    max_term_width = 110,
    after_long_help = "\
Examples:
  tidelog dev -f examples/shop                        start a network of locations on this machine
  tidelog append --location us --type OrderPlaced --aggregate order-1 --data '{\"total\": 10}'
  tidelog tail --location store-17                    follow what arrives there; Ctrl-C ends it
  tidelog status                                      heads, vectors, edges
  tidelog edge cut --isolate us                       pull the plug; `edge heal` puts it back
  tidelog diff us eu                                  what one has and the other lacks, and why

Exit codes: 0 done, 1 failed, 2 wrong use, 3 refused by a rule (plan, condition), 4 deadline."
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The command line as clap knows it, for completions and the reference.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct GlobalArgs {
    /// Directory of the development network: addresses, ports, data.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "TIDELOG_DATA_DIR",
        default_value = ".tidelog"
    )]
    pub data_dir: PathBuf,
    /// The event log; may be left out when there is one.
    #[arg(long, global = true, value_name = "NAME")]
    pub log: Option<String>,
    /// Address of a location to talk to, instead of one of the running development network.
    ///
    /// Appending and reading want the application address, everything else the admin address.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub address: Option<String>,
    /// Kubernetes: a context of the kubeconfig, instead of its current one; several where a command is about several clusters.
    #[arg(
        long = "context",
        global = true,
        value_name = "CONTEXT",
        conflicts_with = "address"
    )]
    pub contexts: Vec<String>,
    /// Kubernetes: a namespace, instead of that of the context.
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAMESPACE",
        conflicts_with = "address"
    )]
    pub namespace: Option<String>,
    /// Kubernetes: the kubeconfig, instead of that of KUBECONFIG or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "address")]
    pub kubeconfig: Option<PathBuf>,
    /// How to show results: a table for people, JSON for programs.
    ///
    /// JSON is one document, or one event per line, in the protobuf mapping: lowerCamelCase names, 64-bit integers as strings.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub output: Format,
    /// How long to wait, for instance 500ms, 10s, 2m.
    ///
    /// Without it a single request may take 10 seconds, and whatever streams (read, tail, diff, verify, backup, append --ndjson)
    /// as long as it needs.
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print results only: no notes, no progress.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How to show results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    Table,
    /// JSON for programs.
    Json,
    /// A graph for Graphviz; only of `plan`.
    Dot,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run every location of the manifests on this machine, with real connections between them.
    Dev(dev::DevArgs),
    /// Check manifests without a cluster: edges, components, findings, and a picture.
    Plan(plan::PlanArgs),
    /// Append events at a location.
    Append(append::AppendArgs),
    /// Read a range of events of a location.
    Read(read::ReadArgs),
    /// Follow a location: everything so far, then what arrives.
    Tail(tail::TailArgs),
    /// Show where locations and edges stand.
    Status(status::StatusArgs),
    /// Break and mend connections, pause and resume copying.
    #[command(subcommand)]
    Edge(edge::EdgeCommand),
    /// Try filters on events.
    #[command(subcommand)]
    Filter(filter::FilterCommand),
    /// Compare two locations: which events one holds and the other lacks, and why.
    Diff(diff::DiffArgs),
    /// Check that no stored event was altered.
    Verify(verify::VerifyArgs),
    /// Copy the database of a running location.
    Backup(backup::BackupArgs),
    /// Check clusters before an install and after it, with a hint for whatever is not well.
    Check(check::CheckArgs),
    /// Gather what somebody needs who helps, without anything secret, into one archive.
    Report(report::ReportArgs),
    /// Give the pods of an application a sidecar: print its manifests with one.
    Inject(inject::InjectArgs),
    /// Let clusters trust each other: exchange the authorities of their locations.
    Trust(trust::TrustArgs),
    /// Print the custom resource definitions for Kubernetes.
    Crds(crds::CrdsArgs),
    /// Print a completion script for a shell.
    Completion(completion::CompletionArgs),
}

/// A duration as people write it.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text
        .parse()
        .map_err(|_| "expected a duration such as 500ms, 10s or 2m".to_owned())?;
    Duration::try_from(parsed)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration above zero".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["tidelog"], arguments].concat())
    }

    #[test]
    fn the_definition_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for arguments in [
            ["--log", "orders", "--timeout", "2s", "-o", "json", "status"],
            ["status", "--log", "orders", "--timeout", "2s", "-o", "json"],
        ] {
            let cli = parsed(&arguments).unwrap();
            assert_eq!(cli.global.log.as_deref(), Some("orders"));
            assert_eq!(cli.global.timeout, Some(Duration::from_secs(2)));
            assert_eq!(cli.global.output, Format::Json);
        }
    }

    #[test]
    fn durations_have_a_unit_and_are_above_zero() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["10", "soon", "0s", "-3s", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_command_explains_itself() {
        let mut unexplained = Vec::new();
        visit(&command(), "tidelog", &mut unexplained);
        assert_eq!(unexplained, Vec::<String>::new());
    }

    fn visit(command: &clap::Command, path: &str, unexplained: &mut Vec<String>) {
        if command.get_about().is_none() {
            unexplained.push(path.to_owned());
        }
        for argument in command.get_arguments() {
            if argument.get_help().is_none() && !argument.is_hide_set() {
                unexplained.push(format!("{path} {argument}"));
            }
        }
        for sub in command.get_subcommands() {
            visit(sub, &format!("{path} {}", sub.get_name()), unexplained);
        }
    }
}
