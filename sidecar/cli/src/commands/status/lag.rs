//! The lag matrix of a log: who is how far behind whom. Pure.
//!
//! The target of an edge knows its lag. Where it does not answer, what its operator has written about the link is next best; what the source says tells
//! the state only. A cell that nobody can fill is a word and never 0.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Cell, Table};
use serde::Serialize;
use tidelog_api::EdgeState as Told;
use tidelog_proto::v1::{EdgeDirection, EdgeState, EdgeStatus, LocationStatus};

use crate::output::{Ink, table};

/// What is known of an edge, from whoever spoke of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lag {
    /// The log.
    pub log: String,
    /// Where events come from.
    pub source: String,
    /// Who is behind.
    pub target: String,
    /// As the table shows it: numbers, or a word such as `unknown`, `paused`, `unreachable`.
    pub lag: String,
    /// Events not yet copied; absent when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
    /// Age of the oldest of them; absent when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<String>,
}

/// What an operator has written about an edge that ends at a location which did not answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The log.
    pub log: String,
    /// The edge.
    pub edge: tidelog_api::EdgeStatus,
}

/// A location that was asked and did not answer.
pub type Silent<'a> = (&'a str, &'a str);

/// The edges that end at locations that were asked.
pub fn lags(answered: &[LocationStatus], silent: &[Silent<'_>], written: &[Written]) -> Vec<Lag> {
    let mut known: BTreeMap<(String, String, String), Lag> = BTreeMap::new();
    let mut add = |lag: Lag| {
        let key = (lag.log.clone(), lag.source.clone(), lag.target.clone());
        known.entry(key).or_insert(lag);
    };
    // Whoever knows best speaks first.
    let all = || {
        answered
            .iter()
            .flat_map(|s| s.edges.iter().map(move |e| (s, e)))
    };
    for (status, edge) in all().filter(|(_, e)| e.direction() == EdgeDirection::Incoming) {
        add(of_target(&status.log, edge));
    }
    for Written { log, edge } in written {
        add(of_operator(log, edge));
    }
    let is_silent = |log: &str, name: &str| silent.contains(&(log, name));
    for (status, edge) in all().filter(|(_, e)| e.direction() != EdgeDirection::Incoming) {
        if is_silent(&status.log, &edge.target) {
            let word = word(edge.state(), edge.cut);
            add(lag(
                (&status.log, &edge.source, &edge.target),
                word,
                None,
                None,
            ));
        }
    }
    known.into_values().collect()
}

fn lag(
    (log, source, target): (&str, &str, &str),
    word: Option<&str>,
    events: Option<u64>,
    seconds: Option<u64>,
) -> Lag {
    let shown = match (word, events, seconds) {
        (Some(word), _, _) => word.to_owned(),
        (None, Some(0), _) => "0".to_owned(),
        (None, Some(events), Some(seconds)) => format!("{events} ev / {seconds} s"),
        (None, Some(events), None) => format!("{events} ev"),
        (None, None, _) => "unknown".to_owned(),
    };
    // Numbers of an edge that does not run are those of the last time that it did.
    let is_known = word.is_none();
    Lag {
        log: log.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        lag: shown,
        events: events.filter(|_| is_known).map(|n| n.to_string()),
        seconds: seconds
            .filter(|_| is_known && events.is_some())
            .map(|n| n.to_string()),
    }
}

fn of_target(log: &str, edge: &EdgeStatus) -> Lag {
    lag(
        (log, &edge.source, &edge.target),
        word(edge.state(), edge.cut),
        edge.lag_events,
        edge.lag_seconds,
    )
}

fn of_operator(log: &str, edge: &tidelog_api::EdgeStatus) -> Lag {
    let state = match edge.state {
        Told::Pending => EdgeState::Pending,
        Told::Connecting => EdgeState::Connecting,
        Told::CatchingUp => EdgeState::CatchingUp,
        Told::Streaming => EdgeState::Streaming,
        Told::Paused => EdgeState::Paused,
        Told::Stalled => EdgeState::Stalled,
        Told::Unreachable => EdgeState::Unreachable,
        Told::Incompatible => EdgeState::Incompatible,
        Told::Rejected => EdgeState::Rejected,
        Told::SourceReset => EdgeState::SourceReset,
    };
    let number = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
    lag(
        (log, &edge.source, &edge.target),
        word(state, false),
        number(edge.lag_events),
        number(edge.lag_seconds),
    )
}

/// What stands in the cell of an edge that does not run.
fn word(state: EdgeState, cut: bool) -> Option<&'static str> {
    if cut {
        return Some("cut");
    }
    match state {
        EdgeState::CatchingUp | EdgeState::Streaming => None,
        EdgeState::Unspecified | EdgeState::Pending | EdgeState::Connecting => Some("unknown"),
        EdgeState::Paused => Some("paused"),
        EdgeState::Stalled => Some("stalled"),
        EdgeState::Unreachable => Some("unreachable"),
        EdgeState::Incompatible => Some("incompatible"),
        EdgeState::Rejected => Some("rejected"),
        EdgeState::SourceReset => Some("reset"),
    }
}

/// One matrix for each log: rows are sources, columns the targets that were asked.
pub fn matrices(
    answered: &[LocationStatus],
    silent: &[Silent<'_>],
    lags: &[Lag],
) -> Vec<(String, Table)> {
    let mut targets: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for status in answered {
        let of_log = targets.entry(&status.log).or_default();
        of_log.insert(&status.location, true);
    }
    for (log, location) in silent {
        let of_log = targets.entry(log).or_default();
        of_log.entry(location).or_insert(false);
    }
    let draw = |(log, targets): (&str, BTreeMap<&str, bool>)| {
        let mine = || lags.iter().filter(|lag| lag.log == log);
        let mut sources: BTreeSet<&str> = mine().map(|lag| lag.source.as_str()).collect();
        sources.extend(targets.keys());
        let header: Vec<String> = targets.keys().map(|target| (*target).to_owned()).collect();
        let mut titles = vec!["FROM \\ TO"];
        titles.extend(header.iter().map(String::as_str));
        let mut table = table(&titles);
        for source in sources {
            let cell = |(target, has_answered): (&&str, &bool)| {
                let found = mine().find(|lag| lag.source == source && lag.target == **target);
                match found {
                    Some(lag) => Cell::new(&lag.lag).fg(ink(lag)),
                    // Whoever has not answered may have an edge that nobody has spoken of.
                    None if !has_answered && *source != **target => {
                        Cell::new("unknown").fg(Ink::Yellow)
                    }
                    None => Cell::new("-"),
                }
            };
            let mut row = vec![Cell::new(source)];
            row.extend(targets.iter().map(cell));
            table.add_row(row);
        }
        (log.to_owned(), table)
    };
    targets.into_iter().map(draw).collect()
}

fn ink(lag: &Lag) -> Ink {
    match lag.lag.as_str() {
        "0" => Ink::Green,
        "paused" => Ink::Blue,
        "unknown" | "reset" => Ink::Yellow,
        _ if lag.events.is_some() => Ink::Reset,
        _ => Ink::Red,
    }
}
