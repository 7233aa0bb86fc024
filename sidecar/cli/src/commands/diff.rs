//! `tidelog diff`.

use std::collections::BTreeMap;

use clap::Args;
use comfy_table::Cell;
use serde::Serialize;
use tidelog_model::{EventId, Incarnation, LocationName, Origin, VectorTime};
use tidelog_proto::v1::{GetStatusRequest, ListEventIdsRequest, LocationStatus};

use crate::commands::status::edge_state;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{Ink, table};
use crate::place::PlaceName;

/// Compare two locations: which events one holds and the other lacks, and why.
///
/// An event that is missing was either excluded by a filter on the way, for good and on purpose, or it has not been copied yet. Nothing is
/// printed but a word when both hold the same. The exit code is 1 when one id stands for two different events, which must never happen.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tidelog diff us eu
  tidelog diff eu store-17 -o json")]
pub struct DiffArgs {
    /// A location, as L or LOG/L.
    #[arg(value_name = "L1")]
    pub first: PlaceName,
    /// Another location of the same log.
    #[arg(value_name = "L2")]
    pub second: PlaceName,
}

/// The events of one origin: sequence and digest.
type Events = BTreeMap<u64, Vec<u8>>;

/// What one location holds, and what it has seen or knows to be excluded.
#[derive(Debug, Default)]
struct Side {
    name: String,
    log: String,
    /// Taken before the ids: what it covers and the ids lack will never be there.
    covered: VectorTime,
    events: BTreeMap<Origin, Events>,
    /// Incoming edges that do not stream.
    troubled: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Why {
    Filtered,
    Lag,
}

/// Consecutive ids of one origin that one side holds and the other lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Missing {
    origin: String,
    from: u64,
    to: u64,
    events: u64,
    at: String,
    missing_at: String,
    why: Why,
}

/// What is printed as JSON.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    missing: Vec<Missing>,
    /// Ids that stand for different events.
    different: Vec<String>,
}

/// Compares.
pub async fn run(context: &Context, args: DiffArgs) -> Result<(), Failure> {
    let output = context.output;
    if context.global.address.is_some() {
        return Err(Failure::usage(
            "diff compares two locations by their names; leave out --address",
        ));
    }
    let bar = output.progress(None, "ids read");
    let first = side(context, &args.first, &bar).await?;
    let in_same_log = PlaceName {
        log: args.second.log.or_else(|| Some(first.log.clone())),
        ..args.second
    };
    let second = side(context, &in_same_log, &bar).await?;
    bar.finish_and_clear();
    let report = compare(&first, &second);
    if output.is_json() {
        output.json(&report)?;
    } else {
        print(context, &report, [&first, &second])?;
    }
    if report.different.is_empty() {
        return Ok(());
    }
    let failure = Failure::failed(format!(
        "{} and {} hold different events under one id: {}",
        first.name,
        second.name,
        report.different.join(", ")
    ));
    Err(if output.is_json() {
        Failure::silent(Exit::Failed)
    } else {
        failure.hint("`tidelog verify` tells which one was altered")
    })
}

fn print(context: &Context, report: &Report, sides: [&Side; 2]) -> Result<(), Failure> {
    let output = context.output;
    if report.missing.is_empty() {
        return match report.different.as_slice() {
            [] => output.line(&format!(
                "{} and {} hold the same events",
                sides[0].name, sides[1].name
            )),
            _ => Ok(()),
        };
    }
    let mut table = table(&["EVENTS", "COUNT", "HELD AT", "MISSING AT", "WHY"]);
    for missing in &report.missing {
        let ids = if missing.from == missing.to {
            format!("{}/{}", missing.origin, missing.from)
        } else {
            format!("{}/{}..{}", missing.origin, missing.from, missing.to)
        };
        let (why, ink) = match missing.why {
            Why::Filtered => ("a filter keeps it out".to_owned(), Ink::Reset),
            Why::Lag => {
                let troubled = sides
                    .iter()
                    .find(|side| side.name == missing.missing_at)
                    .map(|side| side.troubled.join(", "));
                let troubled = troubled
                    .filter(|edges| !edges.is_empty())
                    .map(|edges| format!(": {edges}"));
                (
                    format!("not copied yet{}", troubled.unwrap_or_default()),
                    Ink::Yellow,
                )
            }
        };
        table.add_row([
            Cell::new(ids),
            Cell::new(missing.events),
            Cell::new(&missing.at),
            Cell::new(&missing.missing_at),
            Cell::new(why).fg(ink),
        ]);
    }
    output.table(&table)
}

async fn side(
    context: &Context,
    name: &PlaceName,
    bar: &indicatif::ProgressBar,
) -> Result<Side, Failure> {
    let (mut client, target) = context.admin_client(Some(name)).await?;
    let request = context.unary(GetStatusRequest {
        log: target.log.clone(),
    });
    let status = client
        .get_status(request)
        .await?
        .into_inner()
        .status
        .unwrap_or_default();
    let mut side = Side {
        name: name.location.to_string(),
        log: target.log.clone(),
        covered: covered(&status)?,
        troubled: troubled(&status),
        ..Side::default()
    };
    let request = ListEventIdsRequest {
        log: target.log,
        after: None,
    };
    let mut answers = client.list_event_ids(request).await?.into_inner();
    // A location is named once per origin, not once per event.
    let mut origins: BTreeMap<(String, u32), Origin> = BTreeMap::new();
    while let Some(answer) = answers.message().await? {
        bar.inc(answer.events.len() as u64);
        for event in answer.events {
            let Some(id) = event.id else { continue };
            let key = (id.location, id.incarnation);
            let origin = match origins.get(&key) {
                Some(origin) => origin.clone(),
                None => {
                    let location = LocationName::new(&key.0)
                        .map_err(|error| Failure::failed(error.to_string()))?;
                    let origin = Origin::new(location, Incarnation(key.1));
                    origins.insert(key, origin.clone());
                    origin
                }
            };
            side.events
                .entry(origin)
                .or_default()
                .insert(id.sequence, event.digest.to_vec());
        }
    }
    Ok(side)
}

