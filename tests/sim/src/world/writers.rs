//! Writers and their databases.

use std::sync::Arc;

use tidelog_core::{
    Effect, FrameOutcome, Input, LogView, ProvenHead, Resolution, SourceInput, StopReason,
    TargetInput,
};
use tidelog_store::{CommitError, LogStore, StoreError};

use super::World;
use crate::site::{Operation, Waiting, now};

impl World {
    pub fn writer_input(&mut self, site: usize, input: Input) {
        let time = self.time_at(site);
        let Some(process) = &mut self.sites[site].process else {
            return;
        };
        for effect in process.writer.handle(input, time) {
            if self.hostile && self.dice.rarely(3) {
                self.counts.add("fault: died between two effects");
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
                let writer = process.remembered.writer;
                let here = &mut self.sites[site];
                let head = ProvenHead {
                    sequence: head,
                    hash,
                };
                if let Some(operated) = &mut here.operated {
                    operated.committed(head);
                } else if here.is_named(writer) {
                    here.witness.get_or_insert_default().committed = (!here.server).then_some(head);
                }
            }
            Effect::Publish { events, view } => {
                self.oracle.published(site, &events);
                self.publish(site, Arc::new(*view));
            }
            Effect::Answer(ticket, answer) => {
                if let Some(Waiting::Request(number)) = process.waiting.remove(&ticket) {
                    self.trace.add((number, answer.is_ok()));
                    self.trace.say(|| match &*answer {
                        Ok(accepted) => format!("request {number}: {:?}", accepted.ids),
                        Err(refusal) => format!("request {number}: {refusal}"),
                    });
                    self.oracle.answered(site, number, &answer);
                }
            }
            Effect::WorkDone(ticket, outcome) => {
                let waiting = process.waiting.remove(&ticket);
                self.work_done_for(waiting, outcome);
            }
            Effect::Stop(StopReason::ShutDown) => {
                let view = Arc::clone(&process.view);
                let writer = process.remembered.writer;
                let head = ProvenHead {
                    sequence: view.head,
                    hash: view.hash,
                };
                let here = &mut self.sites[site];
                if let Some(operated) = &mut here.operated {
                    operated.stopped(head, &mut self.dice);
                } else if here.is_named(writer) {
                    let witness = here.witness.get_or_insert_default();
                    witness.clean_stop = Some(head);
                    witness.committed = None;
                }
                self.crash(site);
            }
            Effect::Stop(reason) => {
                if let StopReason::LossProven(event) = &reason {
                    self.oracle.proven(site, &event.event.id);
                }
                self.stopped(site, &reason);
            }
        }
    }

    fn work_done_for(&mut self, waiting: Option<Waiting>, outcome: FrameOutcome) {
        match waiting {
            Some(Waiting::Frame { edge, connection }) => {
                self.work_done(edge, connection, TargetInput::Applied(outcome));
            }
            Some(Waiting::GoBack { edge, connection }) => {
                self.work_done(edge, connection, TargetInput::WentBack(outcome));
            }
            Some(Waiting::Request(_)) | None => {}
        }
    }

