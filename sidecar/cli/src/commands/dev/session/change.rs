//! When a new plan is in force: not when it was handed over, but when every edge goes by it.

use std::collections::BTreeSet;
use std::time::Duration;

use tidelog_config::Config;
use tidelog_model::LocationName;
use tidelog_proto::v1::{EdgeDirection, EdgeStatus, LocationStatus};
use tokio::time::Instant;

use super::super::board::Board;
use super::super::options::Key;
use super::Session;
use crate::commands::status::edge_state;
use crate::failure::Failure;

/// Edges that take longer than this are named.
const TELL_AFTER: Duration = Duration::from_secs(3);

/// A plan that was handed to locations and may not be in force at every edge yet.
pub(super) struct Change {
    locations: BTreeSet<Key>,
    since: Instant,
    told: bool,
}

impl Session {
    /// Begins to wait for the edges of locations that were given a new plan. What was waited for before is part of it.
    pub(super) fn changed(&mut self, locations: impl IntoIterator<Item = Key>) {
        let mut all: BTreeSet<Key> = locations.into_iter().collect();
        if all.is_empty() {
            return;
        }
        all.extend(self.change.take().into_iter().flat_map(|c| c.locations));
        self.change = Some(Change {
            locations: all,
            since: Instant::now(),
            told: false,
        });
    }

    /// Says that the new plan is in force, or after a while what is waited for.
    pub(super) fn tell_in_force(&mut self, board: &Board) -> Result<(), Failure> {
        let Some(change) = &self.change else {
            return Ok(());
        };
        let logs: BTreeSet<&str> = change
            .locations
            .iter()
            .map(|(log, _)| log.as_str())
            .collect();
        let waited_for = self.waited_for(&logs);
        let names: Vec<String> = change
            .locations
            .iter()
            .map(|(log, location)| format!("{log}/{location}"))
            .collect();
        let names = names.join(", ");
        if waited_for.is_empty() {
            self.change = None;
            return board.line(&format!("the new plan is in force at {names}"));
        }
        if !change.told && change.since.elapsed() >= TELL_AFTER {
            self.change.iter_mut().for_each(|change| change.told = true);
            board.warning(&format!(
                "the new plan was given to {names} and is not in force yet; waiting for {}",
                waited_for.join(", ")
            ));
        }
        Ok(())
    }

    /// The edges from and to the locations of this process that do not say yet that they go by the plan.
    fn waited_for(&self, logs: &BTreeSet<&str>) -> Vec<String> {
        let mut waited_for = BTreeSet::new();
        for (key, runner) in &self.running {
            if !logs.contains(key.0.as_str()) || self.gone.contains(key) {
                continue;
            }
            let here =
                |peer: &LocationName| self.running.contains_key(&(key.0.clone(), peer.clone()));
            let status = runner.location.location_status();
            waited_for.extend(behind_plan(&runner.config, &status, here));
        }
        waited_for.into_iter().collect()
    }
}

/// Edges that do not go by the configuration. It is the source that filters: where it runs `here`, only its own word counts.
fn behind_plan(
    config: &Config,
    status: &LocationStatus,
    here: impl Fn(&LocationName) -> bool,
) -> Vec<String> {
    let me = &config.location;
    let incoming = config.edges.incoming.iter().map(|edge| {
        let ends = (edge.source.as_str(), me.as_str());
        (
            EdgeDirection::Incoming,
            ends,
            &edge.filter_hash,
            here(&edge.source),
        )
    });
    let outgoing = config.edges.outgoing.iter().map(|edge| {
        let ends = (me.as_str(), edge.target.as_str());
        (EdgeDirection::Outgoing, ends, &edge.filter_hash, false)
    });
    let planned: Vec<_> = incoming.chain(outgoing).collect();
    let mut behind = Vec::new();
    for (direction, ends, filter_hash, told_elsewhere) in &planned {
        let known = status
            .edges
            .iter()
            .find(|known| is(known, *direction, *ends));
        if *told_elsewhere && known.is_some() {
            continue;
        }
        match known {
            Some(known) if known.filter_hash == filter_hash.to_string() => {}
            Some(known) => behind.push(format!("{}->{} ({})", ends.0, ends.1, edge_state(known).0)),
            None => behind.push(format!("{}->{} (starting)", ends.0, ends.1)),
        }
    }
    // Taken out of the plan, and its task is about to end.
    let left = status.edges.iter().filter(|known| {
        !planned
            .iter()
            .any(|(direction, ends, ..)| is(known, *direction, *ends))
    });
    behind.extend(left.map(|known| format!("{}->{} (ending)", known.source, known.target)));
    behind
}

fn is(known: &EdgeStatus, direction: EdgeDirection, (source, target): (&str, &str)) -> bool {
    known.direction() == direction && known.source == source && known.target == target
}
