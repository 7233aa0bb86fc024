//! Clones: two databases under the name of one location, both with a writer.
//!
//! Of the two the clone is the one that peers talk to; the original is cut off from them, and clients still reach it. Contract, section 7: a start
//! continues only where continuity is proven, for a server by "the same database instance as the witness recorded"; a clone is another
//! instance, so it raises, and what both write never has the same ids (I9). What was acknowledged at the original survives while its
//! database does (I1): it comes back when that database is put in the place of the clone, which raises again. (Two databases that are both proven by one
//! witness file, and two that both talk to peers, are beyond what is promised: there one is a loss that is noticed late.)

use std::mem::{swap, take};

use tidelog_store::MemoryStore;

use super::World;
use crate::operator::Pod;
use crate::oracle::Ledger;
use crate::site::{Process, Remembered};

/// The original beside its clone.
pub struct Twin {
    store: MemoryStore,
    generation: u64,
    process: Option<Process>,
    version: u8,
    ledger: Ledger,
    live: u64,
    pod: Pod,
}

impl World {
    /// A copy of the database as it is starts to serve somewhere else, and nobody stops the original.
    pub fn clone_database(&mut self, site: usize) -> bool {
        let here = &self.sites[site];
        if !here.server
            || here.twin.is_some()
            || !self.serving(site)
            || !self.oracle.all_shown(site)
        {
            return false;
        }
        for edge in 0..self.links.len() {
            let e = self.topology.edges[edge];
            if e.source == site || e.target == site {
                self.disconnect(edge);
            }
        }
        let copy = self.sites[site].copy();
        let here = &mut self.sites[site];
        let original = std::mem::replace(&mut here.store, copy);
        let mut process = here.process.take();
        if let Some(process) = &mut process {
            process.sources.clear();
            process.targets.clear();
        }
        here.twin = Some(Box::new(Twin {
            store: original,
            generation: here.generation,
            process,
            version: here.version,
            ledger: self.oracle.ledgers[site].clone(),
            live: self.oracle.live[site],
            pod: here
                .operated
                .as_mut()
                .map(|o| take(&mut o.pod))
                .unwrap_or_default(),
        }));
        here.generation += 1;
        here.standby = None;
        self.oracle.cloned();
        self.start_with(site, Remembered::default())
    }

    /// Clients write and read at the original as if nothing had happened.
    pub fn write_at_the_original(&mut self, site: usize) -> bool {
        if self.sites[site].twin.is_none() {
            return false;
        }
        self.trace.say(|| "  at the original");
        self.change_places(site);
        self.append(site);
        for _ in 0..=self.dice.below(4) {
            self.go(site);
            self.operate(site);
        }
        if self.dice.chance(30) {
            self.read(site);
        }
        self.change_places(site);
        true
    }

    /// The original is stopped. Its database takes the place of the clone's, now or when it is chosen among the kept copies, or is thrown away.
    pub fn end_the_original(&mut self, site: usize) -> bool {
        if self.sites[site].twin.is_none() {
            return false;
        }
        self.change_places(site);
        self.crash(site);
        self.sites[site].changed = true;
        let kept = self.hostile && self.backup(site);
        self.change_places(site);
        self.sites[site].changed = true;
        self.sites[site].twin = None;
        if kept && self.dice.chance(50) {
            self.crash(site);
            self.restore_number(site, self.sites[site].backups.len() - 1);
        }
        true
    }

    /// The original becomes what is looked at under the name of the location, and the clone waits; or the other way round.
    fn change_places(&mut self, site: usize) {
        let here = &mut self.sites[site];
        let Some(twin) = &mut here.twin else {
            return;
        };
        swap(&mut here.store, &mut twin.store);
        swap(&mut here.generation, &mut twin.generation);
        swap(&mut here.process, &mut twin.process);
        swap(&mut here.version, &mut twin.version);
        if let Some(operated) = &mut here.operated {
            swap(&mut operated.pod, &mut twin.pod);
        }
        swap(&mut self.oracle.ledgers[site], &mut twin.ledger);
        swap(&mut self.oracle.live[site], &mut twin.live);
        self.apart = match self.apart {
            None => Some(site),
            Some(_) => None,
        };
    }
}
