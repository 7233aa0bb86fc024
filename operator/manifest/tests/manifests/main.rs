//! Manifests by example: what is accepted, and the words for what is not.
#![expect(clippy::panic, reason = "a helper that fails fails its test")]
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes expectations this way"
)]

mod accepted;
mod envelope;
mod examples;
mod fields;
mod files;
mod hostile;
mod rules;

use tidelog_manifest::{Manifests, Source, parse};

/// One file `m.yaml`.
fn one(text: &str) -> Vec<Source> {
    vec![Source {
        file: "m.yaml".to_owned(),
        text: text.to_owned(),
    }]
}

/// The problems in it, one per line; notes behind them.
fn refused(text: &str) -> String {
    let error = parse(&one(text)).expect_err("this should have been refused");
    let notes: Vec<String> = error
        .notes
        .iter()
        .map(|note| format!("note {note}\n"))
        .collect();
    format!("{error}\n{}", notes.concat())
}

fn accepted(text: &str) -> Manifests {
    parse(&one(text)).unwrap_or_else(|error| panic!("{error}"))
}

const LOG: &str = "\
apiVersion: tidelog.dev/v1alpha1
kind: EventLog
metadata: {name: orders}
spec:
  application: {name: shop, version: '1.3'}
  locations:
  - {name: eu, endpoint: {host: eu.example.com}}
  - {name: us}
";

const LINK: &str = "\
---
apiVersion: tidelog.dev/v1alpha1
kind: ReplicationLink
metadata: {name: core}
spec:
  eventLogRef: {name: orders}
  topology: {dense: {locations: [eu, us]}}
";

/// A log whose spec has more lines.
fn log_with(lines: &str) -> String {
    format!("{LOG}{lines}")
}

/// The log, and a link with this shape and these lines.
fn link_with(topology: &str, lines: &str) -> String {
    format!(
        "{LOG}{}{lines}",
        LINK.replace("{dense: {locations: [eu, us]}}", topology)
    )
}
