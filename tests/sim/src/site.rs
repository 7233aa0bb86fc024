//! One location: a disk that survives, a witness, and a process that does not. A process may see several writers: one that stops is followed
//! by another, which takes over streams and queues that nobody has closed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tidelog_core::{
    FrameEvent, LogView, Memory, ProvenHead, Source, SourceInput, Target, Ticket, Witness, Work,
    Writer, WriterLimits,
};
use tidelog_model::{ApplicationVersion, ChainHash, Incarnation, LocationName, Selector};
use tidelog_store::{
    CheckQuery, Lease, LeaseOutcome, LogState, LogStore, MemorySnapshot, MemoryStore, Page, Raise,
    ReadQuery, WriteBatch,
};

use crate::dice::Dice;
use crate::operator::{Operated, Place};
use crate::oracle::Ledger;
use crate::world::Twin;

/// The memory store never waits.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the memory store never waits")
}

/// What a database held at some moment.
pub type Copy = (MemorySnapshot, Ledger);

pub struct Site {
    pub name: LocationName,
    pub store: MemoryStore,
    pub witness: Option<Witness>,
    /// Something was written since the last copy.
    pub changed: bool,
    pub backups: Vec<Copy>,
    pub process: Option<Process>,
    /// Another process, which served before and waits for the lease to be free again.
    pub standby: Option<Remembered>,
    /// A loss was noticed late, and this was written anew: the oracle is still to be told.
    pub rewrote: Option<Raise>,
    /// The original of this database, when this one is a clone and both serve.
    pub twin: Option<Box<Twin>>,
    /// The database is a server: it outlives processes and tells when it was started, and the witness is told of that and not of commits.
    pub server: bool,
    /// The witness, where an operator keeps it.
    pub operated: Option<Box<Operated>>,
    /// What a dead process had sent to its database and is still on its way.
    pub zombie: Option<WriteBatch>,
    /// Which disk this is: another one after each restore.
    pub generation: u64,
    /// The version of the application that runs here: 1 to [`NEWEST`].
    pub version: u8,
    /// What its clock shows beyond the time that really is, in microseconds.
    pub clock_offset: i64,
    /// The disk at the last start.
    pub started_in: u64,
    /// What the witness was at earlier starts.
    pub witnesses: Vec<Witness>,
    nonce: u64,
    pub limits: WriterLimits,
}

/// The version that every location runs in the end.
pub const NEWEST: u8 = 3;

/// A store operation that the writer waits for.
pub enum Operation {
    Check(CheckQuery),
    Commit(Box<WriteBatch>),
    Find(Vec<tidelog_model::EventId>),
    Resolve(u64),
}

/// Whom an answer of the writer is for.
pub enum Waiting {
    Request(usize),
    Frame { edge: usize, connection: u64 },
    GoBack { edge: usize, connection: u64 },
}

impl Waiting {
    /// Work that a stream of this edge has given.
    pub fn is_for(&self, wanted: usize) -> bool {
        match self {
            Self::Frame { edge, .. } | Self::GoBack { edge, .. } => *edge == wanted,
            Self::Request(_) => false,
        }
    }
}

pub struct SourceEnd {
    pub machine: Source,
    /// A look into the log that the machine waits for.
    pub lookup: Option<Lookup>,
    /// The stream that was opened last.
    pub stream: u64,
    pub view_due: bool,
}

pub enum Lookup {
    Hash(u64),
    Read { after: u64, to: u64 },
}

pub struct TargetEnd {
    pub machine: Target,
    pub view_due: bool,
    /// The writer whose vectors the stream has declared.
    pub epoch: u64,
}

/// What a process knows of its last writer.
#[derive(Clone, Default)]
pub struct Remembered {
    pub memory: Memory,
    /// The event that proves a loss, if that is why it stopped.
    pub loss: Option<Box<FrameEvent>>,
    /// Where continuity was last proven in this process.
    pub proven: Option<ProvenHead>,
    /// The incarnation in which it served.
    pub served: Incarnation,
    /// Of its lease.
    pub nonce: u64,
    /// Of the lease under which it began: what the witness was told.
    pub writer: u64,
    /// Where it is.
    pub place: Place,
}

pub struct Process {
    pub writer: Writer,
    /// False once its writer has stopped, until the next one has proven what is there.
    pub serving: bool,
    /// It was told to shut down: nobody will remember what it leaves.
    pub ending: bool,
    /// Moves when a writer stops, and again when the next one serves: work of streams of another epoch is refused.
    pub epoch: u64,
    /// What the last writer left.
    pub remembered: Remembered,
    /// The disk in which the lease was taken.
    pub leased_in: u64,
    /// The nonce of the lease.
    pub nonce: u64,
    /// Replication work on its way to the writer, with the epoch of its stream.
    pub inbox: VecDeque<(u64, Ticket, Work)>,
    pub view: Arc<LogView>,
    pub operation: Option<Operation>,
    pub waiting: HashMap<Ticket, Waiting>,
    pub next_ticket: Ticket,
    pub sources: BTreeMap<usize, SourceEnd>,
    pub targets: BTreeMap<usize, TargetEnd>,
}

impl Process {
    pub fn ticket(&mut self, waiting: Waiting) -> Ticket {
        self.next_ticket += 1;
        self.waiting.insert(self.next_ticket, waiting);
        self.next_ticket
    }
}

