//! Beginnings and ends: of processes, of writers within them, and of what a database holds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tidelog_core::{
    LogView, ProvenHead, Source, SourceConfig, StopReason, Target, TargetConfig, Writer,
};
use tidelog_model::ApplicationVersion;
use tidelog_store::{CommitError, LogStore};

use super::{DELAY, World};
use crate::dice::Dice;
use crate::site::{Memory, Operation, Process, SourceEnd, TargetEnd, Waiting, now};

impl World {
    /// A writer for a location that has none: in a new process, or in the one whose last writer has stopped.
    pub fn start(&mut self, site: usize) -> bool {
        let living = &self.sites[site].process;
        if living.as_ref().is_some_and(|p| p.serving) {
            return false;
        }
        let memory = living.as_ref().and_then(|p| p.memory);
        let hostile = self.hostile;
        let dies = move |dice: &mut Dice| hostile && dice.rarely(50);
        let started = self.sites[site].start(&mut self.now, memory, dies, &mut self.dice);
        let Some((writer, view, nonce)) = started else {
            self.crash(site);
            return true;
        };
        self.oracle.continued(site);
        let mut process = match self.sites[site].process.take() {
            Some(process) => self.go_on(site, process, writer, view),
            None => self.begin(site, writer, view),
        };
        process.leased_in = self.sites[site].generation;
        process.nonce = nonce;
        self.sites[site].process = Some(process);
        true
    }

    fn begin(&self, site: usize, writer: Writer, view: LogView) -> Process {
        let view = Arc::new(view);
        let mut process = Process {
            writer,
            serving: true,
            epoch: 1,
            memory: None,
            leased_in: 0,
            nonce: 0,
            inbox: VecDeque::new(),
            view: Arc::clone(&view),
            operation: None,
            waiting: HashMap::new(),
            next_ticket: 0,
            sources: BTreeMap::new(),
            targets: BTreeMap::new(),
        };
        for (i, edge) in self.topology.edges.iter().enumerate() {
            if edge.source == site {
                let end = SourceEnd {
                    machine: Source::new(self.source_config(i), Arc::clone(&view)),
                    lookup: None,
                    view_due: false,
                };
                process.sources.insert(i, end);
            }
            if edge.target == site {
                let end = TargetEnd {
                    machine: Target::new(self.target_config(i), Arc::clone(&view)),
                    view_due: false,
                    epoch: process.epoch,
                };
                process.targets.insert(i, end);
            }
        }
        process
    }

    /// The next writer of a process: streams and queues are what the last one has left behind.
    fn go_on(
        &mut self,
        site: usize,
        mut process: Process,
        writer: Writer,
        view: LogView,
    ) -> Process {
        process.writer = writer;
        process.view = Arc::new(view);
        process.serving = true;
        process.memory = None;
        process.epoch += 1;
        process.sources.values_mut().for_each(|s| s.view_due = true);
        process.targets.values_mut().for_each(|t| t.view_due = true);
        self.end_streams(site);
        process
    }

    fn end_streams(&mut self, site: usize) {
        for (link, edge) in self.links.iter_mut().zip(&self.topology.edges) {
            link.close_due |= link.up && (edge.source == site || edge.target == site);
        }
    }

    /// A writer has stopped and its process lives on.
    pub(super) fn stopped(&mut self, site: usize, reason: &StopReason) {
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        process.serving = false;
        process.operation = None;
        process.epoch += 1;
        let left = process.writer.core().view();
        process.memory = match reason {
            StopReason::StateChanged(_) => Some(Memory {
                incarnation: left.current().incarnation,
                head: ProvenHead {
                    sequence: left.head,
                    hash: left.hash,
                },
            }),
            _ => None,
        };
        assert!(
            !process
                .waiting
                .values()
                .any(|w| matches!(w, Waiting::Request(_))),
            "a writer stopped and owes answers"
        );
        self.end_streams(site);
    }

