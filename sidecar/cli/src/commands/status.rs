//! `tidelog status`.

mod lag;

use std::collections::BTreeMap;

use clap::Args;
use comfy_table::{Cell, Table};
use serde::Serialize;
use tidelog_access::Port;
use tidelog_model::VectorTime;
use tidelog_proto::v1::{
    EdgeDirection, EdgeState, EdgeStatus, GetStatusRequest, LocationState, LocationStatus,
};

use crate::client;
use crate::cluster::Found;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Ink, table};
use crate::place::{Place, PlaceName};

use self::lag::{Lag, Silent, Written, lags, matrices};

/// Show where locations and edges stand.
///
/// Of each location: its head (the number of events it holds), its incarnation, and its version vector (which events of which origin it
/// has seen). Of each edge: what it is doing, how far it has come, and its lag; `?` is a lag that nobody can know right now, for
/// instance of an edge whose source does not answer.
#[derive(Debug, Args)]
#[command(after_long_help = "\
In Kubernetes also who is how far behind whom: a row for each source, a column for each target that a
chosen cluster realises. A lag is events and seconds, `unknown` where nobody can know it, a word such as
`paused` or `unreachable` where nothing is copied, and `-` without an edge.

Examples:
  tidelog status
  tidelog status --location eu
  tidelog status --context eu --context us   two clusters, and the lag between them
  tidelog status -o json | jq '.locations[].head'")]
pub struct StatusArgs {
    /// Only this location, as L or LOG/L.
    #[arg(long, value_name = "L")]
    pub location: Option<PlaceName>,
}

/// What is printed as JSON.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    locations: Vec<LocationStatus>,
    /// Locations that run and did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unanswered: Vec<Unanswered>,
    /// Clusters that did not even say what is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreached: Vec<String>,
    /// Who is how far behind whom; of clusters only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lag: Vec<Lag>,
}

impl Report {
    /// Of locations that all answered.
    pub fn of(locations: Vec<LocationStatus>) -> Self {
        Self {
            locations,
            ..Self::default()
        }
    }

