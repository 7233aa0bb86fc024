//! All locations and what is on its way between them; one step at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tidelog_core::{
    AppendRequest, Effect, FrameOutcome, Input, LogView, Open, Opened, ProvenHead, Refused,
    Resolution, Source, SourceConfig, SourceEffect, SourceInput, Stamp, StopReason, Target,
    TargetConfig, TargetEffect, TargetInput, Work,
};
use tidelog_core::{Credit, Frame};
use tidelog_model::{ApplicationVersion, Condition, NewEvent, Position, VectorTime};
use tidelog_store::{CommitError, LogStore, StoreError};

use crate::dice::Dice;
use crate::oracle::{Asked, Oracle, Set};
use crate::site::{Lookup, Operation, Process, Site, SourceEnd, TargetEnd, Waiting, now};
use crate::topology::Topology;

/// How long a frame without events waits for company.
pub const DELAY: i64 = 20_000;

#[derive(Clone)]
pub enum Message {
    Open(Box<Open>),
    Credit(Credit),
    Opened(Box<Opened>),
    Refused(Box<Refused>),
    Frame(Box<Frame>),
}

/// The connection of one edge, and what the network holds back of earlier ones.
#[derive(Default)]
pub struct Link {
    pub up: bool,
    pub paused: bool,
    connection: u64,
    pub messages: Vec<Message>,
    held: Vec<Message>,
}

/// A client that reads and writes where it likes, and says only what it has seen.
#[derive(Clone, Default)]
pub struct Session {
    context: VectorTime,
    seen: Set,
}

