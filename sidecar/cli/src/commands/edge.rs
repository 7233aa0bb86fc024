//! `tidelog edge`.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde::Serialize;
use tidelog_proto::v1::{
    CutEdgeRequest, Edge, EdgeStatus, HealEdgeRequest, LocationStatus, PauseEdgeRequest,
    ResumeEdgeRequest,
};

use crate::client::AdminClient;
use crate::commands::status;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::{Network, Place, PlaceName, one_log};

/// Break and mend connections, pause and resume copying.
#[derive(Debug, Subcommand)]
pub enum EdgeCommand {
    /// Break the connection and refuse new ones, as a failed network would; on a development network only.
    ///
    /// Lasts until `heal`, or until the location starts again. Appends go on at both ends.
    #[command(after_long_help = EXAMPLES)]
    Cut(EdgeArgs),
    /// Let the connection come back.
    #[command(after_long_help = EXAMPLES)]
    Heal(EdgeArgs),
    /// Stop copying over an edge; stored with the log, so it lasts over restarts.
    #[command(after_long_help = EXAMPLES)]
    Pause(EdgeArgs),
    /// Go on copying; a pause in the link's manifest stays.
    #[command(after_long_help = EXAMPLES)]
    Resume(EdgeArgs),
}

const EXAMPLES: &str = "\
Examples:
  tidelog edge cut eu us               events of eu do not reach us directly any more
  tidelog edge cut eu us --both        nor the other way round
  tidelog edge cut --isolate us        nothing reaches us, nothing leaves it
  tidelog edge heal --isolate us
  tidelog edge pause eu store-17";

/// Which edges are meant.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct EdgeArgs {
    /// Events flow from here: a location, as L or LOG/L.
    #[arg(value_name = "SRC", requires = "target", conflicts_with = "isolate")]
    pub source: Option<PlaceName>,
    /// Events flow to here.
    #[arg(value_name = "DST")]
    pub target: Option<PlaceName>,
    /// Also the opposite direction.
    #[arg(long, requires = "source")]
    pub both: bool,
    /// All edges from and to this location.
    #[arg(long, value_name = "L", required_unless_present = "source")]
    pub isolate: Option<PlaceName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Cut,
    Heal,
    Pause,
    Resume,
}

impl Action {
    /// What was done, as people say it.
    fn done(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Heal => "healed",
            Self::Pause => "paused",
            Self::Resume => "resumed",
        }
    }

    /// A cut is made at both ends, so that neither end dials around it; a pause is stored, once, where progress is: at the target.
    fn at_both_ends(self) -> bool {
        matches!(self, Self::Cut | Self::Heal)
    }
}

/// One direction between two locations.
type Pair = (String, String);

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Report {
    edges: Vec<EdgeStatus>,
}

/// Does it.
pub async fn run(context: &Context, command: EdgeCommand) -> Result<(), Failure> {
    let (action, args) = match command {
        EdgeCommand::Cut(args) => (Action::Cut, args),
        EdgeCommand::Heal(args) => (Action::Heal, args),
        EdgeCommand::Pause(args) => (Action::Pause, args),
        EdgeCommand::Resume(args) => (Action::Resume, args),
    };
    let mut done = if context.global.address.is_some() {
        at_address(context, action, &args).await?
    } else {
        in_network(context, action, &args).await?
    };
    done.sort_by(|one, other| (&one.source, &one.target).cmp(&(&other.source, &other.target)));
    let output = context.output;
    if output.is_json() {
        return output.json(&Report { edges: done });
    }
    let edges: Vec<String> = done
        .iter()
        .map(|edge| format!("{}->{}", edge.source, edge.target))
        .collect();
    output.line(&format!("{} {}", action.done(), edges.join(", ")))
}

/// At one location that was named by address: it knows its own edges.
async fn at_address(
    context: &Context,
    action: Action,
    args: &EdgeArgs,
) -> Result<Vec<EdgeStatus>, Failure> {
    let (mut client, target) = context.admin_client(None).await?;
    let request = context.unary(tidelog_proto::v1::GetStatusRequest {
        log: target.log.clone(),
    });
    let status = client
        .get_status(request)
        .await?
        .into_inner()
        .status
        .unwrap_or_default();
    let pairs = match &args.isolate {
        Some(name) if name.location.as_str() != status.location => {
            return Err(Failure::usage(format!(
                "{} is {}, not {name}",
                target.address, status.location
            ))
            .hint(format!(
                "isolate {} here, or name the address of {name}",
                status.location
            )));
        }
        Some(_) => touching(&status),
        None => named(args),
    };
    let mut done = Vec::new();
    for pair in &pairs {
        done.push(call(context, &mut client, &target.log, action, pair).await?);
    }
    Ok(done)
}