    /// Locations that were asked and did not answer.
    fn silent(&self) -> Vec<Silent<'_>> {
        let silent = self.unanswered.iter();
        silent
            .map(|one| (one.log.as_str(), one.location.as_str()))
            .collect()
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Unanswered {
    log: String,
    location: String,
    error: String,
}

/// Prints the status.
pub async fn run(context: &Context, args: StatusArgs) -> Result<(), Failure> {
    let is_wide = args.location.is_none() && context.is_in_clusters();
    let report = match (&args.location, &context.global.address) {
        (None, None) if is_wide => all_clusters(context).await?,
        (None, None) => whole_network(context).await?,
        (name, _) => {
            let (mut client, target) = context.admin_client(name.as_ref()).await?;
            let request = context.unary(GetStatusRequest { log: target.log });
            let status = client.get_status(request).await?.into_inner().status;
            Report::of(status.into_iter().collect())
        }
    };
    let output = context.output;
    if output.is_json() {
        output.json(&report)?;
    } else {
        output.table(&locations_table(&report.locations))?;
        let edges = edges(&report.locations);
        if !edges.is_empty() {
            output.line("")?;
            output.table(&edges_table(&edges))?;
        }
        // Also without an edge: that there is none is worth seeing where several locations were asked.
        if is_wide {
            for (log, matrix) in matrices(&report.locations, &report.silent(), &report.lag) {
                output.line(&format!("\nLag of {log}"))?;
                output.table(&matrix)?;
            }
        }
    }
    for status in &report.locations {
        for warning in &status.warnings {
            output.warning(&format!("{}/{}: {warning}", status.log, status.location));
        }
        if let Some(recovered) = status
            .recovered
            .as_ref()
            .filter(|recovered| !recovered.recovered)
        {
            output.warning(&format!(
                "{}/{}: {} ({})",
                status.log, status.location, recovered.message, recovered.reason
            ));
        }
    }
    for Unanswered {
        log,
        location,
        error,
    } in &report.unanswered
    {
        output.warning(&format!("{log}/{location}: {error}"));
    }
    for unreached in &report.unreached {
        output.warning(unreached);
    }
    if report.locations.is_empty() {
        return Err(Failure::failed("no location answered"));
    }
    Ok(())
}

async fn whole_network(context: &Context) -> Result<Report, Failure> {
    let network = context.network()?;
    let mut report = Report::default();
    let asked = network
        .running(context.log())?
        .into_iter()
        .map(|place| async move { (place, ask(context, place).await) });
    for (place, answer) in futures_util::future::join_all(asked).await {
        match answer {
            Ok(status) => report.locations.push(status),
            Err(failure) => report.unanswered.push(Unanswered {
                log: place.log.clone(),
                location: place.location.to_string(),
                error: failure.message,
            }),
        }
    }
    Ok(report)
}

/// Every location that the chosen clusters realise. A cluster that is cut off is told of beside what the others say.
async fn all_clusters(context: &Context) -> Result<Report, Failure> {
    let (found, unreached) = context.reached_in_clusters(context.log()).await?;
    let asked = found.into_iter().map(|found| async move {
        let answer = ask_in_cluster(context, &found).await;
        let written = match &answer {
            Ok(_) => Vec::new(),
            Err(_) => written(&found).await,
        };
        (found, answer, written)
    });
    let mut report = Report::default();
    let mut told = Vec::new();
    for (found, answer, written) in futures_util::future::join_all(asked).await {
        told.extend(written);
        match answer {
            Ok(status) => report.locations.push(status),
            Err(failure) => report.unanswered.push(Unanswered {
                log: found.target().log,
                location: found.location,
                error: failure.message,
            }),
        }
    }
    report.unreached = unreached;
    report.lag = lags(&report.locations, &report.silent(), &told);
    Ok(report)
}

/// What the operator has written about the edges that end at a location; nothing where that cannot be read either.
async fn written(found: &Found) -> Vec<Written> {
    let links = found.cluster.links(&found.log).await.unwrap_or_default();
    let edges = links
        .into_iter()
        .flat_map(|link| link.status.unwrap_or_default().edges);
    let here = edges.filter(|edge| edge.target == found.location);
    here.map(|edge| Written {
        log: found.target().log,
        edge,
    })
    .collect()
}

async fn ask_in_cluster(context: &Context, found: &Found) -> Result<LocationStatus, Failure> {
    let channel = found.channel(Port::Admin, context.unary_timeout()).await?;
    let request = context.unary(GetStatusRequest {
        log: found.target().log,
    });
    let mut client = client::admin_over(channel);
    let status = client.get_status(request).await?.into_inner().status;
    status.ok_or_else(|| Failure::failed("the answer has no status"))
}

/// The status of one location.
pub async fn ask(context: &Context, place: &Place) -> Result<LocationStatus, Failure> {
    let mut client = context.admin_client_at(place).await?;
    let request = context.unary(GetStatusRequest {
        log: place.log.clone(),
    });
    let status = client.get_status(request).await?.into_inner().status;
    status.ok_or_else(|| Failure::failed("the answer has no status"))
}

fn locations_table(locations: &[LocationStatus]) -> Table {
    let mut table = table(&[
        "LOG",
        "LOCATION",
        "STATE",
        "HEAD",
        "INCARNATION",
        "VERSION VECTOR",
        "PID",
    ]);
    for status in locations {
        let (state, ink) = location_state(status.state());
        table.add_row([
            Cell::new(&status.log),
            Cell::new(&status.location),
            Cell::new(state).fg(ink),
            Cell::new(status.head),
            Cell::new(status.incarnation),
            Cell::new(vector(status.version_vector.clone())),
            Cell::new(status.pid),
        ]);
    }
    table
}

/// What a location is doing, as people read it.
pub fn location_state(state: LocationState) -> (&'static str, Ink) {
    match state {
        LocationState::Unspecified => ("?", Ink::Reset),
        LocationState::Starting => ("Starting", Ink::Yellow),
        LocationState::AwaitingIncarnation => ("AwaitingIncarnation", Ink::Yellow),
        LocationState::Recovering => ("Recovering", Ink::Yellow),
        LocationState::Serving => ("Serving", Ink::Green),
        LocationState::Standby => ("Standby", Ink::Yellow),
        LocationState::StorageUnavailable => ("StorageUnavailable", Ink::Red),
        LocationState::Stopping => ("Stopping", Ink::Yellow),
    }
}

/// A vector as text; `-` when empty.
pub fn vector(wire: Option<tidelog_proto::v1::VectorTime>) -> String {
    match wire.map(VectorTime::try_from) {
        Some(Ok(vector)) if !vector.is_empty() => vector.to_string(),
        Some(Err(_)) => "?".to_owned(),
        _ => "-".to_owned(),
    }
}

/// An edge and the log it belongs to.
pub type LogEdge<'a> = (&'a str, &'a EdgeStatus);

/// Every edge once: as its target sees it, and as its source sees it where the target was not asked.
pub fn edges(locations: &[LocationStatus]) -> Vec<LogEdge<'_>> {
    let mut edges: BTreeMap<(&str, &str, &str), &EdgeStatus> = BTreeMap::new();
    for status in locations {
        for edge in &status.edges {
            let key = (
                status.log.as_str(),
                edge.source.as_str(),
                edge.target.as_str(),
            );
            if edge.direction() == EdgeDirection::Incoming {
                edges.insert(key, edge);
            } else {
                edges.entry(key).or_insert(edge);
            }
        }
    }
    edges
        .into_iter()
        .map(|((log, _, _), edge)| (log, edge))
        .collect()
}

