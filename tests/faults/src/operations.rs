//! The history as operations, in the form of Jepsen: each is invoked by a process, and is ok, failed, or nobody knows. A process of which an
//! operation ended unknown never speaks again; its writer goes on as another one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tidelog_harness::journal::Pages;
use tidelog_harness::record::{Answer, Seen};

use crate::tally::Fault;

/// One line of a history.
#[derive(Debug, Serialize)]
struct Operation {
    episode: u32,
    /// Nanoseconds of one clock.
    time: i64,
    /// A number, or `nemesis`.
    process: String,
    #[serde(rename = "type")]
    kind: &'static str,
    f: String,
    location: String,
    value: BTreeMap<&'static str, Vec<String>>,
}

/// Adds what happened in one network to a file: EDN when its name ends so, lines of JSON otherwise.
pub fn append(file: &Path, episode: u32, pages: &Pages, faults: &[Fault]) -> Result<()> {
    let as_edn = file.extension().is_some_and(|end| end == "edn");
    let options = std::fs::File::options()
        .create(true)
        .append(true)
        .open(file);
    let mut out =
        std::io::BufWriter::new(options.with_context(|| format!("open {}", file.display()))?);
    for operation in operations(episode, pages, faults) {
        let line = if as_edn {
            operation.edn()
        } else {
            serde_json::to_string(&operation)?
        };
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

fn operations(episode: u32, pages: &Pages, faults: &[Fault]) -> Vec<Operation> {
    let mut sessions: Vec<&str> = pages.attempts.iter().map(|a| a.session.as_str()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    let width = sessions.len();
    let mut processes: BTreeMap<&str, usize> = sessions.iter().copied().zip(0..).collect();
    let mut all = Vec::new();
    for attempt in &pages.attempts {
        let number = processes.entry(&attempt.session).or_default();
        let (kind, said) = match &attempt.answer {
            Answer::Ok { ids, .. } => {
                ("ok", ("ids", ids.iter().map(ToString::to_string).collect()))
            }
            Answer::Refused { reason, .. } => ("fail", ("error", vec![reason.clone()])),
            Answer::Unknown { message } => ("info", ("error", vec![message.clone()])),
        };
        let mut value = BTreeMap::from([
            ("request", vec![attempt.request_id.clone()]),
            ("events", attempt.tags.clone()),
        ]);
        if let Seen::Only(ids) = &attempt.seen {
            value.insert("seen", ids.iter().map(ToString::to_string).collect());
        }
        if let Some(condition) = &attempt.condition {
            value.insert("none-of", condition.keys.clone());
            value.insert("after", vec![condition.after.to_string()]);
        }
        let operation = |time: i64, kind, value| Operation {
            episode,
            time: time * 1_000,
            process: number.to_string(),
            kind,
            f: "append".to_owned(),
            location: attempt.location.clone(),
            value,
        };
        all.push(operation(attempt.started_at, "invoke", value.clone()));
        value.insert(said.0, said.1);
        all.push(operation(attempt.ended_at, kind, value));
        if kind == "info" {
            *number += width;
        }
    }
    let first = pages
        .attempts
        .iter()
        .map(|attempt| attempt.started_at)
        .min();
    let ours = faults.iter().filter(|fault| Some(fault.until) >= first);
    for fault in ours {
        for time in [fault.from, fault.until] {
            all.push(Operation {
                episode,
                time: time * 1_000,
                process: "nemesis".to_owned(),
                kind: "info",
                f: fault.kind.name(),
                location: fault.place.clone(),
                value: BTreeMap::from([("witness", fault.witness.iter().cloned().collect())]),
            });
        }
    }
    all.sort_by_key(|operation| operation.time);
    all
}

impl Operation {
    fn edn(&self) -> String {
        let process = match self.process.as_str() {
            "nemesis" => ":nemesis",
            number => number,
        };
        let mut out = format!(
            "{{:episode {}, :time {}, :process {process}, :type :{}, :f :{}, :location {}, :value {{",
            self.episode,
            self.time,
            self.kind,
            self.f,
            quoted(&self.location)
        );
        for (at, (key, list)) in self.value.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let list: Vec<String> = list.iter().map(|text| quoted(text)).collect();
            let _ = write!(out, "{comma}:{key} [{}]", list.join(" "));
        }
        out.push_str("}}");
        out
    }
}

/// A string as EDN writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use tidelog_harness::record::{Attempt, Id, Vector};

    use super::*;

    fn attempt(request: &str, started_at: i64, answer: Answer) -> Attempt {
        Attempt {
            session: "w".to_owned(),
            location: "eu".to_owned(),
            request_id: request.to_owned(),
            tags: vec![format!("{request}-0")],
            seen: Seen::Everything,
            condition: None,
            started_at,
            ended_at: started_at + 5,
            answer,
        }
    }

    #[test]
    fn a_process_whose_operation_ended_unknown_never_speaks_again() {
        let unknown = Answer::Unknown {
            message: "a \"quote\"\nand a line".to_owned(),
        };
        let taken = Answer::Ok {
            ids: vec![Id::new("eu", 1, 7)],
            token: Vector::default(),
            replayed: false,
        };
        let pages = Pages {
            attempts: vec![attempt("w-1", 10, unknown), attempt("w-1", 20, taken)],
            ..Pages::default()
        };
        let all = operations(3, &pages, &[]);
        let told: Vec<(&str, &str, i64)> = all
            .iter()
            .map(|op| (op.process.as_str(), op.kind, op.time))
            .collect();
        assert_eq!(
            told,
            [
                ("0", "invoke", 10_000),
                ("0", "info", 15_000),
                ("1", "invoke", 20_000),
                ("1", "ok", 25_000)
            ]
        );
        assert_eq!(
            all[1].edn(),
            "{:episode 3, :time 15000, :process 0, :type :info, :f :append, :location \"eu\", :value \
             {:error [\"a \\\"quote\\\"\\nand a line\"], :events [\"w-1-0\"], :request [\"w-1\"]}}"
        );
        assert!(all[3].edn().contains(":ids [\"eu#1/7\"]"));
    }
}
