//! Beginnings and ends: of processes, of writers within them, and of what a database holds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tidelog_core::{
    Input, LogView, Memory, ProvenHead, Source, SourceConfig, StopReason, Target, TargetConfig,
    Writer,
};
use tidelog_model::ChainHash;
use tidelog_store::{CommitError, LogStore};

use super::{DELAY, World};
use crate::dice::Dice;
use crate::operator::{Operated, Place, Pod};
use crate::oracle::Ledger;
use crate::site::{NEWEST, Operation, Process, Remembered, SourceEnd, TargetEnd, Waiting, now};

impl World {
    /// A writer for a location that has none: in a new process, or in the one whose last writer has stopped.
    pub fn start(&mut self, site: usize) -> bool {
        let living = &self.sites[site].process;
        if living.as_ref().is_some_and(|p| p.serving) {
            return false;
        }
        let living = living.as_ref().map(|p| p.remembered.clone());
        let remembered = match living {
            Some(remembered) => remembered,
            // A process that served before may be the one that takes the lease.
            None if self.sites[site].standby.is_some() && self.dice.chance(50) => {
                self.sites[site].standby.take().unwrap_or_default()
            }
            None => Remembered::default(),
        };
        self.start_with(site, remembered)
    }

    /// The same for a process that remembers this.
    pub(super) fn start_with(&mut self, site: usize, remembered: Remembered) -> bool {
        let hostile = self.hostile;
        let dies = move |dice: &mut Dice| hostile && dice.rarely(50);
        let offset = self.sites[site].clock_offset;
        let mut time = self.time_at(site);
        let started = self.sites[site].start(&mut time, &remembered, dies, &mut self.dice);
        // It may have had to wait until its clock reached the incarnation that it chose.
        self.now = self.now.max(time - offset);
        if let Some(raise) = self.sites[site].rewrote.take() {
            // Also when the process dies before it serves.
            self.counts.add("a late raise");
            self.oracle.rewritten(site, &raise);
            let to = self.sites[site].state().incarnation();
            self.oracle.raised(site, true, to);
        }
        let Some(started) = started else {
            self.crash(site);
            return true;
        };
        if started.raised {
            let to = self.sites[site].state().incarnation();
            self.oracle.raised(site, false, to);
            // Whatever has stalled may go on.
            self.links.iter_mut().for_each(|link| link.stalls = 0);
        }
        if started.passes_over {
            self.counts.add("a writer of which nobody knew is lost");
            let after = self.sites[site].state().incarnation();
            self.oracle.lose_unrecorded(site, after);
            self.forget_readings(site);
        }
        self.oracle.continued(site);
        let (writer, view) = (started.writer, started.view);
        let mut process = match self.sites[site].process.take() {
            Some(process) => Self::go_on(process, writer, view),
            None => self.begin(site, writer, view),
        };
        process.leased_in = self.sites[site].generation;
        process.nonce = started.nonce;
        process.remembered = Remembered {
            proven: Some(started.proven),
            writer: started.nonce,
            place: Place::Here,
            ..Remembered::default()
        };
        self.sites[site].process = Some(process);
        self.end_streams(site);
        true
    }