impl Site {
    pub fn new(name: LocationName, dice: &mut Dice) -> Self {
        Self {
            name,
            store: disk(None),
            witness: None,
            changed: true,
            backups: Vec::new(),
            process: None,
            zombie: None,
            operated: None,
            standby: None,
            rewrote: None,
            twin: None,
            server: dice.chance(40),
            generation: 0,
            version: if dice.chance(70) { NEWEST } else { 1 },
            clock_offset: 0,
            started_in: 0,
            witnesses: Vec::new(),
            nonce: 0,
            limits: WriterLimits {
                batch_events_max: 1 + dice.below(6),
                batch_bytes_max: 20 + dice.below(400),
                queue_requests_max: 2 + dice.below(6),
                ..WriterLimits::default()
            },
        }
    }

    pub fn application_version(&self) -> ApplicationVersion {
        self.version
            .to_string()
            .parse()
            .expect("a number is a version")
    }

    /// A database without anything in it.
    pub fn wipe(&mut self) {
        self.store = disk(None);
        self.changed = true;
        self.generation += 1;
    }

    /// The oldest witness that is remembered.
    pub fn older_witness(&self) -> Option<Witness> {
        self.witnesses.first().cloned()
    }

    pub fn state(&self) -> LogState {
        now(self.store.state()).expect("memory can be read")
    }

    /// Another database with the same contents.
    pub fn copy(&self) -> MemoryStore {
        disk(Some(self.store.snapshot()))
    }

    /// Keeps a copy, unless the last one is the same.
    pub fn backup(&mut self, ledger: &Ledger) -> bool {
        let changed = std::mem::take(&mut self.changed);
        if changed {
            self.backups.push((self.store.snapshot(), ledger.clone()));
        }
        changed
    }

    /// Whether anything outside of the database knows that the location has ever been.
    pub fn is_known(&self) -> bool {
        match &self.operated {
            Some(operated) => operated.knows(),
            None => self.witness.is_some(),
        }
    }

    /// Not while it serves, and not when nothing else tells that the location has ever been.
    pub fn lose_witness(&mut self) -> bool {
        let may = self.process.is_none() && self.state().lineage.current().is_some();
        if may {
            self.witness = None;
            if let Some(operated) = &mut self.operated {
                operated.delete();
            }
        }
        may
    }

    /// An older copy takes the place of the disk. An empty one without a witness would be a location that never was: nobody can tell.
    pub fn restore(&mut self, number: usize, known: bool) -> Option<Ledger> {
        let (snapshot, ledger) = self.backups[number].clone();
        let store = disk(Some(snapshot));
        let served = now(store.state()).is_ok_and(|s| s.lineage.current().is_some());
        if !known && !served {
            return None;
        }
        self.store = store;
        self.generation += 1;
        Some(ledger)
    }

    /// The copy that loses most and to which a frame that waits for the writer fits all the same.
    pub fn worst_copy(&self) -> Option<usize> {
        let waiting = self.process.as_ref()?.inbox.iter();
        let frame = waiting.rev().find_map(|(_, _, work)| match work {
            Work::Frame(work) => Some(work),
            _ => None,
        })?;
        let fits = |copy: &Copy| {
            let state = now(disk(Some(copy.0.clone())).state()).expect("memory can be read");
            let progress = state.progress.get(&frame.edge.source);
            let progress = progress.cloned().unwrap_or_default();
            (progress.position, progress.hash) == (frame.frame.from, frame.frame.hash_from)
        };
        self.backups.iter().position(fits)
    }

    pub fn take_lease(&mut self) -> (u64, LogState) {
        self.nonce += 1;
        self.changed = true;
        let lease = Lease {
            owner: "simulation".into(),
            address: String::new(),
            nonce: self.nonce,
            ttl: Duration::from_secs(5),
        };
        match now(self.store.acquire_lease(&lease)) {
            Ok(LeaseOutcome::Acquired(state)) => (self.nonce, *state),
            other => unreachable!("one owner, one lease: {other:?}"),
        }
    }

    /// No other writer has begun since this one: of a clone of the database, for example.
    pub fn is_named(&self, writer: u64) -> bool {
        let named = self.witness.as_ref().and_then(|w| w.writer);
        named.is_none_or(|named| named <= writer)
    }

    pub fn hash_at(&self, position: u64) -> Option<ChainHash> {
        now(self.store.hash_at(position)).expect("memory can be read")
    }

    pub fn look(&self, lookup: &Lookup, dice: &mut Dice) -> SourceInput {
        match lookup {
            Lookup::Hash(position) => SourceInput::Hash {
                position: *position,
                hash: self.hash_at(*position),
            },
            Lookup::Read { after, to } => SourceInput::Page {
                after: *after,
                page: self.page(*after, *to, 1 + dice.below(8)),
            },
        }
    }

    pub fn page(&self, after: u64, to: u64, events_max: usize) -> Page {
        let query = ReadQuery {
            after,
            to,
            events_max,
            bytes_max: usize::MAX,
            scan_max: 100,
            selector: Selector::default(),
        };
        now(self.store.read(&query)).expect("memory can be read")
    }

    /// Everything that is published.
    pub fn read(&self) -> Vec<tidelog_model::StoredEvent> {
        let head = self.process.as_ref().map_or(0, |p| p.view.head);
        if head == 0 {
            return Vec::new();
        }
        self.page(0, head, usize::MAX).events
    }
}

fn disk(snapshot: Option<MemorySnapshot>) -> MemoryStore {
    match snapshot {
        None => MemoryStore::new(Arc::new(|| 0)),
        Some(snapshot) => MemoryStore::restore(snapshot, Arc::new(|| 0)),
    }
}