/// The titles of [`edge_cells`].
pub const EDGE_TITLES: [&str; 9] = [
    "LOG",
    "SOURCE",
    "TARGET",
    "STATE",
    "PROGRESS",
    "SOURCE HEAD",
    "LAG",
    "FILTERED",
    "LAST ERROR",
];

/// Edges as a table.
pub fn edges_table(edges: &[LogEdge<'_>]) -> Table {
    let mut table = table(&EDGE_TITLES);
    for edge in edges {
        table.add_row(edge_cells(edge));
    }
    table
}

fn edge_cells((log, edge): &LogEdge<'_>) -> [Cell; 9] {
    let unknown = || "?".to_owned();
    let (state, ink) = edge_state(edge);
    [
        Cell::new(log),
        Cell::new(&edge.source),
        Cell::new(&edge.target),
        Cell::new(state).fg(ink),
        Cell::new(edge.progress),
        Cell::new(
            edge.source_head
                .map_or_else(unknown, |head| head.to_string()),
        ),
        Cell::new(lag(edge)),
        Cell::new(edge.filtered_total),
        Cell::new(trouble(edge)),
    ]
}

/// What an edge is doing, as people read it.
pub fn edge_state(edge: &EdgeStatus) -> (String, Ink) {
    let (state, ink) = match edge.state() {
        EdgeState::Unspecified => ("?", Ink::Reset),
        EdgeState::Pending => ("Pending", Ink::Reset),
        EdgeState::Connecting => ("Connecting", Ink::Yellow),
        EdgeState::CatchingUp => ("CatchingUp", Ink::Yellow),
        EdgeState::Streaming => ("Streaming", Ink::Green),
        EdgeState::Paused => ("Paused", Ink::Blue),
        EdgeState::Stalled => ("Stalled", Ink::Red),
        EdgeState::Unreachable => ("Unreachable", Ink::Red),
        EdgeState::Incompatible => ("Incompatible", Ink::Red),
        EdgeState::Rejected => ("Rejected", Ink::Red),
        EdgeState::SourceReset => ("SourceReset", Ink::Yellow),
    };
    if edge.cut {
        (format!("{state} (cut)"), Ink::Red)
    } else {
        (state.to_owned(), ink)
    }
}

/// The lag in events and seconds; what nobody can know is `?`.
pub fn lag(edge: &EdgeStatus) -> String {
    match (edge.lag_events, edge.lag_seconds) {
        (Some(0), _) => "0".to_owned(),
        (Some(events), Some(seconds)) => format!("{events} ev / {seconds} s"),
        (Some(events), None) => format!("{events} ev"),
        (None, _) => "?".to_owned(),
    }
}

/// What keeps an edge from streaming; the last error of one that streams again is over and only in JSON.
fn trouble(edge: &EdgeStatus) -> String {
    if matches!(edge.state(), EdgeState::Streaming | EdgeState::CatchingUp) {
        return String::new();
    }
    let text = if edge.message.is_empty() {
        &edge.last_error
    } else {
        &edge.message
    };
    match (edge.reason.as_str(), text.as_str()) {
        ("", text) => text.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, text) => format!("{reason}: {text}"),
    }
}

#[cfg(test)]
#[expect(
    clippy::needless_raw_string_hashes,
    reason = "expectations are written by UPDATE_EXPECT=1, always in this form"
)]
mod tests;
