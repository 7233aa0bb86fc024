//! Manifests: YAML to resources to a plan.

use std::time::{Duration, Instant};

use tidelog_manifest::{Source, parse, plan_all};
use tidelog_topology::{Planner, dot, text};

/// Words of the form.
pub const WORDS: &[&str] = &[
    "apiVersion: tidelog.dev/v1alpha1\n",
    "kind: EventLog\n",
    "kind: ReplicationLink\n",
    "---\n",
    "metadata: ",
    "spec:\n",
    "{name: eu}",
    "locations",
    "topology: ",
    "dense: ",
    "hubAndSpoke: ",
    "hub: ",
    "spokes: ",
    "eventLogRef: ",
    "filters: ",
    "cel: ",
    "onError: Stall",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "? ",
    "|\n",
    "\t",
    "[",
    "]",
    "{",
    "}",
    "\u{0}",
    "\u{feff}",
    "pairwise: ",
    "chain: ",
    "endpoint: ",
    "exportFilter: ",
];

/// Longer than any input of the fuzzer may take, and far from what an unbounded reader would.
const SOON: Duration = Duration::from_secs(20);

/// Nothing panics and all ends soon. What is refused names file and field or line; what is read is planned, twice the same.
pub fn plans(data: &[u8]) {
    let start = Instant::now();
    let sources = [Source {
        file: "m.yaml".to_owned(),
        text: String::from_utf8_lossy(data).into_owned(),
    }];
    match parse(&sources) {
        Ok(manifests) => {
            for planner in [
                Planner::new(),
                Planner::new().with_every_location_reachable(),
            ] {
                let plans = plan_all(&manifests, planner);
                assert_eq!(plans.len(), manifests.logs.len());
                assert_eq!(plan_all(&manifests, planner), plans, "the planner is pure");
                for plan in &plans {
                    assert!(!text(plan).is_empty() && !dot(plan).is_empty());
                }
            }
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                assert!(!problem.message.is_empty());
                assert_eq!(problem.place.file, "m.yaml", "{problem}");
                let of_the_whole = problem.message.starts_with("no EventLog was found")
                    || problem.message.starts_with("there are more problems")
                    || problem.message.contains("the limit is");
                assert!(
                    problem.place.line > 0 || of_the_whole,
                    "without a line: {problem}"
                );
            }
        }
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

/// The examples that ship, and small ones.
pub fn seeds() -> Vec<Vec<u8>> {
    let examples = [
        include_str!("../../../examples/two-locations/manifests.yaml"),
        include_str!("../../../examples/filtered-cycle/manifests.yaml"),
        include_str!("../../../examples/shop/event-log.yaml"),
        include_str!("../../../examples/shop/links.yaml"),
        include_str!("../../../examples/major-minor/event-log.yaml"),
        include_str!("../../../examples/major-minor/links.yaml"),
    ];
    let shop = format!("{}\n---\n{}", examples[2], examples[3]);
    let major = format!("{}\n---\n{}", examples[4], examples[5]);
    examples[..2]
        .iter()
        .map(|text| (*text).to_owned())
        .chain([shop, major])
        .map(String::into_bytes)
        .collect()
}