    fn work_done(&mut self, edge: usize, connection: u64, input: TargetInput) {
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

    pub fn serving(&self, site: usize) -> bool {
        self.sites[site].process.as_ref().is_some_and(|p| p.serving)
    }

    /// The writer is stopped from outside: somebody took the lease for a moment.
    pub fn stop(&mut self, site: usize) -> bool {
        let serving = self.serving(site);
        if serving {
            self.writer_input(site, Input::Stop(StopReason::Fenced));
        }
        serving
    }

    /// A look at the database, beside what is written: is it the one in which the lease was taken?
    pub fn keep_lease(&mut self, site: usize) -> bool {
        let there = self.sites[site].generation;
        let process = self.sites[site].process.as_ref();
        let changed = process.is_some_and(|p| p.serving && p.leased_in != there);
        if changed {
            let reason = StopReason::StateChanged("another database".into());
            self.writer_input(site, Input::Stop(reason));
        }
        changed
    }

    pub fn frames_wait(&self, site: usize) -> bool {
        let process = self.sites[site].process.as_ref();
        process.is_some_and(|p| p.serving && !p.inbox.is_empty())
    }

    /// Hands in what has arrived and lets the writer begin.
    pub fn go(&mut self, site: usize) -> bool {
        let mut moved = false;
        while !(self.hostile && self.dice.chance(20))
            && let Some(process) = &mut self.sites[site].process
            && process.serving
            && let Some((epoch, ticket, work)) = process.inbox.pop_front()
        {
            moved = true;
            if epoch == process.epoch {
                self.writer_input(site, Input::Work(ticket, work));
            } else {
                // It may leave out what the log of that time held and this one does not.
                let waiting = process.waiting.remove(&ticket);
                let refused = FrameOutcome::Failed("of an earlier writer".into());
                self.work_done_for(waiting, refused);
            }
        }
        self.writer_input(site, Input::Go);
        moved
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

    pub(super) fn commit_now(
        &mut self,
        site: usize,
        batch: &tidelog_store::WriteBatch,
    ) -> Result<(), CommitError> {
        now(self.sites[site].store.commit(batch))?;
        self.sites[site].changed = true;
        self.trace.add(batch.hash.0);
        self.trace.say(|| {
            let ids: Vec<_> = batch
                .events
                .iter()
                .map(|s| s.event.id.to_string())
                .collect();
            let name = &self.topology.names[site];
            format!("{name} commits {ids:?}, progress {:?}", batch.progress)
        });
        let version = self.sites[site].application_version();
        self.oracle.committed(site, batch, &version);
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
        let elsewhere = process.leased_in != self.sites[site].generation;
        let store = &self.sites[site].store;
        let broken = self.hostile && self.dice.chance(4);
        if broken {
            self.counts.add("fault: a store operation failed");
        }
        let unavailable = || StoreError::Unavailable("simulated".into());
        let input = match operation {
            Operation::Check(_) if broken || elsewhere => Input::Checked(Err(unavailable())),
            Operation::Check(query) => Input::Checked(now(store.check(&query))),
            Operation::Find(_) if elsewhere => Input::Found(Err(unavailable())),
            Operation::Find(ids) => Input::Found(now(store.find(&ids))),
            Operation::Commit(_) if broken => {
                Input::Committed(Err(CommitError::Failed(unavailable())))
            }
            // Whoever writes looks at the database behind each new connection first.
            Operation::Commit(_) if elsewhere => {
                let instance = || Box::new(now(store.instance()).expect("memory has one"));
                Input::Committed(Err(CommitError::AnotherDatabase {
                    leased: instance(),
                    found: instance(),
                }))
            }
            Operation::Commit(batch) => {
                let silent = self.hostile && self.dice.chance(8);
                if silent {
                    self.counts.add("fault: a commit of unknown outcome");
                }
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
                    self.counts
                        .add("fault: an outcome stays unknown for too long");
                    self.now += 11_000_000;
                }
                Input::Resolved(Err(unavailable()))
            }
            Operation::Resolve(planned_head) => {
                Input::Resolved(Ok(self.resolve(site, planned_head)))
            }
        };
        self.writer_input(site, input);
        true
    }

    /// Takes the lease anew and looks. Whoever finds it held under a nonce that is not the last one of its own was not alone.
    fn resolve(&mut self, site: usize, planned_head: u64) -> Resolution {
        let site = &mut self.sites[site];
        let found = site.state().lease.map(|lease| lease.nonce);
        let (nonce, state) = site.take_lease();
        let hash = now(site.store.hash_at(planned_head)).expect("memory can be read");
        let mut alone = false;
        if let Some(process) = &mut site.process {
            alone = found == Some(process.nonce);
            process.nonce = nonce;
            process.leased_in = site.generation;
        }
        Resolution {
            nonce: alone.then_some(nonce),
            state,
            hash_at_planned_head: hash,
        }
    }
}
