//! What an edge may say of itself, what it means, and what to do, from the tables of the operator; a test looks for reasons that are not told there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Result;
use regex::Regex;
use tidelog_status::{EDGE_REASONS, EdgeReason, FINDINGS, FindingWords};

use super::{cell, code};

const HEAD: &str = "\
# States of an edge

`tidelog status` shows a state per edge, `GetStatus` also a `reason` (one word for programs) and a `message` (which event, which address, what to do).
State and reason at the two ends may differ for a moment: each end tells what it knows. An attempt to connect does not hide the states that need a person.

While an edge does not run, its source head and lag are unknown (`?`) at the target, never 0. Nothing is skipped in any of these states: progress stays where
it is, and the edge goes on from there. Appends at both ends go on in all of them.
";

/// The page.
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    out.push_str("\n| state | reason | meaning | what to do |\n|---|---|---|---|\n");
    for told in EDGE_REASONS {
        let EdgeReason {
            state,
            reason,
            meaning,
            hint,
        } = told;
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!("`{reason}`")
        };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            out,
            "| {state:?} | {reason} | {} | {} |",
            cell(meaning),
            cell(hint)
        );
    }
    out.push_str(
        "\n`tidelog status` writes `(cut)` or `(paused)` behind the state when a command did it.\n\n\
         ## Findings of a plan\n\n\
         `tidelog plan` and the start of `tidelog dev` judge the links before anything runs. An error refuses the whole plan (exit code 3); a running network \
         keeps its old one.\n\n\
         | finding | severity | meaning | what to do |\n|---|---|---|---|\n",
    );
    for told in FINDINGS {
        let FindingWords {
            kind,
            meaning,
            hint,
        } = told;
        let severity = format!("{:?}", kind.severity()).to_lowercase();
        let _ = writeln!(
            out,
            "| `{kind}` | {severity} | {} | {} |",
            cell(meaning),
            cell(hint)
        );
    }
    out
}

/// Reasons that this page tells.
pub fn told() -> BTreeSet<String> {
    let all = EDGE_REASONS.iter();
    all.map(|told| told.reason.to_owned())
        .filter(|reason| !reason.is_empty())
        .collect()
}

/// Reasons that the code gives: words in CamelCase in the files that set states of edges.
pub fn given() -> Result<BTreeSet<String>> {
    let word = Regex::new(r#""((?:[A-Z][a-z]+)+)""#)?;
    let mut found = BTreeSet::new();
    for place in [
        "sidecar/core/src/target.rs",
        "sidecar/core/src/target",
        "sidecar/core/src/source",
        "sidecar/replication/src/edge.rs",
        "sidecar/replication/src/source.rs",
        "sidecar/replication/src/target.rs",
    ] {
        for text in code(place)? {
            found.extend(word.captures_iter(&text).map(|found| found[1].to_owned()));
        }
    }
    Ok(found)
}