async fn in_network(
    context: &Context,
    action: Action,
    args: &EdgeArgs,
) -> Result<Vec<EdgeStatus>, Failure> {
    let network = context.network()?;
    let (log, pairs) = match &args.isolate {
        Some(name) => {
            let place = network.find(context.log(), name)?;
            let status = status::ask(context, place).await?;
            (place.log.clone(), touching(&status))
        }
        None => (log_of(context, &network, args)?, named(args)),
    };
    let running = network.running(Some(&log))?;
    let mut done = Vec::new();
    for pair in &pairs {
        done.push(at_ends(context, &running, &log, action, pair).await?);
    }
    Ok(done)
}

/// Where source and target are, `--log` and both names agree on one log.
fn log_of(context: &Context, network: &Network, args: &EdgeArgs) -> Result<String, Failure> {
    let mut log = context.log();
    for name in args.source.iter().chain(&args.target) {
        log = one_log(log, name)?;
    }
    network.one_log(log)
}

fn named(args: &EdgeArgs) -> Vec<Pair> {
    let (Some(source), Some(target)) = (&args.source, &args.target) else {
        return Vec::new();
    };
    let pair = (source.location.to_string(), target.location.to_string());
    let back = args.both.then(|| (pair.1.clone(), pair.0.clone()));
    std::iter::once(pair).chain(back).collect()
}

fn touching(status: &LocationStatus) -> Vec<Pair> {
    let pairs: BTreeSet<Pair> = status
        .edges
        .iter()
        .map(|edge| (edge.source.clone(), edge.target.clone()))
        .collect();
    pairs.into_iter().collect()
}

/// At the ends of the edge that run.
async fn at_ends(
    context: &Context,
    running: &[&Place],
    log: &str,
    action: Action,
    pair: &Pair,
) -> Result<EdgeStatus, Failure> {
    let (source, target) = pair;
    // The target first: it is the one whose view is shown, and where a pause belongs.
    let mut ends = [target, source]
        .into_iter()
        .filter_map(|name| running.iter().find(|place| place.location.as_str() == name))
        .peekable();
    if ends.peek().is_none() {
        let names: Vec<&str> = running
            .iter()
            .map(|place| place.location.as_str())
            .collect();
        return Err(
            Failure::failed(format!("neither {source} nor {target} runs here"))
                .hint(format!("running: {}", names.join(", "))),
        );
    }
    let mut shown = None;
    for place in ends {
        let mut client = context.admin_client_at(place).await?;
        let status = call(context, &mut client, log, action, pair).await?;
        shown.get_or_insert(status);
        if !action.at_both_ends() {
            break;
        }
    }
    Ok(shown.unwrap_or_default())
}

async fn call(
    context: &Context,
    client: &mut AdminClient,
    log: &str,
    action: Action,
    (source, target): &Pair,
) -> Result<EdgeStatus, Failure> {
    let log = log.to_owned();
    let edge = Some(Edge {
        source: source.clone(),
        target: target.clone(),
    });
    let answer = match action {
        Action::Cut => client
            .cut_edge(context.unary(CutEdgeRequest { log, edge }))
            .await
            .map(|a| a.into_inner().edge),
        Action::Heal => client
            .heal_edge(context.unary(HealEdgeRequest { log, edge }))
            .await
            .map(|a| a.into_inner().edge),
        Action::Pause => client
            .pause_edge(context.unary(PauseEdgeRequest { log, edge }))
            .await
            .map(|a| a.into_inner().edge),
        Action::Resume => client
            .resume_edge(context.unary(ResumeEdgeRequest { log, edge }))
            .await
            .map(|a| a.into_inner().edge),
    };
    let answer =
        answer.map_err(|status| Failure::from(status).doing(format!("{source}->{target}")))?;
    Ok(answer.unwrap_or_default())
}