pub struct World {
    pub now: i64,
    pub dice: Dice,
    pub topology: Arc<Topology>,
    pub sites: Vec<Site>,
    pub links: Vec<Link>,
    pub oracle: Oracle,
    pub sessions: Vec<Session>,
    /// While true, things break.
    pub hostile: bool,
    pub delivered: u64,
    /// A lost witness and a clock that steps back may not come together: nothing could tell then which incarnations were used.
    pub clocks_step_back: bool,
    window: u64,
    frame_events_max: usize,
    frame_bytes_max: usize,
    scan_rows_max: usize,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let topology = Arc::new(Topology::random(&mut dice));
        let sites = topology.names.iter().cloned();
        let sites: Vec<_> = sites.map(|n| Site::new(n, &mut dice)).collect();
        let links = topology.edges.iter().map(|_| Link::default()).collect();
        Self {
            now: 1_700_000_000_000_000,
            sites,
            links,
            oracle: Oracle::new(Arc::clone(&topology)),
            sessions: vec![Session::default(); 3],
            hostile: true,
            delivered: 0,
            clocks_step_back: dice.chance(50),
            window: 300 + dice.below(4_000) as u64,
            frame_events_max: 1 + dice.below(5),
            frame_bytes_max: 100 + dice.below(2_000),
            scan_rows_max: 1 + dice.below(6),
            topology,
            dice,
        }
    }

    /// Where everybody is, for who replays a run.
    pub fn show(&self) {
        for site in &self.sites {
            let state = site.state();
            eprintln!(
                "{} {:?} head {} VV {} KV {}",
                site.name,
                state.lineage.entries(),
                state.head,
                state.version_vector,
                state.covered_vector
            );
        }
        for (i, edge) in self.topology.edges.iter().enumerate() {
            let target = self.sites[edge.target].process.as_ref();
            let source = self.sites[edge.source].process.as_ref();
            let standing = source.and_then(|p| p.sources[&i].machine.standing());
            let status = target.map(|p| p.targets[&i].machine.status().clone());
            eprintln!("{edge:?} up {} {standing:?} {status:?}", self.links[i].up);
        }
    }

    // ---- processes ----

    pub fn start(&mut self, site: usize) {
        if self.sites[site].process.is_some() {
            return;
        }
        let hostile = self.hostile;
        let dies = move |dice: &mut Dice| hostile && dice.rarely(50);
        let stamp = Stamp::default();
        let started = self.sites[site].start(&mut self.now, stamp, dies, &mut self.dice);
        let Some((writer, view, _)) = started else {
            return;
        };
        self.oracle.continued(site);
        let view = Arc::new(view);
        let mut process = Process {
            writer,
            view: Arc::clone(&view),
            operation: None,
            waiting: std::collections::HashMap::new(),
            next_ticket: 0,
            sources: BTreeMap::new(),
            targets: BTreeMap::new(),
        };
        for (i, edge) in self.topology.edges.iter().enumerate() {
            let (source, target) = (edge.source, edge.target);
            if source == site {
                let machine = Source::new(self.source_config(i), Arc::clone(&view));
                let end = SourceEnd {
                    machine,
                    lookup: None,
                    view_due: false,
                };
                process.sources.insert(i, end);
            }
            if target == site {
                let machine = Target::new(self.target_config(i), Arc::clone(&view));
                let end = TargetEnd {
                    machine,
                    view_due: false,
                };
                process.targets.insert(i, end);
            }
        }
        self.sites[site].process = Some(process);
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
        if let Some(Operation::Commit(batch)) = process.operation {
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
        if self.sites[site].process.is_none() {
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

    pub fn restore(&mut self, site: usize) {
        let backups = self.sites[site].backups.len();
        if backups == 0 {
            return;
        }
        self.crash(site);
        let number = self.dice.below(backups);
        let known = self.sites[site].witness.is_some();
        let Some(ledger) = self.sites[site].restore(number, known) else {
            return;
        };
        self.oracle.restore(site, ledger);
    }

    // ---- writers ----

    pub fn writer_input(&mut self, site: usize, input: Input) {
        let time = self.now;
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        for effect in process.writer.handle(input, time) {
            if self.hostile && self.dice.rarely(3) {
                self.crash(site);
            }
            if self.sites[site].process.is_none() {
                return;
            }
            self.writer_effect(site, effect);
        }
    }

    fn writer_effect(&mut self, site: usize, effect: Effect) {
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        let mut operate = |operation| {
            assert!(process.operation.is_none(), "two operations in flight");
            process.operation = Some(operation);
        };
        match effect {
            Effect::Check(query) => operate(Operation::Check(query)),
            Effect::Commit(batch) => operate(Operation::Commit(batch)),
            Effect::Find(ids) => operate(Operation::Find(ids)),
            Effect::Resolve { planned_head } => operate(Operation::Resolve(planned_head)),
            Effect::Witness { head, hash } => {
                let witness = self.sites[site].witness.get_or_insert_default();
                witness.committed = Some(ProvenHead {
                    sequence: head,
                    hash,
                });
            }
            Effect::Publish { events, view } => {
                self.oracle.published(site, &events);
                self.publish(site, Arc::new(*view));
            }
            Effect::Answer(ticket, answer) => {
                if let Some(Waiting::Request(number)) = process.waiting.remove(&ticket) {
                    self.oracle.answered(site, number, &answer);
                }
            }
            Effect::WorkDone(ticket, outcome) => match process.waiting.remove(&ticket) {
                Some(Waiting::Frame { edge, connection }) => {
                    self.work_done(edge, connection, TargetInput::Applied(outcome));
                }
                Some(Waiting::GoBack { edge, connection }) => {
                    self.work_done(edge, connection, TargetInput::WentBack(outcome));
                }
                _ => {}
            },
            Effect::Stop(StopReason::ShutDown) => {
                let view = Arc::clone(&process.view);
                let witness = self.sites[site].witness.get_or_insert_default();
                witness.clean_stop = Some(ProvenHead {
                    sequence: view.head,
                    hash: view.hash,
                });
                witness.committed = None;
                self.crash(site);
            }
            Effect::Stop(reason) => unreachable!("a writer stopped without a cause: {reason:?}"),
        }
    }

    fn work_done(&mut self, edge: usize, connection: u64, input: TargetInput) {
        if let TargetInput::Applied(FrameOutcome::Stalled(fault)) = &input {
            unreachable!("an edge is wedged: {fault}");
        }
        // A driver drops what belongs to an earlier connection.
        if self.links[edge].connection == connection {
            self.target_input(edge, input);
        }
    }

    fn publish(&mut self, site: usize, view: Arc<LogView>) {
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        process.view = view;
        process.sources.values_mut().for_each(|s| s.view_due = true);
        process.targets.values_mut().for_each(|t| t.view_due = true);
        // Some see it before the answer, some after it.
        for edge in 0..self.links.len() {
            if self.dice.chance(50) {
                self.show_view(site, edge);
            }
        }
    }

    pub fn show_view(&mut self, site: usize, edge: usize) -> bool {
        let Some(process) = &mut self.sites[site].process else {
            return false;
        };
        let view = Arc::clone(&process.view);
        let mut shown = false;
        if let Some(end) = process.sources.get_mut(&edge)
            && std::mem::take(&mut end.view_due)
        {
            shown = true;
            self.source_input(edge, SourceInput::View(Arc::clone(&view)));
        }
        let process = self.sites[site].process.as_mut();
        if let Some(end) = process.and_then(|p| p.targets.get_mut(&edge))
            && std::mem::take(&mut end.view_due)
        {
            shown = true;
            self.target_input(edge, TargetInput::View(view));
        }
        shown
    }

    fn commit_now(
        &mut self,
        site: usize,
        batch: &tidelog_store::WriteBatch,
    ) -> Result<(), CommitError> {
        now(self.sites[site].store.commit(batch))?;
        self.oracle.committed(site, batch);
        Ok(())
    }

    /// The database does what it was asked, says that it cannot, or says nothing.
    pub fn operate(&mut self, site: usize) -> bool {
        let Some(process) = &mut self.sites[site].process else {
            return false;
        };
        let Some(operation) = process.operation.take() else {
            return false;
        };
        let store = &self.sites[site].store;
        let broken = self.hostile && self.dice.chance(4);
        let unavailable = || StoreError::Unavailable("simulated".into());
        let input = match operation {
            Operation::Check(_) if broken => Input::Checked(Err(unavailable())),
            Operation::Check(query) => Input::Checked(now(store.check(&query))),
            Operation::Find(ids) => Input::Found(now(store.find(&ids))),
            Operation::Commit(_) if broken => {
                Input::Committed(Err(CommitError::Failed(unavailable())))
            }
            Operation::Commit(batch) => {
                let silent = self.hostile && self.dice.chance(8);
                if silent && self.dice.chance(50) {
                    Input::Committed(Err(CommitError::Unknown("simulated".into())))
                } else {
                    let outcome = self.commit_now(site, &batch);
                    Input::Committed(if silent {
                        Err(CommitError::Unknown("simulated".into()))
                    } else {
                        outcome
                    })
                }
            }
            Operation::Resolve(_) if broken => {
                if self.dice.chance(50) {
                    self.now += 11_000_000;
                }
                Input::Resolved(Err(unavailable()))
            }
            Operation::Resolve(planned_head) => {
                let (nonce, state) = self.sites[site].take_lease();
                let store = &self.sites[site].store;
                let hash = now(store.hash_at(planned_head)).expect("memory can be read");
                Input::Resolved(Ok(Resolution {
                    nonce: Some(nonce),
                    state,
                    hash_at_planned_head: hash,
                }))
            }
        };
        self.writer_input(site, input);
        true
    }

    // ---- edges ----

    pub fn connect(&mut self, edge: usize) -> bool {
        let e = self.topology.edges[edge];
        let link = &mut self.links[edge];
        let ready =
            self.sites[e.source].process.is_some() && self.sites[e.target].process.is_some();
        if link.up || link.paused || !ready {
            return false;
        }
        link.up = true;
        link.connection += 1;
        let stream = self.dice.id();
        self.target_input(edge, TargetInput::Connected(stream));
        true
    }

    pub fn disconnect(&mut self, edge: usize) {
        let link = &mut self.links[edge];
        if !std::mem::take(&mut link.up) {
            return;
        }
        link.connection += 1;
        let lost = std::mem::take(&mut link.messages);
        if self.hostile {
            let kept = lost.into_iter().filter(|_| self.dice.chance(20));
            link.held.extend(kept);
        }
        let e = self.topology.edges[edge];
        if let Some(process) = &mut self.sites[e.source].process
            && let Some(end) = process.sources.get_mut(&edge)
        {
            end.lookup = None;
            end.machine.disconnected();
        }
        self.target_input(edge, TargetInput::Disconnected("simulated".into()));
    }

    pub fn source_input(&mut self, edge: usize, input: SourceInput) {
        let site = self.topology.edges[edge].source;
        let time = self.now;
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        let Some(end) = process.sources.get_mut(&edge) else {
            return;
        };
        let effects = end.machine.handle(input, time);
        for effect in effects {
            self.source_effect(edge, effect);
        }
    }

    fn source_effect(&mut self, edge: usize, effect: SourceEffect) {
        let site = self.topology.edges[edge].source;
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        let Some(end) = process.sources.get_mut(&edge) else {
            return;
        };
        match effect {
            SourceEffect::NeedHash(position) => end.lookup = Some(Lookup::Hash(position)),
            SourceEffect::Read { after, to } => end.lookup = Some(Lookup::Read { after, to }),
            SourceEffect::Opened(opened) => {
                self.oracle
                    .opened(edge, opened.stream, opened.position, opened.hash);
                self.links[edge].messages.push(Message::Opened(opened));
            }
            SourceEffect::Refused(refused) => {
                self.links[edge].messages.push(Message::Refused(refused));
            }
            SourceEffect::Frame(frame) => {
                self.oracle.sent(edge, &frame);
                self.links[edge].messages.push(Message::Frame(frame));
            }
            SourceEffect::Close(_) => self.disconnect(edge),
            SourceEffect::AskProof(question) => {
                unreachable!("every loss is noticed here, but {question} is asked for")
            }
            SourceEffect::LossProven(event) => unreachable!("{} proves a loss", event.event.id),
        }
    }

    pub fn look(&mut self, edge: usize) -> bool {
        let site = self.topology.edges[edge].source;
        let Some(process) = &mut self.sites[site].process else {
            return false;
        };
        let end = process.sources.get_mut(&edge);
        let Some(lookup) = end.and_then(|end| end.lookup.take()) else {
            return false;
        };
        let input = self.sites[site].look(&lookup, &mut self.dice);
        self.source_input(edge, input);
        true
    }

    pub fn target_input(&mut self, edge: usize, input: TargetInput) {
        let site = self.topology.edges[edge].target;
        let time = self.now;
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        let Some(end) = process.targets.get_mut(&edge) else {
            return;
        };
        let effects = end.machine.handle(input, time);
        for effect in effects {
            self.target_effect(edge, effect);
        }
    }

    fn target_effect(&mut self, edge: usize, effect: TargetEffect) {
        let e = self.topology.edges[edge];
        let connection = self.links[edge].connection;
        let Some(process) = &mut self.sites[e.target].process else {
            return;
        };
        match effect {
            TargetEffect::Open(open) => self.links[edge].messages.push(Message::Open(open)),
            TargetEffect::Credit(credit) => self.links[edge].messages.push(Message::Credit(credit)),
            TargetEffect::Apply(work) => {
                let ticket = process.ticket(Waiting::Frame { edge, connection });
                self.writer_input(e.target, Input::Work(ticket, Work::Frame(work)));
            }
            TargetEffect::GoBack(progress) => {
                let ticket = process.ticket(Waiting::GoBack { edge, connection });
                let source = self.topology.names[e.source].clone();
                self.writer_input(
                    e.target,
                    Input::Work(ticket, Work::GoBack(source, progress)),
                );
            }
            TargetEffect::FindVoided(_) => unreachable!("nothing is taken back here"),
            TargetEffect::Close(_, _) => self.disconnect(edge),
        }
    }

    /// Brings one message to its end. Hostile networks choose any, lose, double, and bring what they held back of earlier connections.
    pub fn deliver(&mut self, edge: usize) -> bool {
        let link = &mut self.links[edge];
        if self.hostile && !link.held.is_empty() && self.dice.chance(10) {
            let number = self.dice.below(link.held.len());
            let message = link.held.swap_remove(number);
            self.hand_over(edge, message);
            return true;
        }
        if link.messages.is_empty() {
            return false;
        }
        let number = if self.hostile && self.dice.chance(15) {
            self.dice.below(link.messages.len())
        } else {
            0
        };
        let message = link.messages.remove(number);
        if self.hostile {
            if self.dice.chance(3) {
                return true;
            }
            if self.dice.chance(5) {
                link.held.push(message.clone());
            }
        }
        self.hand_over(edge, message);
        true
    }

    fn hand_over(&mut self, edge: usize, message: Message) {
        self.delivered += 1;
        match message {
            Message::Open(open) => self.source_input(edge, SourceInput::Open(open)),
            Message::Credit(credit) => self.source_input(edge, SourceInput::Credit(credit)),
            Message::Opened(opened) => self.target_input(edge, TargetInput::Opened(opened)),
            Message::Refused(refused) => self.target_input(edge, TargetInput::Refused(refused)),
            Message::Frame(frame) => self.target_input(edge, TargetInput::Frame(frame)),
        }
    }

    // ---- clients ----

    fn new_event(&mut self, number: usize, index: usize) -> NewEvent {
        let padding = if self.dice.chance(5) {
            2_000
        } else {
            self.dice.below(30)
        };
        NewEvent {
            event_type: format!("c{}", self.dice.below(3)),
            payload: Bytes::from(format!("{number} {}", "x".repeat(padding))),
            aggregate_id: format!("k{}", self.dice.below(3)),
            metadata: [("index".to_owned(), index.to_string())].into(),
            ..NewEvent::default()
        }
    }

    pub fn append(&mut self, site: usize) {
        if self.oracle.is_full() || self.sites[site].process.is_none() {
            return;
        }
        let number = self.oracle.asked.len();
        let events = (0..=self.dice.below(3))
            .map(|i| self.new_event(number, i))
            .collect();
        let session = self
            .dice
            .chance(40)
            .then(|| self.dice.below(self.sessions.len()));
        let session = session.map(|s| self.sessions[s].clone());
        let head = self.sites[site].process.as_ref().map_or(0, |p| p.view.head);
        let condition = self.dice.chance(20).then(|| Condition {
            keys: vec!["k0".into()],
            types: Vec::new(),
            after: Position::new(tidelog_model::Incarnation(0), head),
        });
        let request = AppendRequest {
            events,
            request_id: if self.dice.chance(40) {
                format!("r{number}")
            } else {
                String::new()
            },
            context: session.as_ref().map(|s| s.context.clone()),
            condition,
        };
        self.oracle.asked.push(Asked {
            site,
            seen: session.map(|s| s.seen),
            request,
            retried: false,
            refused: false,
            unknown: false,
            answered: false,
        });
        self.ask(number);
    }

    fn ask(&mut self, number: usize) {
        let asked = &self.oracle.asked[number];
        let (site, request) = (asked.site, asked.request.clone());
        if let Some(process) = &mut self.sites[site].process {
            let ticket = process.ticket(Waiting::Request(number));
            self.writer_input(site, Input::Append(ticket, request));
        }
    }

    /// Tries again what was asked under a request id and is not known to be refused.
    pub fn retry(&mut self) {
        if self.oracle.asked.is_empty() || self.oracle.is_full() {
            return;
        }
        let number = self.dice.below(self.oracle.asked.len());
        let asked = &mut self.oracle.asked[number];
        if asked.refused || asked.request.request_id.is_empty() {
            return;
        }
        asked.retried = true;
        self.ask(number);
    }

    /// A session reads some of what is published somewhere, in order from the start or a single event.
    pub fn read(&mut self, site: usize) {
        let rows = self.sites[site].read();
        if rows.is_empty() {
            return;
        }
        let number = self.dice.below(self.sessions.len());
        let last = self.dice.below(rows.len());
        let first = if self.dice.chance(50) { 0 } else { last };
        for stored in &rows[first..=last] {
            let seen = self.oracle.closed(self.oracle.bit(&stored.event.id));
            let session = &mut self.sessions[number];
            session.context.merge(&stored.event.vector_time());
            session.seen |= seen;
        }
    }
}
