//! All locations and what is on its way between them; one step at a time.

mod clients;
mod clones;
mod edges;
mod late;
mod lives;
mod others;
mod writers;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tidelog_core::{Credit, Frame, FrameEvent, Open, Opened, Refused};
use tidelog_model::{EventId, VectorTime};

pub use clones::Twin;

use crate::counts::Counts;
use crate::dice::{Dice, Part};
use crate::filters::Filters;
use crate::oracle::{Oracle, Seen, Set};
use crate::site::{Process, Site};
use crate::step::Chosen;
use crate::topology::{Shape, Topology};
use crate::trace::Trace;

/// How often an edge stalls, once everything works again, before it is left to a person.
const STALLS_MAX: u32 = 8;

/// How long a frame without events waits for company.
pub const DELAY: i64 = 20_000;

#[derive(Clone)]
pub enum Message {
    Open(Box<Open>),
    Credit(Credit),
    Opened(Box<Opened>),
    Refused(Box<Refused>),
    Frame(Box<Frame>),
    /// A source asks for the proof of a loss.
    Wanted(u64, EventId),
    /// The event that was asked for, or that there is none.
    Shown(u64, Option<FrameEvent>),
}

impl Message {
    /// For the hash of a trace.
    pub fn kind(&self) -> (u8, u64, u64) {
        match self {
            Self::Open(open) => (0, open.stream, open.position),
            Self::Credit(credit) => (1, credit.stream, credit.progress),
            Self::Opened(opened) => (2, opened.stream, opened.position),
            Self::Refused(refused) => (3, refused.stream, 0),
            Self::Frame(frame) => (4, frame.from, frame.to),
            Self::Wanted(stream, id) => (5, *stream, id.sequence),
            Self::Shown(stream, event) => (6, *stream, u64::from(event.is_some())),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(open) => write!(f, "{open:?}"),
            Self::Credit(credit) => write!(f, "{credit:?}"),
            Self::Opened(opened) => write!(f, "{opened:?}"),
            Self::Refused(refused) => write!(f, "{refused:?}"),
            Self::Wanted(_, id) => write!(f, "Wanted {id}"),
            Self::Shown(_, event) => write!(f, "Shown {event:?}"),
            Self::Frame(frame) => {
                let ids = frame.events.iter().map(|e| e.event.id.to_string());
                let ids: Vec<_> = ids.collect();
                write!(f, "Frame ({}, {}] {ids:?}", frame.from, frame.to)?;
                write!(f, " stream {} covers {}", frame.stream, frame.covered)
            }
        }
    }
}

/// The connection of one edge, and what the network holds back of earlier ones.
#[derive(Default)]
pub struct Link {
    pub up: bool,
    pub paused: bool,
    /// Not in the plan for now.
    pub removed: bool,
    /// The writer at one of its ends is no more; whoever drives it has not noticed yet.
    pub close_due: bool,
    connection: u64,
    /// How often it has stalled since everything works again.
    stalls: u32,
    pub messages: Vec<Message>,
    held: Vec<Message>,
}

/// A client that reads and writes where it likes, and says only what it has seen.
#[derive(Clone, Default)]
pub struct Session {
    context: VectorTime,
    seen: Set,
    /// What it has read at each location, in order, up to a position.
    readings: HashMap<usize, Seen>,
}

/// Which filters change in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FiltersChange {
    Never,
    /// Those of what is appended.
    Exports,
    All,
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
    /// The location at whose original something happens, beside its clone: no peer notices.
    pub apart: Option<usize>,
    pub counts: Counts,
    pub trace: Trace,
    /// What was carried out so far.
    pub chosen: Vec<Chosen>,
    /// A lost witness and a clock that steps back may not come together: nothing could tell then which incarnations were used.
    pub clocks_step_back: bool,
    /// Clocks are wrong by hours and not by seconds: their order is not believed then.
    pub clocks_are_wild: bool,
    /// Which filters the plan may change.
    pub filters_change: FiltersChange,
    /// Copies come back with their witness.
    pub loses_unnoticed: bool,
    /// How often.
    unnoticed: u32,
    /// Operators keep the witnesses of locations with a server.
    pub operated: bool,
    /// Databases fail over again and again.
    pub fails_over: bool,
    window: u64,
    frame_events_max: usize,
    frame_bytes_max: usize,
    scan_rows_max: usize,
}