fn covered(status: &LocationStatus) -> Result<VectorTime, Failure> {
    VectorTime::try_from(status.covered_vector.clone().unwrap_or_default()).map_err(|error| {
        Failure::failed(format!(
            "the covered vector of {} is not readable: {error}",
            status.location
        ))
    })
}

fn troubled(status: &LocationStatus) -> Vec<String> {
    use tidelog_proto::v1::{EdgeDirection, EdgeState};
    status
        .edges
        .iter()
        .filter(|edge| edge.direction() == EdgeDirection::Incoming)
        .filter(|edge| !matches!(edge.state(), EdgeState::Streaming | EdgeState::CatchingUp))
        .map(|edge| format!("{}->{} is {}", edge.source, edge.target, edge_state(edge).0))
        .collect()
}

fn compare(first: &Side, second: &Side) -> Report {
    let mut missing = lacks(first, second);
    missing.extend(lacks(second, first));
    let mut different = Vec::new();
    for (origin, events) in &first.events {
        let Some(others) = second.events.get(origin) else {
            continue;
        };
        for (sequence, digest) in events {
            if others.get(sequence).is_some_and(|other| other != digest) {
                different.push(EventId::new(origin.clone(), *sequence).to_string());
            }
        }
    }
    Report { missing, different }
}

/// What `holder` holds and `other` lacks, consecutive ids of one reason together.
fn lacks(holder: &Side, other: &Side) -> Vec<Missing> {
    let none = Events::new();
    let mut found: Vec<Missing> = Vec::new();
    for (origin, events) in &holder.events {
        let held = other.events.get(origin).unwrap_or(&none);
        let covered = other.covered.get(origin);
        let mut run: Option<Missing> = None;
        for sequence in events
            .keys()
            .filter(|sequence| !held.contains_key(sequence))
        {
            let why = if *sequence <= covered {
                Why::Filtered
            } else {
                Why::Lag
            };
            match &mut run {
                Some(run) if run.to + 1 == *sequence && run.why == why => {
                    run.to = *sequence;
                    run.events += 1;
                }
                _ => {
                    found.extend(run.take());
                    run = Some(Missing {
                        origin: origin.to_string(),
                        from: *sequence,
                        to: *sequence,
                        events: 1,
                        at: holder.name.clone(),
                        missing_at: other.name.clone(),
                        why,
                    });
                }
            }
        }
        found.extend(run);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str, covered: &str, ids: &[&str]) -> Side {
        let mut side = Side {
            name: name.to_owned(),
            covered: covered.parse().unwrap(),
            ..Side::default()
        };
        for id in ids {
            let id: EventId = id.parse().unwrap();
            side.events
                .entry(id.origin)
                .or_default()
                .insert(id.sequence, vec![0; 32]);
        }
        side
    }

    #[test]
    fn equal_logs_differ_in_nothing_whatever_their_order() {
        let eu = side("eu", "eu#1:2,us#1:1", &["eu#1/1", "us#1/1", "eu#1/2"]);
        let us = side("us", "eu#1:2,us#1:1", &["us#1/1", "eu#1/1", "eu#1/2"]);
        assert_eq!(
            compare(&eu, &us),
            Report {
                missing: vec![],
                different: vec![]
            }
        );
    }

    #[test]
    fn what_is_covered_was_filtered_and_the_rest_lags() {
        let eu = side(
            "eu",
            "eu#1:6",
            &["eu#1/1", "eu#1/2", "eu#1/3", "eu#1/4", "eu#1/5", "eu#1/6"],
        );
        let store = side("store-17", "eu#1:4", &["eu#1/1"]);
        let report = compare(&eu, &store);
        let found: Vec<_> = report
            .missing
            .iter()
            .map(|m| (m.from, m.to, m.events, m.why))
            .collect();
        assert_eq!(found, [(2, 4, 3, Why::Filtered), (5, 6, 2, Why::Lag)]);
        assert_eq!(
            (
                report.missing[0].at.as_str(),
                report.missing[0].missing_at.as_str()
            ),
            ("eu", "store-17")
        );
        assert_eq!(
            compare(&store, &eu).missing.len(),
            2,
            "the direction of the question does not matter"
        );
    }

    #[test]
    fn one_id_with_two_contents_is_named() {
        let eu = side("eu", "eu#1:1", &["eu#1/1"]);
        let mut us = side("us", "eu#1:1", &["eu#1/1"]);
        for events in us.events.values_mut() {
            events.insert(1, vec![1; 32]);
        }
        assert_eq!(compare(&eu, &us).different, ["eu#1/1"]);
    }
}
