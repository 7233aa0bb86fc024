//! Shows that a run can find something: the sidecars are given bugs, one after the other, and it is told which were seen.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::process::tidelog;

use crate::ledger::Ledger;
use crate::report::note;
use crate::run::{Wanted, run};

/// What a build with bugs to choose from is made with.
const BUILD: &str = "CARGO_TARGET_DIR=target/mutants cargo build -p tidelog-model -p tidelog-sidecar -p tidelog-cli -p tidelog-faults --bins \
     --features tidelog-model/mutants";

/// What became of one bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub id: String,
    /// After so many seconds.
    pub seconds: u64,
    /// Who saw it; nobody when empty.
    pub by: BTreeSet<String>,
    /// The first thing that was seen.
    pub first: String,
}

/// Runs as asked for with each of some bugs, until it is seen or time is over.
pub async fn look(wanted: &Wanted, ids: &[String]) -> Result<Vec<Seen>> {
    let program = tidelog()?;
    for id in ids {
        ensure!(
            holds(program, id)?,
            "{} has no mutant `{id}`: is it one of `make mutants ARGS=--list`, and was it built with `{BUILD}`?",
            program.display()
        );
    }
    let mut all = Vec::new();
    for id in ids {
        if wanted.stop.is_asked_for() {
            break;
        }
        note(&format!("mutant {id}"));
        let one = Wanted {
            mutant: Some(id.clone()),
            report: None,
            resume: None,
            stalls: false,
            ..wanted.clone()
        };
        all.push(with(&one, id).await);
    }
    Ok(all)
}

async fn with(wanted: &Wanted, id: &str) -> Seen {
    let began = Instant::now();
    let mut seen = Seen {
        id: id.to_owned(),
        seconds: 0,
        by: BTreeSet::new(),
        first: String::new(),
    };
    match run(wanted, Ledger::default()).await {
        Ok(report) => {
            for breach in &report.violations {
                seen.by.insert(breach.invariant.clone());
            }
            if report.refused_in_partitions > 0 {
                seen.by.insert("appends refused in a partition".to_owned());
            }
            if report.unanswered > 0 {
                seen.by.insert("appends never answered".to_owned());
            }
            let first = report.violations.first().map(|b| b.message.clone());
            seen.first = first.unwrap_or_default();
        }
        Err(error) => {
            seen.by.insert("the network does not start".to_owned());
            seen.first = format!("{error:#}");
        }
    }
    seen.seconds = began.elapsed().as_secs();
    seen
}

/// The name of a mutant is in a program only when the mutant is.
fn holds(program: &Path, id: &str) -> Result<bool> {
    let mut search = Command::new("grep");
    search.args(["--text", "--quiet", "--fixed-strings", "--", id]);
    let status = search.arg(program).status().context("run grep")?;
    Ok(!id.is_empty() && status.success())
}

/// For people.
pub fn text(all: &[Seen]) -> String {
    let mut out = String::new();
    for seen in all {
        let by: Vec<&str> = seen.by.iter().map(String::as_str).collect();
        let verdict = if by.is_empty() {
            "not seen".to_owned()
        } else {
            format!("seen by {}", by.join(", "))
        };
        let _ = writeln!(out, "{:<40} {:>4} s  {verdict}", seen.id, seen.seconds);
        if let Some(line) = seen.first.lines().next() {
            let _ = writeln!(out, "{:<47} e.g. {line}", "");
        }
    }
    let caught = all.iter().filter(|seen| !seen.by.is_empty()).count();
    let _ = writeln!(out, "{caught} of {} mutants seen", all.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_in_a_program_that_names_it() {
        let program = std::env::temp_dir().join(format!("tidelog-named-{}", std::process::id()));
        std::fs::write(&program, b"\0..dedup-off..\0").unwrap();
        assert!(holds(&program, "dedup-off").unwrap());
        assert!(!holds(&program, "dedup-on").unwrap());
        assert!(!holds(&program, "").unwrap());
        std::fs::remove_file(&program).unwrap();
    }
}
