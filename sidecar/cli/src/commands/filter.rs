//! `tidelog filter`.

use std::path::Path;

use clap::{Args, Subcommand};
use comfy_table::Cell;
use serde::Serialize;
use serde_json::Value;
use tidelog_filter::{Explanation, Filter, FilterSet, Verdict};
use tidelog_model::{Event, LocationName};
use tidelog_proto::v1::{DescribeRequest, HybridTime, Position, ReadRequest, VectorTime};
use tidelog_proto::{json, v1};
use tidelog_topology::{Edge, ExportFilter, Plan, Planner};

use crate::commands::append::JSON;
use crate::commands::plan::ManifestArgs;
use crate::context::Context;
use crate::events;
use crate::failure::Failure;
use crate::output::{Ink, table};
use crate::place::PlaceName;

/// Try filters on events.
#[derive(Debug, Subcommand)]
pub enum FilterCommand {
    /// Show which events each edge of a link would let through, and why.
    ///
    /// The filters are those of the manifests, also when another version of them runs. Export filters count as well: they apply to events
    /// that were appended at the source. Without events the filters are checked and shown.
    #[command(after_long_help = "\
Examples:
  tidelog filter test -f examples/shop --link orders-stores                      filters of each edge
  tidelog filter test -f examples/shop --link orders-stores --event @event.json  on events of a file
  tidelog filter test -f examples/shop --link orders-stores --location eu        on events of eu

An event of a file is JSON as `tidelog read -o json` prints it, one or more; fields that are left out have their defaults:
  {\"type\": \"OrderPlaced\", \"metadata\": {\"store\": \"store-17\"}}")]
    Test(TestArgs),
}

/// What to try on what.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Which manifests.
    #[command(flatten)]
    pub manifests: ManifestArgs,
    /// The link.
    #[arg(long, value_name = "N")]
    pub link: String,
    /// Events of a file, or of the standard input with `@-`.
    #[arg(long, value_name = "@FILE", conflicts_with = "location", value_parser = event_file)]
    pub event: Option<std::path::PathBuf>,
    /// Events that this running location holds, on the edges that leave it.
    #[arg(long, value_name = "L")]
    pub location: Option<PlaceName>,
    /// How many events of the location, the newest.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub limit: u64,
}

fn event_file(text: &str) -> Result<std::path::PathBuf, String> {
    text.strip_prefix('@')
        .filter(|file| !file.is_empty())
        .map(Into::into)
        .ok_or_else(|| "expected @FILE, or @- for the standard input".to_owned())
}

/// An edge with everything that stands between its source and its target.
struct Gate {
    source: LocationName,
    target: LocationName,
    link: FilterSet,
    export: Option<Filter>,
}

