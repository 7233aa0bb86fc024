//! Waiting until a network is at rest, and letting the judges look at it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tidelog_proto::v1;

use super::{Network, PATIENCE};
use crate::checker::check_all;
use crate::history::History;
use crate::record::{Fact, Id};

impl Network {
    /// Waits until every running location holds what belongs there, and covers what the others hold. Says what is missing when it gives up:
    /// when nothing arrived for so long, and on a machine on which it never ends.
    pub async fn converged(&mut self, patience: Duration) -> Result<()> {
        let last = Instant::now() + patience * 5;
        let mut deadline = Instant::now() + patience;
        let mut fewest = usize::MAX;
        loop {
            let missing = self.missing().await?;
            if missing.is_empty() {
                return Ok(());
            }
            if missing.len() < fewest {
                fewest = missing.len();
                deadline = last.min(Instant::now() + patience);
            }
            if Instant::now() >= deadline {
                let mut text = format!(
                    "I4: not converged after {patience:?}; {} missing:",
                    missing.len()
                );
                for line in missing.iter().take(15) {
                    text.push_str("\n  ");
                    text.push_str(line);
                }
                text.push_str(&self.edges().await);
                bail!("{text}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn missing(&mut self) -> Result<Vec<String>> {
        let mut listed: BTreeMap<String, Vec<Id>> = BTreeMap::new();
        for name in self.running() {
            self.process(&name)?.assert_well()?;
            let client = self.client(&name)?;
            let Ok(ids) = client.list().await else {
                return Ok(vec![format!("{name} does not list its events")]);
            };
            // Who knows an id knows its content: only new ones are read.
            let unknown = ids
                .iter()
                .filter(|(_, id, _)| !self.facts.contains_key(id))
                .map(|(at, ..)| *at)
                .min();
            if let Some(first) = unknown {
                let after = Some(v1::Position {
                    incarnation: 0,
                    sequence: first - 1,
                });
                let request = v1::ReadRequest {
                    after,
                    ..v1::ReadRequest::default()
                };
                let Ok(events) = client.read(request).await else {
                    return Ok(vec![format!("{name} cannot be read")]);
                };
                for fact in events.iter().map(Fact::from) {
                    self.facts.entry(fact.id.clone()).or_insert(fact);
                }
            }
            listed.insert(name, ids.into_iter().map(|(_, id, _)| id).collect());
        }
        let known = |ids: Vec<Id>| {
            ids.iter()
                .filter_map(|id| self.facts.get_key_value(id))
                .collect()
        };
        let held = listed
            .into_iter()
            .map(|(name, ids)| (name, known(ids)))
            .collect();
        let missing = self.topology.missing(&held).into_iter();
        Ok(missing
            .map(|(at, fact, by)| format!("{} ({}) at {at}, held by {by}", fact.id, fact.tag))
            .collect())
    }

    /// What every location says about its edges, for people.
    pub async fn edges(&self) -> String {
        let mut text = String::new();
        for name in self.running() {
            let Ok(client) = self.client(&name) else {
                continue;
            };
            match client.status().await {
                Ok(status) => {
                    let _ = write!(
                        text,
                        "\n{name}: head {}, {:?} {}",
                        status.head,
                        status.state(),
                        status.message
                    );
                    for edge in &status.edges {
                        let _ = write!(
                            text,
                            "\n  {} -> {} {:?} {} {} progress {} of {:?}, last error: {}",
                            edge.source,
                            edge.target,
                            edge.state(),
                            edge.reason,
                            edge.message,
                            edge.progress,
                            edge.source_head,
                            edge.last_error
                        );
                    }
                }
                Err(status) => {
                    let _ = write!(text, "\n{name}: {status}");
                }
            }
        }
        text
    }

    /// Waits until an edge satisfies a condition, as its target sees it.
    pub async fn edge_until(
        &self,
        source: &str,
        target: &str,
        what: &str,
        reached: impl Fn(&v1::EdgeStatus) -> bool,
    ) -> Result<v1::EdgeStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.client(target)?.status().await?;
            let edge = status
                .edges
                .iter()
                .find(|edge| edge.source == source && edge.target == target);
            if let Some(edge) = edge.filter(|edge| reached(edge)) {
                return Ok(edge.clone());
            }
            ensure!(
                Instant::now() < deadline,
                "{source} -> {target} is not {what} after {PATIENCE:?}: {edge:#?}"
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Writes down where every running location stands now; locations that do not answer are left out.
    pub async fn sample(&self) {
        for name in self.running() {
            if let Ok(client) = self.client(&name)
                && let Ok(status) = client.status().await
            {
                self.lived(&status);
            }
        }
    }

    /// Waits for convergence, takes the logs of all running locations, and lets every judge look at the run.
    pub async fn judge(&mut self) -> Result<History> {
        let history = self.gather().await?;
        let violations = check_all(&history);
        if !violations.is_empty() {
            let mut text = format!("{} violations:", violations.len());
            for violation in &violations {
                let _ = write!(text, "\n  {violation}");
            }
            bail!("{text}");
        }
        Ok(history)
    }

    /// Waits for convergence, and takes the logs of all running locations beside what was written down.
    pub async fn gather(&mut self) -> Result<History> {
        self.converged(PATIENCE).await?;
        self.settled().await?;
        self.sample().await;
        let mut history = History {
            topology: self.topology.clone(),
            ..History::default()
        };
        for name in self.running() {
            history
                .dumps
                .insert(name.clone(), self.client(&name)?.dump().await?);
        }
        history.pages = self.journal.pages().clone();
        Ok(history)
    }

    /// Waits until no edge has anything left to copy, so that logs and progress stand still.
    async fn settled(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut heads = BTreeMap::new();
            let mut progress = Vec::new();
            for name in self.running() {
                let status = self.client(&name)?.status().await?;
                progress.extend(
                    status
                        .edges
                        .iter()
                        .filter(|e| e.direction() == v1::EdgeDirection::Incoming)
                        .cloned(),
                );
                heads.insert(name, status.head);
            }
            let behind = progress.iter().find(|edge| {
                let stopped = edge.cut || edge.paused_by_command || edge.paused_by_spec;
                !stopped
                    && heads
                        .get(&edge.source)
                        .is_some_and(|head| edge.progress != *head)
            });
            let Some(behind) = behind else { return Ok(()) };
            ensure!(
                Instant::now() < deadline,
                "not at rest after {PATIENCE:?}: {behind:?}"
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}
