//! The command line of the sidecar.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tidelog_model::LocationName;

/// Runs the event log of one location: its database, its replication, its ports.
#[derive(Debug, Parser)]
#[command(
    name = "tidelog-sidecar",
    version,
    about,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:\n  tidelog-sidecar --config /etc/tidelog/config.yaml\n\nThe configuration reference is docs/reference/configuration.md."
)]
pub struct Args {
    /// The configuration file (YAML).
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE", required = true)]
    pub config: Option<PathBuf>,
    /// Check the configuration, print it with all defaults, and end.
    #[arg(long)]
    pub check: bool,
    /// The other role.
    #[command(subcommand)]
    pub role: Option<Role>,
}

/// The other role.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Beside an application: leads what it says on the loopback interface to its location's pods.
    Forward(ForwardArgs),
}

/// What is led where.
#[derive(Debug, clap::Args)]
pub struct ForwardArgs {
    /// The log.
    #[arg(long, env = "TIDELOG_LOG", value_name = "NAME")]
    pub log: String,
    /// The location.
    #[arg(long, env = "TIDELOG_LOCATION", value_name = "NAME")]
    pub location: LocationName,
    /// Namespace of the log.
    #[arg(long, env = "TIDELOG_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: String,
    /// Trust domain of the log.
    #[arg(
        long,
        env = "TIDELOG_TRUST_DOMAIN",
        value_name = "DOMAIN",
        default_value = "tidelog"
    )]
    pub trust_domain: String,
    /// The location's pods; by default the Service LOG-LOCATION-client of the namespace.
    #[arg(long, env = "TIDELOG_TO", value_name = "HOST:PORT")]
    pub to: Option<String>,
    /// A folder with tls.crt, tls.key and ca.crt: those of Secret LOG-LOCATION-client.
    #[arg(
        long,
        env = "TIDELOG_CERTIFICATES",
        value_name = "DIR",
        required_unless_present = "insecure"
    )]
    pub certificates: Option<PathBuf>,
    /// Plain text, for a log that has asked for that.
    #[arg(long, env = "TIDELOG_INSECURE", conflicts_with = "certificates")]
    pub insecure: bool,
    /// Where the application finds its log.
    #[arg(
        long,
        env = "TIDELOG_LISTEN_API",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:7440"
    )]
    pub api: SocketAddr,
    /// The same on a Unix socket.
    #[arg(long, env = "TIDELOG_LISTEN_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// gRPC health for the kubelet: startup, live, ready.
    #[arg(
        long,
        env = "TIDELOG_LISTEN_HEALTH",
        value_name = "IP:PORT",
        default_value = "0.0.0.0:7442"
    )]
    pub health: SocketAddr,
    /// What is logged.
    #[arg(
        long,
        env = "TIDELOG_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub log_level: String,
}