/// What is printed as JSON.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Report {
    edges: Vec<EdgeReport>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct EdgeReport {
    source: String,
    target: String,
    filters: Vec<FilterReport>,
    events: Vec<EventReport>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FilterReport {
    name: String,
    cel: String,
    on_error: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct EventReport {
    id: String,
    r#type: String,
    verdict: VerdictName,
    why: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum VerdictName {
    Pass,
    Drop,
    Stall,
}

/// Tries them.
pub async fn run(context: &Context, command: FilterCommand) -> Result<(), Failure> {
    let FilterCommand::Test(args) = command;
    let manifests = args.manifests.read()?;
    let log = context.log().or_else(|| {
        args.location
            .as_ref()
            .and_then(|location| location.log.as_deref())
    });
    let plans: Vec<Plan> = manifests
        .logs
        .iter()
        .filter(|manifest| log.is_none_or(|log| manifest.log.name == log))
        .filter(|manifest| manifest.links.iter().any(|link| link.name == args.link))
        .map(|manifest| manifest.plan(Planner::new()))
        .collect();
    let plan = match plans.as_slice() {
        [plan] => plan,
        [] => {
            let mut names = manifests
                .logs
                .iter()
                .flat_map(|log| &log.links)
                .map(|link| link.name.as_str())
                .collect::<Vec<_>>();
            names.sort_unstable();
            return Err(Failure::usage(format!(
                "there is no link {} in these manifests",
                args.link
            ))
            .hint(format!("there are {}", names.join(", "))));
        }
        _ => {
            return Err(
                Failure::usage(format!("several logs have a link {}", args.link))
                    .hint("choose one with --log NAME"),
            );
        }
    };
    let at = args.location.as_ref().map(|place| place.location.as_str());
    let mut gates = Vec::new();
    for edge in plan
        .edges
        .values()
        .filter(|edge| edge.link == args.link && at.is_none_or(|at| edge.source == at))
    {
        let export = plan
            .locations
            .get(&edge.source)
            .and_then(|location| location.export_filter.as_ref());
        gates.push(gate(edge, export)?);
    }
    if let (Some(at), []) = (at, gates.as_slice()) {
        return Err(Failure::usage(format!(
            "no edge of {} leaves {at}",
            args.link
        )));
    }
    let wire = match (&args.event, &args.location) {
        (Some(file), _) => Some(of_file(file)?),
        (None, Some(place)) => Some(of_location(context, &plan.log, place, args.limit).await?),
        (None, None) => None,
    };
    let has_events = wire.is_some();
    let report = judge(&gates, &wire.unwrap_or_default())?;
    let output = context.output;
    if output.is_json() {
        return output.json(&report);
    }
    if has_events {
        print_verdicts(context, &report)
    } else {
        print_filters(context, &report)
    }
}

fn gate(edge: &Edge, export: Option<&ExportFilter>) -> Result<Gate, Failure> {
    let compile = |name: &str, cel: &str, on_error| {
        Filter::compile(name, cel, on_error).map_err(|error| {
            Failure::refused(format!("{}->{}: {error}", edge.source, edge.target))
                .hint("`tidelog plan` shows all findings")
        })
    };
    let name =
        |text: &str| LocationName::new(text).map_err(|error| Failure::failed(error.to_string()));
    let filters = edge
        .filters
        .iter()
        .map(|filter| {
            compile(
                &filter.name,
                &filter.predicate.cel,
                filter.predicate.on_error,
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Gate {
        source: name(&edge.source)?,
        target: name(&edge.target)?,
        link: FilterSet::new(filters),
        export: export
            .map(|filter| compile("exportFilter", &filter.cel, filter.on_error))
            .transpose()?,
    })
}

/// The events of a file: JSON documents, one after the other.
fn of_file(file: &Path) -> Result<Vec<v1::Event>, Failure> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut crate::commands::append::open(file)?, &mut text)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", file.display())))?;
    let wrong = |at: usize, error: serde_json::Error| {
        Failure::usage(format!("{}, event {at}: {error}", file.display()))
            .hint("an event is a JSON object as `tidelog read -o json` prints it")
    };
    let mut found = Vec::new();
    for (at, value) in serde_json::Deserializer::from_str(&text)
        .into_iter::<Value>()
        .enumerate()
    {
        let mut value = value.map_err(|error| wrong(at + 1, error))?;
        // A payload that is visibly JSON needs no content type to be believed.
        if let Some(fields) = value.as_object_mut()
            && fields
                .get("payload")
                .is_some_and(|payload| !payload.is_string())
        {
            fields.entry("contentType").or_insert_with(|| JSON.into());
        }
        let event =
            json::event_from_json(&value.to_string()).map_err(|error| wrong(at + 1, error))?;
        found.push(event);
    }
    if found.is_empty() {
        return Err(Failure::usage(format!("{} has no event", file.display())));
    }
    Ok(found)
}

/// The newest events of a running location.
async fn of_location(
    context: &Context,
    log: &str,
    place: &PlaceName,
    limit: u64,
) -> Result<Vec<v1::Event>, Failure> {
    let place = PlaceName {
        log: Some(log.to_owned()),
        location: place.location.clone(),
    };
    let (mut client, target) = context.log_client(Some(&place)).await?;
    let describe = context.unary(DescribeRequest {
        log: target.log.clone(),
    });
    let head = client.describe(describe).await?.into_inner().head;
    let request = ReadRequest {
        log: target.log,
        after: Some(Position {
            incarnation: 0,
            sequence: head.saturating_sub(limit),
        }),
        to: head,
        ..ReadRequest::default()
    };
    let mut answers = client.read(request).await?.into_inner();
    let mut found = Vec::new();
    while let Some(answer) = answers.message().await? {
        found.extend(answer.events);
    }
    Ok(found)
}

fn judge(gates: &[Gate], wire: &[v1::Event]) -> Result<Report, Failure> {
    let mut report = Report::default();
    for gate in gates {
        let mut edge = EdgeReport {
            source: gate.source.to_string(),
            target: gate.target.to_string(),
            filters: gate
                .link
                .filters()
                .iter()
                .chain(&gate.export)
                .map(|filter| FilterReport {
                    name: filter.name().to_owned(),
                    cel: filter.cel().to_owned(),
                    on_error: filter.on_error().to_string(),
                })
                .collect(),
            events: Vec::new(),
        };
        for (at, event) in wire.iter().enumerate() {
            let completed = completed(event.clone(), &gate.source, at);
            let id = events::id(&completed);
            let event = Event::try_from(completed).map_err(|error| {
                Failure::usage(format!("event {} is not complete: {error}", at + 1))
            })?;
            edge.events.push(verdict(gate, &event, id));
        }
        report.edges.push(edge);
    }
    Ok(report)
}

/// An event with what a location would have added.
fn completed(mut event: v1::Event, source: &LocationName, at: usize) -> v1::Event {
    event.id.get_or_insert_with(|| v1::EventId {
        location: source.to_string(),
        incarnation: 1,
        sequence: at as u64 + 1,
    });
    event.context.get_or_insert_with(VectorTime::default);
    let time = event.time.get_or_insert_with(HybridTime::default);
    time.physical.get_or_insert_with(Default::default);
    if event.application_version.is_empty() {
        "0".clone_into(&mut event.application_version);
    }
    event
}

fn verdict(gate: &Gate, event: &Event, id: String) -> EventReport {
    let own = event.id.origin.location == gate.source;
    let mut explanations = gate.link.explain(event, &gate.source, &gate.target);
    if own && let Some(export) = &gate.export {
        explanations.push(export.explain(event, &gate.source, &gate.target));
    }
    // As on the edge: what one filter drops is not stalled by another.
    let name = explanations
        .iter()
        .fold(VerdictName::Pass, |name, explanation| {
            match (&explanation.verdict, name) {
                (Verdict::Drop, _) | (_, VerdictName::Drop) => VerdictName::Drop,
                (Verdict::Stall(_), _) | (_, VerdictName::Stall) => VerdictName::Stall,
                _ => VerdictName::Pass,
            }
        });
    let why = if explanations.is_empty() {
        vec!["no filter".to_owned()]
    } else {
        explanations.iter().map(reason).collect()
    };
    EventReport {
        id,
        r#type: event.event_type.clone(),
        verdict: name,
        why,
    }
}

fn reason(explanation: &Explanation) -> String {
    match (&explanation.result, &explanation.verdict) {
        (Ok(result), _) => format!("{} is {result}", explanation.filter),
        (Err(error), Verdict::Stall(_)) => format!("{} has no result: {error}", explanation.filter),
        (Err(error), Verdict::Pass) => format!(
            "{} has no result and onError is Pass: {error}",
            explanation.filter
        ),
        (Err(error), Verdict::Drop) => format!(
            "{} has no result and onError is Drop: {error}",
            explanation.filter
        ),
    }
}

fn print_filters(context: &Context, report: &Report) -> Result<(), Failure> {
    let mut table = table(&["SOURCE", "TARGET", "FILTER", "ON ERROR", "EXPRESSION"]);
    for edge in &report.edges {
        if edge.filters.is_empty() {
            table.add_row([
                edge.source.as_str(),
                &edge.target,
                "-",
                "",
                "everything passes",
            ]);
        }
        for filter in &edge.filters {
            table.add_row([
                &edge.source,
                &edge.target,
                &filter.name,
                &filter.on_error,
                &filter.cel,
            ]);
        }
    }
    context.output.table(&table)?;
    context
        .output
        .note("try them on events with --event @FILE or --location L");
    Ok(())
}

fn print_verdicts(context: &Context, report: &Report) -> Result<(), Failure> {
    let mut table = table(&["SOURCE", "TARGET", "EVENT", "TYPE", "VERDICT", "WHY"]);
    for edge in &report.edges {
        for event in &edge.events {
            let (verdict, ink) = match event.verdict {
                VerdictName::Pass => ("passes", Ink::Green),
                VerdictName::Drop => ("is kept back", Ink::Yellow),
                VerdictName::Stall => ("stalls the edge", Ink::Red),
            };
            table.add_row([
                Cell::new(&edge.source),
                Cell::new(&edge.target),
                Cell::new(&event.id),
                Cell::new(&event.r#type),
                Cell::new(verdict).fg(ink),
                Cell::new(event.why.join("; ")),
            ]);
        }
    }
    context.output.table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_filter::OnError;

    fn gate(filters: &[(&str, &str, OnError)], export: Option<&str>) -> Gate {
        Gate {
            source: LocationName::new("eu").unwrap(),
            target: LocationName::new("store-17").unwrap(),
            link: filters
                .iter()
                .map(|(name, cel, on_error)| Filter::compile(name, cel, *on_error).unwrap())
                .collect(),
            export: export.map(|cel| Filter::compile("exportFilter", cel, OnError::Stall).unwrap()),
        }
    }

    fn verdict_of(gate: &Gate, event: &str) -> (VerdictName, String) {
        let event = json::event_from_json(event).unwrap();
        let report = judge(std::slice::from_ref(gate), &[event]).unwrap();
        let event = &report.edges[0].events[0];
        (event.verdict, event.why.join("; "))
    }

    #[test]
    fn an_event_needs_no_more_than_a_type() {
        let own = gate(
            &[(
                "own",
                "has(event.metadata.store) && event.metadata.store == target",
                OnError::Stall,
            )],
            None,
        );
        assert_eq!(
            verdict_of(&own, r#"{"type": "T", "metadata": {"store": "store-17"}}"#),
            (VerdictName::Pass, "own is true".to_owned())
        );
        assert_eq!(
            verdict_of(&own, r#"{"type": "T"}"#),
            (VerdictName::Drop, "own is false".to_owned())
        );
        assert_eq!(
            verdict_of(&gate(&[], None), r#"{"type": "T"}"#),
            (VerdictName::Pass, "no filter".to_owned())
        );
    }

    #[test]
    fn an_error_stalls_unless_another_filter_drops() {
        let unguarded = (
            "unguarded",
            "event.metadata.store == target",
            OnError::Stall,
        );
        let (verdict, why) = verdict_of(&gate(&[unguarded], None), r#"{"type": "T"}"#);
        assert_eq!(verdict, VerdictName::Stall);
        assert!(why.starts_with("unguarded has no result: "), "{why}");
        let never = ("never", "event.type == 'U'", OnError::Stall);
        assert_eq!(
            verdict_of(&gate(&[unguarded, never], None), r#"{"type": "T"}"#).0,
            VerdictName::Drop
        );
        let passing = ("unguarded", "event.metadata.store == target", OnError::Pass);
        assert_eq!(
            verdict_of(&gate(&[passing], None), r#"{"type": "T"}"#).0,
            VerdictName::Pass
        );
    }

    #[test]
    fn an_export_filter_judges_own_events_only() {
        let gate = gate(&[], Some("event.type != 'Secret'"));
        let own =
            r#"{"type": "Secret", "id": {"location": "eu", "incarnation": 1, "sequence": "4"}}"#;
        assert_eq!(verdict_of(&gate, own).0, VerdictName::Drop);
        let forwarded =
            r#"{"type": "Secret", "id": {"location": "us", "incarnation": 1, "sequence": "4"}}"#;
        assert_eq!(verdict_of(&gate, forwarded).0, VerdictName::Pass);
    }
}