    fn begin(&mut self, site: usize, writer: Writer, view: LogView) -> Process {
        // A new process may have been started with the plan of now, or with an older one.
        for edge in 0..self.links.len() {
            let here = self.topology.edges[edge].source == site;
            if here && self.oracle.filters.is_behind(edge) && self.dice.chance(50) {
                self.oracle.filters.tell(edge);
            }
        }
        let view = Arc::new(view);
        let mut process = Process {
            writer,
            serving: true,
            ending: false,
            epoch: 1,
            remembered: Remembered::default(),
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
        for edge in 0..self.links.len() {
            if !self.links[edge].removed {
                self.add_ends(site, edge, &mut process);
            }
        }
        process
    }

    /// The ends of an edge that are at this location.
    fn add_ends(&self, site: usize, edge: usize, process: &mut Process) {
        let e = self.topology.edges[edge];
        let view = &process.view;
        if e.source == site {
            let end = SourceEnd {
                machine: Source::new(self.source_config(edge), Arc::clone(view)),
                lookup: None,
                stream: 0,
                view_due: false,
            };
            process.sources.insert(edge, end);
        }
        if e.target == site {
            let end = TargetEnd {
                machine: Target::new(self.target_config(edge), Arc::clone(view)),
                view_due: false,
                epoch: process.epoch,
            };
            process.targets.insert(edge, end);
        }
    }

    /// Takes an edge out of the plan, or puts it back, while everything runs.
    pub fn change_plan(&mut self, edge: usize) -> bool {
        if self.links[edge].removed {
            return self.add_edge(edge);
        }
        self.disconnect(edge);
        self.links[edge].removed = true;
        let e = self.topology.edges[edge];
        if let Some(process) = &mut self.sites[e.source].process {
            process.sources.remove(&edge);
        }
        if let Some(process) = &mut self.sites[e.target].process {
            process.targets.remove(&edge);
        }
        true
    }

    /// Puts an edge back into the plan.
    pub fn add_edge(&mut self, edge: usize) -> bool {
        if !std::mem::take(&mut self.links[edge].removed) {
            return false;
        }
        // What is put into the plan comes with the filter of the plan.
        self.oracle.filters.tell(edge);
        let e = self.topology.edges[edge];
        for site in [e.source, e.target] {
            if let Some(mut process) = self.sites[site].process.take() {
                self.add_ends(site, edge, &mut process);
                self.sites[site].process = Some(process);
            }
        }
        true
    }

    /// The process ends, and the next one is of another version of the application.
    pub fn change_version(&mut self, site: usize) -> bool {
        self.crash(site);
        self.sites[site].version = 1 + self.dice.below(3) as u8;
        self.start(site)
    }

    /// Whatever was rolled out halfway is rolled out everywhere.
    pub fn newest_version_everywhere(&mut self) {
        for site in 0..self.sites.len() {
            if self.sites[site].version < NEWEST {
                self.crash(site);
                self.sites[site].version = NEWEST;
            }
        }
    }

    /// The next writer of a process: streams and queues are what the last one has left behind.
    fn go_on(mut process: Process, writer: Writer, view: LogView) -> Process {
        process.writer = writer;
        process.view = Arc::new(view);
        process.serving = true;
        process.epoch += 1;
        process.sources.values_mut().for_each(|s| s.view_due = true);
        process.targets.values_mut().for_each(|t| t.view_due = true);
        process
    }

    fn end_streams(&mut self, site: usize) {
        if self.apart == Some(site) {
            return;
        }
        // Whoever drives a source learns of the end of its writer before anything else, and says no more in its name.
        if let Some(process) = &mut self.sites[site].process {
            for end in process.sources.values_mut() {
                end.lookup = None;
                end.machine.disconnected();
            }
        }
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
        let head = ProvenHead {
            sequence: left.head,
            hash: left.hash,
        };
        process.remembered = Remembered {
            memory: Memory::after(reason, head, process.remembered.writer),
            served: left.current().incarnation,
            nonce: process.nonce,
            loss: match reason {
                StopReason::LossProven(event) => Some(event.clone()),
                _ => None,
            },
            proven: process.remembered.proven,
            writer: process.remembered.writer,
            place: Place::Here,
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

    pub(super) fn source_config(&self, edge: usize) -> SourceConfig {
        let e = self.topology.edges[edge];
        let filter = self.oracle.filters.told(edge);
        SourceConfig {
            log: "log".into(),
            source: self.topology.names[e.source].clone(),
            target: self.topology.names[e.target].clone(),
            spec_hash: String::new(),
            application_name: String::new(),
            application_version: self.sites[e.source].application_version(),
            filter_hash: format!("{}-{}", filter.link, filter.export),
            behind: self.topology.behind(edge),
            filter: Arc::new(filter),
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
            application_version: self.sites[e.target].application_version(),
            filter_hash: String::new(),
            behind: self.topology.behind(edge),
            window_bytes: self.window,
        }
    }

    /// A database that was made anew, while the witness knows that there was one.
    pub fn wipe(&mut self, site: usize) -> bool {
        let served = self.sites[site].state().lineage.current().is_some();
        let known = served && self.sites[site].is_known();
        if !known {
            return false;
        }
        self.crash(site);
        self.sites[site].wipe();
        self.sites[site].zombie = None;
        let to = self.sites[site].state().incarnation();
        self.oracle.restore(site, Ledger::default(), to);
        true
    }

    pub fn lose_witness(&mut self, site: usize) -> bool {
        // Together with a clock that steps back nothing could tell which incarnations were used.
        !self.clocks_step_back && self.sites[site].lose_witness()
    }

    /// The file of the witness comes back from an older copy; the database does not.
    pub fn stale_witness(&mut self, site: usize) -> bool {
        // Not beside a database that was restored as well: the two might agree, and nobody would notice.
        let here = &self.sites[site];
        let alone = here.process.is_none() && here.started_in == here.generation;
        let Some(older) = here.older_witness() else {
            return false;
        };
        if self.clocks_step_back || !alone || here.state().lineage.current().is_none() {
            return false;
        }
        self.sites[site].witness = Some(older);
        self.start(site)
    }

    /// The witness tells of a commit that the database does not have.
    pub fn witness_ahead(&mut self, site: usize) -> bool {
        let here = &mut self.sites[site];
        let witness = here.witness.as_mut().filter(|_| here.process.is_none());
        let Some(committed) = witness.and_then(|w| w.committed.as_mut()) else {
            return false;
        };
        committed.sequence += 3;
        committed.hash = ChainHash([7; 32]);
        self.start(site)
    }

    /// What the clock of a location shows.
    pub fn time_at(&self, site: usize) -> i64 {
        self.now + self.sites[site].clock_offset
    }

    /// The wall clock of one location is set, forwards or back.
    pub fn set_clock(&mut self, site: usize) -> bool {
        if self.clocks_step_back {
            let reach = if self.clocks_are_wild {
                7_200_000_000
            } else {
                20_000_000
            };
            let offset = self.dice.below(2 * reach);
            self.sites[site].clock_offset = offset as i64 - reach as i64;
        }
        self.clocks_step_back
    }

    pub fn shut_down(&mut self, site: usize) -> bool {
        let serving = self.serving(site);
        if let Some(process) = &mut self.sites[site].process {
            process.ending = true;
        }
        self.writer_input(site, Input::ShutDown);
        serving
    }

    /// The operator does something, where one keeps the witness.
    pub fn operator(
        &mut self,
        site: usize,
        does: impl FnOnce(&mut Operated, &mut Dice) -> bool,
    ) -> bool {
        match &mut self.sites[site].operated {
            Some(operated) => does(operated, &mut self.dice),
            None => false,
        }
    }

    /// The pod goes away, and its folder with it.
    pub fn move_pod(&mut self, site: usize) -> bool {
        if self.sites[site].operated.is_none() {
            return false;
        }
        self.crash(site);
        self.operator(site, |operated, dice| {
            operated.pod = Pod::default();
            operated.mount(dice);
            true
        })
    }

    pub fn end_recovery(&mut self, site: usize) -> bool {
        if let Some(process) = &mut self.sites[site].process {
            process.writer.set_recovering(false);
        }
        self.serving(site)
    }

    /// The process dies. A commit that it had sent may have happened, may never happen, or may still be on its way.
    pub fn crash(&mut self, site: usize) -> bool {
        let Some(process) = self.sites[site].process.take() else {
            return false;
        };
        if let Some(Operation::Commit(batch)) = process.operation
            && process.leased_in == self.sites[site].generation
        {
            match self.dice.below(3) {
                0 => {
                    self.counts
                        .add("fault: died after a commit, before its answer");
                    self.commit_now(site, &batch).expect("nobody else writes");
                }
                1 => {
                    self.counts
                        .add("fault: died, and its commit is still on its way");
                    // Not into the database of a clone.
                    if self.apart.is_none() {
                        self.sites[site].zombie = Some(*batch);
                    }
                }
                _ => self.counts.add("fault: died before a commit"),
            }
        }
        for waiting in process.waiting.into_values() {
            if let Waiting::Request(number) = waiting {
                self.oracle.asked[number].unknown = true;
            }
        }
        if self.apart == Some(site) {
            return true;
        }
        for edge in 0..self.links.len() {
            let e = self.topology.edges[edge];
            if e.source == site || e.target == site {
                self.disconnect(edge);
            }
        }
        true
    }

    /// What a dead writer had sent arrives: it can change nothing once another one has begun.
    pub fn wake_zombie(&mut self, site: usize) -> bool {
        if !self.serving(site) {
            return false;
        }
        let zombie = self.sites[site].zombie.take();
        if let Some(batch) = &zombie {
            let outcome = now(self.sites[site].store.commit(batch));
            assert_eq!(
                outcome,
                Err(CommitError::Fenced),
                "I8: a stale writer wrote"
            );
        }
        zombie.is_some()
    }

    pub fn backup(&mut self, site: usize) -> bool {
        // Not while its writer asks what has become of a commit: a copy that holds it and another one that does not are two histories, of which the
        // location may go on with either, and then come to the other (a limit that docs/trust.md names).
        let process = self.sites[site].process.as_ref();
        let asks = process.and_then(|p| p.operation.as_ref());
        if matches!(asks, Some(Operation::Resolve(_))) {
            return false;
        }
        self.oracle.all_shown(site) && self.sites[site].backup(&self.oracle.ledgers[site])
    }

    /// Another server takes over, under the hands of a process that lives on. Often it has a new writer before anything else happens.
    pub fn fail_over(&mut self, site: usize) -> bool {
        let failed_over = self.restore(site, true);
        if failed_over && self.dice.chance(60) {
            self.keep_lease(site);
            self.start(site);
        }
        failed_over
    }

    /// An older copy takes the place of what a database holds: after its process has ended, or under its hands (a fail-over that lost what the
    /// other server had not been sent yet). Its writer notices at the next write, or is told before.
    pub fn restore(&mut self, site: usize, alive: bool) -> bool {
        let backups = self.sites[site].backups.len();
        if backups == 0 {
            return false;
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
        self.restore_number(site, number)
    }

    pub(super) fn restore_number(&mut self, site: usize, number: usize) -> bool {
        if self.oracle.may_stall() {
            self.forget_readings(site);
        }
        let known = self.sites[site].is_known();
        let Some(ledger) = self.sites[site].restore(number, known) else {
            return false;
        };
        // What was on its way to the other database arrives nowhere.
        self.sites[site].zombie = None;
        let to = self.sites[site].state().incarnation();
        self.oracle.restore(site, ledger, to);
        true
    }
}
