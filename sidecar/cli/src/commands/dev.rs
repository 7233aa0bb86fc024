//! `tidelog dev`.
//!
//! A [`Session`] holds the locations of this process; everything around it watches, shows and ends. Other processes are
//! known by their entries in `dev.json` only.

mod board;
mod options;
mod session;
mod watch;

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;

use clap::Args;
use tidelog_manifest::{LogManifest, Manifests};
use tidelog_topology::{Finding, Plan, Planner, Severity};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use self::board::Board;
use self::options::{PlaceAddress, Selection, StorageChoice};
use self::session::{Session, Wanted};
use crate::commands::plan::ManifestArgs;
use crate::commands::status;
use crate::context::Context;
use crate::dev_file;
use crate::failure::{Exit, Failure};
use crate::place::PlaceName;

/// Run every location of the manifests on this machine, with real connections between them.
///
/// Takes the EventLogs and ReplicationLinks that `kubectl apply` takes, runs each location with a database of its own, and shows where the
/// edges stand until Ctrl-C. A second start continues with the data. While it runs, changed links and filters and new locations in the
/// manifests are put in force at once; everything else is named as needing a restart, and a plan that is refused changes nothing.
///
/// Each location has ten ports, from the base port on: …0 application API, …1 metrics, …2 health, …3 replication, …4 admin API.
///
/// With --only this process runs some of the locations. The others are dialled at --peer, else where they listen according to the same
/// data directory, else at their endpoint. So a network can be made of separate processes, or of machines without Kubernetes.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Examples:
  tidelog dev -f examples/shop
  tidelog dev -f examples/shop --base-port 9000
  tidelog dev -f examples/shop --storage postgres://postgres@localhost
  tidelog dev -f examples/shop --only eu --only store-17          and in another terminal --only us --only ap --only store-23
  tidelog dev -f examples/shop --only eu --listen eu=0.0.0.0:7443 --peer us=10.0.0.7:7443 --insecure     on two machines")]
pub struct DevArgs {
    /// Which manifests.
    #[command(flatten)]
    pub manifests: ManifestArgs,
    /// Where logs are kept: sqlite, or postgres://USER:PASSWORD@HOST:PORT with a database for each location.
    #[arg(long, value_name = "sqlite|postgres://HOST", default_value = "sqlite")]
    pub storage: StorageChoice,
    /// Where ports begin, a multiple of ten; what was used before, else 7440.
    #[arg(long, value_name = "N", value_parser = dev_file::base_port)]
    pub base_port: Option<u16>,
    /// Run only this location, as L or LOG/L; may be repeated.
    #[arg(long, value_name = "[LOG/]L", num_args = 1.., value_delimiter = ',')]
    pub only: Vec<PlaceName>,
    /// Where a location of another process is reached; may be repeated.
    #[arg(long, value_name = "[LOG/]L=HOST:PORT", num_args = 1.., value_delimiter = ',')]
    pub peer: Vec<PlaceAddress>,
    /// Where other locations reach one of this process; may be repeated.
    #[arg(long, value_name = "[LOG/]L=HOST:PORT", num_args = 1.., value_delimiter = ',')]
    pub listen: Vec<PlaceAddress>,
    /// Allow --listen beyond this machine without encryption: everybody who reaches the port can read and write the log.
    #[arg(long)]
    pub insecure: bool,
}

/// Runs the network.
pub fn run(context: &Context, args: DevArgs) -> Result<(), Failure> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let result = runtime.block_on(live(context, args));
    runtime.shutdown_background();
    result
}

/// Asks to stop: Ctrl-C, or the end of the terminal or of the machine.
struct Interrupts([Signal; 3]);

impl Interrupts {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))
        };
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

