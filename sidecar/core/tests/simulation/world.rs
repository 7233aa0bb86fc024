//! All locations and what is on its way between them; one step at a time.

mod clients;
mod edges;
mod lives;
mod writers;

use std::sync::Arc;

use tidelog_core::{Credit, Frame, Open, Opened, Refused};
use tidelog_model::VectorTime;

use crate::dice::Dice;
use crate::oracle::{Oracle, Set};
use crate::site::Site;
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
    /// The writer at one of its ends is no more; whoever drives it has not noticed yet.
    pub close_due: bool,
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
    /// Databases fail over again and again.
    pub fails_over: bool,
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
        let fails_over = topology.shape.survives_restores() && dice.chance(50);
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
            fails_over,
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
}