impl World {
    pub fn new(topology: Topology, seed: u64, with_lines: bool) -> Self {
        let mut dice = Dice::new(seed, Part::World);
        let topology = Arc::new(topology);
        let sites = topology.names.iter().cloned().enumerate();
        let sites = sites.map(|(i, name)| Site::new(name, &mut Dice::new(seed, Part::Site(i))));
        let filters_change = match dice.below(100) {
            // What is lost in a refused graph is to be the fault of the graph.
            _ if topology.shape == Shape::Refused => FiltersChange::Never,
            0..60 => FiltersChange::Never,
            60..75 => FiltersChange::Exports,
            _ => FiltersChange::All,
        };
        let links_change = filters_change == FiltersChange::All;
        let filters = Filters::new(Arc::clone(&topology), links_change);
        let fails_over = dice.chance(50);
        let clocks_are_wild = dice.chance(30);
        let clocks_step_back = dice.chance(50);
        let links = topology.edges.iter().map(|_| Link::default()).collect();
        Self {
            now: 1_700_000_000_000_000,
            sites: sites.collect(),
            links,
            oracle: Oracle::new(filters, Arc::clone(&topology), !clocks_are_wild),
            sessions: vec![Session::default(); 3],
            hostile: true,
            delivered: 0,
            apart: None,
            counts: Counts::default(),
            trace: Trace::new(with_lines),
            chosen: Vec::new(),
            filters_change,
            // A witness that went back and a clock that was set back are more than anybody could notice.
            loses_unnoticed: !clocks_step_back
                && topology.shape != Shape::Refused
                && dice.chance(25),
            unnoticed: 0,
            operated: false,
            clocks_step_back,
            clocks_are_wild,
            fails_over,
            window: 300 + dice.below(4_000) as u64,
            frame_events_max: 1 + dice.below(5),
            frame_bytes_max: 100 + dice.below(2_000),
            scan_rows_max: 1 + dice.below(6),
            topology,
            dice,
        }
    }

    /// Lets operators keep the witnesses of all locations with a server, and gives most of them one.
    pub fn employ_operators(&mut self) {
        self.operated = true;
        for site in &mut self.sites {
            site.server |= self.dice.chance(60);
            site.operated = site.server.then(Box::default);
            if let Some(operated) = &mut site.operated {
                operated.reliable = self.clocks_step_back;
            }
        }
    }

    /// Mostly an edge at which there is something to do, if there is one.
    pub fn busy_edge(&mut self, drawn: usize, busy: impl Fn(&Link) -> bool) -> usize {
        let edges = (0..self.links.len()).filter(|e| busy(&self.links[*e]));
        self.prefer(drawn, edges.collect())
    }

    /// Mostly an edge whose source waits for a look into its log.
    pub fn looking_edge(&mut self, drawn: usize) -> usize {
        let looks = |process: &Process, edge: &usize| {
            let end = process.sources.get(edge);
            end.is_some_and(|end| end.lookup.is_some())
        };
        let edges = (0..self.links.len()).filter(|edge| {
            let site = &self.sites[self.topology.edges[*edge].source];
            site.process.as_ref().is_some_and(|p| looks(p, edge))
        });
        self.prefer(drawn, edges.collect())
    }

    /// Mostly a location at which there is something to do, if there is one.
    pub fn busy_site(&mut self, drawn: usize, busy: impl Fn(&Process) -> bool) -> usize {
        let busy = |site: &usize| self.sites[*site].process.as_ref().is_some_and(&busy);
        let sites = (0..self.sites.len()).filter(busy).collect();
        self.prefer(drawn, sites)
    }

    /// Mostly a location without a writer, if there is one.
    pub fn resting_site(&mut self, drawn: usize) -> usize {
        let sites = (0..self.sites.len()).filter(|site| !self.serving(*site));
        self.prefer(drawn, sites.collect())
    }

    /// Mostly a location whose database is a clone, if there is one.
    pub fn cloned_site(&mut self, drawn: usize) -> usize {
        let sites = (0..self.sites.len()).filter(|site| self.sites[*site].twin.is_some());
        self.prefer(drawn, sites.collect())
    }

    fn prefer(&mut self, drawn: usize, busy: Vec<usize>) -> usize {
        if busy.is_empty() || self.dice.chance(10) {
            return drawn;
        }
        busy[self.dice.below(busy.len())]
    }

    /// Where everybody is, for whoever replays a run.
    pub fn show(&mut self) {
        for site in &self.sites {
            let state = site.state();
            let line = format!(
                "{} {:?} head {} VV {} KV {}",
                site.name,
                state.lineage.entries(),
                state.head,
                state.version_vector,
                state.covered_vector
            );
            self.trace.say(|| line);
        }
        for (i, edge) in self.topology.edges.iter().enumerate() {
            let target = self.sites[edge.target].process.as_ref();
            let source = self.sites[edge.source].process.as_ref();
            let standing = source.and_then(|p| p.sources[&i].machine.standing());
            let status = target.map(|p| p.targets[&i].machine.status().clone());
            let line = format!("{edge:?} up {} {standing:?} {status:?}", self.links[i].up);
            self.trace.say(|| line);
        }
    }
}