async fn live(context: &Context, args: DevArgs) -> Result<(), Failure> {
    let mut interrupts = Interrupts::new()?;
    let mut board = Board::new(context.output);
    let manifests = args.manifests.read()?;
    for note in &manifests.notes {
        board.note(&format!("note: {note}"));
    }
    tell_not_realised(&board, &manifests);
    let plans = plans(&manifests);
    tell_findings(&board, &plans);
    let refused = refused(&plans);
    if !refused.is_empty() {
        return Err(Failure::refused(format!(
            "the plan of {} is refused, nothing was started",
            refused.join(", ")
        )));
    }
    let insecure = insecure(&manifests, args.insecure);
    let selection = Selection::new(&args.only, &args.peer, &args.listen, &plans, insecure)?;
    let mut session = Session::new(context, args, selection, Wanted::new(&manifests, plans));
    let started = tokio::select! {
        started = session.start(&board) => started,
        () = interrupts.next() => Err(Failure::failed("interrupted")),
    };
    let result = match started {
        Ok(()) => watch(context, &mut session, &mut board, &mut interrupts).await,
        Err(failure) => Err(failure),
    };
    board.close();
    if result.is_ok() {
        context
            .output
            .note("stopping; Ctrl-C again ends it at once");
    }
    let mut stopping = pin!(session.stop());
    tokio::select! {
        () = &mut stopping => {}
        () = interrupts.next() => {
            return Err(Failure::failed("ended at once").hint("what was acknowledged is in the databases; start again to continue"));
        }
    }
    result?;
    context
        .output
        .note("stopped; start again to continue with the data");
    Ok(())
}

/// Until somebody asks to stop.
async fn watch(
    context: &Context,
    session: &mut Session,
    board: &mut Board,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    if context.output.is_json() {
        context.output.json(&status::Report::of(session.status()))?;
    } else {
        board.line(&session.overview())?;
    }
    context.output.note(&hints(context.data_dir().path()));
    let mut ticks = interval(board::REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = interrupts.next() => return Ok(()),
            _ = ticks.tick() => {}
        }
        board.update(&session.status())?;
        tokio::select! {
            () = interrupts.next() => return Ok(()),
            followed = session.follow(board) => followed?,
        }
    }
}

/// What to type next.
fn hints(data_dir: &Path) -> String {
    let option = if data_dir == Path::new(".tidelog") {
        String::new()
    } else {
        format!(" --data-dir {}", data_dir.display())
    };
    format!(
        "in another terminal: `tidelog status{option}`, `tidelog append --help`, `tidelog tail --help`; Ctrl-C stops the network"
    )
}

/// Everybody is reachable: `dev` knows or learns the addresses.
fn plans(manifests: &Manifests) -> Vec<Plan> {
    tidelog_manifest::plan_all(manifests, Planner::new().with_every_location_reachable())
}

/// The logs that may be served in plain text beyond this machine.
fn insecure(manifests: &Manifests, all: bool) -> BTreeSet<String> {
    let written = |manifest: &&LogManifest| {
        manifest
            .resource
            .spec
            .tls
            .as_ref()
            .is_some_and(|tls| tls.insecure)
    };
    manifests
        .logs
        .iter()
        .filter(|manifest| all || written(manifest))
        .map(|manifest| manifest.log.name.clone())
        .collect()
}

fn refused(plans: &[Plan]) -> Vec<&str> {
    plans
        .iter()
        .filter(|plan| !plan.is_accepted())
        .map(|plan| plan.log.as_str())
        .collect()
}

fn tell_findings(board: &Board, plans: &[Plan]) {
    for Finding {
        severity,
        kind,
        subject,
        message,
        example,
        ..
    } in plans.iter().flat_map(|plan| &plan.findings)
    {
        let mut text = format!("{kind}: {subject}: {message}");
        if let Some(example) = example {
            text = format!("{text}\n  example: {example}");
        }
        match severity {
            Severity::Error => board.error(&text),
            Severity::Warning => board.note(&format!("note: {text}")),
        }
    }
}

fn tell_not_realised(board: &Board, manifests: &Manifests) {
    for manifest in manifests
        .logs
        .iter()
        .filter(|manifest| !manifest.not_realised.is_empty())
    {
        board.note(&format!(
            "note: log {}: needs Kubernetes and is left out here: {}",
            manifest.log.name,
            manifest.not_realised.join(", ")
        ));
    }
}

impl From<dev_file::PortError> for Failure {
    fn from(error: dev_file::PortError) -> Self {
        Self::failed(&error).hint(error.way_out())
    }
}

impl From<crate::data_dir::LockError> for Failure {
    fn from(error: crate::data_dir::LockError) -> Self {
        let failure = Self::failed(&error);
        match error {
            crate::data_dir::LockError::Held { .. } => failure.hint(
                "a location is run by one process: stop that one, choose other locations with --only, or another network with --data-dir",
            ),
            crate::data_dir::LockError::Io { .. } => failure.hint("choose another directory with --data-dir"),
        }
    }
}

impl From<tidelog_build::RenderError> for Failure {
    fn from(error: tidelog_build::RenderError) -> Self {
        Self {
            exit: Exit::Failed,
            message: error.to_string(),
            hint: String::new(),
        }
    }
}
