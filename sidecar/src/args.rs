//! The command line of the sidecar.

use std::path::PathBuf;

use clap::Parser;

/// Runs the event log of one location: its database, its replication, its ports.
#[derive(Debug, Parser)]
#[command(
    name = "tidelog-sidecar",
    version,
    about,
    after_help = "Example:\n  tidelog-sidecar --config /etc/tidelog/config.yaml\n\nThe configuration reference is docs/reference/configuration.md."
)]
pub struct Args {
    /// The configuration file (YAML).
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// Check the configuration, print it with all defaults, and end.
    #[arg(long)]
    pub check: bool,
}