    fn source_config(&self, edge: usize) -> SourceConfig {
        let e = self.topology.edges[edge];
        SourceConfig {
            log: "log".into(),
            source: self.topology.names[e.source].clone(),
            target: self.topology.names[e.target].clone(),
            spec_hash: String::new(),
            application_name: String::new(),
            application_version: ApplicationVersion::default(),
            filter_hash: String::new(),
            behind: Arc::new(self.topology.behind(e)),
            filter: self.topology.filter(e),
            frame_events_max: self.frame_events_max,
            frame_bytes_max: self.frame_bytes_max,
            scan_rows_max: self.scan_rows_max,
            empty_frame_delay_micros: DELAY,
            proof_interval_micros: 3_600_000_000,
        }
    }

    fn target_config(&self, edge: usize) -> TargetConfig {
        let e = self.topology.edges[edge];
        TargetConfig {
            log: "log".into(),
            source: self.topology.names[e.source].clone(),
            target: self.topology.names[e.target].clone(),
            spec_hash: String::new(),
            application_name: String::new(),
            application_version: ApplicationVersion::default(),
            filter_hash: String::new(),
            behind: Arc::new(self.topology.behind(e)),
            window_bytes: self.window,
        }
    }

    /// The process dies. A commit that it had sent may have happened, may never happen, or may still be on its way.
    pub fn crash(&mut self, site: usize) {
        let Some(process) = self.sites[site].process.take() else {
            return;
        };
        if let Some(Operation::Commit(batch)) = process.operation
            && process.leased_in == self.sites[site].generation
        {
            match self.dice.below(3) {
                0 => self.commit_now(site, &batch).expect("nobody else writes"),
                1 => self.sites[site].zombie = Some(*batch),
                _ => {}
            }
        }
        for waiting in process.waiting.into_values() {
            if let Waiting::Request(number) = waiting {
                self.oracle.asked[number].unknown = true;
            }
        }
        for edge in 0..self.links.len() {
            let e = self.topology.edges[edge];
            if e.source == site || e.target == site {
                self.disconnect(edge);
            }
        }
    }

    /// What a dead writer had sent arrives: it can change nothing once another one has begun.
    pub fn wake_zombie(&mut self, site: usize) {
        if !self.serving(site) {
            return;
        }
        if let Some(batch) = self.sites[site].zombie.take() {
            let outcome = now(self.sites[site].store.commit(&batch));
            assert_eq!(
                outcome,
                Err(CommitError::Fenced),
                "I8: a stale writer wrote"
            );
        }
    }

    pub fn backup(&mut self, site: usize) {
        if self.oracle.all_shown(site) {
            let ledger = self.oracle.ledgers[site].clone();
            self.sites[site].backup(&ledger);
        }
    }

    /// Another server takes over, under the hands of a process that lives on. Often it has a new writer before anything else happens.
    pub fn fail_over(&mut self, site: usize) {
        self.restore(site, true);
        if self.dice.chance(60) {
            self.keep_lease(site);
            self.start(site);
        }
    }

    /// An older copy takes the place of what a database holds: after its process has ended, or under its hands (a fail-over that lost what the
    /// other server had not been sent yet). Its writer notices at the next write, or is told before.
    pub fn restore(&mut self, site: usize, alive: bool) {
        let backups = self.sites[site].backups.len();
        if backups == 0 {
            return;
        }
        if !alive {
            self.crash(site);
        }
        let worst = if alive {
            self.sites[site].worst_copy()
        } else {
            None
        };
        let number = match worst {
            Some(number) if self.dice.chance(70) => number,
            _ => self.dice.below(backups),
        };
        let known = self.sites[site].witness.is_some();
        let Some(ledger) = self.sites[site].restore(number, known) else {
            return;
        };
        // What was on its way to the other database arrives nowhere.
        self.sites[site].zombie = None;
        self.oracle.restore(site, ledger);
    }
}
