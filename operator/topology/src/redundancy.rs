//! What breaks when one location is away, and who is not linked at all. Both are warnings: they may be meant.

use std::collections::BTreeSet;

use crate::finding::{Finding, FindingKind, list};
use crate::graph::LinkGraph;

/// One finding for a log whose locations are not all linked with each other.
pub(crate) fn disconnected(log: &str, islands: &[BTreeSet<String>], findings: &mut Vec<Finding>) {
    if islands.len() < 2 {
        return;
    }
    let mut by_size: Vec<_> = islands.iter().collect();
    by_size.sort_by_key(|island| std::cmp::Reverse(island.len()));
    let sets = list(
        by_size
            .iter()
            .map(|island| format!("{{{}}}", list(*island))),
    );
    findings.push(Finding::new(
        FindingKind::Disconnected,
        format!("log {log}"),
        format!("no link connects {sets}: events of one of these sets never reach the others"),
    ));
}

/// One finding for all locations without which others lose their connection.
pub(crate) fn single_points_of_failure(
    log: &str,
    graph: &LinkGraph,
    locations: impl Iterator<Item = impl AsRef<str>>,
    findings: &mut Vec<Finding>,
) {
    let cut_off: Vec<String> = locations
        .filter_map(|location| {
            let location = location.as_ref();
            let mut parts = graph.parts_without(location);
            if parts.len() < 2 {
                return None;
            }
            // The largest part is "the others", and the rest is cut off; without a largest one all are.
            parts.sort_by_key(BTreeSet::len);
            if parts[parts.len() - 1].len() > parts[parts.len() - 2].len() {
                parts.pop();
            }
            let rest: BTreeSet<String> = parts.into_iter().flatten().collect();
            Some(format!("{location} (for {})", list(rest)))
        })
        .collect();
    if cut_off.is_empty() {
        return;
    }
    findings.push(Finding::new(
        FindingKind::SinglePointOfFailure,
        format!("log {log}"),
        format!(
            "only one location connects some others with the rest: {}. While it is away they keep working and catch up \
             later; a second link around it would keep them connected",
            list(cut_off)
        ),
    ));
}
