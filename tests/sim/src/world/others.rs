//! Who else is there under the name of a location: a standby process, an older copy in the running server.

use tidelog_core::{Input, ProvenHead, StopReason};

use super::World;
use crate::operator::Place;
use crate::site::Remembered;

impl World {
    /// Another process takes the lease. The one that had it remembers what it left, and may be the next one.
    pub fn take_over(&mut self, site: usize) -> bool {
        if !self.serving(site) {
            return false;
        }
        self.stop_and_decide(site, StopReason::Fenced);
        let fenced = self.sites[site].process.as_ref();
        let Some(mut remembered) = fenced.filter(|p| !p.serving).map(|p| p.remembered.clone())
        else {
            // It died on the way, or is not done yet.
            return true;
        };
        self.crash(site);
        if let Some(operated) = &mut self.sites[site].operated {
            remembered.place = Place::There(Box::new(std::mem::take(&mut operated.pod)));
        }
        self.sites[site].standby = Some(remembered);
        self.start_with(site, Remembered::default())
    }

    /// A server is started anew, with all that it held: it is another instance, and nothing is lost.
    pub fn restart_server(&mut self, site: usize) -> bool {
        let here = &mut self.sites[site];
        if here.server {
            here.generation += 1;
        }
        here.server
    }

    /// An older copy is put back into the running server, under the hands of its writer or of one that has just taken over: the instance is
    /// the same as before. Contract, section 4: "the append statement checks incarnation, nonce and that the stored head equals the head in the
    /// writer's memory. Any mismatch [...] stops the writer and starts detection (7)", and there: "Not proven [...]: raise". Only a process that
    /// lives through it can notice, so none dies until one of them has.
    pub fn put_back(&mut self, site: usize) -> bool {
        let here = &self.sites[site];
        let now = &self.oracle.ledgers[site];
        let copies = here.backups.iter().enumerate();
        let older = copies
            .filter(|(_, (_, copy))| copy.begins(now))
            .map(|(n, _)| n);
        let older: Vec<_> = older.collect();
        let process = here.process.as_ref();
        let alive = process.map_or(here.standby.is_some(), |p| !p.ending);
        if !here.server || !alive || older.is_empty() {
            return false;
        }
        let number = older[self.dice.below(older.len())];
        let hostile = std::mem::replace(&mut self.hostile, false);
        let successor = self.sites[site].standby.clone();
        let by_successor =
            successor.filter(|_| self.sites[site].process.is_none() || self.dice.chance(50));
        if let Some(remembered) = &by_successor {
            // The process between the two is gone, and with it what it remembers: nothing that it wrote is to be lost with it.
            if !self.left_everything(site, remembered) {
                self.hostile = hostile;
                return false;
            }
            self.crash(site);
        }
        let generation = self.sites[site].generation;
        let ledger = self.sites[site]
            .restore(number, true)
            .expect("it has served");
        self.sites[site].generation = generation;
        self.sites[site].zombie = None;
        let to = self.sites[site].state().incarnation();
        self.oracle.restore(site, ledger, to);
        if let Some(remembered) = by_successor {
            self.sites[site].standby = None;
            self.start_with(site, remembered);
        } else {
            self.stop_and_decide(site, StopReason::Fenced);
            self.start(site);
        }
        self.hostile = hostile;
        true
    }

    /// Stops a writer from outside and lets the database answer what is under way.
    fn stop_and_decide(&mut self, site: usize, reason: StopReason) {
        if self.serving(site) {
            self.writer_input(site, Input::Stop(reason));
        }
        while self.serving(site) && self.operate(site) {}
    }
    /// Whether a process remembers all that a database holds by now, in the incarnation in force.
    fn left_everything(&self, site: usize, remembered: &Remembered) -> bool {
        let ledger = &self.oracle.ledgers[site];
        let head = ProvenHead {
            sequence: ledger.rows.len() as u64,
            hash: ledger.chain.last().copied().unwrap_or_default(),
        };
        let incarnation = self.sites[site].state().incarnation();
        remembered.memory.left == Some(head) && remembered.served == incarnation
    }
}
